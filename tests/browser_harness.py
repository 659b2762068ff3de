"""A browser that looks at pages: a new tab a test, and all that its console complained about.

Here: fixtures. A file of tests says by its own fixture `address` whose pages are looked at: those
of a running stack (`site`), or the API's application over fake stores. Not here: the browser itself
(tests/chromium.py), expectations.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.embedded import find_admin_urls
from crypto_platform.stores import open_stores
from tests.chromium import chromium, find_chromium
from tests.stack_harness import running_up, stack_folder, state_of
from tests.waiting import eventually

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
ARRIVES_WITHIN_S = 180
ARRIVES = (
    *("market.quote", "market.candle_revision", "market.order_book", "market.trade"),
    *("accounts.wallet", 'accounts."order"'),
)


@dataclass(kw_only=True)
class Visit:
    """A tab of the browser.

    Attributes:
        errors: Messages of the console (answers of 400 and more among them), uncaught errors. A
            test that means to cause some takes them out.
    """

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)

    def log_in(self, user_id: str, key: str) -> None:
        """As people do: sent to the form by what they wanted to see."""
        self.open("/portfolio")
        self.page.get_by_label("User").fill(user_id)
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("main").get_by_role("button", name="Log in").click()

    def read_amounts(self, selector: str) -> list[str]:
        """The exact amounts, as the page holds them."""
        found = self.page.locator(f"{selector} data").evaluate_all("all => all.map(e => e.value)")
        return [str(value) for value in found]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """No longer than a module: while it lives, its event loop is the one of this thread."""
    if find_chromium() is None:
        pytest.skip("no Chromium: `python -m tests.chromium` fetches one for Linux on x86-64")
    with chromium() as running:
        yield running


@pytest.fixture(params=[DESKTOP], ids=["desktop"])
def visit(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A new tab without cookies; the test fails where its console had anything to say."""
    context = browser.new_context(viewport=request.param, locale="en-US")
    visited = Visit(page=context.new_page(), address=address)

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            visited.errors.append(message.text)

    visited.page.on("console", note)
    visited.page.on("pageerror", lambda error: visited.errors.append(str(error)))
    yield visited
    context.close()
    assert visited.errors == []


@dataclass(kw_only=True)
class Site:
    """A running stack that has something to show of everything."""

    folder: Path
    url: str
    settings: Settings

    def ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the store says, without any code of the pages."""
        url = find_admin_urls(self.folder).postgres.rpartition("/")[0] + "/crypto_platform"
        with psycopg.connect(url) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def count(self, query: str, *parameters: object) -> int:
        [(count,)] = self.ask(query, *parameters)
        return int(count)


@pytest.fixture(scope="module")
def site(browser: Browser) -> Iterator[Site]:
    with stack_folder() as folder, running_up(folder):
        url = state_of(folder).api_url
        assert url is not None
        made = Site(folder=folder, url=url, settings=load_settings(folder))
        for table in ARRIVES:
            eventually(
                lambda table=table: made.count(f"SELECT count(*) FROM {table}") > 0,
                within_s=ARRIVES_WITHIN_S,
            )
        wait_for_mirror(made.settings)
        yield made


def wait_for_mirror(settings: Settings) -> None:
    """Until MongoDB has all that PostgreSQL has now, for pages are read from either."""
    with open_stores(settings, role="analyst") as stores:
        home, mirror = stores["postgres"], stores["mongo"]
        wanted = {row.partition: row.next_offset for row in home.read_offsets()}

        def has_all() -> bool:
            found = {row.partition: row.next_offset for row in mirror.read_offsets()}
            return all(found.get(part, 0) >= offset for part, offset in wanted.items())

        eventually(has_all, within_s=ARRIVES_WITHIN_S, every_s=1)

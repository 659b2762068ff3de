"""The dashboard in a real browser, on a running stack: every page, every figure a stored one."""

import json
import re
from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.browser_harness import Site, Visit
from tests.stack_harness import pid_of, run_cli
from tests.trouble_steps import suspended
from tests.waiting import eventually

MARKET = "/markets/simulated_exchange/BTC-USD"
TRANSFERRED_BYTES_MAX = 300_000

pytestmark = [pytest.mark.timeout(300), pytest.mark.servers]


@pytest.fixture(scope="module")
def address(site: Site) -> str:
    return site.url


def test_every_price_of_the_overview_is_one_that_the_store_has(site: Site, visit: Visit) -> None:
    """Float on the way, or another currency's row, and people trade on it."""
    visit.open("/")
    shown = visit.page.locator("[data-quotes] tr").evaluate_all(
        "all => all.map(e => [e.dataset.key, e.querySelector('[data-field=price] data').value])"
    )
    assert len(shown) >= 20
    for key, price in shown:
        source, currency_id = key.split(":")
        found = site.count(
            "SELECT count(*) FROM market.quote WHERE source = %s AND currency_id = %s"
            " AND price::text = %s",
            source,
            currency_id,
            price,
        )
        assert found > 0, (key, price)


def test_prices_move_without_anybody_loading_the_page_again(visit: Visit) -> None:
    """A dashboard that stands still looks like a quiet market."""
    visit.open("/")
    visit.page.get_by_text("live", exact=True).wait_for()
    before = visit.read_amounts("[data-field=price]")
    eventually(lambda: visit.read_amounts("[data-field=price]") != before, within_s=30)
    assert visit.page.locator("time.stale").count() == 0


def test_a_market_shows_its_candles_book_and_trades_as_stored(site: Site, visit: Visit) -> None:
    """Three pictures of one market; each figure is a stored one."""
    visit.open("/")
    visit.page.get_by_role("link", name="Bitcoin", exact=True).click()
    visit.page.wait_for_url(f"**{MARKET}")
    visit.page.locator("[data-chart] canvas").first.wait_for()
    visit.page.locator("[data-depth] canvas").wait_for()
    visit.page.locator("[data-tape] tbody tr").first.wait_for()
    visit.page.locator("[data-side=bids] td").first.wait_for()
    prices = visit.read_amounts("[data-tape] tbody tr td:nth-child(3)")
    assert prices
    for price in prices[:5]:
        query = (
            "SELECT count(*) FROM market.trade WHERE venue = 'simulated_exchange'"
            " AND venue_symbol = 'BTC-USD' AND price::text = %s"
        )
        assert site.count(query, price) > 0, price
    bids = visit.read_amounts("[data-side=bids] td:first-child")
    query = (
        "SELECT count(*) FROM market.order_book WHERE venue = 'simulated_exchange'"
        " AND venue_symbol = 'BTC-USD' AND bid_prices[1]::text = %s"
    )
    assert site.count(query, bids[0]) > 0


def test_a_page_is_small_and_its_chart_is_soon_there(
    visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    """On a phone's network each 100 kB more is a second; how soon is measured, not promised."""
    visit.open(MARKET)
    visit.page.locator("[data-depth] canvas").wait_for()
    sizes = visit.page.evaluate("performance.getEntries().map(each => each.transferSize ?? 0)")
    assert 0 < sum(sizes) <= TRANSFERRED_BYTES_MAX
    [at_ms] = visit.page.evaluate(
        "performance.getEntriesByName('chart-visible').map(each => each.startTime)"
    )[:1]
    record_property("transferred_bytes", sum(sizes))
    record_property("chart_visible_ms", round(at_ms))


@pytest.fixture(scope="module")
def user(site: Site) -> tuple[str, str]:
    """Somebody with wallets and open orders, and a key of his."""
    [(user_id,)] = site.ask(
        'SELECT user_id FROM accounts."order" WHERE is_open GROUP BY user_id'
        " ORDER BY count(*) DESC, user_id LIMIT 1"
    )
    said = run_cli("keys", "create", "--user", user_id, "--json", "--data-dir", str(site.folder))
    assert said.returncode == 0, said.stderr
    return user_id, json.loads(said.stdout)["key"]


def test_a_user_sees_his_wallets_as_stored_and_nothing_after_logging_out(
    site: Site, visit: Visit, user: tuple[str, str]
) -> None:
    """One's own money, to the last digit; and the next one at this machine sees none of it."""
    user_id, key = user
    visit.log_in(user_id, key)
    rows = visit.page.locator("[data-panel=holdings] tbody tr")
    rows.first.wait_for()
    stored = "SELECT currency, (available + locked)::text FROM accounts.wallet WHERE user_id = %s"

    def is_as_stored() -> bool:
        # he goes on trading
        shown = rows.evaluate_all(
            "all => all.map(row => [row.dataset.currency, row.querySelector('data').value])"
        )
        own = {currency: Decimal(amount) for currency, amount in site.ask(stored, user_id)}
        return {each: Decimal(amount) for each, amount in shown} == {
            currency: amount for currency, amount in own.items() if amount
        }

    eventually(is_as_stored, within_s=30)
    assert visit.page.locator("[data-panel=transactions] tbody tr").count() > 0
    visit.page.get_by_role("button", name="Log out").click()
    visit.page.wait_for_url("**/")
    visit.open("/portfolio")
    visit.page.get_by_role("heading", name="Log in").wait_for()


def test_a_tax_report_is_downloaded_by_a_form(visit: Visit, user: tuple[str, str]) -> None:
    """The one page a user comes for once a year."""
    visit.log_in(*user)
    visit.page.get_by_label("Form").select_option("csv")
    with visit.page.expect_download() as downloading:
        visit.page.get_by_role("button", name="Download").click()
    report = downloading.value.path().read_text("utf-8")
    assert downloading.value.suggested_filename.endswith(".csv")
    assert len(report.splitlines()[0].split(",")) > 5


def test_operations_show_what_status_says(site: Site, visit: Visit) -> None:
    """A second opinion would be a third thing to doubt."""
    visit.open("/operations")
    for name in ("PostgreSQL", "MongoDB"):
        visit.page.get_by_role("rowheader", name=re.compile(name)).wait_for()
    link = visit.page.get_by_role("link", name="open its UI")
    assert link.get_attribute("href") == site.settings.dagster.webserver_url
    before = visit.page.locator("[data-fresh]").inner_text()
    eventually(lambda: visit.page.locator("[data-fresh]").inner_text() != before, within_s=30)


def test_with_postgres_deaf_prices_come_from_mongo_and_the_page_says_so(
    site: Site, visit: Visit
) -> None:
    """A dashboard that fails with its store is away just when people look at it."""
    with suspended(pid_of(site.folder, "postgres")):
        visit.open("/")
        visit.page.get_by_text("from MongoDB, its mirror").wait_for()
        assert visit.page.locator("[data-quotes] tr").count() >= 20

"""The dashboard in a real browser, over fake stores: how it looks and feels, and its bad days."""

import re
import threading
from collections.abc import Iterator

import msgspec
import pytest

from crypto_platform.feeds.quotes import Quote
from tests.api_harness import BOOK, FakeStore, candle, listening, serving, trade
from tests.browser_harness import PHONE, Visit
from tests.store_steps import NOON
from tests.unit.test_api_account import KEY_OF
from tests.unit.test_api_account import build_store as build_accounts
from tests.waiting import eventually

MARKET = "/markets/simulated_exchange/BTC-USD"
PAGES = ("/", MARKET, "/operations", "/login", "/markets/nowhere/BTC")
LOOKS_AGAIN_MS = 6000
"""A portfolio asks for its prices every 5 s."""
NAMES = (
    *("Bitcoin", "Ethereum", "A currency whose name is longer than any that was ever thought of"),
    *("Quant", "Шиба", "<b>bold</b>"),
)


def build_store() -> FakeStore:
    """A market, currencies of all sorts, and ann's account."""
    store = build_accounts()
    store.market = {
        "trades": [trade(number, second=number) for number in range(60)],
        "candles": [candle(minute) for minute in range(90)],
        "order_books": [BOOK],
    }
    store.quotes = [
        Quote(
            event_id=f"q{rank}",
            source="simulated",
            currency_id=name.lower(),
            currency_name=name,
            quote_currency="USD",
            market_cap_rank=rank,
            price="0.000012345678" if rank == 4 else "123456789.123456789",
            price_change_24h_pct=None if rank == 2 else "-12.3456",
            ts_event=NOON,
            ts_ingest=NOON,
        )
        for rank, name in enumerate(NAMES, start=1)
    ]
    return store


@pytest.fixture(scope="module")
def store() -> FakeStore:
    return build_store()


@pytest.fixture(scope="module")
def address(store: FakeStore) -> Iterator[str]:
    with serving(store) as client, listening(client.app) as url:
        yield url


def wait_until_shown(visit: Visit, path: str) -> None:
    if path == MARKET:
        visit.page.locator("[data-depth] canvas").wait_for()
        visit.page.locator("[data-tape] tbody tr").first.wait_for()


def forgive(visit: Visit, status: int) -> None:
    """A page or an answer that was meant to be refused."""
    visit.errors[:] = [error for error in visit.errors if f"status of {status} " not in error]


@pytest.mark.parametrize("visit", [PHONE], indirect=True, ids=["phone"])
def test_nothing_reaches_beyond_a_phone(visit: Visit) -> None:
    """A page that scrolls sideways cannot be read with one hand."""
    visit.log_in("ann", KEY_OF["ann"])
    for path in (*PAGES, "/portfolio"):
        visit.open(path)
        wait_until_shown(visit, path)
        wide, window = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window == 360, path
    forgive(visit, 404)


def test_every_page_can_be_read_by_ear_and_by_keyboard(visit: Visit) -> None:
    """Names of fields and pictures, heads of columns, one title, a way past the navigation."""
    for path in PAGES:
        visit.open(path)
        unnamed = visit.page.evaluate(
            """[...document.querySelectorAll('input, select, button, a, [role=img]')].filter(each =>
                !(each.labels?.[0]?.textContent ?? each.textContent ?? '').trim()
                && !each.ariaLabel && each.type !== 'hidden').map(each => each.outerHTML)"""
        )
        assert unnamed == [], path
        assert visit.page.locator("h1").count() == 1, path
        headless = "table:not(:has(thead th[scope=col])):not([role=img] table)"
        assert visit.page.locator(headless).count() == 0, path
        if path != "/login":  # which begins in its first field
            visit.page.keyboard.press("Tab")
            assert visit.page.evaluate("document.activeElement.className") == "skip", path
    forgive(visit, 404)


def test_a_chart_follows_the_reader_s_scheme(visit: Visit) -> None:
    """White candles on a white ground: a canvas knows nothing of the style sheet."""
    visit.open(MARKET)
    wait_until_shown(visit, MARKET)
    drawn = "[...document.querySelectorAll('[data-chart] canvas')].map(e => e.toDataURL()).join()"
    light = visit.page.evaluate(drawn)
    visit.page.emulate_media(color_scheme="dark")
    eventually(lambda: visit.page.evaluate(drawn) != light, within_s=5)


def test_indicators_are_drawn_over_the_candles_or_below_them(visit: Visit) -> None:
    """A MACD drawn over prices presses the candles flat."""
    visit.open(MARKET)
    wait_until_shown(visit, MARKET)
    panes = visit.page.locator("[data-chart] table tr")
    one = panes.count()
    for name in ("SMA 20", "MACD"):
        visit.page.locator("label", has_text=name).click()
    eventually(lambda: panes.count() > one, within_s=10)
    assert visit.page.locator("[data-indicators-problem]").is_hidden()
    visit.page.locator("label", has_text="MACD").click()
    eventually(lambda: panes.count() == one, within_s=10)


def test_an_indicator_of_too_few_candles_says_so_instead_of_an_empty_panel(visit: Visit) -> None:
    """A day's VWAP and RSI, two days after a start."""
    visit.open(MARKET)
    wait_until_shown(visit, MARKET)
    visit.page.locator("[data-intervals] label", has_text="1d").click()
    visit.page.locator("[data-since]").wait_for()
    one = visit.page.locator("[data-chart] table tr").count()
    for name in ("Bollinger", "VWAP", "RSI 14"):
        visit.page.locator("[data-indicators] label", has_text=name).click()
    for name in ("Bollinger 20, 2 upper", "VWAP", "RSI 14"):
        visit.page.get_by_text(f"{name}: not known yet").wait_for()
    assert visit.page.locator("[data-chart] table tr").count() == one


def test_a_day_of_which_a_part_is_stored_says_so(visit: Visit) -> None:
    """Ten minutes of trades were shown as the day's candle, and their change as the day's."""
    visit.open(MARKET)
    wait_until_shown(visit, MARKET)
    visit.page.locator("[data-intervals] label", has_text="1d").click()
    visit.page.get_by_text("trades are stored since 2025-11-22 12:00 UTC").wait_for()
    assert visit.page.locator("[data-change]").inner_text() == ""


def test_a_search_leaves_what_is_called_so(visit: Visit) -> None:
    """By name or id."""
    visit.open("/")
    field = visit.page.get_by_label("Find a currency")
    field.fill("ether")
    assert visit.page.locator("[data-quotes] tr:visible .name").all_inner_texts() == ["Ethereum"]
    field.fill("nothing is called so")
    visit.page.get_by_text("No currency is called so.").wait_for()


def test_the_first_currencies_are_shown_and_all_where_one_asks_or_looks_for_one(
    store: FakeStore, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred of them were seven screens before the first market."""
    [bitcoin, *_] = store.quotes
    many = [
        msgspec.structs.replace(
            bitcoin, currency_id=f"coin{n}", event_id=f"m{n}", market_cap_rank=n
        )
        for n in range(1, 31)
    ]
    monkeypatch.setattr(store, "quotes", many)
    shown = visit.page.locator("[data-quotes] tr:visible")

    def shows(count: int) -> bool:
        visit.open("/")
        return shown.count() == count

    eventually(lambda: shows(25), within_s=10)
    visit.page.get_by_label("Find a currency").fill("coin30")
    eventually(lambda: shown.count() == 1, within_s=5)
    visit.page.get_by_label("Find a currency").fill("")
    visit.page.get_by_text("Show all 30").click()
    eventually(lambda: shown.count() == 30, within_s=5)


def test_what_a_currency_is_called_is_text(visit: Visit) -> None:
    """Seen by the browser, which decides."""
    visit.open("/")
    visit.page.get_by_label("Find a currency").fill("bold")
    visit.page.get_by_text("<b>bold</b>").wait_for()


def test_a_wrong_key_is_told_at_the_form(visit: Visit) -> None:
    """And what was typed is there still, but for the key."""
    visit.log_in("ann", "ck_0_wrong")
    visit.page.get_by_role("alert").get_by_text("no such key of this user").wait_for()
    assert visit.page.get_by_label("User").input_value() == "ann"
    assert visit.page.get_by_label("Key").input_value() == ""
    forgive(visit, 401)


def test_a_user_sees_his_own_and_nobody_after_he_has_logged_out(visit: Visit) -> None:
    """The next one at this machine."""
    visit.log_in("ann", KEY_OF["ann"])
    row = visit.page.locator("[data-panel=holdings] tr[data-currency=USD]")
    row.wait_for()
    own = "[data-panel=holdings] tr[data-currency=USD] td:nth-child(2)"
    assert visit.read_amounts(own) == ["799.00"]
    visit.page.get_by_role("button", name="Log out").click()
    visit.page.wait_for_url("**/")
    visit.open("/portfolio")
    visit.page.get_by_role("heading", name="Log in").wait_for()


@pytest.mark.parametrize("visit", [PHONE], indirect=True, ids=["phone"])
def test_a_phone_tells_shares_and_what_an_order_holds(store: FakeStore, visit: Visit) -> None:
    """A bar cut at the screen's edge, and a green +0 where coins were locked."""
    visit.log_in("ann", KEY_OF["ann"])
    share = visit.page.locator("[data-panel=holdings] tr[data-currency=USD] .share")
    assert re.fullmatch(r"\d+\.\d %", share.inner_text().strip())
    box = share.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= PHONE["width"] - 16  # the page's own edge
    rows = visit.page.locator("[data-panel=transactions] tbody tr")
    rows.first.wait_for()
    assert any("locked" in text for text in rows.all_inner_texts())
    assert not any("+0" in text.split() for text in rows.all_inner_texts())


def test_who_logs_out_is_not_asked_to_log_in_while_the_next_page_is_on_its_way(
    store: FakeStore, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His page asks every few seconds, and would be refused now: he wanted to leave."""
    visit.log_in("ann", KEY_OF["ann"])
    visit.page.locator("[data-panel=holdings] tr[data-currency=USD]").wait_for()
    asked, may_go_on = threading.Event(), threading.Event()

    def read_slowly(*_: object, **__: object) -> list[Quote]:
        asked.set()
        may_go_on.wait(20)
        return store.quotes

    monkeypatch.setattr(store, "read_latest_quotes", read_slowly)
    visit.page.evaluate("document.querySelector('form[action=\"/logout\"]').requestSubmit()")
    assert asked.wait(20)
    visit.page.wait_for_timeout(LOOKS_AGAIN_MS)
    may_go_on.set()
    visit.page.get_by_role("heading", name="Markets").wait_for()


def test_what_happens_in_an_account_is_seen_as_it_happens(store: FakeStore, visit: Visit) -> None:
    """An order was filled, and its owner loads the page again and again."""
    visit.log_in("bob", KEY_OF["bob"])
    visit.page.get_by_text("live", exact=True).wait_for()
    rows = visit.page.locator("[data-panel=transactions] tbody tr")
    rows.first.wait_for()
    before = rows.count()
    store.company.deposit("bob", "USD", "1.25")
    eventually(lambda: rows.count() == before + 1, within_s=10)
    assert "+1.25" in rows.first.inner_text()
    own = "[data-panel=holdings] tr[data-currency=USD] td:nth-child(2)"
    eventually(lambda: visit.read_amounts(own) == ["498.75"], within_s=10)


def test_with_the_stores_away_an_open_page_keeps_what_it_had_and_says_so(
    store: FakeStore, visit: Visit
) -> None:
    """Yesterday's price without a word is worse than none."""
    visit.open(MARKET)
    wait_until_shown(visit, MARKET)
    store.is_down = True
    try:
        visit.page.get_by_text("no store answers").first.wait_for()
        assert visit.page.locator("[data-depth] canvas").is_visible()
        visit.open("/")
        visit.page.get_by_role("alert").wait_for()
        visit.page.get_by_role("heading", name="No store answers").wait_for()
    finally:
        store.is_down = False
    visit.open("/")
    visit.page.get_by_role("heading", name="Currencies").wait_for()
    forgive(visit, 503)

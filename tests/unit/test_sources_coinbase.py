"""Coinbase's dialect on hand-made bodies: no recording of its trades over REST exists here.

Ids, prices, sizes and times are those of its WebSocket on 2021-04-17, where recorded.
"""

import json
from collections.abc import Iterable

import pytest

from crypto_platform.errors import ConfigurationError, SourceMalformedError
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import Budget
from crypto_platform.sources.coinbase import Coinbase
from crypto_platform.sources.http import Answer
from crypto_platform.sources.readings import Subject
from crypto_platform.sources.trade_pages import (
    TradesPage,
    TradesRead,
    check_highest,
    choose_new,
    find_gaps,
)
from crypto_platform.sources.venue_settings import find_pages_max
from tests.recordings import read_coinbase_matches

PAGE = b"""[
 {"trade_id": 1568269, "side": "sell", "size": "1787", "price": "0.7912",
  "time": "2021-04-17T16:43:37.140491Z"},
 {"trade_id": 1568268, "side": "buy", "size": "450", "price": "NaN",
  "time": "2021-04-17T16:43:37.121358Z"},
 {"trade_id": 1568267, "side": "buy", "size": "450.00", "price": "0.79100000",
  "time": "2021-04-17T16:43:37.1Z"}]"""
RECEIVED = 1_620_000_000_000_000
"""2021-05-03, after all trades here: one from the future would be refused."""
GOOD = {
    "trade_id": 7,
    "side": "sell",
    "size": "0.04",
    "price": "14.7775",
    "time": "2021-04-17T16:43:30.244075Z",
}


def cut(body: bytes) -> TradesPage:
    return build("BTC-USD").cut_trades(Answer(body=body, url="/"))


def parse(*items: bytes, product_id: str = "BAND-GBP") -> Poll:
    coinbase = build(product_id)
    subject = Subject(
        venue="mine",
        venue_symbol=product_id,
        symbol=coinbase.unify(product_id),
        ts_ingest=RECEIVED,
    )
    return coinbase.read_trade_items(TradesRead(items=items, position=None), subject)


def parse_one(**changes: object) -> Poll:
    return parse(json.dumps(GOOD | changes).encode())


def list_trades(poll: Poll) -> list[Trade]:
    return [record for record in poll.records if isinstance(record, Trade)]


def page_of(*trade_ids: int) -> TradesPage:
    return cut(json.dumps([GOOD | {"trade_id": i} for i in trade_ids]).encode())


def list_ids(items: list[bytes]) -> list[int | None]:
    return [json.loads(item).get("trade_id") for item in items]


def build(*symbols: str, requests_per_minute_max: float = 600) -> Coinbase:
    settings = SourceSettings(
        dialect="coinbase",
        base_url="https://venue.example",
        symbols=symbols,
        requests_per_minute_max=requests_per_minute_max,
        feeds=("trades",),
    )
    return Coinbase(name="mine", settings=settings)


def test_a_trade_is_told_as_the_venue_told_it() -> None:
    """Every field, with the venue's digits and microseconds."""
    [trade] = list_trades(parse_one())
    assert trade == Trade(
        event_id="mine:BAND-GBP:7",
        content_hash=trade.content_hash,
        venue="mine",
        venue_symbol="BAND-GBP",
        symbol="BAND/GBP",
        trade_id="7",
        price="14.7775",
        quantity="0.04",
        taker_side=Side.BUY,
        ts_event=1_618_677_810_244_075,
        ts_ingest=RECEIVED,
    )


@pytest.mark.parametrize(("maker", "taker"), [("sell", Side.BUY), ("buy", Side.SELL)])
def test_the_printed_side_is_the_makers(maker: str, taker: Side) -> None:
    """Copying it would turn buying pressure upside down in every chart."""
    [trade] = list_trades(parse_one(side=maker))
    assert trade.taker_side is taker


def test_a_trade_without_a_side_has_none() -> None:
    """What the venue does not say is not said for it."""
    [trade] = list_trades(parse_one(side=None))
    assert trade.taker_side is None


def test_a_time_finer_than_microseconds_is_cut_and_its_text_is_kept() -> None:
    """Rounded up, a trade would come before its cause; without its text, the rest is lost."""
    [trade] = list_trades(parse_one(time="2021-04-17T16:43:30.244075999Z"))
    assert trade.ts_event == 1_618_677_810_244_075
    assert trade.ts_event_text == "2021-04-17T16:43:30.244075999Z"


@pytest.mark.parametrize(
    ("time", "microseconds"),
    [("16:43:30Z", 0), ("16:43:30.2Z", 200_000), ("18:43:30.000001+02:00", 1)],
)
def test_a_time_with_fewer_digits_is_the_same_to_the_microsecond(
    time: str, microseconds: int
) -> None:
    """Coinbase leaves out zeros at the end."""
    [trade] = list_trades(parse_one(time=f"2021-04-17T{time}"))
    assert trade.ts_event == 1_618_677_810_000_000 + microseconds
    assert trade.ts_event_text is None


def test_recorded_matches_become_trades_with_the_recorded_digits() -> None:
    """Real values: sizes without a point, prices of 0.00001305."""
    matches = read_coinbase_matches()
    assert len(matches) == 107
    for match in matches:
        item = {name: match[name] for name in GOOD}
        poll = parse(json.dumps(item).encode(), product_id=match["product_id"])
        [trade] = list_trades(poll)
        assert (trade.price, trade.quantity) == (match["price"], match["size"])
        assert trade.event_id == f"mine:{match['product_id']}:{match['trade_id']}"
        assert trade.symbol == match["product_id"].replace("-", "/")


def test_one_bad_trade_does_not_stop_the_others_and_counts_as_read() -> None:
    """Its number is good, so the cursor passes it; its bytes are kept with the reason."""
    page = cut(PAGE)
    poll = parse(*choose_new([page], cursor=None))
    assert [trade.trade_id for trade in list_trades(poll)] == ["1568267", "1568269"]
    assert [trade.price for trade in list_trades(poll)] == ["0.79100000", "0.7912"]
    assert [trade.quantity for trade in list_trades(poll)] == ["450.00", "1787"]
    [piece] = poll.rejected
    assert piece.error == "price: not a finite decimal number: 'NaN'"
    assert piece.raw in PAGE
    assert (page.lowest, page.highest) == (1568267, 1568269)


@pytest.mark.parametrize(
    "changes",
    [
        {"price": None},
        {"price": ""},
        {"price": "1,000"},
        {"size": None},
        {"size": "Infinity"},
        {"size": {}},
        {"time": None},
        {"time": "yesterday"},
        {"time": "2021-04-17T16:43:30"},
        {"time": 1618677810},
        {"side": "bid"},
        {"side": 1},
        {"trade_id": "7"},
        {"trade_id": 0},
        {"trade_id": 7.5},
        {"trade_id": None},
    ],
)
def test_what_is_no_trade_is_rejected_with_its_reason(changes: dict[str, object]) -> None:
    """Published, it would go to quarantine in both stores."""
    poll = parse_one(**changes)
    assert poll.records == []
    assert [piece.reason for piece in poll.rejected] == ["invariant"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>We'll be right back</html>",
        b'{"message": "NotFound"}',
        b'[{"trade_id": 7',
        b'[{"id": 7}]',
        b'[{"trade_id": NaN}]',
        b"[7, 8]",
    ],
)
def test_a_page_that_is_not_what_it_promises_is_refused_whole(body: bytes) -> None:
    """Without a single number nobody can say how far the venue was read."""
    with pytest.raises(SourceMalformedError) as refused:
        cut(body)
    assert body[:200].decode() in str(refused.value)


def test_trades_above_the_cursor_come_oldest_first_and_once() -> None:
    """Pages overlap where the border is read twice."""
    new = choose_new([page_of(9, 8, 7, 6), page_of(7, 6, 5, 4)], cursor=5)
    assert list_ids(new) == [6, 7, 8, 9]


def test_what_differs_under_one_number_is_kept_twice() -> None:
    """Both are what the venue said; the stores then find the conflict."""
    other = cut(json.dumps([GOOD | {"trade_id": 7, "price": "15"}]).encode())
    assert list_ids(choose_new([page_of(7, 6), other], cursor=6)) == [7, 7]


def test_a_piece_without_a_number_is_never_taken_for_an_old_one() -> None:
    """It can only be rejected, and must be."""
    page = cut(json.dumps([GOOD, {"what": "is this"}]).encode())
    assert list_ids(choose_new([page], cursor=7)) == [None]


@pytest.mark.parametrize(
    ("count", "requests_per_minute", "pages"),
    [(1, 600, 10), (5, 600, 10), (10, 600, 5), (25, 600, 2), (5, 30, 4)],
)
def test_a_poll_at_its_longest_fits_into_the_budget(
    count: int, requests_per_minute: float, pages: int
) -> None:
    """One that does not would be begun again and again, and never be published."""
    budget = Budget(requests_per_minute)
    assert find_pages_max(count, ["trades"], 1, budget, source="mine").trades == pages


@pytest.mark.parametrize(("count", "requests_per_minute"), [(26, 600), (11, 30)])
def test_more_products_than_a_poll_can_ask_for_are_refused_at_the_start(
    count: int, requests_per_minute: float
) -> None:
    """It would use up the budget minute after minute and publish nothing."""
    with pytest.raises(ConfigurationError, match=rf"sources\.mine\.symbols names {count} symbols"):
        build(
            *(f"A{number}-USD" for number in range(count)),
            requests_per_minute_max=requests_per_minute,
        )


@pytest.mark.parametrize("symbol", ["BTC/USD", "btc-usd", "BTCUSD", "BTC-USD-PERP", "-USD", "../x"])
def test_a_symbol_that_is_no_product_id_is_refused_at_the_start(symbol: str) -> None:
    """btc-usd would be answered, and every trade be stored under two names."""
    with pytest.raises(ConfigurationError, match="BASE-QUOTE in capitals"):
        build("BTC-USD", symbol)
    assert build("BTC-USD").unify(symbol) is None


def test_a_source_without_symbols_is_refused_at_the_start() -> None:
    """It would poll nothing and look healthy."""
    with pytest.raises(ConfigurationError, match=r"sources\.mine\.symbols: nothing"):
        build()


def test_a_cursor_of_another_dialect_is_an_error_of_this_source_alone() -> None:
    """Raised as anything else, it would end the polls of all sources."""
    with pytest.raises(SourceMalformedError, match="give a source that changed its dialect"):
        build("BTC-USD").poll("trades", positions={"BTC-USD": "2021-04-17"}, ts_ingest=RECEIVED)


def test_a_page_with_a_stray_id_above_all_others_is_not_read() -> None:
    """It would move the cursor over trades that nobody has read, and no poll would come back."""
    with pytest.raises(SourceMalformedError, match="where ids rise by one"):
        check_highest(page_of(*range(4901, 5001), 10**9), source="mine")


@pytest.mark.parametrize("page", [(), (1,), (3, *range(4901, 5001)), (7, 9_000, 9_001)])
def test_numbers_that_jump_are_read(page: Iterable[int]) -> None:
    """A venue that skips numbers is told by its gaps; refused for it, it would be read no more."""
    ids = {str(trade_id).encode(): trade_id for trade_id in page}
    check_highest(TradesPage(ids=ids, url="/"), source="mine")


def list_gaps(pages: Iterable[TradesPage], cursor: int | None) -> list[tuple[str | None, ...]]:
    gaps = find_gaps(pages, cursor=cursor, venue_symbol="BTC-USD")
    return [(gap.after_id, gap.before_id, str(gap.missing_records)) for gap in gaps]


def test_a_hole_between_numbers_that_rise_by_one_is_found() -> None:
    """A missing trade that nobody hears of is a wrong chart."""
    pages = [page_of(9, 8, 5), page_of(5, 4, 3)]
    assert list_gaps(pages, 3) == [("5", "8", "2")]
    assert list_gaps(pages, 1) == [("1", "3", "1"), ("5", "8", "2")]
    assert list_gaps(pages, None) == [("5", "8", "2")]
    assert list_gaps(pages, 8) == []


def test_a_page_of_holes_is_one_matter() -> None:
    """A venue that gives only every second number would be an incident for each of them."""
    assert list_gaps([page_of(*range(2, 42, 2))], None) == [("2", "40", "19")]


def test_another_name_for_a_currency_elsewhere_is_unified() -> None:
    """CGLD and CELO are one currency; two names would be two charts."""
    assert build("CGLD-USD").unify("CGLD-USD") == "CELO/USD"


def test_a_currency_that_nobody_mapped_stays_unmapped() -> None:
    """A new listing's ticker may be that of another currency elsewhere."""
    settings = SourceSettings(
        dialect="coinbase",
        base_url="http://127.0.0.1:1",
        symbols=("BTC-USD",),
        currencies={"NEWCOIN": "NEW"},
    )
    coinbase = Coinbase(name="coinbase", settings=settings)
    assert coinbase.unify("BTC-USD") == "BTC/USD"
    assert coinbase.unify("UNHEARDOF-USD") is None
    assert coinbase.unify("NEWCOIN-USD") == "NEW/USD"

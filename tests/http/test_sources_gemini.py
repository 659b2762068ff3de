"""Gemini's dialect on what it answered in 2019, 2020 and 2021, over a real socket.

Of candles there is no recording: those here are hand-made in the shape of its documentation.
"""

import json
from collections.abc import Iterable, Iterator

import pytest

from crypto_platform.errors import SourceError, SourceMalformedError, SourceRefusedError
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.instruments import Instrument
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.sources.base import Poll
from crypto_platform.sources.gemini import Gemini
from tests.recordings import read_answers, read_market, read_market_answers
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

RECEIVED = 1_700_000_000_000_000
DETAILS_PATH = "/v1/symbols/details/btcusd"
TRADES_PATH = "/v1/trades/btcusd"
DETAILS = b"""{"symbol": "BTCUSD", "base_currency": "BTC", "quote_currency": "USD",
    "tick_size": 1E-8, "quote_increment": 0.01, "min_order_size": "0.00001", "status": "open"}"""


@pytest.fixture
def venue() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        running.routes[DETAILS_PATH] = Reply(body=DETAILS)
        yield running


def build(venue: ScriptedSource, **changes: object) -> Gemini:
    values = {"symbols": "btcusd"} | changes
    settings = venue.build_settings(dialect="gemini", base_url=venue.url, **values)
    return Gemini(name="mine", settings=settings)


def page(trade_ids: Iterable[int]) -> Reply:
    """A page of these trades, newest first."""
    trades = [
        {
            "timestamp": 1565662735,
            "timestampms": 1565662735226,
            "tid": tid,
            "price": "11410.49",
            "amount": "0.03",
            "exchange": "gemini",
            "type": "sell",
        }
        for tid in sorted(trade_ids, reverse=True)
    ]
    return Reply(body=json.dumps(trades).encode())


def poll_trades(source: Gemini, position: str | None = None) -> Poll:
    positions = {} if position is None else {"btcusd": position}
    return source.poll("trades", positions=positions, ts_ingest=RECEIVED)


def list_ids(poll: Poll) -> list[int]:
    return [int(record.trade_id) for record in poll.records if isinstance(record, Trade)]


def list_queries(venue: ScriptedSource) -> list[dict[str, str]]:
    return [asked.query for asked in venue.asked if asked.path == TRADES_PATH]


def test_every_recorded_page_of_trades_is_records_with_their_digits(venue: ScriptedSource) -> None:
    """Five pages, newest first; records come oldest first, times in milliseconds."""
    pages = [told for told in read_market("gemini") if told.path.lower() == TRADES_PATH]
    assert len(pages) == 5
    for told in pages:
        venue.script(Reply(body=told.body))
        poll = poll_trades(build(venue))
        trades = [record for record in poll.records if isinstance(record, Trade)]
        assert poll.rejected == []
        assert [(t.trade_id, t.price, t.quantity, t.ts_event, t.taker_side) for t in trades] == [
            (str(t["tid"]), t["price"], t["amount"], t["timestampms"] * 1000, Side(t["type"]))
            for t in json.loads(told.body)[::-1]
        ]
        assert {trade.symbol for trade in trades} == {"BTC/USD"}


def test_trades_of_one_second_are_told_apart_by_their_milliseconds(venue: ScriptedSource) -> None:
    """`timestamp` beside it is in seconds: by it, the recorded page would have far fewer times."""
    [body, *_] = read_market_answers("gemini", "/v1/trades/BTCUSD")
    venue.script(Reply(body=body))
    trades = [record for record in poll_trades(build(venue)).records if isinstance(record, Trade)]
    told = json.loads(body)
    times = {trade.ts_event for trade in trades}
    assert times == {trade["timestampms"] * 1000 for trade in told}
    assert len(times) > len({trade["timestamp"] for trade in told})


def test_two_questions_with_the_same_answer_read_its_trades_once(venue: ScriptedSource) -> None:
    """Recorded: asked with a `since` and with another, Gemini gave the same 500 trades."""
    first, second, *_ = read_market_answers("gemini", "/v1/trades/BTCUSD")
    assert first == second
    venue.script(Reply(body=first))
    source = build(venue)
    poll = poll_trades(source)
    again = poll_trades(source, poll.positions["btcusd"])
    assert (len(poll.records), len(again.records)) == (500, 0)
    assert again.positions == poll.positions == {"btcusd": "607568549"}
    assert not again.gaps
    assert list_queries(venue) == [
        {"limit_trades": "500"},
        {"limit_trades": "500", "since_tid": "607568548"},
    ]


def test_a_page_says_how_far_back_it_reaches_not_that_it_began_where_asked(
    venue: ScriptedSource,
) -> None:
    """The recorded page begins at 607553701: asked from an older trade on, it proves nothing."""
    [body, *_] = read_market_answers("gemini", "/v1/trades/BTCUSD")
    newest = json.dumps(json.loads(body)[:1], separators=(",", ":")).encode()
    assert newest[1:-1] in body
    venue.script(Reply(body=body), Reply(body=newest))
    poll = poll_trades(build(venue), "607550000")
    [gap] = poll.gaps
    assert (gap.after_id, gap.before_id, gap.missing_records) == ("607550000", "607553701", None)
    assert gap.before_us == 1_591_401_607_318_000
    assert len(poll.records) == 500


def test_the_cursors_own_trade_on_the_page_proves_that_nothing_is_missing(
    venue: ScriptedSource,
) -> None:
    """Its ids rise with holes, so the numbers alone say nothing."""
    venue.script(page([100, 250, 999]))
    poll = poll_trades(build(venue), "100")
    assert (list_ids(poll), list(poll.gaps)) == ([250, 999], [])
    assert poll.positions == {"btcusd": "999"}


def test_a_poll_pages_forward_until_a_page_is_not_full(venue: ScriptedSource) -> None:
    """A trade on two pages counts once, and one between them is not missed."""
    venue.script(page(range(100, 1100, 2)), page(range(1098, 2098, 2)), page([2096, 2100]))
    poll = poll_trades(build(venue), "100")
    assert list_ids(poll) == [*range(102, 2098, 2), 2100]
    assert not poll.gaps
    assert [query["since_tid"] for query in list_queries(venue)] == ["99", "1097", "2095"]


def test_a_full_page_of_the_newest_ends_the_walk(venue: ScriptedSource) -> None:
    """The same full page again must not be asked for until the budget is gone."""
    venue.script(page(range(1, 501)))
    poll = poll_trades(build(venue), "500")
    assert (list_ids(poll), poll.positions) == ([], {"btcusd": "500"})
    assert len(list_queries(venue)) == 1


def test_nothing_since_the_cursor_is_nothing(venue: ScriptedSource) -> None:
    """After a week Gemini has forgotten the cursor's trade too."""
    venue.script(page([]))
    poll = poll_trades(build(venue), "100")
    assert (poll.records, poll.positions, list(poll.gaps)) == ([], {"btcusd": "100"}, [])


def test_an_auction_has_no_taker(venue: ScriptedSource) -> None:
    """Unknown is None, not one of both."""
    venue.script(
        Reply(
            body=b"""[{"timestampms": 1565662735226, "tid": 7, "price": "1", "amount": "2",
                "type": "auction"}]"""
        ),
    )
    [trade] = poll_trades(build(venue)).records
    assert isinstance(trade, Trade)
    assert trade.taker_side is None


def test_the_recorded_book_is_timed_by_the_poll_not_by_its_levels(venue: ScriptedSource) -> None:
    """Each level says when it changed last; none of those is when the book was so."""
    [body] = read_market_answers("gemini", "/v1/book/btcusd")
    venue.routes["/v1/book/btcusd"] = Reply(body=body)
    poll = build(venue, depth=20).poll("order_books", positions={}, ts_ingest=RECEIVED)
    [book] = poll.records
    told = json.loads(body)
    assert isinstance(book, OrderBook)
    assert [*zip(book.bid_prices, book.bid_quantities, strict=True)] == [
        (level["price"], level["amount"]) for level in told["bids"][:20]
    ]
    assert [*zip(book.ask_prices, book.ask_quantities, strict=True)] == [
        (level["price"], level["amount"]) for level in told["asks"][:20]
    ]
    assert (book.ts_event, book.timed_by, book.sequence) == (RECEIVED, TimedBy.PLATFORM, None)
    assert venue.asked[-1].query == {"limit_bids": "20", "limit_asks": "20"}


def test_the_json_body_of_an_unknown_symbols_error_is_shown(venue: ScriptedSource) -> None:
    """Recorded: a 400 that says what is wrong is worth more than its number."""
    [body] = read_market_answers("gemini", "/v1/pubticker/bla")
    venue.script(Reply(body=body, status=400))
    with pytest.raises(SourceRefusedError, match="'bla' is not a valid symbol"):
        poll_trades(build(venue))


def test_the_same_error_with_a_status_of_200_is_no_page(venue: ScriptedSource) -> None:
    """Whatever a gateway makes of the status."""
    [body] = read_market_answers("gemini", "/v1/pubticker/bla")
    for feed, path in (
        ("trades", TRADES_PATH),
        ("order_books", "/v1/book/btcusd"),
        ("candles", "/v2/candles/btcusd/1m"),
    ):
        venue.routes[path] = Reply(body=body)
        with pytest.raises(SourceMalformedError):
            build(venue).poll(feed, positions={}, ts_ingest=RECEIVED)


CANDLES = b"""[
    [1559755860000, 7781.60, 7820.23, 7776.56, 7819.39, 34.7624802159],
    [1559755800000, 7781.6, 7829.46, 7776.56, 7817.28, 1.054e-05],
    [1559755740000, 64000.1234567890123456789012345, 7829.46, 7776.56, 7817.28, 0]]"""


def test_closed_candles_are_records_with_their_digits(venue: ScriptedSource) -> None:
    """Newest first, the newest still open: it would be published as what it is not."""
    venue.routes["/v2/candles/btcusd/1m"] = Reply(body=CANDLES)
    poll = build(venue).poll("candles", positions={}, ts_ingest=1_559_755_870_000_000)
    candles = [record for record in poll.records if isinstance(record, Candle)]
    assert [(c.ts_event, c.open, c.high, c.low, c.close, c.base_volume) for c in candles] == [
        (
            1_559_755_740_000_000,
            "64000.1234567890123456789012345",
            "7829.46",
            "7776.56",
            "7817.28",
            "0",
        ),
        (1_559_755_800_000_000, "7781.6", "7829.46", "7776.56", "7817.28", "0.00001054"),
    ]


def test_candles_that_gemini_has_forgotten_are_a_gap(venue: ScriptedSource) -> None:
    """One page is all it gives: after a day without a poll the minutes before it are gone."""
    venue.routes["/v2/candles/btcusd/1m"] = Reply(body=CANDLES)
    source = build(venue)
    first = source.poll("candles", positions={}, ts_ingest=1_559_755_870_000_000)
    later = CANDLES
    for second in (1_559_755_740, 1_559_755_800, 1_559_755_860):
        later = later.replace(str(second).encode(), str(second + 86_400).encode())
    venue.routes["/v2/candles/btcusd/1m"] = Reply(body=later)
    poll = source.poll("candles", positions=first.positions, ts_ingest=1_559_842_270_000_000)
    [gap] = poll.gaps
    assert (gap.interval, gap.after_us, gap.before_us) == (
        Interval.MINUTE,
        1_559_755_860_000_000,
        1_559_842_140_000_000,
    )
    assert len(poll.records) == 2


def test_recorded_details_are_instruments(venue: ScriptedSource) -> None:
    """All of 2021: steps like 1E-8 by value, the venue's own word for the status."""
    details = {
        address.rpartition("/")[2]: body
        for address, body in read_answers("GEMINI.0").items()
        if "/v1/symbols/details/" in address
    }
    for symbol, body in details.items():
        venue.routes[f"/v1/symbols/details/{symbol}"] = Reply(body=body)
    poll = build(venue).read_instruments(symbols=details, ts_ingest=RECEIVED)
    listed = {record.native_id: record for record in poll.records if isinstance(record, Instrument)}
    assert (len(listed), poll.rejected) == (71, [])
    assert listed["btcdai"].symbol == "BTC/DAI"
    assert listed["btcdai"].status == "limit_only"
    bitcoin = listed["btcusd"]
    assert (bitcoin.price_step, bitcoin.quantity_step, bitcoin.quantity_min) == (
        "0.01",
        "0.00000001",
        "0.00001",
    )
    assert [(record.native_id, record.symbol) for record in listed.values()] == [
        # nobody has mapped CUBE, a ticker of several
        (symbol, None if base == "CUBE" else f"{base}/{told['quote_currency']}")
        for symbol, told in ((name, json.loads(body)) for name, body in details.items())
        for base in [told["base_currency"]]
    ]


@pytest.mark.parametrize(
    ("gone", "kind"),
    [
        (Reply(status=400, body=b'{"result": "error"}'), SourceRefusedError),
        (Reply(body=b'{"result": "error"}'), SourceMalformedError),
    ],
)
def test_a_symbol_whose_details_fail_holds_up_no_other(
    venue: ScriptedSource, gone: Reply, kind: type[SourceError]
) -> None:
    """Each is asked for alone; the whole list failed for one that was delisted."""
    venue.routes["/v1/symbols/details/goneusd"] = gone
    venue.routes[TRADES_PATH] = page([7])
    source = build(venue, symbols="goneusd,btcusd")
    listed = source.poll("instruments", positions={}, ts_ingest=RECEIVED)
    assert [r.native_id for r in listed.records if isinstance(r, Instrument)] == ["btcusd"]
    assert {name: type(error) for name, error in listed.faults.items()} == {"goneusd": kind}
    trades = source.poll("trades", positions={}, ts_ingest=RECEIVED)
    assert (list_ids(trades), list(trades.faults)) == ([7], ["goneusd"])
    assert isinstance(trades.faults["goneusd"], kind)


def test_a_perpetual_swap_is_left_without_a_unified_name(venue: ScriptedSource) -> None:
    """BTC/GUSD would be another instrument."""
    body = DETAILS.replace(b'"status"', b'"product_type": "swap", "status"')
    venue.routes[DETAILS_PATH] = Reply(body=body)
    [swap] = build(venue).poll("instruments", positions={}, ts_ingest=RECEIVED).records
    assert isinstance(swap, Instrument)
    assert (swap.symbol, swap.base_currency) == (None, "BTC")

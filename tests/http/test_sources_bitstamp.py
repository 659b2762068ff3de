"""Bitstamp's dialect on what it answered in 2013, 2019, 2020 and 2022, over a real socket."""

import json
import random
from collections.abc import Iterator
from decimal import Decimal

import pytest

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import SourceMalformedError
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.instruments import Instrument
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.sources.base import Poll
from crypto_platform.sources.bitstamp import Bitstamp, choose_window
from tests.recordings import read_answers, read_market, read_market_answers, read_recording
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

SECOND_US = 1_000_000
NOON_S = 1_700_000_000
PAIRS = b"""[
    {"trading": "Enabled", "base_decimals": 8, "url_symbol": "btcusd", "name": "BTC/USD",
     "instant_and_market_orders": "Enabled", "minimum_order": "20.0 USD", "counter_decimals": 2,
     "description": "Bitcoin / U.S. dollar"},
    {"trading": "Disabled", "base_decimals": 8, "url_symbol": "ustusd", "name": "UST/USD",
     "minimum_order": "20.0 USD", "counter_decimals": 0, "description": "TerraUSD"}]"""
TRADES_PATH = "/api/v2/transactions/btcusd/"


@pytest.fixture
def venue() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        running.routes["/api/v2/trading-pairs-info/"] = Reply(body=PAIRS)
        yield running


def build(venue: ScriptedSource, symbol: str = "btcusd", **changes: object) -> Bitstamp:
    settings = venue.build_settings(
        dialect="bitstamp", base_url=f"{venue.url}/api/v2", symbols=symbol, **changes
    )
    return Bitstamp(name="mine", settings=settings)


def page(*trade_ids: int) -> Reply:
    """Trades of these numbers, in this order."""
    trades = [
        {"tid": str(tid), "date": "1699999999", "price": "100.10", "amount": "0.50", "type": "0"}
        for tid in trade_ids
    ]
    return Reply(body=json.dumps(trades).encode())


def poll_trades(source: Bitstamp, position: str | None = None, *, at_s: int = NOON_S) -> Poll:
    positions = {} if position is None else {"btcusd": position}
    return source.poll("trades", positions=positions, ts_ingest=at_s * SECOND_US)


def list_ids(poll: Poll) -> list[int]:
    return [int(record.trade_id) for record in poll.records if isinstance(record, Trade)]


def list_windows(venue: ScriptedSource) -> list[str]:
    return [asked.query["time"] for asked in venue.asked if asked.path == TRADES_PATH]


@pytest.mark.parametrize("symbol", ["btcusd", "ltcusd"])
def test_recorded_trades_are_records_with_their_digits(venue: ScriptedSource, symbol: str) -> None:
    """Every trade of 2019's and 2020's hour: number, text seconds, price, amount, taker's side."""
    path = f"/api/v2/transactions/{symbol}/"
    [body] = read_market_answers("bitstamp", path)
    pairs = json.loads(PAIRS)[:1]
    pairs[0] |= {"url_symbol": symbol, "name": f"{symbol[:3]}/USD".upper()}
    venue.routes["/api/v2/trading-pairs-info/"] = Reply(body=json.dumps(pairs).encode())
    venue.routes[path] = Reply(body=body)
    poll = build(venue, symbol).poll("trades", positions={}, ts_ingest=NOON_S * SECOND_US)
    told = [
        (
            trade["tid"],
            trade["price"],
            trade["amount"],
            int(trade["date"]) * SECOND_US,
            {"0": Side.BUY, "1": Side.SELL}[trade["type"]],
        )
        for trade in json.loads(body)
    ]
    trades = [record for record in poll.records if isinstance(record, Trade)]
    assert poll.rejected == []
    assert [
        (one.trade_id, one.price, one.quantity, one.ts_event, one.taker_side) for one in trades
    ] == told[::-1]
    assert {trade.symbol for trade in trades} == {f"{symbol[:3]}/USD".upper()}


def test_trades_of_2013_whose_order_is_not_promised_come_by_number(venue: ScriptedSource) -> None:
    """Also without a side, which Bitstamp did not print then: unknown, not bought."""
    told = json.loads(read_recording("xchange/bitstamp_trades.json"))
    random.Random(7).shuffle(told)
    venue.script(Reply(body=json.dumps(told).encode()))
    poll = poll_trades(build(venue))
    assert list_ids(poll) == sorted(trade["tid"] for trade in told)
    assert len(poll.records) == 125
    amounts = {str(trade["tid"]): trade["amount"] for trade in told}
    for record in poll.records:
        assert isinstance(record, Trade)
        assert (record.taker_side, record.quantity) == (None, amounts[record.trade_id])


def test_trade_times_are_text_of_whole_seconds(venue: ScriptedSource) -> None:
    """Recorded; as a number, or in milliseconds, they would be of 1970 or of the year 50000."""
    [body] = read_market_answers("bitstamp", TRADES_PATH)
    told = {trade["tid"]: trade["date"] for trade in json.loads(body)}
    assert all(isinstance(date, str) for date in told.values())
    venue.script(Reply(body=body))
    trades = [record for record in poll_trades(build(venue)).records if isinstance(record, Trade)]
    assert {trade.trade_id: trade.ts_event for trade in trades} == {
        trade_id: int(date + "000000") for trade_id, date in told.items()
    }


def test_the_recorded_book_has_microseconds_and_no_sequence(venue: ScriptedSource) -> None:
    """Its `timestamp` beside it is cut to seconds; a number made of a time would be no sequence."""
    body = read_answers("BITSTAMP.http.0.0")["https://www.bitstamp.net/api/v2/order_book/ethusd"]
    venue.routes["/api/v2/order_book/btcusd/"] = Reply(body=body)
    poll = build(venue).poll("order_books", positions={}, ts_ingest=NOON_S * SECOND_US)
    [book] = poll.records
    assert isinstance(book, OrderBook)
    assert (book.ts_event, book.sequence) == (1_641_343_695_681_418, None)


def test_type_0_is_a_taker_who_bought(venue: ScriptedSource) -> None:
    """The recorded stream names both orders: of a type 0 the buying one is the younger."""
    venue.script(
        Reply(
            body=b"""[{"tid": 2, "date": "1699999999", "price": "1", "amount": "1", "type": 1},
                {"tid": 1, "date": "1699999999", "price": "1", "amount": "1", "type": 0},
                {"tid": 3, "date": "1699999999", "price": "1", "amount": "1", "type": 2}]"""
        ),
    )
    poll = poll_trades(build(venue))
    trades = [record for record in poll.records if isinstance(record, Trade)]
    assert [trade.taker_side for trade in trades] == [Side.BUY, Side.SELL]
    assert [b'"type": 2' in piece.raw for piece in poll.rejected] == [True]


@pytest.mark.parametrize(
    ("age_s", "window"),
    [(0, "minute"), (50, "minute"), (51, "hour"), (3590, "hour"), (3591, "day"), (86_390, "day")],
)
def test_a_poll_asks_for_the_shortest_window_that_reaches_the_last(
    venue: ScriptedSource, age_s: int, window: str
) -> None:
    """A day of trades every few seconds is megabytes; a minute after a pause is a loss."""
    venue.script(page(12, 11))
    poll = poll_trades(build(venue), f"10@{NOON_S - age_s}")
    assert list_windows(venue) == [window]
    assert (list_ids(poll), poll.positions) == ([11, 12], {"btcusd": f"12@{NOON_S}"})
    assert not poll.gaps


def test_after_more_than_a_day_what_lies_between_is_a_gap(venue: ScriptedSource) -> None:
    """Bitstamp gives nothing older, so it is said; nobody knows how many trades are missing."""
    assert choose_window(86_391) is None
    venue.script(page(900, 901))
    poll = poll_trades(build(venue), f"10@{NOON_S - 100_000}")
    [gap] = poll.gaps
    assert (gap.venue_symbol, gap.after_id, gap.before_id) == ("btcusd", "10", "900")
    assert gap.missing_records is None
    assert list_windows(venue) == ["day"]
    assert (list_ids(poll), poll.positions) == ([900, 901], {"btcusd": f"901@{NOON_S}"})


@pytest.mark.parametrize(
    ("cursor", "shown", "after_id", "before_id"),
    [(0, (900,), None, "900"), (10, (), "10", None), (0, (), None, None)],
)
def test_a_gap_is_told_too_where_no_trade_stands_beside_it(
    venue: ScriptedSource,
    cursor: int,
    shown: tuple[int, ...],
    after_id: str | None,
    before_id: str | None,
) -> None:
    """Nothing read yet, or nothing on the page: what was traded between is gone all the same."""
    venue.script(page(*shown))
    poll = poll_trades(build(venue), f"{cursor}@{NOON_S - 100_000}")
    [gap] = poll.gaps
    assert (gap.after_id, gap.before_id) == (after_id, before_id)
    assert gap.after_us == (NOON_S - 100_000) * SECOND_US


def test_a_day_that_still_holds_the_cursor_has_no_gap(venue: ScriptedSource) -> None:
    """What the page shows counts for more than what the clocks say."""
    venue.script(page(10, 900))
    poll = poll_trades(build(venue), f"10@{NOON_S - 100_000}")
    assert (list_ids(poll), list(poll.gaps)) == ([900], [])


def test_an_hour_without_trades_is_an_answer_and_is_remembered(venue: ScriptedSource) -> None:
    """Else a quiet pair fails for ever, or the trade that ends its quiet counts as a gap."""
    venue.script(page(), page(), page(5))
    source = build(venue)
    first = poll_trades(source)
    second = poll_trades(source, first.positions["btcusd"], at_s=NOON_S + 5)
    third = poll_trades(source, second.positions["btcusd"], at_s=NOON_S + 10)
    assert (first.records, second.records, list_ids(third)) == ([], [], [5])
    assert list_windows(venue) == ["hour", "minute", "minute"]
    assert [list(poll.gaps) for poll in (first, second, third)] == [[], [], []]


def test_polls_one_after_another_read_each_trade_once(venue: ScriptedSource) -> None:
    """Windows overlap, always."""
    venue.script(page(3, 2, 1), page(4, 3, 2), page(4, 3))
    source, position, read = build(venue), None, []
    for second in range(3):
        poll = poll_trades(source, position, at_s=NOON_S + second)
        position = poll.positions["btcusd"]
        read += list_ids(poll)
    assert read == [1, 2, 3, 4]


def test_a_position_of_another_dialect_is_refused(venue: ScriptedSource) -> None:
    """Coinbase's number alone does not say when it was read."""
    with pytest.raises(SourceMalformedError, match="another name"):
        poll_trades(build(venue), "4711")


def list_books() -> list[tuple[str, bytes]]:
    """Pair and book of every recorded answer."""
    answers = read_answers("BITSTAMP.http.0.0")
    books = [(address.rpartition("/")[2], body) for address, body in answers.items()]
    [of_2019] = read_market_answers("bitstamp", "/api/v2/order_book/btcusd/")
    return [
        *books,
        ("btcusd", of_2019),
        ("btcusd", read_recording("xchange/bitstamp_full_depth.json")),
    ]


def test_every_recorded_book_of_thousands_of_levels_is_cut_to_the_best_after_sorting(
    venue: ScriptedSource,
) -> None:
    """Cut before sorting, a book that is not in order would lose its best price."""
    books = list_books()
    assert len(books) == 12
    pairs = [json.loads(PAIRS)[0] | {"url_symbol": symbol} for symbol, _ in books]
    venue.routes["/api/v2/trading-pairs-info/"] = Reply(body=json.dumps(pairs).encode())
    for symbol, body in books:
        told = json.loads(body)
        shuffled = told | {
            side: random.Random(7).sample(told[side], len(told[side])) for side in ("bids", "asks")
        }
        venue.routes[f"/api/v2/order_book/{symbol}/"] = Reply(body=json.dumps(shuffled).encode())
        poll = build(venue, symbol, depth=20).poll(
            "order_books", positions={}, ts_ingest=NOON_S * SECOND_US
        )
        [book] = poll.records
        assert isinstance(book, OrderBook)
        # as recorded, they are in order
        assert [*zip(book.bid_prices, book.bid_quantities, strict=True)] == [
            tuple(level) for level in told["bids"][:20]
        ]
        assert [*zip(book.ask_prices, book.ask_quantities, strict=True)] == [
            tuple(level) for level in told["asks"][:20]
        ]
        assert Decimal(book.bid_prices[0]) < Decimal(book.ask_prices[0])
        time_us = told.get("microtimestamp") or told["timestamp"] + "000000"
        assert (book.ts_event, book.timed_by, book.sequence) == (
            int(time_us),
            TimedBy.VENUE,
            None,
        )


def test_every_recorded_page_of_candles_is_records_with_its_digits(venue: ScriptedSource) -> None:
    """Also the answers that go years further back than they were asked for."""
    pages = [told for told in read_market("bitstamp") if told.path == "/api/v2/ohlc/btcusd/"]
    assert len(pages) == 4
    for told in pages:
        venue.routes["/api/v2/ohlc/btcusd/"] = Reply(body=told.body)
        interval = Interval.DAY if "step=86400" in told.query else Interval.MINUTE
        candles = json.loads(told.body)["data"]["ohlc"]
        begin_s = int(candles[0]["timestamp"])
        end_us = (int(candles[-1]["timestamp"]) + 1) * SECOND_US
        source = build(venue, intervals=str(interval))
        page = source.read_history(
            "candles",
            venue_symbol="btcusd",
            interval=interval,
            start_us=max(begin_s * SECOND_US, end_us - 1000 * interval.length_us),
            end_us=end_us,
            position=None,
            ts_ingest=NOON_S * SECOND_US,
        )
        records = [record for record in page.records if isinstance(record, Candle)]
        assert [(c.ts_event, c.open, c.high, c.low, c.close, c.base_volume) for c in records] == [
            (
                int(c["timestamp"]) * SECOND_US,
                c["open"],
                c["high"],
                c["low"],
                c["close"],
                c["volume"],
            )
            for c in candles[-len(records) :]
        ]
        assert len(records) >= min(len(candles), 999)


def test_a_day_that_bitstamp_prints_twice_is_two_revisions_of_one_candle(
    venue: ScriptedSource,
) -> None:
    """2019-01-09 stands in a recorded page with two closes: neither is dropped, the last counts."""
    [_, _, body, _] = read_market_answers("bitstamp", "/api/v2/ohlc/btcusd/")
    venue.routes["/api/v2/ohlc/btcusd/"] = Reply(body=body)
    ninth_us = 1_546_992_000 * SECOND_US
    assert from_time_us(ninth_us).isoformat() == "2019-01-09T00:00:00+00:00"
    page = build(venue, intervals="1d").read_history(
        "candles",
        venue_symbol="btcusd",
        interval=Interval.DAY,
        start_us=ninth_us,
        end_us=ninth_us + Interval.DAY.length_us,
        position=None,
        ts_ingest=NOON_S * SECOND_US,
    )
    candles = [record for record in page.records if isinstance(record, Candle)]
    assert [candle.close for candle in candles] == ["4000.18", "4002.13"]
    assert len({candle.event_id for candle in candles}) == 2


def test_candles_are_asked_for_by_their_end_alone(venue: ScriptedSource) -> None:
    """With a start beside it Bitstamp looks at the end only, which names the last open time."""
    venue.routes["/api/v2/ohlc/btcusd/"] = Reply(body=b'{"data": {"pair": "", "ohlc": []}}')
    build(venue).read_history(
        "candles",
        venue_symbol="btcusd",
        interval=Interval.MINUTE,
        start_us=1_577_836_200 * SECOND_US,
        end_us=1_577_836_800 * SECOND_US,
        position=None,
        ts_ingest=NOON_S * SECOND_US,
    )
    assert venue.asked[-1].query == {"step": "60", "limit": "10", "end": "1577836799"}


def test_a_poll_leaves_out_the_candle_that_is_still_open(venue: ScriptedSource) -> None:
    """2020's page, read ten seconds into its last minute: nine candles are over, not ten."""
    [body, *_] = read_market_answers("bitstamp", "/api/v2/ohlc/btcusd/")
    venue.routes["/api/v2/ohlc/btcusd/"] = Reply(body=body)
    poll = build(venue).poll("candles", positions={}, ts_ingest=(1_577_836_740 + 10) * SECOND_US)
    assert len(poll.records) == 9


def test_recorded_pairs_are_instruments(venue: ScriptedSource) -> None:
    """2022's list: decimals are steps, the smallest order is money of the quote currency."""
    [body] = read_answers("BITSTAMP.0").values()
    venue.routes["/api/v2/trading-pairs-info/"] = Reply(body=body)
    poll = build(venue).poll("instruments", positions={}, ts_ingest=NOON_S * SECOND_US)
    listed = {record.native_id: record for record in poll.records if isinstance(record, Instrument)}
    assert (len(listed), poll.rejected) == (140, [])
    bitcoin = listed["btcusd"]
    assert (bitcoin.symbol, bitcoin.name, bitcoin.status) == (
        "BTC/USD",
        "Bitcoin / U.S. dollar",
        "Enabled",
    )
    assert (bitcoin.price_step, bitcoin.quantity_step, bitcoin.notional_min) == (
        "0.01",
        "0.00000001",
        "20.0",
    )
    # nobody has mapped Paxos Standard, which has another name since, and staked Ether
    for instrument in listed.values():
        is_mapped = not {"PAX", "ETH2"} & {instrument.base_id, instrument.quote_id}
        assert (instrument.symbol is not None) == is_mapped, instrument.native_id


def test_a_code_that_means_another_currency_elsewhere_is_unified(venue: ScriptedSource) -> None:
    """UST was TerraUSD, which the rest calls USTC since its fall."""
    poll = build(venue).poll("instruments", positions={}, ts_ingest=NOON_S * SECOND_US)
    terra = next(r for r in poll.records if isinstance(r, Instrument) and r.native_id == "ustusd")
    assert (terra.symbol, terra.base_id, terra.price_step) == ("USTC/USD", "UST", "1")


def test_an_error_object_is_refused(venue: ScriptedSource) -> None:
    """Bitstamp's own, with a status of 200."""
    venue.script(Reply(body=b'{"status": "error", "reason": "Invalid", "code": "API0005"}'))
    with pytest.raises(SourceMalformedError):
        poll_trades(build(venue))

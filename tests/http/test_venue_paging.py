"""Pages and cursors of venues on hand-made answers: nothing missed, nothing twice, gaps said."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest

from crypto_platform.errors import (
    ConfigurationError,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.instruments import Instrument
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.sources import DIALECTS
from crypto_platform.sources.base import Gap, HistoryPage, Poll, find_history
from crypto_platform.sources.venue import Venue
from tests.scripted_source import Asked, Reply, ScriptedSource

NOON_S = 1_767_268_800
NOON = NOON_S * 1_000_000
"""2026-01-01 12:00, microseconds."""
MINUTE = 60_000_000
SYMBOLS = {"binance": "BTCUSDT", "coinbase": "BTC-USD", "kraken": "XXBTZUSD"}


class Exchange(ScriptedSource):
    """Answers each path by a function of the question."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Callable[[dict[str, str]], object]] = {
            "/exchangeInfo": lambda _: {
                "symbols": [{"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}]
            },
            "/AssetPairs": lambda _: {
                "error": [],
                "result": {"XXBTZUSD": {"base": "XXBT", "quote": "ZUSD", "wsname": "XBT/USD"}},
            },
        }

    def take_reply(self, asked: Asked) -> Reply:
        super().take_reply(asked)
        answer = self.answers.get(urlsplit(asked.target).path)
        if answer is None:
            return Reply(status=404, body=b'{"message": "NotFound"}')
        said = answer(asked.query)
        if isinstance(said, Reply):
            return said
        body = re.sub('"@([^"]*)@"', r"\1", json.dumps(said))
        return Reply(body=body.encode())

    def count(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)


@pytest.fixture
def venue() -> Iterator[Exchange]:
    exchange = Exchange()
    exchange.start()
    yield exchange
    exchange.stop()


def build(venue: Exchange, dialect: str, *symbols: str, **changes: object) -> Venue:
    values = {"symbols": symbols or (SYMBOLS[dialect],), "requests_per_minute_max": 3000} | changes
    settings = venue.build_settings(dialect=dialect, base_url=venue.url, **values)
    source = DIALECTS[dialect](name="mine", settings=settings)
    assert isinstance(source, Venue)
    return source


def poll(source: Venue, feed: str, *polls: Poll, ts_ingest: int = NOON) -> Poll:
    """A poll after others, with their positions as ingestion keeps them."""
    positions: dict[str, str] = {}
    for before in polls:
        positions |= before.positions
    return source.poll(feed, positions=positions, ts_ingest=ts_ingest)


def list_ids(found: Poll | HistoryPage) -> list[int]:
    return [int(record.trade_id) for record in found.records if isinstance(record, Trade)]


def list_candles(found: Poll | HistoryPage) -> list[Candle]:
    return [record for record in found.records if isinstance(record, Candle)]


def read_all(source: Venue, feed: str, start_us: int, end_us: int, **asked: object) -> HistoryPage:
    """All pages of a range as one."""
    position, records = None, []
    interval = asked.get("interval")
    for _ in range(50):
        page = source.read_history(
            feed,
            venue_symbol=source.symbols[0],
            interval=interval if isinstance(interval, Interval) else None,
            start_us=start_us,
            end_us=end_us,
            position=position,
            ts_ingest=NOON + 86_400_000_000,
        )
        records += page.records
        position = page.position
        if position is None:
            return HistoryPage(records=records)
    message = "no end after 50 pages"
    raise AssertionError(message)


# Kraken


def kraken_trades(venue: Exchange, trades: list[tuple[int, int]], *, page: int = 1000) -> None:
    """Trades as (id, ns), given from `since` on, exclusive, a page at a time."""

    def answer(query: dict[str, str]) -> object:
        since = query.get("since")
        later = [trade for trade in trades if since is None or trade[1] > int(since)]
        chosen = later[-page:] if since is None else later[:page]
        items = [
            ["100.1", "0.5", raw(f"{ns // 10**9}.{ns % 10**9:09}"), "b", "l", "", number]
            for number, ns in chosen
        ]
        last = str(chosen[-1][1]) if chosen else since
        return {"error": [], "result": {"XXBTZUSD": items, "last": last}}

    venue.answers["/Trades"] = answer


def raw(digits: str) -> str:
    """A number that the answer prints digit by digit."""
    return f"@{digits}@"


def at(number: int) -> tuple[int, int]:
    """A trade a second: its id and its time."""
    return number, (NOON_S - 10_000 + number) * 10**9 + 123_456_789


def test_kraken_is_read_forward_from_its_cursor_page_by_page(venue: Exchange) -> None:
    """A busy minute has more trades than a page; the oldest must not be jumped over."""
    kraken_trades(venue, [at(n) for n in range(1, 101)])
    source = build(venue, "kraken")
    first = poll(source, "trades")
    assert list_ids(first) == list(range(1, 101))
    kraken_trades(venue, [at(n) for n in range(1, 2501)])
    second = poll(source, "trades", first)
    assert list_ids(second) == list(range(101, 2501))
    assert poll(source, "trades", first, second).records == []
    [trade, *_] = [record for record in second.records if isinstance(record, Trade)]
    assert trade.taker_side is Side.BUY
    assert trade.ts_event_text == f"{NOON_S - 10_000 + 101}.123456789"


def test_kraken_trades_of_one_nanosecond_on_both_sides_of_a_border_are_read_once_each(
    venue: Exchange,
) -> None:
    """Asked for what is after that nanosecond, the second of two trades would be lost for good."""
    same = at(100)[1]
    kraken_trades(venue, [at(98), at(99), (100, same)])
    source = build(venue, "kraken")
    first = poll(source, "trades")
    kraken_trades(venue, [at(98), at(99), (100, same), (101, same), at(102)])
    second = poll(source, "trades", first)
    assert (list_ids(first), list_ids(second)) == ([98, 99, 100], [101, 102])


def test_kraken_too_far_behind_goes_on_in_the_next_poll(venue: Exchange) -> None:
    """After a day without ingestion a poll takes what its budget gives, the oldest first."""
    kraken_trades(venue, [at(1)])
    first = poll(build(venue, "kraken"), "trades")
    kraken_trades(venue, [at(n) for n in range(1, 30_001)])
    few = build(venue, "kraken", requests_per_minute_max=6, feeds="trades")
    second = poll(few, "trades", first)
    third = poll(build(venue, "kraken"), "trades", first, second)
    # of four requests the list takes one, and pages repeat the trade at their border
    assert list_ids(second) == list(range(2, 2999))
    assert list_ids(third)[0] == 2999


def test_kraken_without_a_new_trade_stays_where_it_is(venue: Exchange) -> None:
    """A position that creeps is written each time, and a range without trades would never end."""
    kraken_trades(venue, [at(1), at(2)])
    source = build(venue, "kraken")
    first = poll(source, "trades")
    quiet = poll(source, "trades", first)
    assert (quiet.records, quiet.positions) == ([], first.positions)
    kraken_trades(venue, [])
    assert poll(source, "trades", first).positions == first.positions
    assert read_all(source, "trades", NOON, NOON + MINUTE).records == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("EService:Unavailable", SourceUnavailableError),
        ("EService:Busy", SourceUnavailableError),
        ("EAPI:Rate limit exceeded", SourceUnavailableError),
        ("EGeneral:Temporary lockout", SourceUnavailableError),
        ("EQuery:Unknown asset pair", SourceRefusedError),
        ("EGeneral:Invalid arguments", SourceRefusedError),
    ],
)
def test_kraken_says_its_errors_in_an_answer_of_200(
    venue: Exchange, said: str, kind: type[SourceError]
) -> None:
    """Taken for an empty page, an outage would pass for a quiet market."""
    venue.answers["/Trades"] = lambda _: {"error": [said]}
    with pytest.raises(kind, match=said):
        poll(build(venue, "kraken"), "trades")


@pytest.mark.parametrize("feed", ["trades", "order_books", "candles"])
def test_kraken_by_another_of_its_names_is_refused_with_the_right_one(
    venue: Exchange, feed: str
) -> None:
    """XBTUSD is answered under XXBTZUSD: read under both, each trade would be stored twice."""
    with pytest.raises(SourceRefusedError, match=r"its list has no XBTUSD.*XXBTZUSD"):
        poll(build(venue, "kraken", "XBTUSD"), feed)


def test_kraken_history_begins_at_a_time_and_repeats_nothing_at_borders(venue: Exchange) -> None:
    """A day read page by page is the same as read at once."""
    kraken_trades(venue, [at(n) for n in range(1, 5001)])
    source = build(venue, "kraken")
    start_us = at(1500)[1] // 1000
    found = read_all(source, "trades", start_us, at(3900)[1] // 1000)
    assert list_ids(found) == list(range(1500, 3900))
    assert not source.has_history("candles")


def test_kraken_candles_that_it_no_longer_keeps_are_a_gap_with_its_bounds(
    venue: Exchange,
) -> None:
    """It gives the last 720 whatever is asked: after a day away, minutes are missing."""

    def answer_at(end_s: int) -> Callable[[dict[str, str]], object]:
        opened = range(end_s - 719 * 60, end_s + 60, 60)
        items = [[time, "1", "2", "1", "2", "1.5", "3", 4] for time in opened]
        return lambda _: {"error": [], "result": {"XXBTZUSD": items, "last": end_s - 60}}

    source = build(venue, "kraken")
    venue.answers["/OHLC"] = answer_at(NOON_S)
    first = poll(source, "candles", ts_ingest=NOON + 6_000_000)
    venue.answers["/OHLC"] = answer_at(NOON_S + 86_400)
    day_later = NOON + 86_400_000_000
    second = poll(source, "candles", first, ts_ingest=day_later + 6_000_000)
    gap = Gap(
        venue_symbol="XXBTZUSD",
        interval=Interval.MINUTE,
        after_us=NOON,
        before_us=day_later - 719 * MINUTE,
    )
    assert (first.gaps, second.gaps) == ([], [gap])
    assert list_candles(second)[0].ts_event == gap.before_us


# Binance


def binance_trades(
    venue: Exchange, trade_ids: Iterable[int], *, old: bool = True, limit: int = 1000
) -> None:
    """The newest by /trades, and by number what is older, where the host has it."""
    numbers = sorted(trade_ids)

    def show(chosen: list[int]) -> list[dict[str, object]]:
        return [
            {
                "id": n,
                "price": "4.00000100",
                "qty": "12.00000000",
                "time": (NOON_S - 10_000 + n) * 1000,
                "isBuyerMaker": True,
            }
            for n in chosen
        ]

    venue.answers["/trades"] = lambda _: show(numbers[-limit:])
    venue.answers["/aggTrades"] = lambda query: [
        {"a": 1, "f": n, "l": n}
        for n in numbers
        if (NOON_S - 10_000 + n) * 1000 >= int(query["startTime"])
    ][:1]
    if old:
        venue.answers["/historicalTrades"] = lambda query: show(
            [n for n in numbers if n >= int(query["fromId"])][:limit]
        )


def test_binance_pages_by_number_until_the_newest_page_is_met(venue: Exchange) -> None:
    """The newest thousand may not be all that came since the last poll."""
    binance_trades(venue, range(1, 101))
    source = build(venue, "binance")
    first = poll(source, "trades")
    binance_trades(venue, range(1, 3501))
    second = poll(source, "trades", first)
    assert (list_ids(first), list_ids(second)) == (list(range(1, 101)), list(range(101, 3501)))
    assert second.gaps == []
    [trade, *_] = [record for record in second.records if isinstance(record, Trade)]
    assert (trade.symbol, trade.price, trade.taker_side) == ("BTC/USDT", "4.00000100", Side.SELL)


def test_binance_without_old_trades_reports_the_hole_with_its_bounds(venue: Exchange) -> None:
    """data-api.binance.vision gives the newest thousand only: what is lost must be known."""
    binance_trades(venue, range(1, 101), old=False)
    source = build(venue, "binance")
    first = poll(source, "trades")
    binance_trades(venue, range(1, 3501), old=False)
    second = poll(source, "trades", first)
    third = poll(source, "trades", first, second)
    [gap] = second.gaps
    assert (gap.venue_symbol, gap.after_id, gap.before_id) == ("BTCUSDT", "100", "2501")
    assert gap.missing_records == 2400
    assert gap.before_us == NOON - 10_000_000_000 + 2_501_000_000
    assert list_ids(second) == list(range(2501, 3501))
    assert (third.records, third.gaps) == ([], [])
    assert venue.count("/historicalTrades") == 1


def test_binance_too_far_behind_reads_the_oldest_part_first(venue: Exchange) -> None:
    """Published from the newest on, the trades between would be jumped over for ever."""
    binance_trades(venue, range(1, 101))
    first = poll(build(venue, "binance"), "trades")
    binance_trades(venue, range(1, 30_001))
    few = build(venue, "binance", feeds="trades", requests_per_minute_max=6)
    second = poll(few, "trades", first)
    assert list_ids(second)[0] == 101
    assert list_ids(second)[-1] < 20_000
    assert second.gaps == []
    assert second.positions == {"BTCUSDT": str(list_ids(second)[-1])}


def test_binance_history_finds_its_first_trade_by_an_aggregate(venue: Exchange) -> None:
    """Trades are asked for by number, people ask by time."""
    binance_trades(venue, range(1, 5001))
    start_us = (NOON_S - 10_000 + 1500) * 1_000_000
    found = read_all(build(venue, "binance"), "trades", start_us, start_us + 2_400_000_000)
    assert list_ids(found) == list(range(1500, 3900))


def test_binance_history_of_trades_at_the_public_host_says_where_to_ask(venue: Exchange) -> None:
    """A 404 alone would send a person looking for a mistyped symbol."""
    binance_trades(venue, range(1, 5001), old=False)
    with pytest.raises(SourceRefusedError, match=r"base_url to https://api\.binance\.com/api/v3"):
        read_all(build(venue, "binance"), "trades", NOON - 9_000_000_000, NOON)


def test_symbols_that_only_the_list_can_unify_are_not_guessed(venue: Exchange) -> None:
    """BTCUSDT could be BTCU/SDT; the list is asked once, and a stranger is refused."""
    binance_trades(venue, range(1, 3))
    source = build(venue, "binance")
    for _ in range(3):
        poll(source, "trades")
    assert venue.count("/exchangeInfo") == 1
    with pytest.raises(SourceRefusedError, match="its list has no ETHUSDT"):
        poll(build(venue, "binance", "ETHUSDT"), "trades")


def test_a_list_that_refuses_a_question_for_one_symbol_is_asked_for_the_others(
    venue: Exchange,
) -> None:
    """Kraken and Binance answer for all of them or for none."""
    kraken_trades(venue, [at(1), at(2)])
    listed = venue.answers["/AssetPairs"]
    venue.answers["/AssetPairs"] = lambda query: (
        {"error": ["EQuery:Unknown asset pair"]} if "GONE" in query["pair"] else listed(query)
    )
    source = build(venue, "kraken", "GONE", "XXBTZUSD")
    for _ in range(3):
        found = poll(source, "trades")
        assert len(found.records) == 2
        assert list(found.faults) == ["GONE"]
        assert "Unknown asset pair" in str(found.faults["GONE"])
    # the pair that is there once, and the one that is gone at each poll
    assert venue.count("/AssetPairs") <= 2 + 2 * 3


# Coinbase: its polls are in test_sources_coinbase.py


def coinbase_trades(venue: Exchange, trade_ids: Iterable[int]) -> None:
    numbers = sorted(trade_ids, reverse=True)

    def answer(query: dict[str, str]) -> object:
        before = int(query.get("after", 2**62))
        chosen = [n for n in numbers if n < before][: int(query["limit"])]
        return [
            {
                "trade_id": n,
                "side": "sell",
                "size": "1",
                "price": "2",
                "time": f"2026-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            }
            for n in chosen
        ]

    venue.answers["/products/BTC-USD/trades"] = answer


def test_a_symbol_that_is_gone_does_not_hold_up_the_others(venue: Exchange) -> None:
    """A venue takes an instrument off its list overnight; nobody may lose the rest for it."""
    coinbase_trades(venue, range(1, 4))
    found = poll(build(venue, "coinbase", "GONE-USD", "BTC-USD"), "trades")
    assert list_ids(found) == [1, 2, 3]
    assert list(found.faults) == ["GONE-USD"]
    with pytest.raises(SourceRefusedError, match="GONE-USD"):
        poll(build(venue, "coinbase", "GONE-USD"), "trades")


def test_coinbase_history_searches_its_numbers_for_a_time(venue: Exchange) -> None:
    """Its pages are asked for by number alone; a hole of numbers is no end."""
    coinbase_trades(venue, [*range(1, 4000), *range(7000, 9000)])
    day_us = NOON - 12 * 3_600_000_000
    found = read_all(
        build(venue, "coinbase"), "trades", day_us + 1_500_000_000, day_us + 8_000_000_000
    )
    assert list_ids(found) == [*range(1500, 4000), *range(7000, 8000)]


def test_coinbase_history_from_before_its_first_trade_begins_with_it(venue: Exchange) -> None:
    """Numbers need not begin at 1, and those before the first one are no trades."""
    coinbase_trades(venue, range(50_000, 50_200))
    source = build(venue, "coinbase")
    found = read_all(source, "trades", NOON - 86_400_000_000, NOON + 86_400_000_000)
    assert list_ids(found) == list(range(50_000, 50_200))
    assert venue.count("/products/BTC-USD/trades") < 30


def test_a_search_for_a_time_goes_on_where_the_budget_ended_it(venue: Exchange) -> None:
    """Begun anew each time, it would never come to its end where a minute has few requests."""
    coinbase_trades(venue, range(1, 9000))
    day_us = NOON - 12 * 3_600_000_000
    position, asked = None, 0
    while True:
        # each as after a pause: 3 requests, and then no more
        source = build(venue, "coinbase", requests_per_minute_max=4.3, feeds="trades")
        read = partial(
            source.read_history,
            "trades",
            venue_symbol="BTC-USD",
            interval=None,
            start_us=day_us + 1_500_000_000,
            end_us=day_us + 8_000_000_000,
            ts_ingest=NOON,
        )
        page = read(position=position)
        asked += 1
        if page.records:
            break
        position = page.position
        with pytest.raises(SourceUnavailableError):
            # not a step further: whoever reads waits, and asks for this page again
            read(position=position)
    assert list_ids(page)[0] == 1500
    # the newest number, 13 halvings and a page, 3 at a time
    assert asked == 5


def test_calls_count_the_search_for_the_first_trade(venue: Exchange) -> None:
    """Of a quiet product it takes more requests than its trades."""
    coinbase_trades(venue, range(1, 9000))
    calls = build(venue, "coinbase").estimate_history_calls(
        "trades",
        venue_symbol="BTC-USD",
        interval=None,
        start_us=NOON - 1_000_000_000,
        end_us=NOON,
    )
    # the newest number, 14 halvings of 8999, and two pages of a thousand trades
    assert calls == 1 + 14 + 2


def test_a_hole_in_numbers_that_rise_by_one_is_reported(venue: Exchange) -> None:
    """The venue has them or not: a person must hear of it with the bounds."""
    coinbase_trades(venue, range(1, 51))
    source = build(venue, "coinbase")
    first = poll(source, "trades")
    coinbase_trades(venue, [*range(1, 55), *range(58, 61)])
    [gap] = poll(source, "trades", first).gaps
    assert (gap.after_id, gap.before_id, gap.missing_records) == ("54", "58", 3)
    day_us = NOON - 12 * 3_600_000_000
    assert (gap.after_us, gap.before_us) == (day_us + 54_000_000, day_us + 58_000_000)


# Candles, whatever the venue: on Coinbase


class CandleVenue:
    """Candles by the minute up to an open one, from a figure that a test may correct."""

    def __init__(self, venue: Exchange) -> None:
        self.closes: dict[int, str] = {}
        self.asked: list[dict[str, str]] = []
        venue.answers["/products/BTC-USD/candles"] = self.answer

    def answer(self, query: dict[str, str]) -> object:
        self.asked.append(query)
        begin, end = (to_seconds(query[name]) for name in ("start", "end"))
        assert (end - begin) // 60 < 300
        opened = [time for time in self.closes if begin <= time <= end]
        return [[time, 1, 9, 2, raw(self.closes[time]), 3] for time in sorted(opened)[::-1]]


def to_seconds(text: str) -> int:
    hours, minutes, seconds = map(int, text[11:19].split(":"))
    days = int(text[8:10]) - 1
    return NOON_S - 43_200 + days * 86_400 + hours * 3600 + minutes * 60 + seconds


def test_only_closed_candles_and_only_changed_ones_are_published(venue: Exchange) -> None:
    """A correction is a new revision; what is unchanged is not sent again each minute."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S - 60 * back: "5" for back in range(4)}
    first = poll(source, "candles", ts_ingest=NOON + 30_000_000)
    assert [c.ts_event for c in list_candles(first)] == [NOON - m * MINUTE for m in (3, 2, 1)]
    candles.closes |= {NOON_S - 120: "6", NOON_S: "7", NOON_S + 60: "8"}
    second = poll(source, "candles", first, ts_ingest=NOON + 90_000_000)
    assert [(c.ts_event, c.close) for c in list_candles(second)] == [
        (NOON - 2 * MINUTE, "6"),
        (NOON, "7"),
    ]
    assert poll(source, "candles", first, second, ts_ingest=NOON + 91_000_000).records == []


def test_a_correction_that_is_taken_back_is_a_revision_too(venue: Exchange) -> None:
    """Under the id of the first content it would be a repeat, and the wrong figure be served."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    polls: list[Poll] = []
    for close in ("5", "6", "5", "5"):
        candles.closes = {NOON_S - 60: close}
        ts_ingest = NOON + 30_000_000 + len(polls)
        polls.append(poll(source, "candles", *polls, ts_ingest=ts_ingest))
    found = [list_candles(each) for each in polls]
    assert [[candle.close for candle in each] for each in found] == [["5"], ["6"], ["5"], []]
    assert found[0][0].content_hash == found[2][0].content_hash
    assert len({each[0].event_id for each in found[:3]}) == 3


def test_history_and_live_polls_name_a_candle_alike(venue: Exchange) -> None:
    """With the time of the poll in every id, a backfill would store each candle once more."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S - 60 * back: "5" for back in range(1, 4)}
    live = list_candles(poll(source, "candles", ts_ingest=NOON + 30_000_000))
    past = read_all(source, "candles", NOON - 3 * MINUTE, NOON, interval=Interval.MINUTE)
    assert [candle.event_id for candle in live] == [c.event_id for c in list_candles(past)]


def test_a_candle_that_stands_twice_on_each_page_is_told_once(venue: Exchange) -> None:
    """Taken for a correction at every poll, it would be a revision a minute for ever."""
    source = build(venue, "coinbase")
    twice = [[NOON_S - 60, 1, 9, 2, close, 3] for close in (5, 6)]
    venue.answers["/products/BTC-USD/candles"] = lambda _: twice
    first = poll(source, "candles", ts_ingest=NOON + 30_000_000)
    second = poll(source, "candles", first, ts_ingest=NOON + 40_000_000)
    assert [candle.close for candle in list_candles(first)] == ["5", "6"]
    assert second.records == []


def test_a_candle_just_over_waits_for_clocks_that_differ(venue: Exchange) -> None:
    """Our clock may be ahead: the venue may still be adding trades to that minute."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S - 60: "5"}
    early = poll(source, "candles", ts_ingest=NOON + 4_999_999)
    assert early.records == []
    assert len(poll(source, "candles", early, ts_ingest=NOON + 5_000_000).records) == 1


def test_after_a_day_away_candles_are_read_window_by_window(venue: Exchange) -> None:
    """At most 300 a call, the oldest first, and the next poll goes on."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S - 60: "5"}
    polls = [poll(source, "candles", ts_ingest=NOON + 10_000_000)]
    candles.closes = {NOON_S + 60 * minute: "5" for minute in range(-1, 2000)}
    candles.asked.clear()
    late = NOON + 2000 * MINUTE + 10_000_000
    polls.append(poll(source, "candles", *polls, ts_ingest=late))
    assert len(candles.asked) == 5
    polls.append(poll(source, "candles", *polls, ts_ingest=late))
    read = [c.ts_event for found in polls[1:] for c in list_candles(found)]
    assert read == [NOON + m * MINUTE for m in range(2000)]


def test_candles_of_a_venue_that_lags_are_waited_for(venue: Exchange) -> None:
    """Its service hangs for ten minutes and then gives them all: none may be jumped over."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S - 60: "5"}
    polls = [poll(source, "candles", ts_ingest=NOON + 10_000_000)]
    for minute in range(1, 11):
        late = NOON + minute * MINUTE + 10_000_000
        polls.append(poll(source, "candles", *polls, ts_ingest=late))
    assert [found.records for found in polls[1:]] == [[]] * 10
    candles.closes |= {NOON_S + 60 * minute: "5" for minute in range(10)}
    last = poll(source, "candles", *polls, ts_ingest=NOON + 10 * MINUTE + 20_000_000)
    assert [c.ts_event for c in list_candles(last)] == [NOON + m * MINUTE for m in range(10)]
    assert not any(found.gaps for found in (*polls, last))


def test_a_venue_that_gives_no_candle_for_hours_is_told_when_it_begins_and_when_it_ends(
    venue: Exchange,
) -> None:
    """Waited for without an end, polls would ask for more and more; told at each, for days."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S - 60: "5"}
    polls = [poll(source, "candles", ts_ingest=NOON + 10_000_000)]
    for minute in (300, 301, 302, 900, 1500):
        late = NOON + minute * MINUTE + 10_000_000
        polls.append(poll(source, "candles", *polls, ts_ingest=late))
    candles.closes |= {NOON_S + 60 * minute: "6" for minute in (1300, 1500)}
    late = NOON + 1501 * MINUTE + 10_000_000
    polls.append(poll(source, "candles", *polls, ts_ingest=late))
    stretches = [
        [((gap.after_us or 0) - NOON, (gap.before_us or 0) - NOON) for gap in found.gaps]
        for found in polls
    ]
    assert stretches[:2] == [[], []]
    assert stretches[2:] == [[(0, 301 * MINUTE)], [], [], [], [(301 * MINUTE, 1200 * MINUTE)]]
    assert [(c.ts_event - NOON) // MINUTE for c in list_candles(polls[-1])] == [1300, 1500]
    assert poll(source, "candles", *polls, ts_ingest=late).gaps == []


def test_a_window_of_candles_that_fails_costs_none_before_it(venue: Exchange) -> None:
    """Over the budget, or away: what is in hand is published, and the next poll goes on."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S + 60 * minute: "5" for minute in range(-1, 2000)}
    first = poll(source, "candles", ts_ingest=NOON + 10_000_000)

    def answer(query: dict[str, str]) -> object:
        if len(candles.asked) == 3:
            candles.asked.clear()
            return Reply(status=429)
        return candles.answer(query)

    venue.answers["/products/BTC-USD/candles"] = answer
    late = NOON + 2000 * MINUTE + 10_000_000
    second = poll(source, "candles", first, ts_ingest=late)
    third = poll(source, "candles", first, second, ts_ingest=late)
    read = [c.ts_event for found in (second, third) for c in list_candles(found)]
    # the first window begins with five that were read before
    assert len(list_candles(second)) == 2 * 300 - 5
    assert read == [NOON + m * MINUTE for m in range(len(read))]
    assert len(read) > 2 * 300


def test_intervals_count_for_the_budget(venue: Exchange) -> None:
    """Six lengths of candles are six requests a symbol; too many would never all be read."""
    with pytest.raises(ConfigurationError, match="one of candles 12"):
        build(
            *(venue, "coinbase", "BTC-USD", "ETH-USD"),
            intervals=("1m", "5m", "15m", "1h", "6h", "1d"),
            requests_per_minute_max=60,
        )


def test_candles_of_the_past_come_in_windows_without_repeats(venue: Exchange) -> None:
    """A range that begins inside a minute begins with the next one."""
    source, candles = build(venue, "coinbase"), CandleVenue(venue)
    candles.closes = {NOON_S + 60 * minute: "5" for minute in range(1000)}
    found = read_all(source, "candles", NOON + 1, NOON + 701 * MINUTE, interval=Interval.MINUTE)
    assert [c.ts_event for c in list_candles(found)] == [NOON + m * MINUTE for m in range(1, 701)]
    calls = source.estimate_history_calls(
        "candles",
        venue_symbol="BTC-USD",
        interval=Interval.MINUTE,
        start_us=NOON + 1,
        end_us=NOON + 701 * MINUTE,
    )
    assert calls == len(candles.asked) == 3


def test_calls_for_trades_are_estimated_from_todays_pace(venue: Exchange) -> None:
    """A dry run says whether a year takes minutes or days."""
    binance_trades(venue, range(1, 2001))
    source = build(venue, "binance")
    calls = source.estimate_history_calls(
        "trades",
        venue_symbol="BTCUSDT",
        interval=None,
        start_us=NOON,
        end_us=NOON + 86_400_000_000,
    )
    # a trade a second, and one to find the first
    assert calls == 88


# Instruments, whatever the venue: on Kraken


def test_a_pair_is_mapped_by_the_ids_that_the_list_of_unmapped_ones_shows(
    venue: Exchange,
) -> None:
    """By the websocket's name, a person would map XNEW and nothing would happen."""
    pair = {"base": "XNEW", "quote": "ZUSD", "wsname": "NEW/USD"}
    venue.answers["/AssetPairs"] = lambda _: {"error": [], "result": {"NEWUSD": pair}}
    source = build(venue, "kraken", currencies={"XNEW": "NEWCOIN"})
    [listed] = poll(source, "instruments").records
    assert isinstance(listed, Instrument)
    assert (listed.symbol, listed.base_id) == ("NEWCOIN/USD", "XNEW")


def test_an_instrument_is_published_only_where_it_differs(venue: Exchange) -> None:
    """Thousands of instruments an hour would be thousands of rows an hour that say nothing."""
    pairs = {
        "XXBTZUSD": {"wsname": "XBT/USD", "status": "online"},
        "XETHZUSD": {"wsname": "ETH/USD", "status": "online"},
    }
    venue.answers["/AssetPairs"] = lambda _: {"error": [], "result": pairs}
    source = build(venue, "kraken")
    first = poll(source, "instruments")
    assert [record.native_id for record in first.records] == ["XXBTZUSD", "XETHZUSD"]
    assert poll(source, "instruments", first).records == []
    pairs["XETHZUSD"]["status"] = "cancel_only"
    second = poll(source, "instruments", first, ts_ingest=NOON + 1)
    assert [(r.native_id, r.status) for r in second.records] == [("XETHZUSD", "cancel_only")]
    assert poll(source, "instruments", first, second).records == []
    pairs["XETHZUSD"]["status"] = "online"
    third = poll(source, "instruments", first, second, ts_ingest=NOON + 2)
    assert third.records[0].event_id not in {record.event_id for record in first.records}


def test_feeds_are_cut_to_those_of_the_settings(venue: Exchange) -> None:
    """Who wants trades alone shall not pay for books."""
    assert build(venue, "kraken", feeds="trades").feeds == ("trades",)
    assert find_history(build(venue, "kraken", feeds="trades"), "trades") is not None

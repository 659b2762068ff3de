"""What is found in an hour of market data: holes, crossed books, wrong candles, strange prices."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from crypto_platform.delivery.quality_candles import (
    Bars,
    compare_candles,
    list_opens,
    look_at_calendar,
)
from crypto_platform.delivery.quality_finding import Findings, Flaw
from crypto_platform.delivery.quality_order_books import look_at_book
from crypto_platform.delivery.quality_prices import compare_prices
from crypto_platform.delivery.quality_trades import RUNS_MAX, Hole, TradeIds
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.instruments import TradeNumbering
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Trade
from crypto_platform.settings import load_settings
from crypto_platform.sources import find_numbering
from crypto_platform.stores.market import Market, Span

NOON = 1_767_268_800_000_000
S = 1_000_000
MINUTE, HOUR = 60 * S, 3600 * S
HERE = Market("coinbase", "BTC-USD", "BTC/USD")
THERE = Market("kraken", "XXBTZUSD", "BTC/USD")
EXACT = Decimal(0)


def trade(number: int, price: str, *, at: int, quantity: str = "1", market: Market = HERE) -> Trade:
    """A trade so many microseconds after noon."""
    return Trade(
        venue=market.venue,
        venue_symbol=market.venue_symbol,
        trade_id=str(number),
        price=price,
        quantity=quantity,
        ts_event=NOON + at,
        ts_ingest=NOON,
    )


def candle(*, open_: str, high: str, low: str, close: str, volume: str) -> Candle:
    """The candle of the first minute."""
    return Candle(
        venue="coinbase",
        venue_symbol="BTC-USD",
        interval=Interval.MINUTE,
        ts_event=NOON,
        open=open_,
        high=high,
        low=low,
        close=close,
        base_volume=volume,
        ts_ingest=NOON,
    )


def book(bids: Sequence[str], asks: Sequence[str], *, age_s: int = 0) -> OrderBook:
    """A venue's book of noon, received so much later."""
    return OrderBook(
        venue="coinbase",
        venue_symbol="BTC-USD",
        depth=5,
        bid_prices=tuple(bids),
        bid_quantities=("1",) * len(bids),
        ask_prices=tuple(asks),
        ask_quantities=("1",) * len(asks),
        ts_event=NOON,
        ts_ingest=NOON + age_s * S,
        timed_by=TimedBy.VENUE,
    )


def flaws(findings: Findings) -> list[tuple[Flaw, int]]:
    return [(finding.flaw, finding.records) for finding in findings]


def find_holes(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Numbers around each hole."""
    ids = TradeIds()
    for number in numbers:
        assert ids.add(number, NOON + number)
    return [(hole.after_id, hole.before_id) for hole in ids.list_holes()]


@pytest.mark.parametrize(
    ("numbers", "holes"),
    [
        ([], []),
        ([5, 6, 7], []),
        ([5, 7, 6], []),
        ([7, 5, 6, 4], []),
        ([1, 2, 5, 9], [(2, 5), (5, 9)]),
        ([9, 1, 5, 2, 4], [(2, 4), (5, 9)]),
    ],
)
def test_a_hole_is_what_no_order_fills(numbers: list[int], holes: list[tuple[int, int]]) -> None:
    """Trades do not come strictly in the order of their numbers: an early one is no hole."""
    assert find_holes(numbers) == holes


def test_only_a_venue_that_says_so_numbers_without_gaps(tmp_path: Path) -> None:
    """Holes of the others would be told as thousands of missing trades."""
    settings = load_settings(tmp_path, environment={})
    names = ("coinbase", "binance", "kraken", "coingecko", "nobody")
    assert [find_numbering(settings, name) for name in names] == [
        TradeNumbering.GAPLESS,
        TradeNumbering.GAPLESS,
        TradeNumbering.RISING,
        TradeNumbering.NONE,
        TradeNumbering.NONE,
    ]


def test_a_number_that_comes_twice_is_told() -> None:
    """Two rows of one trade would count its volume twice."""
    ids = TradeIds()
    assert [ids.add(number, NOON) for number in (1, 2, 3, 2, 1)] == [True, True, True, False, False]


def test_a_market_that_lacks_every_second_trade_stays_small() -> None:
    """A day of a broken feed must not fill the memory with what it lacks."""
    ids = TradeIds()
    for number in range(0, 10_000, 2):
        ids.add(number, NOON)
    holes = list(ids.list_holes())
    assert len(holes) == 4_999
    assert holes[0] == Hole(0, NOON, 2, NOON)
    assert sum(hole.missing for hole in holes) == 4_999
    assert len(ids._runs) <= RUNS_MAX  # noqa: SLF001


@pytest.mark.parametrize(
    ("bids", "asks", "age_s", "expected"),
    [
        (["10", "9.5"], ["10.01", "11"], 0, []),
        ([], [], 0, []),
        (["10"], ["10.0"], 0, [(Flaw.BOOK_CROSSED, 1)]),
        (["9"], ["10"], 61, [(Flaw.STALE, 1)]),
        (["9", "10"], ["11"], 0, [(Flaw.BOOK_UNSORTED, 1)]),
        (["9"], ["11", "10.5"], 0, [(Flaw.BOOK_UNSORTED, 1)]),
        (["9", "9.0"], ["11"], 0, [(Flaw.BOOK_UNSORTED, 1)]),
        # text would say that 9 is above 10
        (["10", "9"], ["11"], 0, []),
    ],
)
def test_a_book_is_in_order_and_its_sides_do_not_touch(
    bids: list[str], asks: list[str], age_s: int, expected: list[tuple[Flaw, int]]
) -> None:
    """A spread below zero is money that nobody can earn."""
    findings = Findings(HERE)
    look_at_book(book(bids, asks, age_s=age_s), findings, stale_us=60 * S)
    assert flaws(findings) == expected


def hour_of_trades() -> Bars:
    """Two trades in the first minute, the later one first; one in the third."""
    bars = Bars()
    bars.add(trade(3, "12", at=50 * S, quantity="0.5"))
    bars.add(trade(2, "10", at=1 * S, quantity="1.25"))
    bars.add(trade(4, "11", at=130 * S))
    return bars


@pytest.mark.parametrize(
    ("change", "difference_pct", "expected"),
    [
        ({}, "0", []),
        ({"close": "12.001"}, "0.1", []),
        ({"close": "12.1"}, "0.1", ["close 12.1, by the trades 12"]),
        ({"high": "13"}, "0.1", ["high 13, by the trades 12"]),
        ({"base_volume": "1.7"}, "0.1", ["volume 1.7, by the trades 1.75"]),
    ],
)
def test_a_candle_is_held_against_its_trades(
    change: dict[str, str], difference_pct: str, expected: list[str]
) -> None:
    """A chart of candles that no trade supports is a chart of nothing."""
    given = candle(open_="10", high="12", low="10", close="12", volume="1.75")
    findings = Findings(HERE)
    compared = compare_candles(
        [msgspec.structs.replace(given, **change)],
        hour_of_trades(),
        findings,
        interval=Interval.MINUTE,
        known=Span(NOON - 1, NOON + HOUR),
        holes=[],
        difference_pct=Decimal(difference_pct),
    )
    assert compared == 1
    told = [text.partition("Z: ")[2] for finding in findings for text in finding.examples]
    assert told == expected


@pytest.mark.parametrize(
    ("known", "holes"),
    [
        (Span(NOON, NOON + HOUR), []),
        (Span(NOON - 1, NOON + 59 * S), []),
        (Span(None, None), []),
        (Span(NOON - 1, NOON + HOUR), [Span(NOON + 10 * S, NOON + 20 * S)]),
        (Span(NOON - 1, NOON + HOUR), [Span(None, NOON + 10 * S)]),
    ],
)
def test_a_candle_whose_trades_are_not_all_there_is_not_judged(
    known: Span, holes: list[Span]
) -> None:
    """What is missing of the trades is no fault of the candle."""
    findings = Findings(HERE)
    compared = compare_candles(
        [candle(open_="1", high="1", low="1", close="1", volume="1")],
        hour_of_trades(),
        findings,
        interval=Interval.MINUTE,
        known=known,
        holes=holes,
        difference_pct=EXACT,
    )
    assert (compared, flaws(findings)) == (0, [])


def test_a_minute_without_a_trade_needs_no_candle() -> None:
    """Coinbase has none for it; one with a trade is missing."""
    findings = Findings(HERE)
    look_at_calendar(
        [candle(open_="1", high="1", low="1", close="1", volume="1")],
        hour_of_trades(),
        findings,
        interval=Interval.MINUTE,
        hour_us=NOON,
    )
    assert flaws(findings) == [(Flaw.CANDLES_MISSING, 1)]
    [finding] = findings
    assert finding.first_us == NOON + 2 * MINUTE
    assert "crypto-platform gaps --venue coinbase --symbol BTC-USD" in finding.next_step


def test_a_candle_off_the_calendar_is_told() -> None:
    """A five-minute candle that opens at 12:01 overlaps two others."""
    odd = msgspec.structs.replace(
        candle(open_="1", high="1", low="1", close="1", volume="1"),
        interval=Interval.FIVE_MINUTES,
        ts_event=NOON + MINUTE,
    )
    findings = Findings(HERE)
    look_at_calendar([odd], Bars(), findings, interval=Interval.FIVE_MINUTES, hour_us=NOON)
    assert flaws(findings) == [(Flaw.CANDLE_OFF_CALENDAR, 1)]


def test_a_candle_is_due_in_the_hour_in_which_it_closes() -> None:
    """A day's candle cannot be there before its day is over."""
    midnight = NOON + 11 * HOUR
    assert list(list_opens(Interval.HOUR, hour_us=NOON)) == [NOON]
    assert len(list_opens(Interval.FIVE_MINUTES, hour_us=NOON)) == 12
    assert list(list_opens(Interval.DAY, hour_us=NOON)) == []
    assert list(list_opens(Interval.DAY, hour_us=midnight)) == [NOON - 12 * HOUR]


def compare(own: Sequence[str], others: Sequence[str]) -> list[Market]:
    """Which of two markets are named for prices of one minute, at 5 %."""
    bars = {HERE: Bars(), THERE: Bars()}
    for market, prices in ((HERE, own), (THERE, others)):
        for number, price in enumerate(prices):
            bars[market].add(trade(number, price, at=number * S, market=market))
    findings = {market: Findings(market) for market in bars}
    compare_prices(bars, findings, difference_pct=Decimal(5))
    return [market for market in bars if list(findings[market])]


@pytest.mark.parametrize(
    ("own", "others", "named"),
    [
        (["100", "104"], ["100"], []),
        (["100", "200"], ["100", "101"], [HERE]),
        (["100", "50"], ["100", "101"], [HERE]),
        # a crash that both see is none of either
        (["100", "50"], ["99", "51"], []),
        (["100"], ["120"], [HERE, THERE]),
        (["100"], [], []),
    ],
)
def test_the_market_whose_price_leaves_the_others_is_named(
    own: list[str], others: list[str], named: list[Market]
) -> None:
    """A wrong digit of one venue must not be told of the one that was right."""
    assert compare(own, others) == named

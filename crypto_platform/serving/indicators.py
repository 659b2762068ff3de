"""Indicators of a market's candles, reckoned when they are asked for, from whichever store answers.

What lies before the range is read as well, as far as an indicator remembers, so that its first
value is known and does not tell where one began to read; only a market that has no more history
begins with unknown values. Here: which candles, and rows for other programs. Not here: candles
(analytics.py), formulas (domain/indicators.py), text (cli/).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crypto_platform.domain.candles import BuiltCandle
from crypto_platform.domain.hours import TimeUs, day_of
from crypto_platform.domain.indicator_catalogue import Indicator, IndicatorError, calculate
from crypto_platform.domain.indicators import CandleColumns
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.analytics import CandleReads, open_candles, read_pages
from crypto_platform.serving.failover import Source
from crypto_platform.serving.market import Place, asking_market
from crypto_platform.serving.sheets import Column, Sheet
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

CANDLES_MAX = 50_000
"""In one answer: five weeks of minutes."""


@dataclass(frozen=True, kw_only=True)
class IndicatorAnswer:
    """Candles of a market and what indicators say of them.

    Attributes:
        source: Which store answers.
        candles: Made of trades, oldest first, the open one included.
        columns: By name, a value for each candle; None where it is not known.
        now_us: When it was asked; candles that end later are open, and change.
        missing: Indicators without a value for the first candle, with how many candles they need
            before it and how many there are.
    """

    source: Source
    market: Market
    interval: Interval
    candles: Sequence[BuiltCandle]
    columns: Mapping[str, Sequence[Decimal | None]]
    now_us: TimeUs
    missing: Sequence[tuple[Indicator, int, int]]


@dataclass(frozen=True, kw_only=True)
class FoundCandles:
    """Candles that are asked for, and those before them that indicators remember.

    Attributes:
        whole_days_from_us: Days that begin at or after this time are there from their beginning.
    """

    before: Sequence[BuiltCandle]
    own: Sequence[BuiltCandle]
    whole_days_from_us: TimeUs


def read_indicators(
    settings: Settings,
    place: Place,
    interval: Interval,
    span: Span,
    indicators: Sequence[Indicator],
    *,
    newest: int | None,
) -> IndicatorAnswer:
    """Indicators of a market's candles within a span of open times.

    Args:
        indicators: Each once.
        newest: Only so many candles, the newest.

    Raises:
        IndicatorError: The span holds more than CANDLES_MAX candles.
        UnknownMarketError: There are no trades of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said.
    """
    now_us = time.time_ns() // 1000

    def read(store: Store, market: Market) -> Iterator[Sequence[FoundCandles]]:
        candles = open_candles(store, market, interval, now_us)
        yield [find_candles(candles, interval, span, indicators, newest=newest)]

    def show(_: Market, page: Sequence[FoundCandles]) -> Sequence[FoundCandles]:
        return page

    with asking_market(settings, FEED_BY_NAME[TRADES.name], place, read, show) as answer:
        [found] = [found for page in answer.pages for found in page]
        return reckon(answer.source, answer.market, interval, found, indicators, now_us=now_us)


def find_candles(
    candles: CandleReads,
    interval: Interval,
    span: Span,
    indicators: Sequence[Indicator],
    *,
    newest: int | None,
    candles_max: int = CANDLES_MAX,
) -> FoundCandles:
    """What has to be read so that a span's values are known where they can be.

    Raises:
        IndicatorError: The span holds more than `candles_max`.
    """
    own: list[BuiltCandle] = []
    for page in read_pages(candles, interval, span, newest=newest):
        own += page
        if len(own) > candles_max:
            message = (
                f"more than {candles_max:,} candles of {interval}: ask for a shorter range, or for "
                "a longer interval"
            )
            raise IndicatorError(message)
    if not own:
        return FoundCandles(before=[], own=[], whole_days_from_us=0)
    first_us = own[0].open_time_us
    wanted = max(each.warm_up_candles + each.settling_candles for each in indicators)
    before = _read(candles, interval, Span(None, first_us), newest=wanted) if wanted else []
    day_us = day_of(first_us)
    if any(each.kind.begins_with_day for each in indicators):
        read_from_us = (before or own)[0].open_time_us
        before = [*_read(candles, interval, Span(day_us, read_from_us)), *before]
        # with nothing before it, nobody knows whether the day's first trades are all there
        is_whole = candles.find_last(day_us) is not None
        day_us = day_us if is_whole else (before or own)[0].open_time_us
    return FoundCandles(before=before, own=own, whole_days_from_us=day_us)


def _read(
    candles: CandleReads, interval: Interval, span: Span, *, newest: int | None = None
) -> list[BuiltCandle]:
    return [each for page in read_pages(candles, interval, span, newest=newest) for each in page]


def reckon(
    source: Source,
    market: Market,
    interval: Interval,
    found: FoundCandles,
    indicators: Sequence[Indicator],
    *,
    now_us: TimeUs,
) -> IndicatorAnswer:
    """The indicators' columns of what was found. Pure."""
    candles = [*found.before, *found.own]
    given = CandleColumns(
        begins_us=found.whole_days_from_us,
        open_times=[candle.open_time_us for candle in candles],
        highs=[candle.high for candle in candles],
        lows=[candle.low for candle in candles],
        closes=[candle.close for candle in candles],
        base_volumes=[candle.base_volume for candle in candles],
        quote_volumes=[candle.quote_volume for candle in candles],
    )
    columns = {
        name: values[len(found.before) :]
        for indicator in indicators
        for name, values in calculate(indicator, given).items()
    }
    return IndicatorAnswer(
        source=source,
        market=market,
        interval=interval,
        candles=found.own,
        columns=columns,
        now_us=now_us,
        missing=[
            (each, each.warm_up_candles, len(found.before))
            for each in indicators
            if found.own and columns[each.columns[0]][0] is None
        ],
    )


def build_indicators(answer: IndicatorAnswer) -> Sheet:
    """A row a candle: its open time, its close, and the indicators' columns."""
    columns = [
        Column("ts_event", FieldKind.TIME_US),
        Column("close", FieldKind.AMOUNT),
        Column("is_closed", None),
        *(Column(name, FieldKind.AMOUNT) for name in answer.columns),
    ]
    length_us = answer.interval.length_us
    rows = [
        (
            candle.open_time_us,
            f"{candle.close:f}",
            candle.open_time_us + length_us <= answer.now_us,
            *(None if value is None else f"{value:f}" for value in values),
        )
        for candle, *values in zip(answer.candles, *answer.columns.values(), strict=True)
    ]
    return Sheet(columns, rows)

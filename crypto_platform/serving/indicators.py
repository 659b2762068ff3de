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
from typing import NamedTuple, Protocol

from crypto_platform.domain.hours import TimeUs, day_of
from crypto_platform.domain.indicator_catalogue import Indicator, IndicatorError, calculate
from crypto_platform.domain.indicators import CandleColumns
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.analytics import CandleReads, MadeOf, open_candles, read_pages
from crypto_platform.serving.failover import Source
from crypto_platform.serving.market import Place, UnknownMarketError, asking_market
from crypto_platform.serving.sheets import Column, Sheet, print_amount
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

CANDLES_MAX = 50_000
"""In one answer: five weeks of minutes."""


class Bar(NamedTuple):
    """What indicators take of a candle.

    Attributes:
        quote_volume: None where the venue does not say.
    """

    open_time_us: TimeUs
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal
    quote_volume: Decimal | None


@dataclass(frozen=True, kw_only=True)
class IndicatorAnswer:
    """Candles of a market and what indicators say of them.

    Attributes:
        source: Which store answers.
        made_of: Of trades with the open one, or the venue's own.
        candles: Oldest first.
        columns: By name, a value for each candle; None where it is not known.
        now_us: When it was asked; candles that end later are open, and change.
        missing: Indicators without a value for the first candle, with how many candles they need
            before it and how many there are.
    """

    source: Source
    market: Market
    interval: Interval
    made_of: MadeOf
    candles: Sequence[Bar]
    columns: Mapping[str, Sequence[Decimal | None]]
    now_us: TimeUs
    missing: Sequence[tuple[Indicator, int, int]]


@dataclass(frozen=True, kw_only=True)
class FoundBars:
    """Candles that are asked for, and those before them that indicators remember.

    Attributes:
        whole_days_from_us: Days that begin at or after this time are there from their beginning.
    """

    before: Sequence[Bar]
    own: Sequence[Bar]
    whole_days_from_us: TimeUs


class BarReads(Protocol):
    """Candles of one market and interval, of either making."""

    def read(self, span: Span, *, newest: int | None = None) -> Iterator[Sequence[Bar]]:
        """Those that open within a span, oldest first; only the newest so many if asked."""
        ...

    def has_before(self, time_us: TimeUs) -> bool:
        """Whether any opens before a time."""
        ...

    def find_beginning(self) -> TimeUs | None:
        """From when on they say all that was traded; None where there is none."""
        ...


class MadeBars:
    """Candles made of trades, the open one too."""

    def __init__(self, candles: CandleReads, interval: Interval) -> None:
        self._candles = candles
        self._interval = interval

    def read(self, span: Span, *, newest: int | None = None) -> Iterator[Sequence[Bar]]:
        """See BarReads."""
        for page in read_pages(self._candles, self._interval, span, newest=newest):
            yield [
                Bar(c.open_time_us, c.high, c.low, c.close, c.base_volume, c.quote_volume)
                for c in page
            ]

    def has_before(self, time_us: TimeUs) -> bool:
        """See BarReads."""
        return self._candles.find_last(time_us) is not None

    def find_beginning(self) -> TimeUs | None:
        """See BarReads."""
        return self._candles.find_beginning()


class VenueBars:
    """A venue's own candles, closed ones, of each its last revision."""

    def __init__(self, store: Store, market: Market, interval: Interval) -> None:
        self._store = store
        self._market = market
        self._interval = interval
        self._feed = FEED_BY_NAME[CANDLES.name]

    def read(self, span: Span, *, newest: int | None = None) -> Iterator[Sequence[Bar]]:
        """See BarReads."""
        pages = self._store.read_market(
            self._feed, self._market, span, interval=self._interval, newest=newest
        )
        return ([_to_bar(each) for each in page if isinstance(each, Candle)] for page in pages)

    def has_before(self, time_us: TimeUs) -> bool:
        """See BarReads."""
        return any(self.read(Span(None, time_us), newest=1))

    def find_beginning(self) -> TimeUs | None:
        """See BarReads. The venue's own are whole."""
        first = next((page[0] for page in self.read(Span(None, None)) if page), None)
        return None if first is None else first.open_time_us


def _to_bar(candle: Candle) -> Bar:
    quote_volume = None if candle.quote_volume is None else Decimal(candle.quote_volume)
    return Bar(
        candle.ts_event,
        Decimal(candle.high),
        Decimal(candle.low),
        Decimal(candle.close),
        Decimal(candle.base_volume),
        quote_volume,
    )


def open_bars(
    store: Store, market: Market, interval: Interval, made_of: MadeOf, *, now_us: TimeUs
) -> BarReads:
    """A market's candles as indicators read them."""
    if made_of is MadeOf.VENUE:
        return VenueBars(store, market, interval)
    return MadeBars(open_candles(store, market, interval, now_us), interval)


def feed_of(made_of: MadeOf) -> Feed[Record]:
    """Whose records such candles are."""
    return FEED_BY_NAME[(CANDLES if made_of is MadeOf.VENUE else TRADES).name]


def read_indicators(
    settings: Settings,
    place: Place,
    interval: Interval,
    span: Span,
    indicators: Sequence[Indicator],
    *,
    newest: int | None,
    made_of: MadeOf | None = None,
) -> IndicatorAnswer:
    """Indicators of a market's candles within a span of open times.

    Args:
        indicators: Each once.
        newest: Only so many candles, the newest.
        made_of: None takes trades where there are any of the market, else the venue's candles.

    Raises:
        IndicatorError: The span holds more than CANDLES_MAX candles.
        UnknownMarketError: There are no trades, or no candles, of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said.
    """
    if made_of is None:
        try:
            return read_indicators(
                settings, place, interval, span, indicators, newest=newest, made_of=MadeOf.TRADES
            )
        except UnknownMarketError:
            made_of = MadeOf.VENUE
    now_us = time.time_ns() // 1000

    def read(store: Store, market: Market) -> Iterator[Sequence[FoundBars]]:
        bars = open_bars(store, market, interval, made_of, now_us=now_us)
        yield [find_bars(bars, interval, span, indicators, newest=newest)]

    def show(_: Market, page: Sequence[FoundBars]) -> Sequence[FoundBars]:
        return page

    with asking_market(settings, feed_of(made_of), place, read, show) as answer:
        [found] = [found for page in answer.pages for found in page]
        return reckon(
            answer.source, answer.market, interval, found, indicators, made_of, now_us=now_us
        )


def find_bars(
    bars: BarReads,
    interval: Interval,
    span: Span,
    indicators: Sequence[Indicator],
    *,
    newest: int | None,
    candles_max: int = CANDLES_MAX,
) -> FoundBars:
    """What has to be read so that a span's values are known where they can be.

    Raises:
        IndicatorError: The span holds more than `candles_max`.
    """
    own: list[Bar] = []
    for page in bars.read(span, newest=newest):
        own += page
        if len(own) > candles_max:
            message = (
                f"more than {candles_max:,} candles of {interval}: ask for a shorter range, or for "
                "a longer interval"
            )
            raise IndicatorError(message)
    if not own:
        return FoundBars(before=[], own=[], whole_days_from_us=0)
    first_us = own[0].open_time_us
    wanted = max(each.warm_up_candles + each.settling_candles for each in indicators)
    before = _read(bars, Span(None, first_us), newest=wanted) if wanted else []
    day_us = day_of(first_us)
    if any(each.kind.begins_with_day for each in indicators):
        read_from_us = (before or own)[0].open_time_us
        before = [*_read(bars, Span(day_us, read_from_us)), *before]
        # with nothing before it, nobody knows whether the day's first trades are all there
        if not bars.has_before(day_us):
            day_us = bars.find_beginning() or day_us
    return FoundBars(before=before, own=own, whole_days_from_us=day_us)


def _read(bars: BarReads, span: Span, *, newest: int | None = None) -> list[Bar]:
    return [each for page in bars.read(span, newest=newest) for each in page]


def reckon(
    source: Source,
    market: Market,
    interval: Interval,
    found: FoundBars,
    indicators: Sequence[Indicator],
    made_of: MadeOf,
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
        made_of=made_of,
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
            *map(print_amount, values),
        )
        for candle, *values in zip(answer.candles, *answer.columns.values(), strict=True)
    ]
    return Sheet(columns, rows)

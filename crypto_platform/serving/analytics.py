"""Candles made of trades for people and their tools, from whichever store answers.

PostgreSQL keeps the closed ones; hours that have changed since they were made, and what is not over
yet, are made on reading, so that an answer is never behind the trades. From MongoDB, which keeps
none, all of them are made of its trades, by the same arithmetic.

Here: what is read and what is made, in pages. Not here: arithmetic (domain/candles.py), SQL
(stores/postgres/analytics_reader.py), text (cli/).
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from crypto_platform.domain.candles import BuiltCandle, Match, build_candles, roll_up
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    TIME_US_MAX,
    TimeUs,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.feed import Amount, Count, Flag, Text
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.market import MarketAnswer, Place, asking_market
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.candles import StoredCandles
from crypto_platform.stores.market import Market, Span

PAGE_CANDLES = 1440
"""At most so many in a page."""
PAGE_US_MAX = 30 * MICROSECONDS_PER_DAY
"""Nor of more time, for where none are kept its trades are read."""

_STORED: Mapping[Interval, Interval] = {
    Interval.MINUTE: Interval.MINUTE,
    Interval.FIVE_MINUTES: Interval.FIVE_MINUTES,
    Interval.QUARTER_HOUR: Interval.FIVE_MINUTES,
    Interval.HOUR: Interval.HOUR,
    Interval.SIX_HOURS: Interval.HOUR,
    Interval.DAY: Interval.DAY,
}
"""Of which stored candles those of an interval are made."""


class MadeOf(StrEnum):
    """What a market's candles were made of: its trades, here; or the venue's own."""

    TRADES = "trades"
    VENUE = "venue"


Candles = dict[TimeUs, BuiltCandle]
"""By open time."""


class MadeCandle(msgspec.Struct, frozen=True, kw_only=True):
    """A candle as it is shown; fields are named as those of a venue's own.

    Attributes:
        ts_event: Its open time.
        is_closed: Its interval is over; late trades may still change it.
        trades_since: The minute of the market's first stored trade, where that is after this
            candle's beginning: nobody knows what was traded before. None of whole ones.
    """

    venue: Text
    venue_symbol: Text
    symbol: Text | None
    interval: Interval
    ts_event: TimeUs
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    base_volume: Amount
    quote_volume: Amount
    trade_count: Count
    is_closed: Flag
    trades_since: TimeUs | None


class CandleReads(Protocol):
    """Of one market and interval."""

    def read(self, begins_us: TimeUs, ends_us: TimeUs) -> Candles:
        """Those that open in a stretch of time of whole intervals and hours."""
        ...

    def find_first(self, from_us: TimeUs) -> TimeUs | None:
        """Where the next one may be; None where none is."""
        ...

    def find_last(self, before_us: TimeUs) -> TimeUs | None:
        """Where the one before may be; None where none is."""
        ...

    def find_beginning(self) -> TimeUs | None:
        """The minute of the market's first trade; None where there is none."""
        ...


@contextmanager
def reading_built_candles(
    settings: Settings, place: Place, interval: Interval, span: Span, *, newest: int | None
) -> Generator[MarketAnswer[MadeCandle]]:
    """The candles of a market's trades within a span of open times, the open one included.

    Args:
        newest: Only so many, the newest.

    Raises:
        UnknownMarketError: There are no trades of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said. Or the one that did has
            stopped in between.
    """
    now_us = time.time_ns() // 1000

    def read(store: Store, market: Market) -> Iterator[Sequence[MadeCandle]]:
        candles = open_candles(store, market, interval, now_us)
        return read_made(candles, market, interval, span, newest=newest, now_us=now_us)

    def show(_: Market, page: Sequence[MadeCandle]) -> Sequence[MadeCandle]:
        return page

    with asking_market(settings, FEED_BY_NAME[TRADES.name], place, read, show) as answer:
        yield answer


def open_candles(store: Store, market: Market, interval: Interval, now_us: TimeUs) -> CandleReads:
    """A market's candles of one interval, from a store that keeps them or of its trades."""
    kept = store.built_candles(market)
    if kept is None:
        return CandlesOfTrades(store, market, interval)
    return KeptCandles(kept, interval, now_us=now_us)


def read_made(
    candles: CandleReads,
    market: Market,
    interval: Interval,
    span: Span,
    *,
    newest: int | None,
    now_us: TimeUs,
) -> Iterator[Sequence[MadeCandle]]:
    """Candles as they are shown, oldest first, page by page."""
    is_first = True
    for page in read_pages(candles, interval, span, newest=newest):
        # before what is on a later page there is the first one
        since_us = (
            _find_late_beginning(candles, page[0].open_time_us) if page and is_first else None
        )
        is_first = False
        yield [
            _show_candle(market, interval, candle, since_us=None if at else since_us, now_us=now_us)
            for at, candle in enumerate(page)
        ]


def _find_late_beginning(candles: CandleReads, open_us: TimeUs) -> TimeUs | None:
    """From when on the trades of a candle are stored, where they are not from its beginning on."""
    if candles.find_last(open_us) is not None:
        return None
    since_us = candles.find_beginning()
    return since_us if since_us is not None and since_us > open_us else None


def read_pages(
    candles: CandleReads, interval: Interval, span: Span, *, newest: int | None
) -> Iterator[Sequence[BuiltCandle]]:
    """Candles oldest first, page by page; stretches without any are jumped over."""
    length_us = interval.length_us
    # a candle that opens before a time may hold trades of after it
    begins_us = _round_up(span.begins_us or 0, length_us)
    ends_us = TIME_US_MAX if span.ends_us is None else _round_up(span.ends_us, length_us)
    if newest is not None:
        yield _read_newest(
            candles, newest, begins_us=begins_us, ends_us=ends_us, length_us=length_us
        )
        return
    unit_us = max(length_us, MICROSECONDS_PER_HOUR)
    page_us = min(PAGE_CANDLES * length_us, PAGE_US_MAX)
    found_us = candles.find_first(begins_us)
    while found_us is not None and found_us < ends_us:
        first_us = found_us - found_us % unit_us
        page = candles.read(first_us, min(first_us + page_us, _round_up(ends_us, unit_us)))
        if wanted := _within(page, begins_us, ends_us):
            yield wanted
        found_us = candles.find_first(first_us + page_us)


def _read_newest(
    candles: CandleReads, newest: int, *, begins_us: TimeUs, ends_us: TimeUs, length_us: int
) -> Sequence[BuiltCandle]:
    unit_us = max(length_us, MICROSECONDS_PER_HOUR)
    found: list[BuiltCandle] = []
    found_us = candles.find_last(ends_us)
    while found_us is not None and found_us >= begins_us and len(found) < newest:
        end_us = found_us - found_us % unit_us + unit_us
        # as many as are still missing, where no interval is without a trade
        missing_us = (newest - len(found)) * length_us
        first_us = max(end_us - _round_up(missing_us, unit_us), 0)
        found = [*_within(candles.read(first_us, end_us), begins_us, ends_us), *found]
        found_us = candles.find_last(first_us)
    return found[-newest:]


def _round_up(time_us: TimeUs, length_us: int) -> TimeUs:
    return -(-time_us // length_us) * length_us


def _within(page: Candles, begins_us: TimeUs, ends_us: TimeUs) -> list[BuiltCandle]:
    return [page[open_us] for open_us in sorted(page) if begins_us <= open_us < ends_us]


class KeptCandles:
    """Stored candles, with what has changed since made anew."""

    def __init__(self, kept: StoredCandles, interval: Interval, *, now_us: TimeUs) -> None:
        self._kept = kept
        self._interval = interval
        self._now_us = now_us

    def find_first(self, from_us: TimeUs) -> TimeUs | None:
        """See CandleReads."""
        return self._kept.find_first(from_us)

    def find_last(self, before_us: TimeUs) -> TimeUs | None:
        """See CandleReads."""
        return self._kept.find_last(before_us)

    def find_beginning(self) -> TimeUs | None:
        """See CandleReads. A note says the hour alone, and its trades may have been removed."""
        minutes = KeptCandles(self._kept, Interval.MINUTE, now_us=self._now_us)
        found_us = self._kept.find_first(0)
        while found_us is not None:
            ends_us = found_us - found_us % MICROSECONDS_PER_HOUR + MICROSECONDS_PER_HOUR
            if own := minutes.read(ends_us - MICROSECONDS_PER_HOUR, ends_us):
                return min(own)
            found_us = self._kept.find_first(ends_us)
        return None

    def read(self, begins_us: TimeUs, ends_us: TimeUs) -> Candles:
        """See CandleReads. What is stale is asked first: what is read later is only newer."""
        length_us = self._interval.length_us
        hours = self._kept.list_stale_hours(begins_us, ends_us)
        stored = self._kept.read(_STORED[self._interval], begins_us, ends_us)
        candles = roll_up(stored, length_us=length_us)
        minutes = self._kept.build_minutes(hours)
        if length_us <= MICROSECONDS_PER_HOUR:
            return prefer_fuller(candles, roll_up(minutes, length_us=length_us))
        stale = {hour - hour % length_us for hour in hours}
        stale |= {
            open_us
            for open_us in range(begins_us, min(ends_us, self._now_us), length_us)
            if open_us + length_us > self._now_us
        }
        anew = roll_up(minutes, length_us=MICROSECONDS_PER_HOUR)
        for open_us in sorted(stale):
            own = self._kept.read(Interval.HOUR, open_us, open_us + length_us)
            of_unit = {at: each for at, each in anew.items() if at - at % length_us == open_us}
            by_hour = prefer_fuller({each.open_time_us: each for each in own}, of_unit)
            candles = prefer_fuller(candles, roll_up(by_hour.values(), length_us=length_us))
        return candles


class CandlesOfTrades:
    """Candles made of the trades of a store that keeps none."""

    def __init__(self, store: Store, market: Market, interval: Interval) -> None:
        self._store = store
        self._market = market
        self._interval = interval
        self._feed = FEED_BY_NAME[TRADES.name]

    def read(self, begins_us: TimeUs, ends_us: TimeUs) -> Candles:
        """See CandleReads."""
        pages = self._store.read_market(self._feed, self._market, Span(begins_us, ends_us))
        matches = (
            Match(each.ts_event, each.trade_id, Decimal(each.price), Decimal(each.quantity))
            for page in pages
            for each in page
            if isinstance(each, Trade)
        )
        return build_candles(matches, length_us=self._interval.length_us)

    def find_first(self, from_us: TimeUs) -> TimeUs | None:
        """See CandleReads."""
        pages = self._store.read_market(
            self._feed, self._market, Span(from_us, None), page_records=1
        )
        return next((self._feed.event_time_of(page[0]) for page in pages if page), None)

    def find_last(self, before_us: TimeUs) -> TimeUs | None:
        """See CandleReads."""
        found = self._store.read_newest(
            self._feed, self._market, Span(None, before_us), records_max=1
        )
        return self._feed.event_time_of(found[0]) if found else None

    def find_beginning(self) -> TimeUs | None:
        """See CandleReads."""
        found_us = self.find_first(0)
        return None if found_us is None else found_us - found_us % MICROSECONDS_PER_MINUTE


def prefer_fuller(stored: Candles, made: Candles) -> Candles:
    """Of each candle the one made of more trades; the one made just now where both are equal.

    Facts never change, so fewer trades mean that retention has removed some.
    """
    return stored | {
        open_us: candle
        for open_us, candle in made.items()
        if open_us not in stored or candle.trade_count >= stored[open_us].trade_count
    }


def _show_candle(
    market: Market,
    interval: Interval,
    candle: BuiltCandle,
    *,
    since_us: TimeUs | None,
    now_us: TimeUs,
) -> MadeCandle:
    return MadeCandle(
        **market._asdict(),
        interval=interval,
        ts_event=candle.open_time_us,
        open=format(candle.open, "f"),
        high=format(candle.high, "f"),
        low=format(candle.low, "f"),
        close=format(candle.close, "f"),
        base_volume=format(candle.base_volume, "f"),
        quote_volume=format(candle.quote_volume, "f"),
        trade_count=candle.trade_count,
        is_closed=candle.open_time_us + interval.length_us <= now_us,
        trades_since=since_us,
    )

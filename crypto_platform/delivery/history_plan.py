"""Which days of the past are asked for, and how long that may take. Nearly pure: values in, out.

Here: streams (what a day is read of), days that are done, the estimate. Not here: reading
(history.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from crypto_platform.delivery.retention import plan_cuts
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MINUTE,
    TimeUs,
    day_of,
    name_day,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.kafka.history_cursors import HistoryCursor, HistoryCursors, history_key
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings, SourceSettings
from crypto_platform.sources import build_history_source
from crypto_platform.sources.base import HistorySource
from crypto_platform.sources.budget import HISTORY_SHARE

SETTLE_US = MICROSECONDS_PER_MINUTE
"""So long after its end a day is believed to be whole: clocks differ, and answers are cached."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What of a feed is read by itself.

    Attributes:
        interval: Of candles; None for trades.
    """

    venue_symbol: str
    interval: Interval | None = None

    def __str__(self) -> str:
        """BTC-USD, or BTC-USD 1m."""
        return " ".join(filter(None, (self.venue_symbol, self.interval)))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person or Dagster asks for, of one source.

    Attributes:
        feed: One of which the source has history.
        streams: What to read of each day.
        days: First microseconds, rising.
        again: Days that are done, or were begun, are read from their beginning.
    """

    feed: str
    streams: Sequence[Stream]
    days: Sequence[TimeUs]
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One day of one stream.

    Attributes:
        day_us: First microsecond of the day, UTC.
        key: Of its cursor.
        cursor: How far it was read before; None where it begins anew.
    """

    stream: Stream
    day_us: TimeUs
    key: str
    cursor: HistoryCursor | None

    @property
    def end_us(self) -> TimeUs:
        """End of the day, exclusive."""
        return self.day_us + MICROSECONDS_PER_DAY

    @property
    def is_done(self) -> bool:
        """Nothing is to be asked for."""
        return self.cursor is not None and self.cursor.done_at is not None


def list_streams(
    settings: SourceSettings,
    feed: str,
    *,
    venue_symbols: Iterable[str] = (),
    intervals: Iterable[str] = (),
) -> list[Stream]:
    """What a backfill of a feed reads; where nothing is named, what the settings have.

    Args:
        settings: Of the source.
        venue_symbols: By the venue's own names; need not stand in the settings.
        intervals: Of candles, as 1m; of no meaning for another feed.
    """
    symbols = tuple(dict.fromkeys(venue_symbols)) or settings.symbols
    if feed != CANDLES.name:
        return [Stream(venue_symbol=symbol) for symbol in symbols]
    lengths = tuple(dict.fromkeys(intervals)) or settings.intervals
    return [
        Stream(venue_symbol=symbol, interval=Interval(length))
        for symbol in symbols
        for length in lengths
    ]


def list_days(first_us: TimeUs, last_us: TimeUs) -> list[TimeUs]:
    """The days from that of the first time to that of the last one, both included."""
    return list(range(day_of(first_us), day_of(last_us) + 1, MICROSECONDS_PER_DAY))


def plan_history(
    source: str, wanted: Wanted, find_cursor: Callable[[str], HistoryCursor | None]
) -> list[Piece]:
    """The pieces of what is wanted, day by day.

    Args:
        source: Its name.
        wanted: Of it.
        find_cursor: A day's cursor by its key.
    """
    pieces: list[Piece] = []
    for day_us in wanted.days:
        for stream in wanted.streams:
            key = history_key(
                source,
                wanted.feed,
                venue_symbol=stream.venue_symbol,
                interval=stream.interval,
                day_us=day_us,
            )
            cursor = None if wanted.again else find_cursor(key)
            pieces.append(Piece(stream=stream, day_us=day_us, key=key, cursor=cursor))
    return pieces


def is_over(piece: Piece, *, asked_at: TimeUs) -> bool:
    """Whether an answer to a question of this time can have all of the day."""
    return asked_at >= piece.end_us + SETTLE_US


def warn_of_forgotten(settings: Settings, wanted: Wanted, *, now_us: TimeUs) -> str | None:
    """What to say where retention removes again what would be read; None where it all stays."""
    for cut in plan_cuts(settings, [FEED_BY_NAME[wanted.feed]], now_us=now_us):
        if wanted.days[0] < cut.before_us:
            return (
                f"note: {wanted.feed} before {name_day(cut.before_us)} are too old to be kept: "
                "they are stored, and the next nightly retention removes them again; "
                f"retention_days.{wanted.feed} keeps them (docs/operations.md)"
            )
    return None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What reading one stream's days may take.

    Attributes:
        days: To be read.
        done_days: Left out, for they are done.
        calls: About how many requests.
    """

    feed: str
    stream: Stream
    days: int
    done_days: int
    calls: int


def estimate_history(
    source: HistorySource, wanted: Wanted, pieces: Sequence[Piece]
) -> list[Estimate]:
    """About how many requests the days take that are not done; asks at most once a stream.

    Raises:
        SourceError: The source cannot say.
    """
    estimates: list[Estimate] = []
    for stream in wanted.streams:
        own = [piece for piece in pieces if piece.stream == stream]
        left = [piece for piece in own if not piece.is_done]
        calls = 0
        if left:
            calls = len(left) * source.estimate_history_calls(
                wanted.feed,
                venue_symbol=stream.venue_symbol,
                interval=stream.interval,
                start_us=left[-1].day_us,
                end_us=left[-1].end_us,
            )
        estimates.append(
            Estimate(
                feed=wanted.feed,
                stream=stream,
                days=len(left),
                done_days=len(own) - len(left),
                calls=calls,
            )
        )
    return estimates


def estimate_wanted(settings: Settings, source_name: str, wanted: Wanted) -> list[Estimate]:
    """What the days of one feed may take; asks the source at most once a stream."""
    cursors = HistoryCursors(settings, Watermarks(settings))
    cursors.refresh()
    pieces = plan_history(source_name, wanted, cursors.find)
    source = build_history_source(settings, source_name, wanted.feed)
    return estimate_history(source, wanted, pieces)


def estimate_seconds(calls: int, *, requests_per_minute_max: float) -> float:
    """How long so many requests take at least, by history's share of the budget."""
    return calls * 60 / (requests_per_minute_max * HISTORY_SHARE)

"""The gap report: each day of each market's trades and candles, as a store holds them now.

Here: which days and streams, what is read and counted of each. Nothing is stored. Not here: the
verdict on a day (gap_days.py), asking the source for what is missing (gap_repair.py).

Where a venue numbers its trades without gaps, a day holds as many as lie between the numbers around
its midnights, but for the few that come out of order there. Candles are held against the calendar:
an interval without one lacks it where a trade in it is stored. For the rest a day is proved by
polls in time, or by history that was asked to its end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from crypto_platform.delivery.gap_days import DayState, Held, judge_day
from crypto_platform.delivery.gaps import read_gaps
from crypto_platform.delivery.history_plan import SETTLE_US, Stream
from crypto_platform.delivery.pacing import find_pace_s
from crypto_platform.delivery.quality_trades import read_number
from crypto_platform.delivery.stored_market import read_each
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.instruments import TradeNumbering
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.kafka.history_cursors import HistoryCursor, history_key
from crypto_platform.settings import Settings
from crypto_platform.sources import find_numbering, list_history
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

BORDER_TRADES = 200
"""Read on each side of a midnight, for trades come nearly in the order of their numbers."""
AFTER_CANDLES = 60
"""So many intervals after a day the first candle is looked for."""

_US = 1_000_000

FindCursor = Callable[[str], HistoryCursor | None]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A stream of a source's feed, and the days that are asked about.

    Attributes:
        days: First microseconds, rising.
    """

    source: str
    feed: str
    stream: Stream
    days: Sequence[TimeUs]


@dataclass(frozen=True, kw_only=True)
class GapLine:
    """One day of one stream.

    Attributes:
        records: Stored: trades, or candles with all their revisions.
        missing: None where nothing tells how many.
        can_ask: A repair asks for it.
        again: It is done by history's marks, and is read once more.
    """

    source: str
    feed: str
    stream: Stream
    day_us: TimeUs
    state: DayState
    records: int
    missing: int | None
    why: str
    can_ask: bool
    again: bool = False


def report_gaps(
    settings: Settings, store: Store, subjects: Sequence[Subject], find_cursor: FindCursor
) -> list[GapLine]:
    """Look at each day of these streams.

    Args:
        find_cursor: A day's mark by its key, see history_cursors.py.
    """
    look = _Look(settings, store, find_cursor)
    return [line for subject in subjects for line in look.examine(subject)]


class Border:
    """What stands around a midnight in a market whose trades are numbered.

    Attributes:
        before, after: Trades, the nearest first.
        highest: Number before it; None where there is no trade.
        next: The lowest number above that one, behind it.
        late: How many trades behind it have numbers that belong before it.
    """

    def __init__(self, before: Sequence[Trade], after: Sequence[Trade]) -> None:
        self.before, self.after = before, after
        later = _list_numbers(after)
        self.highest = max(_list_numbers(before), default=0 if 1 in later else None)
        self.next = min((n for n in later if n > (self.highest or 0)), default=None)
        self.late = sum(number < (self.highest or 0) for number in later)


def _list_numbers(trades: Sequence[Trade]) -> list[int]:
    return [n for trade in trades if (n := read_number(trade.trade_id)) is not None]


class _Look:
    """The store's answers; see `report_gaps`."""

    def __init__(self, settings: Settings, store: Store, find_cursor: FindCursor) -> None:
        self._settings = settings
        self._store = store
        self._find_cursor = find_cursor
        self._past = set(list_history(settings))
        self._gaps = read_gaps(store)

    def examine(self, subject: Subject) -> Iterator[GapLine]:
        """The days of one stream."""
        if subject.feed == TRADES.name:
            numbering = find_numbering(self._settings, subject.source)
            if numbering is TradeNumbering.GAPLESS:
                helds = self._count_numbered(subject)
            else:
                helds = (self._count_trades(subject, day) for day in subject.days)
        else:
            helds = (self._count_candles(subject, day) for day in subject.days)
        gives_past = (subject.source, subject.feed) in self._past
        for day_us, held in zip(subject.days, helds, strict=True):
            verdict = judge_day(held)
            yield GapLine(
                source=subject.source,
                feed=subject.feed,
                stream=subject.stream,
                day_us=day_us,
                state=verdict.state,
                records=held.records,
                missing=held.missing,
                why=verdict.why,
                can_ask=gives_past and verdict.state in {DayState.HERE, DayState.NOT_ASKED},
                again=verdict.again,
            )

    def _count_numbered(self, subject: Subject) -> Iterator[Held]:
        """Days of a market whose trades have each the next number."""
        begin: tuple[TimeUs, Border] | None = None
        for day_us in subject.days:
            end_us = day_us + MICROSECONDS_PER_DAY
            if begin is None or begin[0] != day_us:
                begin = day_us, self._read_border(subject, day_us)
            end = self._read_border(subject, end_us)
            records = self._count_stored(subject, day_us)
            asked = self._find_mark(subject, day_us)
            is_done = asked is not None and asked.done_at is not None
            missing, note = count_missing(begin[1], end, records, is_done=is_done)
            yield self._hold(subject, day_us, records=records, missing=missing, note=note)
            begin = end_us, end

    def _count_trades(self, subject: Subject, day_us: TimeUs) -> Held:
        """A day of a market whose numbers tell nothing."""
        records = self._count_stored(subject, day_us)
        before = self._read_border(subject, day_us).before
        after = self._read_border(subject, day_us + MICROSECONDS_PER_DAY).after
        pair = [(trade.ts_event, trade.ts_ingest) for trade in (*before[:1], *after[:1])]
        is_live = bool(before and after) and self._came_in_time(subject, pair)
        return self._hold(subject, day_us, records=records, missing=None, is_live=is_live)

    def _count_candles(self, subject: Subject, day_us: TimeUs) -> Held:
        interval = subject.stream.interval or Interval.MINUTE
        length, end_us = interval.length_us, day_us + MICROSECONDS_PER_DAY
        market = _market_of(subject)
        due = range(day_us, end_us, length)
        span = Span(day_us, end_us)
        stored = read_each(self._store, CANDLES, market, span, interval=interval)
        there = {candle.ts_event for candle in stored}
        records = self._count_stored(subject, day_us)
        lacking = [open_us for open_us in due if open_us not in there]
        if not lacking:
            return self._hold(subject, day_us, records=records, missing=0)
        traded = sum(
            self._count_traded(subject, begin, end, length) for begin, end in _join(lacking, length)
        )
        if traded:
            note = f"{traded:,} intervals with trades have no candle"
            return self._hold(subject, day_us, records=records, missing=traded, note=note)
        is_live = self._is_live_candles(market, interval, day_us, subject)
        return self._hold(subject, day_us, records=records, missing=None, is_live=is_live)

    def _count_traded(
        self, subject: Subject, begins_us: TimeUs, ends_us: TimeUs, length: int
    ) -> int:
        """How many intervals of a stretch without candles surely should have one."""
        trades = self._count_between(subject, TRADES.name, begins_us, ends_us)
        if not trades:
            return 0
        if trades == 1 or ends_us - begins_us == length:
            return 1
        return sum(
            bool(self._count_between(subject, TRADES.name, open_us, open_us + length))
            for open_us in range(begins_us, ends_us, length)
        )

    def _is_live_candles(
        self, market: Market, interval: Interval, day_us: TimeUs, subject: Subject
    ) -> bool:
        end_us, length = day_us + MICROSECONDS_PER_DAY, interval.length_us
        until, behind = Span(None, day_us), Span(end_us, end_us + AFTER_CANDLES * length)
        before = list(read_each(self._store, CANDLES, market, until, interval=interval, newest=1))
        after = list(islice(read_each(self._store, CANDLES, market, behind, interval=interval), 1))
        pair = [(candle.ts_event + length, candle.ts_ingest) for candle in (*before, *after)]
        return bool(before and after) and self._came_in_time(subject, pair)

    def _came_in_time(self, subject: Subject, pair: Sequence[tuple[TimeUs, TimeUs]]) -> bool:
        pace_s = find_pace_s(self._settings, source=subject.source, feed=subject.feed)
        late_us = SETTLE_US + int(pace_s * _US)
        return all(received_us - time_us <= late_us for time_us, received_us in pair)

    def _hold(
        self,
        subject: Subject,
        day_us: TimeUs,
        *,
        records: int,
        missing: int | None,
        note: str = "",
        is_live: bool = False,
    ) -> Held:
        stream = subject.stream
        named = (subject.source, stream.venue_symbol, stream.interval)
        end_us = day_us + MICROSECONDS_PER_DAY
        return Held(
            records=records,
            missing=missing,
            note=note,
            asked=self._find_mark(subject, day_us),
            gives_past=(subject.source, subject.feed) in self._past,
            is_live=is_live,
            in_gap=any(
                gap[:3] == named and _overlaps(gap.span, day_us, end_us) for gap in self._gaps
            ),
        )

    def _find_mark(self, subject: Subject, day_us: TimeUs) -> HistoryCursor | None:
        key = history_key(
            subject.source,
            subject.feed,
            venue_symbol=subject.stream.venue_symbol,
            interval=subject.stream.interval,
            day_us=day_us,
        )
        return self._find_cursor(key)

    def _read_border(self, subject: Subject, at_us: TimeUs) -> Border:
        market, until = _market_of(subject), Span(None, at_us)
        before = self._store.read_newest(TRADES, market, until, records_max=BORDER_TRADES)
        behind = Span(at_us, None)
        after = read_each(self._store, TRADES, market, behind, page_records=BORDER_TRADES)
        return Border(
            [trade for trade in before if isinstance(trade, Trade)],
            list(islice(after, BORDER_TRADES)),
        )

    def _count_stored(self, subject: Subject, day_us: TimeUs) -> int:
        end_us = day_us + MICROSECONDS_PER_DAY
        return self._count_between(subject, subject.feed, day_us, end_us)

    def _count_between(
        self, subject: Subject, feed_name: str, begins_us: TimeUs, ends_us: TimeUs
    ) -> int:
        where = {"venue": subject.source, "venue_symbol": subject.stream.venue_symbol}
        if feed_name == subject.feed and subject.stream.interval is not None:
            where["interval"] = subject.stream.interval.value
        return self._store.count_events(
            FEED_BY_NAME[feed_name], where=where, start_us=begins_us, end_us=ends_us
        )


def count_missing(
    begin: Border, end: Border, records: int, *, is_done: bool
) -> tuple[int | None, str]:
    """How many numbers of a day are not there, and what that says; None where nothing tells.

    What is missing across a midnight may be of either day, or of days between; of a day that
    history has asked to its end it is not.
    """
    if begin.next is None or end.highest is None:
        return None, ""
    within = max(end.highest - begin.next + 1 + begin.late - end.late - records, 0)
    notes = [f"{within:,} of its trades are missing"] if within else []
    if is_done:
        return within, "".join(notes)
    if begin.highest is None or end.next is None:
        # a first or last day: what lies beyond is not there to count by
        return within or None, "".join(notes)
    before = min(begin.next, end.next) - begin.highest - 1
    behind = end.next - end.highest - 1 if records else 0
    notes += [f"up to {before:,} at its beginning"] if before else []
    notes += [f"up to {behind:,} at its end"] if behind else []
    return within + before + behind, ", ".join(notes)


def _market_of(subject: Subject) -> Market:
    return Market(subject.source, subject.stream.venue_symbol, None)


def _join(opens: Sequence[TimeUs], length: int) -> Iterator[tuple[TimeUs, TimeUs]]:
    """Stretches of neighbouring intervals: begin and end."""
    begin = opens[0]
    for earlier, later in pairwise(opens):
        if later - earlier > length:
            yield begin, earlier + length
            begin = later
    yield begin, opens[-1] + length


def _overlaps(span: Span, begins_us: TimeUs, ends_us: TimeUs) -> bool:
    starts = span.begins_us is None or span.begins_us < ends_us
    return starts and (span.ends_us is None or span.ends_us >= begins_us)

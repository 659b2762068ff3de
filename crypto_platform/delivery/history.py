"""Backfill: read whole days of the past from a venue's own API, page by page, into Kafka.

Here: one source's feed, day after day and stream after stream; what is repeated, where it goes on,
and how it ends. Not here: which days (history_plan.py), HTTP (sources/), transactions
(kafka/producer.py), Dagster (assets/history.py). Protocol: docs/exactly-once.md 1.

A page is one transaction: its records, its rejected pieces, and the cursor that says where the next
page begins. A day has a producer of its own, so whoever reads the same day later fences the earlier
one, reads the cursor then, and goes on exactly there; runs over different days don't meet.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

import msgspec

from crypto_platform.crash_points import arm
from crypto_platform.delivery.history_plan import Piece, Stream, Wanted, is_over, plan_history
from crypto_platform.delivery.ingest import Clock
from crypto_platform.delivery.lost_cursors import mark_beginning
from crypto_platform.delivery.pacing import back_off_s
from crypto_platform.domain.hours import TimeUs, name_day
from crypto_platform.errors import (
    KafkaUnavailableError,
    PublisherFencedError,
    SourceError,
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.rejected import REJECTED
from crypto_platform.kafka.history_cursors import (
    HistoryCursor,
    HistoryCursors,
    encode_history_cursor,
)
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import HISTORY_CURSORS_TOPIC, topic_name
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings
from crypto_platform.sources.base import HistoryPage, HistorySource

logger = logging.getLogger(__name__)

ASKED_IN_A_ROW_MAX = 8
"""The same page: 1 + 2 + 4 … s of back-off add up to two minutes without an answer."""
BACK_OFF_FIRST_S = 1.0
KAFKA_TRIES_MAX = 30
KAFKA_PAUSE_S = 2.0


class PieceEnd(StrEnum):
    """How one day of one stream ended."""

    COMPLETE = "complete"
    ALREADY_COMPLETE = "already complete"
    NOT_OVER = "not over yet"
    """Read as far as it goes; the day is still going on."""
    EMPTY = "empty so far"
    """The source gave nothing of a day that is over. It may have answered so by mistake: the day is
    done once another run is given nothing too."""
    FAILED = "failed"
    STOPPED = "stopped"
    FENCED = "taken over"
    NOT_ASKED = "not asked"


@dataclass(kw_only=True)
class PieceReport:
    """What a backfill did for one day of one stream.

    Attributes:
        pages, records, rejected_records: Published by this run.
        calls: Requests sent; a page may take several, to find its beginning.
        first_us, last_us: Event times of the earliest and the latest record of the whole day.
        error: One line, where it failed.
    """

    stream: Stream
    day_us: TimeUs
    end: PieceEnd = PieceEnd.NOT_ASKED
    pages: int = 0
    calls: int = 0
    records: int = 0
    rejected_records: int = 0
    first_us: TimeUs | None = None
    last_us: TimeUs | None = None
    seconds: float = 0.0
    error: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the whole day is published."""
        return self.end in {PieceEnd.COMPLETE, PieceEnd.ALREADY_COMPLETE}


@dataclass(kw_only=True)
class HistoryReport:
    """What a backfill of one source's feed did, in the order of days."""

    source: str
    feed: str
    pieces: list[PieceReport] = field(default_factory=list[PieceReport])

    def count(self, end: PieceEnd) -> int:
        """How many days of streams ended so."""
        return sum(piece.end is end for piece in self.pieces)


def join_failures(report: HistoryReport, *, named_max: int = 5) -> str:
    """Name what failed, and how much was not asked for because of it; empty where nothing did."""
    failed = [piece for piece in report.pieces if piece.end is PieceEnd.FAILED]
    lines = [
        f"{report.source}/{report.feed} {piece.stream} {name_day(piece.day_us)}: {piece.error}"
        for piece in failed[:named_max]
    ]
    if len(failed) > named_max:
        lines.append(f"and {len(failed) - named_max} days more")
    if not_asked := report.count(PieceEnd.NOT_ASKED):
        lines.append(f"{not_asked} days were not asked for")
    return "; ".join(lines)


Note = Callable[[PieceReport], None]


def backfill(
    settings: Settings,
    source: HistorySource,
    wanted: Wanted,
    *,
    clock: Clock,
    stop: threading.Event,
    run_id: str,
    on_page: Note = lambda report: None,
    on_piece: Note = lambda report: None,
) -> HistoryReport:
    """Read days of the past and publish them, each page once.

    Args:
        source: With history's share of its budget.
        wanted: Of it.
        clock: Microseconds now; real time except in tests.
        stop: Ends the run after the page in hand.
        run_id: Who reads; each record carries it.
        on_page, on_piece: Called after each page, and after each day of a stream.

    Returns:
        A report on every day of every stream; failures are in it, not raised.

    Raises:
        KafkaUnavailableError: For longer than KAFKA_TRIES_MAX tries; what was published stays, and
            the next run goes on behind it.
    """
    arm(settings.crash_at, by=settings.crash_by)
    report = HistoryReport(source=source.name, feed=wanted.feed)
    watermarks = Watermarks(settings)
    cursors = HistoryCursors(settings, watermarks)
    cursors.refresh()
    mark_beginning(settings, watermarks, wanted.feed, now_us=clock(), run_id=run_id)
    pieces = plan_history(source.name, wanted, cursors.find)
    run = _Backfill(
        settings, source, wanted, cursors, clock=clock, stop=stop, run_id=run_id, on_page=on_page
    )
    for _, of_day in groupby(pieces, key=lambda piece: piece.day_us):
        for ended in run.read_day(list(of_day)):
            report.pieces.append(ended)
            on_piece(ended)
    return report


class _StoppedError(Exception):
    """A person asked for the end while the source was waited for."""


class _Backfill:
    """One run; see `backfill`."""

    def __init__(
        self,
        settings: Settings,
        source: HistorySource,
        wanted: Wanted,
        cursors: HistoryCursors,
        *,
        clock: Clock,
        stop: threading.Event,
        run_id: str,
        on_page: Note,
    ) -> None:
        self._settings = settings
        self._source = source
        self._feed = FEED_BY_NAME[wanted.feed]
        self._again = wanted.again
        self._on_page = on_page
        self._cursors = cursors
        self._clock = clock
        self._stop = stop
        self._run_id = run_id
        self._ended: PieceEnd | None = None
        self._refused: dict[Stream, str] = {}
        """What asking again would not change, by stream."""

    def read_day(self, pieces: Sequence[Piece]) -> Iterator[PieceReport]:
        """Read what is left of one day, stream after stream."""
        if self._ended or all(piece.is_done for piece in pieces):
            yield from map(self._leave_out, pieces)
            return
        day = _Day(
            self._settings,
            source=self._source.name,
            feed=self._feed.name,
            day_us=pieces[0].day_us,
            run_id=self._run_id,
        )
        with closing(day):
            for piece in pieces:
                if self._stop.is_set():
                    self._ended = self._ended or PieceEnd.STOPPED
                if self._ended or piece.is_done or piece.stream in self._refused:
                    yield self._leave_out(piece)
                    continue
                report = PieceReport(stream=piece.stream, day_us=piece.day_us)
                begun_us, calls = self._clock(), self._source.calls
                self._read_piece(day, piece, report)
                report.calls = self._source.calls - calls
                report.seconds = (self._clock() - begun_us) / 1_000_000
                yield report

    def _leave_out(self, piece: Piece) -> PieceReport:
        """The report on what is not asked for."""
        report = PieceReport(stream=piece.stream, day_us=piece.day_us)
        if piece.cursor is not None and piece.is_done:
            report.end = PieceEnd.ALREADY_COMPLETE
            report.first_us, report.last_us = piece.cursor.first_us, piece.cursor.last_us
        elif self._ended is not None and self._ended is not PieceEnd.FAILED:
            report.end = self._ended
        else:
            report.error = self._refused.get(piece.stream)
        return report

    def _read_piece(self, day: "_Day", piece: Piece, report: PieceReport) -> None:
        """Page after page until the day ends; how it ended goes into the report."""
        begins_anew = self._again
        tries = 0
        while True:
            try:
                if day.open():
                    # whoever read this day before can publish no more: what they left is final
                    self._cursors.refresh()
                found = self._cursors.find(piece.key) or HistoryCursor()
                if begins_anew:
                    found = HistoryCursor(empty_by=found.empty_by)
                self._read_pages(day, piece, report, found)
            except KafkaUnavailableError as error:
                day.close()
                # whether the last page is published is told by the cursor that is read next
                begins_anew = begins_anew and not report.pages
                tries += 1
                if tries >= KAFKA_TRIES_MAX:
                    raise
                logger.warning("%s: %s", self._name(piece), error)
                if not self._stop.wait(KAFKA_PAUSE_S):
                    continue
                report.end = self._ended = PieceEnd.STOPPED
            except PublisherFencedError:
                report.end = self._ended = PieceEnd.FENCED
            except _StoppedError:
                report.end = self._ended = PieceEnd.STOPPED
            except SourceError as error:
                self._note_failure(piece, report, error)
            return

    def _note_failure(self, piece: Piece, report: PieceReport, error: SourceError) -> None:
        report.end = PieceEnd.FAILED
        report.error = " ".join(str(error).split())
        logger.warning("%s: %s", self._name(piece), report.error)
        if isinstance(error, SourceRefusedError):
            self._refused[piece.stream] = report.error
        elif not isinstance(error, SourceMalformedError):
            # it has not answered for minutes: the other days would wait as long, each of them
            self._ended = PieceEnd.FAILED

    def _read_pages(
        self, day: "_Day", piece: Piece, report: PieceReport, cursor: HistoryCursor
    ) -> None:
        if cursor.done_at is not None:
            # done by another run since this one was planned
            report.end = PieceEnd.ALREADY_COMPLETE
            return
        while True:
            asked_us = self._clock()
            page = self._ask(piece, cursor.position, asked_us)
            cursor = self._advance(cursor, page, piece, asked_us=asked_us)
            day.publish(piece.key, page, cursor)
            report.pages += 1
            report.records += len(page.records)
            report.rejected_records += len(page.rejected)
            report.first_us, report.last_us = cursor.first_us, cursor.last_us
            self._on_page(report)
            if page.position is None:
                report.end = self._name_end(cursor)
                return
            if self._stop.is_set():
                raise _StoppedError

    def _name_end(self, cursor: HistoryCursor) -> PieceEnd:
        if cursor.done_at is not None:
            return PieceEnd.COMPLETE
        return PieceEnd.EMPTY if cursor.empty_by == self._run_id else PieceEnd.NOT_OVER

    def _ask(self, piece: Piece, position: str | None, asked_us: TimeUs) -> HistoryPage:
        """One page; a source that says to come again later is asked again then."""
        failures = 0
        while True:
            try:
                return self._source.read_history(
                    self._feed.name,
                    venue_symbol=piece.stream.venue_symbol,
                    interval=piece.stream.interval,
                    start_us=piece.day_us,
                    end_us=piece.end_us,
                    position=position,
                    ts_ingest=asked_us,
                )
            except SourceUnavailableError as error:
                failures += 1
                if self._stop.is_set():
                    raise _StoppedError from None
                if failures >= ASKED_IN_A_ROW_MAX:
                    raise
                pause_s = back_off_s(
                    failures, pace_s=BACK_OFF_FIRST_S, retry_after_s=error.retry_after_s
                )
                logger.info("%s: again in %.1f s: %s", self._name(piece), pause_s, error)
                if self._stop.wait(pause_s):
                    raise _StoppedError from None

    def _advance(
        self, cursor: HistoryCursor, page: HistoryPage, piece: Piece, *, asked_us: TimeUs
    ) -> HistoryCursor:
        """The cursor behind a page.

        A day that is not over stays at its last page, which is read again the next time: ids absorb
        what it repeats. One of which nothing came begins anew, until two runs were given nothing.
        """
        found = [cursor.first_us, cursor.last_us, *map(self._feed.event_time_of, page.records)]
        times = [time for time in found if time is not None]
        ends = page.position is None
        is_whole = ends and is_over(piece, asked_at=asked_us)
        records = cursor.records + len(page.records)
        rejected_records = cursor.rejected_records + len(page.rejected)
        if is_whole and not records + rejected_records and cursor.empty_by in (None, self._run_id):
            return HistoryCursor(asked_at=asked_us, empty_by=self._run_id, run_id=self._run_id)
        return msgspec.structs.replace(
            cursor,
            position=cursor.position if ends else page.position,
            pages=cursor.pages + 1,
            records=records,
            rejected_records=rejected_records,
            first_us=min(times, default=None),
            last_us=max(times, default=None),
            asked_at=asked_us,
            done_at=asked_us if is_whole else None,
            run_id=self._run_id,
        )

    def _name(self, piece: Piece) -> str:
        where = f"{self._source.name}/{self._feed.name}"
        return f"{where} {piece.stream} {name_day(piece.day_us)}"


class _Day:
    """The producer of one day; it is opened by the first page that needs it."""

    def __init__(
        self, settings: Settings, *, source: str, feed: str, day_us: TimeUs, run_id: str
    ) -> None:
        self._settings = settings
        self._source = source
        self._feed = FEED_BY_NAME[feed]
        self._mode = f"history.{name_day(day_us)}"
        self._run_id = run_id
        self._publisher: Publisher | None = None

    def open(self) -> bool:
        """Take the day over; False where this was done before.

        Raises:
            KafkaUnavailableError: Not taken over.
        """
        if self._publisher is not None:
            return False
        publisher = Publisher(
            self._settings,
            source=self._source,
            feed=self._feed.name,
            mode=self._mode,
            run_id=self._run_id,
        )
        publisher.open()
        self._publisher = publisher
        return True

    def publish(self, key: str, page: HistoryPage, cursor: HistoryCursor) -> None:
        """Publish a page and its cursor, or nothing.

        Raises:
            PublisherFencedError, KafkaUnavailableError: As Publisher.publish.
        """
        if self._publisher is None:
            message = f"{self._mode} is not open"
            raise RuntimeError(message)
        outgoing = [
            Outgoing(topic_name(self._settings, feed.topic), feed.key_of(record), encode(record))
            for feed, records in (
                (self._feed, page.records),
                (FEED_BY_NAME[REJECTED.name], page.rejected),
            )
            for record in records
        ]
        topic = topic_name(self._settings, HISTORY_CURSORS_TOPIC)
        self._publisher.publish([*outgoing, Outgoing(topic, key, encode_history_cursor(cursor))])

    def close(self) -> None:
        """Let go; the next `open` takes over again."""
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

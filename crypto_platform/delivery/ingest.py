"""Poll sources and publish each poll once.

Here: a feed's thread, and the ways a run ends. Every feed has a thread and a pace of its own, so
one that is slow or fails never holds up another. Not here: when a feed is due (pacing.py), what of
a poll is new (changes.py), HTTP (sources/), transactions (kafka/producer.py), Dagster
(assets/ingest.py). Protocol: docs/exactly-once.md 1.

A run with `follow_s` goes on until a newer run takes its feeds over (it notices when it publishes),
at the latest at twice that age. A run without polls each feed once.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from crypto_platform.crash_points import arm
from crypto_platform.delivery.changes import Changes, Published
from crypto_platform.delivery.gaps import build_cursor_incident, build_gap_incident
from crypto_platform.delivery.lost_cursors import build_lost_incident, holds_records
from crypto_platform.delivery.ownership import check_ownership
from crypto_platform.delivery.pacing import back_off_s, due_at, find_pace_s
from crypto_platform.domain.hours import TimeUs
from crypto_platform.errors import (
    KafkaUnavailableError,
    PublisherFencedError,
    SourceCursorLostError,
    SourceError,
    SourceUnavailableError,
)
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.incidents import INCIDENTS, Incident
from crypto_platform.feeds.rejected import REJECTED
from crypto_platform.kafka.cursors import (
    WHOLE_FEED,
    Cursor,
    cursor_key,
    encode_cursor,
    find_lost_feeds,
    read_cursors,
    select_cursors,
)
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import CURSORS_TOPIC, topic_name
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings
from crypto_platform.sources.base import Poll, Source

logger = logging.getLogger(__name__)

KAFKA_PAUSE_S = 1.0
ERRORS_KEPT_MAX = 5
SAMPLE_RECORDS = 5

_US = 1_000_000

Clock = Callable[[], TimeUs]


class IngestEnd(StrEnum):
    """How a feed's thread ended; each is a success of the run unless a poll failed."""

    DONE = "done"
    PAUSED = "paused"
    FENCED = "fenced"
    STOPPED = "stopped"


@dataclass(kw_only=True)
class FeedReport:
    """What one run did for one feed of one source.

    Attributes:
        polls: Polls published.
        records, rejected_records: Published, first arrivals and the repeats a new run may send.
        unchanged_records: Left out: the same as this run published before.
        gaps: Stretches that the source could not give any more; each is an incident.
        failures: Polls that failed, and faults of single symbols, each told once while it lasts;
            `errors` holds the last few texts.
        last_poll_us: When the last published poll was asked.
        sample: A few of its records, for a preview.
    """

    source: str
    feed: str
    polls: int = 0
    records: int = 0
    rejected_records: int = 0
    unchanged_records: int = 0
    gaps: int = 0
    failures: int = 0
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=ERRORS_KEPT_MAX))
    first_poll_us: int | None = None
    last_poll_us: int | None = None
    sample: Sequence[Record] = ()
    end: IngestEnd = IngestEnd.DONE


def ingest(
    settings: Settings,
    sources: Mapping[str, Source],
    selection: Sequence[tuple[str, str]],
    *,
    clock: Clock,
    stop: threading.Event,
    run_id: str | None = None,
    follow_s: float = 0.0,
    is_paused: Callable[[str], bool] = lambda source: False,
) -> list[FeedReport]:
    """Poll the selected (source, feed) pairs and publish what they give.

    Args:
        sources: By name; may hold more than are selected.
        selection: Pairs of source and feed name.
        clock: Microseconds now; real time except in tests.
        stop: Ends the run within about a second.
        run_id: Who polls; each record carries it.
        follow_s: 0 polls once; else see the module's text.
        is_paused: Whether a person has paused a source; asked before each poll of a following run.

    Returns:
        One report per pair, in order; failures are in them, not raised.

    Raises:
        KafkaUnavailableError: Before anything was polled: the publishers or cursors.
    """
    arm(settings.crash_at, by=settings.crash_by)
    publishers = _open_publishers(settings, selection, run_id)
    watermarks = Watermarks(settings)
    cursors = read_cursors(settings, watermarks)
    began_us = clock()
    run = _Run(
        settings=settings,
        clock=clock,
        stop=stop,
        run_id=run_id,
        follow_s=follow_s,
        end_us=began_us + int(2 * follow_s * _US),
        is_paused=is_paused,
    )
    threads = [
        _FeedThread(
            run,
            sources[source],
            feed,
            publisher=publishers[source, feed],
            cursors=select_cursors(cursors, source=source, feed=feed),
        )
        for source, feed in selection
    ]
    lost = find_lost_feeds(cursors, {feed for _, feed in selection})
    for thread in threads:
        if thread.feed in lost and holds_records(settings, watermarks, thread.feed):
            thread.report_lost_cursors(began_us)
    with ThreadPoolExecutor(max(len(threads), 1), thread_name_prefix="ingest") as pool:
        reports = list(pool.map(_FeedThread.run, threads))
    for publisher in publishers.values():
        publisher.close()
    return reports


def _open_publishers(
    settings: Settings, selection: Sequence[tuple[str, str]], run_id: str | None
) -> dict[tuple[str, str], Publisher]:
    """Open all at once: each takes about a second where it fences a predecessor."""
    publishers = {
        (source, feed): Publisher(settings, source=source, feed=feed, run_id=run_id)
        for source, feed in selection
    }
    with ThreadPoolExecutor(max(len(publishers), 1)) as pool:
        for opened in [pool.submit(publisher.open) for publisher in publishers.values()]:
            opened.result()
    return publishers


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all feeds of a run share; see `ingest`."""

    settings: Settings
    clock: Clock
    stop: threading.Event
    run_id: str | None
    follow_s: float
    end_us: TimeUs
    is_paused: Callable[[str], bool]


class _FeedThread:
    """One source's feed: wait until due, poll, publish, again."""

    def __init__(
        self,
        run: _Run,
        source: Source,
        feed: str,
        *,
        publisher: Publisher,
        cursors: dict[str, Cursor],
    ) -> None:
        self.source = source
        self.feed = feed
        self._run = run
        self._settings = run.settings
        self._pace_s = find_pace_s(run.settings, source=source.name, feed=feed)
        self._publisher: Publisher | None = publisher
        self._cursors = cursors
        self._published = Published()
        self._faults: dict[str, SourceError] = {}
        self._kafka_back_us = 0
        self._is_own = False
        self._report = FeedReport(source=source.name, feed=feed)

    def run(self) -> FeedReport:
        """Until fenced, stopped or done; failures go into the report."""
        report = self._report
        while True:
            due_us = due_at(self._cursors.get(WHOLE_FEED), pace_s=self._pace_s)
            due_us = max(due_us, self._kafka_back_us)
            if self._run.follow_s and max(due_us, self._run.clock()) >= self._run.end_us:
                return report
            if self._run.follow_s and self._run.stop.wait(max(due_us - self._run.clock(), 0) / _US):
                report.end = IngestEnd.STOPPED
                return report
            if self._run.follow_s and self._run.is_paused(self.source.name):
                report.end = IngestEnd.PAUSED
                return report
            try:
                self._poll_once()
            except PublisherFencedError:
                report.end = IngestEnd.FENCED
                return report
            except KafkaUnavailableError as error:
                self._note_failure(str(error))
                # the source was asked, though no cursor says so
                pause_s = max(KAFKA_PAUSE_S, self._pace_s)
                self._kafka_back_us = self._run.clock() + int(pause_s * _US)
            if not self._run.follow_s:
                return report
            if self._run.stop.is_set():
                report.end = IngestEnd.STOPPED
                return report

    def report_lost_cursors(self, ts_ingest: TimeUs) -> None:
        """Publish the incident, in a transaction of its own."""
        incident = build_lost_incident(
            self._settings, source=self.source.name, feed=self.feed, ts_ingest=ts_ingest
        )
        if self._publisher is not None:
            self._publisher.publish([self._address(FEED_BY_NAME[INCIDENTS.name], incident)])

    def _poll_once(self) -> None:
        publisher = self._publisher or self._reopen()
        asked_us = self._run.clock()
        try:
            poll = self._ask(asked_us)
        except SourceError as error:
            self._note_failure(str(error))
            lost = self._published.choose_changed(
                FEED_BY_NAME[INCIDENTS.name], self._describe_loss(error, asked_us)
            )
            last = self._cursors.get(WHOLE_FEED)
            failures = (last.failures if last else 0) + 1
            cursor = self._failed_cursor(error, asked_us, failures=failures)
            self._publish(
                publisher,
                [self._address(FEED_BY_NAME[INCIDENTS.name], each) for each in lost.records],
                {WHOLE_FEED: cursor},
            )
            self._published.note(lost)
            return
        cursors = {WHOLE_FEED: self._whole_cursor(poll, asked_us)} | {
            venue_symbol: Cursor(polled_at=asked_us, position=position)
            for venue_symbol, position in poll.positions.items()
            if position != self._read_position(venue_symbol)
        }
        feed, rejects = FEED_BY_NAME[self.feed], FEED_BY_NAME[REJECTED.name]
        changed = self._published.choose_changed(feed, poll.records)
        rejected = self._published.choose_changed(rejects, poll.rejected)
        gaps = self._describe_gaps(poll, asked_us)
        outgoing = [
            self._address(feed, record)
            for feed, records in (
                (feed, changed.records),
                (rejects, rejected.records),
                (FEED_BY_NAME[INCIDENTS.name], gaps),
            )
            for record in records
        ]
        self._publish(publisher, outgoing, cursors)
        self._published.note(changed)
        self._published.note(rejected)
        self._note_poll(poll, asked_us, changed=changed, rejected=rejected)
        self._note_faults(poll)

    def _ask(self, asked_us: TimeUs) -> Poll:
        positions = self._positions()
        if not positions and not self._is_own:
            check_ownership(self._settings, self.source, self.feed)
            self._is_own = True
        return self.source.poll(self.feed, positions=positions, ts_ingest=asked_us)

    def _note_poll(
        self, poll: Poll, asked_us: TimeUs, *, changed: Changes, rejected: Changes
    ) -> None:
        report = self._report
        new = len(changed.records) + len(rejected.records)
        report.polls += 1
        report.records += len(changed.records)
        report.rejected_records += len(poll.rejected)
        report.unchanged_records += len(poll.records) + len(poll.rejected) - new
        report.gaps += len(poll.gaps)
        report.first_poll_us = report.first_poll_us or asked_us
        report.last_poll_us = asked_us
        report.sample = tuple(poll.records[:SAMPLE_RECORDS]) or report.sample

    def _address(self, feed: Feed[Record], record: Record) -> Outgoing:
        topic = topic_name(self._settings, feed.topic)
        return Outgoing(topic, feed.key_of(record), encode(record))

    def _describe_gaps(self, poll: Poll, asked_us: TimeUs) -> list[Incident]:
        """Published with the cursors that stand behind them: told once, or not passed yet."""
        topic = topic_name(self._settings, FEED_BY_NAME[self.feed].topic)
        incidents = [
            build_gap_incident(
                gap, source=self.source.name, feed=self.feed, topic=topic, ts_ingest=asked_us
            )
            for gap in poll.gaps
        ]
        for incident in incidents:
            logger.warning("%s", incident.message)
        return incidents

    def _describe_loss(self, error: SourceError, asked_us: TimeUs) -> list[Incident]:
        if not isinstance(error, SourceCursorLostError):
            return []
        topic = topic_name(self._settings, FEED_BY_NAME[self.feed].topic)
        return [build_cursor_incident(error, feed=self.feed, topic=topic, ts_ingest=asked_us)]

    def _read_position(self, venue_symbol: str) -> str | None:
        cursor = self._cursors.get(venue_symbol)
        return None if cursor is None else cursor.position

    def _positions(self) -> dict[str, str]:
        return {
            venue_symbol: cursor.position
            for venue_symbol, cursor in self._cursors.items()
            if cursor.position is not None
        }

    def _publish(
        self, publisher: Publisher, records: list[Outgoing], cursors: Mapping[str, Cursor]
    ) -> None:
        topic = topic_name(self._settings, CURSORS_TOPIC)
        moved = [
            Outgoing(topic, cursor_key(self.source.name, self.feed, name), encode_cursor(cursor))
            for name, cursor in cursors.items()
        ]
        try:
            publisher.publish([*records, *moved])
        except KafkaUnavailableError:
            # whether the last commit went through is told by the cursors the next one reads
            publisher.close()
            self._publisher = None
            raise
        self._cursors |= cursors

    def _reopen(self) -> Publisher:
        publisher = Publisher(
            self._settings, source=self.source.name, feed=self.feed, run_id=self._run.run_id
        )
        publisher.open()
        cursors = read_cursors(self._settings, Watermarks(self._settings))
        self._cursors = select_cursors(cursors, source=self.source.name, feed=self.feed)
        self._publisher = publisher
        return publisher

    def _whole_cursor(self, poll: Poll, asked_us: TimeUs) -> Cursor:
        if poll.interruption is None:
            return Cursor(polled_at=asked_us)
        # something was read, so this is no second failure in a row
        return self._failed_cursor(poll.interruption, asked_us, failures=1)

    def _failed_cursor(self, error: SourceError, asked_us: TimeUs, *, failures: int) -> Cursor:
        retry_after_s = error.retry_after_s if isinstance(error, SourceUnavailableError) else None
        pause_s = back_off_s(failures, pace_s=self._pace_s, retry_after_s=retry_after_s)
        return Cursor(
            polled_at=asked_us, not_before=asked_us + int(pause_s * _US), failures=failures
        )

    def _note_faults(self, poll: Poll) -> None:
        """Tell what is wrong with parts of a poll, once each and not again at every poll."""
        found = dict(poll.faults)
        if poll.interruption is not None:
            found[WHOLE_FEED] = poll.interruption
        for name, error in found.items():
            if type(self._faults.get(name)) is not type(error):
                self._note_failure(str(error))
        self._faults = found

    def _note_failure(self, text: str) -> None:
        self._report.failures += 1
        self._report.errors.append(text)
        logger.warning("%s/%s: %s", self.source.name, self.feed, text)

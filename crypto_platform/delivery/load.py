"""Bring records from Kafka into one store, each exactly once.

Here: the loop claim -> read -> commit and the ways it ends. Not here: SQL and BSON (stores/), when
to start a run (planning.py), Dagster (assets/loads.py). Protocol: docs/exactly-once.md 3 and 4.

A run reads ahead before it claims, so that taking over from its predecessor costs milliseconds; the
claim says where the store really stands, and what was read ahead of that is dropped. It ends when a
newer run has taken all its partitions over (FENCED), at twice follow_s, when told to stop, or, with
follow_s = 0, once everything that was there is stored (DRAINED).
"""

import gc
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from crypto_platform.delivery.ahead import Batch, ReadAhead, advance, part_of
from crypto_platform.delivery.batch_size import BatchSize
from crypto_platform.delivery.progress import Progress
from crypto_platform.delivery.shards import EVERYTHING, Shard
from crypto_platform.delivery.stops import Clock, Stops
from crypto_platform.errors import (
    KafkaUnavailableError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.reader import PartitionReader, PartRead, Start
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.slices import Slice

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.5
"""How long an idle load waits for a first record before it looks at the clock and at `stop`."""

GARBAGE_OBJECTS_MIN = 200_000
"""So many new containers before the garbage collector looks at them; the usual is 700."""
SWITCH_INTERVAL_S = 0.0005
"""How long Python lets the thread that encodes run on while the one that commits has an answer; the
usual is 5 ms, and a commit has up to twenty answers, between which the server waits."""
RETRY_PAUSE_S_MAX = 10.0
PREFETCH_WAIT_S = 3.0
OWNERSHIP_CHECK_S = 5.0
"""A commit notices at once that a claim was taken over; an idle partition asks so often."""
RECREATED_CHECK_S_MAX = 1.0
"""Commits wait meanwhile: of three brokers the one that is asked may be the one that is away."""


class LoadEnd(StrEnum):
    """How a load ended; all are successes, only errors that last longer are raised."""

    DRAINED = "drained"
    FENCED = "fenced"
    AGED = "aged"
    STOPPED = "stopped"
    NOTHING = "nothing_to_claim"


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic as the broker knows it now."""

    feed: Feed[Record]
    name: str
    topic_id: str
    partitions: int


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What a load did and how it ended."""

    end: LoadEnd
    progress: Progress


def load(
    settings: Settings,
    store: Store,
    feeds: Sequence[Feed[Record]],
    *,
    run_id: str,
    clock: Clock,
    stop: threading.Event,
    follow_s: float = 0.0,
    shard: Shard = EVERYTHING,
    publish_incident: Callable[[Incident], None] = lambda incident: None,
    on_commit: Callable[[Progress], None] = lambda progress: None,
) -> LoadReport:
    """Load these feeds into the store until one of the ends.

    Args:
        run_id: Written beside each claim and batch.
        clock: Microseconds now.
        stop: Ends the load after the commit it is in.
        follow_s: 0 drains and ends; else see the module's text.
        shard: Only its partitions.
        publish_incident: Best effort; the store already holds the incident.
        on_commit: Called after each commit, from this thread: must be quick and must not raise.

    Raises:
        StoreUnavailableError, KafkaUnavailableError: Lasted longer than the retries of a draining
            load, or twice follow_s.
        StoreRefusedError: A table or right is missing.
    """
    run = _Load(settings, store, feeds, run_id=run_id, clock=clock, stop=stop, follow_s=follow_s)
    run.shard = shard
    run.publish_incidents_by(publish_incident)
    run.on_commit = on_commit
    with _tuned_interpreter():
        return run.go()


@contextmanager
def _tuned_interpreter() -> Generator[None]:
    """Keep Python's garbage collector from walking over each batch, and threads from waiting.

    The collector took a quarter of a load's CPU (measured). A batch is tens of thousands of tuples
    without a cycle; what is loaded by now stays anyway.
    """
    before, interval_s = gc.get_threshold(), sys.getswitchinterval()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS_MIN)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.set_threshold(*before)
        gc.unfreeze()


class _Load:
    """One run: its claims, its reader, its end."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        feeds: Sequence[Feed[Record]],
        *,
        run_id: str,
        clock: Clock,
        stop: threading.Event,
        follow_s: float,
    ) -> None:
        self._settings = settings
        self._store = store
        self._feeds = feeds
        self._run_id = run_id
        self._clock = clock
        self._stop = stop
        self._follow_s = follow_s
        self._patience_s = 2 * follow_s if follow_s else settings.load.stall_s * 4
        self._deadline = time.monotonic() + self._patience_s
        self._watermarks = Watermarks(settings)
        self._claims: dict[Part, Claim] = {}
        self._held: set[TopicPart] = set()
        self._ends: dict[Part, int] = {}
        self._refused: StoreRefusedError | None = None
        self._next_check = time.monotonic() + OWNERSHIP_CHECK_S
        self._progress = Progress()
        self._stops = Stops(
            store,
            self._claims,
            self._progress.incidents,
            clock=clock,
            drift_records_max=settings.load.drift_records_max,
        )
        self.shard = EVERYTHING
        self.on_commit: Callable[[Progress], None] = lambda progress: None

    def publish_incidents_by(self, publish: Callable[[Incident], None]) -> None:
        """Best effort: the store holds them first."""
        self._stops.publish = publish

    def go(self) -> LoadReport:
        """Serve claims until an end; begin anew, claims included, after anything uncertain."""
        pause_s = 0.2
        while True:
            commits = self._progress.commits
            try:
                end = self._serve()
            except (KafkaUnavailableError, StoreUnavailableError, OutcomeUnknownError) as error:
                if self._progress.commits > commits:
                    pause_s = 0.2
                self._progress.retries += 1
                if time.monotonic() + pause_s > self._deadline:
                    raise
                if self._stop.wait(pause_s):
                    return LoadReport(end=LoadEnd.STOPPED, progress=self._progress)
                logger.warning("%s load: %s", self._store.sink, error)
                pause_s = min(pause_s * 2, RETRY_PAUSE_S_MAX)
                self._store.close()
            else:
                if self._refused is not None:
                    raise self._refused
                return LoadReport(end=end, progress=self._progress)

    def _serve(self) -> LoadEnd:
        reader = PartitionReader(self._settings)
        try:
            first = self._prepare(reader)
            if not self._claims:
                return self._end_without_claims()
            with ReadAhead(
                reader,
                self._claims,
                first,
                encode=self._store.encode,
                limits=self._settings.load,
            ) as ahead:
                return self._follow(ahead)
        finally:
            reader.close()

    def _prepare(self, reader: PartitionReader) -> dict[Part, PartRead]:
        """Read ahead, then claim, then check; leaves self._claims and returns what was read."""
        topics = self._read_topics()
        stored = {row.partition: row for row in self._store.read_offsets()}
        wanted = [
            (topic, TopicPart(topic.topic_id, part))
            for topic in topics
            for part in range(topic.partitions)
            if self.shard.holds(part)
        ]
        free = [(topic, part) for topic, part in wanted if self._is_free(part, stored.get(part))]
        if self._held and not free:
            self._claims.clear()
            return {}
        starts = {Part(topic.name, part.part): _start(stored.get(part)) for topic, part in free}
        reader.assign(starts)
        ahead = reader.read(
            records_max=self._settings.load.batch_records_max,
            first_wait_s=PREFETCH_WAIT_S if self._follow_s else IDLE_WAIT_S,
            more_wait_s=self._settings.load.batch_wait_s,
        )
        claims = self._store.claim(
            [(topic.feed, topic.name, part) for topic, part in free], run_id=self._run_id
        )
        self._claims.clear()
        self._claims |= {Part(claim.topic, claim.partition.part): claim for claim in claims}
        self._progress.note_claims(
            claims,
            owners={row.partition: row.owner_run_id for row in stored.values()},
            run_id=self._run_id,
        )
        self._held |= {claim.partition for claim in claims}
        self._stops.stop_recreated({t.name: t.topic_id for t in topics}, stored.values())
        self._check_bounds()
        restarted = {
            part: Start(claim.next_offset, claim.leader_epoch)
            for part, claim in self._claims.items()
            if claim.next_offset < starts[part].offset
        }
        if restarted or set(starts) != set(self._claims):
            # the store went back (a restored backup) or some may not be read: begin where it stands
            reader.assign(
                {p: Start(c.next_offset, c.leader_epoch) for p, c in self._claims.items()}
            )
            return {}
        return ahead

    def _is_free(self, part: TopicPart, row: StoredOffset | None) -> bool:
        """Not stopped by an incident, and not taken from this run by a younger one.

        After an error a run claims again; what it held and somebody else has now is not its own
        any more, or the two would take it from each other for ever.
        """
        if row is None:
            return True
        taken = part in self._held and row.owner_run_id != self._run_id
        return row.blocked_by is None and not taken

    def _end_without_claims(self) -> LoadEnd:
        if self._held and not self._progress.incidents:
            return LoadEnd.FENCED
        return LoadEnd.NOTHING

    def _read_topics(self) -> list[Topic]:
        names = {topic_name(self._settings, feed.topic): feed for feed in self._feeds}
        ids = self._watermarks.read_topic_ids(names)
        missing = sorted(set(names) - set(ids))
        if missing:
            message = (
                f"Kafka: no topic {', '.join(missing)} (yet); "
                "`crypto-platform up` or `python -m crypto_platform.migrations` creates it"
            )
            if not ids:
                raise KafkaUnavailableError(message)
            logger.warning("%s load goes on without it: %s", self._store.sink, message)
        return [
            Topic(feed=names[name], name=name, topic_id=topic_id, partitions=partitions)
            for name, (topic_id, partitions) in ids.items()
        ]

    def _check_bounds(self) -> None:
        """Between the claim and the first read: is the stored offset still inside the log?"""
        bounds = self._watermarks.read_bounds(list(self._claims))
        self._ends = {part: bound.last_stable for part, bound in bounds.items()}
        for part, claim in list(self._claims.items()):
            self._stops.stop_outside(claim, bounds[part])

    def _follow(self, ahead: ReadAhead) -> LoadEnd:
        size = BatchSize(records_max=self._settings.load.batch_records_max)
        while True:
            self._drop_taken_over(ahead)
            if not self._claims:
                return self._end_without_claims()
            if self._stop.is_set():
                return LoadEnd.STOPPED
            if self._follow_s and time.monotonic() >= self._deadline:
                return LoadEnd.AGED
            if not self._follow_s and self._is_drained():
                return LoadEnd.DRAINED
            if time.monotonic() >= self._deadline:
                message = f"Kafka: records wait, but none came for {self._patience_s:.0f} s"
                raise KafkaUnavailableError(message)
            batch = ahead.take(wait_s=IDLE_WAIT_S, records_max=size.records)
            if batch is not None:
                begun = time.monotonic()
                self._commit(ahead, batch)
                size.note(batch.records, seconds=time.monotonic() - begun)

    def _is_drained(self) -> bool:
        return all(
            claim.next_offset >= self._ends.get(part, 0) for part, claim in self._claims.items()
        )

    def _commit(self, ahead: ReadAhead, batch: Batch) -> None:
        """Write what was read and move the claims forward by it."""
        held = set(self._claims)
        slices = [each for each in batch.slices if part_of(each) in held]
        self._stops.stop_drifting(slices)
        ahead.drop(held - set(self._claims))
        self._write(ahead, slices)
        for part, text in batch.lost.items():
            if part in self._claims:
                bound = self._watermarks.read_bounds([part])[part]
                self._stops.stop_cut(self._claims[part], bound, text)

    def _write(self, ahead: ReadAhead, read: Sequence[Slice]) -> None:
        slices = [piece for piece in read if part_of(piece) in self._claims]
        if not slices:
            return
        try:
            outcome = self._store.commit(slices, run_id=self._run_id)
        except StoreRefusedError as error:
            self._leave_out(ahead, error)
            self._write(ahead, slices)
            return
        held = set(self._claims)
        self._advance(slices, outcome.fenced)
        if outcome.fenced:
            ahead.drop([part for part in held if part not in self._claims])
            self._next_check = 0.0
        if not self._follow_s:
            self._deadline = time.monotonic() + self._patience_s
        self._progress.note(slices, outcome, now_us=self._clock())
        self.on_commit(self._progress)

    def _drop_taken_over(self, ahead: ReadAhead) -> None:
        """Let go of idle partitions that a younger run has claimed; a successor takes them all."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + OWNERSHIP_CHECK_S
        self._notice_recreated()
        epochs = {row.partition: row.epoch for row in self._store.read_offsets()}
        lost = [
            part
            for part, claim in self._claims.items()
            if epochs.get(claim.partition) != claim.epoch
        ]
        if lost:
            ahead.drop(lost)
            for part in lost:
                del self._claims[part]

    def _notice_recreated(self) -> None:
        """Reading goes by name: begin anew where a name stands for another topic now."""
        try:
            ids = self._watermarks.read_topic_ids(
                {part.topic for part in self._claims}, within_s=RECREATED_CHECK_S_MAX
            )
        except KafkaUnavailableError:
            return  # not known now; the next check asks again
        for part, claim in self._claims.items():
            topic_id, _ = ids.get(part.topic, (claim.partition.topic_id, 0))
            if topic_id != claim.partition.topic_id:
                message = f"Kafka: {part.topic} is another topic now; starting anew"
                raise KafkaUnavailableError(message)

    def _advance(self, slices: Sequence[Slice], fenced: frozenset[TopicPart]) -> None:
        for piece in slices:
            part = part_of(piece)
            if piece.claim.partition in fenced:
                self._claims.pop(part, None)
                continue
            self._claims[part] = advance(self._claims[part], piece)

    def _leave_out(self, ahead: ReadAhead, error: StoreRefusedError) -> None:
        """Go on without the feed whose table the store refuses; with none left, give up."""
        feeds = {f"{f.schema}.{f.table}": f.name for f in self._feeds}
        feeds |= {feed.collection: feed.name for feed in self._feeds}
        name = feeds.get(error.table or "")
        parts = [part for part, claim in self._claims.items() if claim.feed.name == name]
        if not parts or len(parts) == len(self._claims):
            raise error
        logger.warning(
            "%s load: %s goes on without %s: %s", self._store.sink, self._run_id, name, error
        )
        self._refused = error
        ahead.drop(parts)
        for part in parts:
            del self._claims[part]


def _start(row: StoredOffset | None) -> Start:
    return Start(0, None) if row is None else Start(row.next_offset, row.leader_epoch)


__all__ = ["LoadEnd", "LoadReport", "load"]

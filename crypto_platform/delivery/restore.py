"""Rebuild a store that lost everything, or parts, from Kafka or from the other store.

Here: the order of a restore and its report. Not here: what a partition lacks (restore_plan.py and
the origins beside it), one transaction (stores/). Protocol: docs/exactly-once.md 6 and 7.

    claim      all partitions concerned, so that running loads are fenced and none comes back
    write      range by range, each transaction with its load_batch; what is there is absorbed by id
    let go     each partition as soon as it is complete: the live load goes on behind it
    answer     incidents that stopped a partition where it now has come past
    load       what Kafka has beyond the origin's end, as any load does
    audit      the proof

Killed anywhere it is begun again: what a partition already holds, its next_offset and its sums
tell. The partitions it had not finished stay claimed until then.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from crypto_platform.delivery.incidents import Plan, acknowledge, find_matters
from crypto_platform.delivery.read_ahead import reading_ahead
from crypto_platform.delivery.restore_kafka import KafkaOrigin, Topics
from crypto_platform.delivery.restore_mirror import MirrorOrigin
from crypto_platform.delivery.restore_plan import (
    Lost,
    Origin,
    PartPlan,
    Place,
    Range,
    RestorePlan,
    Stretches,
    find_odd_states,
)
from crypto_platform.errors import IncidentError, IncidentKind, PlatformError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import NOTHING_TAKEN_OVER, RESTORING, BatchKind, TakenOver
from crypto_platform.stores.claims import Claim, StoredOffset
from crypto_platform.stores.slices import Outcome, Slice

logger = logging.getLogger(__name__)

RETRIES_MAX = 5
"""Of one partition without any progress in between."""
RETRY_PAUSE_S_MAX = 10.0


class RestoreOvertakenError(PlatformError):
    """Another restore of this store has begun: this one must end, quietly."""


@dataclass(frozen=True, kw_only=True)
class RestoreProgress:
    """How far a restore has come.

    Attributes:
        place: What is being written.
        done_records, all_records: Of the whole restore, as planned.
        is_part_done: The place is complete.
    """

    place: Place
    done_records: int
    all_records: int
    is_part_done: bool = False


@dataclass(kw_only=True)
class RestoreReport:
    """What a restore did.

    Attributes:
        read_records: Of the origin.
        restored_records: New in the store, by feed.
        changed: Ids of records the origin holds otherwise than they were published; left out.
        lost: Offsets that do not come back, and that load_batch calls so.
        answered: Incidents that were in the way and are no more, in words.
        is_stopped: A person ended it; it goes on when begun again.
    """

    run_id: str
    partitions: int = 0
    read_records: int = 0
    restored_records: dict[str, int] = field(default_factory=dict[str, int])
    repeated_records: int = 0
    quarantined_records: int = 0
    retries: int = 0
    seconds: float = 0.0
    changed: Sequence[str] = ()
    lost: list[tuple[Place, Lost]] = field(default_factory=list[tuple[Place, Lost]])
    answered: list[str] = field(default_factory=list[str])
    is_stopped: bool = False


def open_origin(
    settings: Settings,
    store: Store,
    feeds: Sequence[Feed[Record]],
    *,
    mirror: Store | None,
    is_from_kafka: bool = False,
) -> Origin:
    """The other store, or Kafka where that is asked for.

    Args:
        mirror: The other store; Kafka can do without.

    Raises:
        KafkaUnavailableError: It does not answer; then nothing tells what is lost.
    """
    topics = Topics(settings, feeds)
    if mirror is None or is_from_kafka:
        return KafkaOrigin(settings=settings, store=store, topics=topics, mirror=mirror)
    return MirrorOrigin(settings=settings, store=store, mirror=mirror, feeds=feeds, topics=topics)


def plan_restore(store: Store, origin: Origin, *, is_derived: bool = False) -> RestorePlan:
    """What a restore would do; nothing is written.

    Args:
        is_derived: All that is derived of records is written anew, also where it looks whole.

    Raises:
        StoreUnavailableError, StoreRefusedError: No answer, or no tables; nothing is known.
        ConfigurationError: The origin cannot serve.
    """
    rows = {row.partition: row for row in store.read_offsets()}
    places = origin.list_places()
    odd = find_odd_states(store, places)
    rewritten = {each.feed.name for each in odd}
    parts = [
        origin.plan(
            place,
            rows.get(place.partition),
            rewrites_states=place.feed.name in rewritten
            or (is_derived and bool(place.feed.projections)),
        )
        for place in places
    ]
    return RestorePlan(
        sink=store.sink, origin=origin.name, parts=parts, warning=origin.warning, odd_states=odd
    )


def plan_into_nothing(sink: str, origin: Origin) -> RestorePlan:
    """The same for a store without tables."""
    parts = [origin.plan(place, None) for place in origin.list_places()]
    return RestorePlan(sink=sink, origin=origin.name, parts=parts, warning=origin.warning)


def restore(
    store: Store,
    origin: Origin,
    *,
    run_id: str,
    is_derived: bool = False,
    clock: Callable[[], int],
    stop: threading.Event,
    progress: Callable[[RestoreProgress], None] = lambda _: None,
    publish_incident: Callable[[Incident], None] = lambda _: None,
) -> RestoreReport:
    """Write everything that the store lacks and the origin has.

    Args:
        store: As role loader; its tables are there.
        run_id: Names the ranges it writes.
        is_derived: See plan_restore.
        clock: Microseconds now.
        stop: Ends it after the transaction it is in.
        progress: Called after each transaction; must be quick.
        publish_incident: Of incidents that are answered; best effort.

    Raises:
        RestoreOvertakenError: Another restore took the store over.
        StoreUnavailableError, KafkaUnavailableError: For longer than it tries again. What is
            written stays, and the next restore goes on from there.
    """
    begun = time.monotonic()
    run = _Restore(store, origin, run_id=run_id, stop=stop, progress=progress)
    run.go(is_derived=is_derived)
    run.report.changed = origin.list_changed()
    if not run.report.is_stopped:
        run.answer(clock(), publish_incident)
    run.report.seconds = time.monotonic() - begun
    return run.report


def _may_pass(error: PlatformError) -> bool:
    """Whether the partition, planned anew, may go on; retention may have overtaken its reading."""
    is_gap = isinstance(error, IncidentError) and error.kind is IncidentKind.RETENTION_GAP
    return error.retryable or is_gap


def _lose(range_: Range, claim: Claim) -> tuple[Slice, TakenOver]:
    """A range without records."""
    slice_ = Slice(
        claim=claim,
        hour=range_.hour or 0,
        first_offset=range_.first_offset,
        next_offset=range_.next_offset,
        max_ts_append=claim.max_ts_append,
        leader_epoch=None,
    )
    return slice_, NOTHING_TAKEN_OVER


class _Restore:
    """One run: its claims, its partitions, its report."""

    def __init__(
        self,
        store: Store,
        origin: Origin,
        *,
        run_id: str,
        stop: threading.Event,
        progress: Callable[[RestoreProgress], None],
    ) -> None:
        self._store = store
        self._origin = origin
        self._stop = stop
        self._progress = progress
        self._run_id = run_id
        self._stretches = Stretches(run_id=run_id)
        self._stopped_by: dict[str, PartPlan] = {}
        self._all_records = self._left_records = self._later_records = 0
        self.report = RestoreReport(run_id=run_id)

    def go(self, *, is_derived: bool) -> None:
        """Claim what is to be written, then each partition until it is complete."""
        plan = plan_restore(self._store, self._origin, is_derived=is_derived)
        self._all_records = self._left_records = self._later_records = plan.records
        work = plan.work
        wanted = [part.place for part in work]
        claims = self._store.claim_restore(wanted, run_id=self._run_id)
        held = {claim.partition: claim for claim in claims}
        for part in work:
            self._later_records -= part.records
            self._restore_place(part, held[part.place.partition])
            if self._stop.is_set():
                self.report.is_stopped = True
                return

    def _restore_place(self, planned: PartPlan, claim: Claim) -> None:
        """One partition; begun anew, from where the store stands, after anything uncertain."""
        place, pause_s, tries = planned.place, 0.5, 0
        least_left = self._later_records + planned.records
        while True:
            try:
                row = self._read_row(place)
                is_as_planned = tries == 0 and row.next_offset == planned.next_offset
                # what a load wrote before the claim is no longer to be written
                part = (
                    replace(planned, row=row)
                    if is_as_planned
                    else self._origin.plan(place, row, rewrites_states=planned.rewrites_states)
                )
                self._write(part, claim)
                if not self._stop.is_set():
                    self._let_go(part, claim)
            except PlatformError as error:
                if not _may_pass(error):
                    raise
                # states are rewritten from the start again: that alone is no progress
                tries = 1 if self._left_records < least_left else tries + 1
                least_left = min(least_left, self._left_records)
                if tries > RETRIES_MAX:
                    raise
                self.report.retries += 1
                logger.warning("%s restore: %s", self._store.sink, error)
                self._store.close()
                if self._stop.wait(pause_s):
                    return
                pause_s = min(2 * pause_s, RETRY_PAUSE_S_MAX)
            else:
                return

    def _read_row(self, place: Place) -> StoredOffset:
        rows = {row.partition: row for row in self._store.read_offsets()}
        return rows[place.partition]

    def _write(self, part: PartPlan, claim: Claim) -> None:
        left = float(part.records)
        for range_ in part.ranges:
            run_id = self._stretches.name(part.place.partition, range_)
            with reading_ahead(self._read(part, range_, claim)) as pieces:
                for slice_, taken in pieces:
                    if self._stop.is_set():
                        return
                    outcome = self._store.commit_restore(
                        [slice_], run_id=run_id, kind=range_.kind, taken=taken
                    )
                    if outcome.fenced:
                        raise self._overtaken(part.place)
                    self._count(part.place, slice_, outcome, entries=len(taken.entries))
                    offsets = slice_.next_offset - slice_.first_offset
                    left -= range_.records * offsets / (range_.next_offset - range_.first_offset)
                    self._left_records = self._later_records + max(round(left), 0)
                    self._tell(part.place)
        self.report.lost += [(part.place, lost) for lost in part.lost]

    def _read(
        self, part: PartPlan, range_: Range, claim: Claim
    ) -> Iterator[tuple[Slice, TakenOver]]:
        """In another thread: the origin's slices, ready to be sent."""
        if range_.kind is BatchKind.LOST:
            yield _lose(range_, claim)
            return
        for slice_, taken in self._origin.read(part, range_, claim):
            yield self._store.encode(slice_), taken

    def _count(self, place: Place, slice_: Slice, outcome: Outcome, *, entries: int) -> None:
        report, feed = self.report, place.feed.name
        stored = outcome.stored_records.get(feed, 0)
        report.restored_records[feed] = report.restored_records.get(feed, 0) + stored
        report.repeated_records += outcome.repeated_records
        report.quarantined_records += outcome.quarantined_records + entries
        report.read_records += len(slice_.arrivals) + len(slice_.refusals)

    def _let_go(self, part: PartPlan, claim: Claim) -> None:
        """The live load may have it, unless what stopped it before still lies ahead."""
        assert part.row is not None, "a partition was claimed"
        stopped_by = (part.row.blocked_by or "").removeprefix(RESTORING)
        stands = self._read_row(part.place).next_offset
        is_past = not stopped_by or stands > self._stood_at(part, stopped_by)
        if not self._store.end_restore(claim, blocked_by=None if is_past else stopped_by):
            raise self._overtaken(part.place)
        if stopped_by and is_past:
            self._stopped_by[stopped_by] = replace(part, row=self._read_row(part.place))
        self.report.partitions += 1
        self._left_records = self._later_records
        self._tell(part.place, is_part_done=True)

    def _stood_at(self, part: PartPlan, incident_id: str) -> int:
        """The offset at which an incident stopped the partition."""
        for matter in find_matters({self._store.sink: self._store}):
            if matter.incident.event_id == incident_id and matter.incident.first_offset is not None:
                return matter.incident.first_offset
        return part.next_offset

    def _overtaken(self, place: Place) -> RestoreOvertakenError:
        message = (
            f"another restore of {self._store.sink} has taken over {place.name}: wait for it, or "
            "begin again when it has ended"
        )
        return RestoreOvertakenError(message)

    def _tell(self, place: Place, *, is_part_done: bool = False) -> None:
        self._progress(
            RestoreProgress(
                place=place,
                done_records=self._all_records - self._left_records,
                all_records=self._all_records,
                is_part_done=is_part_done,
            )
        )

    def answer(self, now_us: int, publish: Callable[[Incident], None]) -> None:
        """Acknowledge the incidents whose partition has come past them."""
        if not self._stopped_by:
            return
        for matter in find_matters({self._store.sink: self._store}):
            part = self._stopped_by.get(matter.incident.event_id)
            if part is None:
                continue
            effect = (
                f"{part.place.name} was restored from {self._origin.name} and goes on at offset "
                f"{part.next_offset:,}"
            )
            plan = Plan(matter=replace(matter, stopped=None), move=None, effects=(effect,))
            acknowledge(
                self._store,
                plan,
                who="restore",
                why=f"run {self._run_id}",
                run_id=self._run_id,
                now_us=now_us,
                publish=publish,
            )
            self.report.answered.append(effect)

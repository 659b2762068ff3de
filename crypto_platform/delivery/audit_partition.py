"""Audit one partition over all stores: old ranges, Kafka's chunks, the account, the rest.

Here: the order, and the lines an hour. Not here: what is compared with what (audit_ranges.py,
audit_batches.py).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import islice

from crypto_platform.delivery.audit_batches import (
    Account,
    AccountChecker,
    SummedRange,
    read_account,
)
from crypto_platform.delivery.audit_chunks import Chunk, cut_chunks, leave_out
from crypto_platform.delivery.audit_ranges import Checked, RangeChecker
from crypto_platform.delivery.audit_report import (
    EXAMPLES_MAX,
    Fault,
    Finding,
    Findings,
    HourLine,
    Lag,
    Listing,
    LostRange,
    Tally,
    format_time,
)
from crypto_platform.delivery.audit_scene import Log, Place, Scene
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, hour_of
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING, Removed
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.sums import EMPTY_SUM, Sum

OFFSET_END = 2**63 - 1
BEYOND_TRIES_MAX = 3
CLOCK_LATE_US = 60_000_000
"""A broker's clock may be behind ours by so much."""


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """What all partitions of one audit share; see audit.audit.

    Attributes:
        workers: A thread a store: stores are asked side by side, while Kafka is read on.
        begun_us: When the scene was looked at.
    """

    stores: Mapping[str, Store]
    workers: Mapping[str, Executor]
    begun_us: int
    log: Log
    scene: Scene
    since_us: int | None
    until_us: int | None
    deep: bool
    listing: Listing | None

    def find_end(self, store: str, place: Place) -> tuple[int, int]:
        """A store's next_offset, and how far it is compared with Kafka."""
        row = self.scene.stored[store].get(place.partition)
        next_offset = 0 if row is None else row.next_offset
        if place.bounds is None:
            return next_offset, 0
        return next_offset, min(next_offset, self.find_limit(place))

    def find_limit(self, place: Place) -> int:
        """Where the audited range ends, whatever the stores have; 0 where Kafka has nothing."""
        if place.bounds is None:
            return 0
        if self.until_us is None:
            return place.bounds.last_stable
        [found] = self.log.read_offsets_at([place.part], time_us=self.until_us).values()
        return place.bounds.last_stable if found is None else min(found, place.bounds.last_stable)

    def count_lag(self, store: str) -> Lag:
        """How far a store is behind the end of the audited range."""
        lag = self.scene.lag(store)
        if self.until_us is None or not lag.lag_records:
            return lag
        behind = (
            self.find_limit(place) - self.find_end(store, place)[1] for place in self.scene.places
        )
        return Lag(lag_records=sum(behind), blocked_partitions=lag.blocked_partitions)

    def find_start(self, place: Place) -> int:
        """Where the comparison with Kafka begins."""
        if place.bounds is None:
            return OFFSET_END
        if self.since_us is None:
            return place.bounds.low
        [found] = self.log.read_offsets_at([place.part], time_us=hour_of(self.since_us)).values()
        return max(place.bounds.low, place.bounds.last_stable if found is None else found)

    def is_wanted(self, place: Place, old: SummedRange) -> bool:
        """Whether a range is to be proved by the loads' own sums.

        Of a part of the time, only what Kafka has lost: the range that reaches across the first
        hour's border may still grow, and Kafka is its better judge.
        """
        if self.is_whole:
            return True
        first_hour = 0 if self.since_us is None else hour_of(self.since_us)
        is_lost = place.bounds is None or old.first_offset < place.bounds.low
        return (
            is_lost
            and first_hour <= old.hour
            and (self.until_us is None or old.hour < self.until_us)
        )

    def finish_asking(self) -> None:
        """Wait until no store is being asked."""
        for worker in self.workers.values():
            worker.submit(lambda: None).result()

    def is_settled(self, place: Place, hour: int, *, is_last: bool) -> bool:
        """Whether nothing more can come into an hour of Kafka's log.

        A later hour below the last stable offset says so; else the clock, with some time for a
        broker's that is late, and no transaction being open.
        """
        if not is_last or place.bounds is None:
            return True
        is_over = hour + MICROSECONDS_PER_HOUR + CLOCK_LATE_US < self.begun_us
        return is_over and place.bounds.last_stable == place.bounds.high

    def count_offsets(self, place: Place) -> int:
        """How many offsets of a partition are compared with Kafka."""
        if place.bounds is None:
            return 0
        end = max((self.find_end(name, place)[1] for name in self.stores), default=0)
        return max(end - self.find_start(place), 0)

    def is_stored(self, store: str, partition: TopicPart, offset: int) -> bool | None:
        """Whether a store has come past an offset, if need be by now.

        None of a partition it never loaded: every row of that is named apart (audit.py).
        """
        row = self.scene.stored[store].get(partition)
        if row is not None and offset < row.next_offset:
            return True
        now = {row.partition: row.next_offset for row in self.stores[store].read_offsets()}
        if partition not in now:
            return None if self.is_whole else False
        return offset < now[partition]

    @property
    def is_whole(self) -> bool:
        """Nothing is left out."""
        return self.since_us is None and self.until_us is None

    def read_next_offset(self, store: str, partition: TopicPart) -> int:
        """A store's next_offset now."""
        rows = self.stores[store].read_offsets()
        return next((row.next_offset for row in rows if row.partition == partition), 0)


@dataclass(frozen=True, kw_only=True)
class PartitionResult:
    """One partition's part of the report.

    Attributes:
        removed: What retention had removed when the audit of the partition began, by store.
        is_outdated: It has removed more since, and so what was found may be wrong.
    """

    feed: str
    total: Tally
    lines: list[HourLine]
    findings: list[Finding]
    lost: list[LostRange]
    notes: list[str]
    removed: Mapping[str, Sequence[Removed]]
    is_outdated: bool


@dataclass(kw_only=True)
class _Line:
    """An HourLine while it grows."""

    hour: int | None
    in_kafka: bool
    first_offset: int
    next_offset: int = 0
    tally: Tally = field(default_factory=Tally)
    problems: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, store: str, problems: Mapping[Fault, int]) -> None:
        """Count a store's faults."""
        for kind, count in problems.items():
            name = f"{store}.{kind.value}"
            self.problems[name] = self.problems.get(name, 0) + count


@dataclass(kw_only=True)
class _Side:
    """One store in one partition.

    Attributes:
        end: How far it is compared with Kafka.
        findings: Its own, for it works in a thread of its own.
        fresh: What it holds of the account's fresh range.
        loadable: Quarantined values that would load today.
        unproved: Records that retention may have taken, of ranges whose sums cannot say so yet.
    """

    name: str
    store: Store
    next_offset: int
    end: int
    account: Account
    findings: Findings
    ranges: RangeChecker
    batches: AccountChecker
    is_whole: bool
    fresh: Sum = EMPTY_SUM
    loadable: int = 0
    unproved: int = 0

    def check(self, chunk: Chunk) -> Checked:
        """Compare a chunk, and remember what the account has to agree with."""
        before = self.ranges.passed_over
        checked = self.ranges.check(chunk)
        fresh, place = self.account.fresh, (chunk.first_offset, chunk.next_offset)
        if fresh.first_offset <= chunk.first_offset and chunk.next_offset <= fresh.next_offset:
            self.fresh += checked.stored
        if not self.account.sums_up(*place, is_whole=self.is_whole):
            self.unproved += self.ranges.passed_over - before
        self.loadable += checked.loadable
        return checked


_Answers = Mapping[str, "Future[Checked]"]
"""By store."""


class PartitionAudit:
    """One partition; begun anew as a whole if it has to be."""

    def __init__(
        self, context: AuditContext, place: Place, note: Callable[[int, int | None], None]
    ) -> None:
        """`note` is told how many offsets are done, and the hour (its first microsecond)."""
        self._context = context
        self._place = place
        self._note = note
        self._start = context.find_start(place)
        self._notes: list[str] = []
        self._lost: list[LostRange] = []
        self._lines: dict[tuple[bool, int | None], _Line] = {}
        self._sides = [self._open_side(name, store) for name, store in context.stores.items()]

    def audit(self) -> PartitionResult:
        """Everything of this partition."""
        for side in self._sides:
            self._check_position(side)
            self._check_old(side)
        self._check_chunks()
        for side in self._sides:
            self._check_account(side)
            self._check_beyond(side)
        total = Tally()
        for line in self._lines.values():
            total.add(line.tally)
        in_order = sorted(self._lines.values(), key=lambda line: line.first_offset)
        return PartitionResult(
            feed=self._place.feed.name,
            total=total,
            lines=[self._build_line(line, is_last=line is in_order[-1]) for line in in_order],
            findings=[found for side in self._sides for found in side.findings.findings()],
            lost=self._lost,
            notes=self._notes,
            removed={side.name: side.account.removed.rows for side in self._sides},
            is_outdated=any(
                side.store.read_removed(self._place.partition) != side.account.removed.rows
                for side in self._sides
            ),
        )

    def _open_side(self, name: str, store: Store) -> _Side:
        context, place = self._context, self._place
        next_offset, end = context.find_end(name, place)
        findings = Findings(
            feed=place.feed.name,
            topic=place.topic,
            part=place.partition.part,
            listing=context.listing,
        )
        account = self._read_account(store, end=end, next_offset=next_offset)
        return _Side(
            name=name,
            store=store,
            next_offset=next_offset,
            end=end,
            account=account,
            is_whole=context.is_whole,
            findings=findings,
            ranges=RangeChecker(
                store=store,
                feed=place.feed,
                partition=place.partition,
                findings=findings,
                is_stored=lambda partition, offset: context.is_stored(name, partition, offset),
                truncated=account.truncated,
                removed=account.removed,
                deep=context.deep,
            ),
            batches=AccountChecker(
                store=store,
                feed=place.feed,
                topic=place.topic,
                partition=place.partition,
                findings=findings,
            ),
        )

    def _read_account(self, store: Store, *, end: int, next_offset: int) -> Account:
        return read_account(
            store,
            self._place.partition,
            compared_from=self._start,
            compared_to=end,
            next_offset=next_offset,
        )

    def _check_position(self, side: _Side) -> None:
        """The store's offset lies inside of Kafka's log, and no incident stops it."""
        place = self._place
        bounds = place.bounds
        if bounds is None and side.next_offset:
            self._notes.append(
                f"{side.name}: Kafka no longer has {place.topic}/{place.partition.part} of topic "
                f"id {place.partition.topic_id}; its {side.next_offset} offsets are audited by "
                "load_batch"
            )
        if bounds is not None and side.next_offset > bounds.last_stable:
            detail = f"the store has come to {side.next_offset}, Kafka ends at {bounds.last_stable}"
            side.findings.add(Fault.BEYOND_END, side.name, offset=bounds.last_stable, detail=detail)
        row = self._context.scene.stored[side.name].get(place.partition)
        if row is not None and row.blocked_by is not None:
            is_restoring = row.blocked_by.startswith(RESTORING)
            what = "a restore has" if is_restoring else "an incident stops"
            self._notes.append(
                f"{side.name}: {what} {place.topic}/{place.partition.part} at offset "
                f"{row.next_offset}" + ("" if is_restoring else f": {row.blocked_by}")
            )

    def _check_old(self, side: _Side) -> None:
        """What only the loads' own sums can prove."""
        for old in side.account.old:
            if not self._context.is_wanted(self._place, old):
                continue
            line = self._line(old.hour, in_kafka=False, first_offset=old.first_offset)
            line.next_offset = max(line.next_offset, min(old.next_offset, self._start))
            before = Counter(side.findings.counts())
            found = side.batches.check_old(
                old,
                side.account.removed,
                kafka_from=self._start,
                deep=self._context.deep,
            )
            line.note(side.name, Counter(side.findings.counts()) - before)
            if old.next_offset > self._start:
                # the rest of it is counted with Kafka's chunks
                found = side.store.sum_range(
                    self._place.feed, self._place.partition, old.first_offset, self._start
                )
            line.tally.store(side.name).stored += found
            line.tally.store(side.name).older_records += found.count

    def _check_chunks(self) -> None:
        """What Kafka still has: one chunk is compared while the next is read."""
        place = self._place
        end = max((side.end for side in self._sides), default=0)
        if end <= self._start:
            return
        borders = {
            border
            for side in self._sides
            for border in (
                side.end,
                side.account.fresh.first_offset,
                side.account.fresh.next_offset,
            )
            if border < end
        }
        batches = self._context.log.read_range(
            place.part, first_offset=self._start, next_offset=end
        )
        chunks = cut_chunks(
            place.feed,
            batches,
            first_offset=self._start,
            next_offset=end,
            borders=borders,
            first_hour=max(side.account.first_hour for side in self._sides),
        )
        before: tuple[Chunk, _Answers] | None = None
        for chunk in chunks:
            answers = self._ask(chunk)
            if before is not None:
                self._take(*before)
            before = chunk, answers
        if before is not None:
            self._take(*before)

    def _ask(self, chunk: Chunk) -> _Answers:
        if self._context.deep:
            chunk = chunk.sift()
        return {
            side.name: self._context.workers[side.name].submit(side.check, chunk)
            for side in self._sides
            if chunk.next_offset <= side.end
        }

    def _take(self, chunk: Chunk, answers: _Answers) -> None:
        """Add what the stores say of a chunk to its hour."""
        line = self._line(chunk.hour, in_kafka=True, first_offset=chunk.first_offset)
        line.next_offset = chunk.next_offset
        checked = {name: answer.result() for name, answer in answers.items()}
        refused = {place: each for one in checked.values() for place, each in one.refused.items()}
        if refused.keys() - chunk.refused.keys():
            chunk = chunk.without(refused)
        elsewhere = [each.elsewhere for each in checked.values()]
        repeated = set(elsewhere[0]).intersection(*elsewhere[1:]) if elsewhere else set[str]()
        tally = line.tally
        tally.kafka += leave_out(chunk.firsts, repeated & chunk.firsts.hashes.keys())
        tally.refused += len(chunk.refused)
        tally.read += len(chunk.refused) + len(chunk.offsets)
        for name, each in checked.items():
            tally.store(name).stored += each.stored
            tally.store(name).quarantined += each.quarantined
            tally.store(name).open_quarantined += each.open_quarantined
            line.note(name, each.problems)
        self._note(chunk.next_offset - self._start, chunk.hour)

    def _check_account(self, side: _Side) -> None:
        """load_batch covers all offsets and, where the rows are proved, agrees with them."""
        self._lost += side.batches.check_cover(side.account)
        self._notes += side.batches.check_used_again(
            side.account,
            lambda: self._read_account(side.store, end=side.end, next_offset=side.next_offset),
        )
        if side.findings.of(side.name) == 0 and not side.ranges.strays:
            side.batches.check_fresh(side.account, side.fresh)
        if side.unproved:
            self._notes.append(
                f"{side.name}: {side.unproved} records of {self._place.topic}/"
                f"{self._place.partition.part} are in Kafka, not stored, and older than what "
                "retention removed; that it took them, an audit of all hours proves once their "
                "ranges are complete"
            )
        if side.loadable:
            self._notes.append(
                f"{side.name}: {side.loadable} quarantined values of {self._place.topic}/"
                f"{self._place.partition.part} would load today: `crypto-platform quarantine "
                f"release --store {side.name}` does it"
            )

    def _check_beyond(self, side: _Side) -> None:
        """No row names an offset that the store has not reached; a load may go on meanwhile."""
        place = self._place
        for _ in range(BEYOND_TRIES_MAX):
            reached = self._context.read_next_offset(side.name, place.partition)
            rows = side.store.read_range(place.feed, place.partition, reached, OFFSET_END)
            unknown = (row for row in rows if not side.ranges.is_truncated(row))
            found = list(islice(unknown, EXAMPLES_MAX))
            if not found:
                return
            reached = self._context.read_next_offset(side.name, place.partition)
            extra = [row for row in found if row.offset >= reached]
            for row in extra:
                detail = f"its arrival is not reached: the store's next_offset is {reached}"
                side.findings.add(
                    Fault.EXTRA, side.name, event_id=row.event_id, offset=row.offset, detail=detail
                )
            if extra or len(found) < EXAMPLES_MAX:
                return

    def _line(self, hour: int | None, *, in_kafka: bool, first_offset: int) -> _Line:
        return self._lines.setdefault(
            (in_kafka, hour), _Line(hour=hour, in_kafka=in_kafka, first_offset=first_offset)
        )

    def _build_line(self, line: _Line, *, is_last: bool) -> HourLine:
        hour = line.hour
        return HourLine(
            feed=self._place.feed.name,
            topic=self._place.topic,
            part=self._place.partition.part,
            hour=None if hour is None else format_time(hour),
            first_offset=line.first_offset,
            next_offset=line.next_offset,
            kafka=line.tally.count_kafka() if line.in_kafka else None,
            stores=line.tally.count_stores(),
            problems=line.problems,
            settled=hour is None or self._context.is_settled(self._place, hour, is_last=is_last),
            ok=not line.problems,
        )

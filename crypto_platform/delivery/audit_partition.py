"""Audit one partition over all stores: old ranges, Kafka's chunks, the account, the rest.

Here: the order, and the lines an hour. Not here: what is compared with what (audit_ranges.py,
audit_batches.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from crypto_platform.delivery.audit_batches import Account, AccountChecker, OldRange, read_account
from crypto_platform.delivery.audit_chunks import Chunk, cut_chunks
from crypto_platform.delivery.audit_ranges import Checked, RangeChecker
from crypto_platform.delivery.audit_report import (
    EXAMPLES_MAX,
    Fault,
    Finding,
    Findings,
    HourLine,
    Lag,
    Tally,
    format_time,
)
from crypto_platform.delivery.audit_scene import Log, Place, Scene
from crypto_platform.domain.hours import hour_of
from crypto_platform.stores.base import EMPTY_SUM, Store, Sum, TopicPart, sum_of

OFFSET_END = 2**63 - 1
BEYOND_TRIES_MAX = 3


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """What all partitions of one audit share; see audit.audit."""

    stores: Mapping[str, Store]
    log: Log
    scene: Scene
    since_us: int | None
    until_us: int | None
    deep: bool

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

    def is_wanted(self, place: Place, old: OldRange) -> bool:
        """Whether a range is to be proved by the loads' own sums.

        Of a part of the time, only what Kafka has lost: the range that reaches across the first
        hour's border may still grow, and Kafka is its better judge.
        """
        if self.since_us is None and self.until_us is None:
            return True
        first_hour = 0 if self.since_us is None else hour_of(self.since_us)
        is_lost = place.bounds is None or old.first_offset < place.bounds.low
        return (
            is_lost
            and first_hour <= old.hour
            and (self.until_us is None or old.hour < self.until_us)
        )

    def count_offsets(self, place: Place) -> int:
        """How many offsets of a partition are compared with Kafka."""
        if place.bounds is None:
            return 0
        end = max((self.find_end(name, place)[1] for name in self.stores), default=0)
        return max(end - self.find_start(place), 0)

    def has_reached(self, store: str, partition: TopicPart, offset: int) -> bool:
        """Whether a store has come past an offset, if need be by now."""
        row = self.scene.stored[store].get(partition)
        return (row is not None and offset < row.next_offset) or (
            offset < self.read_next_offset(store, partition)
        )

    def read_next_offset(self, store: str, partition: TopicPart) -> int:
        """A store's next_offset now."""
        rows = self.stores[store].read_offsets()
        return next((row.next_offset for row in rows if row.partition == partition), 0)


@dataclass(frozen=True, kw_only=True)
class PartitionResult:
    """One partition's part of the report."""

    feed: str
    total: Tally
    lines: list[HourLine]
    findings: list[Finding]
    notes: list[str]


@dataclass(kw_only=True)
class _Line:
    """An HourLine while it grows."""

    hour: int | None
    in_kafka: bool
    first_offset: int
    next_offset: int = 0
    tally: Tally = field(default_factory=Tally)
    problems: dict[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Side:
    """One store in one partition.

    Attributes:
        end: How far it is compared with Kafka.
        fresh: What it holds of the account's fresh range.
        loadable: Quarantined values that would load today.
    """

    name: str
    store: Store
    next_offset: int
    end: int
    account: Account
    ranges: RangeChecker
    batches: AccountChecker
    fresh: Sum = EMPTY_SUM
    loadable: int = 0

    def check(self, chunk: Chunk) -> Checked:
        """Compare a chunk, and remember what the account has to agree with."""
        checked = self.ranges.check(chunk)
        account = self.account
        if account.fresh_first <= chunk.first_offset and chunk.next_offset <= account.fresh_next:
            self.fresh += checked.stored
        self.loadable += checked.loadable
        return checked


class PartitionAudit:
    """One partition; begun anew as a whole if it has to be."""

    def __init__(self, context: AuditContext, place: Place, note: Callable[[int], None]) -> None:
        """`note` is told how many offsets are done."""
        self._context = context
        self._place = place
        self._note = note
        self._start = context.find_start(place)
        self._findings = Findings(
            feed=place.feed.name, topic=place.topic, part=place.partition.part
        )
        self._notes: list[str] = []
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
            lines=[self._build_line(line) for line in in_order],
            findings=self._findings.findings(),
            notes=self._notes,
        )

    def _open_side(self, name: str, store: Store) -> _Side:
        context, place = self._context, self._place
        next_offset, end = context.find_end(name, place)
        return _Side(
            name=name,
            store=store,
            next_offset=next_offset,
            end=end,
            account=read_account(
                store,
                place.partition,
                compared_from=self._start,
                compared_to=end,
                next_offset=next_offset,
            ),
            ranges=RangeChecker(
                store=store,
                feed=place.feed,
                partition=place.partition,
                findings=self._findings,
                has_reached=lambda partition, offset: context.has_reached(name, partition, offset),
                deep=context.deep,
            ),
            batches=AccountChecker(
                store=store,
                feed=place.feed,
                topic=place.topic,
                partition=place.partition,
                findings=self._findings,
            ),
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
            self._findings.add(
                Fault.BEYOND_END, side.name, offset=bounds.last_stable, detail=detail
            )
        row = self._context.scene.stored[side.name].get(place.partition)
        if row is not None and row.blocked_by is not None:
            self._notes.append(
                f"{side.name}: an incident stops {place.topic}/{place.partition.part} at offset "
                f"{row.next_offset}: {row.blocked_by}"
            )

    def _check_old(self, side: _Side) -> None:
        """What only the loads' own sums can prove."""
        for old in side.account.old:
            if not self._context.is_wanted(self._place, old):
                continue
            line = self._line(old.hour, in_kafka=False, first_offset=old.first_offset)
            line.next_offset = max(line.next_offset, min(old.next_offset, self._start))
            with _Noting(line, self._findings):
                found = side.batches.check_old(old, deep=self._context.deep)
            if old.next_offset > self._start:
                # the rest of it is counted with Kafka's chunks
                found = side.store.sum_range(
                    self._place.feed, self._place.partition, old.first_offset, self._start
                )
            line.tally.store(side.name).stored += found
            line.tally.store(side.name).older_records += found.count

    def _check_chunks(self) -> None:
        """What Kafka still has, a chunk at a time."""
        place = self._place
        end = max((side.end for side in self._sides), default=0)
        if end <= self._start:
            return
        borders = {
            border
            for side in self._sides
            for border in (side.end, side.account.fresh_first, side.account.fresh_next)
            if border < end
        }
        batches = self._context.log.read_range(
            place.part, first_offset=self._start, next_offset=end
        )
        for chunk in cut_chunks(
            place.feed, batches, first_offset=self._start, next_offset=end, borders=borders
        ):
            self._check_chunk(chunk)
            self._note(chunk.next_offset - self._start)

    def _check_chunk(self, chunk: Chunk) -> None:
        line = self._line(chunk.hour, in_kafka=True, first_offset=chunk.first_offset)
        line.next_offset = chunk.next_offset
        tally = line.tally
        checked: dict[str, Checked] = {}
        with _Noting(line, self._findings):
            for side in self._sides:
                if chunk.next_offset <= side.end:
                    checked[side.name] = side.check(chunk)
        elsewhere = [set(each.elsewhere) for each in checked.values()]
        repeated = set[str].intersection(*elsewhere) if elsewhere else set[str]()
        hashes = chunk.firsts.hashes
        tally.kafka += (
            sum_of([hashes[event_id] for event_id in hashes if event_id not in repeated])
            if repeated
            else chunk.firsts.total
        )
        tally.refused += len(chunk.refused)
        tally.read += len(chunk.refused) + len(chunk.records)
        for name, each in checked.items():
            tally.store(name).stored += each.stored
            tally.store(name).quarantined += each.quarantined

    def _check_account(self, side: _Side) -> None:
        """load_batch covers all offsets and, where the rows are proved, agrees with them."""
        self._notes += side.batches.check_cover(side.account)
        if self._findings.of(side.name) == 0:
            side.batches.check_fresh(side.account, side.fresh)
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
            found = list(islice(rows, EXAMPLES_MAX))
            if not found:
                return
            reached = self._context.read_next_offset(side.name, place.partition)
            extra = [row for row in found if row.offset >= reached]
            for row in extra:
                detail = f"its arrival is not reached: the store's next_offset is {reached}"
                self._findings.add(
                    Fault.EXTRA, side.name, event_id=row.event_id, offset=row.offset, detail=detail
                )
            if extra or len(found) < EXAMPLES_MAX:
                return

    def _line(self, hour: int | None, *, in_kafka: bool, first_offset: int) -> _Line:
        return self._lines.setdefault(
            (in_kafka, hour), _Line(hour=hour, in_kafka=in_kafka, first_offset=first_offset)
        )

    def _build_line(self, line: _Line) -> HourLine:
        return HourLine(
            feed=self._place.feed.name,
            topic=self._place.topic,
            part=self._place.partition.part,
            hour=None if line.hour is None else format_time(line.hour),
            first_offset=line.first_offset,
            next_offset=line.next_offset,
            kafka=line.tally.count_kafka() if line.in_kafka else None,
            stores=line.tally.count_stores(),
            problems=line.problems,
            ok=not line.problems,
        )


class _Noting:
    """Adds the faults found within a block to a line."""

    def __init__(self, line: _Line, findings: Findings) -> None:
        self._line = line
        self._findings = findings

    def __enter__(self) -> None:
        self._before = self._findings.counts()

    def __exit__(self, *error: object) -> None:
        for (store, kind), count in self._findings.counts().items():
            more = count - self._before.get((store, kind), 0)
            if more:
                name = f"{store}.{kind.value}"
                self._line.problems[name] = self._line.problems.get(name, 0) + more

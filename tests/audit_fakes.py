"""Kafka and a store as lists, for the audit: a log written by hand, a store that can be spoilt.

Here: the smallest model of both that the audit can read. `FakeStore.load` does what a correct load
does; tests then change its lists as an accident would. Not here: expectations.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from crypto_platform.errors import IncidentError, IncidentKind, Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.feed import hash_facts
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.reader import RawRecord
from crypto_platform.kafka.watermarks import Bounds, Part
from crypto_platform.stores.batches import BatchKind, LoadBatch, Removed
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.contents import StoredContent, StoredRecord
from crypto_platform.stores.matters import QuarantineEntry
from crypto_platform.stores.sums import Sum, sum_of
from tests.store_steps import HOUR, NOON, TOPIC_ID

P0 = TopicPart(TOPIC_ID, 0)
MARKER = None
"""Takes an offset and is no value, like the end of a transaction."""


class FakeLog:
    """One topic, market.quotes, of one partition; counts how often a range was read.

    Attributes:
        low: First retained offset.
        moves_low_to: Retention that strikes at the next read.
    """

    def __init__(self, *, topic: str = "market.quotes", topic_id: str = TOPIC_ID) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.values: list[tuple[int, bytes] | None] = []
        self.low = 0
        self.last_stable: int | None = None
        self.moves_low_to: int | None = None
        self.reads = 0

    def publish(self, *values: Record | bytes | None, hour: int = NOON) -> None:
        """Append records, raw values and markers within one hour."""
        for value in values:
            content = value if isinstance(value, bytes | None) else encode(value)
            place = len(self.values)
            self.values.append(None if content is None else (hour + place, content))

    def read_topic_ids(self, topics: Iterable[str]) -> dict[str, tuple[str, int]]:
        """The topic, if asked for."""
        return {self.topic: (self.topic_id, 1)} if self.topic in topics else {}

    def read_bounds(self, parts: Sequence[Part]) -> dict[Part, Bounds]:
        """From low to the last stable offset or the end."""
        end = len(self.values)
        bounds = Bounds(
            low=self.low,
            high=end,
            last_stable=end if self.last_stable is None else self.last_stable,
        )
        return dict.fromkeys(parts, bounds)

    def read_offsets_at(self, parts: Sequence[Part], *, time_us: int) -> dict[Part, int | None]:
        """First offset appended at or after a time."""
        found = (o for o, v in enumerate(self.values) if v and v[0] >= time_us and o >= self.low)
        return dict.fromkeys(parts, next(found, None))

    def read_range(
        self, part: Part, *, first_offset: int, next_offset: int
    ) -> Iterator[list[RawRecord]]:
        """In lists of three, to be cut across."""
        _ = part
        self.reads += 1
        if self.moves_low_to is not None:
            self.low, self.moves_low_to = self.moves_low_to, None
        if first_offset < self.low:
            message = "gone"
            raise IncidentError(message, kind=IncidentKind.RETENTION_GAP)
        records = [
            RawRecord(offset, value[0], b"key", value[1])
            for offset, value in enumerate(self.values)
            if value is not None and first_offset <= offset < next_offset
        ]
        for begin in range(0, len(records), 3):
            yield records[begin : begin + 3]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stored record: its columns and its first arrival."""

    record: Record
    event_id: str
    content_hash: int
    offset: int
    partition: TopicPart
    problem: str | None = None

    def proof(self) -> StoredRecord:
        """What the audit asks for."""
        return StoredRecord(
            self.event_id,
            self.content_hash,
            self.partition.topic_id,
            self.partition.part,
            self.offset,
        )


@dataclass(kw_only=True)
class FakeStore:
    """A store of one feed and partition as lists.

    Attributes:
        looked_up_ids, rows_read: Ids and rows that were looked at singly: the slow way was taken.
    """

    sink: str = "postgres"
    partition: TopicPart = P0
    topic: str = "market.quotes"
    feed: Feed[Record] = QUOTES
    next_offset: int = 0
    blocked_by: str | None = None
    rows: list[Row] = field(default_factory=list)
    quarantine: list[QuarantineEntry] = field(default_factory=list)
    batches: list[LoadBatch] = field(default_factory=list)
    removed: list[Removed] = field(default_factory=list)
    looked_up_ids: int = 0
    rows_read: int = 0

    def load(
        self, log: FakeLog, records: Sequence[Record | bytes | None], *, hour: int = NOON
    ) -> None:
        """Load what was published next, in one batch, as a correct load would."""
        first = self.next_offset
        hashes: list[int] = []
        before = len(self.quarantine)
        for offset, record in enumerate(records, start=first):
            if isinstance(record, bytes):
                self.refuse(offset, Reason.UNDECODABLE, value=record)
            elif record is not None:
                known = [row for row in self.rows if row.event_id == record.event_id]
                if not known:
                    self.rows.append(self.row(record, offset))
                    hashes.append(record.content_hash)
                elif known[0].content_hash != record.content_hash:
                    self.refuse(offset, Reason.CONFLICT, event_id=record.event_id)
        self.next_offset = first + len(records)
        self.batches.append(
            LoadBatch(
                run_id="run",
                topic=log.topic,
                partition=self.partition,
                epoch=1,
                hour=hour,
                kind=BatchKind.LIVE,
                first_offset=first,
                next_offset=self.next_offset,
                stored=sum_of(hashes),
                repeated_records=0,
                quarantined_records=len(self.quarantine) - before,
            )
        )

    def row(self, record: Record, offset: int) -> Row:
        """A true row of this record."""
        return Row(
            record=record,
            event_id=record.event_id,
            content_hash=record.content_hash,
            offset=offset,
            partition=self.partition,
        )

    def refuse(
        self,
        offset: int,
        reason: Reason,
        *,
        event_id: str | None = None,
        value: bytes | None = None,
        state: str = "open",
    ) -> None:
        """Put an entry into quarantine."""
        self.quarantine.append(
            QuarantineEntry(
                topic=self.topic,
                partition=self.partition,
                offset=offset,
                ts_append=NOON,
                reason=reason,
                error="refused",
                event_id=event_id,
                key=None,
                value=value,
                run_id="run",
                state=state,
                quarantined_at=NOON,
            )
        )

    def cut(self, log: "FakeLog", *, at: int) -> None:
        """What acknowledging a cut log does: rewind, and keep the sums; one live range began there.

        The rows stay, and the log goes on from `at` with other values.
        """
        del log.values[at:]
        self.batches = [
            replace(batch, kind=BatchKind.TRUNCATED)
            if batch.kind is BatchKind.LIVE and batch.first_offset >= at
            else batch
            for batch in self.batches
        ]
        self.next_offset = at

    def lose(self, next_offset: int) -> None:
        """What acknowledging that retention was faster does: a lost range, and on behind it."""
        self.batches.append(
            LoadBatch(
                run_id="person",
                topic=self.topic,
                partition=self.partition,
                epoch=1,
                hour=NOON,
                kind=BatchKind.LOST,
                first_offset=self.next_offset,
                next_offset=next_offset,
                stored=sum_of([]),
                repeated_records=0,
                quarantined_records=0,
            )
        )
        self.next_offset = next_offset

    def drop(self, event_id: str) -> Row:
        """Delete a row, as nobody should."""
        [row] = [row for row in self.rows if row.event_id == event_id]
        self.rows.remove(row)
        return row

    def forget(self, before_us: int) -> None:
        """Remove rows with older events, as retention does, and write down what went."""
        for batch in [batch for batch in self.batches if batch.kind is BatchKind.LIVE]:
            old = [
                row
                for row in self.rows
                if batch.first_offset <= row.offset < batch.next_offset
                and (self.feed.event_time_of(row.record) or before_us) < before_us
            ]
            self.rows = [row for row in self.rows if row not in old]
            if old:
                self.removed.append(
                    Removed(
                        topic=self.topic,
                        partition=self.partition,
                        run_id="retention",
                        hour=batch.hour,
                        first_offset=batch.first_offset,
                        events_before=before_us,
                        removed=sum_of([row.content_hash for row in old]),
                    )
                )

    def change(self, event_id: str, **changes: object) -> None:
        """Change a row, as nobody should."""
        self.rows.append(replace(self.drop(event_id), **changes))

    def replay(self, record: Record, offset: int, *, kind: BatchKind = BatchKind.REPLAY) -> None:
        """Store a record again at an offset, as a replay or a restore writes it down."""
        self.rows.append(self.row(record, offset))
        self.batches.append(
            replace(
                self.batches[0],
                kind=kind,
                first_offset=offset,
                next_offset=offset + 1,
                stored=sum_of([record.content_hash]),
            )
        )

    # What the audit asks.
    def read_offsets(self) -> list[StoredOffset]:
        """One row, once something is stored."""
        if not self.next_offset:
            return []
        return [
            StoredOffset(
                topic=self.topic,
                partition=self.partition,
                next_offset=self.next_offset,
                leader_epoch=None,
                max_ts_append=0,
                epoch=1,
                owner_run_id=None,
                claimed_at=None,
                updated_at=None,
                blocked_by=self.blocked_by,
            )
        ]

    def read_records(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[StoredRecord]:
        """By id."""
        self.looked_up_ids += len(event_ids)
        return [row.proof() for row in self._of(feed) if row.event_id in set(event_ids)]

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        """By first arrival."""
        rows = self._arrived(feed, partition, first_offset, next_offset)
        return sum_of([row.content_hash for row in rows])

    def read_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredRecord]:
        """By first arrival, in order."""
        for row in self._arrived(feed, partition, first_offset, next_offset):
            self.rows_read += 1
            yield row.proof()

    def read_quarantine(
        self,
        partition: TopicPart | None = None,
        *,
        first_offset: int = 0,
        next_offset: int | None = None,
    ) -> Iterator[QuarantineEntry]:
        """By offset."""
        for entry in sorted(self.quarantine, key=lambda entry: entry.offset):
            inside = first_offset <= entry.offset < (next_offset or 2**63)
            if entry.partition == partition and inside:
                yield entry

    def read_load_batches(self, partition: TopicPart | None = None) -> Iterator[LoadBatch]:
        """By first offset."""
        for batch in sorted(self.batches, key=lambda batch: batch.first_offset):
            if batch.partition == partition:
                yield batch

    def read_removed(self, partition: TopicPart) -> Sequence[Removed]:
        """By first offset."""
        own = [each for each in self.removed if each.partition == partition]
        return sorted(own, key=lambda each: each.first_offset)

    def read_contents(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredContent]:
        """By first arrival, in order; hashes the record, not the row's hash."""
        for row in self._arrived(feed, partition, first_offset, next_offset):
            yield StoredContent(row.proof(), hash_facts(row.record), row.problem)

    def read_repeated(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> list[StoredRecord]:
        """Rows whose id another row has."""
        ids = Counter(row.event_id for row in self._of(feed))
        rows = self._arrived(feed, partition, first_offset, next_offset)
        return [row.proof() for row in rows if ids[row.event_id] > 1]

    def read_strays(
        self, feed: Feed[Record], known: Collection[TopicPart]
    ) -> Iterator[StoredRecord]:
        """Rows that arrived elsewhere; of quotes, too, where they have no arrival."""
        return (row.proof() for row in self._of(feed) if row.partition not in known)

    def read_facts(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[Record]:
        """Columns by id."""
        return [row.record for row in self._of(feed) if row.event_id in set(event_ids)]

    def _arrived(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> list[Row]:
        return [
            row
            for row in sorted(self._of(feed), key=lambda row: row.offset)
            if row.partition == partition and first_offset <= row.offset < next_offset
        ]

    def _of(self, feed: Feed[Record]) -> list[Row]:
        return list(self.rows) if feed.name == self.feed.name else []


def hours(count: int) -> int:
    """So many hours after noon."""
    return NOON + count * HOUR

"""A store in memory: what loads and the audit ask of stores/base.py, in as few lines as it can be.

A transaction is a copy of everything that is put back or kept.
Several `ModelStore`s on one `Tables` are several connections to one database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.batches import BatchKind, LoadBatch, Removed
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.contents import StoredRecord
from crypto_platform.stores.matters import QuarantineEntry
from crypto_platform.stores.slices import Outcome, Slice
from crypto_platform.stores.sums import Sum, sum_of
from tests.store_steps import each_record

Wanted = tuple[Feed[Record], str, TopicPart]


@dataclass
class Tables:
    """The database."""

    offsets: dict[TopicPart, StoredOffset] = field(default_factory=dict[TopicPart, StoredOffset])
    facts: dict[str, StoredRecord] = field(default_factory=dict[str, StoredRecord])
    quarantine: dict[tuple[TopicPart, int], QuarantineEntry] = field(
        default_factory=dict[tuple[TopicPart, int], QuarantineEntry]
    )
    batches: list[LoadBatch] = field(default_factory=list[LoadBatch])

    def copy(self) -> "Tables":
        """As it stands now; what lies in it never changes."""
        return Tables(
            dict(self.offsets), dict(self.facts), dict(self.quarantine), list(self.batches)
        )


class ModelStore:
    """One connection; see stores/base.py for what each method promises."""

    sink = "model"

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def close(self) -> None:
        """Nothing is open between calls."""

    def read_offsets(self) -> list[StoredOffset]:
        return sorted(self.tables.offsets.values(), key=lambda row: (row.topic, row.partition))

    def claim(self, partitions: Sequence[Wanted], *, run_id: str) -> list[Claim]:
        claims: list[Claim] = []
        for feed, topic, part in sorted(partitions, key=lambda wanted: wanted[2]):
            row = self.tables.offsets.get(part) or _new_row(topic, part)
            row = replace(row, epoch=row.epoch + 1, owner_run_id=run_id)
            self.tables.offsets[part] = row
            claims.append(
                Claim(
                    feed=feed,
                    topic=topic,
                    partition=part,
                    epoch=row.epoch,
                    next_offset=row.next_offset,
                    leader_epoch=row.leader_epoch,
                    max_ts_append=row.max_ts_append,
                )
            )
        return claims

    def commit(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        firsts = {own.claim.partition: own for own in reversed(slices)}
        fenced = frozenset(part for part, own in firsts.items() if not self.holds(own))
        live = [own for own in slices if own.claim.partition not in fenced]
        before = self.tables.copy()
        try:
            for own in live:
                self.move_offset(own)
            outcome = self._write(live, run_id=run_id, kind=BatchKind.LIVE)
        except BaseException:
            vars(self.tables).update(vars(before))
            raise
        return replace(outcome, fenced=fenced)

    def commit_replay(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        return self._write(slices, run_id=run_id, kind=BatchKind.REPLAY)

    def holds(self, first: Slice) -> bool:
        """Whether a claim is the last one, and begins where the store ends."""
        row = self.tables.offsets[first.claim.partition]
        return (row.epoch, row.next_offset) == (first.claim.epoch, first.first_offset)

    def move_offset(self, own: Slice) -> None:
        """The offset, in the transaction of its data."""
        row = self.tables.offsets[own.claim.partition]
        self.tables.offsets[own.claim.partition] = replace(row, next_offset=own.next_offset)

    def store_fact(self, part: TopicPart, record: Record, offset: int) -> bool:
        """Whether it is new."""
        if record.event_id in self.tables.facts:
            return False
        self.tables.facts[record.event_id] = StoredRecord(
            record.event_id, record.content_hash, part.topic_id, part.part, offset
        )
        return True

    def _write(self, slices: Sequence[Slice], *, run_id: str, kind: BatchKind) -> Outcome:
        stored = repeated = quarantined = 0
        for own in slices:
            part = own.claim.partition
            hashes: list[int] = []
            for record, offset in each_record(own):
                if self.store_fact(part, record, offset):
                    hashes.append(record.content_hash)
                elif self.tables.facts[record.event_id].content_hash == record.content_hash:
                    repeated += 1
                else:
                    self._quarantine(own, offset, Reason.CONFLICT, run_id)
                    quarantined += 1
            for refusal in own.refusals:
                self._quarantine(own, refusal.offset, refusal.reason, run_id)
                quarantined += 1
            stored += len(hashes)
            self.add_batch(own, run_id=run_id, kind=kind, stored=sum_of(hashes))
        return Outcome(
            stored_records={"quotes": stored} if stored else {},
            repeated_records=repeated,
            quarantined_records=quarantined,
        )

    def _quarantine(self, own: Slice, offset: int, reason: Reason, run_id: str) -> None:
        entry = QuarantineEntry(
            topic=own.claim.topic,
            partition=own.claim.partition,
            offset=offset,
            ts_append=0,
            reason=reason,
            error="",
            event_id=None,
            key=None,
            value=None,
            run_id=run_id,
            state="open",
            quarantined_at=0,
        )
        self.tables.quarantine.setdefault((own.claim.partition, offset), entry)

    def add_batch(self, own: Slice, *, run_id: str, kind: BatchKind, stored: Sum) -> None:
        """A row a slice: what stretches rows is a store's own matter."""
        batch = LoadBatch(
            run_id=run_id,
            topic=own.claim.topic,
            partition=own.claim.partition,
            epoch=own.claim.epoch,
            hour=own.hour,
            kind=kind,
            first_offset=own.first_offset,
            next_offset=own.next_offset,
            stored=stored,
            repeated_records=0,
            quarantined_records=0,
        )
        self.tables.batches.append(batch)

    def read_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredRecord]:
        found = (
            fact
            for fact in self.tables.facts.values()
            if (fact.topic_id, fact.part) == partition and first_offset <= fact.offset < next_offset
        )
        return iter(sorted(found, key=lambda fact: fact.offset))

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        found = self.read_range(feed, partition, first_offset, next_offset)
        return sum_of([fact.content_hash for fact in found])

    def read_quarantine(
        self,
        partition: TopicPart | None = None,
        *,
        first_offset: int = 0,
        next_offset: int | None = None,
    ) -> Iterator[QuarantineEntry]:
        entries = [e for (part, _), e in self.tables.quarantine.items() if part == partition]
        return iter(sorted(entries, key=lambda entry: entry.offset))

    def read_removed(self, partition: TopicPart) -> Sequence[Removed]:
        del partition
        return ()

    def read_load_batches(self, partition: TopicPart | None = None) -> Iterator[LoadBatch]:
        own = [batch for batch in self.tables.batches if batch.partition == partition]
        return iter(sorted(own, key=lambda batch: batch.first_offset))


def _new_row(topic: str, part: TopicPart) -> StoredOffset:
    return StoredOffset(
        topic=topic,
        partition=part,
        next_offset=0,
        leader_epoch=None,
        max_ts_append=0,
        epoch=0,
        owner_run_id=None,
        claimed_at=None,
        updated_at=None,
        blocked_by=None,
    )

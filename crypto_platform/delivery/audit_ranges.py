"""Compare a piece of one Kafka partition with one store, both ways.

Here: the two ways to compare a chunk. Not here: reading and cutting Kafka (audit.py,
audit_chunks.py), load_batch (audit_batches.py).

**The fast way** compares count and order-free hash of the chunk's distinct ids (each with its first
content, without what this store quarantined) with those of the rows whose first arrival lies in
the chunk. The content hash is over identity and facts, so equal sums mean equal sets but for a
chance of 2^-64; nothing is missing, extra or changed there. Where that could be wrong:

- A *repeat* of an id whose first arrival lies in another chunk (or before Kafka's low watermark)
  makes the sums differ, for the chunk counts the id and the store does not: the slow way. It asks
  the store where that row arrived. Wherever that is, it is a range that is audited itself, and a
  place the store has not reached is a fault: no row can hide by naming a far place.
- A record that was deleted and came back by a *replay of a later repeat* arrives at that repeat:
  the earlier chunk differs and finds it by id, the later one is equal.
- *Two contents under one id*: where both are in one chunk, the second one changes no sum. So a
  chunk in which a content beside the first is not in quarantine never takes the fast way.
- *Refused values* have no hash: each is looked for in quarantine, and each entry in Kafka, always.
- *One id in two rows*, each at a true arrival in a chunk of its own, would give equal sums twice.
  The unique key of both stores makes that impossible; the deep audit asks by id and would see it.
- A row whose *id* or *offset within the chunk* was changed by hand while its hash was kept gives
  equal sums too; so does one whose *columns* were. These, too, only the deep audit finds: it always
  takes the slow way and hashes the columns as they are read back.

**The slow way** reads the chunk's rows in order of offset, then the ids it still misses.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from crypto_platform.delivery.audit_chunks import Chunk, SeenRecord, list_firsts
from crypto_platform.delivery.audit_report import Fault, Findings
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import hash_facts
from crypto_platform.stores.base import EntryState, Store, StoredRecord, Sum, TopicPart

IDS_PER_CALL = 10_000
"""The store's own limit of read_records."""
FACTS_PER_CALL = 2_000


class Checked(NamedTuple):
    """What comparing a chunk with a store has brought, beside faults.

    Attributes:
        stored: Of the rows that arrived in the chunk.
        quarantined: Entries of the chunk.
        elsewhere: Ids of the chunk whose row arrived somewhere else.
        loadable: Entries whose value today's schemas take; a release would store them.
    """

    stored: Sum
    quarantined: int
    elsewhere: AbstractSet[str]
    loadable: int


class _Entry(NamedTuple):
    """A quarantine entry without its bytes."""

    reason: Reason
    state: str

    @property
    def is_released(self) -> bool:
        """Its record is stored."""
        return self.state == EntryState.RELEASED


@dataclass(frozen=True, kw_only=True)
class RangeChecker:
    """Compares chunks of one partition with one store.

    Attributes:
        has_reached: Whether the store has come past an arrival; asked about few rows only.
        deep: Always the slow way, and hash the columns as read back.
    """

    store: Store
    feed: Feed[Record]
    partition: TopicPart
    findings: Findings
    has_reached: Callable[[TopicPart, int], bool]
    deep: bool = False

    def check(self, chunk: Chunk) -> Checked:
        """Compare one chunk; faults go to `findings`."""
        entries = {
            entry.offset: _Entry(entry.reason, entry.state)
            for entry in self.store.read_quarantine(
                self.partition, first_offset=chunk.first_offset, next_offset=chunk.next_offset
            )
            if entry.state != EntryState.TRUNCATED  # it speaks of a log that is gone
        }
        loadable = self._check_quarantine(chunk, entries) if entries or chunk.refused else 0
        held = frozenset(offset for offset, entry in entries.items() if not entry.is_released)
        firsts = list_firsts(chunk.records, held) if held else chunk.firsts
        stored = self.store.sum_range(
            self.feed, self.partition, chunk.first_offset, chunk.next_offset
        )
        elsewhere: AbstractSet[str] = frozenset()
        if self.deep or firsts.contradicted or stored != firsts.total:
            elsewhere = self._compare(chunk, held)
        return Checked(stored, len(entries), elsewhere, loadable)

    def _fault(
        self, chunk: Chunk, kind: Fault, event_id: str | None, offset: int, detail: str
    ) -> None:
        self.findings.add(
            kind,
            self.store.sink,
            event_id=event_id,
            offset=offset,
            detail=detail,
            hour=chunk.hour,
        )

    def _check_quarantine(self, chunk: Chunk, entries: Mapping[int, _Entry]) -> int:
        """Each refused value has its entry, each entry its reason; returns how many could load."""
        for offset, reason in chunk.refused.items():
            entry = entries.get(offset)
            if entry is None:
                detail = f"Kafka's value is no record ({reason.value}) and is not in quarantine"
                self._fault(chunk, Fault.NOT_QUARANTINED, None, offset, detail)
            elif entry.is_released:
                detail = f"the entry is released, but the value is no record ({reason.value})"
                self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, None, offset, detail)
        decodable = {record.offset: record for record in chunk.records if record.offset in entries}
        for offset in sorted(entries.keys() - decodable.keys() - chunk.refused.keys()):
            detail = "the entry names an offset at which Kafka has nothing"
            self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, None, offset, detail)
        rows = self._look_up(sorted({record.event_id for record in decodable.values()}))
        for offset, record in decodable.items():
            [row, *_] = rows.get(record.event_id) or [None]
            self._check_entry(chunk, record, entries[offset], row)
        later = (Reason.UNDECODABLE, Reason.UNKNOWN_SCHEMA)
        open_entries = (entries[offset] for offset in decodable)
        return sum(
            entry.reason in later and entry.state == EntryState.OPEN for entry in open_entries
        )

    def _check_entry(
        self, chunk: Chunk, record: SeenRecord, entry: _Entry, row: StoredRecord | None
    ) -> None:
        """An entry about a record: is it a conflict, a refusal of the store, or released?"""
        same = row is not None and row.content_hash == record.content_hash
        if entry.is_released and not same:
            detail = "the entry is released, but no row has this content"
        elif not entry.is_released and entry.reason is Reason.CONFLICT and (row is None or same):
            found = "no row has this id" if row is None else "the row has the same content"
            detail = f"the entry calls it a conflict, but {found}"
        else:
            return
        self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, record.event_id, record.offset, detail)

    def _compare(self, chunk: Chunk, held: AbstractSet[int]) -> AbstractSet[str]:
        """The slow way; returns the ids whose row arrived elsewhere."""
        rows = self._compare_rows(chunk, held)
        wanted = {record.event_id for record in chunk.records if record.offset not in held}
        found = self._look_up(sorted(wanted - rows.keys()))
        elsewhere = self._judge_places(chunk, rows, found)
        known = {event_id: own[0].content_hash for event_id, own in found.items()} | rows
        changed = {event_id for event_id, content_hash in rows.items() if content_hash is None}
        missing: set[str] = set()
        for offset, event_id, content_hash in chunk.records:
            if offset in held or event_id in changed or event_id in missing:
                continue
            if event_id not in known:
                missing.add(event_id)
                detail = "in Kafka, neither stored nor in quarantine"
                self._fault(chunk, Fault.MISSING, event_id, offset, detail)
            elif known[event_id] != content_hash:
                detail = (
                    f"its content is {content_hash}, the row's {known[event_id]}; it is not in "
                    "quarantine"
                )
                self._fault(chunk, Fault.NOT_QUARANTINED, event_id, offset, detail)
        return elsewhere

    def _compare_rows(self, chunk: Chunk, held: AbstractSet[int]) -> dict[str, int | None]:
        """Every row that arrived in the chunk is the record at its offset.

        Returns:
            Content hash by id; None for rows with a fault that says all about them.
        """
        by_offset = {record.offset: record for record in chunk.records}
        rows: dict[str, int | None] = {}
        deep: list[StoredRecord] = []
        for row in self.store.read_range(
            self.feed, self.partition, chunk.first_offset, chunk.next_offset
        ):
            fault = _judge_row(row, by_offset.get(row.offset), rows, held)
            rows[row.event_id] = row.content_hash if fault is None else None
            if fault is not None:
                self._fault(chunk, fault[0], row.event_id, row.offset, fault[1])
            deep.append(row)
            if len(deep) >= FACTS_PER_CALL:
                self._check_columns(chunk, deep)
                deep = []
        self._check_columns(chunk, deep)
        return rows

    def _judge_places(
        self,
        chunk: Chunk,
        rows: Mapping[str, int | None],
        found: Mapping[str, Sequence[StoredRecord]],
    ) -> AbstractSet[str]:
        """Ids whose row arrived outside of the chunk, where the store has been."""
        elsewhere: set[str] = set()
        for event_id, own in found.items():
            if len(own) > 1 and rows.get(event_id, 0) is not None:
                places = " and ".join(f"{row.part}/{row.offset}" for row in own)
                self._fault(
                    chunk, Fault.TWICE, event_id, own[0].offset, f"rows that arrived at {places}"
                )
            outside = [row for row in own if not self._is_inside(chunk, row)]
            if len(outside) == len(own):
                elsewhere.add(event_id)
            for row in outside:
                if not self.has_reached(TopicPart(row.topic_id, row.part), row.offset):
                    detail = f"its row names an arrival at {row.part}/{row.offset}, never reached"
                    self._fault(chunk, Fault.EXTRA, event_id, row.offset, detail)
        return elsewhere

    def _is_inside(self, chunk: Chunk, row: StoredRecord) -> bool:
        return (row.topic_id, row.part) == self.partition and (
            chunk.first_offset <= row.offset < chunk.next_offset
        )

    def _check_columns(self, chunk: Chunk, rows: Sequence[StoredRecord]) -> None:
        """Deep: hash the facts of these rows as they are read back."""
        if not self.deep or not rows:
            return
        for fault, row, detail in check_columns(self.store, self.feed, rows):
            self._fault(chunk, fault, row.event_id, row.offset, detail)

    def _look_up(self, event_ids: Sequence[str]) -> dict[str, list[StoredRecord]]:
        """Rows by id; an incident that Kafka has not brought yet does not count."""
        found: dict[str, list[StoredRecord]] = {}
        for start in range(0, len(event_ids), IDS_PER_CALL):
            for row in self.store.read_records(self.feed, event_ids[start : start + IDS_PER_CALL]):
                if row.topic_id:
                    found.setdefault(row.event_id, []).append(row)
        return found


def _judge_row(
    row: StoredRecord,
    record: SeenRecord | None,
    before: Mapping[str, object],
    held: AbstractSet[int],
) -> tuple[Fault, str] | None:
    """What is wrong with a row, given what Kafka has at its offset."""
    if row.event_id in before:
        return Fault.TWICE, "a second row with this id"
    if record is None:
        return Fault.EXTRA, "Kafka has no record at this offset"
    if record.event_id != row.event_id:
        return Fault.EXTRA, f"Kafka has {record.event_id} at this offset"
    if record.content_hash != row.content_hash:
        detail = f"its content is {record.content_hash} in Kafka, {row.content_hash} here"
        return Fault.CHANGED, detail
    if row.offset in held:
        return Fault.TWICE, "stored, and in quarantine with the same offset"
    return None


def check_columns(
    store: Store, feed: Feed[Record], rows: Sequence[StoredRecord]
) -> Iterator[tuple[Fault, StoredRecord, str]]:
    """Read whole rows back by their ids and hash their facts.

    Args:
        store: Holds the rows.
        feed: Whose rows they are.
        rows: At most FACTS_PER_CALL, each id once.

    Yields:
        What is wrong with which row: other columns than those that were hashed, or a second row.
    """
    facts: dict[str, list[Record]] = {}
    for record in store.read_facts(feed, [row.event_id for row in rows]):
        facts.setdefault(record.event_id, []).append(record)
    for row in rows:
        found = facts.get(row.event_id, [])
        derived = [hash_facts(record) for record in found]
        if any(digest != row.content_hash for digest in derived) or not derived:
            hashes = " and ".join(map(str, derived)) or "nothing"
            detail = f"its columns hash to {hashes}, its content hash is {row.content_hash}"
            yield Fault.COLUMNS_CHANGED, row, detail
        elif len(found) > 1:
            yield Fault.TWICE, row, f"{len(found)} rows have this id"

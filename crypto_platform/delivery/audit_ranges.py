"""Compare a piece of one Kafka partition with one store, both ways.

Here: the two ways to compare a chunk. Not here: reading and cutting Kafka (audit.py,
audit_chunks.py), load_batch (audit_batches.py).

**The fast way** compares count and order-free hash of the chunk's distinct ids (each with its first
content, without what this store quarantined, without ids the chunks just before have proved) with
those of the rows whose first arrival lies in the chunk. The content hash is over identity and
facts, so equal sums mean equal sets but for a chance of 2^-64; nothing is missing, extra or changed
there. Where that could be wrong:

- A *repeat* of an id whose first arrival lies far before makes the sums differ, for the chunk
  counts the id and the store does not: the slow way. It asks the store where that row arrived.
  Wherever that is, it is a range that is audited itself, and a place the store has not reached is a
  fault: no row can hide by naming a far place.
- A record that was deleted and came back by a *replay of a later repeat* arrives at that repeat:
  the earlier chunk differs and finds it by id, the later one differs and finds nothing wrong.
- *Two contents under one id*: where both are in one chunk, the second one changes no sum. So a
  chunk in which a content beside the first is not in quarantine never takes the fast way.
- *Refused values* have no hash: each is looked for in quarantine, and each entry in Kafka, always.
- *One id in two rows*, each at a true arrival in a chunk of its own, gives equal sums twice. Where
  the store's key is the id alone it cannot be; a table that is partitioned by time has the time in
  its key, so there, and in the deep audit everywhere, the store is asked for ids with two rows.
- A row whose *id* or *offset within the chunk* was changed by hand while its hash was kept gives
  equal sums too; so does one whose *columns* were, and a stored value that *should have been
  refused*. These only the deep audit finds: it always takes the slow way, decodes Kafka's values by
  all rules and hashes the columns as they are read back.
- What *retention has removed* while Kafka still has it makes the sums differ: the slow way passes
  over records older than what was removed, and the store's account (audit_batches.py) says that no
  more is gone than was removed.
- Where Kafka's log was *cut and its offsets used again*, rows of the log before stand at offsets of
  other records. There it is always the slow way; that those rows are the right ones is proved by
  load_batch (audit_batches.py).

**The slow way** reads the chunk's rows in order of offset, then the ids it still misses.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from crypto_platform.delivery.audit_chunks import Chunk, Recent, Refused, SeenRecord, leave_out
from crypto_platform.delivery.audit_removed import Removals
from crypto_platform.delivery.audit_report import Fault, Findings
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredContent, StoredRecord
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.sums import Sum, sum_of

IDS_PER_CALL = 10_000
"""The store's own limit of read_records."""


class Checked(NamedTuple):
    """What comparing a chunk with a store has brought, beside faults.

    Attributes:
        stored: Of the rows that arrived in the chunk.
        quarantined: Entries of the chunk, in any state.
        open_quarantined: Those of them that are neither released nor discarded.
        elsewhere: Ids of the chunk whose row arrived somewhere else.
        loadable: Entries whose value today's schemas take; a release would store them.
        refused: Values of the chunk that turned out to be no records.
        problems: Faults found, by kind.
    """

    stored: Sum
    quarantined: int
    open_quarantined: int
    elsewhere: AbstractSet[str]
    loadable: int
    refused: Mapping[int, Refused]
    problems: Mapping[Fault, int]


class _Entry(NamedTuple):
    """A quarantine entry, as far as it is compared.

    Attributes:
        value: None where it was not kept for a comparison: of a record the id and hash are enough.
    """

    reason: Reason
    state: str
    event_id: str | None
    value: bytes | None

    @property
    def is_released(self) -> bool:
        """Its record is stored."""
        return self.state == EntryState.RELEASED


@dataclass(kw_only=True)
class RangeChecker:
    """Compares chunks of one partition with one store, in order.

    Attributes:
        truncated: Half-open offset ranges whose rows may be of a log that was cut.
        removed: What retention has taken away of this partition.
        is_stored: Whether the store has come past an arrival (asked about few rows only); None
            where the audit names that row apart.
        deep: Always the slow way, and hash the columns as read back.
        strays: Rows met that are named apart.
        passed_over: Records that are not stored, and old enough for retention to have taken them.
    """

    store: Store
    feed: Feed[Record]
    partition: TopicPart
    findings: Findings
    is_stored: Callable[[TopicPart, int], bool | None]
    truncated: Sequence[tuple[int, int]] = ()
    removed: Removals = field(default_factory=Removals)
    deep: bool = False
    strays: int = 0
    passed_over: int = 0
    _doubled: AbstractSet[str] = frozenset()
    _recent: Recent = field(default_factory=Recent)

    def check(self, chunk: Chunk) -> Checked:
        """Compare one chunk; faults go to `findings`."""
        before = Counter(self.findings.counts())
        entries = self._read_entries(chunk)
        chunk = chunk.sift(None if self.deep else entries.keys())
        held = frozenset(offset for offset, entry in entries.items() if not entry.is_released)
        stored = self.store.sum_range(
            self.feed, self.partition, chunk.first_offset, chunk.next_offset
        )
        repeats = self._compare_sums(chunk, held, stored)
        if repeats is None:
            chunk = chunk.sift()
        loadable = self._check_quarantine(chunk, entries) if entries or chunk.refused else 0
        self._doubled = self._check_repeated(chunk)
        elsewhere = self._compare(chunk, held, stored) if repeats is None else repeats
        problems = Counter(self.findings.counts()) - before
        if problems:
            self._recent.forget()
        else:
            self._recent.add(chunk.firsts_without(held))
        return Checked(
            stored=stored,
            quarantined=len(entries),
            open_quarantined=sum(entry.state == EntryState.OPEN for entry in entries.values()),
            elsewhere=elsewhere,
            loadable=loadable,
            refused=chunk.refused,
            problems=problems,
        )

    def _read_entries(self, chunk: Chunk) -> dict[int, _Entry]:
        found = self.store.read_quarantine(
            self.partition, first_offset=chunk.first_offset, next_offset=chunk.next_offset
        )
        return {
            entry.offset: _build_entry(entry)
            for entry in found
            if entry.state != EntryState.TRUNCATED  # it speaks of a log that is gone
        }

    def _compare_sums(
        self, chunk: Chunk, held: AbstractSet[int], stored: Sum
    ) -> AbstractSet[str] | None:
        """The fast way: the ids that are stored elsewhere, None where it proves nothing."""
        if self.deep or self._may_be_truncated(chunk):
            return None
        firsts = chunk.firsts_without(held)
        repeats, contradicted = self._recent.find_repeats(firsts)
        if contradicted or firsts.contradicted or stored != leave_out(firsts, repeats):
            return None
        return repeats

    def _may_be_truncated(self, chunk: Chunk) -> bool:
        return any(
            first < chunk.next_offset and chunk.first_offset < end for first, end in self.truncated
        )

    def is_truncated(self, row: StoredRecord) -> bool:
        """Whether a row may be of a log that was cut."""
        return (row.topic_id, row.part) == self.partition and self._is_used_again(row.offset)

    def _is_used_again(self, offset: int) -> bool:
        return any(first <= offset < end for first, end in self.truncated)

    def _check_repeated(self, chunk: Chunk) -> AbstractSet[str]:
        """Ids that stand in two rows; see the module's text for where that is not known anyway."""
        if not self.deep and self.feed.partition_step is None:
            return frozenset()
        rows = self.store.read_repeated(
            self.feed, self.partition, chunk.first_offset, chunk.next_offset
        )
        for row in rows:
            detail = "another row has this id"
            self._fault(chunk, Fault.TWICE, row.event_id, row.offset, detail)
        return {row.event_id for row in rows}

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
        for offset, (reason, value) in chunk.refused.items():
            entry = entries.get(offset)
            if entry is None:
                detail = f"Kafka's value is no record ({reason.value}) and is not in quarantine"
                self._fault(chunk, Fault.NOT_QUARANTINED, None, offset, detail)
            elif entry.is_released:
                detail = f"the entry is released, but the value is no record ({reason.value})"
                self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, None, offset, detail)
            elif entry.value != value:
                detail = "the entry holds other bytes than Kafka"
                self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, None, offset, detail)
        current = {offset for offset in entries if not self._is_used_again(offset)}
        decodable = {record.offset: record for record in chunk.records if record.offset in current}
        for offset in sorted(current - decodable.keys() - chunk.refused.keys()):
            detail = "the entry names an offset at which Kafka has nothing"
            self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, None, offset, detail)
        rows = self._look_up(sorted({record.event_id for record in decodable.values()}))
        for offset, record in decodable.items():
            [row, *_] = rows.get(record.event_id) or [None]
            if row is None and self._is_removed(chunk, offset):
                continue
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
        elif entry.event_id not in {None, record.event_id}:
            detail = f"the entry calls it {entry.event_id}"
        else:
            return
        self._fault(chunk, Fault.UNFOUNDED_QUARANTINE, record.event_id, record.offset, detail)

    def _compare(self, chunk: Chunk, held: AbstractSet[int], stored: Sum) -> AbstractSet[str]:
        """The slow way; returns the ids whose row arrived elsewhere."""
        before = self.findings.of(self.store.sink)
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
            if event_id not in known and self._is_removed(chunk, offset):
                self.passed_over += 1
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
        is_explained = self.findings.of(self.store.sink) > before or bool(self._doubled)
        if not is_explained and not self._may_be_truncated(chunk):
            self._check_read(chunk, stored, rows)
        return elsewhere

    def _is_removed(self, chunk: Chunk, offset: int) -> bool:
        """Whether retention may have removed a record: what it took, the account knows.

        A later repeat of a removed record is no less gone, so the range that stored it may be any
        before this offset.
        """
        cut = self.removed.find_cut(offset)
        if cut is None:
            return False
        event_us = chunk.find_event_time(offset)
        return event_us is not None and event_us < cut

    def _check_read(self, chunk: Chunk, stored: Sum, rows: Mapping[str, int | None]) -> None:
        """What was read row by row is what the store has summed; a replay may have come between."""
        read = sum_of([each for each in rows.values() if each is not None])
        if read == stored:
            return
        again = self.store.sum_range(
            self.feed, self.partition, chunk.first_offset, chunk.next_offset
        )
        if again == stored:
            detail = f"{stored.count} rows were summed, {read.count} other ones read"
            self._fault(chunk, Fault.SUM_DIFFERS, None, chunk.first_offset, detail)

    def _read_rows(self, chunk: Chunk) -> Iterator[StoredContent]:
        place = (self.feed, self.partition, chunk.first_offset, chunk.next_offset)
        if self.deep:
            return self.store.read_contents(*place)
        return (StoredContent(row, row.content_hash) for row in self.store.read_range(*place))

    def _compare_rows(self, chunk: Chunk, held: AbstractSet[int]) -> dict[str, int | None]:
        """Every row that arrived in the chunk is the record at its offset.

        Returns:
            Content hash by id; None for rows with a fault that says all about them. Rows of a log
            that was cut are left out.
        """
        by_offset = {record.offset: record for record in chunk.records}
        rows: dict[str, int | None] = {}
        for content in self._read_rows(chunk):
            row = content.record
            record = by_offset.get(row.offset)
            fault = _judge_row(row, record, rows, held)
            if fault is not None and self.is_truncated(row):
                continue
            rows[row.event_id] = row.content_hash if fault is None else None
            if fault is not None and row.event_id not in self._doubled:
                self._fault(chunk, fault[0], row.event_id, row.offset, fault[1])
            if self.deep and (wrong := judge_content(content)):
                self._fault(chunk, Fault.COLUMNS_CHANGED, row.event_id, row.offset, wrong)
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
            is_new = event_id not in self._doubled and rows.get(event_id, 0) is not None
            if len(own) > 1 and is_new:
                places = " and ".join(f"{row.part}/{row.offset}" for row in own)
                self._fault(
                    chunk, Fault.TWICE, event_id, own[0].offset, f"rows that arrived at {places}"
                )
            outside = [row for row in own if not self._is_inside(chunk, row)]
            if len(outside) == len(own):
                elsewhere.add(event_id)
            for row in outside:
                place = TopicPart(row.topic_id, row.part)
                is_stored = self.is_truncated(row) or self.is_stored(place, row.offset)
                if is_stored is None:
                    self.strays += 1
                elif not is_stored:
                    detail = f"its row names an arrival at {row.part}/{row.offset}, never reached"
                    self._fault(chunk, Fault.EXTRA, event_id, row.offset, detail)
        return elsewhere

    def _is_inside(self, chunk: Chunk, row: StoredRecord) -> bool:
        return (row.topic_id, row.part) == self.partition and (
            chunk.first_offset <= row.offset < chunk.next_offset
        )

    def _look_up(self, event_ids: Sequence[str]) -> dict[str, list[StoredRecord]]:
        """Rows by id; an incident that Kafka has not brought yet does not count."""
        found: dict[str, list[StoredRecord]] = {}
        for start in range(0, len(event_ids), IDS_PER_CALL):
            for row in self.store.read_records(self.feed, event_ids[start : start + IDS_PER_CALL]):
                if row.topic_id:
                    found.setdefault(row.event_id, []).append(row)
        return found


def _build_entry(entry: QuarantineEntry) -> _Entry:
    is_record = entry.event_id is not None
    return _Entry(
        reason=entry.reason,
        state=entry.state,
        event_id=entry.event_id,
        value=None if is_record else entry.value,
    )


def _judge_row(  # noqa: PLR0911 - a list of rules
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
    if record.event_id != row.event_id and record.content_hash == row.content_hash:
        return Fault.TWICE, f"a row with the content and arrival of {record.event_id}"
    if record.event_id != row.event_id:
        return Fault.EXTRA, f"Kafka has {record.event_id} at this offset"
    if record.content_hash != row.content_hash:
        detail = f"its content is {record.content_hash} in Kafka, {row.content_hash} here"
        return Fault.CHANGED, detail
    if row.offset in held:
        return Fault.TWICE, "stored, and in quarantine with the same offset"
    return None


def judge_content(content: StoredContent) -> str | None:
    """What is wrong with the columns of a row as they are read back."""
    if content.problem is not None:
        return content.problem
    if content.derived_hash != content.record.content_hash:
        return (
            f"its columns hash to {content.derived_hash}, its content hash is "
            f"{content.record.content_hash}"
        )
    return None

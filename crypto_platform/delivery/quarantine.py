"""Quarantine: find entries, load their kept bytes with today's code, leave them out for good.

Here: which entries are meant, releasing them in batches, why one stays. A release is a replay from
the bytes that the store kept, not from Kafka, which may have lost them: the record and the state of
its entry change in one transaction. Not here: that transaction (stores/), the command
(cli/quarantine.py).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crypto_platform.delivery.slices import cut_slices
from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.reader import PartRead, RawRecord
from crypto_platform.kafka.topics import topic_name
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.matters import EntryFilter, EntryState, QuarantineEntry

BATCH_ENTRIES_MAX = 500
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Of the values in one transaction."""

EXAMPLES_MAX = 20
"""Entries named where more of them may be meant; all are counted."""

_NAME = re.compile(r"(?P<sink>[^:]+):(?P<topic>.+)/(?P<part>\d{1,9})@(?P<offset>\d{1,18})")


class EntryName(NamedTuple):
    """An entry as people name it: postgres:market.quotes/1@207."""

    sink: str
    topic: str
    part: int
    offset: int

    def __str__(self) -> str:
        return f"{self.sink}:{self.topic}/{self.part}@{self.offset}"


def name_entry(sink: str, entry: QuarantineEntry) -> EntryName:
    """The name of an entry of this store."""
    return EntryName(sink, entry.topic, entry.partition.part, entry.offset)


def parse_name(text: str) -> EntryName | None:
    """The name in a text; None where it is none."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    return EntryName(found["sink"], found["topic"], int(found["part"]), int(found["offset"]))


def find_entries(store: Store, wanted: EntryFilter) -> Iterator[QuarantineEntry]:
    """The entries that are meant, by topic, partition and offset; a page at a time."""
    next_offset = None if wanted.offset is None else wanted.offset + 1
    for row in store.read_offsets():
        if wanted.topic not in {None, row.topic} or wanted.part not in {None, row.partition.part}:
            continue
        for entry in store.read_quarantine(
            row.partition, first_offset=wanted.offset or 0, next_offset=next_offset
        ):
            is_reason = wanted.reason in {None, entry.reason}
            if is_reason and wanted.state in {None, entry.state}:
                yield entry


class Kept(NamedTuple):
    """An entry that stays as it is, and why."""

    entry: QuarantineEntry
    why: str


@dataclass(kw_only=True)
class Released:
    """What a release did, or would do.

    Attributes:
        stored_records: New in the store.
        repeated_records: There already, with the same content.
        kept_records: Entries that stay open.
        kept: EXAMPLES_MAX of them at most.
    """

    stored_records: int = 0
    repeated_records: int = 0
    kept_records: int = 0
    kept: list[Kept] = field(default_factory=list[Kept])

    @property
    def released_records(self) -> int:
        """Entries that are closed."""
        return self.stored_records + self.repeated_records

    def keep(self, entry: QuarantineEntry, why: str) -> None:
        """Count an entry that stays open."""
        self.kept_records += 1
        if len(self.kept) < EXAMPLES_MAX:
            self.kept.append(Kept(entry, why))


class Loadable(NamedTuple):
    """An entry whose bytes are a record today."""

    entry: QuarantineEntry
    record: Record


def release(
    settings: Settings,
    store: Store,
    entries: Iterable[QuarantineEntry],
    *,
    run_id: str,
    dry_run: bool = False,
    progress: Callable[[Released], None] = lambda released: None,
) -> Released:
    """Load open entries from their kept bytes; what is refused again stays open.

    Doing it again changes nothing; a kill leaves whole batches done.

    Args:
        entries: As find_entries gives them.
        run_id: Names the release in load_batch.
        dry_run: Only say what would become of them.
        progress: Called after each batch with the counts so far.

    Raises:
        StoreUnavailableError: What was released before stays.
        StoreRefusedError: The same.
    """
    feed_of = {topic_name(settings, feed.topic): feed for feed in FEEDS}
    released = Released()
    for batch in cut_batches(entry for entry in entries if entry.state == EntryState.OPEN):
        feed = feed_of.get(batch[0].topic)
        if feed is None:
            for entry in batch:
                released.keep(entry, f"no feed of today has topic {entry.topic}")
            continue
        loadable = _decode_all(settings, feed, batch, released)
        if loadable and dry_run:
            _foresee(store, feed, loadable, released)
        elif loadable:
            _load(settings, store, feed, loadable, run_id=run_id, into=released)
        progress(released)
    return released


def cut_batches(entries: Iterable[QuarantineEntry]) -> Iterator[list[QuarantineEntry]]:
    """Entries in lists of one partition and a bounded size, each by rising offset."""
    batch: list[QuarantineEntry] = []
    size_bytes = 0
    for entry in entries:
        is_full = len(batch) >= BATCH_ENTRIES_MAX or size_bytes > BATCH_BYTES_MAX
        if batch and (is_full or entry.partition != batch[-1].partition):
            yield batch
            batch, size_bytes = [], 0
        batch.append(entry)
        size_bytes += len(entry.value or b"")
    if batch:
        yield batch


def discard(
    store: Store,
    entries: Iterable[QuarantineEntry],
    *,
    note: str,
) -> int:
    """Leave open entries out for good, replays included; returns how many there were.

    Args:
        note: Who decided it, and why; kept with each entry.

    Raises:
        StoreUnavailableError: What was discarded before stays so.
    """
    count = 0
    for batch in cut_batches(entries):
        offsets = [entry.offset for entry in batch]
        count += len(store.discard(batch[0].partition, offsets, note=note))
    return count


def _decode_all(
    settings: Settings, feed: Feed[Record], batch: Sequence[QuarantineEntry], released: Released
) -> list[Loadable]:
    loadable: list[Loadable] = []
    for entry in batch:
        try:
            record = decode(feed, entry.value, record_bytes_max=settings.load.record_bytes_max)
        except RecordRejectedError as error:
            released.keep(entry, f"still {error.reason.value}: {error}")
        else:
            loadable.append(Loadable(entry, record))
    return loadable


def _foresee(
    store: Store, feed: Feed[Record], loadable: Sequence[Loadable], released: Released
) -> None:
    """Count what a release would do with them."""
    known = _read_hashes(store, feed, [record.event_id for _, record in loadable])
    for entry, record in loadable:
        found = known.get(record.event_id)
        if found is None:
            released.stored_records += 1
            known[record.event_id] = record.content_hash
        elif found == record.content_hash:
            released.repeated_records += 1
        else:
            released.keep(entry, _describe_conflict(record, found))


def _load(
    settings: Settings,
    store: Store,
    feed: Feed[Record],
    loadable: Sequence[Loadable],
    *,
    run_id: str,
    into: Released,
) -> None:
    first, last = loadable[0].entry, loadable[-1].entry
    claim = Claim(
        feed=feed,
        topic=first.topic,
        partition=first.partition,
        epoch=0,
        next_offset=first.offset,
        leader_epoch=None,
        max_ts_append=0,
    )
    records = [RawRecord(e.offset, e.ts_append, e.key, e.value) for e, _ in loadable]
    slices = cut_slices(
        claim,
        PartRead.collect(records, next_offset=last.offset + 1),
        record_bytes_max=settings.load.record_bytes_max,
    )
    outcome = store.commit_replay(slices, run_id=run_id)
    into.stored_records += sum(outcome.stored_records.values())
    into.repeated_records += outcome.repeated_records
    if outcome.quarantined_records:
        _explain(store, feed, loadable, into)


def _explain(
    store: Store, feed: Feed[Record], loadable: Sequence[Loadable], into: Released
) -> None:
    """Say why some of a batch were refused by the store itself."""
    first, last = loadable[0].entry, loadable[-1].entry
    states = _read_states(store, first.partition, first.offset, last.offset + 1)
    refused = [each for each in loadable if states.get(each.entry.offset) == EntryState.OPEN]
    known = _read_hashes(store, feed, [record.event_id for _, record in refused])
    for entry, record in refused:
        found = known.get(record.event_id, record.content_hash)
        if found == record.content_hash:
            into.keep(entry, f"{store.sink} refuses it: {entry.error}")
        else:
            into.keep(entry, _describe_conflict(record, found))


def _read_states(
    store: Store, partition: TopicPart, first_offset: int, next_offset: int
) -> dict[int, str]:
    found = store.read_quarantine(partition, first_offset=first_offset, next_offset=next_offset)
    return {entry.offset: entry.state for entry in found}


def _read_hashes(store: Store, feed: Feed[Record], event_ids: Sequence[str]) -> dict[str, int]:
    found = store.read_records(feed, list(dict.fromkeys(event_ids)))
    return {row.event_id: row.content_hash for row in found}


def _describe_conflict(record: Record, found: int) -> str:
    return (
        f"conflict: {record.event_id} is stored with content {found}, this one has "
        f"{record.content_hash}"
    )

"""quarantine and load_batch: what a commit writes beside the records.

Here: their documents, the statements that write them, and reading them back. Not here: kafka_offset
(claims.py), records (writer.py).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson.int64 import Int64
from pymongo.client_session import ClientSession

from crypto_platform.errors import Reason
from crypto_platform.stores.batches import BatchKind, LoadBatch, Removed, TakenOver
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.mongo.claims import times
from crypto_platform.stores.mongo.connection import Connection, Document
from crypto_platform.stores.mongo.pieces import (
    Piece,
    Tally,
    count_refused,
    list_loaded,
    list_refused,
)
from crypto_platform.stores.mongo.schema import LOAD_BATCH, QUARANTINE, REMOVED
from crypto_platform.stores.slices import Refusal, Slice
from crypto_platform.stores.sums import Sum

UPDATES_BYTES_MAX = 8 * 1024 * 1024
"""Of the quarantined values in one command, which may hold 16 MB."""


def write_quarantine(
    session: ClientSession,
    connection: Connection,
    work: Iterable[tuple[Piece, Tally]],
    *,
    run_id: str,
    kind: BatchKind,
    now_us: int,
) -> None:
    """Keep what was refused, with its bytes.

    An entry at a live offset can only be of a log that was cut and grew again: the new value takes
    its place. A replay meets its own entries: they stay as they are, whatever became of them.
    """
    operator = "$set" if kind is BatchKind.LIVE else "$setOnInsert"
    updates: list[dict[str, Any]] = []
    size_bytes = 0
    for piece, tally in work:
        for refusal, event_id in list_refused(piece, tally):
            key, document = _build_entry(piece.slice, refusal, event_id)
            document |= {"run_id": run_id, "state": EntryState.OPEN.value, "note": None}
            document |= times("quarantined_at", now_us)
            updates.append({"q": {"_id": key}, "u": {operator: document}, "upsert": True})
            size_bytes += len(refusal.value or b"")
            if size_bytes > UPDATES_BYTES_MAX:
                _update(session, connection, QUARANTINE, updates)
                updates, size_bytes = [], 0
    _update(session, connection, QUARANTINE, updates)


def take_over(
    session: ClientSession,
    connection: Connection,
    work: Iterable[tuple[Piece, Tally]],
    taken: TakenOver,
) -> None:
    """Write what restored ranges bring from the other store's books; what is there stays."""
    feed_of = {piece.slice.claim.partition: piece.feed.name for piece, _ in work}
    updates: list[dict[str, Any]] = []
    size_bytes = 0
    for entry in taken.entries:
        key, document = _copy_entry(entry, feed_of[entry.partition])
        updates.append({"q": {"_id": key}, "u": {"$setOnInsert": document}, "upsert": True})
        size_bytes += len(entry.value or b"")
        if size_bytes > UPDATES_BYTES_MAX:
            _update(session, connection, QUARANTINE, updates)
            updates, size_bytes = [], 0
    _update(session, connection, QUARANTINE, updates)
    _update(session, connection, REMOVED, [_copy_removed(each) for each in taken.removed])
    _update(session, connection, LOAD_BATCH, [_copy_truncated(each) for each in taken.truncated])


def _copy_entry(entry: QuarantineEntry, feed_name: str) -> tuple[str, dict[str, Any]]:
    topic_id, part = entry.partition
    document = {
        "topic": entry.topic,
        "feed": feed_name,
        "topic_id": topic_id,
        "part": Int64(part),
        "record_offset": Int64(entry.offset),
        **times("ts_append", entry.ts_append),
        "reason": entry.reason.value,
        "error": entry.error.encode("utf-8", "backslashreplace").decode(),
        "event_id": entry.event_id,
        "key": entry.key,
        "value": entry.value,
        "run_id": entry.run_id,
        "state": str(entry.state),
        "note": entry.note,
        **times("quarantined_at", entry.quarantined_at),
    }
    return f"{topic_id}:{part}:{entry.offset}", document


def _copy_removed(each: Removed) -> dict[str, Any]:
    topic_id, part = each.partition
    key = {
        "topic_id": topic_id,
        "part": Int64(part),
        "first_offset": Int64(each.first_offset),
        "run_id": each.run_id,
    }
    document = {
        "topic": each.topic,
        **times("hour", each.hour),
        **times("events_before", each.events_before),
        "removed_records": Int64(each.removed.count),
        "removed_high": Int64(each.removed.high),
        "removed_low": Int64(each.removed.low),
    }
    return {"q": key, "u": {"$setOnInsert": document}, "upsert": True}


def _copy_truncated(batch: LoadBatch) -> dict[str, Any]:
    topic_id, part = batch.partition
    key = {
        "topic_id": topic_id,
        "part": Int64(part),
        "next_offset": Int64(batch.next_offset),
        "run_id": batch.run_id,
        "epoch": Int64(batch.epoch),
        "hour_us": Int64(batch.hour),
        "kind": BatchKind.TRUNCATED.value,
    }
    zero = ("stored_records", "stored_high", "stored_low", "repeated_records")
    document = {
        "topic": batch.topic,
        "first_offset": Int64(batch.first_offset),
        "hour": times("hour", batch.hour)["hour"],
        **dict.fromkeys((*zero, "quarantined_records"), Int64(0)),
    }
    return {"q": key, "u": {"$setOnInsert": document}, "upsert": True}


def leave_out_discarded(
    session: ClientSession, connection: Connection, pieces: Iterable[Piece]
) -> None:
    """Leave out the records whose entry is discarded, as this transaction's snapshot has it.

    One that is discarded after the snapshot is open in it: marking it released conflicts then.
    """
    for piece in pieces:
        discarded = _read_offsets(session, connection, piece.slice, EntryState.DISCARDED)
        piece.leave_out(discarded)


def release_quarantine(
    session: ClientSession,
    connection: Connection,
    work: Iterable[tuple[Piece, Tally]],
    *,
    run_id: str,
    now_us: int,
) -> None:
    """Close the open entries of the ranges whose value is a stored record now."""
    for piece, tally in work:
        waiting = _read_offsets(session, connection, piece.slice, EntryState.OPEN)
        if not waiting:
            continue
        topic_id, part = piece.slice.claim.partition
        released = {
            "state": EntryState.RELEASED.value,
            "released_by_run_id": run_id,
            **times("released_at", now_us),
        }
        update = {
            "q": {
                "topic_id": topic_id,
                "part": part,
                "record_offset": {"$in": sorted(waiting & list_loaded(piece, tally))},
                "state": EntryState.OPEN.value,
            },
            "u": {"$set": released},
            "multi": True,
        }
        _update(session, connection, QUARANTINE, [update])


def _read_offsets(
    session: ClientSession, connection: Connection, slice_: Slice, state: EntryState
) -> set[int]:
    """The offsets of a range's entries in this state."""
    query = _of_partition(slice_.claim.partition) | {
        "record_offset": {"$gte": slice_.first_offset, "$lt": slice_.next_offset},
        "state": state.value,
    }
    found = connection.collection(QUARANTINE).find(query, {"record_offset": 1}, session=session)
    return {int(document["record_offset"]) for document in found}


def extend_load_batches(
    session: ClientSession,
    connection: Connection,
    work: Iterable[tuple[Piece, Tally]],
    *,
    run_id: str,
    kind: BatchKind,
) -> None:
    """Add each range to the one it continues (same run, claim, hour and kind), else begin one."""
    updates = [
        _build_extension(piece.slice, tally, count_refused(piece, tally), run_id, kind)
        for piece, tally in work
        if piece.slice.next_offset > piece.slice.first_offset
    ]
    _update(session, connection, LOAD_BATCH, updates)


def read_quarantine(
    connection: Connection,
    partition: TopicPart | None,
    *,
    first_offset: int,
    next_offset: int | None,
) -> Iterator[QuarantineEntry]:
    """Entries in any state, by partition and offset."""
    offsets = {"$gte": first_offset} | ({} if next_offset is None else {"$lt": next_offset})
    query = _of_partition(partition) | {"record_offset": offsets}
    order = [("topic_id", 1), ("part", 1), ("record_offset", 1)]
    for document in connection.collection(QUARANTINE).find(query).sort(order):
        yield parse_entry(document)


def read_load_batches(connection: Connection, partition: TopicPart | None) -> Iterator[LoadBatch]:
    """See Store.read_load_batches."""
    names = ("topic_id", "part", "first_offset", "kind", "run_id", "epoch", "hour_us")
    order = [(name, 1) for name in names]
    for document in connection.collection(LOAD_BATCH).find(_of_partition(partition)).sort(order):
        yield _parse_batch(document)


def _build_entry(
    slice_: Slice, refusal: Refusal, event_id: str | None
) -> tuple[str, dict[str, Any]]:
    topic_id, part = slice_.claim.partition
    document = {
        "topic": slice_.claim.topic,
        "feed": slice_.claim.feed.name,
        "topic_id": topic_id,
        "part": Int64(part),
        "record_offset": Int64(refusal.offset),
        **times("ts_append", refusal.ts_append),
        "reason": refusal.reason.value,
        "error": refusal.error.encode("utf-8", "backslashreplace").decode(),
        "event_id": event_id,
        "key": refusal.key,
        "value": refusal.value,
    }
    return f"{topic_id}:{part}:{refusal.offset}", document


def _build_extension(
    slice_: Slice, tally: Tally, refused: int, run_id: str, kind: BatchKind
) -> dict[str, Any]:
    topic_id, part = slice_.claim.partition
    stored = tally.accounted or tally.stored
    key = {
        "topic_id": topic_id,
        "part": Int64(part),
        "next_offset": Int64(slice_.first_offset),
        "run_id": run_id,
        "epoch": Int64(slice_.claim.epoch),
        "hour_us": Int64(slice_.hour),
        "kind": kind.value,
    }
    begin = {
        "topic": slice_.claim.topic,
        "first_offset": Int64(slice_.first_offset),
        "hour": times("hour", slice_.hour)["hour"],
    }
    # sums of 32-bit halves stay below 2^63 for two thousand million records
    counts = {
        "stored_records": stored.count,
        "stored_high": stored.high,
        "stored_low": stored.low,
        "repeated_records": tally.repeated,
        "quarantined_records": refused,
    }
    change = {
        "$set": {"next_offset": Int64(slice_.next_offset)},
        "$setOnInsert": begin,
        "$inc": {name: Int64(count) for name, count in counts.items()},
    }
    return {"q": key, "u": change, "upsert": True}


def _update(
    session: ClientSession,
    connection: Connection,
    collection: str,
    updates: Sequence[Mapping[str, Any]],
) -> None:
    if updates:
        connection.update(session, collection, updates)


def _of_partition(partition: TopicPart | None) -> dict[str, Any]:
    if partition is None:
        return {}
    return {"topic_id": partition.topic_id, "part": partition.part}


def parse_entry(document: Document) -> QuarantineEntry:
    """A document of the quarantine."""
    return QuarantineEntry(
        topic=document["topic"],
        partition=TopicPart(document["topic_id"], int(document["part"])),
        offset=int(document["record_offset"]),
        ts_append=int(document["ts_append_us"]),
        reason=Reason(document["reason"]),
        error=document["error"],
        event_id=document["event_id"],
        key=document["key"],
        value=document["value"],
        run_id=document["run_id"],
        state=EntryState(document["state"]),
        quarantined_at=int(document["quarantined_at_us"]),
        note=document.get("note"),  # an entry of an older version has none
    )


def _parse_batch(document: Document) -> LoadBatch:
    return LoadBatch(
        run_id=document["run_id"],
        topic=document["topic"],
        partition=TopicPart(document["topic_id"], int(document["part"])),
        epoch=int(document["epoch"]),
        hour=int(document["hour_us"]),
        kind=BatchKind(document["kind"]),
        first_offset=int(document["first_offset"]),
        next_offset=int(document["next_offset"]),
        stored=Sum(
            int(document["stored_records"]),
            int(document["stored_high"]),
            int(document["stored_low"]),
        ),
        repeated_records=int(document["repeated_records"]),
        quarantined_records=int(document["quarantined_records"]),
    )

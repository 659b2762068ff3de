"""The platform's own rows beside the data: offsets, quarantine, load_batch, touched.

Here: SQL on schema platform, for use inside a transaction that others open and end; plain values go
in and out. Every statement takes arrays, so that its text is constant (psycopg prepares it) and a
commit of 40 partitions costs as many round trips as one of 1. Not here: fact tables (facts.py).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.stores.batches import BatchKind, TakenOver
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.matters import EntryState
from crypto_platform.stores.postgres.rows import format_texts, format_time
from crypto_platform.stores.postgres.session import Connection
from crypto_platform.stores.slices import Arrival, Refusal, Slice, without_offsets
from crypto_platform.stores.sums import EMPTY_SUM, Sum

SINK = "postgres"

_LOCK_OFFSETS = """
SELECT o.topic_id::text, o.part, o.epoch, o.next_offset
FROM platform.kafka_offset AS o
WHERE o.sink = 'postgres'
  AND (o.topic_id, o.part) IN (SELECT * FROM unnest(%s::uuid[], %s::integer[]))
ORDER BY o.sink, o.topic_id, o.part
FOR UPDATE OF o
"""

_MOVE_OFFSETS = """
UPDATE platform.kafka_offset AS o
SET next_offset = u.next_offset,
    leader_epoch = coalesce(u.leader_epoch, o.leader_epoch),
    max_ts_append = greatest(o.max_ts_append, u.max_ts_append),
    updated_at = clock_timestamp()
FROM unnest(%s::uuid[], %s::integer[], %s::bigint[], %s::integer[], %s::timestamptz[])
  AS u(topic_id, part, next_offset, leader_epoch, max_ts_append)
WHERE o.sink = 'postgres' AND o.topic_id = u.topic_id AND o.part = u.part
"""

_ADD_BATCHES = """
INSERT INTO platform.load_batch AS b (
  sink, run_id, kind, topic, topic_id, part, epoch, hour, offsets,
  stored_records, stored_high, stored_low, repeated_records, quarantined_records)
SELECT 'postgres', %s::text, %s::text, u.topic, u.topic_id, u.part, u.epoch, u.hour,
  int8range(u.first_offset, u.next_offset), u.stored, u.high, u.low, u.repeated, u.quarantined
FROM unnest(
  %s::text[], %s::uuid[], %s::integer[], %s::bigint[], %s::timestamptz[], %s::bigint[],
  %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[], %s::bigint[])
  AS u(topic, topic_id, part, epoch, hour, first_offset,
       next_offset, stored, high, low, repeated, quarantined)
ON CONFLICT (sink, topic_id, part, hour, epoch, kind, run_id) DO UPDATE
SET offsets = range_merge(b.offsets, excluded.offsets),
    stored_records = b.stored_records + excluded.stored_records,
    stored_high = b.stored_high + excluded.stored_high,
    stored_low = b.stored_low + excluded.stored_low,
    repeated_records = b.repeated_records + excluded.repeated_records,
    quarantined_records = b.quarantined_records + excluded.quarantined_records
"""

_TOUCH = """
INSERT INTO platform.touched AS t (feed, key, event_hour, version)
SELECT u.feed, u.key, u.event_hour, nextval('platform.touched_version')
FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS u(feed, key, event_hour)
ON CONFLICT (feed, key, event_hour) DO UPDATE SET version = excluded.version
"""

_QUARANTINE = """
INSERT INTO platform.quarantine (
  run_id, topic_id, part, record_offset, topic, feed, ts_append, reason, error,
  event_id, key, value, state, quarantined_at)
SELECT %s::text, u.*, 'open', clock_timestamp()
FROM unnest(
  %s::uuid[], %s::integer[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
  %s::text[], %s::text[], %s::bytea[], %s::bytea[]) AS u
ON CONFLICT (topic_id, part, record_offset)
"""

# An entry at a live offset can only be of a log that was cut and has grown again: the new value
# replaces it. A replay meets its own entries, and they keep their state.
_QUARANTINE_LIVE = f"""{_QUARANTINE} DO UPDATE
SET (run_id, ts_append, reason, error, event_id, key, value, state, quarantined_at, note) =
  ROW (excluded.run_id, excluded.ts_append, excluded.reason, excluded.error, excluded.event_id,
       excluded.key, excluded.value, excluded.state, excluded.quarantined_at, NULL)
"""

_QUARANTINE_REPLAY = f"{_QUARANTINE} DO NOTHING"

_LOCK_QUARANTINE = """
SELECT q.record_offset, q.state
FROM platform.quarantine AS q
WHERE q.topic_id = %s AND q.part = %s AND q.record_offset >= %s AND q.record_offset < %s
  AND q.state IN ('open', 'discarded')
ORDER BY q.record_offset
FOR UPDATE
"""

_RELEASE = """
UPDATE platform.quarantine SET state = 'released'
WHERE topic_id = %s AND part = %s AND record_offset = ANY(%s::bigint[])
"""


_TAKE_OVER_ENTRIES = """
INSERT INTO platform.quarantine (
  topic_id, part, record_offset, topic, feed, ts_append, reason, error, event_id, key, value,
  run_id, state, quarantined_at, note)
SELECT * FROM unnest(
  %s::uuid[], %s::integer[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
  %s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::text[], %s::text[], %s::timestamptz[],
  %s::text[])
ON CONFLICT (topic_id, part, record_offset) DO NOTHING
"""

# The migrator's function: the loader may not say by itself that something was removed.
_TAKE_OVER_REMOVED = """
SELECT platform.take_removed_over(
  %s::uuid[], %s::integer[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[],
  %s::timestamptz[], %s::bigint[], %s::numeric[], %s::numeric[])
"""

_TAKE_OVER_TRUNCATED = """
INSERT INTO platform.load_batch (
  sink, run_id, kind, topic, topic_id, part, epoch, hour, offsets,
  stored_records, stored_high, stored_low, repeated_records, quarantined_records)
SELECT 'postgres', u.run_id, 'truncated', u.topic, u.topic_id, u.part, u.epoch, u.hour,
  int8range(u.first_offset, u.next_offset), 0, 0, 0, 0, 0
FROM unnest(
  %s::text[], %s::text[], %s::uuid[], %s::integer[], %s::bigint[], %s::timestamptz[],
  %s::bigint[], %s::bigint[])
  AS u(run_id, topic, topic_id, part, epoch, hour, first_offset, next_offset)
ON CONFLICT (sink, topic_id, part, hour, epoch, kind, run_id) DO NOTHING
"""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One entry for the quarantine."""

    claim: Claim
    refusal: Refusal
    event_id: str | None


@dataclass(kw_only=True)
class Tally:
    """What became of the records of one (partition, hour) in one commit."""

    topic: str
    claim: Claim
    hour: int
    first_offset: int
    next_offset: int
    stored: Sum = EMPTY_SUM
    repeated: int = 0
    quarantined: int = 0


def lock_offsets(
    connection: Connection, partitions: Collection[TopicPart]
) -> dict[TopicPart, tuple[int, int]]:
    """Lock the partitions' rows in the order all writers use; returns epoch and next_offset."""
    ordered = sorted(partitions)
    rows = connection.execute(
        _LOCK_OFFSETS, [[p.topic_id for p in ordered], [p.part for p in ordered]]
    )
    return {TopicPart(topic_id, part): (epoch, offset) for topic_id, part, epoch, offset in rows}


def move_offsets(connection: Connection, last_slices: Iterable[Slice]) -> None:
    """Set next_offset from the last slice of each partition; rows are locked already."""
    slices = list(last_slices)
    connection.execute(
        _MOVE_OFFSETS,
        [
            [s.claim.partition.topic_id for s in slices],
            [s.claim.partition.part for s in slices],
            [s.next_offset for s in slices],
            [s.leader_epoch for s in slices],
            [format_time(s.max_ts_append) for s in slices],
        ],
    )


def add_batches(
    connection: Connection, tallies: Iterable[Tally], *, run_id: str, kind: BatchKind
) -> None:
    """Write or extend one load_batch row a tally; empty ranges leave none."""
    rows = [tally for tally in tallies if tally.next_offset > tally.first_offset]
    if not rows:
        return
    sums = [tally.stored for tally in rows]
    connection.execute(
        _ADD_BATCHES,
        [
            run_id,
            kind.value,
            [t.topic for t in rows],
            [t.claim.partition.topic_id for t in rows],
            [t.claim.partition.part for t in rows],
            [t.claim.epoch for t in rows],
            [format_time(t.hour) for t in rows],
            [t.first_offset for t in rows],
            [t.next_offset for t in rows],
            [s.count for s in sums],
            [s.high for s in sums],
            [s.low for s in sums],
            [t.repeated for t in rows],
            [t.quarantined for t in rows],
        ],
    )


def touch(connection: Connection, touched: Mapping[str, Collection[tuple[bytes, int]]]) -> None:
    """Tell analytics which keys and hours of event time changed, in the order all writers use.

    Args:
        connection: Inside a transaction.
        touched: Kafka keys, each with an hour, per feed name.
    """
    keys = sorted(
        {
            (name, _clean(key.decode("utf-8", "backslashreplace")), hour)
            for name, pairs in touched.items()
            for key, hour in pairs
        }
    )
    if keys:
        feeds, names, hours = zip(*keys, strict=True)
        # as literals: psycopg takes 1 us a text of a list
        columns = (feeds, names, list(map(format_time, hours)))
        connection.execute(_TOUCH, list(map(format_texts, columns)))


def refuse(feed: Feed[Record], arrival: Arrival, *, reason: Reason, error: str) -> Refusal:
    """A record the store cannot take, as the value it came from (encoding is deterministic)."""
    return Refusal(
        offset=arrival.offset,
        ts_append=arrival.ts_append,
        reason=reason,
        error=error,
        key=_to_bytes(feed.key_of(arrival.record)),
        value=encode(arrival.record),
    )


def quarantine(
    connection: Connection, entries: Iterable[Refused], *, run_id: str, kind: BatchKind
) -> None:
    """Keep what was refused, with its bytes."""
    rows = sorted(entries, key=lambda entry: (entry.claim.partition, entry.refusal.offset))
    if not rows:
        return
    connection.execute(
        _QUARANTINE_LIVE if kind is BatchKind.LIVE else _QUARANTINE_REPLAY,
        [
            run_id,
            [r.claim.partition.topic_id for r in rows],
            [r.claim.partition.part for r in rows],
            [r.refusal.offset for r in rows],
            [r.claim.topic for r in rows],
            [r.claim.feed.name for r in rows],
            [format_time(r.refusal.ts_append) for r in rows],
            [r.refusal.reason.value for r in rows],
            [_clean(r.refusal.error) for r in rows],
            [None if r.event_id is None else _clean(r.event_id) for r in rows],
            [r.refusal.key for r in rows],
            [r.refusal.value for r in rows],
        ],
    )


def take_over(
    connection: Connection, taken: TakenOver, *, feed_of: Mapping[TopicPart, Feed[Record]]
) -> None:
    """Write what a restored range brings from the other store's books; what is there stays."""
    entries, removed, truncated = taken.entries, taken.removed, taken.truncated
    if entries:
        connection.execute(
            _TAKE_OVER_ENTRIES,
            [
                [e.partition.topic_id for e in entries],
                [e.partition.part for e in entries],
                [e.offset for e in entries],
                [e.topic for e in entries],
                [feed_of[e.partition].name for e in entries],
                [format_time(e.ts_append) for e in entries],
                [e.reason.value for e in entries],
                [_clean(e.error) for e in entries],
                [None if e.event_id is None else _clean(e.event_id) for e in entries],
                [e.key for e in entries],
                [e.value for e in entries],
                [e.run_id for e in entries],
                [str(e.state) for e in entries],
                [format_time(e.quarantined_at) for e in entries],
                [None if e.note is None else _clean(e.note) for e in entries],
            ],
        )
    if removed:
        connection.execute(
            _TAKE_OVER_REMOVED,
            [
                [r.partition.topic_id for r in removed],
                [r.partition.part for r in removed],
                [r.first_offset for r in removed],
                [r.run_id for r in removed],
                [r.topic for r in removed],
                [format_time(r.hour) for r in removed],
                [format_time(r.events_before) for r in removed],
                [r.removed.count for r in removed],
                [r.removed.high for r in removed],
                [r.removed.low for r in removed],
            ],
        )
    if truncated:
        connection.execute(
            _TAKE_OVER_TRUNCATED,
            [
                [b.run_id for b in truncated],
                [b.topic for b in truncated],
                [b.partition.topic_id for b in truncated],
                [b.partition.part for b in truncated],
                [b.epoch for b in truncated],
                [format_time(b.hour) for b in truncated],
                [b.first_offset for b in truncated],
                [b.next_offset for b in truncated],
            ],
        )


def leave_out_discarded(connection: Connection, slices: Iterable[Slice]) -> list[Slice]:
    """The slices without records whose entry is discarded.

    Locks the open entries as well, so that nobody discards one whose record is being stored.
    """
    kept: list[Slice] = []
    for each in slices:
        states = _lock_entries(
            connection,
            each.claim.partition,
            first_offset=each.first_offset,
            next_offset=each.next_offset,
        )
        discarded = {offset for offset, state in states.items() if state == EntryState.DISCARDED}
        kept.append(without_offsets(each, discarded) if discarded else each)
    return kept


def release(
    connection: Connection,
    partition: TopicPart,
    *,
    first_offset: int,
    next_offset: int,
    loaded_offsets: Collection[int],
) -> None:
    """Mark open entries of the range released whose record has loaded now."""
    states = _lock_entries(
        connection, partition, first_offset=first_offset, next_offset=next_offset
    )
    waiting = {offset for offset, state in states.items() if state == EntryState.OPEN}
    released = waiting & set(loaded_offsets)
    if released:
        connection.execute(_RELEASE, [partition.topic_id, partition.part, sorted(released)])


def _lock_entries(
    connection: Connection, partition: TopicPart, *, first_offset: int, next_offset: int
) -> dict[int, str]:
    """Lock the range's open and discarded entries; their states by offset."""
    return dict(
        connection.execute(_LOCK_QUARANTINE, [*partition, first_offset, next_offset]).fetchall()
    )


def _clean(text: str) -> str:
    """Text that PostgreSQL can hold, whatever the record that is complained about contained."""
    return _to_bytes(text.replace("\x00", r"\0")).decode()


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")

"""What a person decides, written down: an incident acknowledged, quarantine entries discarded.

Here: one transaction each. What an answer moves was planned outside (delivery/incidents.py); it is
written only while the partition still is as it was planned. Not here: what waits (matters.py).
"""

from collections.abc import Sequence

from crypto_platform.domain.hours import hour_of
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.matters import Acknowledgement, Cut, Move
from crypto_platform.stores.postgres import facts
from crypto_platform.stores.postgres.rows import format_time
from crypto_platform.stores.postgres.session import Connection, Session

_LOCK = """
SELECT epoch, next_offset, blocked_by FROM platform.kafka_offset
WHERE sink = 'postgres' AND topic_id = %s AND part = %s
FOR UPDATE
"""

_GO_ON = """
UPDATE platform.kafka_offset
SET blocked_by = NULL, epoch = epoch + 1, updated_at = clock_timestamp()
WHERE sink = 'postgres' AND topic_id = %s AND part = %s
"""

_MOVE = """
UPDATE platform.kafka_offset
SET next_offset = %s, max_ts_append = %s, leader_epoch = CASE WHEN %s THEN leader_epoch END
WHERE sink = 'postgres' AND topic_id = %s AND part = %s
"""

_GIVE_UP = """
INSERT INTO platform.load_batch (
  sink, run_id, kind, topic, topic_id, part, epoch, hour, offsets,
  stored_records, stored_high, stored_low, repeated_records, quarantined_records)
VALUES ('postgres', %s, 'lost', %s, %s, %s, %s, %s, int8range(%s, %s), 0, 0, 0, 0, 0)
"""

# The epoch of the answer, which no claim has, keeps the key apart from the part below when that is
# cut off later.
_SPLIT_ABOVE = """
INSERT INTO platform.load_batch (
  sink, run_id, kind, topic, topic_id, part, epoch, hour, offsets,
  stored_records, stored_high, stored_low, repeated_records, quarantined_records)
SELECT b.sink, b.run_id, 'truncated', b.topic, b.topic_id, b.part, %(epoch)s, b.hour,
  int8range(%(offset)s, upper(b.offsets)), %(count)s, %(high)s, %(low)s, 0, 0
FROM platform.load_batch AS b
WHERE b.sink = 'postgres' AND b.topic_id = %(topic_id)s AND b.part = %(part)s
  AND b.kind IN ('live', 'lost') AND lower(b.offsets) < %(offset)s AND upper(b.offsets) > %(offset)s
"""

_SPLIT_BELOW = """
UPDATE platform.load_batch AS b
SET offsets = int8range(lower(b.offsets), %(offset)s),
    stored_records = %(count)s, stored_high = %(high)s, stored_low = %(low)s
WHERE b.sink = 'postgres' AND b.topic_id = %(topic_id)s AND b.part = %(part)s
  AND b.kind IN ('live', 'lost') AND lower(b.offsets) < %(offset)s AND upper(b.offsets) > %(offset)s
"""

_TRUNCATE = """
UPDATE platform.load_batch AS b SET kind = 'truncated'
WHERE b.sink = 'postgres' AND b.topic_id = %s AND b.part = %s
  AND b.kind IN ('live', 'lost') AND lower(b.offsets) >= %s
"""

_TRUNCATE_ENTRIES = """
UPDATE platform.quarantine SET state = 'truncated'
WHERE topic_id = %s AND part = %s AND record_offset >= %s
"""

_DISCARD = """
UPDATE platform.quarantine SET state = 'discarded', note = %s
WHERE topic_id = %s AND part = %s AND record_offset = ANY(%s::bigint[]) AND state = 'open'
RETURNING record_offset
"""


def acknowledge(session: Session, answer: Acknowledgement) -> bool:
    """See Store.acknowledge."""
    stopped = answer.stopped
    with session.transaction() as connection:
        if stopped is not None:
            planned = (stopped.epoch, stopped.next_offset, answer.incident_id)
            if connection.execute(_LOCK, stopped.partition).fetchone() != planned:
                return False
            if answer.move is not None:
                _move(connection, stopped, answer.move, run_id=answer.run_id)
            connection.execute(_GO_ON, stopped.partition)
        facts.insert_unarrived(connection, FEED_BY_NAME[INCIDENTS.name], answer.fact)
    return True


def _move(connection: Connection, stopped: StoredOffset, move: Move, *, run_id: str) -> None:
    partition, epoch = stopped.partition, stopped.epoch + 1
    if move.lost:
        hour = format_time(hour_of(stopped.max_ts_append))
        range_ = (stopped.next_offset, move.next_offset)
        connection.execute(_GIVE_UP, [run_id, stopped.topic, *partition, epoch, hour, *range_])
    if move.cut is not None:
        _cut(connection, partition, move.cut, epoch=epoch)
    max_ts_append = format_time(move.max_ts_append)
    connection.execute(
        _MOVE, [move.next_offset, max_ts_append, move.keeps_leader_epoch, *partition]
    )


def _cut(connection: Connection, partition: TopicPart, cut: Cut, *, epoch: int) -> None:
    where = {"topic_id": partition.topic_id, "part": partition.part, "offset": cut.offset}
    if cut.below is not None and cut.above is not None:
        above = {"count": cut.above.count, "high": cut.above.high, "low": cut.above.low}
        connection.execute(_SPLIT_ABOVE, {**where, **above, "epoch": epoch})
        below = {"count": cut.below.count, "high": cut.below.high, "low": cut.below.low}
        connection.execute(_SPLIT_BELOW, {**where, **below})
    connection.execute(_TRUNCATE, [*partition, cut.offset])
    connection.execute(_TRUNCATE_ENTRIES, [*partition, cut.offset])


def discard(
    session: Session, partition: TopicPart, offsets: Sequence[int], *, note: str
) -> list[int]:
    """See Store.discard."""
    with session.autocommit() as connection:
        rows = connection.execute(_DISCARD, [note, *partition, list(offsets)]).fetchall()
    return sorted(offset for (offset,) in rows)

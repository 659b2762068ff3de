"""Taking a partition from whoever has it, and stopping one for a person.

A claim raises `epoch`; whoever still holds the old one finds that out at its next commit. A writer
that was stopped in mid-transaction holds its row locks; PostgreSQL's own time-outs do not help (a
stopped COPY survives statement, idle and transaction time-outs and pg_cancel_backend), but
pg_terminate_backend does. It needs no more than the same role, so all loads log in as one.
"""

import logging
from collections.abc import Sequence
from typing import Any, LiteralString

from crypto_platform.domain.hours import to_time_us
from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.incidents import INCIDENTS, Incident
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.postgres import facts
from crypto_platform.stores.postgres.bookkeeping import lock_offsets
from crypto_platform.stores.postgres.errors import LOCK_NOT_AVAILABLE
from crypto_platform.stores.postgres.session import Session

CLAIM_LOCK_TIMEOUT_S = 1
"""A commit takes milliseconds; who holds a row for a second is stopped or gone."""

TERMINATE_WAIT_MS = 2000
CLAIM_ATTEMPTS_MAX = 3

_SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %s, true)"

# blocked_by: what a partition never seen is stopped by; change: what becomes of one that is there
_CLAIM_FORM: LiteralString = """
INSERT INTO platform.kafka_offset AS o (
  sink, topic_id, part, topic, next_offset, max_ts_append, epoch, owner_run_id,
  backend_pid, backend_start, claimed_at, updated_at, blocked_by)
SELECT 'postgres', u.topic_id, u.part, u.topic, 0, 'epoch', 1, %s::text,
  a.pid, a.backend_start, clock_timestamp(), clock_timestamp(), {blocked_by}
FROM unnest(%s::uuid[], %s::integer[], %s::text[]) AS u(topic_id, part, topic)
CROSS JOIN (SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS a
ORDER BY u.topic_id, u.part
ON CONFLICT (sink, topic_id, part) DO UPDATE
SET epoch = o.epoch + 1, topic = excluded.topic, owner_run_id = excluded.owner_run_id,
    backend_pid = excluded.backend_pid, backend_start = excluded.backend_start,
    claimed_at = excluded.claimed_at, updated_at = excluded.updated_at{change}
RETURNING o.topic_id::text, o.part, o.epoch, o.next_offset, o.leader_epoch, o.max_ts_append
"""

_CLAIM = _CLAIM_FORM.format(blocked_by="NULL", change="\nWHERE o.blocked_by IS NULL")

_CLAIM_RESTORE = _CLAIM_FORM.format(
    blocked_by="'restore:'",
    change=""",
    blocked_by = CASE WHEN o.blocked_by LIKE 'restore:%%' THEN o.blocked_by
                      ELSE 'restore:' || coalesce(o.blocked_by, '') END""",
)

_END_RESTORE = """
UPDATE platform.kafka_offset
SET blocked_by = %s, epoch = epoch + 1, updated_at = clock_timestamp()
WHERE sink = 'postgres' AND topic_id = %s AND part = %s AND epoch = %s AND blocked_by LIKE %s
"""

# Two ways to know a holder: the backend that claimed, or, if its session was lost and made anew
# after the claim, the transaction that has the row (xmax).
_TERMINATE_HOLDERS = """
SELECT a.pid, pg_terminate_backend(a.pid, %s)
FROM platform.kafka_offset AS o
JOIN pg_stat_activity AS a
  ON (a.pid = o.backend_pid AND a.backend_start = o.backend_start) OR a.backend_xid = o.xmax
WHERE o.sink = 'postgres' AND a.pid <> pg_backend_pid() AND a.usename = current_user
  AND (o.topic_id, o.part) IN (SELECT * FROM unnest(%s::uuid[], %s::integer[]))
"""

_READ_OFFSETS = """
SELECT topic, topic_id::text, part, next_offset, leader_epoch, max_ts_append, epoch,
  owner_run_id, claimed_at, updated_at, blocked_by
FROM platform.kafka_offset WHERE sink = 'postgres' ORDER BY topic, topic_id, part
"""

_BLOCK = """
UPDATE platform.kafka_offset SET blocked_by = %s, updated_at = clock_timestamp()
WHERE sink = 'postgres' AND topic_id = %s AND part = %s
"""

Wanted = tuple[Feed[Record], str, TopicPart]
"""A partition with its feed and its topic's name."""

_log = logging.getLogger(__name__)


def read_offsets(session: Session) -> list[StoredOffset]:
    """See Store.read_offsets."""
    with session.autocommit() as connection:
        rows = connection.execute(_READ_OFFSETS).fetchall()
    return [
        StoredOffset(
            topic=topic,
            partition=TopicPart(topic_id, part),
            next_offset=next_offset,
            leader_epoch=leader_epoch,
            max_ts_append=to_time_us(max_ts_append),
            epoch=epoch,
            owner_run_id=owner_run_id,
            claimed_at=None if claimed_at is None else to_time_us(claimed_at),
            updated_at=to_time_us(updated_at),
            blocked_by=blocked_by,
        )
        for (
            topic, topic_id, part, next_offset, leader_epoch, max_ts_append, epoch,
            owner_run_id, claimed_at, updated_at, blocked_by,
        ) in rows
    ]  # fmt: skip


def claim(session: Session, wanted: Sequence[Wanted], *, run_id: str) -> list[Claim]:
    """See Store.claim.

    Raises:
        StoreUnavailableError: Not reached, or somebody else's rows stayed locked.
    """
    return _claim(session, _CLAIM, wanted, run_id=run_id)


def claim_restore(session: Session, wanted: Sequence[Wanted], *, run_id: str) -> list[Claim]:
    """See Store.claim_restore; errors as in `claim`."""
    return _claim(session, _CLAIM_RESTORE, wanted, run_id=run_id)


def end_restore(session: Session, claim: Claim, *, blocked_by: str | None) -> bool:
    """See Store.end_restore."""
    with session.autocommit() as connection:
        ended = connection.execute(
            _END_RESTORE, [blocked_by, *claim.partition, claim.epoch, f"{RESTORING}%"]
        )
    return ended.rowcount == 1


def _claim(
    session: Session, statement: LiteralString, wanted: Sequence[Wanted], *, run_id: str
) -> list[Claim]:
    by_partition = {partition: (feed, topic) for feed, topic, partition in wanted}
    partitions = list(by_partition)
    parameters = [
        run_id,
        [partition.topic_id for partition in partitions],
        [partition.part for partition in partitions],
        [by_partition[partition][1] for partition in partitions],
    ]
    for _ in range(CLAIM_ATTEMPTS_MAX):
        rows = _try_claim(session, statement, parameters)
        if rows is not None:
            break
        _terminate_holders(session, partitions)
    else:
        message = f"offset rows stayed locked through {CLAIM_ATTEMPTS_MAX} attempts to claim them"
        raise StoreUnavailableError(message)
    return [
        Claim(
            feed=by_partition[partition][0],
            topic=by_partition[partition][1],
            partition=partition,
            epoch=epoch,
            next_offset=next_offset,
            leader_epoch=leader_epoch,
            max_ts_append=to_time_us(max_ts_append),
        )
        for partition, (epoch, next_offset, leader_epoch, max_ts_append) in sorted(
            (TopicPart(row[0], row[1]), row[2:]) for row in rows
        )
    ]


def _try_claim(
    session: Session, statement: LiteralString, parameters: Sequence[object]
) -> list[tuple[Any, ...]] | None:
    """The claimed rows, None if somebody keeps one locked."""
    try:
        with session.transaction() as connection:
            connection.execute(_SET_LOCK_TIMEOUT, [f"{CLAIM_LOCK_TIMEOUT_S}s"])
            return connection.execute(statement, parameters).fetchall()
    except StoreUnavailableError as error:
        if error.context["sqlstate"] == LOCK_NOT_AVAILABLE:
            return None
        raise


def _terminate_holders(session: Session, partitions: Sequence[TopicPart]) -> None:
    with session.autocommit() as connection:
        ended = connection.execute(
            _TERMINATE_HOLDERS,
            [TERMINATE_WAIT_MS, [p.topic_id for p in partitions], [p.part for p in partitions]],
        ).fetchall()
    _log.warning("ended the backends (pid, whether gone) of stopped writers: %s", ended)


def block(session: Session, claim: Claim, incident: Incident) -> bool:
    """See Store.block."""
    partition = claim.partition
    with session.transaction() as connection:
        held = lock_offsets(connection, [partition]).get(partition)
        if held is None or held[0] != claim.epoch:
            return False
        facts.insert_unarrived(connection, FEED_BY_NAME[INCIDENTS.name], incident)
        connection.execute(_BLOCK, [incident.event_id, partition.topic_id, partition.part])
    return True

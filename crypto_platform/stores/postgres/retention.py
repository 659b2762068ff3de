"""Removing what is older than a feed keeps: whole partitions, each with its sums in a transaction.

Here: one call a partition. The work is done by a function of the migrator's (migrations/), for the
loader may delete nothing. Not here: what is too old (delivery/retention.py).
"""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from crypto_platform.domain.hours import TimeUs, from_time_us, to_time_us
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.batches import Removed
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.postgres.session import Session
from crypto_platform.stores.sums import Sum

# counting or summing a month of trades takes longer than a statement of a load may
_NO_TIMEOUT = "SET LOCAL statement_timeout = 0"
_REMOVE_PARTITION = "SELECT platform.remove_partition(%s, %s, %s, %s)"
_COUNT = "SELECT count(*) FROM {table} WHERE ts_event < %s"
_READ_REMOVED = """
SELECT topic, topic_id::text, part, run_id, hour, first_offset, events_before,
  removed_records, removed_high, removed_low
FROM platform.removed WHERE sink = 'postgres' AND topic_id = %s::uuid AND part = %s
ORDER BY first_offset, run_id
"""


def remove_before(session: Session, feed: Feed[Record], before_us: TimeUs, *, run_id: str) -> int:
    """See Store.remove_before."""
    parameters = [feed.schema, feed.table, from_time_us(before_us), run_id]
    removed = 0
    while True:
        with session.transaction() as connection:
            connection.execute(_NO_TIMEOUT)
            row = connection.execute(_REMOVE_PARTITION, parameters).fetchone()
        if row is None or row[0] is None:
            return removed
        removed += int(row[0])


def count_before(session: Session, feed: Feed[Record], before_us: TimeUs) -> int:
    """See Store.count_before."""
    with session.transaction() as connection:
        connection.execute(_NO_TIMEOUT)
        [(count,)] = connection.execute(_count_in(feed), [from_time_us(before_us)]).fetchall()
    return int(count)


def _count_in(feed: Feed[Record]) -> sql.Composed:
    return sql.SQL(_COUNT).format(table=sql.Identifier(feed.schema, feed.table))


def read_removed(session: Session, partition: TopicPart) -> Sequence[Removed]:
    """See Store.read_removed."""
    with session.autocommit() as connection:
        rows = connection.execute(_READ_REMOVED, [*partition]).fetchall()
    return [_parse_removed(row) for row in rows]


def _parse_removed(row: tuple[Any, ...]) -> Removed:
    topic, topic_id, part, run_id, hour, first_offset, events_before, count, high, low = row
    return Removed(
        topic=topic,
        partition=TopicPart(topic_id, part),
        run_id=run_id,
        hour=to_time_us(hour),
        first_offset=first_offset,
        events_before=to_time_us(events_before),
        removed=Sum(count, int(high), int(low)),
    )

"""The few things about Dagster's history for which Dagster has no call: SQL on its own tables.

Here: statements on the event log of a PostgreSQL (or other SQL) storage, each small, each safe to
repeat. Everything else goes through the instance. Not here: what is old (purge.py). Written against
the tables of Dagster 1.13 (`dagster._core.storage.event_log.schema`); tests/servers/test_purge.py
holds them to the real ones.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value, serialize_value

_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION.value
_OBSERVATION = dg.DagsterEventType.ASSET_OBSERVATION.value
_CHECK_EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value

_events = SqlEventLogStorageTable.c
_checks = AssetCheckExecutionsTable.c


def keep_materializations(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> int:
    """Take out of these runs each materialization that is the latest of its asset and partition.

    The event keeps its place, time and metadata and belongs to no run any more, so deleting the
    run does not make the partition look as if it had never been materialized. A new event instead
    would look like work done now, and a load that stands still would seem fresh.

    Returns:
        How many were taken out.
    """
    newer = SqlEventLogStorageTable.alias("newer")
    has_newer = sa.exists().where(
        newer.c.dagster_event_type == _MATERIALIZATION,
        newer.c.asset_key == _events.asset_key,
        sa.or_(
            newer.c.partition == _events.partition,
            sa.and_(newer.c.partition.is_(None), _events.partition.is_(None)),
        ),
        newer.c.id > _events.id,
    )
    latest = sa.select(_events.id, _events.event).where(
        _events.run_id.in_(run_ids), _events.dagster_event_type == _MATERIALIZATION, ~has_newer
    )
    with _storage(instance).index_connection() as connection:
        found = connection.execute(latest).fetchall()
        for event_id, text in found:
            entry = deserialize_value(text, EventLogEntry)._replace(run_id=RUNLESS_RUN_ID)
            connection.execute(
                sa.update(SqlEventLogStorageTable)
                .where(_events.id == event_id)
                .values(run_id=RUNLESS_RUN_ID, event=serialize_value(entry))
            )
    return len(found)


def delete_repeated(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete what is old, belongs to no run, and says nothing any more.

    That is an observation or materialization that a later one of its asset and partition has
    replaced, and any check evaluation: the answer itself stands in the table of executions.

    Returns:
        How many rows were deleted.
    """
    old = sa.and_(_events.run_id == RUNLESS_RUN_ID, _events.timestamp < _as_stored(before))
    newer = SqlEventLogStorageTable.alias("newer")
    is_replaced = sa.exists().where(
        newer.c.dagster_event_type == _events.dagster_event_type,
        newer.c.asset_key == _events.asset_key,
        newer.c.partition.is_not_distinct_from(_events.partition),
        newer.c.id > _events.id,
    )
    is_spent = sa.or_(
        _events.dagster_event_type == _CHECK_EVALUATION,
        sa.and_(_events.dagster_event_type.in_([_OBSERVATION, _MATERIALIZATION]), is_replaced),
    )
    doomed = sa.select(_events.id).where(old, is_spent)
    with _storage(instance).index_connection() as connection:
        ids = [row[0] for row in connection.execute(doomed).fetchall()]
        for first in range(0, len(ids), 1000):
            some = ids[first : first + 1000]
            connection.execute(
                sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(some))
            )
            connection.execute(sa.delete(SqlEventLogStorageTable).where(_events.id.in_(some)))
    return len(ids)


def delete_check_executions(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete what old checks answered, but for the latest answer to each.

    Deleting a run leaves them: Dagster keeps them in a table of their own.

    Returns:
        How many rows were deleted.
    """
    newer = AssetCheckExecutionsTable.alias("newer")
    is_replaced = sa.exists().where(
        newer.c.asset_key == _checks.asset_key,
        newer.c.check_name == _checks.check_name,
        newer.c.id > _checks.id,
    )
    old = sa.delete(AssetCheckExecutionsTable).where(
        _checks.evaluation_event_timestamp < _as_stored(before), is_replaced
    )
    with _storage(instance).index_connection() as connection:
        return int(connection.execute(old).rowcount)


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        message = f"Dagster's event log is a {type(storage).__name__}, which holds no SQL tables"
        raise TypeError(message)
    return storage


def _as_stored(moment: datetime) -> datetime:
    """Dagster stores UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)

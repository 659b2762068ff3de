"""The few things about Dagster's history for which Dagster has no call: SQL on its own tables.

Here: statements on the event log of a PostgreSQL (or other SQL) storage, each small, each safe to
repeat. Everything else goes through the instance. Not here: what is old (purge.py). Written against
the tables of Dagster 1.13 (`dagster._core.storage.event_log.schema`); tests/servers/test_purge.py
holds them to the real ones.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value, serialize_value
from sqlalchemy.exc import OperationalError

PURGED_RUN = "purged_run"
"""Metadata of a materialization that has outlived its run: the run's id."""
ROWS_PER_CHUNK = 1000
GROWING_TABLES = (
    "event_logs",
    "asset_event_tags",
    "asset_check_executions",
    "runs",
    "run_tags",
    "job_ticks",
)
"""What runs and ticks are written to, all in the event log's database."""
LOCK_TIMEOUT_S = 2
"""Whoever waits for a lock on a table holds up all who come after. Longer than deadlock_timeout
(1 s), after which PostgreSQL ends an autovacuum that stands in the way."""

_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION.value
_OBSERVATION = dg.DagsterEventType.ASSET_OBSERVATION.value
_CHECK_EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
_FRESHNESS_CHANGE = dg.DagsterEventType.FRESHNESS_STATE_CHANGE.value
_REPLACEABLE = (_MATERIALIZATION, _OBSERVATION, _FRESHNESS_CHANGE)
"""Dagster reads only the latest of each, once they belong to no run."""

_events = SqlEventLogStorageTable.c
_checks = AssetCheckExecutionsTable.c


def keep_materializations(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> int:
    """Take out of these runs each materialization that is the latest of its asset and partition.

    The event keeps its place, time and metadata (the run's id is added) and belongs to no run any
    more, so deleting the run does not make the partition look as if it had never been materialized.
    A new event instead would look like work done now, and a load that stands still would seem
    fresh.

    Returns:
        How many were taken out.
    """
    latest = sa.select(_events.id, _events.event).where(
        _events.run_id.in_(run_ids),
        _events.dagster_event_type == _MATERIALIZATION,
        ~_build_is_replaced(),
    )
    with open_event_log(instance).index_connection() as connection:
        found = connection.execute(latest).fetchall()
        for event_id, text in found:
            entry = take_out_of_run(deserialize_value(text, EventLogEntry))
            connection.execute(
                sa.update(SqlEventLogStorageTable)
                .where(_events.id == event_id)
                .values(run_id=RUNLESS_RUN_ID, event=serialize_value(entry))
            )
    return len(found)


def take_out_of_run(entry: EventLogEntry) -> EventLogEntry:
    """The same materialization as one that belongs to no run; its metadata names the run it had."""
    event = entry.get_dagster_event()
    data = event.step_materialization_data
    named = {**data.materialization.metadata, PURGED_RUN: entry.run_id}
    moved = data._replace(materialization=data.materialization.with_metadata(named))
    return entry._replace(
        run_id=RUNLESS_RUN_ID, dagster_event=event._replace(event_specific_data=moved)
    )


def delete_repeated(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete what is old, belongs to no run, and says nothing any more.

    That is an observation, a materialization or a change of freshness that a later one of its asset
    and partition has replaced, and any check evaluation: the answer itself stands in the table of
    executions. Chunk by chunk, each for itself.

    Returns:
        How many rows were deleted.
    """
    old = sa.and_(_events.run_id == RUNLESS_RUN_ID, _events.timestamp < _as_stored(before))
    is_spent = sa.or_(
        _events.dagster_event_type == _CHECK_EVALUATION,
        sa.and_(_events.dagster_event_type.in_(_REPLACEABLE), _build_is_replaced()),
    )
    doomed = sa.select(_events.id).where(old, is_spent)
    with open_event_log(instance).index_connection() as connection:
        ids = [row[0] for row in connection.execute(doomed).fetchall()]
        for first in range(0, len(ids), ROWS_PER_CHUNK):
            some = ids[first : first + ROWS_PER_CHUNK]
            connection.execute(
                sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(some))
            )
            connection.execute(sa.delete(SqlEventLogStorageTable).where(_events.id.in_(some)))
    return len(ids)


def delete_check_executions(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete what old checks answered, but for the latest answer to each and what came after it.

    Deleting a run leaves them: Dagster keeps them in a table of their own.

    Returns:
        How many rows were deleted.
    """
    newer = AssetCheckExecutionsTable.alias("newer")
    is_replaced = sa.exists().where(
        newer.c.asset_key == _checks.asset_key,
        newer.c.check_name == _checks.check_name,
        newer.c.execution_status != AssetCheckExecutionRecordStatus.PLANNED.value,
        newer.c.id > _checks.id,
    )
    old = sa.delete(AssetCheckExecutionsTable).where(
        _checks.evaluation_event_timestamp < _as_stored(before), is_replaced
    )
    with open_event_log(instance).index_connection() as connection:
        return int(connection.execute(old).rowcount)


def forget_answer(instance: dg.DagsterInstance, check: dg.AssetCheckKey, *, run_id: str) -> None:
    """Delete what a check has answered in this run, so that its next answer there is the newest.

    Dagster changes a run's answer in place, and shows the one that was added last if it belongs to
    the asset's latest materialization. Where a replay, or a person's look, came in between, a
    lingering load's answers would stay unseen for as long as it lingers.
    """
    own = sa.delete(AssetCheckExecutionsTable).where(
        _checks.asset_key == check.asset_key.to_string(),
        _checks.check_name == check.name,
        _checks.run_id == run_id,
    )
    with open_event_log(instance).index_connection() as connection:
        connection.execute(own)


def list_answered_runs(instance: dg.DagsterInstance, *, before: datetime) -> Sequence[str]:
    """The runs, deleted ones too, whose log holds answers to checks that are older than that.

    These answers come from outside of the run (sensors/health.py), so one may come too late.
    """
    answered = (
        sa.select(_events.run_id)
        .where(
            _events.dagster_event_type == _CHECK_EVALUATION,
            _events.run_id != RUNLESS_RUN_ID,
            _events.timestamp < _as_stored(before),
        )
        .distinct()
    )
    with open_event_log(instance).index_connection() as connection:
        return [row[0] for row in connection.execute(answered).fetchall()]


def rebuild_indexes(instance: dg.DagsterInstance) -> int:
    """Give back what purged rows have left in the indexes of PostgreSQL.

    Keys of time and ids only rise: a page of an index takes no new rows, and becomes free only with
    its last one, so that a single kept materialization holds the page of hundreds of purged events.
    Measured after 15 days of purges: 70 MB of indexes on event_logs, 22 MB rebuilt; 50 and 10 MB on
    job_ticks. An index at a time, for Dagster's connections commit each statement; writers of that
    table wait meanwhile (measured: 1.2 s for the six of event_logs together), and killed, it leaves
    nothing behind. One that stays in use is left as it is, for the next time.

    Returns:
        Bytes given back.
    """
    with open_event_log(instance).index_connection() as connection:
        if connection.dialect.name != "postgresql":
            return 0
        before, names = _measure_indexes(connection)
        connection.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
        for name in names:
            quoted = connection.dialect.identifier_preparer.quote(name)
            with suppress(OperationalError):
                connection.execute(sa.text(f"REINDEX INDEX {quoted}"))
        connection.execute(sa.text("RESET lock_timeout"))
        after, _ = _measure_indexes(connection)
    return before - after


def _measure_indexes(connection: sa.Connection) -> tuple[int, Sequence[str]]:
    """Bytes and names of the growing tables' indexes."""
    found = connection.execute(
        sa.text(
            "SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes "
            "WHERE schemaname = current_schema() AND relname = ANY(:tables) ORDER BY 1"
        ),
        {"tables": list(GROWING_TABLES)},
    ).fetchall()
    return sum(size for _, size in found), [name for name, _ in found]


def _build_is_replaced() -> sa.ColumnElement[bool]:
    """Whether a later event of this kind exists for the asset and partition of a row.

    Two conditions, not one IS NOT DISTINCT FROM: that would use no index, and every purge would
    compare every kept hour with every later one.
    """
    newer = SqlEventLogStorageTable.alias("newer")
    is_later = sa.and_(
        newer.c.dagster_event_type == _events.dagster_event_type,
        newer.c.asset_key == _events.asset_key,
        newer.c.id > _events.id,
    )
    return sa.or_(
        sa.exists().where(is_later, newer.c.partition == _events.partition),
        sa.and_(
            _events.partition.is_(None), sa.exists().where(is_later, newer.c.partition.is_(None))
        ),
    )


def open_event_log(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    """The event log as SQL tables.

    Raises:
        TypeError: It is none.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        message = f"Dagster's event log is a {type(storage).__name__}, which holds no SQL tables"
        raise TypeError(message)
    return storage


def _as_stored(moment: datetime) -> datetime:
    """Dagster stores UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)

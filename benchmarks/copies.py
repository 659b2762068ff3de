"""Copies of one hour of Dagster's history, made by PostgreSQL itself.

Here: the rows that Dagster wrote for the first hour of an empty database are kept aside, with marks
for what is different in every hour, and written again with shifted times, new run ids and other
partitions. That is an order of magnitude faster than Dagster's calls, and the rows are of the same
sizes. Not here: the first hour, what is measured (months.py).
"""

from collections.abc import Sequence

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value

from crypto_platform.jobs.dagster_tables import open_event_log

HOUR_S = 3600
BODIES = {
    "runs": "run_body",
    "run_tags": "value",
    "event_logs": "event",
    "asset_event_tags": "value",
    "asset_check_executions": "evaluation_event",
    "job_ticks": "tick_body",
}
"""What grows with time: tables, and the column of each that may name a run, hour or time."""
EVENT_IDS = ("id", "event_id", "evaluation_event_storage_id", "materialization_event_storage_id")
RUNLESS = frozenset({"asset_event_tags", "job_ticks"})
"""Their bodies name no run."""
HOUR_MARKS = ("@before@", "@hour@", "@after@")

_KEEP = """CREATE TABLE first_hour.{table} AS
    SELECT t.*, CAST({time} AS double precision) AS begun, CAST({end} AS double precision) AS ended
    FROM public.{table} AS t"""
_MARK_TIMES = """UPDATE first_hour.{table} SET {body} = CAST(
    jsonb_set(jsonb_set(CAST({body} AS jsonb), '{{timestamp}}', '"@begun@"', false),
              '{{end_timestamp}}', '"@ended@"', false) AS text)"""
_COLUMNS = """SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = :table"""
_LATEST = """SELECT DISTINCT ON (asset_key, dagster_event_type) id, event FROM event_logs
    WHERE asset_key IS NOT NULL AND dagster_event_type IN
        ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION', 'ASSET_MATERIALIZATION_PLANNED')
    ORDER BY asset_key, dagster_event_type, id DESC"""


class Copies:
    """Writes the first hour again and again."""

    def __init__(self, instance: dg.DagsterInstance, names: Sequence[str]) -> None:
        """Keep aside what the database holds: one hour.

        Args:
            names: Of the partitions before, in and after that hour.
        """
        self._storage = open_event_log(instance)
        with self._storage.index_connection() as connection:
            connection.execute(sa.text("CREATE SCHEMA first_hour"))
            self._inserts = [self._keep(connection, table, names) for table in BODIES]
            span = "SELECT max(id) - min(id) + 1 FROM first_hour.event_logs"
            self._span = int(connection.execute(sa.text(span)).scalar() or 0)

    def write(self, later: int, names: Sequence[str]) -> None:
        """The hour again, so many hours later, with these partitions."""
        given = {
            "shift": later * HOUR_S,
            "ids": later * self._span,
            "salt": f"/{later}",
            **{f"name{number}": name for number, name in enumerate(names)},
        }
        with self._storage.index_connection() as connection:
            for insert in self._inserts:
                connection.execute(insert, given)
            last = "SELECT setval('event_logs_id_seq', max(id)) FROM event_logs"
            connection.execute(sa.text(last))

    def tell_assets(self) -> None:
        """An asset's own row knows its latest event of each kind: by Dagster's own call."""
        with self._storage.index_connection() as connection:
            latest = connection.execute(sa.text(_LATEST)).fetchall()
        for event_id, text in latest:
            self._storage.store_asset_event(deserialize_value(text, EventLogEntry), event_id)

    def _keep(self, connection: sa.Connection, table: str, names: Sequence[str]) -> sa.TextClause:
        """Keep a table's rows aside, marked; returns the statement that writes them again."""
        body = BODIES[table]
        is_json = body != "value"
        times = [f"CAST({body} AS jsonb)->>'{key}'" for key in ("timestamp", "end_timestamp")]
        begun, ended = times if is_json else ("NULL", "NULL")
        connection.execute(sa.text(_KEEP.format(table=table, time=begun, end=ended)))
        if is_json:
            connection.execute(sa.text(_MARK_TIMES.format(table=table, body=body)))
        found = connection.execute(sa.text(_COLUMNS), {"table": table})
        columns: dict[str, str] = {name: kind for name, kind in found}  # noqa: C416 - rows are no pairs
        for column in {body, "partition"} & columns.keys():
            for name, mark in zip(names, HOUR_MARKS, strict=True):
                statement = (
                    f"UPDATE first_hour.{table} SET {column} = replace({column}, :name, :mark)"
                )
                connection.execute(sa.text(statement), {"name": name, "mark": mark})
        if table != "event_logs":
            del columns["id"]  # nothing refers to it: the sequence gives a new one
        new = [_renew(table, name, kind) for name, kind in columns.items()]
        return sa.text(
            f"INSERT INTO public.{table} ({', '.join(columns)}) "
            f"SELECT {', '.join(new)} FROM first_hour.{table}"
        )


def _renew(table: str, column: str, kind: str) -> str:
    """The value of a column in another hour."""
    by_name = {
        BODIES[table]: _fill(BODIES[table], has_run=table not in RUNLESS),
        "partition": _fill("partition", has_run=False),
        "run_id": _RUN_ID,
        **{name: f"{name} + :ids" for name in EVENT_IDS},
    }
    by_kind = {
        "timestamp without time zone": f"{column} + make_interval(secs => :shift)",
        "double precision": f"{column} + :shift",
    }
    return by_name.get(column) or by_kind.get(kind) or column


_RUN_ID = "CASE WHEN run_id <> '' THEN CAST(CAST(md5(run_id || :salt) AS uuid) AS text) ELSE '' END"


def _fill(column: str, *, has_run: bool) -> str:
    """What stands for the marks."""
    filled = f"replace({column}, run_id, {_RUN_ID})" if has_run else column
    for number, mark in enumerate(HOUR_MARKS):
        filled = f"replace({filled}, '{mark}', :name{number})"
    for mark, time in (('"@begun@"', "begun"), ('"@ended@"', "ended")):
        filled = f"replace({filled}, '{mark}', coalesce(CAST({time} + :shift AS text), 'null'))"
    return filled

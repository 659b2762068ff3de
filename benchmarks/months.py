"""Does the UI stay as it is over months? One measured hour of a running platform, written N times.

Here: an hour's runs, events and ticks are read from the Dagster of a running stack and written
again for each hour of a month, with shifted times and new ids, through Dagster's own storage calls,
into a PostgreSQL of this benchmark's own; at the end of each day the platform's purge runs with the
clock of that day. Printed for each day: the size of Dagster's database, and how long the UI's
queries take. Not here: the platform's data; only Dagster's own history is written.

Freshness of the figures: ratios of one day to another of the same run; seconds are this machine's.
"""

import logging
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import click
import dagster as dg
import msgspec
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.snap import ExecutionPlanSnapshot, JobSnap
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.schedules.schema import JobTickTable
from dagster._serdes import deserialize_value, serialize_value

from crypto_platform.assets.names import load_key
from crypto_platform.domain.hours import hour_of, name_hour, to_time_us
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.jobs.dagster_tables import open_event_log
from crypto_platform.jobs.purge import purge
from crypto_platform.serving.dagster_api import REPOSITORY, ask_dagster, find_url
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import SETTINGS_FILE, Settings, load_settings
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stack.folder import make_data_folder

WORKERS = 2
PARTITION_TAG = "dagster/partition"
STEADY_DAY = 4
"""From then on a purge deletes what a day writes."""
TICKS_KEPT = {TickStatus.SKIPPED: timedelta(days=1)}
TICKS_KEPT_ELSE = timedelta(days=7)
"""As dagster.yaml has them; the daemon deletes them, which does not run here."""

BORDERS_OF_RUNS = frozenset(
    {
        dg.DagsterEventType.RUN_START,
        dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterEventType.RUN_FAILURE,
    }
)
BATCHES_OF_AN_ASSET = frozenset(
    {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
)
"""What the storage takes many of at a time."""
CHECKS = frozenset(
    {
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    }
)

_SET_BORDERS = (
    sa.update(RunsTable)
    .where(RunsTable.c.run_id == sa.bindparam("run"))
    .values(start_time=sa.bindparam("start"), end_time=sa.bindparam("end"))
)

Parsed = TypeVar("Parsed")

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Hour:
    """What a platform wrote within one hour, serialized.

    Attributes:
        begins: The hour's first second.
        runs: Run, creation time, and its events.
        snapshots: What the runs' jobs and plans were, kept once for all runs.
        runless: Events that belong to no run.
        ticks: Tick data as JSON of Dagster's own serialization.
    """

    begins: datetime
    runs: Sequence[tuple[str, float, Sequence[str]]]
    snapshots: Sequence[str]
    runless: Sequence[str]
    ticks: Sequence[str]

    def count_rows(self) -> int:
        """Runs, events and ticks."""
        events = sum(len(texts) for _, _, texts in self.runs)
        return len(self.runs) + events + len(self.runless) + len(self.ticks)


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("data"),
    help="Of a stack that runs, and has run for an hour.",
)
@click.option("--hours", default=720, show_default=True, help="How many hours to write.")
@click.option("--no-purge", is_flag=True, help="Leave everything, for comparison.")
@click.option(
    "--minutes",
    default=60,
    show_default=True,
    help="Of the measured time; other than 60 it is repeated or cut to an hour.",
)
@click.option(
    "--hour-file",
    type=click.Path(path_type=Path),
    help="Where the measured hour is kept: taken from there if it exists, else written there.",
)
def months(
    *, data_dir: Path, hours: int, no_purge: bool, minutes: int, hour_file: Path | None
) -> None:
    """Write a month of Dagster's history and see what becomes of its database and its UI."""
    if hour_file is not None and hour_file.exists():
        hour = msgspec.json.decode(hour_file.read_bytes(), type=Hour)
    else:
        hour = read_hour(load_settings(data_dir), minutes=minutes)
    if hour_file is not None:
        hour_file.write_bytes(msgspec.json.encode(hour))
    click.echo(f"one hour: {len(hour.runs)} runs, {hour.count_rows()} rows with events and ticks")
    with tempfile.TemporaryDirectory(prefix="crypto_platform_months_") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        first = _begin(hours)
        make_data_folder(data)
        # else its partitions would begin now, and the UI would count none of the month's
        (data / SETTINGS_FILE).write_text(f"installed_at = {first.isoformat()}\n")
        parts = ("dagster-postgres", "code-server", "webserver")
        with embedded_servers(data, parts=parts) as own:
            write_month(own, hour, first=first, hours=hours, purges=not no_purge)


def _begin(hours: int) -> datetime:
    """So many whole hours ago."""
    ago = datetime.now(UTC) - timedelta(hours=hours)
    return ago.replace(minute=0, second=0, microsecond=0)


def read_hour(settings: Settings, *, minutes: int) -> Hour:
    """The last whole span of a running platform's Dagster, as an hour.

    Args:
        minutes: Length of the span; a shorter one is repeated until it fills an hour.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        open_instance(_reveal_url(settings), folder) as instance,
    ):
        end = datetime.now(UTC)
        begins = end - timedelta(minutes=minutes)
        between = dg.RunsFilter(created_after=begins, created_before=end)
        runs = [
            (
                serialize_value(record.dagster_run),
                record.create_timestamp.timestamp(),
                [serialize_value(entry) for entry in instance.all_logs(record.dagster_run.run_id)],
            )
            for record in instance.get_run_records(between)
            if record.dagster_run.is_finished
        ]
        events = SqlEventLogStorageTable.c
        with open_event_log(instance).index_connection() as connection:
            runless = connection.execute(
                sa.select(events.event).where(
                    events.run_id == RUNLESS_RUN_ID,
                    events.timestamp >= begins.replace(tzinfo=None),
                )
            ).scalars()
            texts = list(runless)
        ticks = [
            serialize_value(tick.tick_data)
            for state in instance.all_instigator_state()
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
            if begins.timestamp() <= tick.timestamp < end.timestamp()
        ]
        snapshots = _read_snapshots(instance, [text for text, _, _ in runs])
    times = range(0, 60, minutes) if minutes < 60 else [0]
    return Hour(
        begins=begins,
        # what has a partition (an audit) comes once an hour
        runs=[run for time in times for run in runs if not time or PARTITION_TAG not in run[0]],
        snapshots=snapshots,
        runless=[text for _ in times for text in texts],
        ticks=[text for _ in times for text in ticks],
    )


def _read_snapshots(instance: dg.DagsterInstance, runs: Sequence[str]) -> Sequence[str]:
    storage = instance.run_storage
    found = [deserialize_value(text, dg.DagsterRun) for text in runs]
    jobs = {run.job_snapshot_id for run in found} - {None}
    plans = {run.execution_plan_snapshot_id for run in found} - {None}
    return [serialize_value(storage.get_job_snapshot(name)) for name in jobs if name] + [
        serialize_value(storage.get_execution_plan_snapshot(name)) for name in plans if name
    ]


def _write_snapshots(instance: dg.DagsterInstance, hour: Hour) -> None:
    for text in hour.snapshots:
        snapshot = deserialize_value(text)
        if isinstance(snapshot, ExecutionPlanSnapshot):
            instance.run_storage.add_execution_plan_snapshot(snapshot)
        elif isinstance(snapshot, JobSnap):
            instance.run_storage.add_job_snapshot(snapshot)


def write_month(
    settings: Settings, hour: Hour, *, first: datetime, hours: int, purges: bool
) -> None:
    """Write hour after hour, and say at the end of each day how things stand."""
    url = _reveal_url(settings)
    _wait_less_for_the_disk(url)
    began, rows = time.monotonic(), 0
    days: list[Day] = []
    with (
        ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool,
        tempfile.TemporaryDirectory() as folder,
        open_instance(url, folder) as instance,
    ):
        _write_snapshots(instance, hour)
        for number in range(-(-hours // 24)):
            targets = [
                first + timedelta(hours=n) for n in range(number * 24, min(number * 24 + 24, hours))
            ]
            shares = [targets[worker::WORKERS] for worker in range(WORKERS)]
            list(pool.map(write_hours, [url] * WORKERS, [hour] * WORKERS, shares))
            rows += hour.count_rows() * len(targets)
            written_s = time.monotonic() - began
            purged_s = 0.0
            if purges:
                purged_s = _purge_day(instance, targets[-1] + timedelta(hours=1), settings)
            day = _measure(instance, settings, number + 1, purged_s)
            days.append(day)
            click.echo(day.describe(rows_per_s=rows / written_s))
        _say_end(instance, settings, days, first, hours)


def write_hours(url: str, hour: Hour, targets: Sequence[datetime]) -> None:
    """Write an hour at each of these times; in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, open_instance(url, folder) as instance:
        for begins in targets:
            _write_hour(instance, hour, begins)


def _write_hour(instance: dg.DagsterInstance, hour: Hour, begins: datetime) -> None:
    shift_s = (begins - hour.begins).total_seconds()
    partitions = _name_partitions(hour.begins, begins)
    runs = instance.run_storage
    if not isinstance(runs, SqlRunStorage):
        message = "the benchmark's own Dagster has no SQL storage"
        raise TypeError(message)
    entries: list[EventLogEntry] = []
    borders: list[dict[str, object]] = []
    for text, created_at, events in hour.runs:
        run_id = str(uuid.uuid4())
        run = _parse(text, dg.DagsterRun)._replace(run_id=run_id)
        runs.add_historical_run(run, datetime.fromtimestamp(created_at + shift_s, UTC))
        of_run = [_shift(event, shift_s, partitions, run_id) for event in events]
        times = [entry.timestamp for entry in of_run if _is_border(entry)]
        borders.append({"run": run_id, "start": min(times), "end": max(times)})
        entries += of_run
    with runs.connect() as connection:
        connection.execute(_SET_BORDERS, borders)
    entries += [_shift(event, shift_s, partitions, RUNLESS_RUN_ID) for event in hour.runless]
    _write_events(open_event_log(instance), entries)
    _write_ticks(runs, [_parse(text, TickData) for text in hour.ticks], shift_s)


def _write_events(storage: SqlEventLogStorage, entries: Sequence[EventLogEntry]) -> None:
    """As store_event does one by one (measured: 440 rows/s), but many at a time where that can be.

    An asset's own row knows its latest event only; so it is told of the last one of each kind.
    """
    of_asset: dict[tuple[object, object], list[EventLogEntry]] = {}
    plain: list[EventLogEntry] = []
    for entry in entries:
        kind = entry.dagster_event_type
        if kind in BATCHES_OF_AN_ASSET:
            key = entry.get_dagster_event().asset_key
            of_asset.setdefault((key, kind), []).append(entry)
        else:
            plain.append(entry)
    for batch in of_asset.values():
        storage.store_event_batch(batch)
    last_planned: dict[dg.AssetKey | None, tuple[EventLogEntry, int]] = {}
    for entry, event_id in zip(plain, _insert_events(storage, plain), strict=True):
        if entry.dagster_event_type in CHECKS:
            storage.store_asset_check_event(entry, event_id)
        elif entry.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            last_planned[entry.get_dagster_event().asset_key] = (entry, event_id)
    for entry, event_id in last_planned.values():
        storage.store_asset_event(entry, event_id)


def _insert_events(storage: SqlEventLogStorage, entries: Sequence[EventLogEntry]) -> Sequence[int]:
    """By the storage's own statement for many; returns the rows' ids, in order."""
    ids: list[int] = []
    with storage.index_connection() as connection:
        for first in range(0, len(entries), 500):
            insert = storage.prepare_insert_event_batch(entries[first : first + 500])
            added = connection.execute(insert.returning(SqlEventLogStorageTable.c.id))
            ids += sorted(added.scalars())
    return ids


def _is_border(entry: EventLogEntry) -> bool:
    return entry.is_dagster_event and entry.dagster_event_type in BORDERS_OF_RUNS


def _write_ticks(storage: SqlRunStorage, ticks: Sequence[TickData], shift_s: float) -> None:
    """As create_tick does one by one; runs and ticks share a database."""
    rows: list[dict[str, object]] = []
    for tick in ticks:
        end = tick.end_timestamp + shift_s if tick.end_timestamp else None
        moved = tick._replace(timestamp=tick.timestamp + shift_s, end_timestamp=end)
        rows.append(
            {
                "job_origin_id": moved.instigator_origin_id,
                "selector_id": moved.selector_id,
                "status": moved.status.value,
                "type": moved.instigator_type.value,
                "timestamp": datetime.fromtimestamp(moved.timestamp, UTC).replace(tzinfo=None),
                "tick_body": serialize_value(moved),
            }
        )
    with storage.connect() as connection:
        for first in range(0, len(rows), 500):
            connection.execute(sa.insert(JobTickTable).values(rows[first : first + 500]))


def _name_partitions(measured: datetime, begins: datetime) -> dict[str, str]:
    """Partitions that the measured hour named (its own, the one before and after), and new ones."""
    return {_name_hour(measured, later=n): _name_hour(begins, later=n) for n in (-1, 0, 1)}


def _name_hour(moment: datetime, *, later: int) -> str:
    """The partition so many hours after the one that holds this moment."""
    return name_hour(hour_of(to_time_us(moment + timedelta(hours=later))))


def _shift(text: str, shift_s: float, partitions: dict[str, str], run_id: str) -> EventLogEntry:
    if any(name in text for name in partitions):
        # in one go: a new name may be another's old one
        text = re.sub("|".join(partitions), lambda found: partitions[found[0]], text)
        entry = deserialize_value(text, EventLogEntry)
    else:
        entry = _parse(text, EventLogEntry)
    return entry._replace(run_id=run_id, timestamp=entry.timestamp + shift_s)


@cache
def _parse(text: str, kind: type[Parsed]) -> Parsed:
    """What the hour repeats is read once a process."""
    value = deserialize_value(text)
    if not isinstance(value, kind):
        message = f"the hour holds a {type(value).__name__} for a {kind.__name__}"
        raise TypeError(message)
    return value


def _purge_day(instance: dg.DagsterInstance, now: datetime, settings: Settings) -> float:
    """What the platform's purge and the daemon's own one do by then; returns seconds."""
    began = time.monotonic()
    purge(
        instance,
        LOG,
        now=now,
        keep=timedelta(days=settings.dagster.keep_days),
        keep_failed=timedelta(days=settings.dagster.keep_failed_days),
    )
    schedules = instance.schedule_storage
    for origin_id, selector_id in _list_instigators(instance):
        for status in TickStatus:
            before = now - TICKS_KEPT.get(status, TICKS_KEPT_ELSE)
            if schedules is not None:
                schedules.purge_ticks(origin_id, selector_id, before.timestamp(), [status])
    return time.monotonic() - began


def _list_instigators(instance: dg.DagsterInstance) -> Sequence[tuple[str, str]]:
    with open_event_log(instance).index_connection() as connection:
        rows = connection.execute(
            sa.text("SELECT DISTINCT job_origin_id, selector_id FROM job_ticks")
        )
        return [(origin_id, selector_id) for origin_id, selector_id in rows]


@dataclass(frozen=True, kw_only=True)
class Day:
    """How things stand at the end of a day.

    Attributes:
        queries_s: Median of three answers of the web server, by what was asked.
    """

    number: int
    size_mb: float
    purged_s: float
    queries_s: dict[str, float]

    def describe(self, *, rows_per_s: float) -> str:
        """One line."""
        queries = ", ".join(f"{name} {1000 * s:.0f} ms" for name, s in self.queries_s.items())
        return (
            f"day {self.number:>2}: {self.size_mb:6.0f} MB, purged in {self.purged_s:4.1f} s, "
            f"{queries} ({rows_per_s:,.0f} rows/s written)"
        )


def _measure(instance: dg.DagsterInstance, settings: Settings, number: int, purged_s: float) -> Day:
    with open_event_log(instance).index_connection() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text("VACUUM ANALYZE"))
        size = connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar()
    url = find_url(settings)
    times = {
        name: statistics.median(_time(url, query, variables) for _ in range(3))
        for name, (query, variables) in QUERIES.items()
    }
    return Day(number=number, size_mb=(size or 0) / 1e6, purged_s=purged_s, queries_s=times)


def _time(url: str, query: str, variables: dict[str, object]) -> float:
    began = time.perf_counter()
    ask_dagster(url, query, variables, timeout_s=120.0)
    return time.perf_counter() - began


def _say_end(
    instance: dg.DagsterInstance,
    settings: Settings,
    days: Sequence[Day],
    first: datetime,
    hours: int,
) -> None:
    wanted = {_name_hour(first, later=n) for n in range(hours)}
    green = instance.get_materialized_partitions(load_key("postgres", QUOTES))
    answer = ask_dagster(find_url(settings), *QUERIES["partitions"], timeout_s=120.0)
    shown = answer["assetNodeOrError"]["partitionStats"]["numMaterialized"]
    click.echo(f"{len(wanted & green)} of {hours} hours are materialized, the UI shows {shown}")
    for number in (2, STEADY_DAY):
        if len(days) <= number:
            continue
        early, late = days[number - 1], days[-1]
        click.echo(
            f"day {late.number} to day {early.number}: size {late.size_mb / early.size_mb:.2f}"
        )
        for name in QUERIES:
            click.echo(f"  {name}: {late.queries_s[name] / early.queries_s[name]:.2f}")


def _wait_less_for_the_disk(url: str) -> None:
    """Months in minutes: nothing here has to survive a power cut."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.execute(sa.text("SELECT current_database()")).scalar()
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    engine.dispose()


@contextmanager
def open_instance(url: str, folder: str) -> Iterator[dg.DagsterInstance]:
    """An instance on this database; logs go to the folder."""
    overrides = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(folder, overrides=overrides) as instance:
        # keeps connections; else each row pays 10 ms for one of its own (measured: 4 times slower)
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=20)
        yield instance


def _reveal_url(settings: Settings) -> str:
    url = settings.dagster.postgres_url
    if url is None:
        message = "no Dagster database is known there: start it with `crypto-platform up`"
        raise click.ClickException(message)
    return url.get_secret_value()


_LOAD_KEY: dict[str, object] = {"key": {"path": list(load_key("postgres", QUOTES).path)}}

QUERIES: dict[str, tuple[str, dict[str, object]]] = {
    "runs": (
        """{ runsOrError(limit: 25) { ... on Runs { results {
            runId jobName status startTime endTime tags { key value } assetSelection { path }
        } } } }""",
        {},
    ),
    "graph": (
        """{ assetNodes {
            assetKey { path }
            assetMaterializations(limit: 1) {
                runId timestamp partition metadataEntries { label }
            }
            assetChecksOrError { ... on AssetChecks { checks {
                name executionForLatestMaterialization { status }
            } } }
        } }""",
        {},
    ),
    "asset": (
        """query Asset($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
            assetMaterializations(limit: 100) {
                runId timestamp partition metadataEntries { label }
            }
        } } }""",
        _LOAD_KEY,
    ),
    "partitions": (
        """query Partitions($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode {
                partitionStats { numMaterialized numPartitions }
                assetPartitionStatuses { ... on TimePartitionStatuses {
                    ranges { startKey endKey status }
                } }
            }
        } }""",
        _LOAD_KEY,
    ),
    "ticks": (
        """query Ticks($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) {
            ... on Sensor { sensorState { ticks(limit: 25) { id status timestamp skipReason } } }
        } }""",
        {"sensor": {**REPOSITORY, "sensorName": load_sensor("postgres")}},
    ),
}
"""What the UI asks on its run, graph, asset and automation pages, in short."""

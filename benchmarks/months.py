"""Does the UI stay as it is over months? One measured hour of a running platform, written N times.

Here: an hour's runs, events and ticks are read from the Dagster of a running stack and written by
Dagster's own storage calls into a PostgreSQL of this benchmark's own; that hour's rows are copied
for each hour of a month (copies.py); at the end of each day the platform's purge runs with the
clock of that day. Printed for each day: the size of Dagster's database and of its largest tables,
and how long the UI's queries take. Not here: the platform's data; only Dagster's own history is
written.

Freshness of the figures: ratios of one day to another of the same run; seconds are this machine's.
"""

import logging
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import dagster as dg
import msgspec
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.snap import ExecutionPlanSnapshot, JobSnap
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._serdes import deserialize_value, serialize_value

from benchmarks.copies import Copies
from crypto_platform.assets.names import load_key
from crypto_platform.domain.hours import hour_of, name_hour, to_time_us
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.jobs.dagster_tables import open_event_log, rebuild_indexes
from crypto_platform.jobs.purge import purge
from crypto_platform.serving.dagster_api import REPOSITORY, ask_dagster, find_url
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import SETTINGS_FILE, Settings, load_settings
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stack.folder import make_data_folder

PARTITION_TAG = "dagster/partition"
STEADY_DAY = 4
"""From then on a purge deletes what a day writes."""
WEEK = 7
"""Days whose median is compared: a query is measured while the machine does other things too."""
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
_SET_BORDERS = (
    sa.update(RunsTable)
    .where(RunsTable.c.run_id == sa.bindparam("run"))
    .values(start_time=sa.bindparam("start"), end_time=sa.bindparam("end"))
)

_TABLES = """SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables
WHERE schemaname = 'public' ORDER BY 2 DESC"""

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
    days: list[Day] = []
    with tempfile.TemporaryDirectory() as folder, open_instance(url, folder) as instance:
        _write_snapshots(instance, hour)
        _write_hour(instance, hour, first)
        copies = Copies(instance, _name_hours(first))
        for number in range(-(-hours // 24)):
            began = time.monotonic()
            for later in range(max(number * 24, 1), min(number * 24 + 24, hours)):
                copies.write(later, _name_hours(first + timedelta(hours=later)))
            copies.tell_assets()
            written_s, purged_s = time.monotonic() - began, 0.0
            end = first + timedelta(hours=min(number * 24 + 24, hours))
            if purges:
                purged_s = _purge_day(instance, end, settings)
            day = _measure(instance, settings, number + 1, purged_s)
            days.append(day)
            click.echo(day.describe(written_s=written_s))
        _say_end(instance, settings, days, first, hours)


def _write_hour(instance: dg.DagsterInstance, hour: Hour, begins: datetime) -> None:
    """Write the measured hour at another time, with new run ids."""
    shift_s = (begins - hour.begins).total_seconds()
    partitions = dict(zip(_name_hours(hour.begins), _name_hours(begins), strict=True))
    runs, events = instance.run_storage, instance.event_log_storage
    if not isinstance(runs, SqlRunStorage):
        message = "the benchmark's own Dagster has no SQL storage"
        raise TypeError(message)
    borders: list[dict[str, object]] = []
    for text, created_at, texts in hour.runs:
        run_id = str(uuid.uuid4())
        run = deserialize_value(_rename(text, partitions), dg.DagsterRun)
        created = datetime.fromtimestamp(created_at + shift_s, UTC)
        runs.add_historical_run(run._replace(run_id=run_id), created)
        of_run = [_shift(event, shift_s, partitions, run_id) for event in texts]
        times = [entry.timestamp for entry in of_run if _is_border(entry)]
        borders.append({"run": run_id, "start": min(times), "end": max(times)})
        for entry in of_run:
            events.store_event(entry)
    with runs.connect() as connection:
        connection.execute(_SET_BORDERS, borders)
    for text in hour.runless:
        events.store_event(_shift(text, shift_s, partitions, RUNLESS_RUN_ID))
    for text in hour.ticks:
        tick = deserialize_value(text, TickData)
        end = tick.end_timestamp + shift_s if tick.end_timestamp else None
        instance.create_tick(tick._replace(timestamp=tick.timestamp + shift_s, end_timestamp=end))


def _is_border(entry: EventLogEntry) -> bool:
    return entry.is_dagster_event and entry.dagster_event_type in BORDERS_OF_RUNS


def _name_hours(begins: datetime) -> Sequence[str]:
    """Partitions that an hour's events may name: the one before it, its own, the one after."""
    hours = [begins + timedelta(hours=later) for later in (-1, 0, 1)]
    return [name_hour(hour_of(to_time_us(hour))) for hour in hours]


def _rename(text: str, partitions: dict[str, str]) -> str:
    # in one go: a new name may be another's old one
    return re.sub("|".join(partitions), lambda found: partitions[found[0]], text)


def _shift(text: str, shift_s: float, partitions: dict[str, str], run_id: str) -> EventLogEntry:
    entry = deserialize_value(_rename(text, partitions), EventLogEntry)
    return entry._replace(run_id=run_id, timestamp=entry.timestamp + shift_s)


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
    rebuild_indexes(instance)
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
        size_mb: Of all Dagster's tables and indexes.
        tables_mb: Of the largest of them, the largest first.
        queries_s: Median of three answers of the web server, by what was asked.
    """

    number: int
    size_mb: float
    tables_mb: dict[str, float]
    purged_s: float
    queries_s: dict[str, float]

    def describe(self, *, written_s: float) -> str:
        """One line."""
        queries = ", ".join(f"{name} {1000 * s:.0f} ms" for name, s in self.queries_s.items())
        tables = ", ".join(f"{name} {mb:.1f}" for name, mb in self.tables_mb.items())
        return (
            f"day {self.number:>2}: {self.size_mb:6.1f} MB ({tables}), {queries} "
            f"(written in {written_s:.0f} s, purged in {self.purged_s:.0f} s)"
        )


def _measure(instance: dg.DagsterInstance, settings: Settings, number: int, purged_s: float) -> Day:
    with open_event_log(instance).index_connection() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text("VACUUM ANALYZE"))
        tables = connection.execute(sa.text(_TABLES)).fetchall()
    url = find_url(settings)
    times = {
        name: statistics.median(_time(url, query, variables) for _ in range(3))
        for name, (query, variables) in QUERIES.items()
    }
    return Day(
        number=number,
        size_mb=sum(size for _, size in tables) / 1e6,
        tables_mb={name: size / 1e6 for name, size in tables[:5]},
        purged_s=purged_s,
        queries_s=times,
    )


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
    wanted = {_name_hours(first + timedelta(hours=later))[1] for later in range(hours)}
    green = instance.get_materialized_partitions(load_key("postgres", QUOTES))
    answer = ask_dagster(find_url(settings), *QUERIES["partitions"], timeout_s=120.0)
    shown = answer["assetNodeOrError"]["partitionStats"]["numMaterialized"]
    click.echo(f"{len(wanted & green)} of {hours} hours are materialized, the UI shows {shown}")
    if len(days) < STEADY_DAY + 2 * WEEK:
        return
    early, late = days[STEADY_DAY - 1 :][:WEEK], days[-WEEK:]
    click.echo(f"week from day {late[0].number} to week from day {early[0].number}:")
    sizes = [statistics.median(day.size_mb for day in week) for week in (early, late)]
    click.echo(f"  size: {sizes[1] / sizes[0]:.2f}")
    for name in QUERIES:
        times = [statistics.median(day.queries_s[name] for day in week) for week in (early, late)]
        click.echo(f"  {name}: {times[1] / times[0]:.2f}")


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

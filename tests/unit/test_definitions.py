"""The definitions as Dagster sees them: names people, dashboards and scripts rely on."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_platform.analytics import ANALYTICS
from crypto_platform.assets.descriptions import describe_columns
from crypto_platform.assets.names import (
    INGEST_JOB,
    INGEST_OP,
    analytics_key,
    load_key,
    topic_key,
)
from crypto_platform.definitions import build_definitions
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.meaning import explain_fields
from crypto_platform.schedules import find_last_hour
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack import dagster as stack_dagster
from crypto_platform.stores import STORES
from crypto_platform.stores.postgres.tables import build_metadata


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environment={})


LISTING = Path(__file__).with_name("definitions.txt")
"""What Dagster shows of the definitions, one line a thing. Written anew by running this file."""


def list_definitions(settings: Settings) -> list[str]:
    """Keys, parents, partitions, checks, jobs, schedules and sensors, sorted."""
    definitions = build_definitions(settings)
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    lines: list[str] = []
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys))
        parts = type(node.partitions_def).__name__ if node.partitions_def else "no partitions"
        owners = ", ".join(node.owners)
        kinds = ", ".join(sorted(node.kinds))
        lines.append(
            f"asset {key.to_user_string()} <- [{parents}] group {node.group_name}, {parts}, "
            f"kinds [{kinds}], owners [{owners}], freshness policy "
            f"{'yes' if node.freshness_policy_or_from_metadata else 'no'}"
        )
    lines += [f"check {key.to_user_string()}" for key in graph.asset_check_keys]
    for job in repository.get_all_jobs():
        nodes = ", ".join(sorted(node.name for node in job.nodes))
        lines.append(f"job {job.name}: {nodes}")
    lines += [
        f"schedule {s.name}: {s.cron_schedule} -> {s.job_name}, {s.default_status.value}"
        for s in repository.schedule_defs
    ]
    lines += [
        f"sensor {s.name}: every {s.minimum_interval_seconds} s, {s.default_status.value}"
        for s in repository.sensor_defs
    ]
    return sorted(lines)


def test_the_definitions_are_those_that_are_written_down(settings: Settings) -> None:
    """A renamed key orphans its history in the UI and breaks everybody's selections."""
    assert list_definitions(settings) == LISTING.read_text("utf-8").splitlines()


def test_a_source_without_its_key_is_left_out_and_comes_with_it(tmp_path: Path) -> None:
    """An asset that can only fail would be red for ever."""
    key = {"CRYPTO_PLATFORM_SOURCES__COINCAP__KEY": "a-key-of-mine"}
    keys = {
        asset.to_user_string()
        for asset in build_definitions(load_settings(tmp_path, environment=key))
        .resolve_asset_graph()
        .get_all_asset_keys()
    }
    assert "coincap/quotes" in keys


def test_the_minute_and_the_sensors_run_without_being_switched_on(settings: Settings) -> None:
    """A fresh install would otherwise sit there and do nothing."""
    repository = build_definitions(settings).get_repository_def()
    running = {s.name for s in repository.schedule_defs if s.default_status.value == "RUNNING"}
    running |= {s.name for s in repository.sensor_defs if s.default_status.value == "RUNNING"}
    assert running == {
        "every_minute",
        "audit_hourly",
        "quality_hourly",
        "purge_hourly",
        "retention_daily",
        "health",
        "alerts",
        "analytics_due",
        "gaps_due",
        "poll_binance",
        "poll_bitstamp",
        "poll_coinbase",
        "poll_coingecko",
        "poll_ecb",
        "poll_gemini",
        "poll_kraken",
        "poll_simulated",
        "poll_simulated_ecb",
        "poll_simulated_exchange",
        "postgres_lag",
        "mongo_lag",
    }


def test_the_first_run_asks_for_the_job_that_exists(settings: Settings) -> None:
    """The stack may not import the assets, so it names their job again."""
    assert (stack_dagster.FIRST_JOB, stack_dagster.FIRST_OP) == (INGEST_JOB, INGEST_OP)
    assert build_definitions(settings).resolve_job_def(INGEST_JOB).name == INGEST_JOB


@pytest.mark.parametrize("job", ["ingest_live", "load_postgres", "load_mongo"])
def test_a_live_run_asks_no_health_checks(settings: Settings, job: str) -> None:
    """A selection of assets brings their checks along: each minute would look at everything."""
    names = {node.name for node in build_definitions(settings).resolve_job_def(job).nodes}
    assert "look_at_health" not in names


def test_no_run_is_believed_for_ever(settings: Settings) -> None:
    """The launcher checks no process: a run whose machine died would hold its place for good."""
    definitions = build_definitions(settings)
    runtimes = {
        name: definitions.resolve_job_def(name).run_tags.get("dagster/max_runtime")
        for name in [job.name for job in definitions.get_repository_def().get_all_jobs()]
        if not name.startswith("__")
    }
    assert runtimes == {
        "ingest_live": "180",
        "restore_store": "86400",
        "load_postgres": "1860",
        "load_mongo": "1860",
        "audit_hour": "3600",
        "quality_hour": "3600",
        "repair_gaps": "86400",
        "report_gaps": "3600",
        "purge_history": "3600",
        "remove_old_records": "14400",
        "analytics": "21600",
    }


def test_tables_and_documents_say_where_each_column_comes_from(settings: Settings) -> None:
    """An analyst asks of a price in MongoDB which field of the source it was."""
    graph = build_definitions(settings).resolve_asset_graph()
    for store, feed in ((store, feed) for store in STORES for feed in FEEDS):
        metadata = graph.get(load_key(store, feed)).metadata
        columns = {c.name for c in metadata["dagster/column_schema"].columns}
        lineage = metadata["dagster/column_lineage"].deps_by_column
        assert columns - set(lineage) == {
            c.name for c in STORES[store].columns_of(feed) if not c.field
        }
        fields = {dep.column_name for deps in lineage.values() for dep in deps}
        assert fields == {field.name for field in feed.fields}
        topic = graph.get(topic_key(feed)).metadata["dagster/column_schema"]
        assert fields <= {c.name for c in topic.columns}


@pytest.mark.parametrize("name", ANALYTICS)
def test_figures_say_what_each_column_means_and_is_made_of(settings: Settings, name: str) -> None:
    """Of parents alone: a line to what the asset does not read would be a guess."""
    graph = build_definitions(settings).resolve_asset_graph()
    node = graph.get(analytics_key(name))
    columns = node.metadata["dagster/column_schema"].columns
    table = build_metadata().tables[node.metadata["dagster/table_name"]]
    assert [c.name for c in columns] == [c.name for c in table.columns]
    assert [c.constraints.nullable for c in columns] == [c.nullable for c in table.columns]
    assert all(column.description for column in columns)
    lineage = node.metadata["dagster/column_lineage"].deps_by_column
    assert set(lineage) == {column.name for column in columns} - {"updated_at"}
    origins = [dep for deps in lineage.values() for dep in deps]
    assert {dep.asset_key for dep in origins} <= node.parent_keys
    for dep in origins:
        schema = graph.get(dep.asset_key).metadata["dagster/column_schema"]
        assert dep.column_name in {column.name for column in schema.columns}


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_every_column_says_what_it_means(feed: Feed[Record]) -> None:
    """The UI's list of columns is where an analyst asks whether a volume is money or units."""
    assert {field.name for field in feed.fields} <= set(explain_fields(feed.record))
    for store in STORES.values():
        columns = describe_columns(feed, store.columns_of(feed))["dagster/column_schema"].columns
        assert all(column.description for column in columns)


def test_a_meaning_is_read_whole_and_for_each_name_of_its_line() -> None:
    """Docstrings wrap, and say one thing of several fields at once."""

    class Answer(Record, frozen=True, kw_only=True):
        """What was asked.

        Attributes:
            high, low: Of 24 hours,
                in quote currency.

        Source: an API's page.
        """

    meaning = explain_fields(Answer)
    assert meaning["high"] == meaning["low"] == "Of 24 hours, in quote currency."
    assert meaning["ts_ingest"].startswith("When the platform received it.")


def test_the_hourly_audit_proves_the_hour_that_has_ended() -> None:
    """Four minutes into a year it is still last year's last hour."""
    assert find_last_hour(datetime(2026, 1, 1, 0, 4, tzinfo=UTC)) == "2025-12-31-23:00"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = list_definitions(load_settings(Path(folder), environment={}))
    LISTING.write_text("".join(f"{line}\n" for line in found), "utf-8")

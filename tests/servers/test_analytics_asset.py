"""analytics/candles in Dagster: a run that catches up, days chosen by a person, the sensor."""

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from crypto_platform.assets.names import ANALYTICS_JOB, analytics_key, load_key, topic_key
from crypto_platform.definitions import build_definitions
from crypto_platform.domain.hours import day_of, name_day
from crypto_platform.feeds.trades import TRADES
from crypto_platform.sensors.analytics import build_analytics_sensor
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import open_analytics
from tests.analytics_steps import (
    DAY,
    HOUR,
    MIDNIGHT,
    build_all,
    environment_of,
    load,
    make_tape,
    read_stored,
    trade,
)
from tests.store_harness import PostgresUrls

KEY = analytics_key("candles")
LONG_AFTER = 10_000 * DAY


@pytest.fixture
def settings(postgres_urls: PostgresUrls, tmp_path: Path) -> Settings:
    """The tape's days can be chosen."""
    first = {"CRYPTO_PLATFORM_HISTORY__FIRST_DAY": "2025-11-22"}
    return load_settings(tmp_path, environment=environment_of(postgres_urls, **first))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def describe(instance: dg.DagsterInstance, run_id: str) -> dict[str, tuple[object, ...]]:
    """Rows, hours and symbols by day, as the UI has them."""
    records = instance.fetch_materializations(KEY, limit=100, ascending=True).records
    found = [r.asset_materialization for r in records if r.run_id == run_id]
    names = ("rows_changed", "hours", "symbols")
    return {
        str(one.partition): tuple(one.metadata[name].value for name in names)
        for one in found
        if one is not None
    }


def test_a_run_makes_what_has_changed_and_tells_it_by_day(
    settings: Settings, postgres_urls: PostgresUrls, instance: dg.DagsterInstance
) -> None:
    """What a run did must be seen where people look for it, with a picture."""
    tape = [trade(1, at=HOUR), trade(2, at=2 * HOUR, price="12"), trade(3, at=DAY + HOUR)]
    load(settings, tape)
    # as the loads tell it: Dagster asks what a run's parents have, and refuses some of them
    for told in (
        dg.AssetMaterialization(load_key("postgres", TRADES), partition="2026-01-01-00:00"),
        dg.AssetObservation(topic_key(TRADES)),
    ):
        instance.report_runless_asset_event(told)
    job = build_definitions(settings).resolve_job_def(ANALYTICS_JOB)
    first = job.execute_in_process(instance=instance)
    assert first.success
    assert describe(instance, first.run_id) == {"2025-11-22": (7, 2, 1), "2025-11-23": (4, 1, 1)}
    assert read_stored(postgres_urls) == build_all(tape, as_of=LONG_AFTER)
    [told] = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=KEY, asset_partitions=["2025-11-22"]), limit=5
    ).records
    assert told.asset_materialization is not None
    chart = told.asset_materialization.metadata["chart"].value
    assert "simulated BTC-USD, the busiest, by the hour: 12 at last, 10 to 12" in str(chart)
    current = dg.AssetCheckKey(KEY, "current")
    [answer] = instance.event_log_storage.get_asset_check_execution_history(current, limit=5)
    assert answer.evaluation is not None
    assert (answer.evaluation.passed, answer.run_id) == (True, first.run_id)
    second = job.execute_in_process(instance=instance)
    assert second.success
    assert describe(instance, second.run_id) == {}


def test_days_that_a_person_chooses_are_one_run_and_made_anew(
    settings: Settings, postgres_urls: PostgresUrls, instance: dg.DagsterInstance
) -> None:
    """A backfill of the UI; what nobody traded on is done as well."""
    tape = make_tape(5, 200, days=2)
    load(settings, tape)
    with psycopg.connect(postgres_urls.migrator) as connection:
        connection.execute("DELETE FROM platform.touched")
    tags = {
        "dagster/asset_partition_range_start": "2025-11-22",
        "dagster/asset_partition_range_end": "2025-11-24",
    }
    job = build_definitions(settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, tags=tags, asset_selection=[KEY])
    told = describe(instance, result.run_id)
    expected = build_all(tape, as_of=LONG_AFTER)
    by_day = [len([key for key in expected if key[3] // DAY == day]) for day in (0, 1)]
    assert told == {
        "2025-11-22": (by_day[0], 72, 3),
        "2025-11-23": (by_day[1], 72, 3),
        "2025-11-24": (0, 72, 3),
    }
    assert read_stored(postgres_urls) == expected


def test_the_sensor_asks_for_a_run_where_something_changed(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """And says in words why it does not."""
    sensor = build_analytics_sensor(settings)

    def ask() -> dg.RunRequest | str:
        with dg.build_sensor_context(instance=instance) as context:
            data = sensor.evaluate_tick(context)
        return data.run_requests[0] if data.run_requests else str(data.skip_message)

    assert ask() == "nothing has changed since the last run"
    now = trade(1, at=time.time_ns() // 1000 - MIDNIGHT)
    load(settings, [now])
    assert isinstance(ask(), dg.RunRequest)
    with open_analytics(settings).alone() as is_alone:
        assert is_alone
        assert ask() == "a run is at work"
    job = build_definitions(settings).resolve_job_def(ANALYTICS_JOB)
    result = job.execute_in_process(instance=instance)
    assert list(describe(instance, result.run_id)) == [name_day(day_of(now.ts_event))]
    assert ask() == "nothing has changed since the last run"
    load(settings, [trade(2, at=HOUR)])
    assert str(ask()).startswith("the next run is due in 1")


def test_a_store_that_is_away_is_no_answer(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Taken for 'nothing changed', the trouble would look like peace."""
    away = {"CRYPTO_PLATFORM_POSTGRES__LOADER_URL": "postgresql://loader:x@127.0.0.1:1/none"}
    sensor = build_analytics_sensor(load_settings(tmp_path, environment=away))
    with dg.build_sensor_context(instance=instance) as context:
        data = sensor.evaluate_tick(context)
    assert str(data.skip_message).startswith("not known whether anything has changed: ")

"""Sensors and schedules with a Dagster instance: what they ask for, and what they say instead."""

from contextlib import closing
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.events import StepMaterializationData

from crypto_platform.assets.names import TAG_SHARD, TAG_STORE, load_job, load_key, topic_key
from crypto_platform.definitions import build_definitions
from crypto_platform.delivery.shards import EVERYTHING, list_shards
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.resources.kafka import KafkaResource
from crypto_platform.schedules import build_ingest_schedule
from crypto_platform.sensors.health import build_health_sensor
from crypto_platform.sensors.loads import build_load_sensor
from crypto_platform.serving.monitor import Monitor
from crypto_platform.stores import STORES
from crypto_platform.stores.base import Store
from tests.platform_harness import Platform
from tests.store_steps import quote

NOWHERE = {
    "postgres": "postgresql://loader:x@127.0.0.1:1/none",
    "mongo": "mongodb://loader:x@127.0.0.1:1/none",
}


class StoreOf:
    """Opens a store as its resource does; closed with the platform."""

    def __init__(self, platform: Platform, name: str) -> None:
        self._platform, self._name = platform, name

    def open(self) -> Store:
        """With the settings as they are now."""
        return self._platform.store(self._name)


class CountingKafka:
    """Counts the clients that are made of it."""

    def __init__(self, platform: Platform) -> None:
        self._kafka = KafkaResource(data_dir=str(platform.data_dir))
        self.clients = 0

    def watermarks(self) -> Watermarks:
        """One more."""
        self.clients += 1
        return self._kafka.watermarks()

    def ping(self, watermarks: Watermarks) -> str:
        """As it is."""
        return self._kafka.ping(watermarks)


def tick_loads(
    sensor: dg.SensorDefinition,
    platform: Platform,
    instance: dg.DagsterInstance,
    cursor: str | None = None,
) -> SensorExecutionData:
    """One tick of a load sensor, with the settings as they are now."""
    resources = {
        "kafka": KafkaResource(data_dir=str(platform.data_dir)),
        **{name: StoreOf(platform, name) for name in STORES},
    }
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources)
    return sensor.evaluate_tick(context)


def tick_minute(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, kafka: CountingKafka
) -> ScheduleExecutionData:
    """One tick of the schedule."""
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime.now(UTC),
        resources={"kafka": kafka},
    )
    return schedule.evaluate_tick(context)


def start_load(
    platform: Platform, instance: dg.DagsterInstance, store: str, **tags: str
) -> dg.DagsterRun:
    """A load run of this store that Dagster believes is at work."""
    job = build_definitions(platform.settings).resolve_job_def(load_job(store))
    own = {TAG_STORE: store, TAG_SHARD: str(EVERYTHING)}
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=own | tags)


@pytest.mark.parametrize("store", sorted(STORES))
def test_records_that_wait_are_loaded_by_a_run_and_then_nothing_is_asked_for(
    platform: Platform, instance: dg.DagsterInstance, store: str
) -> None:
    """A sensor that always asks makes a run every five seconds; one that never does, none."""
    sensor = build_load_sensor(platform.settings, store)
    platform.publish(QUOTES, [quote(1)])
    asked = tick_loads(sensor, platform, instance)
    [request] = asked.run_requests
    follow_s = request.run_config["ops"][f"kafka_to_{store}"]["config"]["follow_s"]
    assert (follow_s, request.run_key) == (900.0, None)

    platform.load(store)
    later = tick_loads(sensor, platform, instance, asked.cursor)
    assert (later.run_requests, later.skip_message) == ([], "nothing waits")


@pytest.mark.parametrize("store", sorted(STORES))
def test_each_shard_is_asked_for_apart(
    platform: Platform, instance: dg.DagsterInstance, store: str
) -> None:
    """A run at work on one half says nothing of the other."""
    platform.reload(CRYPTO_PLATFORM_LOAD__SHARDS="2")
    sensor = build_load_sensor(platform.settings, store)
    platform.publish(QUOTES, [quote(number, currency_id=f"c{number}") for number in range(30)])
    first, second = list_shards(2)
    start_load(platform, instance, store, **{TAG_SHARD: str(first)})
    asked = tick_loads(sensor, platform, instance)
    [request] = asked.run_requests
    assert request.tags[TAG_SHARD] == str(second)
    assert request.run_config["ops"][f"kafka_to_{store}"]["config"]["shard"] == str(second)


@pytest.mark.parametrize("store", sorted(STORES))
def test_a_run_at_work_is_left_at_it_and_a_replay_is_no_such_run(
    platform: Platform, instance: dg.DagsterInstance, store: str
) -> None:
    """A replay of last week must not stand for the load of what comes in now."""
    sensor = build_load_sensor(platform.settings, store)
    platform.publish(QUOTES, [quote(1)])
    start_load(platform, instance, store, **{"dagster/partition": "2026-01-31-10:00"})
    asked = tick_loads(sensor, platform, instance)
    assert len(asked.run_requests) == 1

    at_work = start_load(platform, instance, store)
    later = tick_loads(sensor, platform, instance, asked.cursor)
    assert not later.run_requests
    assert (later.skip_message or "").startswith(f"run {at_work.run_id[:8]} is at work")


@pytest.mark.parametrize("store", sorted(STORES))
def test_a_store_that_does_not_answer_is_told_and_asked_again(
    platform: Platform, instance: dg.DagsterInstance, store: str
) -> None:
    """Unknown lag is not lag 0, nor a reason to start runs that can do nothing."""
    variable = f"CRYPTO_PLATFORM_{store.upper()}__LOADER_URL"
    address = platform.variables[variable]
    sensor = build_load_sensor(platform.settings, store)
    platform.publish(QUOTES, [quote(1)])
    platform.reload(**{variable: NOWHERE[store]})
    away = tick_loads(sensor, platform, instance)
    assert not away.run_requests
    assert (away.skip_message or "").startswith("not known whether records wait: ")

    platform.reload(**{variable: address})
    assert len(tick_loads(sensor, platform, instance, away.cursor).run_requests) == 1


def test_the_health_sensor_answers_every_check_once_and_again_when_the_answer_changes(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    """An answer a minute for each check would fill Dagster's database with repetitions."""
    fresh = dg.AssetCheckKey(load_key("postgres", QUOTES), "fresh")

    def tick(cursor: str | None) -> SensorExecutionData:
        with closing(Monitor(platform.settings)) as monitor:
            sensor = build_health_sensor(platform.settings, monitor)
            return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))

    def answers(check: dg.AssetCheckKey) -> list[bool]:
        history = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
        return [answer.evaluation.passed for answer in reversed(history) if answer.evaluation]

    platform.publish(QUOTES, [quote(1)])
    platform.load_both()
    first = tick(None)
    asked = build_definitions(platform.settings).resolve_asset_graph().asset_check_keys
    hourly = {"audit", "quality"}
    health = [check for check in asked if check.asset_key.path[0] not in hourly]
    assert {check: len(answers(check)) for check in health} == dict.fromkeys(health, 1)
    assert topic_key(QUOTES) in {event.asset_key for event in first.asset_events}
    second = tick(first.cursor)
    assert answers(fresh) == [True]

    platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=NOWHERE["postgres"])
    tick(second.cursor)
    assert answers(fresh) == [True, False]
    assert answers(dg.AssetCheckKey(load_key("mongo", QUOTES), "fresh")) == [True]


def test_answers_are_seen_again_when_a_load_goes_on_after_a_replay(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    """The graph showed no answer at all until the load's successor came, a quarter of an hour."""
    key = load_key("postgres", QUOTES)
    fresh = dg.AssetCheckKey(key, "fresh")
    load = start_load(platform, instance, "postgres")
    replayed = start_load(
        platform, instance, "postgres", **{"dagster/partition": "2026-01-31-10:00"}
    )
    cursor: str | None = None
    shown: list[str] = []
    for run in (load, replayed, load):
        materialized = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name="",
            event_specific_data=StepMaterializationData(dg.AssetMaterialization(key)),
        )
        instance.report_dagster_event(materialized, run_id=run.run_id)
        with closing(Monitor(platform.settings)) as monitor:
            sensor = build_health_sensor(platform.settings, monitor)
            tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
        cursor = tick.cursor
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([fresh])
        shown.append(latest[fresh].run_id)
    assert shown == [load.run_id, replayed.run_id, load.run_id]


def test_the_minute_keeps_its_kafka_client_and_makes_a_new_one_after_an_error(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    """A client a minute is connections and threads that nobody gives back."""
    variable = "CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS"
    address = platform.variables[variable]
    schedule = build_ingest_schedule(platform.settings)
    platform.reload(**{variable: "127.0.0.1:1"}, CRYPTO_PLATFORM_KAFKA__REQUEST_TIMEOUT_S="1")
    away = CountingKafka(platform)
    skipped = tick_minute(schedule, instance, away)
    assert not skipped.run_requests
    assert (skipped.skip_message or "").startswith("nothing can be published: ")

    platform.reload(**{variable: address})
    kafka = CountingKafka(platform)
    ticks = [tick_minute(schedule, instance, kafka) for _ in range(3)]
    assert [len(tick.run_requests or []) for tick in ticks] == [1, 1, 1]
    assert (away.clients, kafka.clients) == (1, 1)

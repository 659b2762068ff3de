"""One sensor a store: asks for a load run where records wait, and for a run's successor in time.

The sensor only fetches and reports; planning.py decides. A read that failed is a SkipReason, never
an empty answer.
"""

import time
from collections.abc import Sequence

import dagster as dg
import msgspec

from crypto_platform.assets.names import PRIORITY_LIVE, TAG_STORE, load_job, load_op
from crypto_platform.delivery.planning import LiveRun, Plan, StallMemory, plan_load
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEEDS
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store, StoredOffset, TopicPart

TICK_INTERVAL_S = 5

_LIVE_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def build_load_sensor(settings: Settings, store_name: str) -> dg.SensorDefinition:
    """The sensor of one store. Keeps its clients between ticks: the code server is one process."""
    kept: list[tuple[Watermarks, Store]] = []

    @dg.sensor(
        name=load_sensor(store_name),
        job_name=load_job(store_name),
        minimum_interval_seconds=TICK_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"kafka", store_name},
        description=f"Asks for a load run where records wait for {store_name}.",
    )
    def store_lag(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not kept:
            opened = getattr(context.resources, store_name).open()
            kept.append((context.resources.kafka.watermarks(), opened))
        [(watermarks, store)] = kept
        try:
            bounds = _read_bounds(settings, watermarks)
            stored = store.read_offsets()
        except PlatformError as error:
            store.close()
            kept.clear()
            return dg.SkipReason(f"not known whether records wait: {error}")
        plan = _plan(context, settings, store_name, bounds, stored)
        _report_dead_runs(context.instance, plan)
        cursor = msgspec.json.encode(plan.memory).decode()
        if not plan.launch:
            return dg.SensorResult(skip_reason=plan.reason, cursor=cursor)
        return dg.SensorResult(run_requests=[_request(settings, store_name)], cursor=cursor)

    return store_lag


def _read_bounds(settings: Settings, watermarks: Watermarks) -> dict[TopicPart, Bounds]:
    """The bounds of every partition of every feed, by the topic's own id."""
    ids = watermarks.read_topic_ids(topic_name(settings, feed.topic) for feed in FEEDS)
    parts = [Part(topic, part) for topic, (_, count) in ids.items() for part in range(count)]
    bounds = watermarks.read_bounds(parts)
    return {TopicPart(ids[part.topic][0], part.part): bounds[part] for part in parts}


def _plan(
    context: dg.SensorEvaluationContext,
    settings: Settings,
    store_name: str,
    bounds: dict[TopicPart, Bounds],
    stored: Sequence[StoredOffset],
) -> Plan:
    started_at = settings.stack.started_at
    return plan_load(
        now=time.time(),
        follow_s=settings.load.follow_s,
        stall_s=settings.load.stall_s,
        bounds=bounds,
        stored=stored,
        runs=_live_runs(context.instance, store_name),
        memory=_read_memory(context.cursor),
        stack_started_at=started_at.timestamp() if started_at else None,
    )


def _read_memory(cursor: str | None) -> StallMemory:
    """What was remembered; nothing where an older release wrote it otherwise."""
    try:
        return msgspec.json.decode(cursor or "{}", type=StallMemory)
    except msgspec.DecodeError:
        return StallMemory()


def _live_runs(instance: dg.DagsterInstance, store_name: str) -> list[LiveRun]:
    """Live load runs of this store; replays (with a partition) are not among them."""
    records = instance.get_run_records(
        dg.RunsFilter(
            job_name=load_job(store_name), tags={TAG_STORE: store_name}, statuses=_LIVE_STATUSES
        )
    )
    return [
        LiveRun(
            run_id=record.dagster_run.run_id,
            created_at=record.create_timestamp.timestamp(),
            started=record.dagster_run.status is dg.DagsterRunStatus.STARTED,
        )
        for record in records
        if not any(tag.startswith("dagster/partition") for tag in record.dagster_run.tags)
        and not any(tag.startswith("dagster/asset_partition") for tag in record.dagster_run.tags)
    ]


def _report_dead_runs(instance: dg.DagsterInstance, plan: Plan) -> None:
    for run_id in plan.dead_run_ids:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(
                run, "its process is gone: a younger run took over, or the stack was started anew"
            )


def _request(settings: Settings, store_name: str) -> dg.RunRequest:
    """No run key: fencing makes a second run harmless, a deduplicated key would lose real work."""
    config = {"ops": {load_op(store_name): {"config": {"follow_s": settings.load.follow_s}}}}
    return dg.RunRequest(run_config=config, tags=PRIORITY_LIVE)

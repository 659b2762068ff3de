"""One sensor a store: asks for a load run where records wait, and for a run's successor in time.

With `load.shards` above 1 it does so for each shard apart.

The sensor only fetches and reports; planning.py decides. A read that failed is a SkipReason, never
an empty answer.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
import msgspec

from crypto_platform.assets.names import (
    PRIORITY_LIVE,
    TAG_SHARD,
    TAG_STORE,
    load_job,
    load_op,
)
from crypto_platform.delivery.planning import LiveRun, Plan, StallMemory, plan_load
from crypto_platform.delivery.shards import Shard, list_shards
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEEDS
from crypto_platform.jobs import LIVE_STATUSES
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.sensors.cursor import read_cursor
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset, TopicPart

TICK_INTERVAL_S = 5


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
        shards = [
            shard
            for shard in list_shards(settings.load.shards)
            if any(shard.holds(part.part) for part in bounds)  # more shards than partitions
        ]
        plans = {
            shard: _plan(context, settings, store_name, shard, bounds, stored) for shard in shards
        }
        _report_dead_runs(context.instance, plans.values())
        cursor = write_memories({shard: plan.memory for shard, plan in plans.items()})
        wanted = [shard for shard, plan in plans.items() if plan.launch]
        if not wanted:
            reason = "; ".join(_describe(shard, plan) for shard, plan in plans.items())
            reason = reason or "Kafka has no topic of ours yet"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        requests = [_request(settings, store_name, shard) for shard in wanted]
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return store_lag


def _describe(shard: Shard, plan: Plan) -> str:
    return plan.reason if shard.shards == 1 else f"shard {shard}: {plan.reason}"


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
    shard: Shard,
    bounds: dict[TopicPart, Bounds],
    stored: Sequence[StoredOffset],
) -> Plan:
    started_at = settings.stack.started_at
    memories = read_cursor(context.cursor, dict[str, StallMemory], default=dict[str, StallMemory]())
    rows = [row for row in stored if shard.holds(row.partition.part)]
    runs = _live_runs(context.instance, store_name, shard)
    return plan_load(
        now=time.time(),
        follow_s=settings.load.follow_s,
        stall_s=settings.load.stall_s,
        bounds={part: bound for part, bound in bounds.items() if shard.holds(part.part)},
        stored=rows,
        runs=runs,
        memory=memories.get(str(shard), StallMemory()),
        stack_started_at=started_at.timestamp() if started_at else None,
        # asked only where it decides anything
        elsewhere=() if runs else _find_owners_elsewhere(context.instance, rows),
    )


def write_memories(memories: Mapping[Shard, StallMemory]) -> str:
    """The cursor of the next tick."""
    return msgspec.json.encode({str(shard): memories[shard] for shard in memories}).decode()


def _live_runs(instance: dg.DagsterInstance, store_name: str, shard: Shard) -> list[LiveRun]:
    """Live load runs of this shard; replays (with a partition) are not among them.

    Nor are those that count the shards otherwise: they end when theirs are claimed.
    """
    records = instance.get_run_records(
        dg.RunsFilter(
            job_name=load_job(store_name),
            tags={TAG_STORE: store_name, TAG_SHARD: str(shard)},
            statuses=LIVE_STATUSES,
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


def _find_owners_elsewhere(
    instance: dg.DagsterInstance, stored: Sequence[StoredOffset]
) -> list[str]:
    """Owners of partitions that are no runs of this Dagster."""
    owners = {row.owner_run_id for row in stored if row.owner_run_id is not None}
    return [owner for owner in sorted(owners) if not instance.has_run(owner)]


def _report_dead_runs(instance: dg.DagsterInstance, plans: Iterable[Plan]) -> None:
    for run_id in sorted({run_id for plan in plans for run_id in plan.dead_run_ids}):
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(
                run, "its process is gone: a younger run took over, or the stack was started anew"
            )


def _request(settings: Settings, store_name: str, shard: Shard) -> dg.RunRequest:
    """No run key: fencing makes a second run harmless, a deduplicated key would lose real work."""
    own = {"follow_s": settings.load.follow_s, "shard": str(shard)}
    config = {"ops": {load_op(store_name): {"config": own}}}
    return dg.RunRequest(run_config=config, tags=PRIORITY_LIVE | {TAG_SHARD: str(shard)})

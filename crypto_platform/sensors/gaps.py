"""Asks for a new gap report where history has read something, or a day has ended.

The sensor only fetches and reports; delivery/gap_watch.py decides. A read that failed is a
SkipReason, never an empty answer. Switched off, the report is as old as somebody's last click.
"""

import time

import dagster as dg
import msgspec

from crypto_platform.assets.names import GAPS_JOB, GAPS_SENSOR
from crypto_platform.delivery.gap_watch import Watched, plan_report
from crypto_platform.errors import PlatformError
from crypto_platform.jobs import LIVE_STATUSES
from crypto_platform.kafka.topics import HISTORY_CURSORS_TOPIC, topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.sensors.cursor import read_cursor
from crypto_platform.settings import Settings

TICK_INTERVAL_S = 30


def build_gap_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor. Keeps its Kafka client between ticks: the code server is one process."""
    kept: list[Watermarks] = []
    cursors = Part(topic_name(settings, HISTORY_CURSORS_TOPIC), 0)

    @dg.sensor(
        name=GAPS_SENSOR,
        job_name=GAPS_JOB,
        minimum_interval_seconds=TICK_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"kafka"},
        description="Asks for a new gap report after a backfill or a repair, and after each day.",
    )
    def gaps_due(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not kept:
            kept.append(context.resources.kafka.watermarks())
        try:
            marks = kept[0].read_bounds([cursors])[cursors].last_stable
        except PlatformError as error:
            kept.clear()
            return dg.SkipReason(f"not known whether history has read anything: {error}")
        plan = plan_report(
            now_us=time.time_ns() // 1000,
            marks=marks,
            is_busy=_is_busy(context.instance),
            memory=read_cursor(context.cursor, Watched, default=None),
        )
        cursor = msgspec.json.encode(plan.memory).decode()
        if not plan.launch:
            return dg.SensorResult(skip_reason=plan.reason, cursor=cursor)
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=cursor)

    return gaps_due


def _is_busy(instance: dg.DagsterInstance) -> bool:
    wanted = dg.RunsFilter(job_name=GAPS_JOB, statuses=LIVE_STATUSES)
    return instance.get_runs_count(wanted) > 0

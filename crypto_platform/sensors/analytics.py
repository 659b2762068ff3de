"""Asks for a run of analytics where hours have changed, every few minutes, never two at once.

The sensor only fetches and reports; analytics/planning.py decides. A read that failed is a
SkipReason, never an empty answer. Switched off, nothing is kept up to date, and readers compute
what is due themselves.
"""

import time
from collections.abc import Sequence
from contextlib import closing

import dagster as dg
import msgspec

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.pipeline import feeds_of
from crypto_platform.analytics.planning import Idle, SeenRun, plan_run
from crypto_platform.assets.names import ANALYTICS_JOB, ANALYTICS_SENSOR
from crypto_platform.errors import PlatformError
from crypto_platform.jobs import LIVE_STATUSES
from crypto_platform.sensors.cursor import read_cursor
from crypto_platform.settings import Settings
from crypto_platform.stores import open_analytics

TICK_INTERVAL_S = 30
RUNS_LOOKED_AT = 8

_LIVE = {*LIVE_STATUSES, dg.DagsterRunStatus.CANCELING}


def build_analytics_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor. A tick has a connection of its own: it comes once in many seconds."""
    started_at = settings.stack.started_at

    @dg.sensor(
        name=ANALYTICS_SENSOR,
        job_name=ANALYTICS_JOB,
        minimum_interval_seconds=TICK_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run where loads changed what candles and the like are made of.",
    )
    def analytics_due(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            with closing(open_analytics(settings)) as store:
                is_due = store.is_due(feeds_of(ANALYTICS), as_of_us=time.time_ns() // 1000)
                is_busy = store.is_busy()
        except PlatformError as error:
            return dg.SkipReason(f"not known whether anything has changed: {error}")
        decision = plan_run(
            now=time.time(),
            every_s=settings.analytics.every_s,
            is_due=is_due,
            is_busy=is_busy,
            runs=_read_runs(context.instance),
            idle=read_cursor(context.cursor, Idle, default=None),
            stack_started_at=started_at.timestamp() if started_at else None,
        )
        if decision.dead_run_id is not None:
            _report_dead_run(context.instance, decision.dead_run_id)
        cursor = msgspec.json.encode(decision.idle).decode()
        if not decision.launch:
            return dg.SensorResult(skip_reason=decision.reason, cursor=cursor)
        # no run key: a deduplicated one would lose real work
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=cursor)

    return analytics_due


def _read_runs(instance: dg.DagsterInstance) -> Sequence[SeenRun]:
    """The last runs that catch up, newest first; a person's runs of days are not among them."""
    records = instance.get_run_records(dg.RunsFilter(job_name=ANALYTICS_JOB), limit=RUNS_LOOKED_AT)
    return [
        SeenRun(
            run_id=record.dagster_run.run_id,
            created_at=record.create_timestamp.timestamp(),
            is_live=record.dagster_run.status in _LIVE,
            has_failed=record.dagster_run.status is dg.DagsterRunStatus.FAILURE,
        )
        for record in records
        if not any("partition" in tag for tag in record.dagster_run.tags)
    ]


def _report_dead_run(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "its process is gone: it holds no lock in the store")

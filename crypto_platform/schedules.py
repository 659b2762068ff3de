"""Schedules: the minute, each hour's audit, quality and purge, each night's retention."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from crypto_platform.assets.names import (
    AUDIT_JOB,
    INGEST_JOB,
    INGEST_OP,
    PRIORITY_LIVE,
    QUALITY_JOB,
    TAG_POLLED,
)
from crypto_platform.assets.switches import read_paused
from crypto_platform.delivery.planning import EndedRun, plan_ingest
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, hour_of, name_hour, to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.jobs.purge import PURGE_JOB
from crypto_platform.jobs.retention import RETENTION_JOB
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings
from crypto_platform.sources import list_feeds

RUNS_LOOKED_AT = 12
PURGE_MINUTE = 17
RETENTION_TIME = "41 2 * * *"
AUDIT_MINUTE = 4
"""Of the hour; by then the loads have long come past the border."""
QUALITY_MINUTE = 8
"""By then the last candles of the hour have been polled too."""


def build_ingest_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """A run on every minute; it takes the feeds over from the previous one.

    Keeps its Kafka client between ticks: the code server is one process.
    """
    kept: list[Watermarks] = []
    config = {"ops": {INGEST_OP: {"config": {"follow_s": settings.ingest.follow_s}}}}
    sources = {source for source, _ in list_feeds(settings)}

    @dg.schedule(
        name="every_minute",
        job_name=INGEST_JOB,
        cron_schedule="* * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        required_resource_keys={"kafka"},
        description="Poll every source, every minute and inside the minute.",
    )
    def every_minute(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if sources <= read_paused(context.instance):
            return dg.SkipReason("every source is paused: `crypto-platform resume` goes on")
        kafka = context.resources.kafka
        if not kept:
            kept.append(kafka.watermarks())
        try:
            kafka.ping(kept[0])
        except PlatformError as error:
            kept.clear()
            return dg.SkipReason(f"nothing can be published: {error}")
        now = context.scheduled_execution_time.timestamp()
        reason = plan_ingest(now=now, ended=_read_ended_runs(context.instance))
        if reason is not None:
            return dg.SkipReason(reason)
        return dg.RunRequest(run_config=config, tags=PRIORITY_LIVE)

    return every_minute


def _read_ended_runs(instance: dg.DagsterInstance) -> Sequence[EndedRun]:
    """The last runs that ended, newest first."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    records = instance.get_run_records(
        dg.RunsFilter(job_name=INGEST_JOB, statuses=ended), limit=RUNS_LOOKED_AT
    )
    return [
        EndedRun(
            created_at=record.create_timestamp.timestamp(),
            was_useless=record.dagster_run.status is dg.DagsterRunStatus.FAILURE
            and TAG_POLLED not in record.dagster_run.tags,
        )
        for record in records
    ]


def build_audit_schedule() -> dg.ScheduleDefinition:
    """The hour that has just ended, compared in Kafka and both stores."""
    return _build_hourly(
        "audit_hourly", AUDIT_JOB, AUDIT_MINUTE, "Prove the hour that has just ended."
    )


def build_quality_schedule() -> dg.ScheduleDefinition:
    """The hour of event time that has just ended, market by market."""
    return _build_hourly(
        "quality_hourly",
        QUALITY_JOB,
        QUALITY_MINUTE,
        "Look at the quality of the hour that has just ended.",
    )


def _build_hourly(name: str, job_name: str, minute: int, text: str) -> dg.ScheduleDefinition:
    """A run of the hour that has just ended, so many minutes after it."""

    @dg.schedule(
        name=name,
        job_name=job_name,
        cron_schedule=f"{minute} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=text,
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=find_last_hour(context.scheduled_execution_time))

    return ask


def build_purge_schedule() -> dg.ScheduleDefinition:
    """Dagster's own old history goes, a little every hour."""
    return dg.ScheduleDefinition(
        name="purge_hourly",
        job_name=PURGE_JOB,
        cron_schedule=f"{PURGE_MINUTE} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Delete Dagster's runs, events and logs that are too old.",
    )


def build_retention_schedule() -> dg.ScheduleDefinition:
    """What is older than its feed keeps goes, every night."""
    return dg.ScheduleDefinition(
        name="retention_daily",
        job_name=RETENTION_JOB,
        cron_schedule=RETENTION_TIME,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Remove records that are older than their feed keeps, in both stores.",
    )


def find_last_hour(now: datetime) -> str:
    """The partition of the last whole hour before `now`, which is UTC."""
    return name_hour(hour_of(to_time_us(now)) - MICROSECONDS_PER_HOUR)

"""Schedules: the minute."""

import dagster as dg

from crypto_platform.assets.names import INGEST_JOB, INGEST_OP, PRIORITY_LIVE
from crypto_platform.settings import Settings


def build_ingest_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """A run on every minute; it takes the feeds over from the previous one."""
    config = {"ops": {INGEST_OP: {"config": {"follow_s": settings.ingest.follow_s}}}}
    return dg.ScheduleDefinition(
        name="every_minute",
        job_name=INGEST_JOB,
        cron_schedule="* * * * *",
        execution_timezone="UTC",
        run_config=config,
        tags=PRIORITY_LIVE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Poll every source, every minute and inside the minute.",
    )

"""Where the parts meet: everything Dagster sees, built from settings and nothing else."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from crypto_platform.assets.analytics import build_analytics_assets
from crypto_platform.assets.audits import build_audit_assets
from crypto_platform.assets.checks import build_health_checks
from crypto_platform.assets.history import build_history_assets
from crypto_platform.assets.ingest import build_ingest_assets
from crypto_platform.assets.loads import build_load_assets
from crypto_platform.assets.quality import build_gap_asset, build_quality_assets
from crypto_platform.assets.topics import build_topic_assets
from crypto_platform.jobs import (
    build_analytics_job,
    build_audit_job,
    build_gap_job,
    build_ingest_job,
    build_load_job,
    build_quality_job,
)
from crypto_platform.jobs.purge import build_purge_job
from crypto_platform.jobs.repair import build_repair_jobs
from crypto_platform.jobs.restore import build_restore_job
from crypto_platform.jobs.retention import build_retention_job
from crypto_platform.log_lines import set_up_logging
from crypto_platform.migrations.run import migrate
from crypto_platform.resources import build_resources
from crypto_platform.schedules import (
    build_audit_schedule,
    build_ingest_schedule,
    build_purge_schedule,
    build_quality_schedule,
    build_retention_schedule,
)
from crypto_platform.sensors.alerts import build_alert_sensor
from crypto_platform.sensors.analytics import build_analytics_sensor
from crypto_platform.sensors.gaps import build_gap_sensor
from crypto_platform.sensors.health import build_health_sensor
from crypto_platform.sensors.loads import build_load_sensor
from crypto_platform.sensors.sources import build_source_sensor
from crypto_platform.serving.audits import Audits
from crypto_platform.serving.monitor import Monitor
from crypto_platform.settings import Settings, load_settings
from crypto_platform.sources import list_feeds
from crypto_platform.stores import STORES

logger = logging.getLogger(__name__)


def _migrate(settings: Settings, store_name: str) -> None:
    migrate(settings, progress=logger.info, remakes_dropped=True, only=store_name)


def build_definitions(
    settings: Settings, resources: Mapping[str, dg.ConfigurableResource[Any]] | None = None
) -> dg.Definitions:
    """All assets, jobs, schedules and sensors of one deployment.

    Args:
        resources: Replace those of the same name; tests hand in their own.
    """
    ingest = build_ingest_assets(settings)
    loads = {store: build_load_assets(settings, store) for store in STORES}
    audits = build_audit_assets(settings)
    quality = build_quality_assets(settings)
    gaps = build_gap_asset(settings)
    history = build_history_assets(settings)
    analytics = build_analytics_assets(settings)
    monitor = Monitor(settings)
    sources = dict.fromkeys(source for source, _ in list_feeds(settings))
    return dg.Definitions(
        assets=[
            ingest,
            *history,
            *build_topic_assets(settings),
            *loads.values(),
            audits,
            quality,
            analytics,
            gaps,
        ],
        asset_checks=[build_health_checks(settings)],
        jobs=[
            build_ingest_job(ingest, settings),
            *(build_load_job(assets, store, settings) for store, assets in loads.items()),
            build_analytics_job(analytics),
            build_audit_job(audits),
            build_quality_job(quality),
            build_gap_job(gaps),
            *build_repair_jobs(settings),
            build_purge_job(settings),
            build_retention_job(settings),
            build_restore_job(settings, partial(_migrate, settings)),
        ],
        schedules=[
            build_ingest_schedule(settings),
            build_audit_schedule(),
            build_quality_schedule(),
            build_purge_schedule(),
            build_retention_schedule(),
        ],
        sensors=[
            build_health_sensor(settings, monitor),
            build_alert_sensor(settings, monitor, Audits(settings)),
            *(build_source_sensor(source, monitor) for source in sources),
            *(build_load_sensor(settings, store) for store in STORES),
            build_analytics_sensor(settings),
            build_gap_sensor(settings),
        ],
        resources={**build_resources(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What the code server and the dagster CLI load; nothing is read before it is called."""
    settings = load_settings()
    # also of each run, whose process loads them anew
    set_up_logging(settings.logging)
    return build_definitions(settings)

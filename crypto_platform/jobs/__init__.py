"""Jobs: what one run does. One ingest job for all sources, one load job a store."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from crypto_platform.assets.names import (
    ANALYTICS_JOB,
    AUDIT_JOB,
    GAPS_JOB,
    INGEST_JOB,
    QUALITY_JOB,
    TAG_SHARD,
    TAG_STORE,
    load_job,
)
from crypto_platform.delivery.shards import EVERYTHING
from crypto_platform.settings import Settings

STARTING_MARGIN_S = 60
HOURLY_RUNTIME_S_MAX = 3600
"""A run that died with its machine would hold a run's place; by then the next hour's is due."""

ANALYTICS_RUNTIME_S_MAX = 6 * 3600
"""After a year that was backfilled; what is left then is made by the next run."""

LIVE_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
"""Of a run that works or will; one that is being cancelled is no more to be counted on."""

Job = dg.JobDefinition | UnresolvedAssetJobDefinition


def build_ingest_job(ingest: dg.AssetsDefinition, settings: Settings) -> Job:
    """Polls all sources; scheduled every minute."""
    return dg.define_asset_job(
        INGEST_JOB,
        selection=dg.AssetSelection.assets(ingest).without_checks(),
        executor_def=dg.in_process_executor,
        run_tags=_run_tags(settings.ingest.follow_s),
        description="Poll every source and publish each poll once; one run a minute.",
    )


def build_load_job(loads: dg.AssetsDefinition, store: str, settings: Settings) -> Job:
    """Loads all topics into one store; asked for by the store's sensor."""
    return dg.define_asset_job(
        load_job(store),
        selection=dg.AssetSelection.assets(loads).without_checks(),
        executor_def=dg.in_process_executor,
        run_tags={TAG_STORE: store, TAG_SHARD: str(EVERYTHING)} | _run_tags(settings.load.follow_s),
        description=f"Bring every waiting record from Kafka into {store}, exactly once.",
    )


def build_analytics_job(analytics: dg.AssetsDefinition) -> Job:
    """Catches up with all that has changed; asked for by a sensor."""
    text = "Bring candles and the like up to date with the records under them."
    return _build_job(ANALYTICS_JOB, analytics, text, runtime_s_max=ANALYTICS_RUNTIME_S_MAX)


def build_audit_job(audits: dg.AssetsDefinition) -> Job:
    """Compares one hour of all feeds; scheduled every hour."""
    text = "Prove an hour: every record of Kafka in each store once."
    return _build_job(AUDIT_JOB, audits, text)


def build_quality_job(quality: dg.AssetsDefinition) -> Job:
    """Looks at one hour of all markets; scheduled every hour."""
    text = "Look for gaps, wrong candles, crossed books and strange prices in an hour."
    return _build_job(QUALITY_JOB, quality, text)


def build_gap_job(gaps: dg.AssetsDefinition) -> Job:
    """Makes the gap report; asked for by a sensor."""
    text = "Say which days of trades and candles are missing, as the stores have them."
    return _build_job(GAPS_JOB, gaps, text)


def _build_job(
    name: str,
    assets: dg.AssetsDefinition,
    text: str,
    *,
    runtime_s_max: int = HOURLY_RUNTIME_S_MAX,
) -> Job:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(assets),
        executor_def=dg.in_process_executor,
        run_tags={"dagster/max_runtime": str(runtime_s_max)},
        description=text,
    )


def _run_tags(follow_s: float) -> dict[str, str]:
    """The default launcher has no health check of its own, so no run may be believed for ever."""
    return {"dagster/max_runtime": str(int(2 * follow_s + STARTING_MARGIN_S))}

"""Ingest assets: one a source and feed, all in one multi-asset, polled by one run a minute.

Live ingest assets have no partitions: Materialize polls once (and fences the feed's live thread,
which resumes with the next minute's run). The work is delivery/ingest.py's.
"""

import threading
import time
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import INGEST_OP, ingest_key
from crypto_platform.delivery.ingest import FeedReport, ingest
from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.resources.http import HttpResource
from crypto_platform.resources.kafka import KafkaResource
from crypto_platform.settings import Settings
from crypto_platform.sources import list_feeds


class IngestConfig(dg.Config):
    """How long a run goes on."""

    follow_s: float = Field(
        default=0.0, ge=0, description="0 polls once; the schedule asks for a minute."
    )


def build_ingest_assets(settings: Settings) -> dg.AssetsDefinition:
    """One multi-asset over all enabled sources and their feeds."""
    pairs = list_feeds(settings)
    specs = [_build_spec(settings, source, feed) for source, feed in pairs]
    pair_of = {ingest_key(source, feed): (source, feed) for source, feed in pairs}

    @dg.multi_asset(name=INGEST_OP, specs=specs, can_subset=True)
    def ingest_live(
        context: dg.AssetExecutionContext,
        config: IngestConfig,
        http: HttpResource,
        kafka: KafkaResource,
    ) -> Iterator[dg.MaterializeResult]:
        stop = threading.Event()
        selection = [pair_of[key] for key in sorted(context.selected_asset_keys)]
        with stopping_on_interrupt(stop):
            try:
                reports = ingest(
                    kafka.settings,
                    http.sources(stop),
                    selection,
                    clock=lambda: time.time_ns() // 1000,
                    stop=stop,
                    follow_s=config.follow_s,
                )
            except PlatformError as error:
                raise dg.Failure(str(error), allow_retries=error.retryable) from error
        for report in reports:
            if report.polls:
                yield _describe(report)
        _fail_if_any_failed(reports)

    return ingest_live


def _build_spec(settings: Settings, source: str, feed: str) -> dg.AssetSpec:
    at = settings.sources[source]
    return dg.AssetSpec(
        ingest_key(source, feed),
        skippable=True,
        group_name="ingest",
        description=f"{FEED_BY_NAME[feed].description} Asked of {source} every {at.pace_s:g} s and "
        f"published to {FEED_BY_NAME[feed].topic}, one poll as one transaction.",
        kinds={"api", "kafka"},
        metadata={
            "source": source,
            "dialect": at.dialect,
            "base_url": at.base_url,
            "pace_s": at.pace_s,
            "simulated": at.simulated,
        },
    )


def _describe(report: FeedReport) -> dg.MaterializeResult:
    metadata = {
        "polls": report.polls,
        "records": report.records,
        "unchanged_records": report.unchanged_records,
        "rejected_records": report.rejected_records,
        "failed_polls": report.failures,
        "end": report.end.value,
    }
    for name, time_us in (("first_poll", report.first_poll_us), ("last_poll", report.last_poll_us)):
        if time_us is not None:
            metadata[name] = dg.MetadataValue.timestamp(from_time_us(time_us))
    return dg.MaterializeResult(ingest_key(report.source, report.feed), metadata=metadata)


def _fail_if_any_failed(reports: list[FeedReport]) -> None:
    """After all others were reported: name the sources that failed throughout this run."""
    failed = [report for report in reports if report.failures and not report.polls]
    if failed:
        lines = [f"{r.source}/{r.feed}: {r.errors[-1]}" for r in failed]
        raise dg.Failure("; ".join(lines), allow_retries=False)

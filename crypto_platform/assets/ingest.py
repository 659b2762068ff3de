"""Ingest assets: one a source and feed, all in one multi-asset, polled by one run a minute.

Live ingest assets have no partitions: Materialize polls once (and fences the feed's live thread,
which resumes with the next minute's run). The work is delivery/ingest.py's.
"""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from crypto_platform.assets import charts
from crypto_platform.assets.checks import report_check
from crypto_platform.assets.descriptions import OWNERS, describe_record, refer_to, tag
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import INGEST_OP, TAG_POLLED, ingest_key, topic_key
from crypto_platform.assets.switches import PauseWatch
from crypto_platform.delivery.ingest import FeedReport, ingest
from crypto_platform.delivery.pacing import find_pace_s
from crypto_platform.domain.hours import MICROSECONDS_PER_MINUTE, from_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.resources.http import HttpResource
from crypto_platform.resources.kafka import KafkaResource
from crypto_platform.serving.pauses import source_sensor
from crypto_platform.serving.verdicts import Check
from crypto_platform.settings import Settings
from crypto_platform.sources import DIALECTS, list_feeds

FRESH_WARN_AFTER = timedelta(minutes=3)
FRESH_FAIL_AFTER = timedelta(minutes=10)
"""Of the last materialization, the pace added; check `polled` says it within a minute."""


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
        with stopping_on_interrupt(stop), PauseWatch(context.instance) as pauses:
            if config.follow_s:
                # what a person asks for by hand is done, paused or not
                selection = [pair for pair in selection if not pauses.is_paused(pair[0])]
            try:
                reports = ingest(
                    kafka.settings,
                    http.sources(stop),
                    selection,
                    clock=lambda: time.time_ns() // 1000,
                    stop=stop,
                    run_id=context.run.run_id,
                    follow_s=config.follow_s,
                    is_paused=pauses.is_paused,
                )
            except PlatformError as error:
                raise dg.Failure(str(error), allow_retries=error.retryable) from error
        for report in reports:
            if report.polls:
                yield _describe(report)
                polled = _check_polled(report)
                report_check(context.instance, polled, run_id=context.run.run_id)
        _fail_if_any_failed(context, reports)

    return ingest_live


def _build_spec(settings: Settings, source: str, feed: str) -> dg.AssetSpec:
    at = settings.sources[source]
    entry = FEED_BY_NAME[feed]
    pace_s = find_pace_s(settings, source=source, feed=feed)
    pace = timedelta(seconds=pace_s)
    return dg.AssetSpec(
        ingest_key(source, feed),
        skippable=True,
        group_name="ingest",
        owners=OWNERS,
        tags=tag(entry, "ingest", source=source),
        description=f"{entry.description} Asked of {source} every {pace_s:g} s and published to "
        f"{entry.topic}, one poll as one transaction. Sensor {source_sensor(source)} switched off "
        f"pauses it, as `crypto-platform pause {source}` does.",
        kinds={"api", "kafka"},
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=FRESH_FAIL_AFTER + pace, warn_window=FRESH_WARN_AFTER + pace
        ),
        metadata={
            "source": source,
            "dialect": at.dialect,
            "base_url": at.base_url,
            "pace_s": pace_s,
            "simulated": at.simulated,
            "published_to": topic_key(entry),
            **describe_record(entry),
            **refer_to(the_dialect=DIALECTS[at.dialect], the_record=entry.record, polling=ingest),
        },
    )


def _describe(report: FeedReport) -> dg.MaterializeResult:
    metadata: dict[str, Any] = {
        "polls": report.polls,
        "records": report.records,
        "unchanged_records": report.unchanged_records,
        "rejected_records": report.rejected_records,
        "failed_polls": report.failures,
        "gaps": report.gaps,
        "end": report.end.value,
    }
    for name, time_us in (("first_poll", report.first_poll_us), ("last_poll", report.last_poll_us)):
        if time_us is not None:
            metadata[name] = dg.MetadataValue.timestamp(from_time_us(time_us))
    if report.first_poll_us and report.last_poll_us and report.last_poll_us > report.first_poll_us:
        minutes = (report.last_poll_us - report.first_poll_us) / MICROSECONDS_PER_MINUTE
        metadata["records_per_minute"] = round(report.records / minutes, 1)
    metadata |= charts.describe_preview(report.sample)
    return dg.MaterializeResult(ingest_key(report.source, report.feed), metadata=metadata)


def _check_polled(report: FeedReport) -> dg.AssetCheckEvaluation:
    """Check `polled` as of this run: it belongs to the materialization it is shown beside."""
    text = f"{report.polls} polls"
    if report.failures:
        text += f", {report.failures} more failed: {report.errors[-1]}"
    return dg.AssetCheckEvaluation(
        asset_key=ingest_key(report.source, report.feed),
        check_name=Check.POLLED.value,
        passed=not report.failures,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
    )


def _fail_if_any_failed(context: dg.AssetExecutionContext, reports: list[FeedReport]) -> None:
    """After all others were reported: name the sources that failed throughout this run."""
    failed = [report for report in reports if report.failures and not report.polls]
    if failed:
        # the schedule tells a failing source from a run that cannot do anything (planning.py)
        asked = {TAG_POLLED: str(len(reports) - len(failed))}
        context.instance.add_run_tags(context.run.run_id, asked)
        lines = [f"{r.source}/{r.feed}: {r.errors[-1]}" for r in failed]
        raise dg.Failure("; ".join(lines), allow_retries=False)

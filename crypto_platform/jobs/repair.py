"""Ask the sources for the days that are missing here or were not asked for: one click.

Here: the job, an op a source, in the same pool as its history assets, whose budget it uses. Not
here: which days (delivery/gap_report.py, gap_repair.py), asking (delivery/history.py).
"""

import threading
import time
from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from crypto_platform.assets.history import Speaker
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import REPAIR_JOB, history_pool, repair_op
from crypto_platform.assets.quality import describe_gaps
from crypto_platform.delivery.gap_repair import (
    is_settled,
    list_recent,
    list_subjects,
    plan_repair,
)
from crypto_platform.delivery.gap_report import Subject
from crypto_platform.delivery.history import HistoryReport, backfill, join_failures
from crypto_platform.delivery.history_plan import Wanted, estimate_seconds, estimate_wanted
from crypto_platform.delivery.history_stored import wait_until_loaded
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.rejected import REJECTED
from crypto_platform.resources.http import HttpResource
from crypto_platform.serving.quality import read_gap_report
from crypto_platform.settings import Settings
from crypto_platform.sources import list_history
from crypto_platform.stores import open_stores

RUNTIME_S_MAX = 86_400
"""As of a history run: what was read stays read, and the next repair goes on there."""


class RepairConfig(dg.Config):
    """What of a source is mended."""

    days: int = Field(
        default=0, ge=0, le=366, description="Up to yesterday; 0 takes quality.gap_days."
    )
    feeds: list[str] = Field(default=[], description="trades or candles; empty takes both.")
    symbols: list[str] = Field(
        default=[], description="The venue's own names; empty takes those of the settings."
    )
    dry_run: bool = Field(default=False, description="Say what it takes; ask for nothing.")


def build_repair_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """The job, where a source gives a past at all."""
    sources = list(dict.fromkeys(source for source, _ in list_history(settings)))
    if not sources:
        return []
    ops = [_build_op(settings, source) for source in sources]

    @dg.job(
        name=REPAIR_JOB,
        executor_def=dg.in_process_executor,
        run_tags={"dagster/max_runtime": str(RUNTIME_S_MAX)},
        description="Ask each source for the days of trades and candles that are missing here or "
        "were not asked for, then say what is still missing and why.",
    )
    def repair_gaps() -> None:
        for op in ops:
            op()

    return [repair_gaps]


def _build_op(settings: Settings, source: str) -> dg.OpDefinition:
    @dg.op(
        name=repair_op(source),
        pool=history_pool(source),
        description=f"Ask {source} for what of the last days is missing here or not asked for.",
    )
    def mend(context: dg.OpExecutionContext, config: RepairConfig, http: HttpResource) -> None:
        now_us = time.time_ns() // 1000
        subjects = list_subjects(
            settings,
            days=list_recent(settings, now_us=now_us, days=config.days or None),
            now_us=now_us,
            sources=[source],
            feeds=config.feeds,
            venue_symbols=config.symbols,
        )
        try:
            _mend(context, settings, http, source, subjects, is_dry=config.dry_run)
        except PlatformError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error

    return mend


def _mend(
    context: dg.OpExecutionContext,
    settings: Settings,
    http: HttpResource,
    source: str,
    subjects: Sequence[Subject],
    *,
    is_dry: bool,
) -> None:
    plan = plan_repair(read_gap_report(settings, subjects).value).get(source, [])
    estimates = [estimate for each in plan for estimate in estimate_wanted(settings, source, each)]
    calls = sum(estimate.calls for estimate in estimates)
    per_minute = settings.sources[source].requests_per_minute_max
    seconds = estimate_seconds(calls, requests_per_minute_max=per_minute)
    days = sum(len(each.days) * len(each.streams) for each in plan)
    context.log.info(
        "%s: %s days, about %s requests, %.0f s at least", source, days, calls, seconds
    )
    needs = {"days_to_ask": days, "calls": calls, "seconds_min": round(seconds, 1)}
    if is_dry or not plan:
        context.add_output_metadata(needs)
        return
    reports = _ask(context, settings, http, source, plan)
    left = read_gap_report(settings, subjects).value
    records = sum(piece.records for report in reports for piece in report.pieces)
    context.add_output_metadata({**needs, "records": records, **describe_gaps(left)})
    failures = "; ".join(filter(None, map(join_failures, reports)))
    if failures or not is_settled(left):
        text = failures or "some days are still missing: the table says which and why"
        raise dg.Failure(text, allow_retries=False)


def _ask(
    context: dg.OpExecutionContext,
    settings: Settings,
    http: HttpResource,
    source: str,
    plan: Sequence[Wanted],
) -> list[HistoryReport]:
    """Backfill, then wait until both stores have it."""
    stop = threading.Event()
    speaker = Speaker(context.log)
    with stopping_on_interrupt(stop), open_stores(settings, role="analyst") as stores:
        reports = [
            backfill(
                settings,
                http.history(source, wanted.feed, stop),
                wanted,
                clock=lambda: time.time_ns() // 1000,
                stop=stop,
                run_id=context.run_id,
                on_page=speaker.note_page,
                on_piece=speaker.note_piece,
            )
            for wanted in plan
        ]
        feeds = [FEED_BY_NAME[name] for name in {REJECTED.name, *(each.feed for each in plan)}]
        wait_until_loaded(settings, stores, feeds, stop)
    return reports

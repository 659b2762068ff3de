"""quality/<feed>: what an hour of market data is worth, as checks people can read; quality/gaps.

An hour is one of event time, and is materialized when it was looked at, whatever was found: what is
wrong is said by the checks. quality/gaps shows the gap report of the last days, once what history
has read is loaded. Not here: looking (delivery/quality_hour.py, gap_report.py), mending
(jobs/repair.py).
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import dagster as dg

from crypto_platform.assets import charts
from crypto_platform.assets.descriptions import OWNERS, refer_to, tag
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import (
    GAPS_SENSOR,
    QUALITY_OP,
    gaps_key,
    load_key,
    quality_key,
)
from crypto_platform.assets.partitions import build_event_hours
from crypto_platform.delivery.gap_days import DayState
from crypto_platform.delivery.gap_repair import list_left, list_recent, list_subjects
from crypto_platform.delivery.gap_report import GapLine
from crypto_platform.delivery.history_stored import wait_until_loaded
from crypto_platform.delivery.quality_finding import DOUBTFUL, Finding, Flaw
from crypto_platform.delivery.quality_hour import FEED_NAMES, MarketReport, examine_hour
from crypto_platform.domain.hours import name_day, to_time_us
from crypto_platform.errors import PlatformError, StoreUnavailableError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.quality import read_gap_report, read_hour
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, open_stores

KINDS = {store.product for store in STORES.values()}
FINDINGS_SHOWN = 10
MARKETS_SHOWN = 50
LINES_SHOWN = 500
RETRIES = dg.RetryPolicy(max_retries=5, delay=60)
"""Of the gap report, which nobody asks for again until something changes."""


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One check of an hour.

    Attributes:
        flaws: Those that fail it.
    """

    text: str
    flaws: frozenset[Flaw]


_RECENT = _Question(
    text="Did something new come of every market that is asked for?", flaws=frozenset({Flaw.STALE})
)
QUESTIONS: Mapping[str, Mapping[str, _Question]] = {
    TRADES.name: {
        "numbers": _Question(
            text="Where a venue numbers its trades without gaps, is each number there once?",
            flaws=frozenset({Flaw.TRADES_MISSING, Flaw.TRADE_REPEATED}),
        ),
        "prices": _Question(
            text="Do prices agree with those of other venues in the same minute?",
            flaws=frozenset({Flaw.PRICE_APART}),
        ),
        "recent": _RECENT,
    },
    ORDER_BOOKS.name: {
        "levels": _Question(
            text="Are the levels of each book in order, and the best bid below the best ask?",
            flaws=frozenset({Flaw.BOOK_CROSSED, Flaw.BOOK_UNSORTED}),
        ),
        "recent": _RECENT,
    },
    CANDLES.name: {
        "calendar": _Question(
            text="Has each interval with a trade its candle, and are there no others?",
            flaws=frozenset({Flaw.CANDLES_MISSING, Flaw.CANDLE_OFF_CALENDAR}),
        ),
        "trades": _Question(
            text="Is each candle what the trades in it say, where these are stored?",
            flaws=frozenset({Flaw.CANDLE_DIFFERS}),
        ),
        "recent": _RECENT,
    },
}


def build_quality_assets(settings: Settings) -> dg.AssetsDefinition:
    """One multi-asset over the feeds of markets; the trades are read once for all of them."""
    feed_of = {quality_key(name): name for name in FEED_NAMES}

    @dg.multi_asset(
        name=QUALITY_OP,
        specs=[_build_spec(name) for name in FEED_NAMES],
        check_specs=[
            dg.AssetCheckSpec(check, asset=quality_key(name), description=question.text)
            for name, questions in QUESTIONS.items()
            for check, question in questions.items()
        ],
        can_subset=True,
        partitions_def=build_event_hours(settings),
    )
    def look_at_an_hour(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        keys = sorted(context.selected_asset_keys)
        hour_us = to_time_us(context.partition_time_window.start)
        try:
            found = read_hour(settings, [feed_of[key] for key in keys], hour_us=hour_us)
        except PlatformError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        for key in keys:
            reports = found.value[feed_of[key]]
            yield dg.MaterializeResult(key, metadata=_describe(reports, store=found.source.store))
            for result in answer_checks(feed_of[key], reports):
                wanted = dg.AssetCheckKey(key, result.check_name or "")
                if wanted in context.selected_asset_check_keys:
                    yield result

    return look_at_an_hour


def _build_spec(name: str) -> dg.AssetSpec:
    feed = FEED_BY_NAME[name]
    return dg.AssetSpec(
        quality_key(name),
        deps=[load_key(store, feed) for store in STORES],
        skippable=True,
        group_name="quality",
        owners=OWNERS,
        tags=tag(feed, "quality"),
        kinds=KINDS,
        description=f"What an hour (event time) of {feed.topic} is worth, venue by venue and "
        "symbol by symbol, as a store holds it: docs/quality.md.",
        metadata=refer_to(the_look=examine_hour, the_feed=feed.record),
    )


def _describe(
    reports: Sequence[MarketReport], *, store: str
) -> Mapping[str, dg.MetadataValue | int | str]:
    found = [report for report in reports if report.findings]
    metadata: dict[str, dg.MetadataValue | int | str] = {
        "read_from": store,
        "markets": len(reports),
        "markets_with_findings": len(found),
        "records": sum(report.records for report in reports),
        "checked": sum(report.checked for report in reports),
    }
    # of each hour this is kept for good: not a row for each market that is well
    rows = [_row(report) for report in found[:MARKETS_SHOWN]]
    return {**metadata, **charts.describe_table("found", rows)}


def _row(report: MarketReport) -> Mapping[str, object]:
    return {
        "venue": report.market.venue,
        "symbol": report.market.venue_symbol,
        "records": report.records,
        "checked": report.checked,
        "found": ", ".join(finding.flaw.value for finding in report.findings),
    }


def answer_checks(feed_name: str, reports: Sequence[MarketReport]) -> Iterator[dg.AssetCheckResult]:
    """The answers of one feed's asset; what may be so at the venue is a warning."""
    every = [finding for report in reports for finding in report.findings]
    for check, question in QUESTIONS[feed_name].items():
        found = [finding for finding in every if finding.flaw in question.flaws]
        is_warning = all(finding.flaw in DOUBTFUL for finding in found)
        yield dg.AssetCheckResult(
            asset_key=quality_key(feed_name),
            check_name=check,
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
            description=_join(found),
            metadata={
                "markets": len(found),
                "records": sum(finding.records for finding in found),
            },
        )


def _join(found: Sequence[Finding]) -> str | None:
    texts = [str(finding) for finding in found[:FINDINGS_SHOWN]]
    if len(found) > FINDINGS_SHOWN:
        texts.append(f"and in {len(found) - FINDINGS_SHOWN} markets more")
    return "; ".join(texts) or None


def build_gap_asset(settings: Settings) -> dg.AssetsDefinition:
    """The gap report of the last days, as a table."""

    @dg.asset(
        key=gaps_key(),
        deps=[
            load_key(store, FEED_BY_NAME[name])
            for store in STORES
            for name in (TRADES.name, CANDLES.name)
        ],
        group_name="quality",
        owners=OWNERS,
        kinds=KINDS,
        description="Which days of trades and candles are complete, missing at the source, missing "
        f"here or not asked for. Sensor {GAPS_SENSOR} has it made anew after a backfill, a repair "
        "and a day's end. Job `repair_gaps` asks for what can be had; `crypto-platform gaps` takes "
        "other days.",
        metadata=refer_to(the_report=read_gap_report),
        retry_policy=RETRIES,
    )
    def gaps(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            lacking = _wait_for_loads(settings)
            now_us = time.time_ns() // 1000
            days = list_recent(settings, now_us=now_us)
            found = read_gap_report(settings, list_subjects(settings, days=days, now_us=now_us))
        except PlatformError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        context.log.info("%s days looked at in %s", len(found.value), found.source.store)
        not_loaded = {f"not_loaded_{store}": offsets for store, offsets in lacking.items()}
        return dg.MaterializeResult(metadata={**describe_gaps(found.value), **not_loaded})

    return gaps


def _wait_for_loads(settings: Settings) -> Mapping[str, int]:
    """What history has just published is on its way; by store, the offsets it still lacks.

    A store that does not answer is waited for by nobody: the other one has the report.
    """
    lacking: dict[str, int] = {}
    stop = threading.Event()
    with stopping_on_interrupt(stop), open_stores(settings, role="analyst") as stores:
        for name, store in stores.items():
            with suppress(StoreUnavailableError):
                lacking |= wait_until_loaded(
                    settings, {name: store}, [TRADES, CANDLES, INCIDENTS], stop
                )
    return lacking


def describe_gaps(lines: Sequence[GapLine]) -> Mapping[str, dg.MetadataValue | int]:
    """How many days are what, and those that are not complete as a table."""
    counts = Counter(line.state for line in lines)
    described: dict[str, dg.MetadataValue | int] = {
        state.value.replace(" ", "_"): counts[state] for state in DayState
    }
    left = list_left(lines)
    rows = [_gap_row(line) for line in left[:LINES_SHOWN]]
    return {**described, **charts.describe_table("days", rows)}


def _gap_row(line: GapLine) -> Mapping[str, object]:
    return {
        "venue": line.source,
        "feed": line.feed,
        "symbol": str(line.stream),
        "day": name_day(line.day_us),
        "state": line.state.value,
        "records": line.records,
        "missing": "?" if line.missing is None else line.missing,
        "why": line.why,
    }

"""Checks of the way: each ingest, topic, load and analytics asset asks whether it is well, now.

Here: the checks' declarations, and a verdict as Dagster's evaluation. Not here: the answers
(serving/verdicts.py), when they are asked (sensors/health.py, or a person who presses Execute), the
hourly proof (audits.py).
"""

from collections.abc import Iterator

import dagster as dg

from crypto_platform.analytics import ANALYTICS
from crypto_platform.assets.names import analytics_key, ingest_key, load_key, topic_key
from crypto_platform.assets.switches import read_paused
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.serving.status import read_status
from crypto_platform.serving.verdicts import QUESTIONS, Check, Grade, Verdict, judge
from crypto_platform.settings import Settings
from crypto_platform.sources import list_feeds
from crypto_platform.stores import STORES

CHECKS_OP = "look_at_health"

_LOAD_CHECKS = (Check.FRESH, Check.INCIDENTS, Check.QUARANTINE)


def build_health_checks(settings: Settings) -> dg.AssetChecksDefinition:
    """All of them in one op, which looks once; none blocks anything."""

    @dg.multi_asset_check(name=CHECKS_OP, specs=list_specs(settings), can_subset=True)
    def look_at_health(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        status = read_status(settings)
        for verdict in judge(settings, status, paused=read_paused(context.instance)):
            evaluation = evaluate(verdict)
            if evaluation.asset_check_key in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=evaluation.asset_key,
                    check_name=evaluation.check_name,
                    passed=evaluation.passed,
                    severity=evaluation.severity,
                    description=evaluation.description,
                    metadata=evaluation.metadata,
                )

    return look_at_health


def list_specs(settings: Settings) -> list[dg.AssetCheckSpec]:
    """One for each asset and question."""
    pairs = [(Check.POLLED, ingest_key(*pair)) for pair in list_feeds(settings)]
    pairs += [(Check.READABLE, topic_key(feed)) for feed in FEEDS]
    pairs += [
        (check, load_key(store, feed))
        for store in STORES
        for feed in FEEDS
        for check in _LOAD_CHECKS
    ]
    pairs += [(Check.CURRENT, analytics_key(computation)) for computation in ANALYTICS]
    return [dg.AssetCheckSpec(c.value, asset=key, description=QUESTIONS[c]) for c, key in pairs]


def evaluate(verdict: Verdict) -> dg.AssetCheckEvaluation:
    """A verdict as Dagster stores it."""
    is_error = verdict.grade is Grade.ERROR
    return dg.AssetCheckEvaluation(
        asset_key=find_key(verdict),
        check_name=verdict.check.value,
        passed=verdict.grade is Grade.GOOD,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=verdict.text,
        metadata={name: value for name, value in verdict.facts.items() if value is not None},
    )


def report_check(
    instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation, *, run_id: str
) -> None:
    """Write an evaluation into a run, or into none where `run_id` is empty."""
    if not run_id:
        instance.report_runless_asset_event(evaluation)
        return
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        event_specific_data=evaluation,
        job_name="",
    )
    instance.report_dagster_event(event, run_id=run_id)


def find_key(verdict: Verdict) -> dg.AssetKey:
    """The asset a verdict is about."""
    if verdict.check is Check.POLLED:
        return ingest_key(verdict.place, verdict.feed)
    if verdict.check is Check.CURRENT:
        return analytics_key(verdict.feed)
    feed = FEED_BY_NAME[verdict.feed]
    return topic_key(feed) if verdict.check is Check.READABLE else load_key(verdict.place, feed)

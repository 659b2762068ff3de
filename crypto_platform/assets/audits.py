"""audit/<feed>: the proof, an hour of append time a partition, as checks people can read.

Materialized when the hour has been compared, whatever was found; what is wrong is said by the
checks. The comparison is delivery/audit.py's; `crypto-platform audit` is the same for all hours.
Users' accounts are reconciled with it, not of the hour but of all events so far.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from crypto_platform.assets import charts
from crypto_platform.assets.descriptions import OWNERS, refer_to, tag
from crypto_platform.assets.names import AUDIT_OP, audit_key, load_key
from crypto_platform.assets.partitions import build_append_hours
from crypto_platform.delivery.audit import audit
from crypto_platform.delivery.audit_report import AuditReport, Fault, Finding, HourLine
from crypto_platform.delivery.reconciliation import reconcile
from crypto_platform.delivery.reconciliation_report import (
    Discrepancy,
    Mismatch,
    Reconciliation,
)
from crypto_platform.domain.hours import to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, open_stores

WAIT_S = 20.0
"""For a store to come past the end of the hour: its loads are seconds behind."""


def _describe_lag(report: AuditReport) -> Sequence[str]:
    return [
        f"{store} has not loaded {lag.lag_records} offsets of this hour yet: audit the hour again "
        f"when `crypto-platform status` shows no lag"
        for store, lag in report.lag.items()
        if lag.lag_records
    ]


def _describe_stops(report: AuditReport) -> Sequence[str]:
    return [
        f"{store}: {lag.blocked_partitions} partitions are stopped by incidents: "
        "`crypto-platform incident list` names them and the way out"
        for store, lag in report.lag.items()
        if lag.blocked_partitions
    ]


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One check of an audited hour.

    Attributes:
        faults: Those that fail it.
        look: What else of a report fails it, in words.
    """

    text: str
    faults: frozenset[Fault] = frozenset()
    look: Callable[[AuditReport], Sequence[str]] = lambda report: ()


QUESTIONS: Mapping[str, _Question] = {
    "counts": _Question(
        text="Is every record of Kafka there once, or in quarantine once, and nothing else?",
        faults=frozenset({Fault.MISSING, Fault.EXTRA, Fault.TWICE, Fault.BEYOND_END}),
    ),
    "hashes": _Question(
        text="Is every stored record the one that Kafka holds?",
        faults=frozenset({Fault.CHANGED, Fault.COLUMNS_CHANGED, Fault.SUM_DIFFERS}),
    ),
    "coverage": _Question(
        text="Has the hour been loaded to its end, each offset once?",
        faults=frozenset({Fault.HOLE, Fault.OVERLAP}),
        look=_describe_lag,
    ),
    "quarantine": _Question(
        text="Does quarantine hold what was refused and nothing else?",
        faults=frozenset({Fault.NOT_QUARANTINED, Fault.UNFOUNDED_QUARANTINE}),
    ),
    "incidents": _Question(
        text="Does no incident stop the feed's load?",
        look=_describe_stops,
    ),
}

ACCOUNTS_KEY = audit_key(ACCOUNT_EVENTS)
RECONCILED, COMPANY = "reconciled", "company"
ACCOUNT_QUESTIONS: Mapping[str, str] = {
    RECONCILED: "Is every wallet the sum of its postings, is it the same in all stores, has every "
    "match two halves, up to the last event that all stores have with all before it?",
    COMPANY: "Does the company itself say the same of every wallet?",
}
"""Of account events alone, and of all so far; a person reads them beside those of the hour."""


def build_audit_assets(settings: Settings) -> dg.AssetsDefinition:
    """One multi-asset over all feeds."""
    feed_of = {audit_key(feed): feed for feed in FEEDS}

    @dg.multi_asset(
        name=AUDIT_OP,
        specs=[_build_spec(feed) for feed in FEEDS],
        check_specs=[
            dg.AssetCheckSpec(name, asset=audit_key(feed), description=question.text)
            for feed in FEEDS
            for name, question in QUESTIONS.items()
        ]
        + [
            dg.AssetCheckSpec(name, asset=ACCOUNTS_KEY, description=text)
            for name, text in ACCOUNT_QUESTIONS.items()
        ],
        can_subset=True,
        partitions_def=build_append_hours(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def compare_stores(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        window = context.partition_time_window
        wanted = context.selected_asset_check_keys
        for key in sorted(context.selected_asset_keys):
            try:
                report = _audit(settings, feed_of[key], window)
            except PlatformError as error:
                raise dg.Failure(str(error), allow_retries=error.retryable) from error
            yield dg.MaterializeResult(key, metadata=_describe(report))
            answers = [*answer_checks(key, report)]
            if any(dg.AssetCheckKey(key, name) in wanted for name in ACCOUNT_QUESTIONS):
                answers += answer_account_checks(_reconcile(settings))
            for result in answers:
                if dg.AssetCheckKey(key, result.check_name or "") in wanted:
                    yield result

    return compare_stores


def _build_spec(feed: Feed[Record]) -> dg.AssetSpec:
    return dg.AssetSpec(
        audit_key(feed),
        deps=[load_key(store, feed) for store in STORES],
        skippable=True,
        group_name="audit",
        owners=OWNERS,
        tags=tag(feed, "audit"),
        kinds={"kafka", *(store.product for store in STORES.values())},
        description=f"Proof, hour by hour, that every record of {feed.topic} stands in each store "
        "once, or in quarantine once. All hours at a time: `crypto-platform audit`.",
        metadata=refer_to(the_audit=audit, the_feed=feed.record),
    )


def _audit(settings: Settings, feed: Feed[Record], window: dg.TimeWindow) -> AuditReport:
    with open_stores(settings, role="analyst") as stores:
        return audit(
            settings,
            stores,
            [feed],
            since_us=to_time_us(window.start),
            until_us=to_time_us(window.end),
            wait_s=WAIT_S,
        )


def _reconcile(settings: Settings) -> Reconciliation:
    try:
        with open_stores(settings, role="analyst") as stores:
            return reconcile(settings, stores, wait_s=WAIT_S)
    except PlatformError as error:
        raise dg.Failure(str(error), allow_retries=error.retryable) from error


def _describe(report: AuditReport) -> Mapping[str, dg.MetadataValue | int | float | str]:
    [total] = report.feeds.values()
    metadata: dict[str, dg.MetadataValue | int | float | str] = {
        "whole": "yes" if report.whole else "no",
        "records_in_kafka": total.kafka.records,
        "hash_in_kafka": total.kafka.hash,
        "refused_in_kafka": total.kafka.refused,
        "seconds": report.seconds,
    }
    for name, count in total.stores.items():
        metadata[f"records_in_{name}"] = count.records
        metadata[f"hash_in_{name}"] = count.hash
        metadata[f"quarantined_in_{name}"] = count.quarantined
        metadata[f"open_quarantined_in_{name}"] = count.open_quarantined
    metadata |= charts.describe_table("partitions", [_row(line) for line in report.hours])
    if report.notes:
        metadata["notes"] = "; ".join(report.notes)
    return metadata


def _row(line: HourLine) -> Mapping[str, object]:
    return {
        "hour": line.hour,
        "partition": line.part,
        "offsets": f"{line.first_offset} to {line.next_offset}",
        "kafka": "gone" if line.kafka is None else line.kafka.records,
        **{name: count.records for name, count in line.stores.items()},
        "ok": "yes" if line.ok else ", ".join(line.problems),
    }


def answer_checks(key: dg.AssetKey, report: AuditReport) -> Iterator[dg.AssetCheckResult]:
    """The answers of one feed's asset; `report` is of this feed alone.

    Records that wait in quarantine are a warning; what a replay released or a person discarded is
    settled.
    """
    [total] = report.feeds.values()
    waiting = {
        store: count.open_quarantined
        for store, count in total.stores.items()
        if count.open_quarantined
    }
    for name, question in QUESTIONS.items():
        found = [finding for finding in report.findings if finding.kind in question.faults]
        texts = [_describe_finding(finding) for finding in found]
        texts += question.look(report)
        is_warning = not texts and name == "quarantine" and bool(waiting)
        if is_warning:
            texts = [
                f"{records} records of this hour wait in quarantine of {store}: after a mend a "
                "replay of the hour releases them"
                for store, records in waiting.items()
            ]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=not texts,
            severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
            description="; ".join(texts) or None,
            metadata={"faults": sum(finding.records for finding in found)},
        )


def answer_account_checks(found: Reconciliation) -> Iterator[dg.AssetCheckResult]:
    """The answers about all accounts; a company that was not compared is a warning, never good."""
    own = [each for each in found.findings if each.kind is not Discrepancy.COMPANY_DIFFERS]
    against = [each for each in found.findings if each.kind is Discrepancy.COMPANY_DIFFERS]
    is_empty = not found.through_event
    unasked = [] if found.company.compared or is_empty else [found.company.detail]
    for name, mismatches, others in ((RECONCILED, own, []), (COMPANY, against, unasked)):
        texts = [_describe_mismatch(each) for each in mismatches]
        texts += [f"not compared: {text}" for text in others]
        yield dg.AssetCheckResult(
            asset_key=ACCOUNTS_KEY,
            check_name=name,
            passed=not texts,
            severity=dg.AssetCheckSeverity.ERROR if mismatches else dg.AssetCheckSeverity.WARN,
            description="; ".join([*texts, *found.notes]) or None,
            metadata={
                "mismatches": sum(each.records for each in mismatches),
                "through_event": found.through_event,
                "seconds": found.seconds,
            },
        )


def _describe_mismatch(mismatch: Mismatch) -> str:
    examples = ", ".join(
        " ".join(filter(None, (each.user_id, each.currency, f"({each.detail})")))
        for each in mismatch.examples[:3]
    )
    return (
        f"{mismatch.kind.value}: {mismatch.records} in {mismatch.store}: {examples} -> "
        f"{mismatch.next_step}"
    )


def _describe_finding(finding: Finding) -> str:
    examples = ", ".join(
        f"{example.event_id or 'offset ' + str(example.offset)} ({example.detail})"
        for example in finding.examples[:3]
    )
    return (
        f"{finding.kind.value}: {finding.records} in {finding.store}, "
        f"{finding.topic}/{finding.part}: {examples} -> {finding.next_step}"
    )

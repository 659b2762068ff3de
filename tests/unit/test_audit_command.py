"""`crypto-platform audit`: what a person types and reads."""

from datetime import UTC, datetime

import click
import pytest

from crypto_platform.cli.audit import format_progress, format_report, parse_since
from crypto_platform.delivery.audit import AuditProgress
from crypto_platform.delivery.audit_report import (
    AuditReport,
    Fault,
    FeedTotal,
    Findings,
    KafkaCount,
    Lag,
    LostRange,
    StoreCount,
)
from tests.store_steps import NOON

NOW = datetime(2025, 11, 22, 12, tzinfo=UTC)


def report(
    findings: Findings | None = None, *, lag_records: int = 0, is_lost: bool = False
) -> AuditReport:
    found = findings.findings() if findings else []
    return AuditReport(
        whole=not found,
        deep=False,
        audited_at="2025-11-22T12:00:00Z",
        since=None,
        seconds=1.25,
        feeds={
            "quotes": FeedTotal(
                kafka=KafkaCount(records=1500, hash="0a", refused=2, read=1600),
                stores={"postgres": StoreCount(records=1500, hash="0a", quarantined=2)},
            )
        },
        lag={"postgres": Lag(lag_records=lag_records, blocked_partitions=0)},
        behind=[],
        findings=found,
        hours=[],
        lost=[
            LostRange(store="mongo", topic="market.quotes", part=2, first_offset=3, next_offset=7)
        ]
        if is_lost
        else [],
        notes=[],
    )


def test_since_takes_ages_and_iso_times() -> None:
    """An hour too late would leave out what was asked for."""
    assert parse_since("2h", now=NOW) == NOON - 2 * 3_600_000_000
    assert parse_since("90m", now=NOW) == NOON - 90 * 60_000_000
    assert parse_since("2025-11-22T12:00", now=NOW) == NOON
    assert parse_since("2025-11-22T14:00+02:00", now=NOW) == NOON


@pytest.mark.parametrize("text", ["", "yesterday", "2 weeks", "-1h", "2h3m"])
def test_since_refuses_what_it_does_not_understand(text: str) -> None:
    """A typing error that audits nothing would end with `whole`."""
    with pytest.raises(click.BadParameter, match="2h"):
        parse_since(text, now=NOW)


def test_a_whole_report_ends_with_a_verdict_and_what_was_read() -> None:
    """The last line is what a person looks at."""
    lines = format_report(report())
    assert lines[-1] == "whole: 1,600 records of Kafka compared with postgres in 1.2 s"
    assert lines[1].split() == ["quotes", "kafka", "1,500", "0a", "2"]
    assert lines[2].split() == ["postgres", "1,500", "0a", "2", "0"]


def test_a_finding_says_where_what_and_what_to_type() -> None:
    """`not whole` alone leaves a person alone."""
    findings = Findings(feed="quotes", topic="market.quotes", part=1)
    for offset in range(7):
        findings.add(
            Fault.MISSING, "mongo", event_id=f"id{offset}", offset=offset, detail="gone", hour=NOON
        )
    lines = format_report(report(findings))
    begin = lines.index("missing: 7 in mongo: market.quotes/1 (hours 2025-11-22-12:00)")
    assert lines[begin + 1] == "  offset 0: id0: gone"
    assert lines[begin + 6] == "  ... and 2 more; --list FILE names all"
    assert lines[begin + 7].startswith("  -> replay these hours")
    assert lines[-1].startswith("NOT WHOLE")


def test_lag_is_said_beside_the_verdict() -> None:
    """`whole` covers what is loaded; who reads it must know that something waits."""
    assert any("lags 7 offsets" in line for line in format_report(report(lag_records=7)))


def test_what_is_lost_is_said_beside_the_verdict() -> None:
    """The rows are whole; that something never came must not be forgotten for that."""
    [line] = [line for line in format_report(report(is_lost=True)) if line.startswith("lost:")]
    assert line.startswith("lost: mongo has nothing of market.quotes/2 offsets 3 to 6")


def test_progress_says_how_far_how_fast_and_how_long_still() -> None:
    """Who audits a month wants to know whether to wait or to go home."""
    progress = AuditProgress(
        feed="quotes", part=1, hour=NOON, done_offsets=25_000, all_offsets=100_000
    )
    assert format_progress(progress, spent_s=10) == (
        "audit: 25 % of 100,000 offsets, 2,500/s, 30 s left (quotes/1 hour 2025-11-22-12:00)"
    )


def test_ids_cannot_steer_the_terminal() -> None:
    """An id is made of what a source calls a currency."""
    findings = Findings(feed="quotes", topic="market.quotes", part=0)
    findings.add(Fault.EXTRA, "mongo", event_id="\x1b[2Jid", offset=0, detail="extra")
    assert not any("\x1b" in line for line in format_report(report(findings)))

"""`audit`: prove that every record stands in each store once, or in quarantine once."""

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.options import (
    data_dir_option,
    feed_option,
    json_option,
    parse_moment,
    select_feeds,
)
from crypto_platform.cli.reconciliation_text import format_reconciliation
from crypto_platform.cli.text import format_table, printable
from crypto_platform.delivery.audit import AuditProgress, audit
from crypto_platform.delivery.audit_report import (
    AuditReport,
    FeedTotal,
    Finding,
    Listing,
    LostRange,
)
from crypto_platform.domain.hours import name_hour, to_time_us
from crypto_platform.domain.readable import format_age, format_count
from crypto_platform.feeds import Feed, Record
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import open_stores

PROGRESS_EVERY_S = 1.0
EXAMPLES_SHOWN = 5

_COLUMNS = ("feed", "", "records", "hash", "quarantined", "older")
_NUMBERS = frozenset({2, 4, 5})
_SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"([0-9]{1,6})\s*([smhd])")


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    help="Only hours since then: 2h, 3d or an ISO time (UTC unless it says otherwise).",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=0.0,
    metavar="SECONDS",
    help="Let the stores load first what Kafka has now; at most so long, then the audit fails.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Compare every id, check Kafka's values by all rules, hash columns as read back.",
)
@click.option(
    "--list",
    "list_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write every fault to this file, a JSON object a line; the report names the first 20.",
)
@feed_option
@json_option
@data_dir_option
def audit_command(
    *,
    since: str | None,
    wait_s: float,
    deep: bool,
    list_path: Path | None,
    feed_names: tuple[str, ...],
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Compare Kafka with PostgreSQL and MongoDB, both ways, hour by hour.

    Every record up to where a store has come is there once or in quarantine once; nothing else is
    there. What the stores have not loaded yet is lag, reported apart; with --wait all that Kafka
    has at the beginning must have been loaded. Only reads.

    Without --deep it compares counts and order-free hashes and looks at single records where they
    differ: lost, changed, extra and repeated rows are found and named. A column changed behind the
    back of its content hash, a wrong type and a value that should have been refused take --deep.

    Without --since users' accounts are reconciled, too: wallets with their postings, both stores
    with each other and with the company's own word, where it answers.

    Exits with 0 where all is whole, 1 where it is not, or where a store is behind after --wait.

    Example: crypto-platform audit --wait 30 --since 2h
    """
    since_us = None if since is None else parse_since(since, now=datetime.now(UTC))
    report = run_audit(
        load_settings(data_dir),
        feeds=select_feeds(feed_names),
        since_us=since_us,
        wait_s=wait_s,
        deep=deep,
        list_path=list_path,
    )
    if as_json:
        click.echo(json.dumps(report.to_document(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_report(report)))
    if not report.is_proved:
        sys.exit(1)


def run_audit(
    settings: Settings,
    *,
    feeds: Sequence[Feed[Record]],
    since_us: int | None = None,
    wait_s: float = 0.0,
    deep: bool = False,
    list_path: Path | None = None,
) -> AuditReport:
    """Audit both stores as analyst, and say to stderr how far it is.

    Args:
        list_path: File for every fault.

    Raises:
        StoreUnavailableError, StoreRefusedError, KafkaUnavailableError: Something does not answer;
            nothing is proved.
    """
    with ExitStack() as closing:
        stores = closing.enter_context(open_stores(settings, role="analyst"))
        file = None if list_path is None else closing.enter_context(list_path.open("wb"))
        return audit(
            settings,
            stores,
            feeds,
            since_us=since_us,
            wait_s=wait_s,
            deep=deep,
            progress=_Speaker().note,
            listing=None if file is None else Listing(file),
        )


def parse_since(text: str, *, now: datetime) -> int:
    """`2h` ago or an ISO time, as microseconds.

    Raises:
        click.BadParameter: Neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(to_time_us(now) - int(ago[1]) * _SECONDS_OF[ago[2]] * 1_000_000, 0)
    try:
        return max(to_time_us(parse_moment(text)), 0)
    except ValueError:
        message = f"{text!r} is no time: use 90m, 2h, 3d or 2026-01-31T14:00"
        raise click.BadParameter(message, param_hint="--since") from None


class _Speaker:
    """A line to stderr once a second."""

    def __init__(self) -> None:
        self._begun = self._spoke_at = time.monotonic()

    def note(self, progress: AuditProgress) -> None:
        """Called after each chunk."""
        now = time.monotonic()
        if now - self._spoke_at < PROGRESS_EVERY_S:
            return
        self._spoke_at = now
        click.echo(format_progress(progress, spent_s=now - self._begun), err=True)


def format_progress(progress: AuditProgress, *, spent_s: float) -> str:
    """How far it is, how fast, where, and when it will be done."""
    rate = progress.done_offsets / spent_s
    share_pct = 100 * progress.done_offsets / max(progress.all_offsets, 1)
    left_s = (progress.all_offsets - progress.done_offsets) / max(rate, 1)
    hour = "" if progress.hour is None else f" hour {name_hour(progress.hour)}"
    return (
        f"audit: {share_pct:.0f} % of {progress.all_offsets:,} offsets, {rate:,.0f}/s, "
        f"{format_age(left_s)} left ({progress.feed}/{progress.part}{hour})"
    )


def format_report(report: AuditReport) -> list[str]:
    """The report for a person."""
    rows = [row for name, total in report.feeds.items() for row in _feed_rows(name, total)]
    lines = [*format_table(_COLUMNS, rows, right=_NUMBERS), ""]
    for name, lag in report.lag.items():
        if lag.lag_records or lag.blocked_partitions:
            lines.append(
                f"{name} lags {lag.lag_records:,} offsets, which are not audited yet"
                + (f"; {lag.blocked_partitions} partitions are stopped by incidents"
                   if lag.blocked_partitions else "")
            )  # fmt: skip
    lines += [_format_lost(lost) for lost in report.lost]
    lines += [f"note: {printable(note)}" for note in report.notes]
    for finding in report.findings:
        lines += _format_finding(finding)
    if report.reconciliation is not None:
        lines += format_reconciliation(report.reconciliation)
    elif report.since:
        lines.append("accounts are not reconciled: that takes all hours, leave out --since")
    read = sum(total.kafka.read for total in report.feeds.values())
    what = f"{read:,} records of Kafka compared with {' and '.join(report.lag)}"
    if any(lag.lag_records for lag in report.lag.values()):
        what += ", up to where each has come,"
    what += f" in {report.seconds:.1f} s" + (f", since {report.since}" if report.since else "")
    if report.behind:
        lines.append(
            f"{' and '.join(report.behind)} did not come in time to where Kafka ended: "
            "`crypto-platform status` says what holds them up"
        )
    verdict = "whole" if report.is_proved else "NOT PROVED" if report.whole else "NOT WHOLE"
    return [*lines, f"{verdict}: {what}"]


def _feed_rows(name: str, total: FeedTotal) -> list[Sequence[str]]:
    kafka = total.kafka
    rows: list[Sequence[str]] = [
        (name, "kafka", format_count(kafka.records), kafka.hash, format_count(kafka.refused), "")
    ]
    stores: Mapping[str, Sequence[str]] = {
        store: ("", store, format_count(count.records), count.hash, format_count(count.quarantined),
                format_count(count.older_records))
        for store, count in total.stores.items()
    }  # fmt: skip
    return [*rows, *stores.values()]


def _format_lost(lost: LostRange) -> str:
    return (
        f"lost: {lost.store} has nothing of {lost.topic}/{lost.part} offsets {lost.first_offset} "
        f"to {lost.next_offset - 1}: retention removed them unread, which a person has acknowledged"
    )


def _format_finding(finding: Finding) -> list[str]:
    place = f"{finding.store}: {finding.topic}/{finding.part}"
    hours = f" (hours {', '.join(finding.hours)})" if finding.hours else ""
    lines = [f"{finding.kind.value}: {finding.records:,} in {place}{hours}"]
    for example in finding.examples[:EXAMPLES_SHOWN]:
        offset = "" if example.offset is None else f"offset {example.offset}: "
        event_id = "" if example.event_id is None else f"{example.event_id}: "
        lines.append(printable(f"  {offset}{event_id}{example.detail}"))
    if finding.records > EXAMPLES_SHOWN:
        lines.append(f"  ... and {finding.records - EXAMPLES_SHOWN:,} more; --list FILE names all")
    return [*lines, f"  -> {finding.next_step}"]

"""How `history` reads: the plan, the progress, the report, and the same as JSON.

Here: values to text, and the line on a terminal. Not here: any decision.
"""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import click

from crypto_platform.cli.text import format_table, printable
from crypto_platform.delivery.history import HistoryReport, PieceEnd, PieceReport
from crypto_platform.delivery.history_plan import Estimate, Wanted, estimate_seconds
from crypto_platform.delivery.history_stored import Arrived
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, from_time_us, name_day
from crypto_platform.domain.readable import format_age, format_count

BAR_CHARS = 24
DRAW_EVERY_S = 0.1
FAILURES_SHOWN = 10

_PLAN_COLUMNS = ("feed", "symbol", "days", "done before", "requests")
_PLAN_NUMBERS = frozenset({2, 3, 4})


def format_plan(
    source: str, plans: Sequence[Estimate], *, requests_per_minute_max: float
) -> list[str]:
    """What a backfill would take, a line a stream."""
    rows = [
        (
            plan.feed,
            str(plan.stream),
            format_count(plan.days),
            format_count(plan.done_days),
            f"about {plan.calls:,}" if plan.calls else "0",
        )
        for plan in plans
    ]
    calls = sum(plan.calls for plan in plans)
    seconds = estimate_seconds(calls, requests_per_minute_max=requests_per_minute_max)
    summary = (
        f"{source}: about {calls:,} requests, {format_age(seconds)} at least by history's share of "
        "its budget"
    )
    return [*format_table(_PLAN_COLUMNS, rows, right=_PLAN_NUMBERS), summary]


def build_plan_document(
    source: str, plans: Sequence[Estimate], *, requests_per_minute_max: float
) -> dict[str, object]:
    """The plan for --json."""
    calls = sum(plan.calls for plan in plans)
    return {
        "source": source,
        "calls": calls,
        "seconds_min": round(
            estimate_seconds(calls, requests_per_minute_max=requests_per_minute_max), 1
        ),
        "plan": [
            {
                "feed": plan.feed,
                "venue_symbol": plan.stream.venue_symbol,
                "interval": plan.stream.interval,
                "days": plan.days,
                "done_days": plan.done_days,
                "calls": plan.calls,
            }
            for plan in plans
        ],
    }


class Speaker:
    """A line to stderr for each day of a stream; on a terminal a bar below them."""

    def __init__(self, wanted: Wanted, *, draws: bool) -> None:
        self._feed = wanted.feed
        self._pieces = len(wanted.days) * len(wanted.streams)
        self._draws = draws
        self._done = 0
        self._records = 0
        self._begun = time.monotonic()
        self._drawn_at = 0.0

    def note_page(self, piece: PieceReport) -> None:
        """Called after each page."""
        now = time.monotonic()
        if self._draws and now - self._drawn_at >= DRAW_EVERY_S:
            self._drawn_at = now
            self._draw(piece, now)

    def note_piece(self, piece: PieceReport) -> None:
        """Called after each day of a stream."""
        self._done += 1
        self._records += piece.records
        if piece.end not in {PieceEnd.NOT_ASKED, PieceEnd.ALREADY_COMPLETE, PieceEnd.FENCED}:
            self.clear()
            click.echo(printable(format_piece(self._feed, piece)), err=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self._draws:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _draw(self, piece: PieceReport, now: float) -> None:
        within = 0.0
        if piece.last_us is not None:
            within = (piece.last_us - piece.day_us) / MICROSECONDS_PER_DAY
        ratio = min((self._done + within) / self._pieces, 1.0)
        filled = int(ratio * BAR_CHARS)
        left_s = (now - self._begun) * (1 - ratio) / max(ratio, 0.001)
        line = (
            f"[{'#' * filled}{'-' * (BAR_CHARS - filled)}] {100 * ratio:.0f} %  {self._feed} "
            f"{piece.stream} {name_day(piece.day_us)}  {self._records + piece.records:,} records  "
            f"{format_age(left_s)} left"
        )
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\x1b[K{printable(line)[:width]}", nl=False, err=True)


@contextmanager
def open_speaker(wanted: Wanted) -> Generator[Speaker]:
    """Say how a backfill of one feed goes."""
    speaker = Speaker(wanted, draws=sys.stderr.isatty())
    try:
        yield speaker
    finally:
        speaker.clear()


def format_piece(feed: str, piece: PieceReport) -> str:
    """One day of one stream in a line."""
    text = (
        f"{feed} {piece.stream} {name_day(piece.day_us)}: {piece.end.value}, "
        f"{piece.records:,} records in {piece.calls:,} requests, {format_age(piece.seconds)}"
    )
    if piece.rejected_records:
        text += f", {piece.rejected_records:,} rejected"
    return text if piece.error is None else f"{text}: {piece.error}"


def format_report(
    reports: Sequence[HistoryReport], arrived: Mapping[str, Arrived], *, again: bool
) -> list[str]:
    """What was done, what became of it in the stores, and what to type next."""
    lines = [line for report in reports for line in _format_feed(report)]
    published = sum(piece.records for report in reports for piece in report.pieces)
    for name, store in arrived.items():
        there = max(published - store.new_records, 0)
        line = f"{name}: {store.new_records:,} new, {there:,} already there"
        if store.lacking_offsets:
            line += f"; it has not loaded {store.lacking_offsets:,} offsets yet: see status"
        lines.append(line)
    if arrived and not any(s.new_records or s.lacking_offsets for s in arrived.values()):
        lines.append("nothing changed: the stores had all of it already")
    ends = {piece.end for report in reports for piece in report.pieces}
    if not published and ends == {PieceEnd.ALREADY_COMPLETE}:
        lines.append("nothing was asked for: --again asks again")
    if PieceEnd.STOPPED in ends:
        lines.append(f"stopped after a page: {_tell_how_to_go_on(reports, again=again)}")
    if PieceEnd.EMPTY in ends:
        lines.append(
            "nothing came of some days, as before a listing: the same command asks for them once "
            "more, and if nothing comes then either, they are done"
        )
    if PieceEnd.FENCED in ends:
        lines.append("a newer run over the same days has taken over")
    return [printable(line) for line in lines]


def _format_feed(report: HistoryReport) -> list[str]:
    ends = Counter(piece.end for piece in report.pieces)
    counts = ", ".join(f"{count:,} {end.value}" for end, count in ends.items())
    pieces = report.pieces
    records, calls = sum(p.records for p in pieces), sum(p.calls for p in pieces)
    lines = [
        f"{report.source}/{report.feed}: {records:,} records in {calls:,} requests; days: {counts}"
    ]
    failed = [piece for piece in pieces if piece.end is PieceEnd.FAILED]
    lines += [format_piece(report.feed, piece) for piece in failed[:FAILURES_SHOWN]]
    if len(failed) > FAILURES_SHOWN:
        lines.append(f"... and {len(failed) - FAILURES_SHOWN:,} failed more")
    if failed:
        lines.append("the same command goes on where each of them failed")
    return lines


def _tell_how_to_go_on(reports: Sequence[HistoryReport], *, again: bool) -> str:
    if not again:
        return "the same command goes on there"
    first = min(p.day_us for r in reports for p in r.pieces if p.end is PieceEnd.STOPPED)
    return f"the same command with --from {name_day(first)} goes on with that day"


def build_document(
    source: str, run_id: str, reports: Sequence[HistoryReport], arrived: Mapping[str, Arrived]
) -> dict[str, object]:
    """The report for --json."""
    published = sum(piece.records for report in reports for piece in report.pieces)
    return {
        "source": source,
        "run_id": run_id,
        "records": published,
        "history": [
            _build_piece(report.feed, piece) for report in reports for piece in report.pieces
        ],
        "stores": {
            name: {
                "new_records": store.new_records,
                "already_there_records": max(published - store.new_records, 0),
                "lacking_offsets": store.lacking_offsets,
            }
            for name, store in arrived.items()
        },
    }


def _build_piece(feed: str, piece: PieceReport) -> dict[str, object]:
    times = {"first": piece.first_us, "last": piece.last_us}
    return {
        "feed": feed,
        "venue_symbol": piece.stream.venue_symbol,
        "interval": piece.stream.interval,
        "day": name_day(piece.day_us),
        "end": piece.end.value,
        "pages": piece.pages,
        "calls": piece.calls,
        "records": piece.records,
        "rejected_records": piece.rejected_records,
        **{k: None if t is None else from_time_us(t).isoformat() for k, t in times.items()},
        "seconds": round(piece.seconds, 3),
        "error": piece.error,
    }

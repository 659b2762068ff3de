"""`retention`: remove what is older than its feed keeps, or show what would go."""

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from crypto_platform.analytics.retention import (
    FigureRemoval,
    count_old_figures,
    plan_figure_cuts,
    remove_old_figures,
)
from crypto_platform.cli.options import (
    data_dir_option,
    feed_option,
    is_confirmed,
    json_option,
    select_feeds,
    yes_option,
)
from crypto_platform.delivery.retention import Removal, count_old, plan_cuts, remove_old
from crypto_platform.domain.hours import TimeUs, from_time_us
from crypto_platform.domain.readable import format_count
from crypto_platform.errors import PlatformError
from crypto_platform.settings import load_settings
from crypto_platform.stores import open_stores


@click.command()
@feed_option
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@yes_option
@json_option
@data_dir_option
def retention_command(
    *,
    feed_names: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Remove records that are older than their feed keeps, in both stores alike, and old figures.

    The job remove_old_records does the same every night. What went is written down, so that the
    audit still proves what is left. Whole partitions go: of trades up to a month more is kept.

    Example: crypto-platform retention --dry-run
    """
    settings = load_settings(data_dir)
    now_us = time.time_ns() // 1000
    cuts = plan_cuts(settings, select_feeds(feed_names), now_us=now_us)
    figure_cuts = () if feed_names else plan_figure_cuts(settings, now_us=now_us)
    with open_stores(settings) as stores:
        rows = list_rows(count_old(stores, cuts), count_old_figures(settings, figure_cuts))
        if not dry_run:
            click.echo(format_rows(rows), err=True)
            if not yes:
                _refuse_unknown(rows)
            if not is_confirmed("Remove these records for good?", yes=yes):
                raise click.exceptions.Exit(1)
            run_id = f"cli-retention-{secrets.token_hex(6)}"
            rows = list_rows(
                remove_old(stores, cuts, run_id=run_id), remove_old_figures(settings, figure_cuts)
            )
    click.echo(json.dumps(build_document(rows), indent=2) if as_json else format_rows(rows))
    if any(row.records is None for row in rows):
        raise click.exceptions.Exit(1)


class Row(NamedTuple):
    """What goes of a feed in a store, or of a table of figures.

    Attributes:
        records: None where the store does not answer; `problem` says why.
    """

    store: str
    feed: str
    before_us: TimeUs
    records: int | None
    problem: PlatformError | None


def list_rows(removals: Sequence[Removal], figures: Sequence[FigureRemoval]) -> Sequence[Row]:
    """Both as one list."""
    return [
        *(Row(r.store, r.cut.feed.name, r.cut.before_us, r.records, r.problem) for r in removals),
        *(Row("postgres", r.cut.computation, r.cut.before_us, r.rows, r.problem) for r in figures),
    ]


def _refuse_unknown(rows: Sequence[Row]) -> None:
    """Nobody can agree to what is not known."""
    silent = sorted({row.store for row in rows if row.records is None})
    if silent:
        message = (
            f"{' and '.join(silent)} did not say how much would go, so nothing was removed; try "
            "again when `crypto-platform status` shows it up, or with --yes for what does answer"
        )
        raise click.ClickException(message)


def format_rows(rows: Sequence[Row]) -> str:
    """A line a store and feed."""
    lines = [("store", "feed", "events before", "records")]
    lines += [
        (
            row.store,
            row.feed,
            f"{from_time_us(row.before_us):%Y-%m-%d}",
            str(row.problem) if row.records is None else format_count(row.records),
        )
        for row in rows
    ]
    return "\n".join(f"{line[0]:10}{line[1]:18}{line[2]:15}{line[3]:>12}" for line in lines)


def build_document(rows: Sequence[Row]) -> dict[str, object]:
    """For --json; unknown is null."""
    return {
        "removals": [
            {
                "store": row.store,
                "feed": row.feed,
                "events_before": row.before_us,
                "records": row.records,
                "problem": None if row.problem is None else str(row.problem),
            }
            for row in rows
        ]
    }

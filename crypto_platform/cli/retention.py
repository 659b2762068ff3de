"""`retention`: remove what is older than its feed keeps, or show what would go."""

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import click

from crypto_platform.cli.options import (
    data_dir_option,
    feed_option,
    is_confirmed,
    json_option,
    select_feeds,
    yes_option,
)
from crypto_platform.delivery.retention import Removal, count_old, plan_cuts, remove_old
from crypto_platform.domain.hours import from_time_us
from crypto_platform.domain.readable import format_count
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
    """Remove records that are older than their feed keeps, in both stores alike.

    The job remove_old_records does the same every night. What went is written down, so that the
    audit still proves what is left. Whole partitions go: of trades up to a month more is kept.

    Example: crypto-platform retention --dry-run
    """
    settings = load_settings(data_dir)
    cuts = plan_cuts(settings, select_feeds(feed_names), now_us=time.time_ns() // 1000)
    with open_stores(settings) as stores:
        removals = count_old(stores, cuts)
        if not dry_run:
            click.echo(format_removals(removals), err=True)
            if not yes:
                _refuse_unknown(removals)
            if not is_confirmed("Remove these records for good?", yes=yes):
                raise click.exceptions.Exit(1)
            removals = remove_old(stores, cuts, run_id=f"cli-retention-{secrets.token_hex(6)}")
    click.echo(
        json.dumps(build_document(removals), indent=2) if as_json else format_removals(removals)
    )
    if any(each.records is None for each in removals):
        raise click.exceptions.Exit(1)


def _refuse_unknown(removals: Sequence[Removal]) -> None:
    """Nobody can agree to what is not known."""
    silent = sorted({each.store for each in removals if each.records is None})
    if silent:
        message = (
            f"{' and '.join(silent)} did not say how much would go, so nothing was removed; try "
            "again when `crypto-platform status` shows it up, or with --yes for what does answer"
        )
        raise click.ClickException(message)


def format_removals(removals: Sequence[Removal]) -> str:
    """A line a store and feed."""
    lines = [("store", "feed", "events before", "records")]
    lines += [
        (
            each.store,
            each.cut.feed.name,
            f"{from_time_us(each.cut.before_us):%Y-%m-%d}",
            str(each.problem) if each.records is None else format_count(each.records),
        )
        for each in removals
    ]
    return "\n".join(f"{line[0]:10}{line[1]:14}{line[2]:15}{line[3]:>12}" for line in lines)


def build_document(removals: Sequence[Removal]) -> dict[str, object]:
    """For --json; unknown is null."""
    return {
        "removals": [
            {
                "store": each.store,
                "feed": each.cut.feed.name,
                "events_before": each.cut.before_us,
                "records": each.records,
                "problem": None if each.problem is None else str(each.problem),
            }
            for each in removals
        ]
    }

"""`replay`: load past hours of append time again, from Kafka, here in the foreground."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.options import (
    data_dir_option,
    feed_option,
    json_option,
    select_feeds,
)
from crypto_platform.cli.text import format_table
from crypto_platform.delivery.replay import (
    Replayed,
    ReplayRange,
    plan_replay,
    refuse_gaps,
    replay_ranges,
)
from crypto_platform.domain.hours import (
    HOUR_FORMAT,
    MICROSECONDS_PER_HOUR,
    hour_of,
    name_hour,
    parse_moment,
    to_time_us,
)
from crypto_platform.domain.readable import format_count
from crypto_platform.settings import load_settings
from crypto_platform.stores import STORES, open_store

_COLUMNS = ("partition", "offsets", "to read", "kafka")
_NUMBERS = frozenset({2})


@click.command()
@click.option(
    "--store", "store_name", type=click.Choice(list(STORES)), required=True, help="Load this one."
)
@feed_option
@click.option("--partition", "first", metavar="HOUR", required=True, help="2026-01-31-14:00, UTC.")
@click.option("--to", "last", metavar="HOUR", help="Last hour of several, itself included.")
@click.option("--dry-run", is_flag=True, help="Say what would be read, and write nothing.")
@json_option
@data_dir_option
def replay_command(
    *,
    store_name: str,
    feed_names: tuple[str, ...],
    first: str,
    last: str | None,
    dry_run: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Load past hours into a store again, from Kafka.

    What is missing comes back, what is there stays untouched, quarantined records that load now are
    released. Live loads go on meanwhile, and doing it twice changes nothing. The same as
    materializing these partitions in Dagster. Exits with 1 where Kafka no longer has all of it.

    Example: crypto-platform replay --store postgres --partition 2026-01-31-14:00
    """
    first_hour, end_hour = parse_hours(first, last, now=datetime.now(UTC))
    settings = load_settings(data_dir)
    store = open_store(store_name, settings)
    feeds = select_feeds(feed_names)
    try:
        ranges = [
            found
            for feed in feeds
            for found in plan_replay(
                settings, store, feed, first_hour=first_hour, end_hour=end_hour
            )
        ]
        if dry_run:
            _echo_plan(store_name, ranges, as_json=as_json)
            refuse_gaps(store_name, ranges)
            return
        refuse_gaps(store_name, ranges)
        run_id = f"cli-{uuid.uuid4()}"
        replayed = replay_ranges(
            settings, store, ranges, run_id=run_id, progress=lambda text: click.echo(text, err=True)
        )
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(build_document(store_name, run_id, replayed), indent=2))
    else:
        click.echo(format_replayed(store_name, replayed))


def parse_hours(first: str, last: str | None, *, now: datetime) -> tuple[int, int]:
    """The half-open range of microseconds from the first hour to the last, itself included.

    Raises:
        click.BadParameter: No hours, or not in this order.
    """
    first_hour = parse_hour(first, option="--partition", now=now)
    last_hour = first_hour if last is None else parse_hour(last, option="--to", now=now)
    if last_hour < first_hour:
        message = f"{last} is before --partition {first}: give the earlier hour as --partition"
        raise click.BadParameter(message, param_hint="--to")
    return first_hour, last_hour + MICROSECONDS_PER_HOUR


def parse_hour(text: str, *, option: str, now: datetime) -> int:
    """An hour as Dagster names partitions, or as ISO writes it (UTC unless it says otherwise).

    Returns:
        Its first microsecond.

    Raises:
        click.BadParameter: Neither, no whole hour, or not begun yet.
    """
    moment = _parse_moment(text.strip())
    if moment is None:
        message = f"{text!r} is no hour: use 2026-01-31-14:00 or 2026-01-31T14:00 (UTC)"
        raise click.BadParameter(message, param_hint=option)
    time_us = to_time_us(moment)
    hour = hour_of(time_us)
    if hour != time_us:
        message = f"{text} is no whole hour: {name_hour(hour)} is the one that holds it"
        raise click.BadParameter(message, param_hint=option)
    if moment > now:
        message = f"{text} has not begun yet: it is {now:{HOUR_FORMAT}} (UTC)"
        raise click.BadParameter(message, param_hint=option)
    return hour


def _parse_moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return parse_moment(text)
    except ValueError:
        return None


def format_replayed(store_name: str, replayed: Replayed) -> str:
    """What was done, in a line."""
    return (
        f"{store_name}: read {replayed.read_records:,}, restored {replayed.stored_records:,}, "
        f"already there {replayed.repeated_records:,}, quarantined "
        f"{replayed.quarantined_records:,}"
    )


def build_document(store_name: str, run_id: str, replayed: Replayed) -> dict[str, object]:
    """What was done, for --json; named as the metadata of a replay in Dagster."""
    return {
        "store": store_name,
        "run_id": run_id,
        "read_records": replayed.read_records,
        "restored_records": replayed.stored_records,
        "already_there_records": replayed.repeated_records,
        "quarantined_records": replayed.quarantined_records,
    }


def format_plan(store_name: str, ranges: Sequence[ReplayRange]) -> list[str]:
    """What would be read, a line a partition."""
    rows = [
        (
            f"{found.part.topic}/{found.part.part}",
            f"{found.first_offset} to {found.next_offset}",
            format_count(found.next_offset - found.first_offset),
            f"gone in part: {', '.join(map(name_hour, found.lost_hours))}"
            if found.lost_hours
            else "has all of it",
        )
        for found in ranges
    ]
    if not rows:
        return [
            f"{store_name} has loaded nothing of these feeds yet, so there is nothing to replay"
        ]
    total = sum(found.next_offset - found.first_offset for found in ranges)
    summary = f"{store_name}: {total:,} offsets would be read; nothing was written"
    return [*format_table(_COLUMNS, rows, right=_NUMBERS), summary]


def _echo_plan(store_name: str, ranges: Sequence[ReplayRange], *, as_json: bool) -> None:
    if as_json:
        document = {"store": store_name, "ranges": [_build_range(found) for found in ranges]}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo("\n".join(format_plan(store_name, ranges)))


def _build_range(found: ReplayRange) -> dict[str, object]:
    first_whole = found.first_whole_hour
    return {
        "feed": found.feed.name,
        "topic": found.part.topic,
        "part": found.part.part,
        "first_offset": found.first_offset,
        "next_offset": found.next_offset,
        "lost_hours": [name_hour(hour) for hour in found.lost_hours],
        "first_whole_hour": None if first_whole is None else name_hour(first_whole),
    }

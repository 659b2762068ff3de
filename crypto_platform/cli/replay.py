"""`replay`: load past hours of append time again, from Kafka, here in the foreground."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.text import format_count, format_table
from crypto_platform.delivery.replay import (
    Replayed,
    ReplayRange,
    plan_replay,
    refuse_gaps,
    replay_ranges,
)
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, from_time_us, hour_of, to_time_us
from crypto_platform.errors import IncidentError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.settings import load_settings
from crypto_platform.stores import STORES, open_store

_FORMS = ("%Y-%m-%d-%H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%MZ")
_COLUMNS = ("partition", "offsets", "to read", "")
_NUMBERS = frozenset({2})


@click.command()
@click.option("--store", "store_name", type=click.Choice(list(STORES)), required=True)
@click.option(
    "--feed",
    "feed_names",
    type=click.Choice(list(FEED_BY_NAME)),
    multiple=True,
    help="Only this feed; may be given again.",
)
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
    released. Live loads go on meanwhile. The same as materializing these partitions in Dagster.

    Example: crypto-platform replay --store postgres --partition 2026-01-31-14:00
    """
    now = datetime.now(UTC)
    first_hour = parse_hour(first, option="--partition", now=now)
    last_hour = first_hour if last is None else parse_hour(last, option="--to", now=now)
    end_hour = last_hour + MICROSECONDS_PER_HOUR
    if last_hour < first_hour:
        message = f"{last} is before {first}"
        raise click.BadParameter(message, param_hint="--to")
    settings = load_settings(data_dir)
    store = open_store(store_name, settings)
    feeds = [FEED_BY_NAME[name] for name in dict.fromkeys(feed_names) or FEED_BY_NAME]
    try:
        ranges = [
            found
            for feed in feeds
            for found in plan_replay(
                settings, store, feed, first_hour=first_hour, end_hour=end_hour
            )
        ]
        if dry_run:
            _show(ranges, as_json=as_json)
            return
        refuse_gaps(store.sink, ranges)
        run_id = f"cli-{uuid.uuid4()}"
        replayed = replay_ranges(
            settings, store, ranges, run_id=run_id, progress=lambda text: click.echo(text, err=True)
        )
    except IncidentError as error:
        raise click.ClickException(str(error)) from None
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"store": store_name, "run_id": run_id, **vars(replayed)}, indent=2))
    else:
        click.echo(format_replayed(store_name, replayed))


def parse_hour(text: str, *, option: str, now: datetime) -> int:
    """An hour as Dagster names partitions, or as ISO writes it; UTC. Returns microseconds.

    Raises:
        click.BadParameter: Neither, no whole hour, or not begun yet.
    """
    for form in _FORMS:
        try:
            moment = datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if moment > now:
            message = f"{text} has not begun yet"
            raise click.BadParameter(message, param_hint=option)
        hour = to_time_us(moment)
        if hour != hour_of(hour):
            message = f"{text} is no whole hour: {moment:%Y-%m-%d-%H}:00 is the one that holds it"
            raise click.BadParameter(message, param_hint=option)
        return hour
    message = f"{text!r} is no hour: use 2026-01-31-14:00 or 2026-01-31T14:00 (UTC)"
    raise click.BadParameter(message, param_hint=option)


def format_replayed(store_name: str, replayed: Replayed) -> str:
    """What was done, in a line."""
    return (
        f"{store_name}: read {replayed.read_records:,}, restored {replayed.stored_records:,}, "
        f"already there {replayed.repeated_records:,}, quarantined "
        f"{replayed.quarantined_records:,}"
    )


def _show(ranges: Sequence[ReplayRange], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ranges": [_document(found) for found in ranges]}, indent=2))
        return
    rows = [
        (
            f"{found.part.topic}/{found.part.part}",
            f"{found.first_offset} to {found.next_offset}",
            format_count(found.next_offset - found.first_offset),
            "GONE in part: " + ", ".join(_names(found)) if found.lost_hours else "",
        )
        for found in ranges
    ]
    click.echo("\n".join(format_table(_COLUMNS, rows, right=_NUMBERS)))
    click.echo("nothing was written")


def _document(found: ReplayRange) -> dict[str, object]:
    return {
        "topic": found.part.topic,
        "part": found.part.part,
        "first_offset": found.first_offset,
        "next_offset": found.next_offset,
        "lost_hours": _names(found),
    }


def _names(found: ReplayRange) -> list[str]:
    return [from_time_us(hour).strftime("%Y-%m-%d-%H:%M") for hour in found.lost_hours]

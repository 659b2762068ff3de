"""`history`: ask a source for days of the past, and publish what it gives, here in the foreground.

Here: the options, the run, the wait for the stores. Not here: how it reads (history_text.py).
"""

import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.history_text import (
    build_document,
    build_plan_document,
    format_plan,
    format_report,
    open_speaker,
)
from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.delivery.history import HistoryReport, PieceEnd, backfill
from crypto_platform.delivery.history_plan import (
    Wanted,
    estimate_wanted,
    list_days,
    list_streams,
    warn_of_forgotten,
)
from crypto_platform.delivery.history_stored import Arrived, count_stored, wait_until_loaded
from crypto_platform.domain.hours import (
    DAY_FORMAT,
    MICROSECONDS_PER_DAY,
    TimeUs,
    day_of,
    name_day,
    to_time_us,
)
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.rejected import REJECTED
from crypto_platform.feeds.trades import TRADES
from crypto_platform.settings import Settings, load_settings
from crypto_platform.sources import (
    build_history_source,
    build_source,
    find_history,
    list_history,
)
from crypto_platform.stores import STORES, open_stores
from crypto_platform.stores.base import Store


@click.command()
@click.option("--source", "source_name", metavar="SOURCE", help="Needed where several keep a past.")
@click.option(
    "--feed",
    "feed_names",
    type=click.Choice([TRADES.name, CANDLES.name]),
    multiple=True,
    help="Only this feed; may be given again.",
)
@click.option(
    "--symbol",
    "symbols",
    metavar="BTC-USD",
    multiple=True,
    help="By the venue's own name; may be given again [default: those of the settings].",
)
@click.option("--from", "first", metavar="DAY", help="2026-01-31, UTC [default: as --to].")
@click.option("--to", "last", metavar="DAY", help="Itself included [default: yesterday].")
@click.option(
    "--interval",
    "intervals",
    type=click.Choice([interval.value for interval in Interval]),
    multiple=True,
    help="Of candles; may be given again [default: those of the settings].",
)
@click.option("--dry-run", is_flag=True, help="Say how many requests it takes; publish nothing.")
@click.option("--again", is_flag=True, help="Ask also for days that are done.")
@click.option(
    "--wait/--no-wait",
    "waits",
    default=None,
    help="Wait until both stores have loaded it [default: on a terminal].",
)
@json_option
@data_dir_option
def history_command(  # noqa: PLR0913 - an option each
    *,
    source_name: str | None,
    feed_names: tuple[str, ...],
    symbols: tuple[str, ...],
    first: str | None,
    last: str | None,
    intervals: tuple[str, ...],
    dry_run: bool,
    again: bool,
    waits: bool | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Ask a source for days of the past (event time, UTC), and publish what it gives to Kafka.

    The same as materializing history/SOURCE/FEED in Dagster. It uses 30 % of the source's budget,
    live polls go on. Ctrl-C ends it after the page in hand; typed again it goes on there. Days that
    are done are not asked for again; with --again they are, and nothing is doubled by it.

    Exits with 1 where a day failed or is left.

    Example: crypto-platform history --source coinbase --symbol BTC-USD --from 2026-01-01
    """
    days = parse_days(first, last, now=datetime.now(UTC))
    settings = load_settings(data_dir)
    source = choose_source(settings, source_name)
    wanted = [
        Wanted(
            feed=feed,
            streams=list_streams(
                settings.sources[source], feed, venue_symbols=symbols, intervals=intervals
            ),
            days=days,
            again=again,
        )
        for feed in choose_feeds(settings, source, feed_names)
    ]
    for each in wanted:
        if warning := warn_of_forgotten(settings, each, now_us=time.time_ns() // 1000):
            click.echo(warning, err=True)
    if dry_run:
        _show_plan(settings, source, wanted, as_json=as_json)
        return
    stop = stop_on(signal.SIGINT, signal.SIGTERM)
    run_id = f"cli-{uuid.uuid4()}"
    reports, arrived = run_history(
        settings,
        source,
        wanted,
        run_id=run_id,
        stop=stop,
        waits=sys.stderr.isatty() if waits is None else waits,
    )
    if as_json:
        click.echo(json.dumps(build_document(source, run_id, reports, arrived), indent=2))
    else:
        click.echo("\n".join(format_report(reports, arrived, again=again)))
    is_left = any(not _is_good(report) for report in reports)
    if is_left or any(store.lacking_offsets for store in arrived.values()):
        sys.exit(1)


def _show_plan(settings: Settings, source: str, wanted: Sequence[Wanted], *, as_json: bool) -> None:
    plans = [estimate for each in wanted for estimate in estimate_wanted(settings, source, each)]
    per_minute = settings.sources[source].requests_per_minute_max
    if as_json:
        document = build_plan_document(source, plans, requests_per_minute_max=per_minute)
        click.echo(json.dumps(document, indent=2))
        return
    click.echo("\n".join(format_plan(source, plans, requests_per_minute_max=per_minute)))
    click.echo("nothing was published")


def _is_good(report: HistoryReport) -> bool:
    fine = {PieceEnd.NOT_OVER, PieceEnd.EMPTY}
    return all(piece.is_complete or piece.end in fine for piece in report.pieces)


def parse_days(first: str | None, last: str | None, *, now: datetime) -> list[TimeUs]:
    """The days from --from to --to, both included.

    Raises:
        click.BadParameter: No days, not in this order, or in the future.
    """
    today = day_of(to_time_us(now))
    last_us = today - MICROSECONDS_PER_DAY if last is None else _parse_day(last, option="--to")
    first_us = last_us if first is None else _parse_day(first, option="--from")
    if last_us > today:
        message = f"{last} has not begun yet: it is {name_day(today)} (UTC)"
        raise click.BadParameter(message, param_hint="--to")
    if first_us > last_us:
        message = f"{first} is after --to {name_day(last_us)}: give the earlier day as --from"
        raise click.BadParameter(message, param_hint="--from")
    return list_days(first_us, last_us)


def _parse_day(text: str, *, option: str) -> TimeUs:
    try:
        moment = datetime.strptime(text.strip(), DAY_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        message = f"{text!r} is no day: use 2026-01-31 (UTC)"
        raise click.BadParameter(message, param_hint=option) from None
    time_us = to_time_us(moment)
    if time_us < 0:
        message = f"{text} is before 1970"
        raise click.BadParameter(message, param_hint=option)
    return time_us


def choose_source(settings: Settings, name: str | None) -> str:
    """The source that was named, or the only one that keeps a past.

    Raises:
        click.UsageError: It has to be named, or there is none of this name.
    """
    known = list(dict.fromkeys(source for source, _ in list_history(settings)))
    if name is not None:
        if name not in settings.sources:
            message = f"there is no source {name}; a past keep {', '.join(known) or 'none'}"
            raise click.UsageError(message)
        return name
    if len(known) != 1:
        message = f"name a source by --source: {', '.join(known) or 'none of them keeps a past'}"
        raise click.UsageError(message)
    return known[0]


def choose_feeds(settings: Settings, source_name: str, feed_names: Sequence[str]) -> list[str]:
    """The feeds that were named, or all whose past the source keeps.

    Raises:
        click.UsageError: It keeps none, or not this one.
    """
    source = build_source(settings, source_name)
    kept = [feed.name for feed in FEEDS if find_history(source, feed.name) is not None]
    for name in feed_names:
        if name not in kept:
            message = f"{source_name} gives no past of {name}, only of {', '.join(kept) or 'none'}"
            raise click.UsageError(message)
    if not kept:
        message = f"{source_name} gives the past of nothing"
        raise click.UsageError(message)
    return list(dict.fromkeys(feed_names)) or kept


def run_history(
    settings: Settings,
    source_name: str,
    wanted: Sequence[Wanted],
    *,
    run_id: str,
    stop: threading.Event,
    waits: bool,
) -> tuple[list[HistoryReport], Mapping[str, Arrived]]:
    """Read feed after feed; progress goes to stderr.

    Returns:
        A report a feed, and what arrived in each store; the latter empty where nobody waits, or
        nothing was published.
    """
    with open_stores(settings, STORES if waits else (), role="analyst") as stores:
        if stores:
            click.echo("waiting until both stores have what Kafka holds", err=True)
        before = _count(settings, stores, source_name, wanted, stop)
        reports: list[HistoryReport] = []
        for each in wanted:
            source = build_history_source(settings, source_name, each.feed, stop=stop)
            with open_speaker(each) as speaker:
                reports.append(
                    backfill(
                        settings,
                        source,
                        each,
                        clock=lambda: time.time_ns() // 1000,
                        stop=stop,
                        run_id=run_id,
                        on_page=speaker.note_page,
                        on_piece=speaker.note_piece,
                    )
                )
        if not any(piece.records for report in reports for piece in report.pieces):
            return reports, {}
        if stores:
            click.echo("waiting until both stores have it as well", err=True)
        after = _count(settings, stores, source_name, wanted, threading.Event())
    return reports, {
        name: Arrived(new_records=count - before[name][0], lacking_offsets=lacking)
        for name, (count, lacking) in after.items()
    }


def _count(
    settings: Settings,
    stores: Mapping[str, Store],
    source_name: str,
    wanted: Sequence[Wanted],
    stop: threading.Event,
) -> Mapping[str, tuple[int, int]]:
    """By store, what it holds of the wanted days once it has all that Kafka has; what it lacks."""
    feeds = [FEED_BY_NAME[each.feed] for each in wanted]
    lacking = wait_until_loaded(settings, stores, [*feeds, FEED_BY_NAME[REJECTED.name]], stop)
    return {
        name: (
            sum(
                count_stored(
                    store,
                    FEED_BY_NAME[each.feed],
                    each.streams,
                    venue=source_name,
                    start_us=each.days[0],
                    end_us=each.days[-1] + MICROSECONDS_PER_DAY,
                )
                for each in wanted
            ),
            lacking[name],
        )
        for name, store in stores.items()
    }

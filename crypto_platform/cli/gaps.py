"""`gaps`: which days of trades and candles are complete, and asking for those that are not.

Here: options, the report, the repair in the foreground. Not here: how it reads (gaps_text.py), the
verdicts (delivery/gap_report.py), the backfill (history.py).
"""

import json
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.gaps_text import build_days, build_document, format_gaps
from crypto_platform.cli.history import parse_days, run_history
from crypto_platform.cli.history_text import build_document as build_history_document
from crypto_platform.cli.history_text import build_plan_document, format_plan, format_report
from crypto_platform.cli.options import data_dir_option, is_confirmed, yes_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.signals import stop_on
from crypto_platform.delivery.gap_repair import (
    GAP_FEEDS,
    is_settled,
    list_recent,
    list_subjects,
    plan_repair,
)
from crypto_platform.delivery.gap_report import Subject
from crypto_platform.delivery.history_plan import Estimate, Wanted, estimate_wanted
from crypto_platform.domain.hours import TimeUs, day_of, name_day, to_time_us
from crypto_platform.errors import SourceError
from crypto_platform.serving.quality import read_gap_report
from crypto_platform.serving.sheets import build_source
from crypto_platform.settings import Settings, load_settings
from crypto_platform.sources import list_feeds

Plan = Mapping[str, Sequence[Wanted]]


@click.command()
@click.option("--day", metavar="DAY", help="2026-01-31, UTC: this day alone.")
@click.option("--from", "first", metavar="DAY", help="[default: as --to].")
@click.option("--to", "last", metavar="DAY", help="Itself included [default: yesterday].")
@click.option("--venue", "venues", multiple=True, help="By its name; may be given again.")
@click.option(
    "--symbol",
    "symbols",
    metavar="BTC-USD",
    multiple=True,
    help="By the venue's own name; may be given again [default: those of the settings].",
)
@click.option(
    "--feed",
    "feed_names",
    type=click.Choice(GAP_FEEDS),
    multiple=True,
    help="Only this feed; may be given again.",
)
@click.option("--repair", is_flag=True, help="Ask the venues for what is missing here.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what it takes; ask for nothing.")
@yes_option
@form_options
@data_dir_option
def gaps_command(  # noqa: PLR0913 - an option each
    *,
    day: str | None,
    first: str | None,
    last: str | None,
    venues: tuple[str, ...],
    symbols: tuple[str, ...],
    feed_names: tuple[str, ...],
    repair: bool,
    dry_run: bool,
    yes: bool,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Say which days are complete, missing at the source, missing here, or not asked for.

    Made anew from what a store holds, of the last quality.gap_days where no day is named. With
    --repair the days that are missing here or not asked for are asked of their venues, as `history`
    does it; what is still missing then is said, and why.

    Exits with 1 where a day is missing here or not asked for.

    Example: crypto-platform gaps --venue coinbase --from 2026-01-01 --to 2026-01-31 --repair
    """
    _check_options(form, repair=repair, dry_run=dry_run)
    settings = load_settings(data_dir)
    now_us = time.time_ns() // 1000
    subjects = list_subjects(
        settings,
        days=_choose_days(settings, day, first, last, now_us=now_us),
        now_us=now_us,
        sources=_check_venues(settings, venues),
        feeds=feed_names,
        venue_symbols=symbols,
    )
    if not subjects:
        message = "no source is asked for that: `crypto-platform sources list` names them, and "
        message += "--venue with --symbol takes any symbol of a venue"
        raise click.UsageError(message)
    found = read_gap_report(settings, subjects)
    echo_source(found.source)
    plan = plan_repair(found.value)
    if not repair or not plan:
        echo_form(form, build_days(found.value), build_source(found.source), name="days")
        if form.is_for_people:
            click.echo("\n".join(format_gaps(found.value)))
        if repair and form.is_for_people:
            click.echo("nothing is to be asked for")
        sys.exit(0 if is_settled(found.value) else 1)
    plan, plans = _estimate(settings, plan)
    if not plan:
        sys.exit(1)
    if dry_run:
        _echo_plan(settings, plans, as_json=form.as_json)
        if not form.as_json:
            click.echo("nothing was published")
        return
    _echo_plan(settings, plans, as_json=False, to_stderr=True)
    if not is_confirmed("Ask for these days?", yes=yes):
        sys.exit(1)
    _repair(settings, subjects, plan, as_json=form.as_json)


def _check_options(form: Form, *, repair: bool, dry_run: bool) -> None:
    if dry_run and not repair:
        message = "--dry-run goes with --repair; without both nothing is asked for anyway"
        raise click.UsageError(message)
    if repair and not (form.is_for_people or form.as_json):
        message = "--csv and --parquet are of the report: ask for it without --repair"
        raise click.UsageError(message)


def _choose_days(
    settings: Settings, day: str | None, first: str | None, last: str | None, *, now_us: TimeUs
) -> list[TimeUs]:
    if day is not None and (first or last):
        message = "--day names one day, --from and --to several: give one or the other"
        raise click.UsageError(message)
    if not (day or first or last):
        return list_recent(settings, now_us=now_us)
    days = parse_days(day or first, day or last, now=datetime.now(UTC))
    if days[-1] >= day_of(to_time_us(datetime.now(UTC))):
        message = f"{name_day(days[-1])} is not over yet: a day is judged when it is; "
        message += "`crypto-platform history` reads it as far as it goes"
        raise click.BadParameter(message, param_hint="--day" if day else "--to")
    return days


def _check_venues(settings: Settings, venues: Sequence[str]) -> Sequence[str]:
    asked = dict.fromkeys(source for source, feed in list_feeds(settings) if feed in GAP_FEEDS)
    for venue in venues:
        if venue not in asked:
            message = f"{venue} is not asked for trades or candles; {', '.join(asked)} are"
            raise click.BadParameter(message, param_hint="--venue")
    return venues


def _estimate(settings: Settings, plan: Plan) -> tuple[Plan, Mapping[str, Sequence[Estimate]]]:
    """What it takes; a source that does not answer is named, and left out."""
    plans: dict[str, Sequence[Estimate]] = {}
    for source, wanted in plan.items():
        try:
            plans[source] = [e for each in wanted for e in estimate_wanted(settings, source, each)]
        except SourceError as error:
            click.echo(f"{source} is left out: {' '.join(str(error).split())}", err=True)
    return {source: plan[source] for source in plans}, plans


def _echo_plan(
    settings: Settings,
    plans: Mapping[str, Sequence[Estimate]],
    *,
    as_json: bool,
    to_stderr: bool = False,
) -> None:
    limits = {source: settings.sources[source].requests_per_minute_max for source in plans}
    if as_json:
        documents = [
            build_plan_document(source, own, requests_per_minute_max=limits[source])
            for source, own in plans.items()
        ]
        click.echo(json.dumps({"repair": documents}, indent=2))
        return
    for source, own in plans.items():
        lines = format_plan(source, own, requests_per_minute_max=limits[source])
        click.echo("\n".join(lines), err=to_stderr)


def _repair(settings: Settings, subjects: Sequence[Subject], plan: Plan, *, as_json: bool) -> None:
    stop = stop_on(signal.SIGINT, signal.SIGTERM)
    documents: list[dict[str, object]] = []
    is_loaded = True
    for source, wanted in plan.items():
        run_id = f"cli-{uuid.uuid4()}"
        reports, arrived = run_history(
            settings, source, wanted, run_id=run_id, stop=stop, waits=True
        )
        is_loaded = is_loaded and not any(store.lacking_offsets for store in arrived.values())
        documents.append(build_history_document(source, run_id, reports, arrived))
        if not as_json:
            click.echo("\n".join(format_report(reports, arrived, again=False)))
    found = read_gap_report(settings, subjects)
    echo_source(found.source)
    if as_json:
        document = build_document(found)
        click.echo(json.dumps({"repair": documents, **document}, indent=2))
    else:
        click.echo("\n".join(format_gaps(found.value)))
    sys.exit(0 if is_loaded and is_settled(found.value) else 1)

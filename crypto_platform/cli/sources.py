"""`sources list`, `sources check`: what is read, what is not and why, and whether it answers."""

import dataclasses
import json
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.source_records import (
    SourceRecord,
    build_record,
    read_record,
    replay_record,
    write_record,
)
from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.readable import format_price
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.trades import Trade
from crypto_platform.settings import ENV_PREFIX, Settings, find_settings_file, load_settings
from crypto_platform.sources import (
    DIALECTS,
    FeedCheck,
    SourceCheck,
    SourceState,
    check_source,
    explain_sources,
)
from crypto_platform.sources.exchanges import record_exchanges


@click.group(invoke_without_command=True)
@data_dir_option
@click.pass_context
def sources_command(ctx: click.Context, *, data_dir: Path | None) -> None:
    """What is read, what is not and why, and whether it answers.

    Example: crypto-platform sources check
    """
    ctx.obj = data_dir
    if ctx.invoked_subcommand is None:
        _list(data_dir, as_json=False)


@sources_command.command("list")
@json_option
@data_dir_option
@click.pass_obj
def list_command(group_data_dir: Path | None, *, as_json: bool, data_dir: Path | None) -> None:
    """List the configured sources, and why some are not read.

    Example: crypto-platform sources list --json
    """
    _list(data_dir or group_data_dir, as_json=as_json)


@sources_command.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--live", is_flag=True, help="Ask public APIs too, not only the simulated market.")
@click.option(
    "--record",
    "record_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what one source answered into this file, without keys.",
)
@click.option(
    "--replay",
    "replay_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read such a file again; no source is asked.",
)
@json_option
@data_dir_option
@click.pass_obj
def check_command(
    group_data_dir: Path | None,
    *,
    names: tuple[str, ...],
    live: bool,
    record_file: Path | None,
    replay_file: Path | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Ask sources once and show what came; nothing is stored. Exit 1 if one does not answer.

    One request or a few to each; a source named is asked whatever it is. Fields that the answers
    have and nobody reads, or that are read and missing, are listed with the number of objects.

    Example: crypto-platform sources check kraken --record kraken.json
    """
    if replay_file is not None:
        if names or live or record_file:
            message = "--replay asks no source: give it alone"
            raise click.UsageError(message)
        _tell([_replay(read_record(replay_file))], as_json=as_json)
        return
    folder = data_dir or group_data_dir
    settings = load_settings(folder)
    # `up` switches off what did not answer it, and that is what a check is for
    states = list(_states_of_person(folder).values())
    chosen = choose_states(settings, states, names=names, live=live)
    if record_file is None:
        checks = [_check(settings, state) for state in chosen]
    elif len(chosen) == 1:
        checks = [_check_and_record(settings, chosen[0], record_file)]
    else:
        message = "--record takes one source: name it"
        raise click.UsageError(message)
    _tell(checks, as_json=as_json)


def _tell(checks: Sequence[SourceCheck], *, as_json: bool) -> None:
    """Print checks, and end with 1 where one is not good."""
    if as_json:
        click.echo(json.dumps({"checks": [build_check(c) for c in checks]}, indent=2))
    else:
        for check in checks:
            click.echo("\n".join(format_check(check)))
        if not checks:
            click.echo("no source to check: --live asks the public ones", err=True)
    if not checks or not all(check.is_good for check in checks):
        sys.exit(1)


def explain_choice(now: SourceState, by_person: SourceState) -> SourceState:
    """A source as it is now, with the reason that a person can do something about.

    Args:
        now: With what the last `up` wrote into `<data>/environment`.
        by_person: Without it.
    """
    if now.enabled:
        return now
    if not by_person.enabled:
        return by_person
    reason = "the last `up` left it out (--sources, or no answer); `up --sources live` reads it"
    return dataclasses.replace(now, reason=reason)


def _states_of_person(data_dir: Path | None) -> dict[str, SourceState]:
    settings = load_settings(data_dir, environment_file=False)
    return {state.name: state for state in explain_sources(settings)}


def choose_states(
    settings: Settings, states: Sequence[SourceState], *, names: Sequence[str], live: bool
) -> list[SourceState]:
    """Which sources to ask.

    Args:
        settings: Of which the names are.
        states: Of all sources.
        names: Those named, whatever they are; none asks for all that are read.
        live: Whether public ones are among those.

    Raises:
        ConfigurationError: A name that is no source, or a source named that cannot be asked.
    """
    by_name = {state.name: state for state in states}
    for name in names:
        if name not in by_name:
            message = f"there is no source {name!r}; there are {', '.join(by_name) or 'none'}"
            raise ConfigurationError(message)
        source = settings.sources[name]
        if source.key_required and source.key is None:
            message = f"{name}: {by_name[name].reason}"
            raise ConfigurationError(message)
    if names:
        return [by_name[name] for name in dict.fromkeys(names)]
    return [state for state in states if state.enabled and (live or state.simulated)]


def _check(settings: Settings, state: SourceState) -> SourceCheck:
    build = DIALECTS[state.dialect]
    source = build(name=state.name, settings=settings.sources[state.name], stop=threading.Event())
    return check_source(source)


def _check_and_record(settings: Settings, state: SourceState, file: Path) -> SourceCheck:
    at = settings.sources[state.name]
    checked_us = to_time_us(datetime.now(UTC))
    source = DIALECTS[state.dialect](name=state.name, settings=at)
    with record_exchanges() as exchanges:
        check = check_source(source, ts_ingest=checked_us)
    write_record(build_record(state.name, at, exchanges, checked_us=checked_us), file)
    click.echo(f"{len(exchanges)} answers written into {file}", err=True)
    return check


def _replay(record: SourceRecord) -> SourceCheck:
    with replay_record(record) as at:
        if at.dialect not in DIALECTS:
            message = f"--replay: nobody here speaks {at.dialect!r}"
            raise ConfigurationError(message)
        source = DIALECTS[at.dialect](name=record.source, settings=at)
        return check_source(source, ts_ingest=record.checked_us)


def _list(data_dir: Path | None, *, as_json: bool) -> None:
    settings = load_settings(data_dir)
    by_person = _states_of_person(data_dir)
    states = [explain_choice(now, by_person[now.name]) for now in explain_sources(settings)]
    if as_json:
        rows = [build_source(settings, state) for state in states]
        click.echo(json.dumps({"sources": rows}, indent=2))
        return
    table = [
        (
            state.name,
            "read" if state.enabled else "not read",
            "simulated" if state.simulated else "public",
            f"every {settings.sources[state.name].pace_s:g} s",
            state.reason,
        )
        for state in states
    ]
    for line in format_table(("source", "state", "kind", "pace", "where or why not"), table):
        click.echo(line)
    without_key = [name for name, s in settings.sources.items() if s.key_required and s.key is None]
    if without_key:
        click.echo(explain_key(without_key[0], find_settings_file(settings.data_dir)))


def build_source(settings: Settings, state: SourceState) -> dict[str, object]:
    """A source for --json."""
    source = settings.sources[state.name]
    return {
        **vars(state),
        "base_url": source.base_url,
        "pace_s": source.pace_s,
        "has_key": source.key is not None,
    }


def explain_key(name: str, file: Path) -> str:
    """How to give a source its key."""
    return (
        f"\nTo give {name} its key, write into {file} (then `chmod 600` it):\n"
        f"  [sources.{name}]\n"
        '  key = "…"\n'
        f"or set {ENV_PREFIX}SOURCES__{name.upper()}__KEY before `crypto-platform up`. "
        f"`crypto-platform sources check {name}` then says whether it works."
    )


def build_check(check: SourceCheck) -> dict[str, object]:
    """A check for --json."""
    return {
        "source": check.name,
        "is_good": check.is_good,
        "feeds": [
            {
                "feed": feed.feed,
                "seconds": round(feed.seconds, 3),
                "records": feed.records,
                "rejected": feed.rejected,
                "rejected_sample": feed.rejected_sample,
                "error": feed.error,
                "missing_fields": dict(feed.missing_fields),
                "unread_fields": dict(feed.unread_fields),
            }
            for feed in check.feeds
        ],
    }


def format_check(check: SourceCheck) -> list[str]:
    """A line a feed, and what it gave first."""
    return [line for feed in check.feeds for line in _format_feed(check.name, feed)]


def _format_feed(name: str, feed: FeedCheck) -> list[str]:
    if feed.error is not None:
        line = f"{name}/{feed.feed}: NOT GOOD after {feed.seconds:.1f} s: {printable(feed.error)}"
        return [line, *_format_shape(feed)]
    verdict = "good" if feed.records else "NOT GOOD"
    counts = f"{feed.records} records in {feed.seconds:.1f} s, {feed.rejected} rejected"
    lines = [f"{name}/{feed.feed}: {verdict}, {counts}"]
    if isinstance(feed.sample, Quote):
        quote = feed.sample
        lines.append(
            f"  first: {printable(quote.currency_name or quote.currency_id)} "
            f"{format_price(quote.price)} {printable(quote.quote_currency)}"
        )
    elif isinstance(feed.sample, Trade):
        trade = feed.sample
        lines.append(
            f"  first: {printable(trade.symbol or trade.venue_symbol)} {trade.quantity} at "
            f"{format_price(trade.price)}"
        )
    if feed.rejected_sample is not None:
        lines.append(f"  rejected: {printable(feed.rejected_sample)}")
    return [*lines, *_format_shape(feed)]


def _format_shape(feed: FeedCheck) -> list[str]:
    told = (
        ("missing in the answer", feed.missing_fields),
        ("in the answer, not read", feed.unread_fields),
    )
    return [
        f"  {what}: {printable(', '.join(f'{name} ({count})' for name, count in fields.items()))}"
        for what, fields in told
        if fields
    ]

"""`trace`: say of a stored record which run loaded it, its offset in Kafka, and its poll."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.text import format_table, printable
from crypto_platform.delivery.trace import Stored, Trace, trace
from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.base import Store

_US = 1_000_000


@click.command()
@click.argument("feed_name", metavar="FEED", type=click.Choice(list(FEED_BY_NAME)))
@click.argument("event_id", metavar="[EVENT_ID]", required=False)
@click.option("--latest", metavar="CURRENCY", help="Instead of an id: a currency's newest quote.")
@json_option
@data_dir_option
def trace_command(
    *,
    feed_name: str,
    event_id: str | None,
    latest: str | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Follow a stored record back: row, load run, offset in Kafka, poll, ingest run.

    EVENT_ID is the primary key: column event_id in PostgreSQL, _id in MongoDB. Exit 1 where no
    store knows it.

    Example: crypto-platform trace quotes --latest bitcoin
    """
    if (event_id is None) == (latest is None):
        message = "give an EVENT_ID or --latest CURRENCY"
        raise click.UsageError(message)
    if latest is not None and feed_name != "quotes":
        message = "only quotes have a latest one of a currency"
        raise click.BadParameter(message, param_hint="--latest")
    settings = load_settings(data_dir)
    with ExitStack() as closing:
        stores: dict[str, Store] = {}
        for name in STORES:
            stores[name] = open_store(name, settings, role="analyst")
            closing.callback(stores[name].close)
        wanted = event_id or _find_latest(stores, latest or "")
        found = trace(settings, stores, FEED_BY_NAME[feed_name], wanted)
    if as_json:
        click.echo(json.dumps(to_document(settings, found), indent=2))
    else:
        click.echo("\n".join(format_trace(settings, found)))
    if found.record is None:
        sys.exit(1)


def _find_latest(stores: dict[str, Store], currency: str) -> str:
    for store in stores.values():
        quotes = store.read_latest_quotes([currency])
        if quotes:
            return max(quotes, key=lambda quote: quote.ts_ingest).event_id
    message = f"no quote of {currency!r} is stored; `crypto-platform quotes` lists currencies"
    raise click.ClickException(message)


def format_trace(settings: Settings, found: Trace) -> list[str]:
    """The way, newest step first, a line each."""
    record = found.record
    if record is None:
        quarantined = [e for stored in found.stores.values() for e in stored.quarantined]
        hint = (
            f"it stands in quarantine: {quarantined[0].reason.value}: {quarantined[0].error}"
            if quarantined
            else "is it the whole event_id? `crypto-platform audit` says whether a store lacks "
            "records, `crypto-platform status` whether it lags"
        )
        return [f"no store holds {printable(found.event_id)}: {hint}"]
    rows = [("record", printable(found.event_id))]
    for name, stored in found.stores.items():
        rows += _store_rows(settings, name, stored)
    rows += _kafka_rows(settings, found)
    source = getattr(record, "source", None)
    if source is not None:
        poll = f"{source}/{found.feed.name} at {_time(record.ts_ingest)}"
        rows.append(("poll", f"{poll} (all records of a poll share ts_ingest)"))
    event_us = found.feed.event_time_of(record)
    if event_us:
        waited = (record.ts_ingest - event_us) / _US
        rows.append(("source's time", f"{_time(event_us)}, {waited:.3f} s before the poll"))
    return format_table(("", ""), rows)


def _store_rows(settings: Settings, name: str, stored: Stored) -> Iterator[tuple[str, str]]:
    if stored.record is None:
        yield name, "does not hold it: `crypto-platform audit` says whether it should"
        return
    if stored.arrival is None:
        yield name, "holds it; its load wrote it before Kafka brought it"
        return
    arrival = stored.arrival
    yield name, f"{stored.topic or arrival.topic_id}/{arrival.part} offset {arrival.offset}"
    for batch in stored.batches:
        hour = from_time_us(batch.hour).strftime("%Y-%m-%d-%H:%M")
        run = f"run {batch.run_id}, offsets {batch.first_offset} to {batch.next_offset}"
        text = f"{run}, partition {hour}{_link(settings, batch.run_id)}"
        yield f"  {batch.kind.value} load", text


def _kafka_rows(settings: Settings, found: Trace) -> Iterator[tuple[str, str]]:
    if found.kept is None:
        yield "kafka", "retention has removed it, and with it the id of the run that polled it"
        return
    waited = (found.kept.ts_append - (found.record.ts_ingest if found.record else 0)) / _US
    yield "kafka", f"appended at {_time(found.kept.ts_append)}, {waited:.3f} s after the poll"
    run_id = found.ingest_run_id
    yield "  polled by", (f"run {run_id}{_link(settings, run_id)}" if run_id else "not said")


def _link(settings: Settings, run_id: str) -> str:
    url = settings.dagster.webserver_url
    is_dagsters = url is not None and not run_id.startswith("cli-")
    return f"  {url}/runs/{run_id}" if is_dagsters else ""


def _time(time_us: int) -> str:
    return from_time_us(time_us).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def to_document(settings: Settings, found: Trace) -> dict[str, object]:
    """For --json."""
    record = found.record
    return {
        "feed": found.feed.name,
        "event_id": found.event_id,
        "webserver_url": settings.dagster.webserver_url,
        "ts_ingest": None if record is None else record.ts_ingest,
        "ts_append": None if found.kept is None else found.kept.ts_append,
        "ingest_run_id": found.ingest_run_id,
        "stores": {
            name: {
                "stored": stored.record is not None,
                "topic": stored.topic,
                "part": stored.arrival.part if stored.arrival else None,
                "offset": stored.arrival.offset if stored.arrival else None,
                "loads": [
                    {
                        "run_id": batch.run_id,
                        "kind": batch.kind.value,
                        "first_offset": batch.first_offset,
                        "next_offset": batch.next_offset,
                    }
                    for batch in stored.batches
                ],
                "quarantined": len(stored.quarantined),
            }
            for name, stored in found.stores.items()
        },
    }

"""`trace`: say of a stored record which run loaded it, its offset in Kafka, and its poll."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.text import format_table, printable
from crypto_platform.delivery.trace import Stored, Trace, name_poll, trace
from crypto_platform.domain.hours import from_time_us, name_hour
from crypto_platform.domain.readable import format_count
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.reader import RECORDS_MAX, find_quotes, read_quotes
from crypto_platform.settings import load_settings
from crypto_platform.stores import STORES, open_stores
from crypto_platform.stores.batches import LoadBatch
from crypto_platform.stores.matters import QuarantineEntry

_US = 1_000_000
_CLI_RUN = "cli-"
"""Such a run was a command; Dagster knows nothing of it."""

Row = tuple[str, str]


@click.command()
@click.argument("feed_name", metavar="FEED", type=click.Choice(list(FEED_BY_NAME)))
@click.argument("event_id", metavar="[EVENT_ID]", required=False)
@click.option(
    "--latest", metavar="CURRENCY", help="Instead of an id: a currency's newest quote (id, symbol)."
)
@click.option("--store", "store_name", type=click.Choice(list(STORES)), help="Only look there.")
@json_option
@data_dir_option
def trace_command(
    *,
    feed_name: str,
    event_id: str | None,
    latest: str | None,
    store_name: str | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Follow a stored record back: row, load run, offset in Kafka, poll, ingest run.

    EVENT_ID is the primary key: column event_id in PostgreSQL, _id in MongoDB. Exits with 1 where
    no store holds it. docs/tracing.md shows the same by hand.

    Example: crypto-platform trace quotes --latest bitcoin
    """
    if (event_id is None) == (latest is None):
        message = "give an EVENT_ID or --latest CURRENCY"
        raise click.UsageError(message)
    if latest is not None and feed_name != QUOTES.name:
        message = "only quotes have a latest one of a currency: give an EVENT_ID"
        raise click.BadParameter(message, param_hint="--latest")
    settings = load_settings(data_dir)
    names = STORES if store_name is None else [store_name]
    with open_stores(settings, names, role="analyst") as stores:
        if event_id is None:
            found_quotes = (
                read_quotes(settings).quotes
                if store_name is None
                else stores[store_name].read_latest_quotes(records_max=RECORDS_MAX)
            )
            quotes = [quote for quote in found_quotes if isinstance(quote, Quote)]
            codes = CurrencyCodes(settings)
            event_id = choose_newest(quotes, latest or "", codes=codes).event_id
        found = trace(settings, stores, FEED_BY_NAME[feed_name], event_id)
    webserver_url = settings.dagster.webserver_url
    if as_json:
        click.echo(json.dumps(build_document(found, webserver_url), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_trace(found, webserver_url)))
    if found.record is None:
        sys.exit(1)


def choose_newest(quotes: list[Quote], currency: str, *, codes: CurrencyCodes) -> Quote:
    """The quote of this id or symbol that was asked for last.

    Raises:
        UnknownCurrencyError: No source has it; the text names the nearest there are.
    """
    return max(find_quotes(quotes, [currency], codes=codes), key=lambda quote: quote.ts_ingest)


def format_trace(found: Trace, webserver_url: str | None) -> list[str]:
    """The way for a person, the row first, then further and further back."""
    if found.record is None:
        return list(_format_missing(found))
    rows = [("record", printable(found.event_id))]
    for name, stored in found.stores.items():
        rows += _store_rows(name, stored, webserver_url)
    rows += _mirror_rows(found)
    rows += _kafka_rows(found, webserver_url)
    rows += _poll_rows(found)
    rows += [("quarantine", _describe_entry(*entry)) for entry in found.quarantined]
    return format_table(("", ""), rows)


def _format_missing(found: Trace) -> Iterator[str]:
    asked = [name for name, stored in found.stores.items() if stored.problem is None]
    for name, stored in found.stores.items():
        if stored.problem is not None:
            yield f"{name} does not answer: {printable(stored.problem)}"
    who = "no store holds" if len(asked) > 1 else f"{asked[0]} does not hold"
    if found.quarantined:
        yield f"{who} {printable(found.event_id)} as a record; it stands in quarantine:"
        yield from (f"  {_describe_entry(*entry)}" for entry in found.quarantined)
        return
    yield (
        f"{who} {printable(found.event_id)}: is it the whole event_id, and of feed "
        f"{found.feed.name}? `crypto-platform status` says whether a store lags, `crypto-platform "
        "audit` whether it lacks records"
    )


def _store_rows(name: str, stored: Stored, webserver_url: str | None) -> Iterator[Row]:
    if stored.problem is not None:
        yield name, f"does not answer: {printable(stored.problem)}"
    elif stored.record is None:
        yield name, "does not hold it: `crypto-platform audit` says whether it should"
    elif stored.arrival is None:
        yield name, "holds it; its load wrote it itself, before Kafka brought it"
    else:
        topic = stored.topic or f"topic {stored.arrival.topic_id}"
        yield name, f"holds it, as {topic}/{stored.arrival.part} offset {stored.arrival.offset}"
        for batch in stored.batches:
            yield f"  {batch.kind.value} load", _describe_batch(batch, webserver_url)
        if not stored.batches:
            yield "  load", "no load_batch row holds this offset: run `crypto-platform audit`"


def _describe_batch(batch: LoadBatch, webserver_url: str | None) -> str:
    text = f"run {batch.run_id}, offsets {batch.first_offset} to {batch.next_offset}"
    text += f" of hour {name_hour(batch.hour)}, epoch {batch.epoch}"
    link = build_link(batch.run_id, webserver_url)
    return f"{text}: {link}" if link else text


def _mirror_rows(found: Trace) -> Iterator[Row]:
    if found.is_mirrored is None:
        return
    arrivals = [(s.arrival.part, s.arrival.offset) for s in found.stores.values() if s.arrival]
    if not found.is_mirrored:
        yield "mirror", "the stores differ: run `crypto-platform audit --deep`"
    elif len(set(arrivals)) > 1:
        yield "mirror", "all fields are equal in both stores, which took it from two offsets"
    else:
        yield "mirror", "all fields are equal in both stores"


def _kafka_rows(found: Trace, webserver_url: str | None) -> Iterator[Row]:
    if found.kafka_problem is not None:
        yield "kafka", f"not known: {printable(found.kafka_problem)}"
        return
    if found.kept is None:
        yield "kafka", "no longer holds it, nor so the id of the run that polled it"
        return
    yield "kafka", f"still holds it, appended at {_time(found.kept.ts_append)}"
    run_id = found.ingest_run_id
    if run_id is None:
        yield "  polled by", "not said: it was published without header run_id"
        return
    link = build_link(run_id, webserver_url)
    yield "  polled by", f"run {printable(run_id)}" + (f": {link}" if link else "")


def _poll_rows(found: Trace) -> Iterator[Row]:
    record = found.record
    if record is None:
        return
    source, feed, ts_ingest = name_poll(found.feed, record)
    counts = {s.poll_records for s in found.stores.values() if s.poll_records is not None}
    asked = f"{printable(source or 'the platform itself')}/{feed} at {_time(ts_ingest)}"
    if counts:
        asked += f", with {format_count(max(counts))} records of it stored in this partition"
    yield "poll", asked
    event_us = found.feed.event_time_of(record)
    yield "event", _time(event_us) if event_us is not None else "the source gave no time"
    steps = [f"{name} {seconds:.3f} s" for name, seconds in measure_waits(found).items()]
    if steps:
        yield "waits", ", ".join(steps)


def measure_waits(found: Trace) -> dict[str, float]:
    """Seconds between the known moments of the way; what is unknown is left out.

    A source's clock may run ahead of ours: a negative wait is shown as it is.
    """
    record = found.record
    if record is None:
        return {}
    waits: dict[str, float] = {}
    event_us = found.feed.event_time_of(record)
    if event_us is not None:
        waits["event to poll"] = (record.ts_ingest - event_us) / _US
    if found.kept is not None:
        waits["poll to Kafka"] = (found.kept.ts_append - record.ts_ingest) / _US
    return waits


def _describe_entry(store_name: str, entry: QuarantineEntry) -> str:
    return (
        f"{store_name}: {entry.topic}/{entry.partition.part} offset {entry.offset}, {entry.state}, "
        f"{entry.reason.value}: {printable(entry.error)}"
    )


def build_link(run_id: str, webserver_url: str | None) -> str | None:
    """Where the run is to be seen; None for a command's run, or where no UI is known."""
    if webserver_url is None or run_id.startswith(_CLI_RUN):
        return None
    return f"{webserver_url.rstrip('/')}/runs/{run_id}"


def _time(time_us: int) -> str:
    return from_time_us(time_us).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def build_document(found: Trace, webserver_url: str | None) -> dict[str, object]:
    """For --json; times in microseconds, unknown is null."""
    record = found.record
    run_id = found.ingest_run_id
    return {
        "feed": found.feed.name,
        "event_id": found.event_id,
        "source": None if record is None else name_poll(found.feed, record)[0],
        "ts_event": None if record is None else found.feed.event_time_of(record),
        "ts_ingest": None if record is None else record.ts_ingest,
        "ts_append": None if found.kept is None else found.kept.ts_append,
        "in_kafka": None if found.kafka_problem is not None else found.kept is not None,
        "ingest_run_id": run_id,
        "ingest_run_url": None if run_id is None else build_link(run_id, webserver_url),
        "is_mirrored": found.is_mirrored,
        "stores": {
            name: _build_store(stored, webserver_url) for name, stored in found.stores.items()
        },
    }


def _build_store(stored: Stored, webserver_url: str | None) -> Mapping[str, object]:
    arrival = stored.arrival
    return {
        "stored": None if stored.problem is not None else stored.record is not None,
        "problem": stored.problem,
        "topic": stored.topic,
        "topic_id": arrival.topic_id if arrival else None,
        "part": arrival.part if arrival else None,
        "offset": arrival.offset if arrival else None,
        "poll_records": stored.poll_records,
        "loads": [
            {
                "run_id": batch.run_id,
                "run_url": build_link(batch.run_id, webserver_url),
                "kind": batch.kind.value,
                "epoch": batch.epoch,
                "hour": batch.hour,
                "first_offset": batch.first_offset,
                "next_offset": batch.next_offset,
            }
            for batch in stored.batches
        ],
        "quarantined": [
            {
                "topic": entry.topic,
                "part": entry.partition.part,
                "offset": entry.offset,
                "state": entry.state,
                "reason": entry.reason.value,
                "error": entry.error,
                "run_id": entry.run_id,
            }
            for entry in stored.quarantined
        ],
    }

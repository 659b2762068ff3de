"""`load`: bring what waits in Kafka into one store, here in the foreground."""

import json
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.delivery.load import LoadEnd, LoadReport, load
from crypto_platform.delivery.progress import Progress
from crypto_platform.delivery.shards import EVERYTHING, Shard, parse_shard
from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.incidents import publish_incident
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES, open_store

PROGRESS_EVERY_S = 1.0

_COUNTS = ("stored_records", "repeated_records", "quarantined_records", "commits", "retries")


@click.command()
@click.option(
    "--store", "store_name", type=click.Choice(list(STORES)), required=True, help="Load this one."
)
@click.option("--drain", is_flag=True, help="End when nothing waits any more.")
@click.option(
    "--shard",
    default=str(EVERYTHING),
    show_default=True,
    help="0/2 takes every second partition, 1/2 the others.",
)
@json_option
@data_dir_option
def load_command(
    *, store_name: str, drain: bool, shard: str, as_json: bool, data_dir: Path | None
) -> None:
    """Load what waits in Kafka into a store; without --drain go on until Ctrl-C.

    Takes over from a load that Dagster runs; its next run takes over again. Nothing is lost or
    stored twice either way.

    Example: crypto-platform load --store postgres --drain
    """
    own = _read_shard(shard)
    settings = load_settings(data_dir)
    stop = stop_on(signal.SIGINT, signal.SIGTERM)
    run_id = f"cli-{uuid.uuid4()}"
    begun = time.monotonic()
    report = run_load(settings, store_name, run_id=run_id, drain=drain, stop=stop, shard=own)
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps(build_document(report, store_name, run_id, seconds), indent=2))
    else:
        click.echo(format_report(report, store_name, seconds))
    if report.progress.incidents:
        sys.exit(1)


def _read_shard(text: str) -> Shard:
    try:
        return parse_shard(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--shard") from None


def run_load(
    settings: Settings,
    store_name: str,
    *,
    run_id: str,
    drain: bool,
    stop: threading.Event,
    shard: Shard = EVERYTHING,
) -> LoadReport:
    """Load until drained, fenced or stopped; progress goes to stderr.

    Raises:
        StoreUnavailableError, KafkaUnavailableError: For longer than a load waits.
        StoreRefusedError: A table or right is missing.
    """
    store = open_store(store_name, settings)
    total = Progress()
    speaker = _Speaker(store_name)
    try:
        while True:
            report = load(
                settings,
                store,
                FEEDS,
                run_id=run_id,
                clock=lambda: time.time_ns() // 1000,
                stop=stop,
                follow_s=0.0 if drain else settings.load.follow_s,
                shard=shard,
                publish_incident=lambda incident: _publish(settings, store_name, incident),
                on_commit=speaker.note,
            )
            add_progress(total, report.progress)
            if report.end is not LoadEnd.AGED or stop.is_set():
                return LoadReport(end=report.end, progress=total)
            speaker.begin_anew(total)
    finally:
        store.close()


class _Speaker:
    """A line to stderr once a second while something is stored."""

    def __init__(self, store_name: str) -> None:
        self._store_name = store_name
        self._before = 0
        self._spoke_at = 0.0

    def begin_anew(self, total: Progress) -> None:
        """A successor counts from zero."""
        self._before = sum(total.stored_records.values())

    def note(self, progress: Progress) -> None:
        """Called after each commit."""
        now = time.monotonic()
        if now - self._spoke_at >= PROGRESS_EVERY_S:
            self._spoke_at = now
            stored = self._before + sum(progress.stored_records.values())
            click.echo(f"{self._store_name}: {stored:,} records stored", err=True)


def add_progress(total: Progress, more: Progress) -> None:
    """Add one run's counts to the total."""
    for name, count in more.stored_records.items():
        total.stored_records[name] = total.stored_records.get(name, 0) + count
    total.repeated_records += more.repeated_records
    total.quarantined_records += more.quarantined_records
    total.commits += more.commits
    total.retries += more.retries
    total.incidents += more.incidents


def build_document(
    report: LoadReport, store_name: str, run_id: str, seconds: float
) -> dict[str, object]:
    """The report for --json."""
    progress = report.progress
    counts = {name: getattr(progress, name) for name in _COUNTS}
    return {
        "store": store_name,
        "run_id": run_id,
        "end": report.end.value,
        "seconds": round(seconds, 3),
        **counts,
        "incidents": [
            {"kind": i.kind, "message": i.message, "next_step": i.next_step}
            for i in progress.incidents
        ],
    }


def format_report(report: LoadReport, store_name: str, seconds: float) -> str:
    """The report in a line, and a line for each incident."""
    progress = report.progress
    counts = (f"{count:,} {name}" for name, count in progress.stored_records.items() if count)
    summary = (
        f"{store_name}: {_END_TEXTS[report.end]} after {seconds:.1f} s and {progress.commits:,} "
        f"commits: stored {', '.join(counts) or 'nothing new'}, {progress.repeated_records:,} "
        f"repeated, {progress.quarantined_records:,} quarantined"
    )
    lines = [summary]
    lines += [f"incident {i.kind}: {i.message} -> {i.next_step}" for i in progress.incidents]
    return "\n".join(lines)


_END_TEXTS = {
    LoadEnd.DRAINED: "nothing waits any more",
    LoadEnd.FENCED: "a newer load took over",
    LoadEnd.AGED: "ended at its age",
    LoadEnd.STOPPED: "stopped",
    LoadEnd.NOTHING: "nothing could be claimed",
}


def _publish(settings: Settings, store_name: str, incident: Incident) -> None:
    """Tell the incidents' topic, best effort: the store holds the incident already."""
    try:
        publish_incident(settings, incident, publisher=f"load_{store_name}", mode="cli")
    except KafkaUnavailableError as error:
        click.echo(f"the incident stands in {store_name} but was not published: {error}", err=True)

"""`restore`: rebuild a store that lost everything, or parts, from Kafka, its mirror or a backup."""

import json
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import click

from crypto_platform.cli.dumpers import open_dumpers
from crypto_platform.cli.options import data_dir_option, is_confirmed, json_option, yes_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.cli.text import format_table
from crypto_platform.delivery.backup import read_manifest, verify
from crypto_platform.delivery.restore import RestoreProgress
from crypto_platform.delivery.restore_plan import PartPlan, RestorePlan, find_objection
from crypto_platform.delivery.restore_store import (
    MIRROR,
    ORIGINS,
    Restored,
    carry_out,
    plan,
    put_backup_back,
)
from crypto_platform.domain.readable import format_age, format_count
from crypto_platform.errors import PlatformError
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.incidents import publish_incident
from crypto_platform.migrations import migrate
from crypto_platform.migrations.postgres import list_revisions
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.repair import lacks_database, make_database
from crypto_platform.stores import STORES

BACKUP = "backup:"
PROGRESS_EVERY_S = 1.0

_COLUMNS = ("feed", "partitions", "there already", "to read", "lost offsets")


@click.command()
@click.argument("store_name", metavar="STORE", type=click.Choice(list(STORES)))
@click.option(
    "--from",
    "origin",
    metavar="kafka|mirror|backup:DIR",
    default=MIRROR,
    show_default=True,
    help="Kafka has what its retention has left, the mirror (the other store) everything; a "
    "backup replaces all that is there.",
)
@click.option(
    "--derived",
    "is_derived",
    is_flag=True,
    help="Write all orders and wallets anew from their events, also where as many are there as "
    "belong: somebody has changed one.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@yes_option
@json_option
@data_dir_option
def restore_command(
    *,
    store_name: str,
    origin: str,
    is_derived: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Rebuild STORE, wholly or what it lacks, then load what came since and audit both stores.

    What is there stays, ids absorb what comes again. Loads of a partition wait until it is
    complete. Killed, it is typed again and goes on. Exits with 1 unless the audit proves all of it.

    Example: crypto-platform restore postgres --from mirror --dry-run
    """
    settings = load_settings(data_dir)
    if origin.startswith(BACKUP):
        if is_derived:
            message = "a backup brings its own orders and wallets: leave out --derived"
            raise click.UsageError(message)
        folder = Path(origin.removeprefix(BACKUP)).absolute()
        _restore_backup(settings, store_name, folder, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    if origin not in ORIGINS:
        message = f"{origin!r} is neither {', '.join(ORIGINS)} nor {BACKUP}DIR"
        raise click.BadParameter(message, param_hint="--from")
    is_gone = store_name == "postgres" and lacks_database(settings)
    planned = plan(settings, store_name, origin, is_derived=is_derived, is_gone=is_gone)
    objection = find_objection(planned)
    if dry_run:
        _echo_plan(planned, objection, as_json=as_json)
        return
    click.echo("\n".join(format_plan(planned)), err=True)
    if objection is not None:
        click.echo(objection, err=True)
        if not is_confirmed(f"Restore {store_name} from {planned.origin} all the same?", yes=yes):
            sys.exit(1)
    speaker = _Speaker(store_name)
    restored = carry_out(
        settings,
        store_name,
        origin,
        run_id=f"restore-{uuid.uuid4()}",
        is_derived=is_derived,
        migrate=lambda: _migrate(settings, store_name),
        stop=stop_on(signal.SIGINT, signal.SIGTERM),
        progress=speaker.note,
        say=_say,
        publish_incident=lambda incident: _publish(settings, store_name, incident),
    )
    _end(store_name, planned.origin, restored, as_json=as_json)


def _restore_backup(
    settings: Settings, store_name: str, folder: Path, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    if store_name == "postgres" and not dry_run:
        make_database(settings)
    with open_dumpers(settings, [store_name]) as [dumper]:
        manifest = read_manifest(folder)
        facts = verify(manifest, folder, dumper, known_revisions=list_revisions(), progress=_say)
        is_empty = dumper.is_empty()
        text = f"{store_name} from {folder}: {facts.records:,} records as of {manifest.made_at}" + (
            "" if is_empty else f"; all that is in {store_name} now is replaced"
        )
        if dry_run:
            document = {
                "store": store_name,
                "from": f"{BACKUP}{folder}",
                "made_at": manifest.made_at,
                "records": facts.records,
                "is_store_empty": is_empty,
            }
            click.echo(json.dumps(document, indent=2) if as_json else text)
            return
        click.echo(text, err=True)
        question = f"Replace all that is in {store_name}?"
        if not is_empty and not is_confirmed(question, yes=yes):
            sys.exit(1)
        restored = put_backup_back(
            settings,
            facts,
            folder,
            dumper,
            run_id=f"restore-{uuid.uuid4()}",
            migrate=lambda: _migrate(settings, store_name),
            stop=stop_on(signal.SIGINT, signal.SIGTERM),
            say=_say,
            publish_incident=lambda incident: _publish(settings, store_name, incident),
        )
    _end(store_name, f"{BACKUP}{folder}", restored, as_json=as_json)


def _migrate(settings: Settings, store_name: str) -> None:
    """Database, tables, collections: whatever of them this store lacks."""
    if store_name == "postgres":
        make_database(settings)
    migrate(settings, progress=_say, remakes_dropped=True, only=store_name)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _end(store_name: str, origin: str, restored: Restored, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(build_document(store_name, origin, restored), indent=2))
    else:
        click.echo("\n".join(format_restored(store_name, origin, restored)))
    if not restored.is_whole:
        sys.exit(1)


class _Speaker:
    """A line to stderr once a second while something is written."""

    def __init__(self, store_name: str) -> None:
        self._store_name = store_name
        self._begun = time.monotonic()
        self._spoke_at = 0.0

    def note(self, progress: RestoreProgress) -> None:
        """Called after each transaction."""
        now = time.monotonic()
        if now - self._spoke_at < PROGRESS_EVERY_S and not progress.is_part_done:
            return
        self._spoke_at = now
        speed = progress.done_records / max(now - self._begun, 0.001)
        left_s = (progress.all_records - progress.done_records) / max(speed, 1.0)
        text = (
            f"{progress.done_records:,} of {progress.all_records:,} records, {speed:,.0f} a second"
        )
        more = f", about {format_age(left_s)} left" if left_s >= 1 else ""
        done = " is complete" if progress.is_part_done else ""
        click.echo(f"{self._store_name}: {progress.place.name}{done}: {text}{more}", err=True)


def _publish(settings: Settings, store_name: str, incident: Incident) -> None:
    """Best effort: the store holds it already."""
    try:
        publish_incident(settings, incident, publisher=f"load_{store_name}", mode="cli")
    except PlatformError as error:
        click.echo(f"the incident stands in {store_name} but was not published: {error}", err=True)


def _group(parts: Sequence[PartPlan]) -> dict[str, list[PartPlan]]:
    grouped: dict[str, list[PartPlan]] = {}
    for part in parts:
        grouped.setdefault(part.place.feed.name, []).append(part)
    return grouped


def _count_lost(parts: Sequence[PartPlan]) -> int:
    return sum(lost.next_offset - lost.first_offset for part in parts for lost in part.lost)


def format_plan(planned: RestorePlan) -> list[str]:
    """A line a feed, and what it adds up to."""
    rows = [
        (
            name,
            str(sum(bool(part.ranges) or part.is_unfinished for part in parts)),
            format_count(sum(part.whole_records for part in parts)),
            format_count(sum(part.records for part in parts)),
            format_count(_count_lost(parts)),
        )
        for name, parts in _group(planned.parts).items()
    ]
    summary = f"{planned.sink} from {planned.origin}: {planned.records:,} records to read"
    if not planned.work:
        return [f"{planned.sink} lacks nothing that {planned.origin} has: nothing would be written"]
    return [
        *format_table(_COLUMNS, rows, right=frozenset({1, 2, 3, 4})),
        *(f"{odd}: they are written anew from their records" for odd in planned.odd_states),
        f"{summary}; nothing overwritten",
    ]


def build_plan(planned: RestorePlan, objection: str | None) -> dict[str, object]:
    """For --json."""
    return {
        "store": planned.sink,
        "from": planned.origin,
        "is_store_empty": planned.is_store_empty,
        "records": planned.records,
        "there_already_records": planned.whole_records,
        "needs_yes": objection,
        "odd_states": [
            {
                "feed": odd.feed.name,
                "states": odd.projection.collection,
                "there": None if odd.account is None else odd.account.there.states,
                "belong": None if odd.account is None else odd.account.told.states,
            }
            for odd in planned.odd_states
        ],
        "partitions": [
            {
                "topic": part.place.topic,
                "part": part.place.partition.part,
                "next_offset": part.next_offset,
                "end_offset": part.end_offset,
                "records": part.records,
                "there_already_records": part.whole_records,
                "ranges": [
                    {
                        "first_offset": each.first_offset,
                        "next_offset": each.next_offset,
                        "kind": each.kind.value,
                        "is_repair": each.is_repair,
                        "records": each.records,
                    }
                    for each in part.ranges
                ],
                "lost": [list(lost) for lost in part.lost],
            }
            for part in planned.work
        ],
    }


def _echo_plan(planned: RestorePlan, objection: str | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(build_plan(planned, objection), indent=2))
        return
    click.echo("\n".join(format_plan(planned)))
    if objection is not None:
        click.echo(f"{objection}; this needs --yes")


def format_restored(store_name: str, origin: str, restored: Restored) -> list[str]:
    """What was done, and whether it is proved."""
    report = restored.report
    stored = sum(report.restored_records.values())
    speed = report.read_records / max(report.seconds, 0.001)
    summary = (
        f"{store_name}: {stored:,} records restored from {origin} in "
        f"{report.seconds:,.1f} s ({speed:,.0f} a second), {report.repeated_records:,} were there "
        f"already, {report.quarantined_records:,} are in quarantine"
    )
    is_all_of_backup = origin.startswith(BACKUP) and not report.read_records
    lines = [*([] if is_all_of_backup else [summary]), *report.answered]
    lines += [
        f"{place.name}: offsets {lost} are lost; load_batch and every audit say so"
        for place, lost in report.lost
    ]
    lines += [
        f"{event_id} was left out: {origin} holds other content than was published"
        for event_id in report.changed
    ]
    if report.is_stopped:
        return [*lines, "stopped: the same command goes on; until then loads wait for it"]
    if restored.loaded is not None:
        more = sum(restored.loaded.progress.stored_records.values())
        lines.append(f"{store_name}: {more:,} records more came from Kafka")
    verdict = (
        "every record is there once"
        if restored.is_proved
        else "NOT proved: `crypto-platform audit --wait 60` says why"
    )
    return [*lines, f"audit: {verdict}"]


def build_document(store_name: str, origin: str, restored: Restored) -> dict[str, object]:
    """For --json."""
    report = restored.report
    loaded = restored.loaded
    return {
        "store": store_name,
        "from": origin,
        "run_id": report.run_id,
        "partitions": report.partitions,
        "read_records": report.read_records,
        "restored_records": sum(report.restored_records.values()),
        "already_there_records": report.repeated_records,
        "quarantined_records": report.quarantined_records,
        "changed": list(report.changed),
        "answered": report.answered,
        "lost": [
            {"topic": place.topic, "part": place.partition.part, "offsets": list(lost)}
            for place, lost in report.lost
        ],
        "seconds": round(report.seconds, 3),
        "is_stopped": report.is_stopped,
        "loaded_records": None if loaded is None else sum(loaded.progress.stored_records.values()),
        "audit_whole": None if restored.audit is None else restored.is_proved,
    }

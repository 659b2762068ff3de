"""`quarantine list|show|release|discard`: what a store refused, and what becomes of it.

Here: which entries are meant, and text or JSON. Not here: releasing (delivery/quarantine.py).
"""

import json
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from crypto_platform.cli.options import (
    data_dir_option,
    find_user,
    is_confirmed,
    json_option,
    yes_option,
)
from crypto_platform.cli.text import escape, format_raw, format_table, printable
from crypto_platform.delivery.quarantine import (
    EXAMPLES_MAX,
    EntryName,
    Released,
    discard,
    find_entries,
    name_entry,
    parse_name,
    release,
)
from crypto_platform.domain.hours import from_time_us
from crypto_platform.domain.readable import format_count
from crypto_platform.errors import Reason
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.kafka.topics import topic_name
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES, Role, open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.matters import EntryFilter, EntryGroup, EntryState, QuarantineEntry

_LIST_COLUMNS = ("entry", "when", "reason", "state", "error")
_COUNT_COLUMNS = ("store", "feed", "reason", *(state.value for state in EntryState))
_COUNT_NUMBERS = frozenset(range(3, 3 + len(EntryState)))
_ERROR_CHARACTERS_MAX = 60
SHOWN_ENTRIES_MAX = 10
"""Entries that `show` prints whole."""

Command = Callable[..., Any]


def _selectors(*, reason_options: Sequence[str]) -> Callable[[Command], Command]:
    """Names and options that say which entries are meant."""
    options = [
        click.argument("names", metavar="[ENTRY]...", nargs=-1),
        click.option("--store", "store_name", type=click.Choice(list(STORES)), help="Only there."),
        click.option("--feed", type=click.Choice(list(FEED_BY_NAME)), help="Only of this feed."),
        click.option(
            *reason_options,
            "reason",
            type=click.Choice([reason.value for reason in Reason]),
            help="Only what was refused as this.",
        ),
        click.option("--partition", "part", type=click.IntRange(min=0), help="Only of this one."),
        click.option("--offset", type=click.IntRange(min=0), help="Only at this offset."),
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_BY_REASON = _selectors(reason_options=("--reason", "--refused-as"))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which entries of which stores are meant.

    Attributes:
        wanted: Store name and filter, one after the other.
        is_narrowed: Something but the store says which.
    """

    wanted: Sequence[tuple[str, EntryFilter]]
    is_narrowed: bool


def select(
    settings: Settings,
    names: Sequence[str],
    *,
    store_name: str | None,
    feed: str | None,
    reason: str | None,
    part: int | None,
    offset: int | None,
    state: EntryState | None,
) -> Selection:
    """What names and options mean together.

    Raises:
        click.BadParameter: A name is none, or of no store.
    """
    why = None if reason is None else Reason(reason)
    if not names:
        topic = None if feed is None else topic_name(settings, FEED_BY_NAME[feed].topic)
        one = EntryFilter(topic=topic, part=part, offset=offset, reason=why, state=state)
        wanted = [(name, one) for name in STORES if store_name in {None, name}]
        narrowed = any(value is not None for value in (feed, reason, part, offset))
        return Selection(wanted=wanted, is_narrowed=narrowed)
    if any(value is not None for value in (store_name, feed, part, offset)):
        message = "an entry's name says store, feed, partition and offset: leave the options out"
        raise click.UsageError(message)
    parsed = [_parse(name) for name in names]
    wanted = [
        (
            name.sink,
            EntryFilter(
                topic=name.topic, part=name.part, offset=name.offset, reason=why, state=state
            ),
        )
        for name in parsed
    ]
    return Selection(wanted=wanted, is_narrowed=True)


def _parse(text: str) -> EntryName:
    name = parse_name(text)
    if name is None or name.sink not in STORES:
        message = f"{text!r} names no entry: postgres:market.quotes/1@207 is one"
        raise click.BadParameter(message, param_hint="ENTRY")
    return name


class _Stores:
    """The stores of a selection, opened once each."""

    def __init__(self, settings: Settings, closing: ExitStack, role: Role) -> None:
        self._settings = settings
        self._closing = closing
        self._role: Role = role
        self._opened: dict[str, Store] = {}

    def __getitem__(self, name: str) -> Store:
        if name not in self._opened:
            self._opened[name] = open_store(name, self._settings, role=self._role)
            self._closing.callback(self._opened[name].close)
        return self._opened[name]


@click.group()
def quarantine_command() -> None:
    """What a store refused, with the bytes as they came: look at it, release it, discard it.

    Example: crypto-platform quarantine list --feed quotes
    """


@quarantine_command.command("list")
@_BY_REASON
@click.option("--all", "all_states", is_flag=True, help="Also what is no longer open.")
@click.option(
    "--limit", type=click.IntRange(0, 1000), default=EXAMPLES_MAX, show_default=True,
    help="Entries named, the newest first.",
)  # fmt: skip
@json_option
@data_dir_option
def list_command(
    *,
    names: tuple[str, ...],
    all_states: bool,
    limit: int,
    as_json: bool,
    data_dir: Path | None,
    **options: Any,  # noqa: ANN401 - those of _selectors
) -> None:
    """Count what a store refused, by reason, and name the newest entries.

    Example: crypto-platform quarantine list --store mongo --reason unknown_schema
    """
    settings = load_settings(data_dir)
    state = None if all_states else EntryState.OPEN
    selection = select(settings, names, **options, state=state)
    counts: dict[tuple[str, EntryGroup], int] = {}
    newest: list[tuple[str, QuarantineEntry]] = []
    with ExitStack() as closing:
        stores = _Stores(settings, closing, "analyst")
        for name, wanted in selection.wanted:
            for group, count in stores[name].count_entries(wanted).items():
                counts[(name, group)] = counts.get((name, group), 0) + count
            entries = stores[name].read_entries(wanted, entries_max=limit)
            newest += [(name, entry) for entry in entries]
    newest = sorted(newest, key=lambda each: each[1].quarantined_at, reverse=True)[:limit]
    if as_json:
        click.echo(json.dumps(build_list(counts, newest), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_list(counts, newest)))


@quarantine_command.command("show")
@_BY_REASON
@click.option(
    "--bytes", "bytes_max", type=click.IntRange(min=1), default=4096, show_default=True,
    help="Of each value, at most.",
)  # fmt: skip
@json_option
@data_dir_option
def show_command(
    *,
    names: tuple[str, ...],
    bytes_max: int,
    as_json: bool,
    data_dir: Path | None,
    **options: Any,  # noqa: ANN401 - those of _selectors
) -> None:
    """Show entries whole: why, when, by which run, and the bytes (hex where they are no text).

    Exits with 1 where there is none. With --json the bytes are not cut.

    Example: crypto-platform quarantine show postgres:market.quotes/1@207
    """
    settings = load_settings(data_dir)
    selection = select(settings, names, **options, state=None)
    with ExitStack() as closing:
        stores = _Stores(settings, closing, "analyst")
        found = [
            (name, entry)
            for name, wanted in selection.wanted
            for entry in _read(stores[name], wanted)
        ]
    if not found:
        _end_without_entries()
    shown = found[:SHOWN_ENTRIES_MAX]
    if as_json:
        document = {"entries": [build_entry(*each, whole=True) for each in shown]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        texts = ("\n".join(format_entry(*each, bytes_max=bytes_max)) for each in shown)
        click.echo("\n\n".join(texts))
    if len(found) > len(shown):
        click.echo(f"only the first {len(shown)} are shown: name others", err=True)


def _read(store: Store, wanted: EntryFilter) -> list[QuarantineEntry]:
    """One entry by its place, else the newest; one more than is shown."""
    if wanted.topic is not None and wanted.part is not None and wanted.offset is not None:
        return list(find_entries(store, wanted))
    return store.read_entries(wanted, entries_max=SHOWN_ENTRIES_MAX + 1)


@quarantine_command.command("release")
@_BY_REASON
@click.option("--all", "everything", is_flag=True, help="All that is open.")
@click.option("--dry-run", is_flag=True, help="Say what would load, and write nothing.")
@json_option
@data_dir_option
def release_command(
    *,
    names: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    as_json: bool,
    data_dir: Path | None,
    **options: Any,  # noqa: ANN401 - those of _selectors
) -> None:
    """Load quarantined values with today's code, from the bytes that were kept.

    Kafka is not asked: it may have lost them. A record and the state of its entry change in one
    transaction, so each is stored once however often this is done. What is refused again stays
    open. Exits with 1 where something does.

    Example: crypto-platform quarantine release --feed quotes --reason unknown_schema --dry-run
    """
    settings = load_settings(data_dir)
    selection = select(settings, names, **options, state=None if names else EntryState.OPEN)
    _refuse_unnarrowed(selection, everything=everything)
    run_id = f"cli-{uuid.uuid4()}"
    results: list[tuple[str, Released]] = []
    closed: list[tuple[str, QuarantineEntry]] = []
    with ExitStack() as closing:
        stores = _Stores(settings, closing, "analyst" if dry_run else "loader")
        for name, wanted in selection.wanted:
            released = release(
                settings,
                stores[name],
                _note_closed(name, find_entries(stores[name], wanted), closed),
                run_id=run_id,
                dry_run=dry_run,
                progress=_Speaker(name).note,
            )
            results.append((name, released))
    for name, entry in closed[:EXAMPLES_MAX]:
        click.echo(f"{name_entry(name, entry)}: {describe_closed(entry)}", err=True)
    if as_json:
        document = build_released(results, run_id=run_id, dry_run=dry_run)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_released(results, dry_run=dry_run)))
    found = closed or any(r.released_records or r.kept_records for _, r in results)
    if names and not found:
        _end_without_entries()
    if any(released.kept_records for _, released in results):
        sys.exit(1)


def _note_closed(
    name: str,
    entries: Iterator[QuarantineEntry],
    closed: list[tuple[str, QuarantineEntry]],
) -> Iterator[QuarantineEntry]:
    """The open ones; the others, which a person has named, are noted."""
    for entry in entries:
        if entry.state == EntryState.OPEN:
            yield entry
        else:
            closed.append((name, entry))


class _Speaker:
    """A line to stderr after every so many entries."""

    EVERY_ENTRIES = 5000

    def __init__(self, store_name: str) -> None:
        self._store_name = store_name
        self._spoke_at = 0

    def note(self, released: Released) -> None:
        """Called after each batch."""
        done = released.released_records + released.kept_records
        if done - self._spoke_at >= self.EVERY_ENTRIES:
            self._spoke_at = done
            click.echo(f"{self._store_name}: {done:,} entries", err=True)


@quarantine_command.command("discard")
@_selectors(reason_options=("--refused-as",))
@click.option("--all", "everything", is_flag=True, help="All that is open.")
@click.option("--reason", "why", required=True, help="Why, in your words; kept with the entries.")
@click.option("--dry-run", is_flag=True, help="Say what would be discarded, and write nothing.")
@yes_option
@json_option
@data_dir_option
def discard_command(
    *,
    names: tuple[str, ...],
    everything: bool,
    why: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    data_dir: Path | None,
    **options: Any,  # noqa: ANN401 - those of _selectors
) -> None:
    """Leave quarantined values out for good: no replay loads them any more.

    Their bytes stay. Shows first what is meant, and asks; without a terminal only --yes does it.

    Example: crypto-platform quarantine discard postgres:market.quotes/1@207 --reason "test data"
    """
    settings = load_settings(data_dir)
    selection = select(settings, names, **options, state=EntryState.OPEN)
    _refuse_unnarrowed(selection, everything=everything)
    with ExitStack() as closing:
        stores = _Stores(settings, closing, "loader")
        counts = {
            (name, group): count
            for name, wanted in selection.wanted
            for group, count in stores[name].count_entries(wanted).items()
        }
        if names and not counts:
            _end_without_entries()
        newest = [
            (name, entry)
            for name, wanted in selection.wanted
            for entry in stores[name].read_entries(wanted, entries_max=EXAMPLES_MAX)
        ][:EXAMPLES_MAX]
        click.echo("\n".join(format_list(counts, newest)), err=as_json)
        total = sum(counts.values())
        question = f"Discard {total:,} entries for good?"
        done = bool(counts) and not dry_run and is_confirmed(question, yes=yes)
        note = f"{find_user()}: {why}"
        discarded = {
            name: discard(stores[name], find_entries(stores[name], wanted), note=note)
            for name, wanted in (selection.wanted if done else ())
        }
    if as_json:
        click.echo(json.dumps({"discarded": discarded, "note": note}, indent=2))
    else:
        click.echo("; ".join(f"{name}: discarded {n:,}" for name, n in discarded.items() if n)
                   or "nothing was discarded")  # fmt: skip
    if counts and not done and not dry_run:
        sys.exit(1)


def _refuse_unnarrowed(selection: Selection, *, everything: bool) -> None:
    if not selection.is_narrowed and not everything:
        message = "say which: an ENTRY's name, --feed, a reason, --partition, or --all"
        raise click.UsageError(message)


def _end_without_entries() -> None:
    click.echo("no such entry: `crypto-platform quarantine list --all` names them", err=True)
    sys.exit(1)


def describe_closed(entry: QuarantineEntry) -> str:
    """Why an entry that is not open is left as it is."""
    if entry.state == EntryState.RELEASED:
        return "is released already: its record is stored"
    if entry.state == EntryState.DISCARDED:
        return f"was discarded and stays so ({printable(entry.note or 'nobody said why')})"
    return "belongs to a log that was cut: its offset is used again"


def format_list(
    counts: Mapping[tuple[str, EntryGroup], int], newest: Sequence[tuple[str, QuarantineEntry]]
) -> list[str]:
    """Counts by reason, then the newest entries."""
    if not counts:
        return ["nothing is in quarantine"]
    groups = dict.fromkeys((name, group.feed, group.reason) for name, group in sorted(counts))
    rows = [
        (
            name,
            feed,
            reason.value,
            *(
                format_count(counts.get((name, EntryGroup(feed, reason, state)), 0))
                for state in EntryState
            ),
        )
        for name, feed, reason in groups
    ]
    lines = format_table(_COUNT_COLUMNS, rows, right=_COUNT_NUMBERS)
    if not newest:
        return lines
    named = [
        (
            printable(str(name_entry(name, entry))),
            _time(entry.quarantined_at),
            entry.reason.value,
            entry.state,
            printable(entry.error)[:_ERROR_CHARACTERS_MAX],
        )
        for name, entry in newest
    ]
    total = sum(counts.values())
    head = f"the newest {len(named)} of {total:,}:" if total > len(named) else "newest first:"
    return [*lines, "", head, *format_table(_LIST_COLUMNS, named)]


def format_entry(name: str, entry: QuarantineEntry, *, bytes_max: int) -> list[str]:
    """One entry whole, its bytes last."""
    rows = [
        ("entry", escape(str(name_entry(name, entry)))),
        ("state", entry.state + (f", {escape(entry.note)}" if entry.note else "")),
        ("reason", entry.reason.value),
        ("error", escape(entry.error)),
        ("event id", escape(entry.event_id) if entry.event_id else "none could be read"),
        ("topic id", entry.partition.topic_id),
        ("appended", _time(entry.ts_append)),
        ("quarantined", f"{_time(entry.quarantined_at)}, by run {escape(entry.run_id)}"),
        ("value", "none" if entry.value is None else f"{len(entry.value):,} bytes"),
        *(("key" if i == 0 else "", line) for i, line in enumerate(_key_lines(entry))),
    ]
    return [*format_table(("", ""), rows), "", *format_raw(entry.value, bytes_max=bytes_max)]


def _key_lines(entry: QuarantineEntry) -> list[str]:
    return format_raw(entry.key, bytes_max=1024)


def format_released(results: Sequence[tuple[str, Released]], *, dry_run: bool) -> list[str]:
    """What was done in each store, and what stays with the reason."""
    verb = "would release" if dry_run else "released"
    lines: list[str] = []
    for name, released in results:
        lines.append(
            f"{name}: {verb} {released.released_records:,} (new {released.stored_records:,}, "
            f"already there {released.repeated_records:,}), still refused "
            f"{released.kept_records:,}"
        )
        lines += [f"  {name_entry(name, entry)}: {escape(why)}" for entry, why in released.kept]
        if released.kept_records > len(released.kept):
            lines.append(f"  and {released.kept_records - len(released.kept):,} more")
    return lines


def build_list(
    counts: Mapping[tuple[str, EntryGroup], int], newest: Sequence[tuple[str, QuarantineEntry]]
) -> dict[str, object]:
    """The list for --json."""
    return {
        "counts": [
            {
                "store": name,
                "feed": group.feed,
                "reason": group.reason.value,
                "state": group.state.value,
                "entries": count,
            }
            for (name, group), count in sorted(counts.items())
        ],
        "entries": [build_entry(*each, whole=False) for each in newest],
    }


def build_entry(name: str, entry: QuarantineEntry, *, whole: bool) -> dict[str, object]:
    """An entry for --json; times in microseconds.

    Args:
        whole: With the bytes, as text where they are UTF-8, else as hex.
    """
    document: dict[str, object] = {
        "entry": str(name_entry(name, entry)),
        "store": name,
        "topic": entry.topic,
        "topic_id": entry.partition.topic_id,
        "part": entry.partition.part,
        "offset": entry.offset,
        "state": str(entry.state),
        "note": entry.note,
        "reason": entry.reason.value,
        "error": entry.error,
        "event_id": entry.event_id,
        "run_id": entry.run_id,
        "ts_append": entry.ts_append,
        "quarantined_at": entry.quarantined_at,
        "value_bytes": None if entry.value is None else len(entry.value),
    }
    if whole:
        document |= _build_raw("key", entry.key) | _build_raw("value", entry.value)
    return document


def _build_raw(name: str, raw: bytes | None) -> dict[str, str | None]:
    try:
        return {f"{name}_text": None if raw is None else raw.decode(), f"{name}_hex": None}
    except UnicodeDecodeError:
        return {f"{name}_text": None, f"{name}_hex": None if raw is None else raw.hex()}


def build_released(
    results: Sequence[tuple[str, Released]], *, run_id: str, dry_run: bool
) -> dict[str, object]:
    """The outcome for --json."""
    return {
        "run_id": None if dry_run else run_id,
        "dry_run": dry_run,
        "stores": [
            {
                "store": name,
                "released": released.released_records,
                "stored_records": released.stored_records,
                "repeated_records": released.repeated_records,
                "still_refused": released.kept_records,
                "examples": [
                    {"entry": str(name_entry(name, entry)), "why": why}
                    for entry, why in released.kept
                ],
            }
            for name, released in results
        ],
    }


def _time(time_us: int) -> str:
    return f"{from_time_us(time_us):%Y-%m-%d %H:%M:%S}"

"""`incident list|ack`: what stopped for a person, and the person's answer.

Here: which incident is meant, what is shown before anything is written. Not here: what an answer
does (delivery/incidents.py).
"""

import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from crypto_platform.cli.options import (
    data_dir_option,
    find_user,
    is_confirmed,
    json_option,
    yes_option,
)
from crypto_platform.cli.text import format_table, printable
from crypto_platform.delivery.incidents import (
    Matter,
    Plan,
    acknowledge,
    find_matters,
    plan_answer,
    tell,
)
from crypto_platform.domain.hours import from_time_us
from crypto_platform.domain.readable import format_age
from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.incidents import publish_incident
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.base import Store

_US = 1_000_000


@click.group()
def incident_command() -> None:
    """What stopped for a person, and the person's answer. docs/runbook.md explains each kind.

    Example: crypto-platform incident list
    """


@incident_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are acknowledged.")
@json_option
@data_dir_option
def list_command(*, everything: bool, as_json: bool, data_dir: Path | None) -> None:
    """List the incidents that wait for a person, newest first.

    Example: crypto-platform incident list --all
    """
    settings = load_settings(data_dir)
    with ExitStack() as closing:
        found = find_matters(_open_stores(settings, closing))
    matters = [matter for matter in found if everything or matter.is_open]
    if as_json:
        document = {"incidents": [build_matter(matter) for matter in matters]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_matters(matters, now_us=time.time_ns() // 1000)))


@incident_command.command("ack")
@click.argument("name", metavar="SUBJECT_OR_ID")
@click.option("--reason", "why", required=True, help="Why, in your words; kept with the answer.")
@yes_option
@json_option
@data_dir_option
def ack_command(*, name: str, why: str, yes: bool, as_json: bool, data_dir: Path | None) -> None:
    """Acknowledge an incident; what it stopped goes on.

    The incident is named by its subject, its id or, as `incident list` shows it, its partition.
    Shows first what the answer does, and asks; without a terminal only --yes does it. Exits with 1
    where nothing was written.

    Example: crypto-platform incident ack postgres:market.quotes/1 --reason "mended" --yes
    """
    settings = load_settings(data_dir)
    with ExitStack() as closing:
        stores = _open_stores(settings, closing)
        matter = choose(find_matters(stores), name)
        if not matter.is_open:
            _say_answered(settings, matter, as_json=as_json)
            return
        sink = matter.incident.sink
        if sink is not None and sink not in stores:
            message = f"{sink}, whose load it stopped, does not answer: nothing can be written"
            raise StoreUnavailableError(message)
        store = None if sink is None else open_store(sink, settings)
        if store is not None:
            closing.callback(store.close)
        plan = plan_answer(settings, store, matter)
        click.echo("\n".join(format_plan(plan)), err=as_json)
        if not is_confirmed("Acknowledge it?", yes=yes):
            sys.exit(1)
        answered = acknowledge(
            store,
            plan,
            who=find_user(),
            why=why,
            run_id=f"ack-{uuid.uuid4()}",
            now_us=time.time_ns() // 1000,
            publish=lambda fact: _publish(settings, fact),
        )
    if answered.fact is None:
        click.echo(
            "nothing was written: the partition has changed since, look at it again", err=True
        )
        sys.exit(1)
    if answered.problem is not None:
        click.echo(
            f"{sink} holds the answer, but platform.incidents was not told: {answered.problem}; "
            "the same command again tells it",
            err=True,
        )
    if as_json:
        document = {
            "acknowledged": True,
            "effects": list(plan.effects),
            "by": answered.fact.message,
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(f"acknowledged: {printable(matter.incident.subject)}")


def _open_stores(settings: Settings, closing: ExitStack) -> dict[str, Store]:
    """Those that answer; the others are named.

    Raises:
        StoreUnavailableError: None does.
    """
    stores: dict[str, Store] = {}
    problems: list[str] = []
    for name in STORES:
        store = open_store(name, settings, role="analyst")
        closing.callback(store.close)
        try:
            store.ping()
        except StoreUnavailableError as error:
            problems.append(f"{name} does not answer, its incidents are not known: {error}")
        else:
            stores[name] = store
    if not stores:
        raise StoreUnavailableError("; ".join(problems))
    for problem in problems:
        click.echo(printable(problem), err=True)
    return stores


def choose(matters: Sequence[Matter], name: str) -> Matter:
    """The incident of this name; an open one before those that are answered.

    Raises:
        click.BadParameter: None, or several open ones of that partition.
    """
    found = [matter for matter in matters if matter.is_called(name)]
    waiting = [matter for matter in found if matter.is_open]
    stopping = [matter for matter in waiting if matter.stopped is not None]
    for some in (stopping, waiting):
        if len(some) == 1:
            return some[0]
    if waiting:
        subjects = ", ".join(matter.incident.subject for matter in waiting)
        message = f"{len(waiting)} incidents are open there, name one: {subjects}"
        raise click.BadParameter(message, param_hint="SUBJECT_OR_ID")
    if found:
        return found[0]
    message = f"no incident {name!r}: `crypto-platform incident list --all` names them"
    raise click.BadParameter(message, param_hint="SUBJECT_OR_ID")


def _say_answered(settings: Settings, matter: Matter, *, as_json: bool) -> None:
    """Answering again changes nothing, but tells those that have not heard of it."""
    answer = matter.answer
    assert answer is not None, "what is not open has an answer"
    problem = tell(answer, lambda fact: _publish(settings, fact)) if matter.untold else None
    when = f"{from_time_us(answer.ts_ingest):%Y-%m-%d %H:%M:%S} UTC"
    text = f"already acknowledged, {when}, by {printable(answer.message)}"
    if matter.untold:
        told = "told platform.incidents again" if problem is None else f"not told: {problem}"
        text += f"; {', '.join(sorted(matter.untold))} had not heard of it: {told}"
    if as_json:
        click.echo(_dump_answer(answer, ()))
    click.echo(text, err=as_json)


def _dump_answer(fact: Incident, effects: Sequence[str]) -> str:
    document = {"acknowledged": True, "effects": list(effects), "by": fact.message}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _publish(settings: Settings, fact: Incident) -> None:
    publish_incident(settings, fact, publisher="incident_ack", mode="cli")


def format_matters(matters: Sequence[Matter], *, now_us: int) -> list[str]:
    """A paragraph an incident: what, since when, what to do."""
    if not matters:
        return ["no incident is open"]
    lines: list[str] = []
    for matter in matters:
        lines += [*_format_matter(matter, now_us=now_us), ""]
    return lines[:-1]


def _format_matter(matter: Matter, *, now_us: int) -> list[str]:
    incident = matter.incident
    age = format_age(max((now_us - incident.ts_ingest) / _US, 0.0))
    rows = [
        ("incident", printable(incident.subject)),
        ("kind", f"{printable(incident.kind)}, {age} ago"),
        ("stops", _describe_stop(matter)),
        ("found", printable(incident.message)),
    ]
    if matter.is_open:
        name = matter.place if matter.stopped is not None else incident.subject
        rows += [
            ("then", printable(incident.next_step)),
            ("type", f"crypto-platform incident ack {printable(name or '')} --reason WHY"),
        ]
    if matter.answer is not None:
        rows.append(("answered", printable(matter.answer.message)))
    return format_table(("", ""), rows)


def _describe_stop(matter: Matter) -> str:
    if matter.stopped is None:
        return "nothing"
    return f"{printable(matter.place or '')} at offset {matter.stopped.next_offset:,}"


def format_plan(plan: Plan) -> list[str]:
    """What the answer does, before it is given."""
    incident = plan.matter.incident
    return [
        f"{printable(incident.kind)}: {printable(incident.message)}",
        "acknowledging it:",
        *(f"  - {printable(effect)}" for effect in plan.effects),
    ]


def build_matter(matter: Matter) -> Mapping[str, object]:
    """An incident for --json; times in microseconds."""
    incident, stopped, answer = matter.incident, matter.stopped, matter.answer
    return {
        "id": incident.event_id,
        "subject": incident.subject,
        "kind": incident.kind,
        "is_open": matter.is_open,
        "store": incident.sink,
        "source": incident.source,
        "feed": incident.feed,
        "topic": incident.topic,
        "part": incident.part,
        "stopped_at_offset": None if stopped is None else stopped.next_offset,
        "found_at": incident.ts_ingest,
        "message": incident.message,
        "next_step": incident.next_step,
        "acknowledged_at": None if answer is None else answer.ts_ingest,
        "acknowledged": None if answer is None else answer.message,
    }

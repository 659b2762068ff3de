"""`prove`: kill parts of the running stack for a while, let it come back, audit.

Here: what is asked and said first, the view of it, how it ends. Not here: what may be killed
(stack/targets.py), the pace (stack/kills.py), when it has settled (stack/proof.py), every text
(prove_text.py).
"""

import json
import secrets
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import click

from crypto_platform.cli.audit import format_report, run_audit
from crypto_platform.cli.options import (
    data_dir_option,
    is_confirmed,
    json_option,
    select_feeds,
    yes_option,
)
from crypto_platform.cli.prove_text import (
    Outcome,
    build_document,
    build_log,
    describe_plan,
    format_last_line,
)
from crypto_platform.cli.signals import stop_on
from crypto_platform.cli.view import Onlooker, run_live_view
from crypto_platform.errors import PlatformError, StackError
from crypto_platform.serving.health import Status
from crypto_platform.serving.pauses import ask_paused, list_switches
from crypto_platform.settings import Settings, find_data_dir, load_settings
from crypto_platform.stack.kills import Killer
from crypto_platform.stack.proof import Proof
from crypto_platform.stack.targets import RunningTargets, Target, find_whole_stack, list_targets
from crypto_platform.stores import STORES

AUDIT_WAIT_S = 30.0
"""The sources go on: what has come since the stores were without lag is loaded within this."""

SEEDS = 2**32
_STOPPING = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option(
    *("--seconds", "duration_s"),
    type=click.FloatRange(1, 86_400),
    default=60.0,
    show_default=True,
    help="Kill for so long.",
)
@click.option(
    *("--every", "every_s"),
    type=click.FloatRange(1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="From one kill to the next.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, SEEDS - 1),
    help="Kill in the order of this seed; without it one is chosen and printed.",
)
@yes_option
@json_option
@data_dir_option
def prove_command(
    *,
    duration_s: float,
    every_s: float,
    seed: int | None,
    yes: bool,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Kill random parts of the running stack, then prove that no record is lost or repeated.

    kill -9 of a server, of a part of Dagster, or of a run in the middle of its work, one every
    --every seconds. Then it waits until all is back and no store lags, and audits. Only processes
    of this folder's embedded stack are touched, never a server given by URL.

    Exits with 0 where all is whole, 1 where it is not or does not settle.

    Example: crypto-platform prove --seconds 60
    """
    if not yes and not sys.stdin.isatty():
        message = "there is no terminal to ask on: --yes does it without asking"
        raise click.UsageError(message)
    folder = find_data_dir(data_dir)
    targets = list_targets(find_whole_stack(folder))
    settings = load_settings(folder)
    _refuse_paused(settings)
    seed = secrets.randbelow(SEEDS) if seed is None else seed
    for line in describe_plan(folder, targets, seed=seed, duration_s=duration_s, every_s=every_s):
        click.echo(line, err=as_json)
    if not is_confirmed("Kill them?", yes=yes):
        click.echo("nothing was killed", err=as_json)
        sys.exit(1)
    outcome = _prove(
        settings,
        targets,
        seed=seed,
        duration_s=duration_s,
        every_s=every_s,
        output=sys.stderr if as_json else sys.stdout,
    )
    if as_json:
        click.echo(json.dumps(build_document(outcome), indent=2, ensure_ascii=False))
    elif outcome.report is not None:
        click.echo("\n".join(["", *format_report(outcome.report)]))
    click.echo(format_last_line(outcome), err=as_json)
    if not outcome.is_proved:
        sys.exit(1)


def _refuse_paused(settings: Settings) -> None:
    """Refuse where lag could not come back to 0, or a killed load run would have nothing to load.

    Raises:
        StackError: A person has paused that, or the web server does not say.
    """
    paused = ask_paused(settings)
    stores = sorted(paused & set(STORES))
    sources = sorted(set(list_switches(settings)) - set(STORES))
    blocking = stores or (sources if paused >= set(sources) else [])
    if blocking:
        message = (
            f"{', '.join(blocking)} paused, so nothing would be loaded: first "
            f"`crypto-platform resume {blocking[0]}`"
        )
        raise StackError(message)


def _prove(
    settings: Settings,
    targets: list[Target],
    *,
    seed: int,
    duration_s: float,
    every_s: float,
    output: TextIO,
) -> Outcome:
    def say(line: str) -> None:
        if not output.isatty():  # else the view shows it
            output.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}\n")
            output.flush()

    killer = Killer(
        RunningTargets(settings.data_dir, load_runs=settings.load.shards),
        targets,
        seed=seed,
        every_s=every_s,
        duration_s=duration_s,
        say=say,
    )
    proof = Proof(killer, duration_s=duration_s)
    before = {number: signal.getsignal(number) for number in _STOPPING}
    try:
        _kill_and_watch(settings, killer, proof, stop_on(*_STOPPING), output)
    finally:
        # an audit only reads: it may be ended in the middle
        for number, handler in before.items():
            signal.signal(number, handler)
    problem = proof.problem
    if not proof.is_over:
        problem = "stopped by a signal; what was killed comes back by itself"
    report = None
    if proof.is_settled and killer.kills:
        say("all is back and no store lags: auditing")
        try:
            report = run_audit(settings, feeds=select_feeds(()), wait_s=AUDIT_WAIT_S)
        except PlatformError as error:
            problem = f"the audit got no answer: {error}"
    elif proof.is_settled:
        problem = "nothing was there to be killed"
    return Outcome(
        seed=seed,
        duration_s=duration_s,
        every_s=every_s,
        kills=killer.kills,
        lag_s_max=proof.lag_s_max,
        problem=problem,
        report=report,
    )


def _kill_and_watch(
    settings: Settings, killer: Killer, proof: Proof, stop: threading.Event, output: TextIO
) -> None:
    """Run the killer in a thread and the view here, until it is over or `stop` is set."""

    def see(status: Status) -> None:
        proof.see(status, now_s=killer.now_s)
        if proof.is_over:
            stop.set()

    onlooker = Onlooker(see=see, log=lambda: build_log(killer, proof))
    with ThreadPoolExecutor(1, "killer") as pool:
        killing = pool.submit(killer.run, stop)
        killing.add_done_callback(lambda _: stop.set())  # also where it fails
        try:
            run_live_view(settings, stop, onlooker=onlooker, output=output)
        finally:
            stop.set()
        killing.result()

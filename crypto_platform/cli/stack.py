"""Commands that start, stop and look at the stack: up, down, logs, exec."""

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import click

from crypto_platform.cli.options import data_dir_option
from crypto_platform.errors import StackError
from crypto_platform.settings import (
    ENVIRONMENT_FILE,
    SETTINGS_FILE,
    Settings,
    SourcesMode,
    find_data_dir,
    load_settings,
    process_environment,
    read_environment_file,
)


@click.command()
@data_dir_option
@click.option(
    "--sources",
    type=click.Choice(get_args(SourcesMode)),
    default="auto",
    show_default=True,
    help="auto: public ones where they answer, the simulated always; live: public ones only.",
)
@click.option("--detach", is_flag=True, help="Run in the background; returns when it is ready.")
@click.option("--only", metavar="PARTS", help="Start these parts only, separated by commas.")
@click.option("--no-migrate", is_flag=True, help="Leave tables, collections and topics alone.")
@click.option("--plain", is_flag=True, help="Print lines only, no live view.")
@click.option("--while-stdin-open", is_flag=True, hidden=True)
def up_command(
    *,
    data_dir: Path | None,
    sources: SourcesMode,
    detach: bool,
    only: str | None,
    no_migrate: bool,
    plain: bool,
    while_stdin_open: bool,
) -> None:
    """Start everything and show it live; Ctrl-C stops it.

    Where the stack of this folder runs already, it is only shown.
    """
    from crypto_platform.stack.folder import read_lock_holder
    from crypto_platform.stack.up import UpOptions, run_up

    folder = find_data_dir(data_dir)
    if read_lock_holder(folder) is not None:
        _join_running(folder, plain=plain or detach)
        return
    parts = tuple(part.strip() for part in only.split(",")) if only else None
    if detach:
        _detach(folder, sources=sources, only=only, no_migrate=no_migrate)
        return
    options = UpOptions(
        sources=sources,
        only=parts,
        migrate=not no_migrate,
        while_stdin_open=while_stdin_open,
        # It reads the stores, which a part of the stack need not have.
        view=None if plain or only else _find_view(),
    )
    run_up(folder, options, say=_say)


@click.command()
@data_dir_option
@click.option("--wipe", is_flag=True, help="Then delete what the stack made in its folder.")
@click.option("--settings", "with_settings", is_flag=True, help="--wipe settings.toml as well.")
@click.option("--yes", is_flag=True, help="Do not ask before --wipe.")
def down_command(*, data_dir: Path | None, wipe: bool, with_settings: bool, yes: bool) -> None:
    """Stop a running stack and wait until nothing of it is left."""
    from crypto_platform.stack.embedded import stop_stack

    folder = find_data_dir(data_dir)
    if wipe and not yes:
        _ask_to_wipe(folder, with_settings=with_settings)
    stopped = stop_stack(folder)
    click.echo("stopped" if stopped else f"nothing runs in {folder}")
    if wipe:
        _wipe(folder, with_settings=with_settings)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@data_dir_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(*, data_dir: Path | None, command: tuple[str, ...]) -> None:
    """Run a command in the stack's environment: its URLs, its passwords, DAGSTER_HOME.

    Its exit code is passed on. Example: crypto-platform exec -- dagster asset list -m
    crypto_platform.definitions
    """
    folder = find_data_dir(data_dir)
    variables = read_environment_file(folder / ENVIRONMENT_FILE)
    if not variables:
        message = f"nothing was ever started in {folder}: `crypto-platform up` first"
        raise StackError(message)
    environment = process_environment() | variables
    # The tools beside our interpreter (dagster, alembic) need not be on the PATH.
    own = str(Path(sys.executable).parent)
    environment["PATH"] = f"{own}{os.pathsep}{environment.get('PATH', '')}"
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        message = f"{command[0]}: no such command"
        raise StackError(message)
    os.execve(program, command, environment)


@click.command()
@data_dir_option
@click.argument("part", required=False)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many of each part.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written; Ctrl-C ends.")
def logs_command(*, data_dir: Path | None, part: str | None, lines: int, follow: bool) -> None:
    """Show what the parts wrote, all or one of them."""
    from crypto_platform.stack.folder import LOGS_FOLDER
    from crypto_platform.stack.logs import follow_logs, read_tail

    folder = find_data_dir(data_dir) / LOGS_FOLDER
    paths = sorted(folder.glob("*.log"))
    if part is not None:
        known = ", ".join(path.stem for path in paths) or "none yet"
        paths = [path for path in paths if path.stem == part]
        if not paths:
            message = f"no log of {part} in {folder}; there are: {known}"
            raise StackError(message)
    for path in paths:
        for line in read_tail(path, lines=lines):
            click.echo(line if part else f"{path.stem:<17}{line}")
    if follow:
        stop = threading.Event()
        signal.signal(signal.SIGINT, lambda _number, _frame: stop.set())
        for path, line in follow_logs(paths, stop=stop):
            click.echo(line if part else f"{path.stem:<17}{line}")


def _detach(folder: Path, *, sources: str, only: str | None, no_migrate: bool) -> None:
    from crypto_platform.stack.embedded import start_detached

    options = ["--sources", sources]
    options += ["--only", only] if only else []
    options += ["--no-migrate"] if no_migrate else []
    state = start_detached(folder, options, say=_say)
    click.echo(f"running in the background (process {state.pid}); `crypto-platform down` stops it")


def _join_running(folder: Path, *, plain: bool) -> None:
    """A second `up`: look, and leave the stack to the first."""
    _show_state(folder)
    view = None if plain else _find_view()
    if view is None:
        return
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda _number, _frame: stop.set())
    view(load_settings(folder), stop)
    click.echo("the stack goes on running; `crypto-platform down` stops it")


def _show_state(folder: Path) -> None:
    from crypto_platform.stack.state import read_state

    state = read_state(folder)
    if state is None:
        click.echo(f"the stack in {folder} is just starting")
        return
    click.echo(f"the stack in {folder} is {state.phase} (process {state.pid})")
    for name, part in state.parts.items():
        click.echo(f"{name:<17}{part.state:<11}{part.address or ''}")
    if state.webserver_url:
        click.echo(f"Dagster UI: {state.webserver_url}")
    if state.api_url:
        click.echo(f"dashboard, HTTP API: {state.api_url}")


def _find_view() -> Callable[[Settings, threading.Event], None] | None:
    """The live view, or None where there is no terminal to show it on."""
    if not sys.stdout.isatty():
        return None
    from crypto_platform.cli.view import run_live_view

    return run_live_view


def _say(line: str) -> None:
    """Show a line; a terminal that went away must not end the stack in the middle of a step."""
    with contextlib.suppress(OSError):
        click.echo(line)


def _ask_to_wipe(folder: Path, *, with_settings: bool) -> None:
    """Ends the command where the answer is no, with all that runs still running."""
    from crypto_platform.stack.wipe import plan_wipe

    click.echo(f"to be stopped, and deleted from {folder}:")
    for item in plan_wipe(folder, with_settings=with_settings):
        click.echo(f"  {item.path.name:<20}{item.size_bytes / 1e6:10.1f} MB")
    click.confirm("All records in it are lost. Delete?", abort=True)


def _wipe(folder: Path, *, with_settings: bool) -> None:
    from crypto_platform.stack.wipe import plan_wipe, wipe

    wipe(folder, plan_wipe(folder, with_settings=with_settings))
    kept = folder / SETTINGS_FILE
    click.echo(f"deleted; {kept} is kept" if kept.exists() else "deleted")

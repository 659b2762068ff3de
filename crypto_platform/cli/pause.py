"""`pause`, `resume`: let a source or a store rest, and go on."""

from collections.abc import Callable
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option
from crypto_platform.serving.pauses import list_switches, pause, resume
from crypto_platform.settings import Settings, load_settings

_NAMES = click.argument("names", metavar="SOURCE|STORE...", nargs=-1, required=True)


@click.command()
@_NAMES
@data_dir_option
def pause_command(*, names: tuple[str, ...], data_dir: Path | None) -> None:
    """Stop asking a source, or loading a store, until `resume`. Survives restarts.

    The same as switching its sensor off in the Dagster UI; a run at work ends within seconds. What
    waits in Kafka is loaded later, as long as Kafka keeps it (kafka.retention_hours).

    Example: crypto-platform pause coingecko
    """
    _switch(names, data_dir, pause, done="paused", already="was paused already")


@click.command()
@_NAMES
@data_dir_option
def resume_command(*, names: tuple[str, ...], data_dir: Path | None) -> None:
    """Go on asking a source, or loading a store.

    Example: crypto-platform resume coingecko
    """
    _switch(names, data_dir, resume, done="goes on", already="was not paused")


def _switch(
    names: tuple[str, ...],
    data_dir: Path | None,
    switch: Callable[[Settings, str], bool],
    *,
    done: str,
    already: str,
) -> None:
    settings = load_settings(data_dir)
    known = list_switches(settings)
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"{', '.join(unknown)}: no such source or store; there is {', '.join(known)}"
        raise click.BadParameter(message)
    for name in names:
        click.echo(f"{name} {done if switch(settings, known[name]) else already}")

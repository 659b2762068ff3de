"""commands.md: every command's own --help."""

from collections.abc import Iterator
from typing import Any

import click

from crypto_platform.cli import COMMANDS, main
from docs.reference.markdown import MADE, block, code, join, sentence, table

_TEXT = """
What `--help` says of each. `--json`, where there is one, prints one document on stdout; all else
goes to stderr. Exit codes: 0 good, 1 not good, 2 wrong usage.
"""

PROGRAM = "crypto-platform"
WIDTH = 100
"""Characters of a line of help, whatever the terminal of who writes the page."""


def write_commands() -> str:
    """The page."""
    context = _open(main, PROGRAM, None)
    rows = [(f"[{code(name)}](#{name})", sentence(line)) for name, (_, line) in COMMANDS.items()]
    return join(
        ["# Commands", MADE],
        _TEXT,
        table(("command", "what it is for"), rows),
        *(part for name in COMMANDS for part in _write_command(name, context)),
    )


def _write_command(name: str, parent: click.Context) -> Iterator[list[str]]:
    command = main.get_command(parent, name)
    assert command is not None, f"{name} is in COMMANDS"
    context = _open(command, name, parent)
    yield [f"## {name}"]
    yield block(command.get_help(context))
    if isinstance(command, click.Group):
        for own, below in command.commands.items():
            yield [f"### {name} {own}"]
            yield block(below.get_help(_open(below, own, context)))


def _open(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings: dict[str, Any] = {**command.context_settings, "color": False}
    settings |= {"terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)

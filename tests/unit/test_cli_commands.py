"""What all commands have in common: help with an example, one data folder, exit codes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from crypto_platform.cli import COMMANDS, main

HEAVY = ("pydantic", "confluent_kafka", "psycopg", "pymongo", "dagster", "rich", "requests")
EXAMPLE = (
    *("status", "quotes", "load", "replay", "trace", "sources", "config", "connect", "doctor"),
    "simulate",
    *("quarantine", "incident", "prove", "retention", "trades", "book", "candles", "symbols"),
    *("restore", "gaps"),
)


def leaves(name: str) -> Iterator[tuple[str, click.Command]]:
    """A command, or the commands of a group."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    if isinstance(command, click.Group):
        yield from ((f"{name} {sub}", found) for sub, found in command.commands.items())
    else:
        yield name, command


def test_help_imports_nothing_heavy() -> None:
    """A second for the list of commands is the first impression people get."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom crypto_platform.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_takes_a_data_folder(name: str) -> None:
    """A command that looks at another folder than the others shows another platform."""
    for path, command in leaves(name):
        options = {option for parameter in command.params for option in parameter.opts}
        assert command.help, path
        assert "--data-dir" in options, path


@pytest.mark.parametrize("name", EXAMPLE)
def test_help_shows_an_example(name: str) -> None:
    """It is what people read first."""
    for path, command in leaves(name):
        assert "Example" in (command.help or ""), path


def test_a_status_of_nothing_is_one_document_with_exit_1(tmp_path: Path) -> None:
    """Monitoring asks before the first `up` too, and must not get a trace."""
    ended = CliRunner().invoke(main, ["status", "--json", "--data-dir", str(tmp_path)])
    document = json.loads(ended.stdout)
    assert ended.exit_code == 1
    assert document["is_good"] is False
    assert [store["up"] for store in document["stores"]] == [False, False]
    assert [store["lag_records"] for store in document["stores"]] == [None, None]
    assert "not good: Kafka is down" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        *(["status", "--json", "--watch"], ["quotes", "--json", "--watch"], ["load"], ["prove"]),
        *(["connect", "x"], ["replay", "--store", "mongo"], ["trace", "quotes"]),
        ["replay", "--store", "mongo", "--partition", "2999-01-01-00:00"],
        ["trace", "incidents", "--latest", "bitcoin"],
        ["trace", "quotes", "an-id", "--latest", "bitcoin"],
        *(["quarantine", "release"], ["quarantine", "release", "--store", "mongo"]),
        *(["quarantine", "show", "no-name"], ["quarantine", "show", "redis:market.quotes/1@2"]),
        *(["quarantine", "discard", "postgres:t/0@1"], ["incident", "ack", "some-subject"]),
        ["quarantine", "show", "postgres:t/0@1", "--feed", "quotes"],
        *(["trades"], ["book", "coinbase"], ["trades", "coinbase", "BTC/USD", "--from", "noon"]),
        ["candles", "coinbase", "BTC/USD", "--json", "--csv"],
        ["trades", "coinbase", "BTC/USD", "--from", "2026-01-02", "--to", "2026-01-01"],
        ["candles", "coinbase", "BTC/USD", "--interval", "2m"],
        ["quotes", "--watch", "--as-of", "2026-01-01"],
        *(["gaps", "--dry-run"], ["gaps", "--venue", "nowhere"], ["gaps", "--day", "2999-01-01"]),
        ["gaps", "--day", "2026-01-01", "--from", "2026-01-01"],
    ],
)
def test_wrong_usage_is_exit_2(words: list[str], tmp_path: Path) -> None:
    """Scripts tell a typing mistake from a platform that is not good."""
    ended = CliRunner().invoke(main, [*words, "--data-dir", str(tmp_path)])
    assert ended.exit_code == 2
    assert "Traceback" not in ended.stderr


def test_quotes_without_stores_says_what_each_of_them_said(tmp_path: Path) -> None:
    """Both were asked, and either could have answered."""
    ended = CliRunner().invoke(main, ["quotes", "--data-dir", str(tmp_path)])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "postgres does not answer (postgres.analyst_url is not set" in ended.stderr
    assert "mongo does not answer (mongo.analyst_url is not set" in ended.stderr

"""Every command of README.md and docs/, typed as it stands there, on one running stack.

Here: the stack, and what there is on it. Not here: what of it stands in for what is documented, and
which commands are not run (tests/documents_run.py), the tutorials (test_tutorials.py).
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_platform.settings import load_settings
from tests.documents import ROOT
from tests.documents_run import ANSWERS, list_run, put_in
from tests.terminal import Terminal, cloned_repository, list_environment, open_terminal
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INSTALLED_FROM = (
    *("requirements.lock", "pyproject.toml", "bootstrap.py"),
    "crypto_platform/stack/kafka.py",
)
"""What `make` compares with what is installed: here that is the suite's own environment."""
FIRST_RECORDS_S = 180.0


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder with the repository and a running stack, and what stands in there."""

    folder: Path
    environment: Mapping[str, str]
    values: Mapping[str, str]


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Brought up once, by the command of the README, with a day of history."""
    environment = list_environment()
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
    with cloned_repository() as folder:
        (folder / ".venv").symlink_to(ROOT / ".venv")
        for file in INSTALLED_FROM:
            os.utime(folder / file, (0, 0))
        with open_terminal(folder, environment) as terminal:
            values = set_up(terminal, folder)
        yield Desk(folder=folder, environment=environment, values=values)


def set_up(terminal: Terminal, folder: Path) -> Mapping[str, str]:
    """Start it, wait for records, read a day of history; returns what stands in for what."""
    must(terminal, "make up ARGS='--detach --sources simulated'")

    def has_records() -> bool:
        wanted = ("quotes bitcoin", "trades simulated_exchange BTC-USD", "wallet --user u000001")
        return all(terminal.type(f"crypto-platform {each}").exit_code == 0 for each in wanted)

    eventually(has_records, within_s=FIRST_RECORDS_S, every_s=2.0)
    must(terminal, "crypto-platform history --source simulated_exchange --symbol BTC-USD --wait")
    trace = ask(terminal, "crypto-platform trace quotes --latest bitcoin --json")
    key = ask(terminal, "crypto-platform keys create --user u000001 --json 2>/dev/null")
    settings, now = load_settings(folder / "data", environment={}), datetime.now(UTC)
    return {
        "yesterday": f"{now - timedelta(days=1):%Y-%m-%d}",
        "now": f"{now:%Y-%m-%dT%H:%M:%S}",
        "hour": f"{now:%Y-%m-%d-%H:00}",
        "year": f"{now:%Y}",
        "folder": str(folder),
        "api": str(settings.api.url),
        "key": key["key"],
        "event_id": trace["event_id"],
        "topic_id": trace["stores"]["postgres"]["topic_id"],
        "offset": str(trace["stores"]["postgres"]["offset"]),
    }


def must(terminal: Terminal, command: str) -> str:
    typed = terminal.type(command)
    assert typed.exit_code == 0, f"{command}\n{typed.output}"
    return typed.output


def ask(terminal: Terminal, command: str) -> dict[str, Any]:
    return json.loads(must(terminal, command))


RUN = list_run()


@pytest.mark.parametrize("page", RUN)
def test_every_command_of_a_page_works(page: str, desk: Desk) -> None:
    """Whoever copies one gets what the page promises, or reads why not."""
    with open_terminal(desk.folder, desk.environment) as terminal:
        for command in RUN[page]:
            typed = terminal.type(put_in(command.text, desk.values))
            allowed = {0, 1} if command.text.startswith(ANSWERS) else {0}
            said = f"{page}:{command.line}: {put_in(command.text, desk.values)}\n{typed.output}"
            assert typed.exit_code in allowed, said
            assert "Traceback" not in typed.output, said

"""deploy/systemd: the unit is one that systemd takes, locks up, and whose command exists."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from crypto_platform.cli import main
from crypto_platform.cli.alerts import alerts_command
from crypto_platform.cli.stack import up_command

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "crypto-platform.service"
MANUAL = Path(__file__).parents[2] / "docs" / "service.md"
EXPOSURE_MAX = 20
"""Tenths: systemd calls anything up to 2.0 well locked up."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a command that is there."""
    path = tmp_path / UNIT.name
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text("utf-8"))
    path.write_text(text)
    return path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


TYPED = click.Context(main, **main.context_settings)
"""A command keeps the help option of the first context it had: it has to be a user's."""


@needs_systemd
def test_systemd_takes_every_line_of_the_unit(unit: Path) -> None:
    """A misspelled line is a warning in a journal, and a lock that is open."""
    said = analyze("verify", str(unit))
    own = [line for line in said.stderr.splitlines() if UNIT.name in line]
    assert (own, said.returncode) == ([], 0)


@needs_systemd
def test_the_unit_locks_its_processes_up(unit: Path) -> None:
    """A hole in one of five servers is not to open the machine."""
    said = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit))
    assert said.returncode == 0, said.stdout


def test_the_command_of_the_unit_can_be_typed() -> None:
    """An option that is gone would be found out by the next start of the machine."""
    [command] = re.findall(r"^ExecStart=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    program, name, *options = shlex.split(command)
    assert (Path(program).name, name) == ("crypto-platform", "up")
    up_command.make_context("up", options, parent=TYPED)


def test_the_manual_runs_a_command_as_the_unit_does() -> None:
    """`alerts test` said that nobody would be told, for it did not see root's environment file."""
    unit = UNIT.read_text("utf-8")
    lines = MANUAL.read_text("utf-8").replace("\\\n", " ").splitlines()
    [line] = [line for line in lines if line.lstrip().startswith("sudo systemd-run ")]
    words = shlex.split(line)
    [user] = re.findall(r"^User=(.*)$", unit, re.MULTILINE)
    [file] = re.findall(r"^EnvironmentFile=-(.*)$", unit, re.MULTILINE)
    [program] = re.findall(r"^ExecStart=(\S+)", unit, re.MULTILINE)
    assert f"--uid={user}" in words
    assert f"EnvironmentFile={file}" in words
    own = words[words.index(program) + 1 :]
    assert own[0] == "alerts"
    command = alerts_command.commands[own[1]]
    command.make_context(own[1], own[2:], parent=TYPED)

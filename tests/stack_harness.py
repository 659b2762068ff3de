"""Stacks for tests: folders PostgreSQL can reach, an `up` as a child, what is left of it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from crypto_platform.settings import process_environment
from crypto_platform.stack.processes import end_marked, find_marked, is_alive
from crypto_platform.stack.state import Phase, StackState, read_state
from tests.waiting import eventually

START_S = 240.0  # on two cores that other tests use as well
STOP_S = 40.0
NO_VARIABLES: Mapping[str, str] = {}


@contextmanager
def stack_folder() -> Generator[Path]:
    """A data folder that a server running as another user can reach; pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_test_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        try:
            yield folder
        finally:
            end_marked(folder)


@contextmanager
def running_up(
    folder: Path, *options: str, variables: Mapping[str, str] = NO_VARIABLES
) -> Generator[subprocess.Popen[str]]:
    """An `up` in a process of its own, waited for until it runs; stopped in the end."""
    process = start_up(folder, *options, variables=variables)
    try:
        eventually(lambda: is_running(folder, process), within_s=START_S)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STOP_S)


def start_up(
    folder: Path, *options: str, variables: Mapping[str, str] = NO_VARIABLES
) -> subprocess.Popen[str]:
    """An `up` in a process of its own, not waited for; what it says goes to its stdout.

    Args:
        folder: Its data folder.
        options: Of the command.
        variables: Added to its environment: servers that are given, other settings.
    """
    command = (sys.executable, "-m", "crypto_platform.cli", "up", "--plain")
    return subprocess.Popen(
        [*command, "--sources", "simulated", "--data-dir", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=process_environment() | dict(variables),
        text=True,
        process_group=0,
    )


def is_running(folder: Path, process: subprocess.Popen[str]) -> bool:
    """Whether this `up` is in phase running; fails the test where it ended instead."""
    assert process.poll() is None, process.communicate()[0]
    state = read_state(folder)
    return state is not None and state.pid == process.pid and state.phase is Phase.RUNNING


def run_cli(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end."""
    command = (sys.executable, "-m", "crypto_platform.cli")
    return subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def state_of(folder: Path) -> StackState:
    """What the running stack says; fails the test where none runs."""
    state = read_state(folder)
    assert state is not None, f"no stack runs in {folder}"
    return state


def pid_of(folder: Path, part: str) -> int:
    """A part's process, which must be there."""
    pid = state_of(folder).parts[part].pid
    assert pid is not None, f"{part} has no process"
    return pid


def kill(pid: int) -> None:
    """End a process as `kill -9` does."""
    os.kill(pid, signal.SIGKILL)


def wait_until_nothing_is_left(folder: Path, known: Sequence[psutil.Process] = ()) -> None:
    """Fail unless soon no process of this folder lives; a zombie counts as dead."""
    eventually(lambda: not find_marked(folder) and not any(is_alive(p) for p in known), within_s=15)

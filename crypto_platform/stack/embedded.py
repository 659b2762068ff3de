"""A stack in another process: started in the background, stopped, or borrowed for a test.

Here: `up --detach`, `down`, `embedded_servers`. Not here: the stack itself (up.py).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from crypto_platform.errors import StackError
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack.environment import mongo_url, postgres_url
from crypto_platform.stack.folder import LOGS_FOLDER, make_data_folder, read_lock_holder
from crypto_platform.stack.identity import read_identity
from crypto_platform.stack.logs import follow_logs, open_log, read_tail
from crypto_platform.stack.part import Place
from crypto_platform.stack.processes import end_marked, end_processes, wait_until_dead
from crypto_platform.stack.state import Phase, StackState, read_state

START_WAIT_S = 600.0
"""Longest start: a download, then every part's own limit."""
STOP_WAIT_S = 90.0
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class AdminUrls:
    """Superusers' URLs of the embedded stores, for tests and repairs; the platform has no use."""

    postgres: str
    mongo: str


def find_admin_urls(data_dir: Path) -> AdminUrls:
    """The superusers' URLs of a folder whose stack runs.

    Raises:
        StackError: Nothing was ever started there.
    """
    identity = read_identity(data_dir)
    if identity is None:
        message = f"nothing was ever started in {data_dir}: `crypto-platform up` first"
        raise StackError(message)
    settings = load_settings(data_dir)
    place = Place(data_dir=data_dir, settings=settings, identity=identity, ports=identity.ports)
    return AdminUrls(
        postgres=postgres_url(place, "admin").rpartition("/")[0] + "/postgres",
        mongo=mongo_url(place, "admin"),
    )


@contextmanager
def embedded_servers(
    data_dir: Path,
    *,
    parts: Collection[str] = ("kafka", "postgres", "mongo"),
    migrate: bool = False,
) -> Generator[Settings]:
    """Run servers for as long as the block lasts, whatever becomes of this process.

    Works from any thread: the other process ends when the pipe to it closes.

    Args:
        data_dir: A folder of their own; under root it must be open to other users (a folder of
            mode 0700 above it is not).
        parts: Names as for `up --only`.
        migrate: Whether the migration runs as well.

    Raises:
        StackError: They did not start; holds what `up` said.
    """
    data_dir = data_dir.absolute()
    options = ["--only", ",".join(parts), "--sources", "simulated", "--while-stdin-open"]
    if not migrate:
        options.append("--no-migrate")
    process = _spawn_up(data_dir, options, stdin=subprocess.PIPE)
    try:
        try:
            _wait_until_running(data_dir, process)
        except StackError as error:
            said = "\n".join(read_tail(_up_log(data_dir), lines=30))
            message = f"{error}; it said:\n{said}"
            raise StackError(message) from None
        yield load_settings(data_dir)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            end_marked(data_dir)


def start_detached(
    data_dir: Path, options: Sequence[str], *, say: Callable[[str], None]
) -> StackState:
    """Start `up` in a session of its own and wait until it runs; what it says is said here too.

    Raises:
        StackError: It did not start.
    """
    process = _spawn_up(data_dir, options, stdin=subprocess.DEVNULL)
    stop = threading.Event()
    # It ends with the wait below, at the latest with us.
    teller = threading.Thread(target=_tell, args=(_up_log(data_dir), stop, say), daemon=True)
    teller.start()
    try:
        return _wait_until_running(data_dir, process)
    finally:
        stop.set()
        teller.join()


def _tell(log: Path, stop: threading.Event, say: Callable[[str], None]) -> None:
    for _, line in follow_logs([log], stop=stop, from_start=True):
        say(line)


def _spawn_up(data_dir: Path, options: Sequence[str], *, stdin: int) -> subprocess.Popen[bytes]:
    make_data_folder(data_dir)
    command = (sys.executable, "-m", "crypto_platform.cli", "up", "--plain")
    with open_log(_up_log(data_dir)) as output:
        os.ftruncate(output, 0)
        return subprocess.Popen(
            [*command, "--data-dir", str(data_dir), *options],
            stdin=stdin,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _up_log(data_dir: Path) -> Path:
    return data_dir / LOGS_FOLDER / "up.log"


def _wait_until_running(data_dir: Path, process: subprocess.Popen[bytes]) -> StackState:
    """Wait for an `up` just spawned to be in phase running.

    Raises:
        StackError: It ended instead, or took longer than START_WAIT_S.
    """
    deadline = time.monotonic() + START_WAIT_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        state = read_state(data_dir)
        if state is not None and state.pid == process.pid and state.phase is Phase.RUNNING:
            return state
        if process.poll() is not None:
            message = f"the stack did not start (exit code {process.returncode})"
            raise StackError(message)
        pause.wait(_POLL_S)
    process.send_signal(signal.SIGTERM)
    message = f"the stack did not start within {START_WAIT_S:.0f} s: see {_up_log(data_dir)}"
    raise StackError(message)


def stop_stack(data_dir: Path) -> bool:
    """Stop a folder's stack and wait until nothing of it is left; False where none ran."""
    pid = read_lock_holder(data_dir)
    if pid:
        _stop_supervisor(pid)
    left_behind = end_marked(data_dir)
    return bool(pid) or left_behind > 0


def _stop_supervisor(pid: int) -> None:
    try:
        supervisor = psutil.Process(pid)
        supervisor.terminate()
    except psutil.NoSuchProcess:
        return
    if not wait_until_dead([supervisor], timeout_s=STOP_WAIT_S):
        end_processes([supervisor])

"""Child processes, and how none of them outlives its stack.

Three nets, each for what the one before lets through: children die with us (Linux: a parent-death
signal); every child carries a mark in its environment, which Dagster's run workers inherit, and
processes with the mark are ended by `down`, at the end of `up` and at the beginning of the next
one; descendants of marked ones are ended with them. Not here: when to restart (supervisor.py).
"""

import asyncio
import ctypes
import os
import pwd
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crypto_platform.errors import StackError
from crypto_platform.settings import ENV_PREFIX, given_environment

MARK = "CRYPTO_STACK_DATA_DIR"
"""Names the data folder of the stack a process belongs to. Not a setting, and not in
`<data>/environment`: a shell of `exec` is the user's, not the stack's."""

END_WAIT_S = 3.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class Command:
    """A process to be started.

    Attributes:
        argv: Program and arguments; no secret, for everybody sees them.
        environment: Added to what every child gets (see `child_environment`).
        user: Whom to become, where we are root and the program refuses root.
    """

    argv: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str | None = None


def child_environment(data_dir: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """What a child sees: our environment without settings, the mark, and `extra`."""
    own = {k: v for k, v in given_environment(data_dir).items() if not k.startswith(ENV_PREFIX)}
    return own | dict(extra) | {MARK: str(data_dir.resolve())}


async def spawn(
    command: Command, *, data_dir: Path, death_signal: signal.Signals, output: int
) -> asyncio.subprocess.Process:
    """Start a child in a process group of its own, so that Ctrl-C reaches only us.

    To be called in the main thread: the parent-death signal fires when the spawning thread ends.

    Args:
        command: What to start.
        data_dir: Of the stack it belongs to.
        death_signal: Sent by the kernel when we die, however we die.
        output: Descriptor for stdout and stderr.

    Raises:
        StackError: The program is missing or may not be run.
    """
    argv = [str(part) for part in command.argv]
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_environment(data_dir, command.environment),
            process_group=0,
            preexec_fn=_prepare_child(death_signal, os.getpid()),
            user=command.user,
            group=_group_of(command.user),
            extra_groups=[] if command.user else None,
        )
    except OSError as error:
        message = f"{argv[0]} cannot be started ({error.strerror}): install the package again"
        raise StackError(message) from None


async def run_tool(
    command: Command, *, data_dir: Path, standard_input: str = "", timeout_s: float
) -> str:
    """Run a short command to its end and return its output.

    Raises:
        StackError: It failed or took longer than `timeout_s`; holds the end of its output.
    """
    argv = [str(part) for part in command.argv]
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=child_environment(data_dir, command.environment),
        process_group=0,
        preexec_fn=_prepare_child(signal.SIGKILL, os.getpid()),
        user=command.user,
        group=_group_of(command.user),
        extra_groups=[] if command.user else None,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(standard_input.encode()), timeout_s)
    except TimeoutError:
        message = f"{Path(argv[0]).name} did not end within {timeout_s:.0f} s"
        raise StackError(message) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        message = f"{Path(argv[0]).name} failed ({process.returncode}):\n{text[-2000:].strip()}"
        raise StackError(message)
    return text


def _prepare_child(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    """What the child does between fork and exec: little, for other threads' locks may be held."""

    def prepare() -> None:
        # Inherited as ignored (`make up &` in a script), it makes Dagster's code server deaf to
        # SIGTERM as well.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # died before the call above: no signal will come
                os._exit(1)

    return prepare


def _group_of(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def find_marked(data_dir: Path) -> list[psutil.Process]:
    """Living processes that carry this folder's mark; we and our ancestors are never among them."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = (process for process in psutil.process_iter() if process.pid not in own)
    return [process for process in found if is_marked(process, data_dir)]


def is_marked(process: psutil.Process, data_dir: Path) -> bool:
    """Whether it lives and carries this folder's mark; not where we may not look."""
    try:
        mark = process.environ().get(MARK)
        return mark is not None and mark == str(data_dir.resolve()) and is_alive(process)
    except (psutil.Error, OSError):
        return False  # ended meanwhile, or another user's


def is_alive(process: psutil.Process) -> bool:
    """Whether it still does anything; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_marked(data_dir: Path, *, spare: Collection[int] = ()) -> int:
    """End what carries this folder's mark, and its descendants: TERM, 3 s, KILL.

    Blocks for up to 2 * END_WAIT_S seconds.

    Args:
        data_dir: Whose processes.
        spare: Process ids to leave alone, and Python's resource trackers with them, which end with
            their parents and would only cost the wait. Nothing is said of other descendants.

    Returns:
        How many processes there were.
    """
    victims: dict[int, psutil.Process] = {}
    for process in find_marked(data_dir):
        if process.pid not in spare and not (spare and _is_resource_tracker(process)):
            victims[process.pid] = process
            try:
                victims |= {child.pid: child for child in process.children(recursive=True)}
            except psutil.Error:
                continue
    for spared in spare:
        victims.pop(spared, None)
    end_processes(list(victims.values()))
    return len(victims)


def _is_resource_tracker(process: psutil.Process) -> bool:
    try:
        return any("multiprocessing.resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def end_processes(victims: Sequence[psutil.Process]) -> None:
    """TERM, wait, KILL, wait; for whatever is still there."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        alive = [process for process in victims if is_alive(process)]
        for process in alive:
            try:
                send(process)
            except psutil.Error:
                continue
        wait_until_dead(alive, timeout_s=END_WAIT_S)


def wait_until_dead(processes: Sequence[psutil.Process], *, timeout_s: float) -> bool:
    """Wait for processes that need not be our children; False where some are still alive."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while any(is_alive(process) for process in processes):
        if time.monotonic() >= deadline:
            return False
        pause.wait(0.05)
    return True

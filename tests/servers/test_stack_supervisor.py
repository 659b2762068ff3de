"""The supervisor with small processes in place of servers: starting, restarting, stopping."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import psutil
import pytest

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import make_data_folder
from crypto_platform.stack.part import Part
from crypto_platform.stack.processes import Command, find_marked
from crypto_platform.stack.state import PartState, PartStatus
from crypto_platform.stack.supervisor import Supervisor

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
# Starts one in a session of its own, as Dagster starts its run workers.
WITH_WORKER = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    "start_new_session=True)\n"
    "print('up', flush=True)\n"
    "time.sleep(600)\n"
)


class Script(Part):
    """A part that runs a line of Python and is ready when it has printed `up`."""

    stop_timeout_s = 2.0

    def __init__(
        self, folder: Path, name: str, code: str, *, after: Collection[str] = (), once: bool = False
    ) -> None:
        self.name = name
        self.after = after
        self.once = once
        self._code = code
        self._log = folder / "logs" / f"{name}.log"

    async def prepare(self) -> None:
        pass

    def command(self) -> Command:
        return Command(argv=(sys.executable, "-c", self._code))

    async def is_ready(self, pid: int) -> bool:
        return "up" in self._log.read_text("utf-8")


class Watched:
    """A supervisor and the list of all it said."""

    def __init__(self, folder: Path, *, ready_timeout_s: float = 10.0) -> None:
        make_data_folder(folder)
        self.said: list[tuple[str, PartState]] = []
        self.statuses: dict[str, PartStatus] = {}
        self.supervisor = Supervisor(
            folder,
            ready_timeout_s=ready_timeout_s,
            log_bytes_max=1_000_000,
            changed=self._changed,
        )

    def _changed(self, name: str, status: PartStatus) -> None:
        self.said.append((name, status.state))
        self.statuses[name] = status.model_copy()

    async def reach(self, name: str, state: PartState, *, restarts: int) -> PartStatus:
        """Wait for a part to be in this state, at most 20 s."""
        async with asyncio.timeout(20):
            while True:
                status = self.statuses[name]
                if status.state is state and status.restarts == restarts:
                    return status
                await asyncio.sleep(0.02)


def supervise(
    folder: Path,
    act: Callable[[Watched], Awaitable[None]],
    *parts: Part,
    ready_timeout_s: float = 10.0,
) -> Watched:
    """Start parts, act, stop."""

    async def run() -> Watched:
        watched = Watched(folder, ready_timeout_s=ready_timeout_s)
        try:
            await watched.supervisor.start(parts)
            await act(watched)
        finally:
            await watched.supervisor.stop(at_once=asyncio.Event())
        return watched

    return asyncio.run(run())


async def nothing(watched: Watched) -> None:
    _ = watched


def test_a_killed_part_is_started_again(tmp_path: Path) -> None:
    """A server that fell over at night must not wait for a person."""

    async def kill_it(watched: Watched) -> None:
        first = watched.statuses["a"].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        again = await watched.reach("a", PartState.READY, restarts=1)
        assert again.pid not in {None, first}

    watched = supervise(tmp_path, kill_it, Script(tmp_path, "a", SLEEPER))
    assert ("a", PartState.RESTARTING) in watched.said


def test_parts_start_after_and_stop_before_those_they_need(tmp_path: Path) -> None:
    """A daemon stopped after its database would write its last words nowhere."""
    watched = supervise(
        tmp_path,
        nothing,
        Script(tmp_path, "daemon", SLEEPER, after=("migration", "database")),
        Script(tmp_path, "migration", "", after=("database",), once=True),
        Script(tmp_path, "database", SLEEPER),
    )
    wanted = [
        ("database", PartState.READY),
        ("migration", PartState.DONE),
        ("daemon", PartState.READY),
        ("daemon", PartState.STOPPED),
        ("database", PartState.STOPPED),
    ]
    assert [entry for entry in watched.said if entry in wanted] == wanted


def test_a_part_that_cannot_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    """`failed` alone sends a person through ten log files."""
    code = "import sys; sys.exit('no such option --colour')"
    with pytest.raises(StackError, match=r"(?s)b ended \(exit code 1\), 3 times.*--colour"):
        supervise(tmp_path, nothing, Script(tmp_path, "a", SLEEPER), Script(tmp_path, "b", code))
    assert find_marked(tmp_path) == []


def test_a_migration_that_fails_stops_the_start(tmp_path: Path) -> None:
    """Dagster on yesterday's tables would fail run after run."""
    with pytest.raises(StackError, match=r"(?s)migration failed \(exit code 4\).*no table"):
        supervise(
            tmp_path,
            nothing,
            Script(tmp_path, "migration", "print('no table'); exit(4)", once=True),
            Script(tmp_path, "daemon", SLEEPER, after=("migration",)),
        )


def test_a_part_that_never_gets_ready_fails_in_time(tmp_path: Path) -> None:
    """An `up` that hangs says nothing at all."""
    with pytest.raises(StackError, match="a is not ready after 1 s"):
        supervise(
            tmp_path,
            nothing,
            Script(tmp_path, "a", "import time; time.sleep(600)"),
            ready_timeout_s=1.0,
        )
    assert find_marked(tmp_path) == []


def test_a_part_deaf_to_its_signal_is_killed(tmp_path: Path) -> None:
    """One server that hangs must not keep `down` waiting for ever."""
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
    supervise(tmp_path, nothing, Script(tmp_path, "a", deaf))
    assert find_marked(tmp_path) == []


def test_what_a_part_started_ends_with_the_stack(tmp_path: Path) -> None:
    """A run worker that outlives its stack writes into the next one's stores."""
    workers: list[psutil.Process] = []

    async def find_worker(watched: Watched) -> None:
        _ = watched
        workers.extend(find_marked(tmp_path))

    supervise(tmp_path, find_worker, Script(tmp_path, "a", WITH_WORKER))
    assert len(workers) == 2
    assert find_marked(tmp_path) == []

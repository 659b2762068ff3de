"""What of a running stack can be killed: its parts, and runs by the server they talk to.

Here: the list, the process behind each name, `kill -9` of it, whether it is back. Not here: in
which order and how often (kills.py), freezing and cutting (tests/soak.py).

A process is touched only where the supervisor of this folder names it or it is a run's, and it
carries the folder's mark (processes.py): nothing of another stack, nothing of a server given by
URL.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from crypto_platform.errors import StackError
from crypto_platform.settings import load_settings
from crypto_platform.stack.plan import PARTS, STORES, find_given
from crypto_platform.stack.processes import find_marked, is_marked
from crypto_platform.stack.state import PartState, Phase, StackState, read_state

KILLABLE_PARTS = tuple(part for part in PARTS if part != "migration")
"""All that are kept running; the migration has ended long before."""

RUN_PARTS = ("simulation", "postgres", "mongo")
"""Dagster's run workers are told apart by the one of these they are connected to: the ingest run
asks the simulated market, a load run writes into its store. A run that talks to both stores (an
audit) is neither."""

_RUN_WORDS = "spawn_main"
_LOADING_PARTS = (*sorted(STORES), "code-server", "daemon")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A part, or the run that talks to it."""

    part: str
    is_run: bool = False

    @property
    def name(self) -> str:
        """For people: kafka, ingest run, load run of mongo."""
        if not self.is_run:
            return self.part
        return "ingest run" if self.part == "simulation" else f"load run of {self.part}"


def find_whole_stack(data_dir: Path) -> StackState:
    """The folder's running stack, all of whose servers are its own.

    Raises:
        StackError: None runs, a part of it is not ready, or it loads from or into servers that are
            not its own.
    """
    given = find_given(load_settings(data_dir, environment_file=False)) & STORES
    if given:
        message = (
            f"{', '.join(sorted(given))} given by URL: only an embedded stack is ever hit, never a "
            f"server of yours; leave these settings out and start one with `crypto-platform up`"
        )
        raise StackError(message)
    state = read_state(data_dir)
    if state is None:
        message = (
            f"no embedded stack runs in {data_dir}: start one with `crypto-platform up --detach`, "
            f"or name its folder with --data-dir; servers elsewhere (compose) are never hit"
        )
        raise StackError(message)
    if state.phase is not Phase.RUNNING:
        message = f"the stack in {data_dir} is {state.phase}: try again once it is running"
        raise StackError(message)
    missing = [part for part in _LOADING_PARTS if part not in state.parts]
    if missing:
        message = (
            f"the stack in {data_dir} runs without {', '.join(missing)}, so nothing would come "
            f"back to be whole: start all of it with `crypto-platform up`"
        )
        raise StackError(message)
    _refuse_unready(state)
    return state


def _refuse_unready(state: StackState) -> None:
    for name, part in state.parts.items():
        if part.state not in {PartState.READY, PartState.DONE}:
            message = f"{name} is {part.state}: try again once all parts are ready"
            raise StackError(message)


def list_targets(state: StackState) -> list[Target]:
    """What this stack has of the parts and runs that can be killed."""
    parts = [Target(part=part) for part in KILLABLE_PARTS if part in state.parts]
    return parts + [Target(part=part, is_run=True) for part in RUN_PARTS if part in state.parts]


def find_part(data_dir: Path, part: str) -> psutil.Process | None:
    """The process of a part that is ready; None while it has none."""
    state = read_state(data_dir)
    status = None if state is None else state.parts.get(part)
    if status is None or status.state is not PartState.READY or status.pid is None:
        return None
    try:
        process = psutil.Process(status.pid)
        return process if is_marked(process, data_dir) else None
    except psutil.Error:
        return None  # ended meanwhile


def find_runs(data_dir: Path, part: str) -> list[psutil.Process]:
    """Run workers connected to this one of RUN_PARTS and no other, the oldest first."""
    state = read_state(data_dir)
    if state is None:
        return []
    ports = {name: _port(state, name) for name in RUN_PARTS if name in state.parts}
    found: list[psutil.Process] = []
    for process in find_marked(data_dir):
        try:
            if _RUN_WORDS not in " ".join(process.cmdline()):
                continue
            peers = {c.raddr.port for c in process.net_connections("tcp") if c.raddr}
        except psutil.Error:
            continue  # ended meanwhile
        if part in ports and peers & set(ports.values()) == {ports[part]}:
            found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def _port(state: StackState, part: str) -> int:
    return int((state.parts[part].address or "").rpartition(":")[2] or 0)


class RunningTargets:
    """The targets of one running stack."""

    def __init__(self, data_dir: Path, *, load_runs: int) -> None:
        """Look at nothing yet.

        Args:
            data_dir: Whose stack.
            load_runs: How many load runs a store has where all is well (load.shards).
        """
        self._data_dir = data_dir
        self._load_runs = load_runs

    def kill(self, target: Target) -> int | None:
        """Send SIGKILL to its process, of several runs to the oldest.

        Returns:
            The process, None where none is there just now.
        """
        process = self._find(target)
        if process is None:
            return None
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return None
        return process.pid

    def is_back(self, target: Target, *, killed: int) -> bool:
        """Whether another process does its work in place of the one killed."""
        if target.is_run:
            # beside a run that was just handing over its successor stands already
            others = [run for run in find_runs(self._data_dir, target.part) if run.pid != killed]
            return len(others) >= (1 if target.part == "simulation" else self._load_runs)
        process = find_part(self._data_dir, target.part)
        return process is not None and process.pid != killed

    def _find(self, target: Target) -> psutil.Process | None:
        if target.is_run:
            return next(iter(find_runs(self._data_dir, target.part)), None)
        return find_part(self._data_dir, target.part)

"""What the running stack says about itself: `<data>/stack.json`, for `status` and a second `up`.

Here: its shape, writing and reading it. Not here: deciding the states (supervisor.py).
"""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from crypto_platform.stack.folder import STATE_FILE, read_lock_holder, write_private


class Phase(StrEnum):
    """Where an `up` is."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class PartState(StrEnum):
    """Where one part is."""

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class PartStatus(BaseModel):
    """One part, now.

    Attributes:
        pid: None while it has no process.
        restarts: Since this `up`.
        ready_s: Seconds from the beginning of its preparation to ready, the last time.
        address: host:port or URL; None where it listens nowhere.
        problem: Why it ended the last time, and what is done about it; None while all is well.
    """

    model_config = ConfigDict(extra="forbid")

    state: PartState = PartState.WAITING
    pid: int | None = None
    restarts: int = 0
    ready_s: float | None = None
    address: str | None = None
    problem: str | None = None


class StackState(BaseModel):
    """One `up`, now.

    Attributes:
        problem: Why it could not start.
    """

    model_config = ConfigDict(extra="forbid")

    pid: int
    phase: Phase
    started_at: AwareDatetime
    parts: dict[str, PartStatus] = Field(default_factory=dict[str, PartStatus])
    webserver_url: str | None = None
    api_url: str | None = None
    problem: str | None = None


def new_state(pid: int, started_at: datetime) -> StackState:
    """The state of an `up` that has just begun."""
    return StackState(pid=pid, phase=Phase.STARTING, started_at=started_at)


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace the file in one step."""
    text = state.model_dump_json(indent=2) + "\n"
    write_private(data_dir / STATE_FILE, text, durable=False)


def read_state(data_dir: Path) -> StackState | None:
    """What the running `up` last wrote; None where none runs, whatever an old file says."""
    holder = read_lock_holder(data_dir)
    path = data_dir / STATE_FILE
    if holder is None or not path.exists():
        return None
    try:
        state = StackState.model_validate_json(path.read_text("utf-8"))
    except ValidationError:
        return None
    return state if state.pid == holder else None

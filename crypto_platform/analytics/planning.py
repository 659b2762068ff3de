"""Decide whether what is derived needs another run. Pure: values in, a decision out.

Whether a run is alive is asked of the store, not of Dagster: a living one holds the lock there.
Should two run all the same, the second ends at once, or writes the same rows again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import msgspec

STARTING_S_MAX = 90.0
"""A run that Dagster believes in and that has not taken the lock by then is dead."""
ENDING_S_MAX = 60.0
"""The same of one that gave the lock back: it only reports."""
PAUSE_S_MAX = 1800.0


@dataclass(frozen=True, kw_only=True)
class SeenRun:
    """A run that catches up, as Dagster knows it.

    Attributes:
        created_at: Seconds since 1970.
        is_live: Queued, starting or going on.
        has_failed: It ended by an error.
    """

    run_id: str
    created_at: float
    is_live: bool
    has_failed: bool = False


class Idle(msgspec.Struct, frozen=True):
    """A run that is said to live and does nothing, and since when (seconds since 1970)."""

    run_id: str
    since: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do, and why in words for the UI.

    Attributes:
        dead_run_id: To be reported as failed: its process is gone.
        idle: To be remembered until the next time.
    """

    launch: bool
    reason: str
    dead_run_id: str | None = None
    idle: Idle | None = None


def plan_run(
    *,
    now: float,
    every_s: float,
    is_due: bool,
    is_busy: bool,
    runs: Sequence[SeenRun],
    idle: Idle | None = None,
    stack_started_at: float | None = None,
) -> Decision:
    """Whether another run is asked for.

    Args:
        now: Seconds since 1970.
        every_s: Between the starts of two runs; doubled by each one that failed in a row.
        is_due: Something has changed since it was made.
        is_busy: Some run, perhaps a person's, is at work.
        runs: The last ones, newest first.
        idle: As remembered last time.
        stack_started_at: Runs created before it died with the last stack.
    """
    live = next((run for run in runs if run.is_live), None)
    dead_run_id: str | None = None
    if live is not None and not is_busy:
        is_same = idle is not None and idle.run_id == live.run_id
        since = idle.since if idle is not None and is_same else now
        is_of_last_stack = stack_started_at is not None and live.created_at < stack_started_at
        is_overdue = now - live.created_at > STARTING_S_MAX and now - since > ENDING_S_MAX
        if not (is_of_last_stack or is_overdue):
            reason = "a run has been asked for and is starting or about to end"
            return Decision(launch=False, reason=reason, idle=Idle(live.run_id, since))
        dead_run_id = live.run_id
    if is_busy:
        return Decision(launch=False, reason="a run is at work")
    wait_s = _find_wait(now, every_s, [run for run in runs if run.run_id != dead_run_id])
    if not is_due:
        launch, reason = False, "nothing has changed since the last run"
    elif wait_s > 0:
        launch, reason = False, f"the next run is due in {wait_s:.0f} s"
    else:
        launch, reason = True, "hours have changed"
    return Decision(launch=launch, reason=reason, dead_run_id=dead_run_id)


def _find_wait(now: float, every_s: float, runs: Sequence[SeenRun]) -> float:
    if not runs:
        return 0.0
    failed = len(list(takewhile(lambda run: run.has_failed, runs)))
    pause_s = min(every_s * 2.0**failed, max(PAUSE_S_MAX, every_s))
    return runs[0].created_at + pause_s - now

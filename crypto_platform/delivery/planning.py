"""Decide whether a store needs another load run. Pure: values in, a decision out.

Liveness is progress, not process state: whatever Dagster believes of a run, lag without progress
asks for another one, and fencing makes a second run harmless.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from crypto_platform.kafka.watermarks import Bounds
from crypto_platform.stores.claims import StoredOffset, TopicPart

SUCCESSOR_LEAD_S = 20.0
"""The successor is asked for so long before its predecessor's follow_s ends."""

STALL_BACK_OFF_S_MAX = 600.0
WARM_UP_S = 60.0
"""So long after the start of a stack a run is asked for before anything waits."""

FENCED_GRACE_S = 60.0
"""A run whose claims were all taken over so long ago and that has not ended is dead."""

USELESS_RUNS_FREE = 2
TICK_TOLERANCE_S = 30.0

_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A load run that Dagster believes is queued, starting or going on.

    Attributes:
        created_at: Seconds since 1970.
        started: Its process has begun.
    """

    run_id: str
    created_at: float
    started: bool


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A partition with lag: where it stands, and since when (seconds since 1970)."""

    next_offset: int
    since: float


class StallMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor remembers between ticks, in its cursor.

    Attributes:
        waiting: By "topic_id/part".
        launches: Runs asked for since the last progress.
        last_launch: When the last of them was asked for, seconds since 1970.
    """

    waiting: Mapping[str, Waiting] = {}
    launches: int = 0
    last_launch: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do, and why in words for the UI.

    Attributes:
        launch: Ask for one more run.
        dead_run_ids: Runs to report as failed: they were overtaken, or died with the stack.
        lag_records: Over the partitions that are not blocked, markers included.
    """

    launch: bool
    reason: str
    lag_records: int
    blocked: int
    dead_run_ids: tuple[str, ...]
    memory: StallMemory


def plan_load(
    *,
    now: float,
    follow_s: float,
    stall_s: float,
    bounds: Mapping[TopicPart, Bounds],
    stored: Sequence[StoredOffset],
    runs: Sequence[LiveRun],
    memory: StallMemory,
    stack_started_at: float | None = None,
    elsewhere: Collection[str] = (),
) -> Plan:
    """Whether one store needs another run.

    Args:
        now: Seconds since 1970.
        follow_s: Age at which a run's successor is due.
        stall_s: So long without progress asks for another run; doubled by each launch since.
        bounds: Of every partition there is.
        stored: What the store says of them; a partition it has never seen starts at 0.
        runs: Live ones only.
        memory: As returned last time, empty at the first tick.
        stack_started_at: Runs created before it died with the last stack.
        elsewhere: Owners of partitions that are no runs of this Dagster: another machine's. While
            what they own moves, or nothing waits, a run here would only take it from them.
    """
    stored_by_part = {row.partition: row for row in stored}
    blocked = {part for part, row in stored_by_part.items() if row.blocked_by is not None}
    lags = {
        part: bound.last_stable - _next_offset(stored_by_part.get(part), bound)
        for part, bound in bounds.items()
        if part not in blocked
    }
    behind = {part: lag for part, lag in lags.items() if lag > 0}
    lag_records = sum(behind.values())
    dead = _dead_runs(now, runs, stored, stack_started_at)
    alive = [run for run in runs if run.run_id not in dead]
    remembered = _remember(now, memory, behind, stored_by_part)
    launch, reason = _decide(
        now,
        follow_s=follow_s,
        stall_s=stall_s,
        lag=lag_records,
        alive=alive,
        memory=remembered,
        is_fresh=stack_started_at is not None and now - stack_started_at < WARM_UP_S,
        is_elsewhere=_is_elsewhere(behind, stored, elsewhere),
    )
    if launch:
        remembered = msgspec.structs.replace(
            remembered, launches=remembered.launches + 1, last_launch=now
        )
    return Plan(
        launch=launch,
        reason=reason,
        lag_records=lag_records,
        blocked=len(blocked & set(bounds)),
        dead_run_ids=tuple(sorted(dead)),
        memory=remembered,
    )


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """An ingest run that is over.

    Attributes:
        created_at: Seconds since 1970.
        was_useless: It failed and had polled no source at all: the next one would do the same.
    """

    created_at: float
    was_useless: bool


def plan_ingest(*, now: float, ended: Sequence[EndedRun]) -> str | None:
    """Why no ingest run is due this minute; None where one is.

    A source that fails backs off by its own cursor and does not stop the others. Where run after
    run fails before anything was polled, the next waits 2, 4, 8 minutes, at most 10.

    Args:
        now: Seconds since 1970.
        ended: The last runs that ended, newest first.
    """
    useless = list(takewhile(lambda run: run.was_useless, ended))
    if len(useless) <= USELESS_RUNS_FREE:
        return None
    pause_s = min(60.0 * 2 ** (len(useless) - USELESS_RUNS_FREE), STALL_BACK_OFF_S_MAX)
    wait_s = useless[0].created_at + pause_s - now
    # a tick comes on the minute: one that is due within half of it is due now
    if wait_s <= TICK_TOLERANCE_S:
        return None
    return (
        f"the last {len(useless)} runs failed before they polled anything; the next is due in "
        f"{wait_s:.0f} s: the last run's log says why"
    )


def _decide(
    now: float,
    *,
    follow_s: float,
    stall_s: float,
    lag: int,
    alive: Sequence[LiveRun],
    memory: StallMemory,
    is_fresh: bool,
    is_elsewhere: bool,
) -> tuple[bool, str]:
    newest = max(alive, key=lambda run: run.created_at, default=None)
    stalled_s = max((now - wait.since for wait in memory.waiting.values()), default=0.0)
    pause_s = min(stall_s * 2 ** min(max(memory.launches - 1, 0), 10), STALL_BACK_OFF_S_MAX)
    if newest is None:
        if lag == 0:
            early = is_fresh and memory.last_launch == 0 and not is_elsewhere
            return early, "the stack has just started" if early else "nothing waits"
        return _decide_first(
            now, lag, memory, pause_s, is_held=is_elsewhere and stalled_s < stall_s
        )
    age_s = now - newest.created_at
    due_s = max(follow_s - SUCCESSOR_LEAD_S, follow_s / 2)
    if newest.started and age_s >= due_s and now - memory.last_launch >= stall_s:
        return True, f"run {newest.run_id[:8]} is {age_s:.0f} s old: its successor is due"
    if lag and stalled_s >= stall_s and min(age_s, now - memory.last_launch) >= pause_s:
        return True, f"{lag} records wait and nothing moved for {stalled_s:.0f} s"
    return False, f"run {newest.run_id[:8]} is at work, lag {lag}"


def _decide_first(
    now: float, lag: int, memory: StallMemory, pause_s: float, *, is_held: bool
) -> tuple[bool, str]:
    """Where records wait and no run of this Dagster is there; held: somebody else loads them."""
    if is_held:
        return False, f"another machine loads, lag {lag}"
    if memory.launches > 1 and now - memory.last_launch < pause_s:
        return False, f"{lag} wait; {memory.launches} runs moved nothing, next in {pause_s:.0f} s"
    return True, f"{lag} records wait and no run is there"


def _is_elsewhere(
    behind: Collection[TopicPart], stored: Sequence[StoredOffset], elsewhere: Collection[str]
) -> bool:
    """Whether another machine owns all that waits; where nothing waits, whether it owns anything.

    Whose partitions have no lag may be dead or only idle: nothing tells before something waits.
    """
    owned = {row.partition for row in stored if row.owner_run_id in elsewhere}
    return owned.issuperset(behind) if behind else bool(owned)


def _next_offset(row: StoredOffset | None, bound: Bounds) -> int:
    """A partition never seen starts at 0, or at what is left of it where nothing is."""
    if row is None:
        return min(bound.low, bound.last_stable) if bound.low == bound.high else 0
    return row.next_offset


def _dead_runs(
    now: float,
    runs: Sequence[LiveRun],
    stored: Sequence[StoredOffset],
    stack_started_at: float | None,
) -> set[str]:
    """Runs that died with the last stack, or were overtaken by a younger one and never ended."""
    owners = {row.owner_run_id for row in stored if row.owner_run_id is not None}
    claims = [row.claimed_at / _US for row in stored if row.claimed_at is not None]
    claimed_long_ago = bool(claims) and now - max(claims) >= FENCED_GRACE_S
    dead: set[str] = set()
    for run in runs:
        born_before = stack_started_at is not None and run.created_at < stack_started_at
        overtaken = run.run_id not in owners and any(
            other.run_id in owners and other.created_at > run.created_at for other in runs
        )
        if born_before or (run.started and overtaken and claimed_long_ago):
            dead.add(run.run_id)
    return dead


def _remember(
    now: float,
    memory: StallMemory,
    behind: Collection[TopicPart],
    stored: Mapping[TopicPart, StoredOffset],
) -> StallMemory:
    """Since when each partition with lag has stood still; launches count until all have moved."""
    waiting: dict[str, Waiting] = {}
    for part in behind:
        name = f"{part.topic_id}/{part.part}"
        before = memory.waiting.get(name)
        next_offset = stored[part].next_offset if part in stored else 0
        if before is not None and before.next_offset == next_offset:
            waiting[name] = before
        else:
            waiting[name] = Waiting(next_offset=next_offset, since=now)
    moved = all(wait.since > memory.last_launch for wait in waiting.values())
    return StallMemory(
        waiting=waiting,
        launches=0 if moved else memory.launches,
        last_launch=memory.last_launch,
    )

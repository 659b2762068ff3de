"""plan_load: when a store needs another run, and which runs are dead."""

from crypto_platform.delivery.planning import (
    EndedRun,
    LiveRun,
    Plan,
    StallMemory,
    Waiting,
    plan_ingest,
    plan_load,
)
from crypto_platform.kafka.watermarks import Bounds
from crypto_platform.stores.claims import StoredOffset, TopicPart

PART = TopicPart("11111111-1111-1111-1111-111111111111", 0)
NAME = "11111111-1111-1111-1111-111111111111/0"
NOW = 10_000.0


def bound(last_stable: int, *, low: int = 0, high: int | None = None) -> dict[TopicPart, Bounds]:
    return {PART: Bounds(low=low, high=high or last_stable, last_stable=last_stable)}


def row(
    next_offset: int,
    *,
    owner: str | None = "run-a",
    claimed_at: float = NOW - 100,
    blocked_by: str | None = None,
) -> StoredOffset:
    return StoredOffset(
        topic="market.quotes",
        partition=PART,
        next_offset=next_offset,
        leader_epoch=0,
        max_ts_append=0,
        epoch=1,
        owner_run_id=owner,
        claimed_at=int(claimed_at * 1_000_000),
        updated_at=None,
        blocked_by=blocked_by,
    )


def run(run_id: str, *, age_s: float, started: bool = True) -> LiveRun:
    return LiveRun(run_id=run_id, created_at=NOW - age_s, started=started)


def plan(
    *,
    last_stable: int = 10,
    stored: list[StoredOffset] | None = None,
    runs: list[LiveRun] | None = None,
    memory: StallMemory | None = None,
    high: int | None = None,
    stack_started_at: float | None = None,
    elsewhere: tuple[str, ...] = (),
) -> Plan:
    return plan_load(
        now=NOW,
        follow_s=900.0,
        stall_s=15.0,
        bounds=bound(last_stable, high=high),
        stored=[row(4)] if stored is None else stored,
        runs=runs or [],
        memory=memory or StallMemory(),
        stack_started_at=stack_started_at,
        elsewhere=elsewhere,
    )


def stood_still(for_s: float, *, launches: int, last_launch_s_ago: float) -> StallMemory:
    waiting = {NAME: Waiting(next_offset=4, since=NOW - for_s)}
    return StallMemory(waiting=waiting, launches=launches, last_launch=NOW - last_launch_s_ago)


def test_records_that_wait_without_a_run_ask_for_one() -> None:
    """Else nothing would ever be loaded."""
    decided = plan()
    assert decided.launch
    assert decided.lag_records == 6


def test_what_another_machine_loads_is_left_to_it_while_it_moves() -> None:
    """Else each would take the partitions from the other for as long as both run."""
    assert not plan(elsewhere=("run-a",)).launch
    assert plan(elsewhere=("run-b",)).launch
    decided = plan(elsewhere=("run-a",), memory=stood_still(16, launches=0, last_launch_s_ago=1000))
    assert decided.launch


def test_a_stack_just_started_takes_nothing_from_another_machine() -> None:
    """Each start of a second machine would end the loads of the first, which had no need of it."""
    young = NOW - 5
    idle, loading = [row(10)], [row(4)]
    assert not plan(stored=idle, stack_started_at=young, elsewhere=("run-a",)).launch
    assert not plan(stored=loading, stack_started_at=young, elsewhere=("run-a",)).launch
    # of an owner that is one of its own, as after a restart, nothing is left
    assert plan(stored=idle, stack_started_at=young, elsewhere=("run-b",)).launch


def test_another_machine_that_has_nothing_to_load_is_replaced_once_something_waits() -> None:
    """Its offsets stand still for hours, dead or idle; only what waits tells which."""
    idle = plan(stored=[row(10)], elsewhere=("run-a",))
    assert (idle.launch, idle.memory.waiting) == (False, {})
    first_seen = plan(elsewhere=("run-a",), memory=idle.memory)
    assert not first_seen.launch
    just_before = stood_still(14, launches=0, last_launch_s_ago=NOW)
    assert not plan(elsewhere=("run-a",), memory=just_before).launch
    stalled = stood_still(15, launches=0, last_launch_s_ago=NOW)
    assert plan(elsewhere=("run-a",), memory=stalled).launch


def test_nothing_waiting_asks_for_nothing() -> None:
    """A run costs 2.6 CPU seconds; an idle platform must not start one every five seconds."""
    assert not plan(stored=[row(10)]).launch


def test_a_partition_never_seen_waits_from_its_beginning() -> None:
    """A new topic or a new store has no offset row yet."""
    assert plan(stored=[]).lag_records == 10


def test_an_open_transaction_is_not_lag() -> None:
    """Records above the last stable offset cannot be read yet: no run could help."""
    assert not plan(last_stable=4, high=9).launch


def test_a_stack_just_started_has_a_run_before_its_first_record() -> None:
    """A run takes seconds to start; the first quotes would wait for it."""
    assert plan(stored=[row(10)], stack_started_at=NOW - 5).launch
    assert not plan(stored=[row(10)], stack_started_at=NOW - 61).launch
    asked = StallMemory(last_launch=NOW - 5)
    assert not plan(stored=[row(10)], stack_started_at=NOW - 30, memory=asked).launch


def test_a_run_at_work_is_left_alone() -> None:
    """A second run would fence the first for nothing."""
    assert not plan(runs=[run("run-a", age_s=100)]).launch


def test_the_successor_is_due_shortly_before_the_run_is_old() -> None:
    """Asked for late, there would be a gap between the two."""
    assert not plan(stored=[row(10)], runs=[run("run-a", age_s=879)]).launch
    assert plan(stored=[row(10)], runs=[run("run-a", age_s=881)]).launch


def test_a_successor_that_dies_at_once_is_not_asked_for_at_every_tick() -> None:
    """The old run stays the newest one; a broken import would start 180 runs in 15 minutes."""
    asked = StallMemory(last_launch=NOW - 14)
    old = [run("run-a", age_s=890)]
    assert not plan(stored=[row(10)], runs=old, memory=asked).launch


def test_a_successor_on_its_way_is_not_asked_for_twice() -> None:
    """The old run stays started until it is fenced."""
    runs = [run("run-a", age_s=890), run("run-b", age_s=2, started=False)]
    assert not plan(stored=[row(10)], runs=runs).launch


def test_lag_without_progress_asks_for_another_run_whatever_dagster_believes() -> None:
    """Fault 9: a worker killed with -9 stays STARTED in Dagster for ever."""
    runs = [run("run-a", age_s=100)]
    memory = stood_still(16, launches=0, last_launch_s_ago=100)
    assert plan(runs=runs, memory=memory).launch


def test_lag_that_shrinks_is_progress() -> None:
    """A long backlog is no reason for a second run."""
    moved = StallMemory(waiting={NAME: Waiting(next_offset=3, since=NOW - 60)})
    assert not plan(runs=[run("run-a", age_s=100)], memory=moved).launch


def test_one_partition_standing_still_is_noticed_beside_others_that_move() -> None:
    """A sum over all partitions would hide it."""
    other = TopicPart(PART.topic_id, 1)
    bounds = bound(10) | {other: Bounds(low=0, high=99, last_stable=99)}
    moving = StoredOffset(
        topic="market.quotes",
        partition=other,
        next_offset=50,
        leader_epoch=0,
        max_ts_append=0,
        epoch=1,
        owner_run_id="run-a",
        claimed_at=0,
        updated_at=None,
        blocked_by=None,
    )
    memory = StallMemory(
        waiting={
            NAME: Waiting(next_offset=4, since=NOW - 20),
            f"{PART.topic_id}/1": Waiting(next_offset=40, since=NOW - 20),
        }
    )
    decided = plan_load(
        now=NOW,
        follow_s=900.0,
        stall_s=15.0,
        bounds=bounds,
        stored=[row(4), moving],
        runs=[run("run-a", age_s=100)],
        memory=memory,
    )
    assert decided.launch


def test_runs_that_move_nothing_are_asked_for_ever_more_rarely() -> None:
    """Fault 21: a load that cannot work must not become a storm of runs."""
    assert not plan(memory=stood_still(100, launches=3, last_launch_s_ago=59)).launch
    assert plan(memory=stood_still(100, launches=3, last_launch_s_ago=61)).launch
    assert not plan(memory=stood_still(9_000, launches=20, last_launch_s_ago=599)).launch


def test_the_count_of_launches_starts_anew_after_progress() -> None:
    """A store back after an outage is loaded at once the next time something happens."""
    memory = StallMemory(waiting={}, launches=9, last_launch=NOW - 60)
    assert plan(stored=[row(10)], memory=memory).memory.launches == 0


def test_a_blocked_partition_asks_for_nothing() -> None:
    """An incident waits for a person; a run would only meet it again."""
    decided = plan(stored=[row(4, blocked_by="incident")])
    assert not decided.launch
    assert decided.blocked == 1


def test_a_run_of_the_last_stack_is_dead_and_does_not_count() -> None:
    """After a kill -9 of everything the first records must not wait for a stall to be noticed."""
    decided = plan(runs=[run("run-a", age_s=300)], stack_started_at=NOW - 200)
    assert decided.dead_run_ids == ("run-a",)
    assert decided.launch


def test_an_overtaken_run_that_never_ended_is_dead_after_a_minute() -> None:
    """Fault 9: it would show as running in the UI until its time limit."""
    runs = [run("run-a", age_s=500), run("run-b", age_s=90)]
    overtaken = [row(4, owner="run-b", claimed_at=NOW - 61)]
    just_now = [row(4, owner="run-b", claimed_at=NOW - 59)]
    assert plan(stored=overtaken, runs=runs).dead_run_ids == ("run-a",)
    assert plan(stored=just_now, runs=runs).dead_run_ids == ()


def test_a_young_run_that_has_not_claimed_yet_is_not_dead() -> None:
    """The successor imports and reads ahead for seconds before it claims."""
    runs = [run("run-a", age_s=880), run("run-b", age_s=3)]
    assert plan(stored=[row(4, claimed_at=NOW - 870)], runs=runs).dead_run_ids == ()


def test_a_store_that_refuses_every_run_is_asked_at_most_twelve_times_an_hour() -> None:
    """A table that is missing until somebody comes must not fill the UI with failed runs."""
    memory = StallMemory()
    launches = 0
    for second in range(0, 3600, 5):
        made = plan_load(
            now=NOW + second,
            follow_s=900.0,
            stall_s=15.0,
            bounds=bound(10 + second),
            stored=[row(4)],
            runs=[],  # each fails before the next tick
            memory=memory,
        )
        memory = made.memory
        launches += made.launch
    assert 5 <= launches <= 12


def useless(*minutes: int) -> list[EndedRun]:
    """Ingest runs that failed before they polled anything, created so many minutes ago."""
    return [EndedRun(created_at=NOW - 60 * minute, was_useless=True) for minute in minutes]


def test_a_run_that_polled_something_or_a_second_failure_delays_nothing() -> None:
    """One failing source must not slow the others down."""
    good = EndedRun(created_at=NOW - 60, was_useless=False)
    assert plan_ingest(now=NOW, ended=[]) is None
    assert plan_ingest(now=NOW, ended=[good, *useless(2, 3, 4, 5)]) is None
    assert plan_ingest(now=NOW, ended=useless(1, 2)) is None


def test_runs_that_can_do_nothing_come_at_most_twelve_times_an_hour() -> None:
    """A mistake of ours that fails each run at once would be 60 failed runs an hour."""
    created: list[float] = []
    for minute in range(60):
        now = NOW + 60 * minute
        ended = [EndedRun(created_at=at, was_useless=True) for at in reversed(created)]
        if plan_ingest(now=now, ended=ended) is None:
            created.append(now)
    assert 5 <= len(created) <= 12


def test_the_reason_says_when_the_next_run_comes() -> None:
    """Somebody looks at a schedule that starts nothing."""
    reason = plan_ingest(now=NOW, ended=useless(1, 2, 3, 4))
    assert reason is not None
    assert "next is due in 180 s" in reason

"""When a run of analytics is asked for, what hours are made together, and what is registered."""

from collections.abc import Sequence

import pytest

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.computation import Stretch, split_key
from crypto_platform.analytics.pipeline import plan_stretches
from crypto_platform.analytics.planning import Decision, Idle, SeenRun, plan_run
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.stores.postgres.analytics import Pending
from crypto_platform.stores.postgres.tables import build_metadata

HOUR = 3_600_000_000
LATER = 100 * HOUR
NOW = 1_000_000.0


def run(age: float, *, is_live: bool = False, has_failed: bool = False) -> SeenRun:
    return SeenRun(
        run_id=f"run-{age}", created_at=NOW - age, is_live=is_live, has_failed=has_failed
    )


def plan(
    *runs: SeenRun,
    is_due: bool = True,
    is_busy: bool = False,
    idle: Idle | None = None,
    stack_started_at: float | None = None,
) -> Decision:
    return plan_run(
        now=NOW,
        every_s=120.0,
        is_due=is_due,
        is_busy=is_busy,
        runs=runs,
        idle=idle,
        stack_started_at=stack_started_at,
    )


def test_a_run_is_asked_for_where_something_changed_and_not_too_often() -> None:
    """A process costs seconds of CPU; one a tick would take what the loads need."""
    assert plan().launch
    assert not plan(is_due=False).launch
    assert not plan(run(119)).launch
    assert plan(run(121)).launch


def test_never_two_at_once() -> None:
    """A year that is backfilled takes hours, and a person's run counts like ours."""
    assert not plan(run(7000, is_live=True), is_busy=True).launch
    assert not plan(run(7000), is_busy=True).launch
    assert not plan(run(30, is_live=True)).launch


def test_a_run_that_failed_is_repeated_later_and_later() -> None:
    """Until a person looks, a broken row would start a process every two minutes."""
    assert not plan(run(239, has_failed=True)).launch
    assert plan(run(241, has_failed=True)).launch
    twice = [run(479, has_failed=True), run(900, has_failed=True), run(2000)]
    assert not plan(*twice).launch
    assert plan(run(481, has_failed=True), *twice[1:]).launch
    assert plan(*[run(age, has_failed=True) for age in range(1801, 1810)]).launch


def test_a_run_without_the_lock_is_dead_when_it_stays_so() -> None:
    """Dagster believes for hours in a run whose process was killed."""
    live = run(600, is_live=True)
    first = plan(live)
    assert (first.launch, first.idle) == (False, Idle(live.run_id, NOW))
    assert not plan(live, idle=Idle(live.run_id, NOW - 59)).launch
    dead = plan(live, idle=Idle(live.run_id, NOW - 61))
    assert (dead.launch, dead.dead_run_id) == (True, live.run_id)
    assert not plan(live, idle=Idle("another", NOW - 61)).launch


def test_a_run_of_the_last_stack_is_dead_at_once() -> None:
    """Its processes went with it."""
    live = run(30, is_live=True)
    decision = plan(live, stack_started_at=NOW - 20)
    assert (decision.launch, decision.dead_run_id) == (True, live.run_id)


def due(*hours: int, key: str = "a:B") -> list[Pending]:
    return [Pending("trades", key, hour * HOUR, 7) for hour in hours]


@pytest.mark.parametrize(
    ("hours", "warm_up_h", "spans"),
    [
        ([1, 2, 3], 0, [(1, 4)]),
        ([1, 3], 0, [(1, 2), (3, 4)]),
        ([1, 3], 1, [(1, 5)]),
        ([1, 9], 3, [(1, 5), (9, 13)]),
        ([98], 10, [(98, 101)]),
        ([101], 10, [(101, 102)]),
    ],
)
def test_hours_that_touch_are_made_as_one_with_those_that_depend_on_them(
    hours: Sequence[int], warm_up_h: int, spans: Sequence[tuple[int, int]]
) -> None:
    """A late trade changes every average whose window holds it, and nothing of the future."""
    found = plan_stretches(due(*hours), warm_up_h=warm_up_h, as_of_us=LATER)
    expected = [Stretch("trades", "a:B", begins * HOUR, ends * HOUR) for begins, ends in spans]
    assert list(found) == expected


def test_keys_are_not_mixed() -> None:
    """An hour of one market says nothing of another's."""
    hours = [*due(1, key="a:B"), *due(2, key="a:C")]
    found = plan_stretches(hours, warm_up_h=0, as_of_us=LATER)
    assert [(each.key, each.begins_us // HOUR) for each in found] == [("a:B", 1), ("a:C", 2)]


def test_a_symbol_may_hold_a_colon() -> None:
    """Cut at the last one, it would be another market's."""
    assert split_key("kraken:A:B") == ("kraken", "A:B")


@pytest.mark.parametrize("name", list(ANALYTICS))
def test_a_computation_names_what_there_is(name: str) -> None:
    """A feed, a table or a predecessor by a wrong name would only show in a run."""
    computation, order = ANALYTICS[name], list(ANALYTICS)
    assert computation.name == name
    assert set(computation.feeds) <= set(FEED_BY_NAME)
    assert computation.table.place in build_metadata().tables
    assert set(computation.after) <= set(order[: order.index(name)])


def test_loads_note_the_hours_of_what_analytics_takes_and_of_nothing_else() -> None:
    """Notes that nobody takes grow for ever; where none are written nothing is ever made."""
    noted = {feed.name for feed in FEEDS if feed.notes_hours}
    assert noted == {name for each in ANALYTICS.values() for name in each.feeds}

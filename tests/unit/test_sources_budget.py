"""The budget: never more requests in a minute than our share of what the source allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.sources.budget import Budget


@pytest.mark.parametrize(
    ("requests_per_minute_max", "requests_max", "window_s"),
    [
        (30, 21, 60),
        (90, 63, 60),
        (10, 7, 60),
        (5, 3, 60),
        (600, 420, 60),
        (1, 1, 85.7),
        (0.5, 1, 171.4),
    ],
)
def test_live_polls_use_seventy_percent(
    requests_per_minute_max: float, requests_max: int, window_s: float
) -> None:
    """The rest is left to history; a source that allows less than one a minute still gets one."""
    budget = Budget(requests_per_minute_max)
    assert budget.requests_max == requests_max
    assert budget.window_s == pytest.approx(window_s, abs=0.1)


def test_a_request_over_the_budget_is_told_how_long_to_wait() -> None:
    """Guessing would mean asking too early or waiting too long."""
    budget = Budget(5)
    assert [budget.take(now_s) for now_s in (100, 110, 120)] == [0, 0, 0]
    assert budget.take(130) == 30
    assert budget.take(159) == 1
    assert budget.take(160) == 0
    assert budget.take(161) == 9


@given(st.lists(st.floats(min_value=0, max_value=20), max_size=60))
def test_no_minute_ever_holds_more_than_the_budget(pauses_s: list[float]) -> None:
    """A bucket that is full and refills would let through twice as many in its first minute."""
    budget = Budget(10)
    now_s, taken = 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        if budget.take(now_s) == 0:
            taken.append(now_s)
    for start in taken:
        assert sum(start <= moment < start + 60 for moment in taken) <= 7


def test_a_feed_that_is_far_behind_leaves_the_others_their_part() -> None:
    """Trades of a whole night must not keep candles from being asked for."""
    budget = Budget(100, share=1)
    assert budget.take(0, user="candles") == 0
    assert budget.take(0, user="trades") == 0
    greedy = sum(budget.take(1, user="trades") == 0 for _ in range(200))
    # 100, less the 25 that are kept for candles
    assert 1 + greedy == 75
    assert all(budget.take(2, user="candles") == 0 for _ in range(24))
    assert budget.take(3, user="candles") == 57
    assert budget.take(3, user="trades") == 57


def test_a_feed_that_comes_late_waits_for_room() -> None:
    """What is kept for it is no permission to ask more often than the source allows."""
    budget = Budget(10, share=1)
    assert [budget.take(at, user="trades") for at in range(10)] == [0] * 10
    assert budget.take(10, user="candles") == 50
    assert budget.take(60, user="candles") == 0
    assert budget.take(60, user="trades") == 1


def test_one_feed_alone_uses_the_whole_budget() -> None:
    """A source of quotes only must not get half of what it may ask."""
    budget = Budget(10, share=1)
    assert [budget.take(0, user="quotes") for _ in range(10)] == [0] * 10
    assert budget.take(0, user="quotes") == 60


def test_a_budget_too_small_to_be_divided_is_still_used() -> None:
    """Three requests a minute for four feeds: whoever comes first."""
    budget = Budget(3, share=1)
    assert [budget.take(at, user=user) for at, user in enumerate("abc")] == [0, 0, 0]
    assert budget.take(10, user="d") == 50
    assert budget.take(60, user="d") == 0


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=5), st.sampled_from("abc")), min_size=9))
def test_no_minute_ever_holds_more_than_the_budget_whoever_asks(
    asked: list[tuple[float, str]],
) -> None:
    """Parts that are kept must not add to the whole."""
    budget = Budget(12, share=1)
    now_s, taken = 0.0, []
    for pause_s, user in asked:
        now_s += pause_s
        wait_s = budget.take(now_s, user=user)
        if wait_s == 0:
            taken.append(now_s)
        assert 0 <= wait_s <= 60
    for start in taken:
        assert sum(start <= moment < start + 60 for moment in taken) <= 12

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

"""Whatever users do: orders meet by price and time, and no value is made or lost."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.company_steps import USD, Action, Rehearsal, draw_action

QUICK_ACTIONS = 50_000
LONG_ACTIONS = 1_000_000
CHECK_EVERY = 500

ACTIONS = st.lists(
    st.builds(
        Action,
        kind=st.integers(0, 9),
        user=st.integers(1, 3),
        product=st.integers(0, 1),
        level=st.integers(-6, 6),
        size=st.integers(1, 20),
        flags=st.integers(0, 7),
    ),
    max_size=60,
)
ALL_KINDS = {
    "deposit",
    "withdrawal",
    "order_accepted accepted None",
    "order_filled filled None",
    "order_filled partially_filled None",
    "order_cancelled cancelled ioc_unfilled",
    "order_cancelled cancelled no_liquidity",
    "order_cancelled cancelled self_trade",
    "order_cancelled cancelled user_cancelled",
    "order_rejected rejected below_minimum",
    "order_rejected rejected insufficient_funds",
    "order_rejected rejected post_only_would_cross",
}


def open_with_funds() -> Rehearsal:
    """Four users with more than they can spend, and a fifth with little."""
    rehearsal = Rehearsal()
    rehearsal.engine.deposit(5, "USD", 100 * USD, time_us=rehearsal.time_us)
    for user in range(1, 5):
        for currency, amount in (("USD", 10**14), ("BTC", 10**9), ("DOGE", 10**8)):
            rehearsal.engine.deposit(user, currency, amount, time_us=rehearsal.time_us)
    rehearsal.take_events()
    return rehearsal


def rehearse(actions: Sequence[Action], rehearsal: Rehearsal) -> None:
    for action in actions:
        rehearsal.act(action)
    rehearsal.check_all()


@settings(max_examples=150)
@given(actions=ACTIONS)
def test_whatever_users_with_money_do_keeps_every_rule(actions: list[Action]) -> None:
    """Each action is compared with a market that sorts all its orders anew."""
    rehearse(actions, open_with_funds())


@settings(max_examples=100)
@given(actions=ACTIONS)
def test_whatever_users_without_money_do_keeps_every_rule(actions: list[Action]) -> None:
    """Wallets at their end are where one falls below zero."""
    rehearse(actions, Rehearsal())


def run_long(seed: int, actions: int) -> Rehearsal:
    rehearsal, dice = open_with_funds(), random.Random(seed)
    for number in range(1, actions + 1):
        rehearsal.act(draw_action(dice))
        if number % CHECK_EVERY == 0:
            rehearsal.check_all()
        if number % 10_000 == 0:
            rehearsal.bodies.clear()
    rehearsal.check_all()
    return rehearsal


def test_a_long_day_of_random_actions_keeps_every_rule() -> None:
    """Long enough that everything that can happen does."""
    rehearsal = run_long(1, QUICK_ACTIONS)
    assert set(rehearsal.kinds) >= ALL_KINDS


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_random_actions_keep_every_rule() -> None:
    """What is rare comes in a million."""
    rehearsal = run_long(2, LONG_ACTIONS)
    assert set(rehearsal.kinds) >= ALL_KINDS


def test_the_same_actions_give_the_same_events_byte_for_byte() -> None:
    """A history that differs from run to run could not be compared with anything."""
    runs: list[list[bytes]] = []
    for _ in range(2):
        rehearsal, dice = open_with_funds(), random.Random(3)
        for _ in range(2000):
            rehearsal.act(draw_action(dice))
        runs.append(rehearsal.bodies)
    assert len(runs[0]) > 2000
    assert runs[0] == runs[1]

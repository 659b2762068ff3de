"""States are the same whatever the order of their facts, and however often one comes."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent
from crypto_platform.feeds.projection import Folded, fold, merge, order_parts
from tests.account_steps import build_busy_company

COMPANY = build_busy_company()
PLACES = range(len(COMPANY.events))


def check(orders: Folded, wallets: Folded) -> None:
    assert orders.states == {(order.order_id,): order for order in COMPANY.orders.values()}
    assert {key: order_parts(parts.values()) for (key,), parts in orders.parts.items()} == (
        COMPANY.fills
    )
    assert wallets.states == COMPANY.wallets


def test_states_are_what_the_last_events_say() -> None:
    """Taken, not calculated: no sum of ours can differ from the company's."""
    check(fold(ORDERS, COMPANY.events), fold(WALLETS, COMPANY.events))


@given(st.permutations(PLACES), st.lists(st.sampled_from(PLACES)), st.sets(st.sampled_from(PLACES)))
def test_any_order_in_any_batches_with_any_repeats_gives_the_same_states(
    order: Sequence[int], repeats: Sequence[int], cuts: set[int]
) -> None:
    """A replay, a restore by partition, two loads: none of them may leave another state behind."""
    events = [COMPANY.events[place] for place in (*order, *repeats)]
    bounds = [0, *sorted(cuts), len(events)]
    batches: list[list[AccountEvent]] = [events[begin:end] for begin, end in pairwise(bounds)]
    check(
        merge([fold(ORDERS, batch) for batch in batches]),
        merge([fold(WALLETS, batch) for batch in batches]),
    )

"""States are the same whatever the order of their facts, and however often one comes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.feed import State
from crypto_platform.feeds.projection import (
    Folded,
    Key,
    Named,
    Projection,
    arrange_parts,
    fold,
    merge,
)
from tests.account_steps import build_busy_company

COMPANY = build_busy_company()
PLACES = range(len(COMPANY.events))


def named(events: Sequence[AccountEvent]) -> Named:
    """As a load has them."""
    names = AccountEvent.__struct_fields__
    return dict(zip(names, to_columns(events) or [()] * len(names), strict=True))


def states(projection: Projection, folded: Folded) -> Mapping[Key, State]:
    rows = zip(*folded.columns, strict=True) if folded.columns else ()
    names = [field.name for field in projection.fields]
    found = [projection.state(**dict(zip(names, row, strict=True))) for row in rows]
    assert folded.keys == [projection.key_of(state) for state in found]
    return dict(zip(folded.keys, found, strict=True))


def check(orders: Folded, wallets: Folded) -> None:
    assert states(ORDERS, orders) == {(each.order_id,): each for each in COMPANY.orders.values()}
    assert states(WALLETS, wallets) == COMPANY.wallets


def test_states_are_what_the_last_events_say() -> None:
    """Taken, not calculated: no sum of ours can differ from the company's."""
    check(fold(ORDERS, named(COMPANY.events)), fold(WALLETS, named(COMPANY.events)))


@given(st.permutations(PLACES), st.lists(st.sampled_from(PLACES)), st.sets(st.sampled_from(PLACES)))
def test_any_order_in_any_batches_with_any_repeats_gives_the_same_states(
    order: Sequence[int], repeats: Sequence[int], cuts: set[int]
) -> None:
    """A replay, a restore by partition, two loads: none of them may leave another state behind."""
    events = [COMPANY.events[place] for place in (*order, *repeats)]
    bounds = [0, *sorted(cuts), len(events)]
    batches: list[list[AccountEvent]] = [events[begin:end] for begin, end in pairwise(bounds)]
    check(
        merge(ORDERS, [fold(ORDERS, named(batch)) for batch in batches]),
        merge(WALLETS, [fold(WALLETS, named(batch)) for batch in batches]),
    )


def test_fills_that_came_after_their_order_was_read_are_left_out() -> None:
    """An order and its fills are read one after the other, while loads go on."""
    assert ORDERS.parts is not None
    order, fills = COMPANY.orders["o-1"], COMPANY.fills["o-1"]
    assert arrange_parts(ORDERS.parts, order, fills[::-1]) == tuple(fills)
    later = msgspec.structs.replace(fills[-1], trade_id="later", sequence=order.sequence + 1)
    assert arrange_parts(ORDERS.parts, order, [later, *fills]) == tuple(fills)

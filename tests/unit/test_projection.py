"""States are the same whatever the order of their facts, and however often one comes."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.projection import Named, arrange_parts, fold
from tests.account_steps import build_busy_company

COMPANY = build_busy_company()
PLACES = range(len(COMPANY.events))


def named(events: Sequence[AccountEvent]) -> Named:
    """As a load has them."""
    names = AccountEvent.__struct_fields__
    return dict(zip(names, to_columns(events) or [()] * len(names), strict=True))


def check(events: Sequence[AccountEvent]) -> None:
    """The last states of these events, each once, are the company's."""
    for projection, truth in ((ORDERS, COMPANY.orders), (WALLETS, COMPANY.wallets)):
        folded = fold(projection, named(events))
        names = [field.name for field in projection.fields]
        found = [
            projection.state(**dict(zip(names, row, strict=True)))
            for row in zip(*projection.columns_of(folded), strict=True)
        ]
        assert projection.keys_of(folded) == [projection.key_of(state) for state in found]
        assert sorted(found, key=projection.key_of) == sorted(truth.values(), key=projection.key_of)


def test_states_are_what_the_last_events_say() -> None:
    """Taken, not calculated: no sum of ours can differ from the company's."""
    check(COMPANY.events)


@given(st.permutations(PLACES), st.lists(st.sampled_from(PLACES)))
def test_any_order_with_any_repeats_gives_the_same_states(
    order: Sequence[int], repeats: Sequence[int]
) -> None:
    """A replay, a restore by partition, two loads: none of them may leave another state behind."""
    check([COMPANY.events[place] for place in (*order, *repeats)])


def test_events_without_an_order_derive_none() -> None:
    """A batch of deposits, or of one event, has fewer states than the usual thousands."""
    deposits = [event for event in COMPANY.events if event.order_id is None]
    assert ORDERS.columns_of(fold(ORDERS, named(deposits))) == [[] for _ in ORDERS.fields]
    assert len(WALLETS.keys_of(fold(WALLETS, named(deposits[:1])))) == 1
    assert WALLETS.keys_of(fold(WALLETS, named([]))) == []


def test_fills_that_came_after_their_order_was_read_are_left_out() -> None:
    """An order and its fills are read one after the other, while loads go on."""
    assert ORDERS.parts is not None
    order, fills = COMPANY.orders["o-1"], COMPANY.fills["o-1"]
    assert arrange_parts(ORDERS.parts, order, fills[::-1]) == tuple(fills)
    later = msgspec.structs.replace(fills[-1], trade_id="later", sequence=order.sequence + 1)
    assert arrange_parts(ORDERS.parts, order, [later, *fills]) == tuple(fills)

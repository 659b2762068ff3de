"""Orders and matches: the same in both stores, each match of two halves, states ahead of the cut.

Here: pure comparisons. Not here: where it comes from (reconciliation.py), wallets
(reconciliation_ledger.py).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from crypto_platform.delivery.reconciliation_ledger import describe_difference
from crypto_platform.delivery.reconciliation_report import Discrepancy, Mismatches
from crypto_platform.feeds.accounts import AccountEvent, Liquidity, Order
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.projection import Projection
from crypto_platform.feeds.record import State
from crypto_platform.stores.accounts import Half, ToldOrder, Whole

_BOTH = sorted((Liquidity.MAKER.value, Liquidity.TAKER.value))


def compare_order(
    found: Mapping[str, Whole | None],
    told: ToldOrder | None,
    *,
    cut: int,
    mismatches: Mismatches,
) -> list[tuple[str, State]]:
    """Compare an order with its fills between stores, and with what events tell of it.

    A store that has it above the cut is ahead, and the others are not compared with it.

    Args:
        found: By store; None where it has none.
        told: By events up to the cut; None where none tells of it.

    Returns:
        The states that are above the cut, with their stores.
    """
    known = {store: whole for store, whole in found.items() if whole is not None}
    ahead = [(store, each.state) for store, each in known.items() if each.state.sequence > cut]
    if ahead:
        return ahead
    differs = False
    for (one, first), (other, second) in pairwise(found.items()):
        if first == second:
            continue
        differs = True
        state = (first or second or next(iter(known.values()))).state
        assert isinstance(state, Order)
        mismatches.add(
            Discrepancy.STATES_DIFFER,
            f"{one} and {other}",
            user_id=state.user_id,
            currency=state.venue_symbol,
            detail=f"order {state.order_id}: " + _describe(one, first, other, second),
        )
    if not differs:
        _compare_with_told(" and ".join(found), next(iter(found.values())), told, mismatches)
    return []


def _compare_with_told(
    stores: str, whole: Whole | None, told: ToldOrder | None, mismatches: Mismatches
) -> None:
    """Compare what all stores have alike with their events: all may have lost it alike."""
    if whole is None:
        assert told is not None, "a key without a value"
        mismatches.add(
            Discrepancy.ORDER_MISSING,
            stores,
            user_id=told.user_id,
            detail=f"order {told.order_id}: event {told.sequence:,} is the last one of it",
        )
        return
    order = whole.state
    assert isinstance(order, Order)
    if told is None or told.sequence != order.sequence:
        last = "no event tells of it" if told is None else f"event {told.sequence:,} is its last"
        mismatches.add(
            Discrepancy.STATE_UNFOUNDED,
            stores,
            user_id=order.user_id,
            currency=order.venue_symbol,
            detail=f"order {order.order_id}: it is as of event {order.sequence:,}, and {last}",
        )


def _describe(one: str, first: Whole | None, other: str, second: Whole | None) -> str:
    if first is None or second is None:
        return f"only in {one if second is None else other}"
    if first.state != second.state:
        return describe_difference(first.state, second.state, names=(one, other))
    return f"{len(first.parts)} fills in {one}, {len(second.parts)} in {other}, or others"


def check_match(store: str, halves: Sequence[Half], *, cut: int, mismatches: Mismatches) -> None:
    """Check one match: a maker's half and a taker's with equal price and quantity.

    Args:
        halves: All of the match up to the cut, at least one; the half at the cut itself may wait
            for its other.
    """
    first = halves[0]
    if len(halves) == 1 and first.sequence == cut:
        return
    where = f"match {first.trade_id} of {first.venue_symbol}"
    if sorted(half.liquidity for half in halves) != _BOTH:
        told = ", ".join(f"{half.liquidity} in event {half.sequence}" for half in halves[:5])
        kind, detail = Discrepancy.HALF_MISSING, f"{where} has of halves: {told}"
    elif len({(half.price, half.quantity) for half in halves}) > 1:
        told = " and ".join(f"{half.quantity} at {half.price}" for half in halves)
        kind, detail = Discrepancy.HALVES_DIFFER, f"{where} is {told}"
    else:
        return
    mismatches.add(kind, store, user_id=first.user_id, currency=first.venue_symbol, detail=detail)


def check_ahead(
    store: str,
    projection: Projection,
    states: Sequence[State],
    events: Sequence[AccountEvent],
    *,
    mismatches: Mismatches,
) -> None:
    """Compare states above the cut with what their store's own events say.

    Args:
        events: Those of the states' users and sequences that the store has.
    """
    told = {
        (*projection.key_of(state), state.sequence): state
        for state in derive_states(projection, events)
    }
    for state in states:
        expected = told.get((*projection.key_of(state), state.sequence))
        if state == expected:
            continue
        difference = (
            f"the store has no event {state.sequence} that says so"
            if expected is None
            else describe_difference(state, expected, names=("the state", "its event"))
        )
        mismatches.add(
            Discrepancy.STATE_UNFOUNDED,
            store,
            user_id=getattr(state, "user_id", None),
            currency=getattr(state, "currency", None) or getattr(state, "venue_symbol", None),
            detail=f"{projection.table} {' '.join(projection.key_of(state))}: {difference}",
        )


def derive_states(projection: Projection, events: Sequence[AccountEvent]) -> list[State]:
    """What each event says of each thing of this kind."""
    if not events:
        return []
    named: Mapping[str, Sequence[Any]] = dict(
        zip(AccountEvent.__struct_fields__, to_columns(events), strict=True)
    )
    names = [field.name for field in projection.fields]
    return [
        projection.state(**dict(zip(names, row, strict=True)))
        for row in zip(*projection.columns_of(projection.derive(named)), strict=True)
    ]

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
from crypto_platform.stores.accounts import Half, Whole

_BOTH = sorted((Liquidity.MAKER.value, Liquidity.TAKER.value))


def compare_order(
    found: Mapping[str, Whole | None], *, cut: int, mismatches: Mismatches
) -> list[tuple[str, State]]:
    """Compare an order with its fills between stores.

    A store that has it above the cut is ahead, and the others are not compared with it.

    Args:
        found: By store; None where it has none.

    Returns:
        The states that are above the cut, with their stores.
    """
    known = {store: whole for store, whole in found.items() if whole is not None}
    ahead = [(store, each.state) for store, each in known.items() if each.state.sequence > cut]
    if ahead:
        return ahead
    for (one, first), (other, second) in pairwise(found.items()):
        if first == second:
            continue
        state = (first or second or next(iter(known.values()))).state
        assert isinstance(state, Order)
        mismatches.add(
            Discrepancy.STATES_DIFFER,
            f"{one} and {other}",
            user_id=state.user_id,
            currency=state.venue_symbol,
            detail=f"order {state.order_id}: " + _describe(one, first, other, second),
        )
    return []


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

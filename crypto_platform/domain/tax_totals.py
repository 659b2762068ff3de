"""Sums of a tax year, and what each leaves out because nobody knows it.

Here: sums by currency and kind, exact. A part whose gain is unknown is in no sum of values, for a
sum with a hole is not a sum: it is counted beside them. Where no part is known, neither is the sum.
Not here: rounding (tax_rounding.py).
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from crypto_platform.domain import exact
from crypto_platform.domain.holding_periods import HoldingClass
from crypto_platform.domain.tax_records import (
    Disposal,
    DisposalPart,
    FeePaid,
    FeeTreatment,
    HeldLot,
)

_Item = TypeVar("_Item")
_Key = TypeVar("_Key", bound=tuple[str, ...])


class GainTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Disposals of one currency and holding class.

    Attributes:
        currency, holding: Which.
        quantity: Of all parts.
        proceeds, cost_basis, realized_gain: Of the parts whose gain is known.
        unknown_parts: How many are not in those three.
    """

    currency: str
    holding: HoldingClass
    quantity: Decimal
    proceeds: Decimal | None
    cost_basis: Decimal | None
    realized_gain: Decimal | None
    unknown_parts: int


class HeldTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What was held of one currency.

    Attributes:
        currency: Which.
        quantity: Of all lots.
        cost_basis, market_value, unrealized_gain: Of the lots whose gain is known.
        unknown_lots: How many are not in those three.
    """

    currency: str
    quantity: Decimal
    cost_basis: Decimal | None
    market_value: Decimal | None
    unrealized_gain: Decimal | None
    unknown_lots: int


class FeeTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Fees paid in one currency and treated alike.

    Attributes:
        currency, treatment: Which.
        amount: Of all.
        value: Of those whose value is known.
        unknown_fees: How many are not in the value.
    """

    currency: str
    treatment: FeeTreatment
    amount: Decimal
    value: Decimal | None
    unknown_fees: int


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What was held at one moment: lots by currency, the oldest first; sums by currency."""

    lots: tuple[HeldLot, ...]
    totals: tuple[HeldTotal, ...]


def group(pairs: Iterable[tuple[_Key, _Item]]) -> Mapping[_Key, list[_Item]]:
    """What has the same key, keys in alphabetical order."""
    groups: dict[_Key, list[_Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return {key: groups[key] for key in sorted(groups)}


def group_parts(
    disposals: Iterable[Disposal],
) -> Mapping[tuple[str, HoldingClass], list[DisposalPart]]:
    """Parts by currency and holding class."""
    return group(((each.currency, part.holding), part) for each in disposals for part in each.parts)


def sum_gains(disposals: Iterable[Disposal]) -> tuple[GainTotal, ...]:
    """Sums by currency and holding class."""
    totals: list[GainTotal] = []
    for (currency, holding), parts in group_parts(disposals).items():
        known = [each for each in parts if each.realized_gain is not None]
        totals.append(
            GainTotal(
                currency=currency,
                holding=holding,
                quantity=exact.total(each.quantity for each in parts),
                proceeds=_sum(each.proceeds for each in known),
                cost_basis=_sum(each.cost_basis for each in known),
                realized_gain=_sum(each.realized_gain for each in known),
                unknown_parts=len(parts) - len(known),
            )
        )
    return tuple(totals)


def sum_holdings(lots: Iterable[HeldLot]) -> tuple[HeldTotal, ...]:
    """Sums by currency."""
    totals: list[HeldTotal] = []
    for (currency,), held in group(((each.currency,), each) for each in lots).items():
        known = [each for each in held if each.unrealized_gain is not None]
        totals.append(
            HeldTotal(
                currency=currency,
                quantity=exact.total(each.quantity for each in held),
                cost_basis=_sum(each.cost_basis for each in known),
                market_value=_sum(each.market_value for each in known),
                unrealized_gain=_sum(each.unrealized_gain for each in known),
                unknown_lots=len(held) - len(known),
            )
        )
    return tuple(totals)


def sum_fees(fees: Iterable[FeePaid]) -> tuple[FeeTotal, ...]:
    """Sums by currency and treatment."""
    totals: list[FeeTotal] = []
    for (currency, treatment), paid in group(
        ((each.currency, each.treatment), each) for each in fees
    ).items():
        unknown = [each for each in paid if each.value is None]
        totals.append(
            FeeTotal(
                currency=currency,
                treatment=treatment,
                amount=exact.total(each.amount for each in paid),
                value=exact.total_known(each.value for each in paid),
                unknown_fees=len(unknown),
            )
        )
    return tuple(totals)


def _sum(known: Iterable[Decimal | None]) -> Decimal | None:
    """Of none there is no sum: the group has parts, and all of them are unknown."""
    amounts = [each for each in known if each is not None]
    return exact.total(amounts) if amounts else None

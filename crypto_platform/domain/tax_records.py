"""What the books of tax consist of: disposals and their parts, fees, transfers, lots held.

Here: plain facts, amounts exact or rounded by whoever says so. Not here: how they come about
(tax_book.py), their sums (tax_report.py).
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from crypto_platform.domain import exact
from crypto_platform.domain.holding_periods import HoldingClass


class DisposalKind(StrEnum):
    """Given for money, given for another currency, or given as a fee."""

    SALE = "sale"
    EXCHANGE = "exchange"
    FEE = "fee"


class FeeTreatment(StrEnum):
    """Where a fee went.

    COST: into the cost basis of what was bought. PROCEEDS: off the proceeds of what was sold.
    NONE: nowhere, for nothing was acquired or disposed of.
    """

    COST = "cost"
    PROCEEDS = "proceeds"
    NONE = "none"


class DisposalPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one lot gave to a disposal.

    Attributes:
        lot_event_id: The event that acquired the lot.
        ts_acquired: The lot's.
        is_acquired_known: The lot's.
        holding: Short or long.
        quantity: Of the lot, above zero.
        proceeds: Its share of the disposal's; None: unknown.
        cost_basis: Its share of the lot's; None: unknown.
        realized_gain: Proceeds less cost basis; None where one of them is unknown.
    """

    lot_event_id: str
    ts_acquired: int
    is_acquired_known: bool
    holding: HoldingClass
    quantity: Decimal
    proceeds: Decimal | None
    cost_basis: Decimal | None
    realized_gain: Decimal | None


class Disposal(msgspec.Struct, frozen=True, kw_only=True):
    """What consumed lots.

    Attributes:
        event_id: The event's.
        ts_event: When.
        kind: For what.
        currency: Of what.
        quantity: How much, with a fee paid on top of it in the same currency.
        proceeds: What was received for it, less fees; None: unknown. May be below zero.
        how: How one knows.
        parts: In the order the lots were consumed.
    """

    event_id: str
    ts_event: int
    kind: DisposalKind
    currency: str
    quantity: Decimal
    proceeds: Decimal | None
    how: str
    parts: tuple[DisposalPart, ...]


class FeePaid(msgspec.Struct, frozen=True, kw_only=True):
    """A fee, for information: where it counts, it is in cost basis or proceeds already.

    Attributes:
        event_id: The event's.
        ts_event: When.
        currency: What it was paid in.
        amount: How much of it.
        value: What that was worth; None: unknown.
        treatment: Where it went.
    """

    event_id: str
    ts_event: int
    currency: str
    amount: Decimal
    value: Decimal | None
    treatment: FeeTreatment


class Unvalued(msgspec.Struct, frozen=True, kw_only=True):
    """Something whose value nobody knows.

    Attributes:
        event_id: The event's; of a lot still held, the one that acquired it.
        ts_event: When its value was asked for.
        what: cost_basis | proceeds | fee | market_value.
        currency: Of what.
        quantity: How much of it.
        why: What is missing.
    """

    event_id: str
    ts_event: int
    what: str
    currency: str
    quantity: Decimal
    why: str


class TransferPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one lot gave to a withdrawal: who brings it back says these as its origin.

    Attributes:
        lot_event_id: The event that acquired the lot.
        ts_acquired: The lot's.
        is_acquired_known: The lot's.
        quantity: Of the lot, above zero.
        cost_basis: What went along; None: unknown.
    """

    lot_event_id: str
    ts_acquired: int
    is_acquired_known: bool
    quantity: Decimal
    cost_basis: Decimal | None


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal: lots that left, and stay the user's.

    Attributes:
        event_id: The event's.
        ts_event: When.
        currency: Of what.
        quantity: How much, without the fee.
        parts: In the order of the booking method.
    """

    event_id: str
    ts_event: int
    currency: str
    quantity: Decimal
    parts: tuple[TransferPart, ...]


class HeldLot(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a lot at a time.

    Attributes:
        event_id: The event that acquired it.
        ts_acquired: When; for a deposit of unknown origin, when it arrived.
        is_acquired_known: False for such a deposit.
        currency: Of what.
        quantity: Left, above zero.
        cost_basis: Of what is left; None: unknown.
        market_value: At the time; None: unknown.
        unrealized_gain: Market value less cost basis; None where one of them is unknown.
        how: What the cost basis was made of.
    """

    event_id: str
    ts_acquired: int
    is_acquired_known: bool
    currency: str
    quantity: Decimal
    cost_basis: Decimal | None
    market_value: Decimal | None
    unrealized_gain: Decimal | None
    how: str


def find_gain(proceeds: Decimal | None, cost_basis: Decimal | None) -> Decimal | None:
    """Proceeds less cost basis; None where one of them is unknown."""
    if proceeds is None or cost_basis is None:
        return None
    return exact.subtract(proceeds, cost_basis)

"""Tax lots of one user and currency: what was acquired when and for what, and what is left of it.

Here: the order in which lots are consumed and the cost each part takes along, exactly: the cost of
what was consumed and of what is left is the cost of what was acquired, to the last digit. Not here:
values and proceeds (tax_book.py), years (tax_report.py).
"""

import heapq
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import msgspec

from crypto_platform.domain import exact


class BookingMethod(StrEnum):
    """Which lots a disposal consumes.

    FIFO the oldest, LIFO the newest, HIFO those with the highest cost a unit (fees included; the
    older of equals; unknown cost last). AVERAGE_COST consumes the oldest too, which decides how
    long they were held, but all lots cost what they cost on average.
    """

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"
    AVERAGE_COST = "average_cost"


class TaxLot(msgspec.Struct, frozen=True, kw_only=True):
    """What was acquired by one event.

    Attributes:
        event_id: The event's.
        currency: What was acquired.
        quantity: How much of it, above zero.
        cost_basis: What all of it cost, fees included, in the report's currency; None: unknown.
        ts_acquired: When, microseconds since 1970; for a deposit whose owner did not say, when it
            arrived.
        is_acquired_known: False for such a deposit.
        how: What the cost basis was made of.
    """

    event_id: str
    currency: str
    quantity: Decimal
    cost_basis: Decimal | None
    ts_acquired: int
    is_acquired_known: bool = True
    how: str = ""


class LotPart(NamedTuple):
    """Some or all of a lot: consumed, or left.

    Attributes:
        lot: Which.
        quantity: Above zero.
        cost_basis: Of this part; under AVERAGE_COST not the lot's own.
    """

    lot: TaxLot
    quantity: Decimal
    cost_basis: Decimal | None


class KnownCost(NamedTuple):
    """Of a pool, what has a known cost.

    Attributes:
        quantity: Of the lots whose cost is known; all of the pool or nothing under AVERAGE_COST.
        cost_basis: Of that quantity.
    """

    quantity: Decimal
    cost_basis: Decimal


_NOTHING = KnownCost(exact.ZERO, exact.ZERO)

_SortKey = tuple[Decimal | int, ...]
_Entry = tuple[_SortKey, int, LotPart]


def _oldest(lot: TaxLot, place: int) -> _SortKey:
    return (lot.ts_acquired, place)


def _newest(lot: TaxLot, place: int) -> _SortKey:
    return (-lot.ts_acquired, -place)


def _highest(lot: TaxLot, place: int) -> _SortKey:
    if lot.cost_basis is None:
        return (1, exact.ZERO, lot.ts_acquired, place)
    unit_cost = exact.divide(lot.cost_basis, lot.quantity)
    return (0, unit_cost.copy_negate(), lot.ts_acquired, place)


_ORDERS: dict[BookingMethod, Callable[[TaxLot, int], _SortKey]] = {
    BookingMethod.FIFO: _oldest,
    BookingMethod.LIFO: _newest,
    BookingMethod.HIFO: _highest,
    BookingMethod.AVERAGE_COST: _oldest,
}


class LotPool:
    """The lots of one currency that are not consumed yet.

    Attributes:
        quantity: Of all of them.
    """

    def __init__(self, method: BookingMethod) -> None:
        self.quantity = exact.ZERO
        self._order = _ORDERS[method]
        self._is_averaged = method is BookingMethod.AVERAGE_COST
        self._entries: list[_Entry] = []
        self._placed = 0
        self._pooled_cost: Decimal | None = exact.ZERO  # of all lots, read under AVERAGE_COST
        self._known = _NOTHING  # of lots by their own costs

    @property
    def known(self) -> KnownCost:
        """What `list_left` would add up to, without going through it."""
        if not self._is_averaged:
            return self._known
        return (
            _NOTHING if self._pooled_cost is None else KnownCost(self.quantity, self._pooled_cost)
        )

    def acquire(self, lot: TaxLot) -> None:
        """Add a lot, later than all before it in the order of events."""
        self._placed += 1
        part = LotPart(lot, lot.quantity, lot.cost_basis)
        heapq.heappush(self._entries, (self._order(lot, self._placed), self._placed, part))
        self.quantity = exact.add(self.quantity, lot.quantity)
        if lot.cost_basis is not None:
            self._known = KnownCost(
                exact.add(self._known.quantity, lot.quantity),
                exact.add(self._known.cost_basis, lot.cost_basis),
            )
        if self._pooled_cost is None or lot.cost_basis is None:
            self._pooled_cost = None
        else:
            self._pooled_cost = exact.add(self._pooled_cost, lot.cost_basis)

    def consume(self, quantity: Decimal) -> list[LotPart]:
        """Take a quantity out of the lots whose turn it is.

        Args:
            quantity: Above zero and not more than there is: who calls has looked.

        Returns:
            Parts in the order consumed; their quantities add up to the quantity.
        """
        assert 0 < quantity <= self.quantity, "more than there is"
        parts: list[LotPart] = []
        missing = quantity
        while missing:
            part = self._take(missing)
            parts.append(part)
            if part.cost_basis is not None:
                self._known = KnownCost(
                    exact.subtract(self._known.quantity, part.quantity),
                    exact.subtract(self._known.cost_basis, part.cost_basis),
                )
            missing = exact.subtract(missing, part.quantity)
        if self._is_averaged:
            parts = self._charge_average(quantity, parts)
        self.quantity = exact.subtract(self.quantity, quantity)
        return parts

    def _charge_average(self, quantity: Decimal, parts: Sequence[LotPart]) -> list[LotPart]:
        pooled = self._pooled_cost
        share = None if pooled is None else exact.take_share(pooled, quantity, of=self.quantity)
        if quantity == self.quantity:
            self._pooled_cost = exact.ZERO  # an unknown cost is gone with the last of it
        elif pooled is not None and share is not None:
            self._pooled_cost = exact.subtract(pooled, share)
        return _spread(share, parts)

    def _take(self, quantity_max: Decimal) -> LotPart:
        key, place, left = self._entries[0]
        if left.quantity <= quantity_max:
            heapq.heappop(self._entries)
            return left
        cost = left.cost_basis
        taken = None if cost is None else exact.take_share(cost, quantity_max, of=left.quantity)
        rest = None if cost is None or taken is None else exact.subtract(cost, taken)
        kept = LotPart(left.lot, exact.subtract(left.quantity, quantity_max), rest)
        self._entries[0] = (key, place, kept)
        return LotPart(left.lot, quantity_max, taken)

    def list_left(self) -> list[LotPart]:
        """What is left of each lot, the oldest first."""
        left = [part for _, _, part in sorted(self._entries, key=_by_age)]
        return _spread(self._pooled_cost, left) if self._is_averaged else left


def _by_age(entry: _Entry) -> tuple[int, int]:
    _, place, part = entry
    return (part.lot.ts_acquired, place)


def _spread(cost: Decimal | None, parts: Sequence[LotPart]) -> list[LotPart]:
    if cost is None:
        return [part._replace(cost_basis=None) for part in parts]
    shares = exact.split(cost, [part.quantity for part in parts])
    return [part._replace(cost_basis=share) for part, share in zip(parts, shares, strict=True)]

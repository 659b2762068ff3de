"""What a user's wallets were worth at the end of each day, and what he gained and paid by then.

Here: the fold of balances and lots over days. Gains are counted as a tax report counts them
(tax_book.py); money has no lots, so a change of exchange rates is in the value and in no gain. Not
here: where balances and prices come from.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

import msgspec

from crypto_platform.domain import exact
from crypto_platform.domain.hours import from_time_us, to_time_us
from crypto_platform.domain.tax_book import TaxBook
from crypto_platform.domain.tax_events import TaxEvent
from crypto_platform.domain.tax_lots import BookingMethod, KnownCost
from crypto_platform.domain.tax_records import find_gain
from crypto_platform.domain.valuation import Money, Valuer


class Movement(NamedTuple):
    """What one event added to a wallet, or took from it.

    Attributes:
        ts_event: Microseconds since 1970.
        amount: Available and locked together; may be below zero.
    """

    ts_event: int
    currency: str
    amount: Decimal


class DayHolding(msgspec.Struct, frozen=True, kw_only=True):
    """What there was of one currency.

    Attributes:
        quantity: At the day's end, not zero.
        value: In the history's currency; None: unknown.
    """

    currency: str
    quantity: Decimal
    value: Decimal | None


class PortfolioDay(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one day.

    Attributes:
        day: Of the history's time zone.
        holdings: By currency.
        value: Of all holdings whose value is known.
        unvalued: Currencies that it leaves out.
        realized_gain: Of all disposals whose gain is known, from the first event on.
        unrealized_gain: Of what is held, where its cost and its value are known.
        gains_without: Currencies of which either leaves something out.
        fees: Of all fees whose value is known, from the first event on.
    """

    day: date
    holdings: tuple[DayHolding, ...]
    value: Decimal
    unvalued: tuple[str, ...]
    realized_gain: Decimal
    unrealized_gain: Decimal
    gains_without: tuple[str, ...]
    fees: Decimal


def build_portfolio_history(
    movements: Iterable[Movement],
    events: Iterable[TaxEvent],
    valuer: Valuer,
    *,
    first_day: date,
    last_day: date,
    booking_method: BookingMethod = BookingMethod.FIFO,
) -> tuple[PortfolioDay, ...]:
    """Each day from the first to the last, both inclusive.

    Args:
        movements, events: All there are of the user, from his first on, in any order.
        valuer: Its time zone says when a day ends, its currency what is counted in.

    Raises:
        AccountingError: missing_acquisition, as of a tax report.
    """
    history = _History(valuer, booking_method)
    moved = sorted(movements, key=lambda each: each.ts_event)
    own = sorted(events, key=lambda each: (each.ts_event, each.sequence, each.event_id))
    place = event_place = 0
    days: list[PortfolioDay] = []
    for day in _list_days(first_day, last_day):
        ts_end = end_of_day(day, valuer.time_zone)
        while place < len(moved) and moved[place].ts_event < ts_end:
            history.move(moved[place])
            place += 1
        while event_place < len(own) and own[event_place].ts_event < ts_end:
            history.book.apply(own[event_place])
            event_place += 1
        days.append(history.close(day, ts_end - 1))
    return tuple(days)


def end_of_day(day: date, time_zone: tzinfo) -> int:
    """The first moment of the next day."""
    return to_time_us(datetime.combine(day + timedelta(days=1), time(), time_zone))


def day_at(ts_event: int, time_zone: tzinfo) -> date:
    """Which day a moment belongs to."""
    return from_time_us(ts_event).astimezone(time_zone).date()


def _list_days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


class _History:
    """Balances, lots and sums up to the last event."""

    def __init__(self, valuer: Valuer, booking_method: BookingMethod) -> None:
        self.book = TaxBook(
            valuer, booking_method=booking_method, holding_limit=None, time_zone=valuer.time_zone
        )
        self._valuer = valuer
        self._balances: dict[str, Decimal] = {}
        self._realized, self._fees = exact.ZERO, exact.ZERO
        self._unknown: set[str] = set()
        self._disposals_seen = self._fees_seen = 0

    def move(self, movement: Movement) -> None:
        held = self._balances.get(movement.currency, exact.ZERO)
        self._balances[movement.currency] = exact.add(held, movement.amount)

    def close(self, day: date, ts_event: int) -> PortfolioDay:
        self._add_up()
        holdings = tuple(
            DayHolding(
                currency=currency,
                quantity=quantity,
                value=self._valuer.value(Money(currency, quantity), ts_event).value,
            )
            for currency, quantity in sorted(self._balances.items())
            if quantity
        )
        unrealized, unknown = exact.ZERO, set(self._unknown)
        for currency, pool in self.book.list_pools().items():
            gain = self._find_unrealized(currency, pool.known, ts_event)
            unrealized = exact.add(unrealized, gain or exact.ZERO)
            if gain is None or pool.known.quantity < pool.quantity:
                unknown.add(currency)
        return PortfolioDay(
            day=day,
            holdings=holdings,
            value=exact.total(each.value for each in holdings if each.value is not None),
            unvalued=tuple(each.currency for each in holdings if each.value is None),
            realized_gain=self._realized,
            unrealized_gain=unrealized,
            gains_without=tuple(sorted(unknown)),
            fees=self._fees,
        )

    def _add_up(self) -> None:
        """What was disposed of and paid since the last day."""
        for disposal in self.book.disposals[self._disposals_seen :]:
            for part in disposal.parts:
                if part.realized_gain is None:
                    self._unknown.add(disposal.currency)
                else:
                    self._realized = exact.add(self._realized, part.realized_gain)
        for fee in self.book.fees[self._fees_seen :]:
            self._fees = exact.add(self._fees, fee.value or exact.ZERO)
        self._disposals_seen, self._fees_seen = len(self.book.disposals), len(self.book.fees)

    def _find_unrealized(self, currency: str, known: KnownCost, ts_event: int) -> Decimal | None:
        """Of those lots whose cost is known; None where their value is not."""
        if not known.quantity:
            return exact.ZERO
        value = self._valuer.value(Money(currency, known.quantity), ts_event).value
        return find_gain(value, known.cost_basis)

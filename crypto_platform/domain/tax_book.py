"""What a user's events mean for tax: lots acquired, disposals, fees; event by event.

Here: the rules of docs/tax.md. Values are those of the event's time; what cannot be valued stays
None and is listed. Not here: the order in which lots are consumed (tax_lots.py), years, sums and
rounding (tax_report.py).
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal

from crypto_platform.domain import exact
from crypto_platform.domain.holding_periods import HoldingLimit, classify_holding
from crypto_platform.domain.tax_events import (
    Exchange,
    TaxEvent,
    TransferIn,
    TransferOut,
    gross_of,
    net_of,
)
from crypto_platform.domain.tax_lots import BookingMethod, LotPart, LotPool, TaxLot
from crypto_platform.domain.tax_records import (
    Disposal,
    DisposalKind,
    DisposalPart,
    FeePaid,
    FeeTreatment,
    Transfer,
    TransferPart,
    Unvalued,
    find_gain,
)
from crypto_platform.domain.valuation import Money, Valuation, Valuer
from crypto_platform.errors import AccountingError, AccountingKind

UNKNOWN_ORIGIN = "a deposit of unknown origin"
"""Why a lot's cost is unknown."""


class TaxBook:
    """One user's lots and disposals up to the last event applied.

    Attributes:
        disposals, fees, transfers, unvalued: In the order of events.
        is_averaged: Whether one unknown cost makes those of all lots beside it unknown.
    """

    def __init__(
        self,
        valuer: Valuer,
        *,
        booking_method: BookingMethod,
        holding_limit: HoldingLimit | None,
        time_zone: tzinfo,
    ) -> None:
        self.disposals: list[Disposal] = []
        self.fees: list[FeePaid] = []
        self.transfers: list[Transfer] = []
        self.unvalued: list[Unvalued] = []
        self.is_averaged = booking_method is BookingMethod.AVERAGE_COST
        self._valuer = valuer
        self._method = booking_method
        self._holding_limit = holding_limit
        self._time_zone = time_zone
        self._pools: dict[str, LotPool] = {}

    def apply(self, event: TaxEvent) -> None:
        """Book one event, later than all before it.

        Raises:
            AccountingError: missing_acquisition. More left than had come; nothing is booked.
        """
        match event:
            case Exchange():
                self._exchange(event)
            case TransferIn():
                self._transfer_in(event)
            case TransferOut():
                self._transfer_out(event)
            case _:
                message = f"no rule for {type(event).__name__}"
                raise TypeError(message)

    def list_lots(self) -> Mapping[str, Sequence[LotPart]]:
        """What is left of the lots, by currency in alphabetical order; the oldest first."""
        left = {name: self._pools[name].list_left() for name in sorted(self._pools)}
        return {name: parts for name, parts in left.items() if parts}

    def list_pools(self) -> Mapping[str, LotPool]:
        """What is left by currency, in alphabetical order; to be looked at only."""
        return {name: pool for name, pool in sorted(self._pools.items()) if pool.quantity}

    def _exchange(self, event: Exchange) -> None:
        sold, bought = gross_of(event.sold, event.fee), net_of(event.bought, event.fee)
        other_fee = event.fee if event.fee and event.fee.currency not in _sides(event) else None
        self._require(event, [sold, *([other_fee] if other_fee else [])])
        is_purchase, is_sale = (self._valuer.is_money(each.currency) for each in (sold, bought))
        treatment = _treat_fee(is_purchase=is_purchase, is_sale=is_sale)
        fee_value = self._book_fee(event, event.fee, treatment)
        extra = fee_value if other_fee else Valuation(exact.ZERO, "")
        value = self._value_exchange(event, sold, bought)
        if not is_purchase:
            kind = DisposalKind.SALE if is_sale else DisposalKind.EXCHANGE
            self._dispose(event, kind, sold, _combine(value, extra, sign=-1))
        if other_fee:
            self._pay(event, other_fee, fee_value)
        if not is_sale:
            cost = _combine(value, extra, sign=1) if is_purchase else value
            self._acquire(event, bought, cost)

    def _value_exchange(self, event: Exchange, sold: Money, bought: Money) -> Valuation:
        """Both sides are worth the same: what is certain about one of them, then the estimate."""
        sides = sorted((bought, sold), key=self._certainty)
        answers: list[Valuation] = []
        for side in sides:
            answers.append(self._valuer.value(side, event.ts_event))
            if answers[-1].value is not None:
                return answers[-1]
        return Valuation(None, "; ".join(answer.how for answer in answers))

    def _certainty(self, money: Money) -> int:
        if money.currency == self._valuer.currency:
            return 0
        return 1 if self._valuer.is_money(money.currency) else 2

    def _transfer_in(self, event: TransferIn) -> None:
        if self._valuer.is_money(event.received.currency):
            return
        if event.origin is None:
            self._acquire(event, event.received, Valuation(None, UNKNOWN_ORIGIN))
            return
        ts_acquired, cost = event.origin
        valuation = self._valuer.value(cost, ts_acquired)
        self._acquire(event, event.received, valuation, ts_acquired=ts_acquired)

    def _transfer_out(self, event: TransferOut) -> None:
        fee = event.fee if event.fee and event.fee.amount else None
        self._require(event, [event.sent, *([fee] if fee else [])])
        if not self._valuer.is_money(event.sent.currency):
            self._send(event)
        if fee:
            self._pay(event, fee, self._book_fee(event, fee, FeeTreatment.NONE))

    def _send(self, event: TransferOut) -> None:
        currency, amount = event.sent
        parts = [
            TransferPart(
                lot_event_id=part.lot.event_id,
                ts_acquired=part.lot.ts_acquired,
                is_acquired_known=part.lot.is_acquired_known,
                quantity=part.quantity,
                cost_basis=part.cost_basis,
            )
            for part in self._pools[currency].consume(amount)
        ]
        self.transfers.append(
            Transfer(
                event_id=event.event_id,
                ts_event=event.ts_event,
                currency=currency,
                quantity=amount,
                parts=tuple(parts),
            )
        )

    def _acquire(
        self, event: TaxEvent, money: Money, cost: Valuation, *, ts_acquired: int | None = None
    ) -> None:
        if cost.value is None:
            self._list_unvalued(event, "cost_basis", money, cost.how)
        lot = TaxLot(
            event_id=event.event_id,
            currency=money.currency,
            quantity=money.amount,
            cost_basis=cost.value,
            ts_acquired=event.ts_event if ts_acquired is None else ts_acquired,
            is_acquired_known=ts_acquired is not None or not isinstance(event, TransferIn),
            how=cost.how,
        )
        self._pools.setdefault(money.currency, LotPool(self._method)).acquire(lot)

    def _pay(self, event: TaxEvent, fee: Money, value: Valuation) -> None:
        """Paying with what is no money disposes of it, for a service worth as much."""
        if fee.amount and not self._valuer.is_money(fee.currency):
            self._dispose(event, DisposalKind.FEE, fee, value)

    def _dispose(
        self, event: TaxEvent, kind: DisposalKind, money: Money, proceeds: Valuation
    ) -> None:
        if proceeds.value is None:
            self._list_unvalued(event, "proceeds", money, proceeds.how)
        consumed = self._pools[money.currency].consume(money.amount)
        self.disposals.append(
            Disposal(
                event_id=event.event_id,
                ts_event=event.ts_event,
                kind=kind,
                currency=money.currency,
                quantity=money.amount,
                proceeds=proceeds.value,
                how=proceeds.how,
                parts=tuple(self._build_parts(event, consumed, proceeds.value)),
            )
        )

    def _build_parts(
        self, event: TaxEvent, consumed: Sequence[LotPart], proceeds: Decimal | None
    ) -> list[DisposalPart]:
        shares: Sequence[Decimal | None] = [None] * len(consumed)
        if proceeds is not None:
            shares = exact.split(proceeds, [part.quantity for part in consumed])
        return [
            DisposalPart(
                lot_event_id=part.lot.event_id,
                ts_acquired=part.lot.ts_acquired,
                is_acquired_known=part.lot.is_acquired_known,
                holding=classify_holding(
                    ts_acquired=part.lot.ts_acquired,
                    is_acquired_known=part.lot.is_acquired_known,
                    ts_disposed=event.ts_event,
                    limit=self._holding_limit,
                    time_zone=self._time_zone,
                ),
                quantity=part.quantity,
                proceeds=share,
                cost_basis=part.cost_basis,
                realized_gain=find_gain(share, part.cost_basis),
            )
            for part, share in zip(consumed, shares, strict=True)
        ]

    def _book_fee(self, event: TaxEvent, fee: Money | None, treatment: FeeTreatment) -> Valuation:
        if fee is None or not fee.amount:
            return Valuation(exact.ZERO, "")
        value = self._valuer.value(fee, event.ts_event)
        if value.value is None:
            self._list_unvalued(event, "fee", fee, value.how)
        self.fees.append(
            FeePaid(
                event_id=event.event_id,
                ts_event=event.ts_event,
                currency=fee.currency,
                amount=fee.amount,
                value=value.value,
                treatment=treatment,
            )
        )
        return value

    def _list_unvalued(self, event: TaxEvent, what: str, money: Money, why: str) -> None:
        self.unvalued.append(
            Unvalued(
                event_id=event.event_id,
                ts_event=event.ts_event,
                what=what,
                currency=money.currency,
                quantity=money.amount,
                why=why,
            )
        )

    def _require(self, event: TaxEvent, leaving: Sequence[Money]) -> None:
        wanted: dict[str, Decimal] = {}
        for currency, amount in leaving:
            if not self._valuer.is_money(currency):
                wanted[currency] = exact.add(wanted.get(currency, exact.ZERO), amount)
        for currency, amount in wanted.items():
            pool = self._pools.get(currency)
            held = exact.ZERO if pool is None else pool.quantity
            if amount > held:
                raise _missing(event, Money(currency, amount), held)


def _sides(event: Exchange) -> tuple[str, str]:
    return (event.sold.currency, event.bought.currency)


def _treat_fee(*, is_purchase: bool, is_sale: bool) -> FeeTreatment:
    if is_purchase:
        return FeeTreatment.NONE if is_sale else FeeTreatment.COST
    return FeeTreatment.PROCEEDS


def _combine(value: Valuation, extra: Valuation, *, sign: int) -> Valuation:
    if not extra.how:
        return value
    how = f"{value.how}; fee: {extra.how}"
    if value.value is None or extra.value is None:
        return Valuation(None, how)
    signed = extra.value if sign > 0 else extra.value.copy_negate()
    return Valuation(exact.add(value.value, signed), how)


def _missing(event: TaxEvent, money: Money, held: Decimal) -> AccountingError:
    message = (
        f"user {event.user} gave {money.amount:f} {money.currency} in event {event.event_id}, but "
        f"only {held:f} were there: an earlier purchase or deposit is missing; load it first"
    )
    return AccountingError(
        message,
        kind=AccountingKind.MISSING_ACQUISITION,
        user=event.user,
        currency=money.currency,
        amount=money.amount,
        held=held,
        event_id=event.event_id,
    )

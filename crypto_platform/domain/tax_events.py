"""What a user did that a tax report has to know: exchanges and transfers.

Here: the facts, checked for what no account can have done. Not here: the account events of a venue,
from which somebody makes these, and what they mean for tax (tax_book.py).
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from crypto_platform.domain import exact
from crypto_platform.domain.hours import TimeUs
from crypto_platform.domain.money import parse_amount
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import AccountingError, AccountingKind, RecordRejectedError


class Origin(NamedTuple):
    """Where a deposit comes from, as its owner says.

    Attributes:
        ts_acquired: When he acquired it, microseconds since 1970.
        cost: What he paid for all of it, fees included.
    """

    ts_acquired: int
    cost: Money


class TaxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What all have.

    Attributes:
        event_id: Its unique name; lots and disposals refer to it.
        user: Whose it is.
        sequence: The venue's order of events; decides among equal times.
        ts_event: When, microseconds since 1970.
    """

    event_id: str
    user: str
    sequence: int
    ts_event: TimeUs


class Exchange(TaxEvent, frozen=True, kw_only=True):
    """One currency given for another: a fill.

    Attributes:
        sold: What was given, without the fee.
        bought: What was received, before the fee.
        fee: Paid on top, or withheld, in any currency; None or zero where there was none.
    """

    sold: Money
    bought: Money
    fee: Money | None = None

    def __post_init__(self) -> None:
        """Refuse what no account can have done.

        Raises:
            AccountingError: impossible_event.
        """
        for money in (self.sold, self.bought):
            check_amount(self, money)
        if self.fee is not None:
            check_amount(self, self.fee, zero=True)
        if self.sold.currency == self.bought.currency:
            raise refuse(self, f"{self.sold.currency} was exchanged for itself")
        if net_of(self.bought, self.fee).amount <= 0:
            raise refuse(self, f"the fee {self.fee} takes all that was bought")


class TransferIn(TaxEvent, frozen=True, kw_only=True):
    """A deposit: no acquisition, for it was the user's before.

    Attributes:
        received: What arrived.
        origin: When and for what it was acquired; None where nobody said, and then the cost basis
            is unknown. Of no meaning for money.
    """

    received: Money
    origin: Origin | None = None

    def __post_init__(self) -> None:
        """Refuse what no account can have done; see Exchange."""
        check_amount(self, self.received)
        if self.origin is not None:
            check_amount(self, self.origin.cost, zero=True)
            if self.origin.ts_acquired > self.ts_event:
                raise refuse(self, "it arrived before it was acquired")


class TransferOut(TaxEvent, frozen=True, kw_only=True):
    """A withdrawal: no disposal, for it stays the user's.

    Attributes:
        sent: What left for elsewhere.
        fee: Paid on top of it.
    """

    sent: Money
    fee: Money | None = None

    def __post_init__(self) -> None:
        """Refuse what no account can have done; see Exchange."""
        check_amount(self, self.sent)
        if self.fee is not None:
            check_amount(self, self.fee, zero=True)


def check_amount(event: TaxEvent, money: Money, *, zero: bool = False) -> None:
    """Refuse what is no amount: not above zero (or below), or beyond 34 digits.

    Raises:
        AccountingError: impossible_event.
    """
    try:
        parse_amount(str(money.amount))
    except RecordRejectedError as error:
        raise refuse(event, str(error)) from error
    if money.amount < 0 or not (zero or money.amount):
        raise refuse(event, f"{money.amount} {money.currency} is no amount to move")


def refuse(event: TaxEvent, problem: str) -> AccountingError:
    """An error that names the event."""
    message = f"event {event.event_id} of user {event.user}: {problem}; look at where it came from"
    return AccountingError(
        message, kind=AccountingKind.IMPOSSIBLE_EVENT, event_id=event.event_id, user=event.user
    )


def gross_of(paid: Money, fee: Money | None) -> Money:
    """What left in all: a fee in the same currency is paid on top."""
    return Money(paid.currency, exact.add(paid.amount, _same(paid, fee)))


def net_of(received: Money, fee: Money | None) -> Money:
    """What arrived in the end: a fee in the same currency is withheld."""
    return Money(received.currency, exact.subtract(received.amount, _same(received, fee)))


def _same(money: Money, fee: Money | None) -> Decimal:
    return fee.amount if fee is not None and fee.currency == money.currency else exact.ZERO

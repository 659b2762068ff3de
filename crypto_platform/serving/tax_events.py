"""From a user's account events to what a tax report knows: exchanges and transfers.

Here: what a fill, a deposit and a withdrawal moved, read from their postings, whose legs say it
exactly; where a deposit comes from, as its owner says. Not here: what they mean for tax
(domain/tax_book.py), which events there are (reports.py), the owner's file (origins.py).
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from crypto_platform.domain.ledger import sum_by_currency
from crypto_platform.domain.tax_events import Exchange, Origin, TaxEvent, TransferIn, TransferOut
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import AccountingError, AccountingKind
from crypto_platform.feeds.accounts import WALLET_ACCOUNTS, Account, AccountEvent, EventKind

_TRANSFERS = (EventKind.DEPOSIT, EventKind.WITHDRAWAL)


def build_tax_events(
    events: Iterable[AccountEvent], origins: Mapping[str, Origin]
) -> list[TaxEvent]:
    """What of a user's events a tax report has to know, in their order.

    Orders that come, wait and go move nothing out of an account and are left out.

    Args:
        events: Any.
        origins: By event_id, where deposits come from; the cost of others is unknown.

    Raises:
        AccountingError: impossible_event: postings that no such event can have.
    """
    return [
        _build_exchange(event) if event.trade_id is not None else _build_transfer(event, origins)
        for event in events
        if event.trade_id is not None or event.kind in _TRANSFERS
    ]


def sum_moved(event: AccountEvent) -> Mapping[str, Decimal]:
    """What an event added to a user's own, available and locked, by currency; may be below zero."""
    return _sum(event, WALLET_ACCOUNTS)


def _build_exchange(event: AccountEvent) -> Exchange:
    """Between the halves of a match stands the clearing account: what it got, the user gave."""
    cleared = _sum(event, {Account.CLEARING})
    given = [Money(name, amount) for name, amount in cleared.items() if amount > 0]
    taken = [Money(name, amount.copy_negate()) for name, amount in cleared.items() if amount < 0]
    if len(given) != 1 or len(taken) != 1:
        raise _refuse(event, "a fill exchanges one currency for one other")
    return Exchange(
        event_id=event.event_id,
        user=event.user_id,
        sequence=event.sequence,
        ts_event=event.ts_event,
        sold=given[0],
        bought=taken[0],
        fee=_find_fee(event),
    )


def _build_transfer(event: AccountEvent, origins: Mapping[str, Origin]) -> TaxEvent:
    is_deposit = event.kind is EventKind.DEPOSIT
    # a withdrawal's fee stays here: it is none of what left for elsewhere
    sums = sum_moved(event) if is_deposit else _sum(event, {Account.OUTSIDE})
    moved = [Money(name, amount) for name, amount in sums.items() if amount]
    if len(moved) != 1:
        raise _refuse(event, f"a {event.kind} moves one currency")
    if is_deposit:
        return TransferIn(
            event_id=event.event_id,
            user=event.user_id,
            sequence=event.sequence,
            ts_event=event.ts_event,
            received=moved[0],
            origin=origins.get(event.event_id),
        )
    return TransferOut(
        event_id=event.event_id,
        user=event.user_id,
        sequence=event.sequence,
        ts_event=event.ts_event,
        sent=moved[0],
        fee=_find_fee(event),
    )


def _find_fee(event: AccountEvent) -> Money | None:
    fees = [Money(name, amount) for name, amount in _sum(event, {Account.FEES}).items() if amount]
    if len(fees) > 1:
        raise _refuse(event, "its fee is in several currencies")
    return fees[0] if fees else None


def _sum(event: AccountEvent, accounts: Iterable[str]) -> Mapping[str, Decimal]:
    wanted = set(accounts)
    legs = zip(event.posting_accounts, event.posting_currencies, event.posting_amounts, strict=True)
    return sum_by_currency((name, amount) for account, name, amount in legs if account in wanted)


def _refuse(event: AccountEvent, problem: str) -> AccountingError:
    message = (
        f"event {event.event_id} of user {event.user_id}: {problem}; its postings are "
        f"{', '.join(_list_postings(event))}: look at where it came from"
    )
    return AccountingError(
        message,
        kind=AccountingKind.IMPOSSIBLE_EVENT,
        event_id=event.event_id,
        user=event.user_id,
    )


def _list_postings(event: AccountEvent) -> Iterable[str]:
    legs = zip(event.posting_accounts, event.posting_currencies, event.posting_amounts, strict=True)
    return (f"{account} {amount} {name}" for account, name, amount in legs)

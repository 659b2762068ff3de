"""account_events: what happens in users' accounts, one record an event, each with its postings.

An event carries the full state of its order and of every wallet that it touched, so what is current
is the last event's word, and nothing has to be added up. Here: the record, and what one record must
be by itself. Not here: the state derived from events (accounts.py), sums over events (the audit).
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from crypto_platform.domain.ledger import sum_by_currency
from crypto_platform.feeds.feed import (
    Amount,
    Amounts,
    Feed,
    Flag,
    Index,
    Record,
    Text,
    Texts,
    TimeUs,
    build_event_id,
    hash_facts,
)
from crypto_platform.feeds.trades import Side

Sequence53 = Annotated[int, msgspec.Meta(ge=1, le=2**53, title="integer")]
"""A number of the company's own: 1, 2, 3 … without a gap."""


class EventKind(StrEnum):
    """What happened."""

    ORDER_ACCEPTED = "order_accepted"
    ORDER_REJECTED = "order_rejected"
    ORDER_FILLED = "order_filled"
    ORDER_CANCELLED = "order_cancelled"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class OrderStatus(StrEnum):
    """What an order is after an event."""

    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class OrderType(StrEnum):
    """How an order finds its price."""

    LIMIT = "limit"
    MARKET = "market"


class Liquidity(StrEnum):
    """Who rested, who crossed."""

    MAKER = "maker"
    TAKER = "taker"


class Account(StrEnum):
    """Where a leg of a double entry is posted."""

    AVAILABLE = "available"
    """The user's, free to use."""
    LOCKED = "locked"
    """The user's, set aside for his open orders."""
    CLEARING = "clearing"
    FEES = "fees"
    OUTSIDE = "outside"
    """Beyond the company: deposits come from there."""


WALLET_ACCOUNTS = frozenset({Account.AVAILABLE.value, Account.LOCKED.value})
"""A user's own: their postings add up to his wallet."""

_ACCOUNTS = frozenset(account.value for account in Account)
_OF_ORDERS = frozenset(
    {
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_REJECTED,
        EventKind.ORDER_FILLED,
        EventKind.ORDER_CANCELLED,
    }
)


class AccountEvent(Record, frozen=True, kw_only=True, tag=1):
    """One event of one user.

    Attributes:
        user_id: Whose.
        sequence: The company's number of the event, over all users, without a gap.
        user_sequence: The same among the user's own.
        kind: What happened.
        ts_event: The company's time; it never falls with `sequence`.
        order_id, client_order_id: Of the order concerned, whose full state after the event follows;
            all of it None where none is.
        venue_symbol: The company's name of what is traded (BTC-USD).
        side, order_type, time_in_force, post_only: As ordered.
        limit_price: Quote currency for one unit of base; None of a market order.
        order_quantity: Units of base; None of a market buy by funds.
        order_funds: Quote currency to spend, of a market buy.
        filled_quantity, filled_notional: Units of base so far, and what they cost in quote.
        order_fees, order_fee_currency: Paid so far.
        order_status: After the event.
        order_reason: Why it was rejected or cancelled.
        ts_created: When the order came.
        trade_id: The fill's match, as text: maker's and taker's fills share it; None with all of
            the fill where the event is none.
        fill_price, fill_quantity: Of this fill alone.
        liquidity: Which half of the match it is.
        fill_fee, fill_fee_currency: Of this fill alone.
        posting_accounts, posting_currencies, posting_amounts: Legs of the double entry, signed; the
            sum is zero in every currency.
        wallet_currencies, wallet_available, wallet_locked: Every wallet of the user that the event
            touched, as it is after it.
    """

    user_id: Text
    sequence: Sequence53
    user_sequence: Sequence53
    kind: EventKind
    ts_event: TimeUs
    order_id: Text | None = None
    client_order_id: Text | None = None
    venue_symbol: Text | None = None
    side: Side | None = None
    order_type: OrderType | None = None
    time_in_force: Text | None = None
    post_only: Flag | None = None
    limit_price: Amount | None = None
    order_quantity: Amount | None = None
    order_funds: Amount | None = None
    filled_quantity: Amount | None = None
    filled_notional: Amount | None = None
    order_fees: Amount | None = None
    order_fee_currency: Text | None = None
    order_status: OrderStatus | None = None
    order_reason: Text | None = None
    ts_created: TimeUs | None = None
    trade_id: Text | None = None
    fill_price: Amount | None = None
    fill_quantity: Amount | None = None
    liquidity: Liquidity | None = None
    fill_fee: Amount | None = None
    fill_fee_currency: Text | None = None
    posting_accounts: Texts
    posting_currencies: Texts
    posting_amounts: Amounts
    wallet_currencies: Texts
    wallet_available: Amounts
    wallet_locked: Amounts


def seal_account_event(draft: AccountEvent, *, event_id: str) -> AccountEvent:
    """Give an event its hash and the company's own name of it as its id."""
    return msgspec.structs.replace(
        draft, event_id=build_event_id(event_id), content_hash=hash_facts(draft)
    )


_ORDER_NEEDS = (
    "order_id",
    "venue_symbol",
    "side",
    "order_type",
    "time_in_force",
    "post_only",
    "filled_quantity",
    "filled_notional",
    "order_fees",
    "order_status",
    "ts_created",
)
_FILL_NEEDS = ("trade_id", "fill_price", "fill_quantity", "liquidity", "fill_fee")
_LEGS = ("posting_accounts", "posting_currencies", "posting_amounts")
_WALLETS = ("wallet_currencies", "wallet_available", "wallet_locked")


def find_odd_events(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[int, str]]:
    """Which events do not add up by themselves; see Feed.find_odd."""
    kinds = columns["kind"]
    orders = zip(*map(columns.__getitem__, _ORDER_NEEDS), strict=True)
    fills = zip(*map(columns.__getitem__, _FILL_NEEDS), strict=True)
    ledgers = zip(*map(columns.__getitem__, (*_LEGS, *_WALLETS)), strict=True)
    for place, (kind, order, fill, ledger) in enumerate(
        zip(kinds, orders, fills, ledgers, strict=True)
    ):
        problem = (
            _find_missing(order, _ORDER_NEEDS, is_needed=kind in _OF_ORDERS)
            or _find_missing(fill, _FILL_NEEDS, is_needed=kind == EventKind.ORDER_FILLED)
            or _find_imbalance(*ledger[:3])
            or _find_odd_wallet(ledger)
        )
        if problem is not None:
            yield place, problem


def _find_missing(values: Sequence[object], names: Sequence[str], *, is_needed: bool) -> str | None:
    if None not in values or (not is_needed and values[0] is None):
        return None
    return f"{names[values.index(None)]}: missing, and the event is of that kind"


def _find_imbalance(
    accounts: Sequence[str], currencies: Sequence[str], amounts: Sequence[str]
) -> str | None:
    for currency, total in sum_by_currency(zip(currencies, amounts, strict=True)).items():
        if total:
            return f"posting_amounts: {currency[:20]} adds up to {total}, not to zero"
    if _ACCOUNTS.issuperset(accounts):
        return None
    return f"posting_accounts: nobody knows {min(set(accounts) - _ACCOUNTS)[:60]!r}"


def _find_odd_wallet(ledger: Sequence[Sequence[str]]) -> str | None:
    accounts, posted, _, currencies, available, locked = ledger
    for amount in (*available, *locked):
        if amount.startswith("-"):
            return f"wallet_available, wallet_locked: {amount} is below zero"
    own = set(currencies)
    if len(own) != len(currencies):
        return "wallet_currencies: one of them is there twice"
    for account, currency in zip(accounts, posted, strict=True):
        if currency not in own and account in WALLET_ACCOUNTS:
            return f"wallet_currencies: {currency[:20]} was touched and is not there"
    return None


ACCOUNT_EVENTS = Feed(
    name="account_events",
    topic="accounts.events",
    # never changed: a user's events stay in order because they stay in one partition
    partitions=12,
    record=AccountEvent,
    versions=AccountEvent,
    key_of=lambda event: event.user_id,
    schema="accounts",
    table="event",
    collection="account_events",
    positive_names=("fill_price", "fill_quantity"),
    paired_names=(
        *pairwise(_LEGS),
        *pairwise(_WALLETS),
    ),
    find_odd=find_odd_events,
    keeps_topic=True,
    indexes=(Index(fields=("user_id", "-sequence")),),
    description="What happens in users' accounts: orders, fills, deposits, with their postings.",
)

"""Users' accounts: the event, and what is current after it: orders with their fills, wallets.

Here: the record of account_events, the states derived from it, and what one event says of them. Not
here: the feed and its rules (account_events.py), the fold of many events (projection.py).

An event carries the full state of its order and of each wallet that it touched, so a state is
taken, not calculated.
"""

from enum import StrEnum
from itertools import chain, count, repeat
from typing import Annotated

import msgspec

from crypto_platform.domain.hours import TimeUs
from crypto_platform.domain.money import Amount
from crypto_platform.feeds.projection import Derived, Named, Parts, Projection, pick
from crypto_platform.feeds.record import Amounts, Flag, Index, Record, State, Text, Texts
from crypto_platform.feeds.trades import Side

Number = Annotated[int, msgspec.Meta(ge=1, le=2**53, title="integer")]
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


class AccountEvent(Record, frozen=True, kw_only=True, tag=1):
    """One event of one user.

    Attributes:
        user_id: Whose.
        sequence: The company's number of the event, over all users, without a gap.
        user_sequence: The same among the user's own.
        kind: What happened.
        ts_event: The company's time; it never falls with `sequence`.
        order_id: The company's id of the order concerned, whose full state after the event
            follows; all of it None where none is.
        client_order_id: The user's own id of that order.
        venue_symbol: The company's name of what is traded (BTC-USD).
        side: Of the order.
        order_type: How the order finds its price.
        time_in_force: How long what is not filled at once stays, as ordered.
        post_only: Whether it was to rest only, never to cross.
        limit_price: Quote currency for one unit of base; None of a market order.
        order_quantity: Units of base; None of a market buy by funds.
        order_funds: Quote currency to spend, of a market buy.
        filled_quantity: Units of base so far.
        filled_notional: What they cost, or brought, in quote currency.
        order_fees: Paid so far, in their own currency.
        order_fee_currency: Of these fees.
        order_status: After the event.
        order_reason: Why it was rejected or cancelled.
        ts_created: When the order came.
        trade_id: The fill's match, as text: maker's and taker's fills share it; None with all of
            the fill where the event is none.
        fill_price: Of this fill, quote currency for one unit of base.
        fill_quantity: Of this fill, units of base.
        liquidity: Which half of the match it is.
        fill_fee: Of this fill, in its own currency.
        fill_fee_currency: Of this fee.
        posting_accounts: Where each leg of the double entry is posted.
        posting_currencies: Of each leg.
        posting_amounts: Of each leg, signed; the sum is zero in every currency.
        wallet_currencies: Of every wallet of the user that the event touched.
        wallet_available: What is free to use in each of these wallets after it.
        wallet_locked: What is set aside for open orders in each of them after it.
    """

    user_id: Text
    sequence: Number
    user_sequence: Number
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


class Fill(State, frozen=True, kw_only=True):
    """One user's half of a match; its fields are the event's.

    Attributes:
        trade_id: Of the match, within an order no two fills share it.
        ts_event: When it happened.
    """

    trade_id: Text
    fill_price: Amount
    fill_quantity: Amount
    liquidity: Liquidity
    fill_fee: Amount
    fill_fee_currency: Text | None = None
    ts_event: TimeUs


class Order(State, frozen=True, kw_only=True):
    """An order as it is now; its fields are the event's.

    Attributes:
        is_open: Whether it still may be filled.
        ts_event: When it became so.
    """

    order_id: Text
    user_id: Text
    client_order_id: Text | None = None
    venue_symbol: Text
    side: Side
    order_type: OrderType
    time_in_force: Text
    post_only: Flag
    limit_price: Amount | None = None
    order_quantity: Amount | None = None
    order_funds: Amount | None = None
    filled_quantity: Amount
    filled_notional: Amount
    order_fees: Amount
    order_fee_currency: Text | None = None
    order_status: OrderStatus
    order_reason: Text | None = None
    is_open: Flag
    ts_created: TimeUs
    ts_event: TimeUs


class Wallet(State, frozen=True, kw_only=True):
    """What a user has of one currency.

    Attributes:
        user_id: Whose.
        currency: Of which currency, and the unit of both amounts.
        available: Free to use.
        locked: Set aside for open orders.
        ts_event: When it became so.
    """

    user_id: Text
    currency: Text
    available: Amount
    locked: Amount
    ts_event: TimeUs


# compared, for an enum's hash is Python's own and slow
_OPEN = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


def derive_orders(events: Named) -> Derived:
    """The orders that events are about; a sound event has all that its order needs."""
    places = [place for place, order in enumerate(events["order_id"]) if order is not None]
    statuses = pick(events["order_status"], places)
    is_open = [status in _OPEN for status in statuses]
    return Derived(records=events, places=places, own={"is_open": is_open})


_IN_LISTS = {
    "currency": "wallet_currencies",
    "available": "wallet_available",
    "locked": "wallet_locked",
}
"""Fields of a wallet by the event's lists."""


def derive_wallets(events: Named) -> Derived:
    """The wallets that events touched."""
    counts = map(len, events["wallet_currencies"])
    places = list(chain.from_iterable(map(repeat, count(), counts)))
    own = {name: list(chain.from_iterable(events[lists])) for name, lists in _IN_LISTS.items()}
    return Derived(records=events, places=places, own=own)


ORDERS = Projection(
    schema="accounts",
    table="order",
    collection="orders",
    state=Order,
    key_names=("order_id",),
    derive=derive_orders,
    parts=Parts(name="fills", part=Fill, key_name="trade_id", owner_names=("user_id", "order_id")),
    indexes=(Index(fields=("user_id",), where="is_open"),),
)

WALLETS = Projection(
    schema="accounts",
    table="wallet",
    collection="wallets",
    state=Wallet,
    key_names=("user_id", "currency"),
    derive=derive_wallets,
    list_names=_IN_LISTS,
)

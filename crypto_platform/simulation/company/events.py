"""What happens at the company, as facts: orders, fills, postings, events; and their bytes.

Here: the structs, in whole numbers (ticks, lots, smallest units). Not here: which happens
(engine.py), how they look over HTTP (render.py), where they are kept (journal.py).

They are written as MessagePack arrays: a fifth of the JSON they become. A new field goes to the end
and has a default, so that older bytes stay readable.
"""

from typing import Literal

import msgspec

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["gtc", "ioc"]
Status = Literal["accepted", "partially_filled", "filled", "cancelled", "rejected"]
EventType = Literal[
    "deposit",
    "withdrawal",
    "order_accepted",
    "order_rejected",
    "order_filled",
    "order_cancelled",
]
Account = Literal["available", "locked", "clearing", "fees", "outside"]

OPEN = ("accepted", "partially_filled")
"""Statuses of an order that waits."""


class OrderRequest(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What somebody asks for, well formed.

    Attributes:
        price: Limit in ticks; None for a market order.
        quantity: In lots; None for a market buy by funds.
        funds: The most that a market buy may cost, fees included, in units of the quote currency.
        client_order_id: The caller's own name for it.
    """

    product_id: str
    side: Side
    type: OrderType
    price: int | None = None
    quantity: int | None = None
    funds: int | None = None
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    client_order_id: str | None = None


class Order(msgspec.Struct, array_like=True, kw_only=True):
    """One order as it is now; changed in place while it lives.

    Attributes:
        number: The sequence of its first event.
        user: Its owner's number.
        request: What was asked for.
        filled_notional, fees: In units of the quote currency; fees are paid in it.
        hold: What is locked for it: units of the quote currency (buy), lots (sell).
        created_us: Microseconds since 1970, UTC.
    """

    number: int
    user: int
    request: OrderRequest
    created_us: int
    filled_quantity: int = 0
    filled_notional: int = 0
    fees: int = 0
    hold: int = 0
    status: Status = "accepted"
    reason: str | None = None

    @property
    def left(self) -> int:
        """Lots still to be filled, of an order by quantity."""
        return (self.request.quantity or 0) - self.filled_quantity


class Fill(msgspec.Struct, array_like=True, frozen=True):
    """One user's half of a match."""

    trade_id: int
    price: int
    quantity: int
    liquidity: Literal["maker", "taker"]
    fee: int


Posting = tuple[Account, str, int]
"""Account, currency, signed amount in the currency's units."""

WalletState = tuple[str, int, int]
"""Currency, available, locked."""


class Event(msgspec.Struct, array_like=True, frozen=True):
    """One fact, with the state after it.

    Attributes:
        sequence: 1, 2, 3 ... of the company; user_sequence the same of the user.
        time_us: Never falls with the sequence.
        order: As it is after the event; None for a deposit and a withdrawal.
        postings: Sum to zero per currency.
        wallets: Those that the event touched, after it.
    """

    sequence: int
    user: int
    user_sequence: int
    type: EventType
    time_us: int
    order: Order | None
    fill: Fill | None
    postings: list[Posting]
    wallets: list[WalletState]


class Trade(msgspec.Struct, array_like=True, frozen=True):
    """One match in public.

    Attributes:
        trade_id: Of its product, from 1, without gaps.
        price, quantity: In ticks and lots.
    """

    product_id: str
    trade_id: int
    time_us: int
    price: int
    quantity: int
    maker_side: Side


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Event)

encode_event = _encoder.encode
decode_event = _decoder.decode

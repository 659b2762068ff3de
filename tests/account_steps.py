"""A company in a few lines, for tests: users, their wallets and orders, and the events they cause.

Here: events that add up as the company's do, and the truth beside them: what every order and wallet
is after the last one. Not here: HTTP, stores.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from crypto_platform.feeds.account_events import seal_account_event
from crypto_platform.feeds.accounts import (
    AccountEvent,
    EventKind,
    Fill,
    Liquidity,
    Order,
    OrderStatus,
    OrderType,
    Wallet,
)
from crypto_platform.feeds.trades import Side
from tests.store_steps import NOON

SECOND = 1_000_000


class SmallCompany:
    """Sells BTC for USD at any price; a fill is the maker's half, `take` makes the other.

    Attributes:
        begins_us: A second before the first event; each one is a second behind the last.
        events: All so far, by sequence.
        orders, fills, wallets: As they are after the last event.
    """

    def __init__(self, *, begins_us: int = NOON) -> None:
        self.begins_us = begins_us
        self.events: list[AccountEvent] = []
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, list[Fill]] = {}
        self.wallets: dict[tuple[str, str], Wallet] = {}
        self._user_sequences: dict[str, int] = {}

    def deposit(self, user: str, currency: str, amount: str) -> AccountEvent:
        return self._add(
            user,
            EventKind.DEPOSIT,
            [("outside", currency, "-" + amount)],
            {currency: (amount, "0")},
        )

    def accept(self, user: str, order_id: str, *, price: str, quantity: str) -> AccountEvent:
        """A limit order to buy BTC; its cost is set aside."""
        cost = str(Decimal(price) * Decimal(quantity))
        order = Order(
            sequence=len(self.events) + 1,
            order_id=order_id,
            user_id=user,
            venue_symbol="BTC-USD",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force="gtc",
            post_only=False,
            limit_price=price,
            order_quantity=quantity,
            filled_quantity="0",
            filled_notional="0",
            order_fees="0",
            order_fee_currency="USD",
            order_status=OrderStatus.ACCEPTED,
            is_open=True,
            ts_created=self.begins_us + (len(self.events) + 1) * SECOND,
            ts_event=0,
        )
        return self._add(
            user, EventKind.ORDER_ACCEPTED, [], {"USD": ("-" + cost, cost)}, order=order
        )

    def fill(self, order_id: str, quantity: str) -> AccountEvent:
        order = self.orders[order_id]
        notional = str(Decimal(order.limit_price or "0") * Decimal(quantity))
        filled = Decimal(order.filled_quantity) + Decimal(quantity)
        is_done = filled == Decimal(order.order_quantity or "0")
        changed = msgspec.structs.replace(
            order,
            filled_quantity=str(filled),
            filled_notional=str(Decimal(order.filled_notional) + Decimal(notional)),
            order_status=OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED,
            is_open=not is_done,
        )
        fill = {
            "trade_id": str(len(self.events) + 1),
            "fill_price": order.limit_price,
            "fill_quantity": quantity,
            "liquidity": Liquidity.MAKER,
            "fill_fee": "0",
            "fill_fee_currency": "USD",
        }
        return self._add(
            order.user_id,
            EventKind.ORDER_FILLED,
            [("clearing", "USD", notional), ("clearing", "BTC", "-" + quantity)],
            {"USD": ("0", "-" + notional), "BTC": (quantity, "0")},
            order=changed,
            fill=fill,
        )

    def take(self, maker: AccountEvent, *, user: str) -> AccountEvent:
        """The other half of a fill: the user has sold what the maker bought."""
        quantity, price = maker.fill_quantity or "0", maker.fill_price or "0"
        notional = str(Decimal(price) * Decimal(quantity))
        at_us = self.begins_us + (len(self.events) + 1) * SECOND
        order = Order(
            sequence=len(self.events) + 1,
            order_id=f"taker-{maker.trade_id}",
            user_id=user,
            venue_symbol="BTC-USD",
            side=Side.SELL,
            order_type=OrderType.MARKET,
            time_in_force="ioc",
            post_only=False,
            order_quantity=quantity,
            filled_quantity=quantity,
            filled_notional=notional,
            order_fees="0",
            order_fee_currency="USD",
            order_status=OrderStatus.FILLED,
            is_open=False,
            ts_created=at_us,
            ts_event=at_us,
        )
        fill = {
            "trade_id": maker.trade_id,
            "fill_price": price,
            "fill_quantity": quantity,
            "liquidity": Liquidity.TAKER,
            "fill_fee": "0",
            "fill_fee_currency": "USD",
        }
        return self._add(
            user,
            EventKind.ORDER_FILLED,
            [("clearing", "USD", "-" + notional), ("clearing", "BTC", quantity)],
            {"USD": (notional, "0"), "BTC": ("-" + quantity, "0")},
            order=order,
            fill=fill,
        )

    def cancel(self, order_id: str) -> AccountEvent:
        order = self.orders[order_id]
        left = Decimal(order.order_quantity or "0") - Decimal(order.filled_quantity)
        rest = str(Decimal(order.limit_price or "0") * left)
        changed = msgspec.structs.replace(
            order,
            order_status=OrderStatus.CANCELLED,
            order_reason="user_cancelled",
            is_open=False,
        )
        return self._add(
            order.user_id,
            EventKind.ORDER_CANCELLED,
            [],
            {"USD": (rest, "-" + rest)},
            order=changed,
        )

    def _add(
        self,
        user: str,
        kind: EventKind,
        legs: list[tuple[str, str, str]],
        changes: Mapping[str, tuple[str, str]],
        *,
        order: Order | None = None,
        fill: Mapping[str, Any] | None = None,
    ) -> AccountEvent:
        sequence = len(self.events) + 1
        at_us = self.begins_us + sequence * SECOND
        touched: list[Wallet] = []
        for currency, (available, locked) in changes.items():
            known = self.wallets.get((user, currency))
            wallet = Wallet(
                sequence=sequence,
                user_id=user,
                currency=currency,
                available=_add(known.available if known else "0", available),
                locked=_add(known.locked if known else "0", locked),
                ts_event=at_us,
            )
            self.wallets[user, currency] = wallet
            touched.append(wallet)
            legs += [("available", currency, available), ("locked", currency, locked)]
        values: dict[str, Any] = dict(fill or {})
        if order is not None:
            own = msgspec.structs.replace(order, sequence=sequence, ts_event=at_us)
            self.orders[own.order_id] = own
            values |= {
                name: getattr(own, name)
                for name in Order.__struct_fields__
                if name not in {"is_open", "sequence", "user_id", "ts_event"}
            }
        if fill is not None and order is not None:
            named = {name: values[name] for name in Fill.__struct_fields__ if name in values}
            own_fill = Fill(sequence=sequence, ts_event=at_us, **named)
            self.fills.setdefault(order.order_id, []).append(own_fill)
        self._user_sequences[user] = self._user_sequences.get(user, 0) + 1
        legs = [leg for leg in legs if Decimal(leg[2])]
        event = seal_account_event(
            AccountEvent(
                user_id=user,
                sequence=sequence,
                user_sequence=self._user_sequences[user],
                kind=kind,
                ts_event=at_us,
                posting_accounts=tuple(account for account, _, _ in legs),
                posting_currencies=tuple(currency for _, currency, _ in legs),
                posting_amounts=tuple(amount for _, _, amount in legs),
                wallet_currencies=tuple(wallet.currency for wallet in touched),
                wallet_available=tuple(wallet.available for wallet in touched),
                wallet_locked=tuple(wallet.locked for wallet in touched),
                ts_ingest=self.begins_us,
                **values,
            ),
            event_id=f"ev-{sequence:020d}",
        )
        self.events.append(event)
        return event


def _add(one: str, other: str) -> str:
    return f"{Decimal(one) + Decimal(other):f}"


def build_busy_company() -> SmallCompany:
    """Three users, an order of each way to end, one that is open, and odd names."""
    company = SmallCompany()
    company.deposit("ann", "USD", "1000.00")
    company.deposit("bob", "USD", "500")
    company.accept("ann", "o-1", price="100.0", quantity="2")
    company.accept("ann", "o-2", price="50", quantity="1.5")
    company.fill("o-1", "0.5")
    company.accept("bob", "o-3", price="10", quantity="1")
    company.fill("o-1", "1.5")
    company.cancel("o-2")
    company.fill("o-3", "0.25")
    company.deposit("Zoë: 100%", "USD", "0.000000000000000001")
    company.deposit("Zoë: 100%", "$gt", "1")
    company.accept("ann", "o: 4%", price="1", quantity="3")
    company.accept("ann", "o-5", price="1", quantity="4")
    company.fill("o-5", "1")
    company.deposit("house", "BTC", "10")
    for event in list(company.events):
        if event.trade_id is not None:
            company.take(event, user="house")
    return company

"""The company's facts as JSON: names, plain decimals as text, times.

Here: how an event, an order, an account and sums look over HTTP. Not here: paths (server.py),
Coinbase's words (../exchange_fields.py). This is where whole numbers become decimals.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from crypto_platform.simulation.answers import Item
from crypto_platform.simulation.company.events import Event, Fill, Order, WalletState
from crypto_platform.simulation.company.journal import AccountState, Totals
from crypto_platform.simulation.company.keys import print_user_id
from crypto_platform.simulation.company.products import (
    DECIMALS,
    PRODUCTS,
    QUOTE_CURRENCY,
    QUOTE_DECIMALS,
    print_amount,
)
from crypto_platform.simulation.exchange_fields import render_time
from crypto_platform.simulation.trades import print_steps

_print_time = lru_cache(maxsize=4096)(render_time)


def print_order_id(number: int) -> str:
    """or-00000000000000000017."""
    return f"or-{number:020}"


def parse_order_id(text: str) -> int | None:
    """The number of an order's id; None where it is none."""
    number = text.removeprefix("or-")
    is_id = len(text) == len(print_order_id(0)) and number.isascii() and number.isdecimal()
    return int(number) if is_id and print_order_id(int(number)) == text else None


def render_event(event: Event) -> Item:
    """One fact, with the full state after it."""
    order, fill = event.order, event.fill
    return {
        "sequence": event.sequence,
        "event_id": f"ev-{event.sequence:020}",
        "user_id": print_user_id(event.user),
        "user_sequence": event.user_sequence,
        "type": event.type,
        "time": _print_time(event.time_us),
        "order": None if order is None else render_order(order),
        "fill": None if fill is None or order is None else _render_fill(order, fill),
        "postings": [
            {
                "account": account,
                "currency": currency,
                "amount": print_amount(amount, DECIMALS[currency]),
            }
            for account, currency, amount in event.postings
        ],
        "wallets": _render_wallets(event.wallets),
    }


def render_order(order: Order) -> Item:
    """An order's full state."""
    request = order.request
    product = PRODUCTS[request.product_id]
    price, quantity, funds = request.price, request.quantity, request.funds
    price_decimals, quantity_decimals = product.price_decimals, product.quantity_decimals
    return {
        "order_id": print_order_id(order.number),
        "client_order_id": request.client_order_id,
        "product_id": request.product_id,
        "side": request.side,
        "type": request.type,
        "time_in_force": request.time_in_force,
        "post_only": request.post_only,
        "price": None if price is None else print_steps(price, price_decimals),
        "quantity": None if quantity is None else print_steps(quantity, quantity_decimals),
        "funds": None if funds is None else print_steps(funds, QUOTE_DECIMALS),
        "filled_quantity": print_steps(order.filled_quantity, quantity_decimals),
        "filled_notional": print_steps(order.filled_notional, QUOTE_DECIMALS),
        "fees": print_steps(order.fees, QUOTE_DECIMALS),
        "fee_currency": QUOTE_CURRENCY,
        "status": order.status,
        "reason": order.reason,
        "created": _print_time(order.created_us),
    }


def render_account(user: int, state: AccountState, sequence: int) -> Item:
    """One user at a sequence."""
    wallets = ((currency, *wallet) for currency, wallet in sorted(state.wallets.items()))
    return {
        "user_id": print_user_id(user),
        "user_sequence": state.user_sequence,
        "sequence": sequence,
        "wallets": _render_wallets(wallets),
        "orders": [render_order(order) for _, order in sorted(state.orders.items())],
    }


def render_holdings(user: int, state: AccountState) -> Item:
    """One user's wallets among many users', as of their sequence."""
    wallets = ((currency, *wallet) for currency, wallet in sorted(state.wallets.items()))
    return {
        "user_id": print_user_id(user),
        "user_sequence": state.user_sequence,
        "wallets": _render_wallets(wallets),
    }


def render_totals(totals: Totals, sequence: int) -> Item:
    """What every account has in sum; the events up to a sequence are as many."""
    return {
        "sequence": sequence,
        "events": sequence,
        "by_account": [
            {
                "account": account,
                "currency": currency,
                "amount": print_amount(amount, DECIMALS[currency]),
            }
            for (account, currency), amount in sorted(totals.items())
        ],
    }


def _render_fill(order: Order, fill: Fill) -> Item:
    product = PRODUCTS[order.request.product_id]
    return {
        "trade_id": fill.trade_id,
        "price": print_steps(fill.price, product.price_decimals),
        "quantity": print_steps(fill.quantity, product.quantity_decimals),
        "liquidity": fill.liquidity,
        "fee": print_steps(fill.fee, QUOTE_DECIMALS),
        "fee_currency": QUOTE_CURRENCY,
    }


def _render_wallets(wallets: Iterable[WalletState]) -> list[Mapping[str, str]]:
    return [
        {
            "currency": currency,
            "available": print_steps(available, DECIMALS[currency]),
            "locked": print_steps(locked, DECIMALS[currency]),
        }
        for currency, available, locked in wallets
    ]

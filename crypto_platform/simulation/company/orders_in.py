"""What somebody sends: the JSON of an order, a transfer, a drive, made into what the company takes.

Here: fields, forms, bounds, and errors that name the field and what works. Not here: what becomes
of it (company.py), how it is answered (render.py).
"""

import re
from collections.abc import Collection, Mapping
from typing import TypeVar, cast, get_args

from crypto_platform.simulation.company.events import OrderRequest, OrderType, Side, TimeInForce
from crypto_platform.simulation.company.pace import DRIVE_S_MAX, RATE_MAX, Drive
from crypto_platform.simulation.company.products import (
    DECIMALS,
    QUOTE_DECIMALS,
    FigureError,
    Product,
    parse_steps,
)
from crypto_platform.simulation.company.traders import USERS_MAX

USERS_MIN = 2
"""Who makes a market, and who takes it."""

_CLIENT_ORDER_ID = re.compile(r"[!-~]{1,64}")
_ORDER_FIELDS = (
    *("product_id", "side", "type", "price", "quantity", "funds", "time_in_force"),
    *("post_only", "client_order_id"),
)
_Word = TypeVar("_Word", bound=str)


class UnreadableError(ValueError):
    """It is no order, transfer or drive; says what is wrong. Nothing happened."""


def parse_order(document: object, products: Mapping[str, Product]) -> OrderRequest:
    """Read an order.

    Args:
        document: {"product_id", "side", "type", "price", "quantity", "funds", "time_in_force",
            "post_only", "client_order_id"}; figures as text; what does not apply null or left out.
        products: Those that trade, by id.

    Raises:
        UnreadableError: It is none.
    """
    fields = _open_object(document, _ORDER_FIELDS)
    product_id = fields.get("product_id")
    product = products.get(product_id) if isinstance(product_id, str) else None
    if product is None:
        text = f"product_id must be one of {', '.join(products)}; found {product_id!r:.60}"
        raise UnreadableError(text)
    side: Side = _parse_word(fields, "side", get_args(Side))
    type_: OrderType = _parse_word(fields, "type", get_args(OrderType))
    market_buy = (type_, side) == ("market", "buy")
    price = _parse_figure(fields, "price", product.price_decimals)
    quantity = _parse_figure(fields, "quantity", product.quantity_decimals)
    funds = _parse_figure(fields, "funds", QUOTE_DECIMALS)
    if (price is None) != (type_ == "market"):
        text = "a limit order has a price, a market order has none"
        raise UnreadableError(text)
    if (quantity is None) == (funds is None) or (funds is not None and not market_buy):
        text = "give quantity; a market buy takes funds instead of it"
        raise UnreadableError(text)
    default: TimeInForce = "ioc" if type_ == "market" else "gtc"
    time_in_force = _parse_word(fields, "time_in_force", get_args(TimeInForce), default)
    post_only = fields.get("post_only") or False
    if type_ == "market" and time_in_force != "ioc":
        text = "a market order does not wait: its time_in_force is ioc"
        raise UnreadableError(text)
    if not isinstance(post_only, bool) or (post_only and time_in_force != "gtc"):
        text = "post_only is true or false, and true only where time_in_force is gtc"
        raise UnreadableError(text)
    return OrderRequest(
        product_id=product.product_id,
        side=side,
        type=type_,
        price=price,
        quantity=quantity,
        funds=funds,
        time_in_force=time_in_force,
        post_only=post_only,
        client_order_id=_parse_client_order_id(fields),
    )


def parse_transfer(document: object) -> tuple[str, int]:
    """Read a deposit or a withdrawal: {"currency": "USD", "amount": "100.00"}.

    Returns:
        The currency and the amount in its smallest units.

    Raises:
        UnreadableError: It is none.
    """
    fields = _open_object(document, ("currency", "amount"))
    currency = _parse_word(fields, "currency", tuple(DECIMALS))
    amount = _parse_figure(fields, "amount", DECIMALS[currency])
    if amount is None:
        text = "amount is missing"
        raise UnreadableError(text)
    return currency, amount


def parse_drive(document: object) -> Drive:
    """Read a drive: {"rate": orders a second, "seconds": ..., "users": ..., "seed": ...}.

    Raises:
        UnreadableError: It is none, or out of bounds.
    """
    fields = _open_object(document, ("rate", "seconds", "users", "seed"))
    return Drive(
        rate=_parse_number(fields, "rate", RATE_MAX),
        seconds=_parse_number(fields, "seconds", DRIVE_S_MAX),
        users=_parse_whole(fields, "users", USERS_MIN, USERS_MAX),
        seed=_parse_whole(fields, "seed", 0, 2**63 - 1),
    )


def _open_object(document: object, allowed: Collection[str]) -> Mapping[str, object]:
    if not isinstance(document, dict):
        text = f"expected a JSON object with {', '.join(allowed)}; found {document!r:.60}"
        raise UnreadableError(text)
    fields = cast("dict[str, object]", document)
    for name in fields:
        if name not in allowed:
            text = f"unknown field {name!r:.60}; there are {', '.join(allowed)}"
            raise UnreadableError(text)
    return fields


def _parse_word(
    fields: Mapping[str, object],
    name: str,
    words: Collection[_Word],
    default: _Word | None = None,
) -> _Word:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    for word in words:
        if value == word:
            return word
    text = f"{name} must be one of {', '.join(words)}; found {value!r:.60}"
    raise UnreadableError(text)


def _parse_figure(fields: Mapping[str, object], name: str, decimals: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        return parse_steps(value, decimals, name)
    except FigureError as error:
        raise UnreadableError(str(error)) from None


def _parse_client_order_id(fields: Mapping[str, object]) -> str | None:
    value = fields.get("client_order_id")
    if value is None or (isinstance(value, str) and _CLIENT_ORDER_ID.fullmatch(value)):
        return value
    text = f"client_order_id must be 1 to 64 visible ASCII characters, found {value!r:.80}"
    raise UnreadableError(text)


def _parse_number(fields: Mapping[str, object], name: str, largest: float) -> float:
    value = fields.get(name)
    if (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= largest
    ):  # NaN is in no range
        return float(value)
    text = f"{name} must be a number above 0 and up to {largest:g}, found {value!r:.60}"
    raise UnreadableError(text)


def _parse_whole(
    fields: Mapping[str, object], name: str, smallest: int, largest: int
) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest:
        return value
    text = f"{name} must be a whole number from {smallest} to {largest}, found {value!r:.60}"
    raise UnreadableError(text)

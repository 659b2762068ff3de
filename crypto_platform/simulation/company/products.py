"""What the company trades: products, their steps and bounds, and the decimals of each currency.

Here: the list, and how figures are written as text and read back, exactly. Not here: prices of a
moment (references.py), Coinbase's field names (../exchange_fields.py).

Inside the company every figure is a whole number: a price counts ticks, a quantity lots, an amount
the smallest units of its currency. A product's tick times its lot is a whole number of the quote
currency's units, so price x quantity is exact and nothing is ever rounded but fees (fees.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from crypto_platform.simulation.currencies import Currency, list_currencies
from crypto_platform.simulation.trades import print_steps

QUOTE_CURRENCY = "USD"
QUOTE_DECIMALS = 8
NOTIONAL_MIN = 10**QUOTE_DECIMALS
"""One dollar: an order for less is refused."""
AMOUNT_MAX = 2**62
"""Of any figure an order or a transfer names: 46 billion dollars."""
QUANTITY_MAX = 2**40
"""Lots of one order: a million bitcoin. So many that a minute's volume, which the same coins make
again and again, stays far below what the journal can hold (2^63)."""
FIGURE_CHARACTERS_MAX = 64
"""Of a figure as text."""

CURRENCIES_READ = 25
"""Of the market's list, which has those traded here among its first."""

# currency id, decimals of the price and of the quantity: together never more than QUOTE_DECIMALS
_LISTED = (
    ("bitcoin", 2, 6),
    ("ethereum", 2, 6),
    ("solana", 2, 6),
    ("xrp", 4, 4),
    ("dogecoin", 5, 1),
    ("cardano", 4, 4),
    ("chainlink", 3, 2),
    ("avalanche", 2, 6),
    ("bitcoin-cash", 2, 6),
    ("litecoin", 2, 6),
)


class FigureError(ValueError):
    """A figure that is none, has too many digits, or is out of bounds; says which."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product:
    """One currency against the US dollar; there is one object a product.

    Attributes:
        product_id: BTC-USD.
        currency: The base currency, with its name.
        notional_unit: Quote units of one tick times one lot.
    """

    product_id: str
    currency: Currency
    price_decimals: int
    quantity_decimals: int
    notional_unit: int

    @property
    def base(self) -> str:
        """Code of what is traded."""
        return self.currency.symbol


def _list_products() -> dict[str, Product]:
    currencies = {each.currency_id: each for each in list_currencies(CURRENCIES_READ)}
    return {
        product.product_id: product
        for product in (
            Product(
                product_id=f"{currencies[currency_id].symbol}-{QUOTE_CURRENCY}",
                currency=currencies[currency_id],
                price_decimals=price_decimals,
                quantity_decimals=quantity_decimals,
                notional_unit=10 ** (QUOTE_DECIMALS - price_decimals - quantity_decimals),
            )
            for currency_id, price_decimals, quantity_decimals in _LISTED
        )
    }


PRODUCTS = _list_products()
"""All that can be listed, by id; orders of one that is listed no longer stay in its book."""

DECIMALS = {product.base: product.quantity_decimals for product in PRODUCTS.values()} | {
    QUOTE_CURRENCY: QUOTE_DECIMALS
}
"""Of each currency's amounts, by code."""


def choose_products(product_ids: Iterable[str]) -> list[Product]:
    """The products of these ids, each once.

    Raises:
        ValueError: One is not known, or there is none.
    """
    chosen = list(dict.fromkeys(product_ids))
    unknown = [product_id for product_id in chosen if product_id not in PRODUCTS]
    if unknown or not chosen:
        text = f"products must be some of {', '.join(PRODUCTS)}; found {', '.join(unknown) or '-'}"
        raise ValueError(text)
    return [PRODUCTS[product_id] for product_id in chosen]


def print_amount(amount: int, decimals: int) -> str:
    """Write a figure of either sign with all its decimals."""
    return f"-{print_steps(-amount, decimals)}" if amount < 0 else print_steps(amount, decimals)


def parse_steps(text: object, decimals: int, name: str) -> int:
    """Read a positive figure as a count of its smallest steps.

    Args:
        text: A plain decimal as text, such as 93000.01.
        decimals: How many it may have.
        name: Of the field, for the error.

    Raises:
        FigureError: No such figure.
    """
    if not isinstance(text, str) or not text.replace(".", "", 1).isascii():
        message = f'{name} must be a decimal as text, such as "0.5"; found {text!r:.60}'
        raise FigureError(message)
    whole, _, part = text.partition(".")
    part = part.rstrip("0")
    # in digits, for Decimal's arithmetic would round before anything is checked
    is_figure = len(text) <= FIGURE_CHARACTERS_MAX and f"{whole}{part}".isdigit()
    steps = int(whole + part.ljust(decimals, "0")) if is_figure and len(part) <= decimals else 0
    if not 0 < steps <= AMOUNT_MAX:
        step = print_steps(1, decimals)
        message = f"{name} must be a positive multiple of {step}, found {text!r:.60}"
        raise FigureError(message)
    return steps

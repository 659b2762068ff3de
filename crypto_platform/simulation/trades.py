"""The simulated market's single trades: the same for everybody, in the past as now.

Here: which products trade, how often, and each trade made from its number alone. Not here: prices
(market.py), HTTP and Coinbase's field names (exchange.py).

A product has a fixed number of trades a second, counted from 2026 on: so a trade's number says
its second, a moment says the newest number, and nothing has to be stored. All else of a trade is a
hash of (seed, product, number) around the market's price of that second.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from crypto_platform.simulation.currencies import Currency
from crypto_platform.simulation.market import Market

FIRST_SECOND = 1_767_225_600
"""2026-01-01 00:00:00 UTC, when trade 1 of each product came. Before it nothing was traded."""

SECOND_US = 1_000_000
SPREAD_RATIO = 0.0002
"""Takers buy above the market's price and sell below it, by up to this part of it."""

_UINT32_VALUES = 2**32

# currency id, trades a second, decimals of the price, decimals and median of the quantity
_LISTED = (
    ("bitcoin", 2, 2, 8, 0.01),
    ("ethereum", 2, 2, 8, 0.2),
    ("solana", 1, 2, 8, 5.0),
    ("xrp", 1, 4, 6, 300.0),
    ("dogecoin", 1, 5, 1, 4000.0),
)


class Trade(NamedTuple):
    """One match.

    Attributes:
        trade_id: From 1, without gaps.
        time_us: Microseconds since 1970, UTC; rises with the id.
        price, quantity: Positive, with the product's decimals.
        maker_side: buy or sell.
    """

    trade_id: int
    time_us: int
    price: str
    quantity: str
    maker_side: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One currency against the US dollar.

    Attributes:
        product_id: BTC-USD.
        place: Of its currency in the market's list.
        rate: Trades a second.
        price_decimals, quantity_decimals: Printed, always all of them.
        quantity: What changes hands at a time, give or take.
    """

    product_id: str
    currency: Currency
    place: int
    rate: int
    price_decimals: int
    quantity_decimals: int
    quantity: float


class Tape:
    """The trades of all products."""

    def __init__(self, *, seed: int, currencies: Sequence[Currency]) -> None:
        """List the products of these currencies, which are the market's, in its order."""
        places = {currency.currency_id: place for place, currency in enumerate(currencies)}
        listed = [row for row in _LISTED if row[0] in places]
        self.products = {
            product.product_id: product
            for product in (_list_product(row, places, currencies) for row in listed)
        }
        self._seed = seed
        # The first currencies of a shorter list have the same prices, and cost a twentieth.
        last = max((product.place for product in self.products.values()), default=-1)
        self._market = Market(seed=seed, currencies=currencies[: last + 1])

    def find_newest_id(self, product: Product, now_us: int) -> int:
        """The id of the last trade at or before a moment; 0 where there is none."""
        second = now_us // SECOND_US
        if second < FIRST_SECOND:
            return 0
        first = (second - FIRST_SECOND) * product.rate + 1
        ids = range(first + product.rate - 1, first - 1, -1)
        traded = (i for i in ids if self._make_time(product, i) <= now_us)
        return next(traded, first - 1)

    def read_trades(
        self,
        product: Product,
        *,
        now_us: int,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> list[Trade]:
        """The newest trades of a product, newest first.

        Args:
            product: One of `products`.
            now_us: Nothing later is told.
            limit: Trades at most, the newest ones.
            before: Only ids above this one (Coinbase's word for newer).
            after: Only ids below this one (its word for older).
        """
        newest = self.find_newest_id(product, now_us)
        if after is not None:
            newest = min(newest, after - 1)
        oldest = max(newest - limit + 1, 1, 1 if before is None else before + 1)
        return [self.read_trade(product, i) for i in range(newest, oldest - 1, -1)]

    def read_trade(self, product: Product, trade_id: int) -> Trade:
        """One trade by its id, which is 1 or more; told of the future too, so ask with care."""
        _, side, size, distance = self._make_noise(product, trade_id)
        second = FIRST_SECOND + (trade_id - 1) // product.rate
        market_price = self._market.read_prices(second)[product.place]
        maker_side = ("buy", "sell")[int(2 * side)]
        # a taker buys from a maker who sells, above the market's price
        off = SPREAD_RATIO * distance * (1 if maker_side == "sell" else -1)
        return Trade(
            trade_id=trade_id,
            time_us=self._make_time(product, trade_id),
            price=_print(market_price * (1 + off), product.price_decimals),
            # cubed: many small trades and a few large ones
            quantity=_print(product.quantity * 8 * size**3, product.quantity_decimals),
            maker_side=maker_side,
        )

    def _make_time(self, product: Product, trade_id: int) -> int:
        """Each trade has a slot of its second to itself, so that times rise with ids."""
        seconds, slot = divmod(trade_id - 1, product.rate)
        slot_us = SECOND_US // product.rate
        place, *_ = self._make_noise(product, trade_id)
        return (FIRST_SECOND + seconds) * SECOND_US + slot * slot_us + int(place * slot_us)

    def _make_noise(self, product: Product, trade_id: int) -> list[float]:
        """Four numbers from 0 up to but below 1."""
        text = f"{self._seed}:{product.product_id}:{trade_id}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        return [number / _UINT32_VALUES for number in struct.unpack("<4I", digest)]


def _list_product(
    row: tuple[str, int, int, int, float],
    places: dict[str, int],
    currencies: Sequence[Currency],
) -> Product:
    currency_id, rate, price_decimals, quantity_decimals, quantity = row
    place = places[currency_id]
    return Product(
        product_id=f"{currencies[place].symbol}-USD",
        currency=currencies[place],
        place=place,
        rate=rate,
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
        quantity=quantity,
    )


def _print(figure: float, decimals: int) -> str:
    """Rounded to its decimals, and never to nothing: a trade of 0 is no trade."""
    step = Decimal(1).scaleb(-decimals)
    return format(max(Decimal(figure).quantize(step, ROUND_HALF_EVEN), step), "f")

"""The simulated market's order books: the best bid and ask of a slot, and what waits behind them.

Here: the levels of a book at a moment, and the number of its state. Not here: the best prices and
the trades (trades.py), HTTP (exchange.py).

Behind the best price a level waits in every GAP of prices, always at the same place of it, so a
book that moves by a little keeps most of its levels. A slot's trade takes its quantity from the
best level; so a book has two states a slot, and they number it.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

from crypto_platform.simulation.trades import SECOND_US, Product, Slot, Tape, Trade

LEVELS_A_SIDE = 100
ORDERS_MAX = 9

_LEVEL_LIFE_S = 64
"""How long what waits behind the best price stays as it is."""
_LEVELS_CACHED_MAX = 16_384
_STIR = 2_654_435_761
"""Knuth's multiplier: neighbours land far from each other."""


class Level(NamedTuple):
    """What waits at one price: the price in ticks, the quantity in lots, by how many orders."""

    price: int
    quantity: int
    orders: int


class Book(NamedTuple):
    """All that waits at a moment.

    Attributes:
        sequence: The number of this state: the same one, the same book; rises with time.
        bids: Highest first.
        asks: Lowest first, all above the bids.
    """

    sequence: int
    bids: list[Level]
    asks: list[Level]


class Books:
    """The order books of all products."""

    def __init__(self, tape: Tape) -> None:
        """Put books around the trades of `tape`."""
        self._tape = tape
        self._fill = lru_cache(maxsize=_LEVELS_CACHED_MAX)(self._make_filling)

    def read_book(self, product: Product, *, now_us: int, levels: int = LEVELS_A_SIDE) -> Book:
        """A product's book at a moment; empty before its first trade's slot.

        Args:
            product: One of the tape's.
            now_us: The moment, microseconds since 1970.
            levels: A side, 1 to LEVELS_A_SIDE.
        """
        number = self._tape.find_slot(product, now_us)
        if number < 1:
            return Book(sequence=0, bids=[], asks=[])
        slot = self._tape.read_slot(product, number)
        is_traded = slot.trade.time_us <= now_us
        second = now_us // product.slot_us * product.slot_us // SECOND_US
        return Book(
            sequence=2 * number + is_traded,
            bids=self._list_side(product, slot, levels, second, is_traded=is_traded, step=-1),
            asks=self._list_side(product, slot, levels, second, is_traded=is_traded, step=1),
        )

    def _list_side(
        self, product: Product, slot: Slot, levels: int, second: int, *, is_traded: bool, step: int
    ) -> list[Level]:
        best = slot.best_ask if step > 0 else slot.best_bid
        takes = slot.trade if slot.trade.price == best else None
        found = [_find_best(product, best, slot.rest, takes, is_traded=is_traded)]
        gap = max(product.spread_max // 2, 1)
        number = best // gap
        while len(found) < levels and number > 0:
            price = number * gap + number * _STIR % gap
            if (price - best) * step > 0:
                found.append(self._read_level(product, price, second))
            number += step
        return found

    def _read_level(self, product: Product, price: int, second: int) -> Level:
        life = (second + price * _STIR % _LEVEL_LIFE_S) // _LEVEL_LIFE_S
        quantity, orders = self._fill(product.product_id, price, life)
        lots = product.quantity * 10**product.quantity_decimals
        return Level(price, max(int(4 * lots * quantity), 1), orders)

    def _make_filling(self, product_id: str, price: int, life: int) -> tuple[float, int]:
        text = f"{self._tape.seed}:{product_id}:{price}:{life}"
        digest = hashlib.blake2b(text.encode(), digest_size=5).digest()
        return int.from_bytes(digest[:4], "little") / 2**32, 1 + digest[4] % ORDERS_MAX


def _find_best(
    product: Product, best: int, rest: float, takes: Trade | None, *, is_traded: bool
) -> Level:
    """The level that the slot's trade takes from, or its counterpart on the other side."""
    lots = product.quantity * 10**product.quantity_decimals
    left = max(int(2 * lots * rest), 1)
    if takes is not None and not is_traded:
        return Level(best, left + takes.quantity, 2)
    return Level(best, left, 1)

"""One product's order book: what waits, by price and then by time.

Here: adding, removing, the order in which waiting orders are met. Not here: who meets them
(matching.py), money (engine.py).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from crypto_platform.simulation.books import Level
from crypto_platform.simulation.company.events import Order, Side

OPPOSITE: dict[Side, Side] = {"buy": "sell", "sell": "buy"}


class _Half:
    """One side: prices in rising order, and the orders of each by number, the oldest first."""

    def __init__(self) -> None:
        self.prices: list[int] = []
        self.queues: dict[int, dict[int, Order]] = {}


class Book:
    """The orders of one product that wait; all of them limit orders with something left."""

    def __init__(self) -> None:
        """Begin empty."""
        self._halves: dict[Side, _Half] = {"buy": _Half(), "sell": _Half()}
        self.sequence = 0
        """Of the last event that changed it."""

    def add(self, order: Order) -> None:
        """Put an order behind those of its price; numbers of one price are added rising."""
        price = _price_of(order)
        half = self._halves[order.request.side]
        queue = half.queues.get(price)
        if queue is None:
            insort(half.prices, price)
            queue = half.queues[price] = {}
        queue[order.number] = order

    def remove(self, order: Order) -> None:
        """Take an order out that waits here."""
        price = _price_of(order)
        half = self._halves[order.request.side]
        queue = half.queues[price]
        del queue[order.number]
        if not queue:
            del half.queues[price]
            del half.prices[bisect_left(half.prices, price)]

    def best(self, side: Side) -> int | None:
        """The highest bid or the lowest ask, in ticks."""
        prices = self._halves[side].prices
        if not prices:
            return None
        return prices[-1] if side == "buy" else prices[0]

    def walk(self, side: Side) -> Iterator[Order]:
        """The waiting orders of a side, in the order in which they are met."""
        half = self._halves[side]
        for price in reversed(half.prices) if side == "buy" else half.prices:
            yield from half.queues[price].values()

    def list_levels(self, side: Side, count: int) -> list[Level]:
        """The best prices of a side, with what waits at each."""
        half = self._halves[side]
        prices = half.prices[-count:][::-1] if side == "buy" else half.prices[:count]
        return [
            Level(price, sum(order.left for order in queue.values()), len(queue))
            for price, queue in ((price, half.queues[price]) for price in prices)
        ]


def _price_of(order: Order) -> int:
    price = order.request.price
    assert price is not None, "only limit orders wait"
    return price

"""Prices between two fixed points of the market: any of them, and the highest of any stretch.

Here: a bridge over each cell of CELL_S seconds, its values, and a search for extremes that looks at
few of them. Not here: what hangs on the values (trades.py), what the fixed points are (market.py).

A cell is halved again and again, and each middle lies halfway between its two ends plus noise, as
in market.py. Here the noise has bounds, and they shrink with the halves: so no value of a stretch
is above its higher end by more than the sum of the noise that is still to come. A search that
always halves the stretch with the highest bound finds the highest value of 170,000 by looking at
some hundred: a day's candle costs what a minute's does.
"""

import hashlib
import heapq
import math
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

CELL_S = 2**12
"""The market's walk is cheap at multiples of a power of two."""

_DIGESTS_CACHED_MAX = 128
_SHALLOW_NODES = 63
"""Of a cell, in its first six levels: in most cells a search goes no deeper."""
_NODE_BYTES = 2
_HALF = 256**_NODE_BYTES / 2


class Bridges:
    """The values of one price, a place each; places are counted from 1970 on."""

    def __init__(
        self, *, name: str, places: int, volatility: float, read_pin: Callable[[int], float]
    ) -> None:
        """Span bridges between fixed points.

        Args:
            name: Of the noise: the same name gives the same values.
            places: Values of a cell, a power of two.
            volatility: Standard deviation of a second's move, as a part of the price.
            read_pin: The fixed price at the beginning of a cell, by the cell's number.
        """
        self._places = places
        self._name = name
        self._read_pin = read_pin
        lengths = [2**level for level in range(places.bit_length())]
        # halfway across a bridge of n seconds the deviation is sqrt(n) / 2; that of even noise from
        # -1 to 1 is 1 / sqrt(3). A single place has no middle.
        self._noise_of_length = {
            length: volatility * math.sqrt(3 * length * CELL_S / places) / 2 for length in lengths
        } | {1: 0.0}
        self._reach_of_length = dict(
            zip(lengths, accumulate(self._noise_of_length.values()), strict=True)
        )
        self._read_noise = lru_cache(maxsize=_DIGESTS_CACHED_MAX)(self._make_noise)

    def read_value(self, place: int) -> float:
        """The value at a place, in the pins' unit."""
        stretch = self._find_cell(place // self._places)
        while stretch.length > 1:
            left, right = self._halve(stretch)
            stretch = left if place < right.place else right
        return stretch.left

    def find_most(
        self,
        first: int,
        last: int,
        *,
        measure: Callable[[int, float], int],
        slack: float,
        sign: int,
    ) -> int:
        """The highest (sign 1) or lowest (sign -1) of what is measured at the places of a stretch.

        Args:
            first, last: Both inclusive.
            measure: What counts at a place, from the place and its value; whole units.
            slack: By how many units of the value it may lie beyond the value, at most.
            sign: 1 or -1.
        """
        cells = range(first // self._places, last // self._places + 1)
        waiting = [self._bound(self._find_cell(cell), sign) for cell in cells]
        heapq.heapify(waiting)
        best = -math.inf
        while waiting and math.floor(slack - waiting[0][0]) > best:
            _, stretch = heapq.heappop(waiting)
            if stretch.length == 1:
                best = max(best, sign * measure(stretch.place, stretch.left))
                continue
            for half in self._halve(stretch):
                if half.place <= last and half.place + half.length > first:
                    heapq.heappush(waiting, self._bound(half, sign))
        return sign * int(best)

    def _find_cell(self, cell: int) -> "_Stretch":
        start, end = self._read_pin(cell), self._read_pin(cell + 1)
        return _Stretch(cell * self._places, self._places, start, end, start)

    def _halve(self, stretch: "_Stretch") -> "tuple[_Stretch, _Stretch]":
        place, length, left, right, scale = stretch
        cell, within = divmod(place, self._places)
        # coarse levels first, each level from left to right
        index = self._places // length - 1 + within // length
        noise = self._read_noise(cell, index >= _SHALLOW_NODES)
        at = _NODE_BYTES * index
        number = noise[at] + 256 * noise[at + 1]
        spread = scale * self._noise_of_length[length]
        middle = (left + right) / 2 + spread * ((number + 0.5) / _HALF - 1)
        half = length // 2
        return (
            _Stretch(place, half, left, middle, scale),
            _Stretch(place + half, half, middle, right, scale),
        )

    def _bound(self, stretch: "_Stretch", sign: int) -> "tuple[float, _Stretch]":
        """What no value of a stretch is beyond, negated: a heap gives its lowest first."""
        _, length, left, right, scale = stretch
        highest = sign * left if length == 1 else max(sign * left, sign * right)
        return -highest - scale * self._reach_of_length[length], stretch

    def _make_noise(self, cell: int, is_deep: bool) -> bytes:  # noqa: FBT001 - a key of the cache
        nodes = self._places - 1 if is_deep else _SHALLOW_NODES
        # SHAKE's longer output starts with the shorter one
        return hashlib.shake_128(f"{self._name}:{cell}".encode()).digest(_NODE_BYTES * nodes)


class _Stretch(NamedTuple):
    """Places from `place` on, the values at its two ends (the right one is its neighbour's)."""

    place: int
    length: int
    left: float
    right: float
    scale: float

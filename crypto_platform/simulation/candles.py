"""The simulated market's candles: exactly what its trades say.

Here: which candles a stretch of time has, each made of the trades from its first to its last. Not
here: how prices and quantities of many trades are found at once (trades.py), HTTP (exchange.py).
A candle is named by its first and last trade, so one that is closed is made once and kept.
"""

from functools import lru_cache
from typing import NamedTuple

from crypto_platform.simulation.trades import SECOND_US, Product, Tape

GRANULARITIES_S = (60, 300, 900, 3600, 21_600, 86_400)
CANDLES_MAX = 300

_CANDLES_CACHED_MAX = 16_384


class Candle(NamedTuple):
    """One interval: prices in ticks, volume in lots.

    Attributes:
        open_s: When it opens, seconds since 1970.
    """

    open_s: int
    low: int
    high: int
    open: int
    close: int
    volume: int


class Charts:
    """The candles of all products."""

    def __init__(self, tape: Tape) -> None:
        """Make candles of the trades of `tape`."""
        self._tape = tape
        self._read_figures = lru_cache(maxsize=_CANDLES_CACHED_MAX)(self._make_figures)

    def list_candles(
        self, product: Product, *, granularity_s: int, first_s: int, last_s: int, now_us: int
    ) -> list[Candle]:
        """The candles that open in a stretch of time, newest first.

        Args:
            product: One of the tape's.
            granularity_s: Length of a candle, one of GRANULARITIES_S.
            first_s, last_s: The stretch, both inclusive, seconds since 1970.
            now_us: Trades after it are not in yet: the newest candle may be half done.

        Returns:
            At most CANDLES_MAX, the newest ones; none for an interval without a trade.
        """
        newest = min(last_s, now_us // SECOND_US) // granularity_s * granularity_s
        oldest = max(-(-first_s // granularity_s) * granularity_s, 0)
        oldest = max(oldest, newest - (CANDLES_MAX - 1) * granularity_s)
        found: list[Candle] = []
        for open_s in range(newest, oldest - 1, -granularity_s):
            before = self._tape.find_newest_id(product, open_s * SECOND_US - 1)
            end_us = min((open_s + granularity_s) * SECOND_US - 1, now_us)
            last_id = self._tape.find_newest_id(product, end_us)
            if last_id > before:
                figures = self._read_figures(product, before + 1, last_id)
                found.append(Candle(open_s, *figures))
        return found

    def _make_figures(
        self, product: Product, first_id: int, last_id: int
    ) -> tuple[int, int, int, int, int]:
        tape = self._tape
        return (
            tape.find_low(product, first_id, last_id),
            tape.find_high(product, first_id, last_id),
            tape.read_trade(product, first_id).price,
            tape.read_trade(product, last_id).price,
            tape.sum_quantities(product, first_id, last_id),
        )

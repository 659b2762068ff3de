"""Indicators of technical analysis, reckoned: what a chart draws beside the candles.

The only place of the platform where a price is a float: TA-Lib, which everybody compares with,
reckons in them. Candles come in and values go out as Decimals; a value has 10 decimals in the unit
(a power of ten) in which the largest price, or volume, is 1 to 10: no more is true of a float.

Here: a formula an indicator. Not here: their names, parameters and what they need before they say
anything (indicator_catalogue.py), candles (candles.py), volatility (volatility.py).

Three rules:
- What is not known, or not yet, is None, never 0.
- Candles are counted, not minutes: an interval without a trade has no candle.
- What remembers for ever (EMA, Wilder's averages) depends on where one begins; `forget_ema` and
  `forget_wilder` say how many candles it takes until that is less than a billionth.

Source: TA-Lib 0.6 and later, "Functions"; J. Welles Wilder, "New Concepts in Technical Trading
Systems" (RSI, ATR).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

import numpy as np
import talib
from numpy.typing import NDArray

from crypto_platform.domain.hours import day_of

Floats = NDArray[np.float64]

VALUE_DECIMALS = 10
"""A float has some 16 digits; sums and differences lose a few."""
_SETTLED = 1e-9
_CONTEXT = Context(prec=40)


@dataclass(frozen=True, kw_only=True)
class CandleColumns:
    """Candles of one market and interval, oldest first, a column each.

    Attributes:
        begins_us: From this time on no candle is left out, and none is made of a part of its trades
            (there may well have been some before it).
        open_times: Microseconds, rising.
        highs, lows, closes: Prices.
        base_volumes: Units of base.
        quote_volumes: The same in quote currency; None where nobody says.
    """

    begins_us: int
    open_times: Sequence[int]
    highs: Sequence[Decimal]
    lows: Sequence[Decimal]
    closes: Sequence[Decimal]
    base_volumes: Sequence[Decimal]
    quote_volumes: Sequence[Decimal | None]

    @cached_property
    def price_digits(self) -> int:
        """The power of ten in which the largest price is 1 to 10."""
        return max(self.highs).adjusted()

    @cached_property
    def volume_digits(self) -> int:
        """The same of units of base."""
        return max(self.base_volumes).adjusted()

    @cached_property
    def prices(self) -> "Prices":
        """As floats, made once for all indicators: it takes as long as what they reckon."""
        return _to_floats(self)


class Unit(StrEnum):
    """What an indicator's values are in."""

    PRICE = "price"
    """Quote currency for one unit of base: it is drawn over the candles."""
    VOLUME = "volume"
    """Units of base."""
    PERCENT = "percent"
    """0 to 100."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """CandleColumns as floats, so scaled that the largest is 1 to 10; NaN where nobody says."""

    begins_us: int
    open_times: Sequence[int]
    highs: Floats
    lows: Floats
    closes: Floats
    base_volumes: Floats
    quote_volumes: Floats


Formula = Callable[[Prices, Sequence[Decimal]], Sequence[Floats]]
"""Candles and parameters -> a column an output, NaN where nothing is known."""


def evaluate(
    formula: Formula, values: Sequence[Decimal], unit: Unit, candles: CandleColumns
) -> list[list[Decimal | None]]:
    """A formula's columns, a value for each candle, of which there is at least one."""
    digits = {
        Unit.PRICE: candles.price_digits,
        Unit.VOLUME: candles.volume_digits,
        Unit.PERCENT: 0,
    }[unit]
    return [
        [_to_decimal(value, digits) for value in column.tolist()]
        for column in formula(candles.prices, values)
    ]


def _to_floats(candles: CandleColumns) -> Prices:
    price_digits, volume_digits = candles.price_digits, candles.volume_digits

    def scaled(amounts: Sequence[Decimal | None], digits: int) -> Floats:
        return np.array(
            [math.nan if a is None else float(a.scaleb(-digits, _CONTEXT)) for a in amounts],
            dtype=np.float64,
        )

    return Prices(
        begins_us=candles.begins_us,
        open_times=candles.open_times,
        highs=scaled(candles.highs, price_digits),
        lows=scaled(candles.lows, price_digits),
        closes=scaled(candles.closes, price_digits),
        base_volumes=scaled(candles.base_volumes, volume_digits),
        quote_volumes=scaled(candles.quote_volumes, price_digits + volume_digits),
    )


def _to_decimal(value: float, digits: int) -> Decimal | None:
    if not math.isfinite(value):
        return None
    number = Decimal(f"{value:.{VALUE_DECIMALS}f}").scaleb(digits, _CONTEXT)
    plain = Decimal(f"{_CONTEXT.normalize(number):f}")
    return plain.copy_abs() if plain.is_zero() else plain


def sma(prices: Prices, values: Sequence[Decimal]) -> Sequence[Floats]:
    """Simple moving average: period."""
    return [talib.SMA(prices.closes, int(values[0]))]


def ema(prices: Prices, values: Sequence[Decimal]) -> Sequence[Floats]:
    """Exponential moving average, begun with the simple one: period."""
    return [talib.EMA(prices.closes, int(values[0]))]


def rsi(prices: Prices, values: Sequence[Decimal]) -> Sequence[Floats]:
    """Relative strength index: period. Not known while the price never moved."""
    found = talib.RSI(prices.closes, int(values[0]))
    # TA-Lib says 0, "nothing but losses", where the price never moved
    moved = np.concatenate([[False], np.diff(prices.closes) != 0.0])
    return [np.where(np.logical_or.accumulate(moved), found, math.nan)]


def macd(prices: Prices, values: Sequence[Decimal]) -> Sequence[Floats]:
    """Fast EMA less slow EMA, the EMA of that, their difference: fast, slow, signal."""
    fast, slow, signal = (int(value) for value in values)
    return talib.MACD(prices.closes, fast, slow, signal)


def bbands(prices: Prices, values: Sequence[Decimal]) -> Sequence[Floats]:
    """Simple average and so many population deviations around it, upper first: period, width."""
    width = float(values[1])
    return talib.BBANDS(prices.closes, int(values[0]), width, width)


def atr(prices: Prices, values: Sequence[Decimal]) -> Sequence[Floats]:
    """Average true range: period."""
    return [talib.ATR(prices.highs, prices.lows, prices.closes, int(values[0]))]


def obv(prices: Prices, _: Sequence[Decimal]) -> Sequence[Floats]:
    """On-balance volume since the first candle."""
    return [talib.OBV(prices.closes, prices.base_volumes)]


def vwap(prices: Prices, _: Sequence[Decimal]) -> Sequence[Floats]:
    """What was paid for a unit in the day (UTC) so far.

    Where a candle does not say what was paid: the middle of its high, low and close. Not known of a
    day whose beginning is not there, nor before its first trade.
    """
    days = np.array([day_of(open_time) for open_time in prices.open_times])
    typical = (prices.highs + prices.lows + prices.closes) / 3.0
    quotes = np.where(
        np.isnan(prices.quote_volumes), typical * prices.base_volumes, prices.quote_volumes
    )
    found = np.full(len(days), math.nan)
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for start, end in pairwise(starts):
        if days[start] < prices.begins_us:
            continue
        traded = np.cumsum(prices.base_volumes[start:end])
        paid = np.cumsum(quotes[start:end])
        np.divide(paid, traded, out=found[start:end], where=traded > 0.0)
    return [found]


def _forget(ratio: float) -> int:
    """Steps until what is multiplied by a ratio in each is less than a billionth."""
    return math.ceil(math.log(_SETTLED) / math.log(ratio))


def forget_ema(period: int) -> int:
    """Candles until where an EMA began is less than a billionth of it."""
    return _forget(1.0 - 2.0 / (period + 1.0))


def forget_wilder(period: int) -> int:
    """Candles until where an average of Wilder's began is less than a billionth of it."""
    return _forget(1.0 - 1.0 / period)

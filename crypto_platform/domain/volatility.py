"""How much a price moves, and which prices move together.

Here: log returns of closes, realised volatility, correlation; Decimals, so that the same candles
always give the same figures. Not here: candles (candles.py), which markets and which days.

Realised volatility is the square root of the sum of squared log returns over the time they cover,
brought to a year of 365 days (these markets never close): 60 is 60 % a year. Counted by time and
not by candles, it needs no candle in an interval without a trade: the return that spans the hole
counts with the time that it spans. The shorter the candles, the more of the bounce between bid and
ask is in it; five minutes are the usual compromise.

Correlation is Pearson's, of returns in the same intervals. An interval that either lacks is left
out for that pair; one return of many intervals would be compared with one of a single one.

Source: Andersen, Bollerslev, "Answering the Skeptics" (1998), for realised volatility.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple, TypeVar

from crypto_platform.domain.hours import MICROSECONDS_PER_DAY

YEAR_US = 365 * MICROSECONDS_PER_DAY
RETURNS_MIN = 10
"""Fewer make a figure of chance; it is unknown then."""
PAIRS_MIN = 30
"""Of two markets' returns: the correlation of 30 unrelated ones is within 0.36, 19 times of 20."""
PCT_DECIMALS = 6
CORRELATION_DECIMALS = 6

_CONTEXT = Context(
    prec=30, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_ZERO = Decimal(0)

Key = TypeVar("Key")


class Close(NamedTuple):
    """The price, above zero, at the end of a candle; time in microseconds."""

    close_time: int
    price: Decimal


class Volatility(NamedTuple):
    """Realised volatility of one market.

    Attributes:
        annualised_pct: Per cent a year; None where there are fewer than RETURNS_MIN returns.
        returns: How many it is made of.
    """

    annualised_pct: Decimal | None
    returns: int


class Correlation(NamedTuple):
    """Of two markets' returns.

    Attributes:
        value: -1 to 1; None where there are fewer than PAIRS_MIN pairs, or one price never moved.
        pairs: Intervals in which both have a return.
    """

    value: Decimal | None
    pairs: int


def find_volatility(closes: Sequence[Close]) -> Volatility:
    """Realised volatility of closes, oldest first, each time once."""
    returns = [change for _, _, change in _find_changes(closes)]
    if len(returns) < RETURNS_MIN:
        return Volatility(None, len(returns))
    context = _CONTEXT
    variance = context.divide(
        context.multiply(_sum_products(returns, returns), Decimal(YEAR_US)),
        Decimal(closes[-1].close_time - closes[0].close_time),
    )
    annualised = context.multiply(context.sqrt(variance), Decimal(100))
    return Volatility(_round(annualised, PCT_DECIMALS), len(returns))


def find_returns(closes: Sequence[Close], *, interval_us: int) -> Mapping[int, Decimal]:
    """Log returns by close time, only of candles that directly follow another one."""
    return {
        end: change for begin, end, change in _find_changes(closes) if end - begin == interval_us
    }


def look_back_on(returns: Mapping[int, Decimal], end_us: int) -> Mapping[int, Decimal]:
    """Those of the 24 hours that end at a time."""
    begins_us = end_us - MICROSECONDS_PER_DAY
    return {time: change for time, change in returns.items() if begins_us < time <= end_us}


def find_correlation(first: Mapping[int, Decimal], second: Mapping[int, Decimal]) -> Correlation:
    """Of two markets' returns by close time."""
    common = [time for time in first if time in second]
    if len(common) < PAIRS_MIN:
        return Correlation(None, len(common))
    ones, others = [first[time] for time in common], [second[time] for time in common]
    context, count = _CONTEXT, Decimal(len(common))
    sum_ones, sum_others = _sum(ones), _sum(others)

    def spread(left: Sequence[Decimal], right: Sequence[Decimal], product: Decimal) -> Decimal:
        return context.subtract(context.multiply(count, _sum_products(left, right)), product)

    spread_ones = spread(ones, ones, context.multiply(sum_ones, sum_ones))
    spread_others = spread(others, others, context.multiply(sum_others, sum_others))
    if spread_ones <= _ZERO or spread_others <= _ZERO:
        return Correlation(None, len(common))
    together = spread(ones, others, context.multiply(sum_ones, sum_others))
    both = context.sqrt(context.multiply(spread_ones, spread_others))
    return Correlation(_round(context.divide(together, both), CORRELATION_DECIMALS), len(common))


def find_correlations(
    returns: Mapping[Key, Mapping[int, Decimal]],
) -> Iterator[tuple[Key, Key, Correlation]]:
    """Of every two markets, each pair once, in the order given."""
    for (one, own), (other, others) in combinations(returns.items(), 2):
        yield one, other, find_correlation(own, others)


def _find_changes(closes: Sequence[Close]) -> Iterator[tuple[int, int, Decimal]]:
    """Time, time, log return from one to the other."""
    logs = [(close_time, _ln(price)) for close_time, price in closes]
    for (begin, before), (end, after) in pairwise(logs):
        yield begin, end, _CONTEXT.subtract(after, before)


# windows that overlap take the same logarithms again: measured, 10 us each
@lru_cache(maxsize=20_000)
def _ln(price: Decimal) -> Decimal:
    return _CONTEXT.ln(price)


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    total = _ZERO
    for number in numbers:
        total = _CONTEXT.add(total, number)
    return total


def _sum_products(first: Sequence[Decimal], second: Sequence[Decimal]) -> Decimal:
    total = _ZERO
    for one, other in zip(first, second, strict=True):
        total = _CONTEXT.fma(one, other, total)
    return total


def _round(number: Decimal, decimals: int) -> Decimal:
    rounded = _CONTEXT.quantize(number, Decimal(1).scaleb(-decimals))
    return rounded.copy_abs() if rounded.is_zero() else rounded

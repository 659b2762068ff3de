"""What a market did in the last day and week, at a glance. Exact, but for what is divided.

Here: one market's figures of its candles. A day is the 24 hours before a time, to the five minutes
of the candles it is made of: one that reaches out of it is not in it. A price of then is the last
one until then, however old. What nobody traded is unknown: no price, no high, no volume of 0. Not
here: reading (serving/analytics.py), what is written down a day (analytics/).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from crypto_platform.domain import exact
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    TimeUs,
)
from crypto_platform.domain.volatility import Close, find_volatility

SHORT_US = 5 * MICROSECONDS_PER_MINUTE
LONG_US = MICROSECONDS_PER_HOUR
WEEK_US = 7 * MICROSECONDS_PER_DAY
READ_BACK_US = WEEK_US + MICROSECONDS_PER_DAY
"""A market that did not trade for a day longer than a week has no price of a week ago."""
SPARKLINE_POINTS_MAX = 48
PCT_DECIMALS = 6
_SPARKLINE_STEP_US = MICROSECONDS_PER_DAY // SPARKLINE_POINTS_MAX
_HUNDRED = Decimal(100)


class CandleFigures(Protocol):
    """What is read of a candle."""

    @property
    def open_time_us(self) -> TimeUs: ...  # noqa: D102
    @property
    def high(self) -> Decimal: ...  # noqa: D102
    @property
    def low(self) -> Decimal: ...  # noqa: D102
    @property
    def close(self) -> Decimal: ...  # noqa: D102
    @property
    def base_volume(self) -> Decimal: ...  # noqa: D102
    @property
    def quote_volume(self) -> Decimal: ...  # noqa: D102


class LastPrice(NamedTuple):
    """The price of the newest trade."""

    price: Decimal
    time_us: TimeUs


@dataclass(frozen=True, kw_only=True)
class MarketSummary:
    """Figures of one market at a time; None where there is no trade that tells.

    Attributes:
        last: The newest trade.
        change_24h_pct, change_7d_pct: Of the last price from that of then, per cent.
        high_24h, low_24h, base_volume_24h, quote_volume_24h: Of what traded in 24 hours.
        volatility_24h_pct: Realised, of five-minute closes, per cent a year (volatility.py).
        sparkline: Closes of the 24 hours, oldest first: of five minutes, or of half hours where
            those were more than SPARKLINE_POINTS_MAX.
    """

    last: LastPrice | None
    change_24h_pct: Decimal | None
    change_7d_pct: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    base_volume_24h: Decimal | None
    quote_volume_24h: Decimal | None
    volatility_24h_pct: Decimal | None
    sparkline: Sequence[Decimal]


def summarize_market(
    last: LastPrice | None,
    short: Sequence[CandleFigures],
    long: Sequence[CandleFigures],
    *,
    as_of_us: TimeUs,
) -> MarketSummary:
    """A market's figures at a time.

    Args:
        last: The newest trade until then.
        short: Candles of SHORT_US of a day and a bit before, oldest first; the open one too.
        long: Candles of LONG_US of READ_BACK_US before, oldest first.
        as_of_us: The time.
    """
    yesterday_us = as_of_us - MICROSECONDS_PER_DAY
    day = [candle for candle in short if yesterday_us <= candle.open_time_us < as_of_us]
    closes = [
        *_close_until(long, LONG_US, as_of_us),
        *_close_until(short, SHORT_US, as_of_us),
    ]
    return MarketSummary(
        last=last,
        change_24h_pct=_find_change(last, closes, yesterday_us),
        change_7d_pct=_find_change(last, closes, as_of_us - WEEK_US),
        high_24h=max((candle.high for candle in day), default=None),
        low_24h=min((candle.low for candle in day), default=None),
        base_volume_24h=exact.total(c.base_volume for c in day) if day else None,
        quote_volume_24h=exact.total(c.quote_volume for c in day) if day else None,
        volatility_24h_pct=find_volatility(
            [
                Close(candle.open_time_us + SHORT_US, candle.close)
                for candle in short
                # with the close at the beginning, from which the first return is
                if yesterday_us - SHORT_US <= candle.open_time_us < as_of_us
            ]
        ).annualised_pct,
        sparkline=_thin(day),
    )


def find_change_pct(before: Decimal, after: Decimal) -> Decimal:
    """Per cent from one price, above zero, to another; rounded half up to 6 decimals."""
    change = exact.multiply(exact.subtract(after, before), _HUNDRED)
    return exact.round_half_up(exact.divide(change, before), PCT_DECIMALS)


def _close_until(
    candles: Sequence[CandleFigures], length_us: TimeUs, as_of_us: TimeUs
) -> list[Close]:
    ends = [(candle.open_time_us + length_us, candle.close) for candle in candles]
    return [Close(end, close) for end, close in ends if end <= as_of_us]


def _find_change(
    last: LastPrice | None, closes: Sequence[Close], then_us: TimeUs
) -> Decimal | None:
    before = max((close for close in closes if close.close_time <= then_us), default=None)
    return None if last is None or before is None else find_change_pct(before.price, last.price)


def _thin(day: Sequence[CandleFigures]) -> list[Decimal]:
    if len(day) <= SPARKLINE_POINTS_MAX:
        return [candle.close for candle in day]
    # the last one of each step stays
    return list({c.open_time_us // _SPARKLINE_STEP_US: c.close for c in day}.values())[
        -SPARKLINE_POINTS_MAX:
    ]

"""Figures of the hours that are over: which hours, and what of a list each looks back on.

Most figures are those of the 24 hours before a time, and are written for the end of every hour. Not
here: what they are.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from crypto_platform.analytics.computation import Work
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, TimeUs
from crypto_platform.domain.market_overview import CandleFigures
from crypto_platform.stores.postgres.analytics_sources import MarketName

C = TypeVar("C", bound=CandleFigures)


def list_ends(work: Work) -> Mapping[MarketName, Sequence[TimeUs]]:
    """The ends of the hours that are to be made and are over, rising, by market."""
    ends: dict[MarketName, set[TimeUs]] = {}
    for stretch in work.stretches:
        hours = range(stretch.begins_us, stretch.ends_us, MICROSECONDS_PER_HOUR)
        over = {
            hour + MICROSECONDS_PER_HOUR
            for hour in hours
            if hour + MICROSECONDS_PER_HOUR <= work.as_of_us
        }
        if over:
            ends.setdefault(MarketName(*stretch.market), set()).update(over)
    return {market: sorted(own) for market, own in sorted(ends.items())}


def look_back(
    candles: Sequence[C], ends: Sequence[TimeUs], *, back_us: TimeUs
) -> Iterator[Sequence[C]]:
    """For each end the candles that opened so long before it, or later, and before it.

    Args:
        candles: Oldest first.
        ends: Any.
    """
    times = [candle.open_time_us for candle in candles]
    for end_us in ends:
        yield candles[bisect_left(times, end_us - back_us) : bisect_left(times, end_us)]

"""Candles made of trades: exact, and the same whatever the order in which the trades come.

Here: one trade as a candle, candles of one interval put together, shorter ones rolled up into
longer ones. Putting together is associative and commutative, so trades may come late, in pieces and
in any order; each of them once. Amounts are decimals and nothing is rounded. Not here: reading,
storing (stores/postgres/analytics_candles.py does the same as SQL and is tested against this), a
venue's own candles (feeds/candles.py).

Which trade is first: the earlier one; of one time the one with the lower number, which a venue
gives in the order of its matches; where it gives no numbers, the first by length and bytes of the
id, so that at least every store and every run says the same. When a trade arrived here decides
nothing: a page of the past may have come before.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain.exact import EXACT
from crypto_platform.domain.hours import TimeUs


class Place(NamedTuple):
    """Where a trade stands among a market's; numbers without leading zeros stand in their order."""

    time_us: TimeUs
    id_length: int
    trade_id: str


class Match(NamedTuple):
    """What a candle needs of a trade; price in quote currency a unit of base."""

    time_us: TimeUs
    trade_id: str
    price: Decimal
    quantity: Decimal

    @property
    def place(self) -> Place:
        """Where it stands among the others."""
        return Place(self.time_us, len(self.trade_id), self.trade_id)


class BuiltCandle(NamedTuple):
    """What the trades of an interval say.

    Attributes:
        open_time_us: First microsecond of the interval, whose length whoever asked knows.
        first, last: Places of the trades that open and close it.
        base_volume: Units of base.
        quote_volume: Sum of price x quantity.
        trade_count: At least 1: an interval without a trade has no candle.
    """

    open_time_us: TimeUs
    first: Place
    last: Place
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal
    quote_volume: Decimal
    trade_count: int


def build_candle(match: Match, *, open_time_us: TimeUs) -> BuiltCandle:
    """The candle of one trade."""
    place, price = match.place, match.price
    return BuiltCandle(
        open_time_us=open_time_us,
        first=place,
        last=place,
        open=price,
        high=price,
        low=price,
        close=price,
        base_volume=match.quantity,
        quote_volume=EXACT.multiply(price, match.quantity),
        trade_count=1,
    )


def merge(one: BuiltCandle, other: BuiltCandle) -> BuiltCandle:
    """Both in one, of the first one's open time; no trade may be in both."""
    begins = one if one.first <= other.first else other
    ends = one if one.last >= other.last else other
    return BuiltCandle(
        open_time_us=one.open_time_us,
        first=begins.first,
        last=ends.last,
        open=begins.open,
        high=max(one.high, other.high),
        low=min(one.low, other.low),
        close=ends.close,
        base_volume=EXACT.add(one.base_volume, other.base_volume),
        quote_volume=EXACT.add(one.quote_volume, other.quote_volume),
        trade_count=one.trade_count + other.trade_count,
    )


def build_candles(matches: Iterable[Match], *, length_us: int) -> dict[TimeUs, BuiltCandle]:
    """The candles of one market's trades, in any order, by open time.

    Args:
        length_us: Of an interval; each begins at a multiple of it since 1970.
    """
    return _join(
        build_candle(match, open_time_us=match.time_us - match.time_us % length_us)
        for match in matches
    )


def merge_candles(
    candles: Mapping[TimeUs, BuiltCandle], more: Mapping[TimeUs, BuiltCandle]
) -> dict[TimeUs, BuiltCandle]:
    """Candles of one interval length, of different trades, put together."""
    return _join((*candles.values(), *more.values()))


def roll_up(candles: Iterable[BuiltCandle], *, length_us: int) -> dict[TimeUs, BuiltCandle]:
    """Longer candles of shorter ones, in any order, by open time.

    Args:
        candles: Of intervals each of which lies within one of the longer.
        length_us: Of the longer.
    """
    return _join(
        candle._replace(open_time_us=candle.open_time_us - candle.open_time_us % length_us)
        for candle in candles
    )


def stream_candles(matches: Iterable[Match], *, length_us: int) -> Iterator[BuiltCandle]:
    """As `build_candles`, for trades by time: each candle when its interval is over."""
    candle: BuiltCandle | None = None
    for match in matches:
        own = build_candle(match, open_time_us=match.time_us - match.time_us % length_us)
        if candle is not None and candle.open_time_us == own.open_time_us:
            candle = merge(candle, own)
            continue
        if candle is not None:
            yield candle
        candle = own
    if candle is not None:
        yield candle


def _join(candles: Iterable[BuiltCandle]) -> dict[TimeUs, BuiltCandle]:
    joined: dict[TimeUs, BuiltCandle] = {}
    for candle in candles:
        there = joined.get(candle.open_time_us)
        joined[candle.open_time_us] = candle if there is None else merge(there, candle)
    return joined

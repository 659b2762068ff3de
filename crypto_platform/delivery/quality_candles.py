"""Candles made of trades, to be held against those that a venue publishes.

Here: an hour's trades as bars of a minute, where a candle differs from them and which are missing.
Exact: amounts are decimals. Pure. Not here: reading (quality_hour.py), how trades become candles
(domain/candles.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce

from crypto_platform.delivery.quality_finding import Findings, Flaw, format_moment
from crypto_platform.delivery.quality_trades import read_number
from crypto_platform.domain import exact
from crypto_platform.domain.candles import BuiltCandle, Match, build_candle, merge
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, MICROSECONDS_PER_MINUTE, TimeUs
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.trades import Trade
from crypto_platform.stores.market import Span


class Bars:
    """The candles of one market's trades, a minute each; memory holds nothing of the trades."""

    def __init__(self) -> None:
        self.of_minute: dict[TimeUs, BuiltCandle] = {}
        self._unordered: set[TimeUs] = set()

    def add(self, trade: Trade) -> None:
        """Take a trade, in whatever order."""
        minute = trade.ts_event - trade.ts_event % MICROSECONDS_PER_MINUTE
        match = Match(trade.ts_event, trade.trade_id, Decimal(trade.price), Decimal(trade.quantity))
        candle, there = build_candle(match, open_time_us=minute), self.of_minute.get(minute)
        self.of_minute[minute] = candle if there is None else merge(there, candle)
        if read_number(trade.trade_id) is None:
            self._unordered.add(minute)

    def build(self, begins_us: TimeUs, ends_us: TimeUs) -> BuiltCandle | None:
        """What the trades of [begins_us, ends_us) say, both whole minutes; None without any."""
        minutes = self._list_minutes(begins_us, ends_us)
        return reduce(merge, [self.of_minute[minute] for minute in minutes]) if minutes else None

    def is_ordered(self, begins_us: TimeUs, ends_us: TimeUs) -> bool:
        """Whether all trades have numbers, so that of one time it is known which came first."""
        return self._unordered.isdisjoint(self._list_minutes(begins_us, ends_us))

    def _list_minutes(self, begins_us: TimeUs, ends_us: TimeUs) -> list[TimeUs]:
        every = range(begins_us, ends_us, MICROSECONDS_PER_MINUTE)
        return [minute for minute in every if minute in self.of_minute]


def list_opens(interval: Interval, *, hour_us: TimeUs) -> range:
    """Open times of the candles that close within an hour, or at its end."""
    length = interval.length_us
    ends_us = hour_us + MICROSECONDS_PER_HOUR
    return range(hour_us - hour_us % length, ends_us - length + 1, length)


def look_at_calendar(
    candles: Iterable[Candle],
    bars: Bars,
    findings: Findings,
    *,
    interval: Interval,
    hour_us: TimeUs,
) -> None:
    """Note candles off the calendar, and those that are missing though there was a trade.

    A minute without a trade has no candle at some venues: what is missing there tells nothing.
    """
    there: set[TimeUs] = set()
    for candle in candles:
        there.add(candle.ts_event)
        if candle.ts_event % interval.length_us:
            text = f"{interval} of {format_moment(candle.ts_event)}"
            findings.note(Flaw.CANDLE_OFF_CALENDAR, candle.ts_event, text)
    for open_us in list_opens(interval, hour_us=hour_us):
        begins_us = max(open_us, hour_us)
        bar = bars.build(begins_us, open_us + interval.length_us)
        if open_us not in there and bar is not None:
            text = (
                f"{interval} of {format_moment(open_us)}, in which {bar.trade_count:,} trades are"
            )
            findings.note(Flaw.CANDLES_MISSING, open_us, text)


def compare_candles(
    candles: Iterable[Candle],
    bars: Bars,
    findings: Findings,
    *,
    interval: Interval,
    known: Span,
    holes: Sequence[Span],
    difference_pct: Decimal,
) -> int:
    """Note candles that are not what the trades in them say; returns how many were compared.

    Args:
        candles: Of the interval, with all their trades in `bars` where these are stored.
        interval: Not longer than an hour.
        known: From the first to the last trade that is stored; what reaches beyond is left out.
        holes: Within it trades are missing; so is what touches one.
        difference_pct: A price or volume may differ by so much of itself.
    """
    compared = 0
    for candle in candles:
        begins_us, ends_us = candle.ts_event, candle.ts_event + interval.length_us
        inside = (known.begins_us or ends_us) < begins_us and ends_us <= (known.ends_us or 0)
        if not inside or any(_touches(hole, begins_us, ends_us) for hole in holes):
            continue
        bar = bars.build(begins_us, ends_us)
        if bar is None:
            continue
        is_ordered = bars.is_ordered(begins_us, ends_us)
        compared += 1
        differences = [
            f"{name} {given}, by the trades {built:f}"
            for name, (given, built) in _pair(candle, bar, is_ordered=is_ordered).items()
            if _is_apart(Decimal(given), built, difference_pct)
        ]
        if differences:
            text = f"{interval} of {format_moment(begins_us)}: {', '.join(differences)}"
            findings.note(Flaw.CANDLE_DIFFERS, begins_us, text)
    return compared


def _touches(hole: Span, begins_us: TimeUs, ends_us: TimeUs) -> bool:
    starts = hole.begins_us is None or hole.begins_us < ends_us
    return starts and (hole.ends_us is None or hole.ends_us >= begins_us)


def _pair(
    candle: Candle, bar: BuiltCandle, *, is_ordered: bool
) -> Mapping[str, tuple[str, Decimal]]:
    pairs = {
        "high": (candle.high, bar.high),
        "low": (candle.low, bar.low),
        "volume": (candle.base_volume, bar.base_volume),
    }
    if is_ordered:
        pairs |= {"open": (candle.open, bar.open), "close": (candle.close, bar.close)}
    return pairs


def _is_apart(given: Decimal, built: Decimal, difference_pct: Decimal) -> bool:
    difference = abs(exact.subtract(given, built))
    return exact.multiply(difference, Decimal(100)) > exact.multiply(abs(built), difference_pct)

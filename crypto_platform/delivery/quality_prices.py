"""Prices of one thing at several venues, held against each other minute by minute.

A price above all that any other venue saw in the same minute, or below all of it, by more than the
settings allow, lies apart; where two venues disagree all along, both are named. Pure. Not here:
reading (quality_hour.py).
"""

from collections.abc import Mapping
from decimal import Decimal

from crypto_platform.delivery.quality_candles import Bars
from crypto_platform.delivery.quality_finding import Findings, Flaw, format_moment
from crypto_platform.domain.candles import BuiltCandle
from crypto_platform.domain.hours import TimeUs
from crypto_platform.stores.market import Market


def compare_prices(
    bars: Mapping[Market, Bars], findings: Mapping[Market, Findings], *, difference_pct: Decimal
) -> None:
    """Note the minutes in which a market's prices lie apart from all others'.

    Args:
        bars: Of markets of one unified symbol.
        findings: Of the same markets.
        difference_pct: Above 0.
    """
    more, less = 1 + difference_pct / 100, 1 - difference_pct / 100
    for market, own in bars.items():
        for minute, bar in own.of_minute.items():
            others = _list_others(bars, market, minute)
            if not others:
                continue
            high, low = max(o.high for o in others), min(o.low for o in others)
            if bar.high > high * more:
                text = f"{format_moment(minute)} at {bar.high:f}, elsewhere at most {high:f}"
            elif bar.low < low * less:
                text = f"{format_moment(minute)} at {bar.low:f}, elsewhere at least {low:f}"
            else:
                continue
            findings[market].note(Flaw.PRICE_APART, minute, text)


def _list_others(bars: Mapping[Market, Bars], market: Market, minute: TimeUs) -> list[BuiltCandle]:
    found = (other.of_minute.get(minute) for name, other in bars.items() if name != market)
    return [bar for bar in found if bar is not None]

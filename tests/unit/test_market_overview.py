"""A market's last day and week: figures that can be added up in the head."""

from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain.market_overview import (
    LONG_US,
    SHORT_US,
    SPARKLINE_POINTS_MAX,
    LastPrice,
    MarketSummary,
    find_change_pct,
    summarize_market,
)
from crypto_platform.domain.volatility import Close, find_volatility

HOUR = LONG_US
DAY = 24 * HOUR
NOON = 1_763_812_800_000_000


class Candle(NamedTuple):
    open_time_us: int
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal = Decimal(1)
    quote_volume: Decimal = Decimal(10)


def candle(open_time_us: int, close: str) -> Candle:
    """Its high is 1 above, its low 1 below."""
    price = Decimal(close)
    return Candle(open_time_us, price + 1, price - 1, price)


LAST = LastPrice(Decimal(110), NOON - 1)


def test_a_day_and_a_week_at_a_glance() -> None:
    """110 of 100 is 10 % more, of 220 half."""
    found = summarize_market(
        LAST,
        short=[
            candle(NOON - DAY - SHORT_US, "100"),
            candle(NOON - DAY, "90"),
            candle(NOON - SHORT_US, "120"),
        ],
        long=[candle(NOON - 7 * DAY - HOUR, "220"), candle(NOON - 7 * DAY, "1")],
        as_of_us=NOON,
    )
    assert found == MarketSummary(
        last=LAST,
        change_24h_pct=Decimal(10),
        change_7d_pct=Decimal(-50),
        high_24h=Decimal(121),
        low_24h=Decimal(89),
        base_volume_24h=Decimal(2),
        quote_volume_24h=Decimal(20),
        volatility_24h_pct=None,
        sparkline=[Decimal(90), Decimal(120)],
    )


def test_a_price_of_then_is_the_last_one_until_then() -> None:
    """A market that slept for two days still has a price of yesterday; one that is new has none."""
    old = summarize_market(LAST, [], [candle(NOON - 3 * DAY, "100")], as_of_us=NOON)
    assert (old.change_24h_pct, old.change_7d_pct) == (10, None)
    new = summarize_market(LAST, [candle(NOON - HOUR, "100")], [], as_of_us=NOON)
    assert (new.change_24h_pct, new.high_24h) == (None, 101)


def test_no_trade_is_no_price_and_no_volume_of_nothing() -> None:
    """0 would say that somebody looked and nobody traded; perhaps nobody looked."""
    found = summarize_market(None, [], [], as_of_us=NOON)
    assert (found.last, found.change_24h_pct, found.base_volume_24h) == (None, None, None)
    assert (found.high_24h, found.volatility_24h_pct, list(found.sparkline)) == (None, None, [])


def test_a_full_day_is_drawn_in_half_hours() -> None:
    """288 points are more than a line of text has; the newest is the last."""
    day = [candle(NOON - DAY + n * SHORT_US, str(100 + n)) for n in range(288)]
    before = candle(NOON - DAY - SHORT_US, "90")
    found = summarize_market(LAST, [before, *day], [], as_of_us=NOON)
    assert len(found.sparkline) == SPARKLINE_POINTS_MAX
    assert (found.sparkline[0], found.sparkline[-1]) == (105, 387)
    closes = [Close(each.open_time_us + SHORT_US, each.close) for each in (before, *day)]
    assert found.volatility_24h_pct == find_volatility(closes).annualised_pct is not None
    shifted = summarize_market(LAST, day, [], as_of_us=NOON + SHORT_US)
    assert len(shifted.sparkline) == SPARKLINE_POINTS_MAX


def test_a_change_is_rounded_and_nothing_else() -> None:
    """A third."""
    assert find_change_pct(Decimal(3), Decimal(4)) == Decimal("33.333333")
    assert find_change_pct(Decimal("1e-20"), Decimal("3e-20")) == 200

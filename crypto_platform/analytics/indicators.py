"""The usual indicators of hourly candles, for those who read tables.

Any other interval and any other parameters are reckoned when they are asked for (serving/). Not
here: the arithmetic (domain/indicators.py).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation, Origin, Work, name_market
from crypto_platform.analytics.pictures import drawing
from crypto_platform.domain.indicator_catalogue import calculate, parse_indicators
from crypto_platform.domain.indicators import CandleColumns
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres import analytics_pictures
from crypto_platform.stores.postgres.analytics_figures import INDICATOR as TABLE
from crypto_platform.stores.postgres.analytics_figures import write_figures
from crypto_platform.stores.postgres.analytics_sources import (
    MarketName,
    StoredCandle,
    read_candles,
)
from crypto_platform.stores.postgres.rows import format_time

INTERVAL = Interval.HOUR
CHOSEN = parse_indicators("sma:20,ema:20,rsi:14,macd:12:26:9,bbands:20:2,atr:14,vwap")
"""Not `obv`: its level means nothing where each hour would begin anew."""
LOOK_BACK = max(each.warm_up_candles + each.settling_candles for each in CHOSEN)
"""Candles, and so hours at least."""


def compute_indicators(work: Work) -> int:
    """See Computation.compute."""
    changed = 0
    for stretch in work.stretches:
        market = MarketName(*stretch.market)
        begins_us, ends_us = stretch.begins_us, stretch.ends_us
        own = read_candles(work.connection, market, INTERVAL, begins_us=begins_us, ends_us=ends_us)
        if own:  # of the hour that is not over there is none
            before = read_candles(
                work.connection, market, INTERVAL, ends_us=begins_us, newest=LOOK_BACK
            )
            rows = _build_rows(market, [*before, *own])[len(before) :]
            changed += write_figures(work.connection, TABLE, rows)
    return changed


def _build_rows(market: MarketName, candles: Sequence[StoredCandle]) -> list[tuple[object, ...]]:
    columns = to_columns(candles)
    figures: dict[str, list[Decimal | None]] = {}
    for indicator in CHOSEN:
        figures |= calculate(indicator, columns)
    return [
        (
            *market,
            INTERVAL.value,
            format_time(candle.open_time_us),
            candle.symbol,
            candle.close,
            *values,
        )
        for candle, values in zip(candles, zip(*figures.values(), strict=True), strict=True)
    ]


def to_columns(candles: Sequence[StoredCandle]) -> CandleColumns:
    """Candles, at least one, of which none is left out since the first one."""
    return CandleColumns(
        begins_us=candles[0].open_time_us,
        open_times=[candle.open_time_us for candle in candles],
        highs=[candle.high for candle in candles],
        lows=[candle.low for candle in candles],
        closes=[candle.close for candle in candles],
        base_volumes=[candle.base_volume for candle in candles],
        quote_volumes=[candle.quote_volume for candle in candles],
    )


_CLOSE = ("analytics.candle.close",)
_RANGE = ("analytics.candle.high", "analytics.candle.low", "analytics.candle.close")
_VOLUMES = ("analytics.candle.base_volume", "analytics.candle.quote_volume")
COLUMNS: Mapping[str, Origin] = {
    **name_market("analytics.candle"),
    "interval": Origin("Of the candle: 1h.", ("analytics.candle.interval",)),
    "open_time": Origin("Of the candle, UTC.", ("analytics.candle.open_time",)),
    "close": Origin("Price of its last trade.", _CLOSE),
    "sma_20": Origin("Simple average of 20 closes.", _CLOSE),
    "ema_20": Origin("Exponential average of closes, 20.", _CLOSE),
    "rsi_14": Origin("Relative strength (Wilder), 0 to 100.", _CLOSE),
    "macd_12_26_9": Origin("EMA of 12 closes less that of 26.", _CLOSE),
    "macd_12_26_9_signal": Origin("Its own EMA of 9.", _CLOSE),
    "macd_12_26_9_histogram": Origin("MACD less its signal.", _CLOSE),
    "bbands_20_2_upper": Origin("Average of 20 closes and two deviations.", _CLOSE),
    "bbands_20_2_middle": Origin("Average of 20 closes.", _CLOSE),
    "bbands_20_2_lower": Origin("Average of 20 closes less two deviations.", _CLOSE),
    "atr_14": Origin("Average true range (Wilder), in quote currency.", _RANGE),
    "vwap": Origin("What was paid for a unit in the day (UTC) so far.", _VOLUMES),
}

INDICATORS = Computation(
    name="indicators",
    description="Moving averages, RSI, MACD, Bollinger bands, ATR and the day's VWAP of hourly "
    "candles; unknown before their warm-up.",
    feeds=(TRADES.name,),
    after=(CANDLES.name,),
    warm_up_h=LOOK_BACK,
    table=TABLE,
    columns=COLUMNS,
    compute=compute_indicators,
    draw=drawing(analytics_pictures.RSI),
)

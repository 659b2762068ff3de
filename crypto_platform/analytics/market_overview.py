"""What every market did in the 24 hours, and the week, before the end of each hour.

Not here: the arithmetic (domain/market_overview.py), the overview of now (serving/).
"""

from collections.abc import Mapping, Sequence

from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation, Origin, Work, name_market
from crypto_platform.analytics.pictures import drawing
from crypto_platform.analytics.windows import list_ends, look_back
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.domain.market_overview import (
    LONG_US,
    READ_BACK_US,
    SHORT_US,
    LastPrice,
    MarketSummary,
    summarize_market,
)
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres import analytics_pictures
from crypto_platform.stores.postgres.analytics_figures import MARKET_OVERVIEW as TABLE
from crypto_platform.stores.postgres.analytics_figures import write_figures
from crypto_platform.stores.postgres.analytics_sources import (
    MarketName,
    StoredCandle,
    read_candles,
)
from crypto_platform.stores.postgres.rows import format_time
from crypto_platform.stores.postgres.session import Connection

SHORT_BACK_US = MICROSECONDS_PER_DAY + SHORT_US


def compute_market_overview(work: Work) -> int:
    """See Computation.compute."""
    return sum(
        write_figures(work.connection, TABLE, _build_rows(work.connection, market, ends))
        for market, ends in list_ends(work).items()
    )


def _build_rows(
    connection: Connection, market: MarketName, ends: Sequence[TimeUs]
) -> list[tuple[object, ...]]:
    begins_us, ends_us = ends[0] - READ_BACK_US, ends[-1]
    long = read_candles(connection, market, Interval.HOUR, begins_us=begins_us, ends_us=ends_us)
    short = read_candles(
        connection,
        market,
        Interval.FIVE_MINUTES,
        begins_us=ends[0] - SHORT_BACK_US,
        ends_us=ends_us,
    )
    longs = look_back(long, ends, back_us=READ_BACK_US)
    shorts = look_back(short, ends, back_us=SHORT_BACK_US)
    return [
        (*market, format_time(end_us), weeks[-1].symbol, *_figures(days, weeks, as_of_us=end_us))
        for end_us, days, weeks in zip(ends, shorts, longs, strict=True)
        if weeks
    ]


def _figures(
    short: Sequence[StoredCandle], long: Sequence[StoredCandle], *, as_of_us: TimeUs
) -> Sequence[object]:
    newest, length_us = (short[-1], SHORT_US) if short else (long[-1], LONG_US)
    last = LastPrice(newest.close, newest.open_time_us + length_us)
    found: MarketSummary = summarize_market(last, short, long, as_of_us=as_of_us)
    return (
        last.price,
        found.change_24h_pct,
        found.change_7d_pct,
        found.high_24h,
        found.low_24h,
        found.base_volume_24h,
        found.quote_volume_24h,
        found.volatility_24h_pct,
    )


_CLOSE = ("analytics.candle.close",)
COLUMNS: Mapping[str, Origin] = {
    **name_market("analytics.candle"),
    "as_of": Origin("The end of the hour, UTC.", ("analytics.candle.open_time",)),
    "last_price": Origin("Of the last trade before.", _CLOSE),
    "change_24h_pct": Origin("In the 24 hours before, per cent.", _CLOSE),
    "change_7d_pct": Origin("In the 7 days before, per cent.", _CLOSE),
    "high_24h": Origin("Highest price of the 24 hours.", ("analytics.candle.high",)),
    "low_24h": Origin("Lowest price of the 24 hours.", ("analytics.candle.low",)),
    "base_volume_24h": Origin("Units of base that traded.", ("analytics.candle.base_volume",)),
    "quote_volume_24h": Origin("Quote currency paid.", ("analytics.candle.quote_volume",)),
    "volatility_24h_pct": Origin("Realised, per cent a year.", _CLOSE),
}

MARKET_OVERVIEW = Computation(
    name="market_overview",
    description="Last price, change in 24 hours and 7 days, high, low, volumes and volatility of "
    "every market at each full hour.",
    feeds=(TRADES.name,),
    after=(CANDLES.name,),
    warm_up_h=READ_BACK_US // 3_600_000_000,
    table=TABLE,
    columns=COLUMNS,
    compute=compute_market_overview,
    draw=drawing(analytics_pictures.CHANGE),
)

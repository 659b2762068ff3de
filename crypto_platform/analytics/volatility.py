"""Realised volatility of every market over the 24 hours before the end of each hour.

Not here: the arithmetic (domain/volatility.py).
"""

from collections.abc import Mapping

from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation, Origin, Work, name_market
from crypto_platform.analytics.pictures import drawing
from crypto_platform.analytics.windows import list_ends, look_back
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY
from crypto_platform.domain.volatility import Close, find_volatility
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres import analytics_pictures
from crypto_platform.stores.postgres.analytics_figures import VOLATILITY as TABLE
from crypto_platform.stores.postgres.analytics_figures import write_figures
from crypto_platform.stores.postgres.analytics_sources import read_candles
from crypto_platform.stores.postgres.rows import format_time

INTERVAL = Interval.FIVE_MINUTES
BACK_US = MICROSECONDS_PER_DAY + INTERVAL.length_us
"""With the close at the beginning of the 24 hours, from which the first return is."""


def compute_volatility(work: Work) -> int:
    """See Computation.compute."""
    rows: list[tuple[object, ...]] = []
    for market, ends in list_ends(work).items():
        candles = read_candles(
            work.connection, market, INTERVAL, begins_us=ends[0] - BACK_US, ends_us=ends[-1]
        )
        for end_us, window in zip(ends, look_back(candles, ends, back_us=BACK_US), strict=True):
            if window:
                closes = [Close(c.open_time_us + INTERVAL.length_us, c.close) for c in window]
                rows.append(
                    (*market, format_time(end_us), window[-1].symbol, *find_volatility(closes))
                )
    return write_figures(work.connection, TABLE, rows)


COLUMNS: Mapping[str, Origin] = {
    **name_market("analytics.candle"),
    "as_of": Origin("The end of the 24 hours, UTC.", ("analytics.candle.open_time",)),
    "annualised_pct": Origin("Per cent a year of 365 days.", ("analytics.candle.close",)),
    "returns": Origin("Of so many five-minute returns.", ("analytics.candle.close",)),
}

VOLATILITY = Computation(
    name="volatility",
    description="Realised volatility of five-minute closes of the 24 hours before each full hour, "
    "brought to a year of 365 days, per cent; unknown where there are fewer than ten returns.",
    feeds=(TRADES.name,),
    after=(CANDLES.name,),
    warm_up_h=24,
    table=TABLE,
    columns=COLUMNS,
    compute=compute_volatility,
    draw=drawing(analytics_pictures.VOLATILITY),
)

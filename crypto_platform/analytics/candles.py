"""Candles made of trades: 1m, 5m, 1h and 1d of every market of every venue.

Here: what the computation says of itself. Not here: the arithmetic (domain/candles.py), the same as
SQL (stores/postgres/analytics_candles.py).
"""

from collections.abc import Sequence

from crypto_platform.analytics.computation import Bar, Computation, Picture, Work, split_key
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres.analytics_candles import (
    MarketSpan,
    read_busiest,
    write_candles,
)
from crypto_platform.stores.postgres.session import Connection


def compute_candles(work: Work) -> int:
    """See Computation.compute."""
    spans = [stretch.span for stretch in work.stretches]
    return write_candles(work.connection, spans, as_of_us=work.as_of_us)


def draw_busiest(connection: Connection, keys: Sequence[str], day_us: TimeUs) -> Picture | None:
    """The hours of the market with most trades."""
    spans = [MarketSpan(*split_key(key), day_us, day_us + MICROSECONDS_PER_DAY) for key in keys]
    found = read_busiest(connection, spans)
    if found is None:
        return None
    market, prices = found
    bars = [Bar(*each) for each in prices]
    return Picture(f"{' '.join(market)}, the busiest, by the hour", bars)


CANDLES = Computation(
    name="candles",
    description="Open, high, low, close, volumes and number of trades of every market, made of "
    "the trades that are stored: 1m of trades, 5m, 1h and 1d of these. Late trades change them.",
    feeds=(TRADES.name,),
    tables=("analytics.candle",),
    compute=compute_candles,
    draw=draw_busiest,
)

"""Candles made of trades: 1m, 5m, 1h and 1d of every market of every venue.

Here: what the computation says of itself. Not here: the arithmetic (domain/candles.py), the same as
SQL (stores/postgres/analytics_candles.py).
"""

from crypto_platform.analytics.computation import Computation, Work
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres.analytics_candles import write_candles


def compute_candles(work: Work) -> int:
    """See Computation.compute."""
    spans = [stretch.span for stretch in work.stretches]
    return write_candles(work.connection, spans, as_of_us=work.as_of_us)


CANDLES = Computation(
    name="candles",
    description="Open, high, low, close, volumes and number of trades of every market, made of "
    "the trades that are stored: 1m of trades, 5m, 1h and 1d of these. Late trades change them.",
    feeds=(TRADES.name,),
    tables=("analytics.candle",),
    compute=compute_candles,
)

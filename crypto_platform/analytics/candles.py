"""Candles made of trades: 1m, 5m, 1h and 1d of every market of every venue.

Here: what the computation says of itself. Not here: the arithmetic (domain/candles.py), the same as
SQL (stores/postgres/analytics_candles.py).
"""

from collections.abc import Mapping, Sequence

from crypto_platform.analytics.computation import (
    Bar,
    Computation,
    Origin,
    Picture,
    Work,
    name_market,
    split_key,
)
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres.analytics_candles import (
    MarketSpan,
    read_busiest,
    write_candles,
)
from crypto_platform.stores.postgres.analytics_figures import CANDLE
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


COLUMNS: Mapping[str, Origin] = {
    **name_market("trades"),
    "interval": Origin("Its length: 1m, 5m, 1h or 1d.", ()),
    "open_time": Origin("Its first moment, UTC.", ("trades.ts_event",)),
    "open": Origin("Price of its first trade.", ("trades.price", "trades.ts_event")),
    "high": Origin("Highest price.", ("trades.price",)),
    "low": Origin("Lowest price.", ("trades.price",)),
    "close": Origin("Price of its last trade.", ("trades.price", "trades.ts_event")),
    "base_volume": Origin("Units of base that traded.", ("trades.quantity",)),
    "quote_volume": Origin("Quote currency that was paid.", ("trades.price", "trades.quantity")),
    "trade_count": Origin("How many trades.", ("trades.event_id",)),
}

CANDLES = Computation(
    name="candles",
    description="Open, high, low, close, volumes and number of trades of every market, made of "
    "the trades that are stored: 1m of trades, 5m, 1h and 1d of these. Late trades change them.",
    feeds=(TRADES.name,),
    table=CANDLE,
    columns=COLUMNS,
    compute=compute_candles,
    draw=draw_busiest,
)

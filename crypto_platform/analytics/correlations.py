"""Which markets of a venue move together, over the 24 hours before the end of each hour.

Each pair is written once, the first by name first. Of a venue with very many markets, those that
traded most often. Not here: the arithmetic (domain/volatility.py).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation, Origin, Work, name_market
from crypto_platform.analytics.pictures import drawing
from crypto_platform.analytics.windows import list_ends
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.domain.volatility import Close, find_correlations, find_returns, look_back_on
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.market import Market
from crypto_platform.stores.postgres import analytics_pictures
from crypto_platform.stores.postgres.analytics_figures import CORRELATION as TABLE
from crypto_platform.stores.postgres.analytics_figures import write_figures
from crypto_platform.stores.postgres.analytics_sources import (
    MarketName,
    list_candle_markets,
    read_candles,
)
from crypto_platform.stores.postgres.rows import format_time
from crypto_platform.stores.postgres.session import Connection

INTERVAL = Interval.FIVE_MINUTES
BACK_US = MICROSECONDS_PER_DAY + INTERVAL.length_us
MARKETS_MAX = 100
"""Of a venue; their 4,950 pairs take some two seconds an hour."""

Returns = Mapping[int, Decimal]


def compute_correlations(work: Work) -> int:
    """See Computation.compute; an hour at a time, so that the connection is never silent long."""
    ends: dict[str, set[TimeUs]] = {}
    for market, own in list_ends(work).items():
        ends.setdefault(market.venue, set()).update(own)
    markets = list_candle_markets(work.connection)
    changed = 0
    for venue, wanted in sorted(ends.items()):
        of_venue = [market for market in markets if market.venue == venue]
        times = sorted(wanted)
        returns = _read_returns(work.connection, of_venue, times)
        for end_us in times:
            rows = _build_rows(returns, end_us)
            changed += write_figures(work.connection, TABLE, rows)
    return changed


def _read_returns(
    connection: Connection, markets: Sequence[Market], ends: Sequence[TimeUs]
) -> Mapping[Market, Returns]:
    found: dict[Market, Returns] = {}
    for market in markets:
        name = MarketName(market.venue, market.venue_symbol)
        candles = read_candles(
            connection, name, INTERVAL, begins_us=ends[0] - BACK_US, ends_us=ends[-1]
        )
        closes = [Close(c.open_time_us + INTERVAL.length_us, c.close) for c in candles]
        found[market] = find_returns(closes, interval_us=INTERVAL.length_us)
    return found


def _build_rows(returns: Mapping[Market, Returns], end_us: TimeUs) -> list[tuple[object, ...]]:
    windows = {market: look_back_on(own, end_us) for market, own in returns.items()}
    busiest = sorted(windows, key=lambda market: -len(windows[market]))[:MARKETS_MAX]
    chosen = {market: windows[market] for market in sorted(busiest) if windows[market]}
    as_of = format_time(end_us)
    return [
        (
            one.venue,
            one.venue_symbol,
            other.venue_symbol,
            as_of,
            one.symbol,
            other.symbol,
            *correlation,
        )
        for one, other, correlation in find_correlations(chosen)
    ]


COLUMNS: Mapping[str, Origin] = {
    **name_market("analytics.candle"),
    "other_venue_symbol": Origin(
        "Of the other market of the venue.", ("analytics.candle.venue_symbol",)
    ),
    "other_symbol": Origin("The same, unified.", ("analytics.candle.symbol",)),
    "as_of": Origin("The end of the 24 hours, UTC.", ("analytics.candle.open_time",)),
    "correlation": Origin("Pearson's, -1 to 1.", ("analytics.candle.close",)),
    "pairs": Origin("Of so many five-minute returns of both.", ("analytics.candle.close",)),
}

CORRELATIONS = Computation(
    name="correlations",
    description="Correlation of five-minute log returns of every two markets of a venue, over the "
    "24 hours before each full hour; intervals that either lacks are left out for that pair, "
    "unknown where fewer than 30 are left.",
    feeds=(TRADES.name,),
    after=(CANDLES.name,),
    warm_up_h=24,
    table=TABLE,
    columns=COLUMNS,
    compute=compute_correlations,
    draw=drawing(analytics_pictures.CORRELATION),
)

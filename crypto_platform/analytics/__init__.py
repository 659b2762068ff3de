"""What is derived of the market, in schema analytics: made anew where the facts under it changed.

A new computation is one file here, with its SQL or its writer in stores/postgres/, and one line in
ANALYTICS; its asset, its place in the run, its queue and its docs row follow. Computations are made
in this order, each over all that is due before the next.
"""

from collections.abc import Mapping

from crypto_platform.analytics.book_metrics import BOOK_METRICS
from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation
from crypto_platform.analytics.correlations import CORRELATIONS
from crypto_platform.analytics.indicators import INDICATORS
from crypto_platform.analytics.market_overview import MARKET_OVERVIEW
from crypto_platform.analytics.venue_comparison import VENUE_COMPARISON
from crypto_platform.analytics.volatility import VOLATILITY

ANALYTICS: Mapping[str, Computation] = {
    computation.name: computation
    for computation in (
        CANDLES,
        BOOK_METRICS,
        INDICATORS,
        VOLATILITY,
        CORRELATIONS,
        MARKET_OVERVIEW,
        VENUE_COMPARISON,
    )
}
"""By name."""

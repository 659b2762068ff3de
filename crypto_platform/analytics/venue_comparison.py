"""Each symbol at its venues beside each other, at the end of every hour.

A symbol is the unified one, as trades were mapped; what nobody mapped is compared with nothing. Not
here: the arithmetic (domain/venue_comparison.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from crypto_platform.analytics.book_metrics import BOOK_METRICS
from crypto_platform.analytics.candles import CANDLES
from crypto_platform.analytics.computation import Computation, Origin, Work, name_market
from crypto_platform.analytics.pictures import drawing
from crypto_platform.analytics.windows import list_ends
from crypto_platform.domain.hours import TimeUs
from crypto_platform.domain.venue_comparison import Timed, VenueMarket, compare_venues
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores.postgres import analytics_pictures
from crypto_platform.stores.postgres.analytics_figures import VENUE_COMPARISON as TABLE
from crypto_platform.stores.postgres.analytics_figures import write_figures
from crypto_platform.stores.postgres.analytics_sources import (
    MarketName,
    StoredVenue,
    list_candle_markets,
    read_venues,
)
from crypto_platform.stores.postgres.rows import format_time


def compute_venue_comparison(work: Work) -> int:
    """See Computation.compute."""
    ends = list_ends(work)
    if not ends:
        return 0
    symbol_of = {
        MarketName(market.venue, market.venue_symbol): market.symbol
        for market in list_candle_markets(work.connection)
    }
    times: dict[str, set[TimeUs]] = {}
    for market, own in ends.items():
        symbol = symbol_of.get(market)
        if symbol is not None:
            times.setdefault(symbol, set()).update(own)
    changed = 0
    for symbol, wanted in sorted(times.items()):
        markets = [market for market, name in symbol_of.items() if name == symbol]
        if len({market.venue for market in markets}) > 1:
            asked = [(market, time) for time in sorted(wanted) for market in markets]
            rows = list(_build_rows(symbol, read_venues(work.connection, asked)))
            changed += write_figures(work.connection, TABLE, rows)
    return changed


def _build_rows(symbol: str, found: Sequence[StoredVenue]) -> Iterator[tuple[object, ...]]:
    for as_of_us in sorted({venue.as_of_us for venue in found}):
        markets = [_to_market(venue) for venue in found if venue.as_of_us == as_of_us]
        comparison = compare_venues(markets, as_of_us=as_of_us)
        for row in comparison.rows:
            if row.price is not None:
                yield (
                    symbol,
                    format_time(as_of_us),
                    row.market.venue,
                    row.market.venue_symbol,
                    row.price,
                    None if row.price_of is None else row.price_of.value,
                    None if row.age_us is None else row.age_us // 1_000_000,
                    row.is_fresh,
                    comparison.reference_price,
                    row.difference_bps,
                    row.spread_bps,
                    row.market.base_volume,
                    row.volume_share_ratio,
                )


def _to_market(venue: StoredVenue) -> VenueMarket:
    def timed(price: Decimal | None, time_us: TimeUs | None) -> Timed | None:
        return None if price is None or time_us is None else Timed(price, time_us)

    return VenueMarket(
        venue=venue.market.venue,
        venue_symbol=venue.market.venue_symbol,
        best_bid=timed(venue.best_bid, venue.book_time_us),
        best_ask=timed(venue.best_ask, venue.book_time_us),
        last_trade=timed(venue.close, venue.close_time_us),
        base_volume=venue.base_volume,
    )


_BOOK = ("analytics.book_metrics.best_bid", "analytics.book_metrics.best_ask")
_PRICE = (*_BOOK, "analytics.candle.close")
_TIMES = ("analytics.book_metrics.ts_event", "analytics.candle.open_time")
_VOLUME = ("analytics.candle.base_volume",)
COLUMNS: Mapping[str, Origin] = {
    **name_market("analytics.candle"),
    "as_of": Origin("The end of the 24 hours, UTC.", ("analytics.candle.open_time",)),
    "price": Origin("Middle of its best bid and ask, else its last trade's.", _PRICE),
    "price_of": Origin("Which of both it is.", _PRICE),
    "age_s": Origin("How old that is.", _TIMES),
    "is_fresh": Origin("Whether it is part of the reference.", _TIMES),
    "reference_price": Origin("Median of the fresh prices of all venues.", _PRICE),
    "difference_bps": Origin("From the reference, basis points.", _PRICE),
    "spread_bps": Origin("Best ask less best bid, basis points.", _BOOK),
    "base_volume_24h": Origin("Units of base that traded.", _VOLUME),
    "volume_share_ratio": Origin("Of all venues' volume, 0 to 1.", _VOLUME),
}

VENUE_COMPARISON = Computation(
    name="venue_comparison",
    description="Price, spread, share of volume and age of each symbol at each of its venues at "
    "each full hour, and how many basis points it is from the median of them.",
    feeds=(TRADES.name, ORDER_BOOKS.name),
    after=(CANDLES.name, BOOK_METRICS.name),
    warm_up_h=24,
    table=TABLE,
    columns=COLUMNS,
    compute=compute_venue_comparison,
    draw=drawing(analytics_pictures.DISTANCE),
)

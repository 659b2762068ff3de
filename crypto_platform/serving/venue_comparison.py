"""One symbol at all its venues, as they are now, from whichever store answers.

Markets are named as they are mapped now; what nobody mapped is compared with nothing. Here: what is
read, and rows for other programs. Not here: the arithmetic (domain/venue_comparison.py),
what is written down of every hour (analytics/), text (cli/).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from crypto_platform.domain import exact
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.domain.venue_comparison import (
    Comparison,
    Timed,
    VenueMarket,
    compare_venues,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.market import UnknownMarketError
from crypto_platform.serving.overview import list_named_markets, read_figures, read_last_price
from crypto_platform.serving.sheets import Column, Sheet, print_amount
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market

_TRADES = FEED_BY_NAME[TRADES.name]
_BOOKS = FEED_BY_NAME[ORDER_BOOKS.name]


@dataclass(frozen=True, kw_only=True)
class VenueAnswer:
    """A symbol at its venues."""

    source: Source
    as_of_us: TimeUs
    symbol: str
    comparison: Comparison


def read_venue_comparison(reads: Reads, settings: Settings, symbol: str) -> VenueAnswer:
    """A unified symbol (BTC/USD, in any case) at every venue that has it.

    Raises:
        UnknownMarketError: No venue has it.
        StoreUnavailableError: No store answered; holds what each said.
    """
    now_us, codes = time.time_ns() // 1000, CurrencyCodes(settings)
    wanted = symbol.upper()

    def question(store: Store) -> tuple[set[str], list[VenueMarket]]:
        markets = list_named_markets(codes, store, [_TRADES, _BOOKS])
        own = [market for market in markets if (market.symbol or "").upper() == wanted]
        names = {market.symbol for market in markets if market.symbol}
        return names, [_read_venue(store, market, now_us) for market in own]

    answered = reads.ask(question, [_TRADES, _BOOKS])
    names, markets = answered.value
    if not markets:
        message = f"no venue has {symbol!r}; there are {', '.join(sorted(names)) or 'none'}"
        raise UnknownMarketError(message)
    return VenueAnswer(
        source=answered.source,
        as_of_us=now_us,
        symbol=wanted,
        comparison=compare_venues(markets, as_of_us=now_us),
    )


def _read_venue(store: Store, market: Market, now_us: TimeUs) -> VenueMarket:
    last = read_last_price(store, market)
    books = store.read_newest(_BOOKS, market, records_max=1)
    book = next((book for book in books if isinstance(book, OrderBook)), None)
    day_us = now_us - MICROSECONDS_PER_DAY
    day = [c for c in read_figures(store, market, now_us).short if c.open_time_us >= day_us]
    return VenueMarket(
        venue=market.venue,
        venue_symbol=market.venue_symbol,
        best_bid=None if book is None else _best(book.bid_prices, book.ts_event),
        best_ask=None if book is None else _best(book.ask_prices, book.ts_event),
        last_trade=None if last is None else Timed(last.price, last.time_us),
        base_volume=exact.total(candle.base_volume for candle in day) if day else None,
    )


def _best(prices: Sequence[str], time_us: TimeUs) -> Timed | None:
    return Timed(Decimal(prices[0]), time_us) if prices else None


VENUE_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("symbol", "venue", "venue_symbol")),
    Column("price", FieldKind.AMOUNT),
    Column("price_of", FieldKind.TEXT),
    Column("age_us", FieldKind.INTEGER),
    Column("is_fresh", None),
    *(
        Column(name, FieldKind.AMOUNT)
        for name in ("difference_bps", "spread_bps", "base_volume_24h", "volume_share_ratio")
    ),
)


def build_venues(answer: VenueAnswer) -> Sheet:
    """A row a venue."""
    rows = [
        (
            answer.symbol,
            row.market.venue,
            row.market.venue_symbol,
            print_amount(row.price),
            None if row.price_of is None else row.price_of.value,
            row.age_us,
            row.is_fresh,
            print_amount(row.difference_bps),
            print_amount(row.spread_bps),
            print_amount(row.market.base_volume),
            print_amount(row.volume_share_ratio),
        )
        for row in answer.comparison.rows
    ]
    return Sheet(VENUE_COLUMNS, rows)

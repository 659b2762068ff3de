"""What figures are made of: candles, order books and venues as PostgreSQL has them.

Here: SELECTs by the primary keys of schema analytics, and of books by the index of venue and
symbol. Not here: what is written (analytics_figures.py), candles for people (analytics_reader.py).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain.book_metrics import Book, Level
from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds.candles import Interval
from crypto_platform.stores.market import Market
from crypto_platform.stores.postgres.analytics_candles import MarketSpan
from crypto_platform.stores.postgres.rows import format_texts, format_time
from crypto_platform.stores.postgres.session import Connection


class MarketName(NamedTuple):
    """A venue and its own symbol."""

    venue: str
    venue_symbol: str


class StoredCandle(NamedTuple):
    """A closed candle made of trades; its interval is known to whoever asked."""

    open_time_us: TimeUs
    symbol: str | None
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal
    quote_volume: Decimal


class StoredBook(NamedTuple):
    """The last order book of a minute."""

    minute: str
    symbol: str | None
    ts_event: str
    event_id: str
    book: Book


class StoredVenue(NamedTuple):
    """What is known of a market at a time: its last minute, book, and volume of 24 hours."""

    market: MarketName
    as_of_us: TimeUs
    close: Decimal | None
    close_time_us: TimeUs | None
    best_bid: Decimal | None
    best_ask: Decimal | None
    book_time_us: TimeUs | None
    base_volume: Decimal | None


# A loose index scan, as of the markets of a feed.
_LIST_MARKETS = """
WITH RECURSIVE markets AS (
  (SELECT venue, venue_symbol FROM analytics.candle ORDER BY venue, venue_symbol LIMIT 1)
  UNION ALL
  SELECT next.venue, next.venue_symbol
  FROM markets CROSS JOIN LATERAL (
    SELECT c.venue, c.venue_symbol FROM analytics.candle AS c
    WHERE (c.venue, c.venue_symbol) > (markets.venue, markets.venue_symbol)
    ORDER BY c.venue, c.venue_symbol LIMIT 1) AS next
)
SELECT m.venue, m.venue_symbol, (
  SELECT c.symbol FROM analytics.candle AS c
  WHERE c.venue = m.venue AND c.venue_symbol = m.venue_symbol AND c."interval" = '1m'
  ORDER BY c.open_time DESC LIMIT 1)
FROM markets AS m
ORDER BY m.venue, m.venue_symbol
"""

_READ_CANDLES = """
SELECT (extract(epoch FROM open_time) * 1000000)::bigint, symbol, high, low, close, base_volume,
  quote_volume
FROM analytics.candle
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s AND "interval" = %(interval)s
  AND open_time >= %(begins)s::timestamptz AND open_time < %(ends)s::timestamptz
ORDER BY open_time DESC LIMIT %(candles_max)s
"""

_READ_BOOKS = """
WITH latest AS MATERIALIZED (
  SELECT DISTINCT ON (date_bin('1 minute', b.ts_event, timestamptz '1970-01-01 00:00+00'))
    date_bin('1 minute', b.ts_event, timestamptz '1970-01-01 00:00+00') AS minute,
    b.ts_event, b.event_id
  FROM market.order_book AS b
  WHERE b.venue = %(venue)s AND b.venue_symbol = %(venue_symbol)s
    AND b.ts_event >= %(begins)s::timestamptz AND b.ts_event < %(ends)s::timestamptz
  ORDER BY 1, b.ts_event DESC, b.arrival_offset DESC
)
SELECT l.minute::text, b.symbol, b.ts_event::text, b.event_id, b.bid_prices, b.bid_quantities,
  b.ask_prices, b.ask_quantities, b.depth
FROM latest AS l
JOIN market.order_book AS b ON b.event_id = l.event_id AND b.ts_event = l.ts_event
LEFT JOIN analytics.book_metrics AS m ON m.venue = %(venue)s
  AND m.venue_symbol = %(venue_symbol)s AND m.minute = l.minute
WHERE m.event_id IS DISTINCT FROM l.event_id
  AND l.minute + interval '1 minute' <= %(as_of)s::timestamptz
ORDER BY l.minute
"""

_READ_VENUES = """
SELECT u.venue, u.venue_symbol, (extract(epoch FROM u.as_of) * 1000000)::bigint, c.close,
  (extract(epoch FROM c.open_time + interval '1 minute') * 1000000)::bigint, b.best_bid,
  b.best_ask, (extract(epoch FROM b.ts_event) * 1000000)::bigint, v.base_volume
FROM unnest(%(venues)s::text[], %(symbols)s::text[], %(as_ofs)s::timestamptz[])
  AS u(venue, venue_symbol, as_of)
LEFT JOIN LATERAL (
  SELECT c.close, c.open_time FROM analytics.candle AS c
  WHERE c.venue = u.venue AND c.venue_symbol = u.venue_symbol AND c."interval" = '1m'
    AND c.open_time < u.as_of
  ORDER BY c.open_time DESC LIMIT 1) AS c ON true
LEFT JOIN LATERAL (
  SELECT m.best_bid, m.best_ask, m.ts_event FROM analytics.book_metrics AS m
  WHERE m.venue = u.venue AND m.venue_symbol = u.venue_symbol AND m.minute < u.as_of
  ORDER BY m.minute DESC LIMIT 1) AS b ON true
CROSS JOIN LATERAL (
  SELECT sum(c.base_volume) AS base_volume FROM analytics.candle AS c
  WHERE c.venue = u.venue AND c.venue_symbol = u.venue_symbol AND c."interval" = '1h'
    AND c.open_time >= u.as_of - interval '24 hours' AND c.open_time < u.as_of) AS v
"""


def list_candle_markets(connection: Connection) -> list[Market]:
    """All markets that have candles made of trades, by name; symbols as they were mapped last."""
    return [Market(*row) for row in connection.execute(_LIST_MARKETS).fetchall()]


def read_candles(
    connection: Connection,
    market: MarketName,
    interval: Interval,
    *,
    begins_us: TimeUs = 0,
    ends_us: TimeUs,
    newest: int | None = None,
) -> list[StoredCandle]:
    """A market's closed candles by open time, oldest first; only the newest so many if asked."""
    parameters = {
        **market._asdict(),
        "interval": interval.value,
        "begins": format_time(begins_us),
        "ends": format_time(ends_us),
        "candles_max": newest,
    }
    rows = connection.execute(_READ_CANDLES, parameters).fetchall()
    return [StoredCandle(*row) for row in reversed(rows)]


def read_books(connection: Connection, span: MarketSpan, *, as_of_us: TimeUs) -> list[StoredBook]:
    """The last book of each minute that is over and whose figures are not those of that book."""
    parameters = {
        "venue": span.venue,
        "venue_symbol": span.venue_symbol,
        "begins": format_time(span.begins_us),
        "ends": format_time(span.ends_us),
        "as_of": format_time(as_of_us),
    }
    rows = connection.execute(_READ_BOOKS, parameters).fetchall()
    return [_build_book(*row) for row in rows]


def _build_book(
    minute: str,
    symbol: str | None,
    ts_event: str,
    event_id: str,
    bid_prices: Sequence[Decimal],
    bid_quantities: Sequence[Decimal],
    ask_prices: Sequence[Decimal],
    ask_quantities: Sequence[Decimal],
    depth: int,
) -> StoredBook:
    book = Book(_pair(bid_prices, bid_quantities), _pair(ask_prices, ask_quantities), depth)
    return StoredBook(minute, symbol, ts_event, event_id, book)


def _pair(prices: Sequence[Decimal], quantities: Sequence[Decimal]) -> list[Level]:
    return list(map(Level, prices, quantities))


def read_venues(
    connection: Connection, asked: Sequence[tuple[MarketName, TimeUs]]
) -> list[StoredVenue]:
    """What was known of markets at times, to the minute; both in any order."""
    parameters = {
        "venues": format_texts([market.venue for market, _ in asked]),
        "symbols": format_texts([market.venue_symbol for market, _ in asked]),
        "as_ofs": format_texts([format_time(as_of_us) for _, as_of_us in asked]),
    }
    rows = connection.execute(_READ_VENUES, parameters).fetchall()
    return [StoredVenue(MarketName(*row[:2]), *row[2:]) for row in rows]

"""What people read of the market from PostgreSQL: quotes, trades, books, candles, instruments.

Here: SELECTs that an index answers and that leave out the partitions of other times. Not here: rows
-> records (reader.py), the views and functions that people call themselves (migrations/).
"""

from collections.abc import Iterator, Sequence
from functools import cache

from psycopg import sql

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.exchange_rates import EXCHANGE_RATES, ExchangeRates
from crypto_platform.feeds.instruments import INSTRUMENTS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores.market import AS_OF_MAX, AsOf, Market, Span, market_name
from crypto_platform.stores.postgres.reader import (
    build_structs,
    fetch_exact,
    on_table,
    read_structs,
)
from crypto_platform.stores.postgres.rows import format_time
from crypto_platform.stores.postgres.session import Session

# A loose index scan: two probes per (source, currency) instead of a walk over all quotes. Measured
# with 1 M quotes of 250 currencies: 16 ms, DISTINCT ON 470 ms.
_READ_LATEST_QUOTES = """
WITH RECURSIVE pairs AS (
  (SELECT source, currency_id FROM {table} ORDER BY source, currency_id LIMIT 1)
  UNION ALL
  SELECT next.source, next.currency_id
  FROM pairs CROSS JOIN LATERAL (
    SELECT q.source, q.currency_id FROM {table} AS q
    WHERE (q.source, q.currency_id) > (pairs.source, pairs.currency_id)
    ORDER BY q.source, q.currency_id LIMIT 1) AS next
)
SELECT {latest_columns}
FROM pairs CROSS JOIN LATERAL (
  SELECT * FROM {table} AS q
  WHERE q.source = pairs.source AND q.currency_id = pairs.currency_id
    AND q.ts_ingest <= %(as_of)s::timestamptz
  ORDER BY q.ts_ingest DESC, q.ts_event DESC NULLS LAST, q.event_id LIMIT 1) AS latest
WHERE %(all)s OR pairs.currency_id = ANY(%(currency_ids)s::text[])
ORDER BY latest.market_cap_rank NULLS LAST, latest.source, latest.currency_id
LIMIT %(records_max)s
"""

# A loose index scan: two probes a market and partition.
_LIST_MARKETS = """
WITH RECURSIVE markets AS (
  (SELECT venue, venue_symbol FROM {table} ORDER BY venue, venue_symbol LIMIT 1)
  UNION ALL
  SELECT next.venue, next.venue_symbol
  FROM markets CROSS JOIN LATERAL (
    SELECT t.venue, t.venue_symbol FROM {table} AS t
    WHERE (t.venue, t.venue_symbol) > (markets.venue, markets.venue_symbol)
    ORDER BY t.venue, t.venue_symbol LIMIT 1) AS next
)
SELECT m.venue, m.venue_symbol, (
  SELECT t.symbol FROM {table} AS t
  WHERE t.venue = m.venue AND t.venue_symbol = m.venue_symbol
  ORDER BY {own_order} LIMIT 1)
FROM markets AS m
"""

READ_NEWEST = """
SELECT {columns} FROM {table}
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
ORDER BY ts_event DESC, arrival_offset DESC, event_id DESC LIMIT %(records_max)s
"""

# The bound by time alone is the index's, the one by all that orders goes on behind a page; the id
# is part of it because offsets begin anew where a topic was created again.
READ_OLDEST = """
SELECT {columns}, arrival_offset FROM {table}
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
  AND (ts_event, arrival_offset, event_id)
    > (%(begins)s::timestamptz, %(after_offset)s, %(after_id)s)
ORDER BY ts_event, arrival_offset, event_id LIMIT %(records_max)s
"""

_FIND_BEFORE_NEWEST = """
SELECT ts_event, arrival_offset, event_id FROM {table}
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
ORDER BY ts_event DESC, arrival_offset DESC, event_id DESC LIMIT 1 OFFSET %(newest)s
"""

READ_CANDLES = """
SELECT DISTINCT ON (ts_event) {columns}, 0 FROM {table}
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s AND "interval" = %(interval)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
  AND (ts_event, 0) > (%(begins)s::timestamptz, %(after_offset)s)
ORDER BY ts_event, ts_ingest DESC, arrival_offset DESC LIMIT %(records_max)s
"""

_FIND_CANDLE_BEFORE_NEWEST = """
SELECT DISTINCT ts_event, 0, '' FROM {table}
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s AND "interval" = %(interval)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
ORDER BY ts_event DESC LIMIT 1 OFFSET %(newest)s
"""

_BEHIND = ("begins", "after_offset", "after_id")
"""Where the next page goes on."""

_READ_INSTRUMENTS = """
SELECT * FROM (
  SELECT DISTINCT ON (source, kind, native_id) {columns} FROM {table}
  WHERE source = coalesce(%(source)s, source)
  ORDER BY source, kind, native_id, ts_ingest DESC, arrival_offset DESC) AS latest
ORDER BY source COLLATE "C", kind COLLATE "C", native_id COLLATE "C"
"""


# Each is a walk to the last row of an index, within the partitions of its own time.
_READ_AS_OF = """
SELECT {columns}, wanted.place
FROM unnest({lists}, %(firsts)s::timestamptz[], %(lasts)s::timestamptz[])
  WITH ORDINALITY AS wanted ({names}, first_time, last_time, place)
CROSS JOIN LATERAL (
  SELECT t.* FROM {table} AS t
  WHERE {is_wanted} AND {time} >= wanted.first_time AND {time} <= wanted.last_time
  ORDER BY {time} DESC, t.arrival_offset DESC LIMIT 1) AS found
"""

_READ_EXCHANGE_RATES = """
SELECT * FROM (
  SELECT DISTINCT ON (source, ts_event) {columns} FROM {table}
  WHERE ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
  ORDER BY source, ts_event, ts_ingest DESC, arrival_offset DESC) AS latest
ORDER BY source COLLATE "C", ts_event
"""


def read_latest_quotes(
    session: Session, currency_ids: Sequence[str], *, records_max: int, as_of_us: int | None
) -> list[Record]:
    """See Store.read_latest_quotes."""
    parameters = {
        "all": not currency_ids,
        "currency_ids": list(currency_ids),
        "records_max": records_max,
        "as_of": "infinity" if as_of_us is None else format_time(as_of_us),
    }
    quotes = FEED_BY_NAME[QUOTES.name]
    return read_structs(session, quotes, on_table(_READ_LATEST_QUOTES, quotes), parameters)


def list_markets(session: Session, feed: Feed[Record]) -> list[Market]:
    """See Store.list_markets."""
    with session.autocommit() as connection:
        rows = connection.execute(on_table(_LIST_MARKETS, feed)).fetchall()
    return sorted(map(Market._make, rows), key=market_name)


def read_newest(
    session: Session, feed: Feed[Record], market: Market, span: Span, *, records_max: int
) -> list[Record]:
    """See Store.read_newest."""
    parameters = _parameters(market, span, records_max)
    return read_structs(session, feed, on_table(READ_NEWEST, feed), parameters)


def read_market(
    session: Session,
    feed: Feed[Record],
    market: Market,
    span: Span,
    *,
    interval: Interval | None,
    newest: int | None,
    page_records: int,
) -> Iterator[Sequence[Record]]:
    """See Store.read_market; each page is a statement of its own."""
    read, find = (
        (READ_OLDEST, _FIND_BEFORE_NEWEST)
        if interval is None
        else (READ_CANDLES, _FIND_CANDLE_BEFORE_NEWEST)
    )
    parameters: dict[str, object] = {
        **_parameters(market, span, page_records),
        "interval": interval,
        "after_offset": -1,
        "after_id": "",
    }
    if newest is not None:
        before = fetch_exact(session, on_table(find, feed), {**parameters, "newest": newest})
        for found in before:
            parameters |= zip(_BEHIND, found, strict=True)
    while True:
        rows = fetch_exact(session, on_table(read, feed), parameters)
        page = build_structs(feed, rows)
        if page:
            yield page
        if len(page) < page_records:
            return
        begins = format_time(feed.event_time_of(page[-1]) or 0)
        parameters |= zip(_BEHIND, (begins, rows[-1][-1], page[-1].event_id), strict=True)


def read_instruments(session: Session, source: str | None) -> list[Record]:
    """See Store.read_instruments."""
    instruments = FEED_BY_NAME[INSTRUMENTS.name]
    statement = on_table(_READ_INSTRUMENTS, instruments)
    return read_structs(session, instruments, statement, {"source": source})


def read_as_of(session: Session, feed: Feed[Record], wanted: Sequence[AsOf]) -> list[Record | None]:
    """See Store.read_as_of."""
    found: list[Record | None] = []
    for start in range(0, len(wanted), AS_OF_MAX):
        found += _read_as_of(session, feed, wanted[start : start + AS_OF_MAX])
    return found


def _read_as_of(
    session: Session, feed: Feed[Record], wanted: Sequence[AsOf]
) -> list[Record | None]:
    names, _ = feed.last_by
    values = zip(*(each.names for each in wanted), strict=True)
    parameters: dict[str, object] = {
        **dict(zip(names, map(list, values), strict=True)),
        "firsts": [format_time(each.first_us) for each in wanted],
        "lasts": [format_time(each.last_us) for each in wanted],
    }
    rows = fetch_exact(session, _build_as_of(feed), parameters)
    found: list[Record | None] = [None] * len(wanted)
    for row, record in zip(rows, build_structs(feed, rows), strict=True):
        found[row[-1] - 1] = record
    return found


@cache
def _build_as_of(feed: Feed[Record]) -> bytes:
    names, time = feed.last_by
    return (
        sql.SQL(_READ_AS_OF)
        .format(
            table=sql.Identifier(feed.schema, feed.table),
            columns=sql.SQL(", ").join(sql.Identifier("found", f.name) for f in feed.fields),
            lists=sql.SQL(", ").join(
                sql.SQL("{}::text[]").format(sql.Placeholder(name)) for name in names
            ),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            is_wanted=sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("t", n), sql.Identifier("wanted", n))
                for n in names
            ),
            time=sql.Identifier("t", time),
        )
        .as_bytes(None)
    )


def read_exchange_rates(session: Session, span: Span) -> list[ExchangeRates]:
    """See Store.read_exchange_rates."""
    feed = FEED_BY_NAME[EXCHANGE_RATES.name]
    statement = on_table(_READ_EXCHANGE_RATES, feed)
    found = read_structs(session, feed, statement, _bounds(span))
    return [day for day in found if isinstance(day, ExchangeRates)]


def _parameters(market: Market, span: Span, records_max: int) -> dict[str, str | int]:
    return {
        "venue": market.venue,
        "venue_symbol": market.venue_symbol,
        "records_max": records_max,
        **_bounds(span),
    }


def _bounds(span: Span) -> dict[str, str]:
    begins, ends = span
    return {
        "begins": "-infinity" if begins is None else format_time(begins),
        "ends": "infinity" if ends is None else format_time(ends),
    }

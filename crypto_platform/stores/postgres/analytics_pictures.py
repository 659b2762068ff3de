"""What a day of figures looks like: one line of each, for Dagster's UI.

Here: SELECTs of a title and values by the hour. Not here: drawing (assets/charts.py).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import LiteralString, NamedTuple

from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs
from crypto_platform.stores.postgres.analytics_sources import MarketName
from crypto_platform.stores.postgres.rows import format_texts, format_time
from crypto_platform.stores.postgres.session import Connection


class Line(NamedTuple):
    """Values by the hour; what they are of."""

    title: str
    values: Sequence[Decimal]


# The end of the last hour belongs to its day: an hour is named by its end in as_of.
_ASKED: LiteralString = """
WITH asked AS MATERIALIZED (
  SELECT a.venue, a.venue_symbol FROM unnest(%(venues)s::text[], %(symbols)s::text[])
    AS a(venue, venue_symbol)
)
"""

RSI = f"""
{_ASKED}, day AS MATERIALIZED (
  SELECT i.* FROM asked JOIN analytics.indicator AS i USING (venue, venue_symbol)
  WHERE i."interval" = '1h' AND i.open_time >= %(begins)s::timestamptz
    AND i.open_time < %(ends)s::timestamptz AND i.rsi_14 IS NOT NULL
)
SELECT d.venue || ' ' || d.venue_symbol || ', RSI of 14 hours', round(d.rsi_14, 3)
FROM day AS d JOIN (
  SELECT venue, venue_symbol FROM day GROUP BY venue, venue_symbol
  ORDER BY count(*) DESC, venue, venue_symbol LIMIT 1) AS one USING (venue, venue_symbol)
ORDER BY d.open_time
"""  # noqa: S608 - of constants

VOLATILITY = f"""
{_ASKED}, day AS MATERIALIZED (
  SELECT v.* FROM asked JOIN analytics.volatility AS v USING (venue, venue_symbol)
  WHERE v.as_of > %(begins)s::timestamptz AND v.as_of <= %(ends)s::timestamptz
    AND v.annualised_pct IS NOT NULL
)
SELECT d.venue || ' ' || d.venue_symbol || ', the most volatile, %% a year',
  round(d.annualised_pct, 3)
FROM day AS d JOIN (
  SELECT venue, venue_symbol FROM day GROUP BY venue, venue_symbol
  ORDER BY max(annualised_pct) DESC, venue, venue_symbol LIMIT 1) AS one USING (venue, venue_symbol)
ORDER BY d.as_of
"""  # noqa: S608 - of constants

CORRELATION = """
SELECT 'mean correlation of ' || max(count(*)) OVER () || ' pairs', round(avg(c.correlation), 3)
FROM analytics.correlation AS c
WHERE c.as_of > %(begins)s::timestamptz AND c.as_of <= %(ends)s::timestamptz
  AND c.venue = ANY(%(venues)s::text[]) AND c.correlation IS NOT NULL
GROUP BY c.as_of ORDER BY c.as_of
"""

SPREAD = f"""
{_ASKED}, day AS MATERIALIZED (
  SELECT m.venue, m.venue_symbol, date_bin('1 hour', m.minute, %(begins)s::timestamptz) AS hour,
    round(avg(m.spread_bps), 3) AS spread_bps
  FROM asked JOIN analytics.book_metrics AS m USING (venue, venue_symbol)
  WHERE m.minute >= %(begins)s::timestamptz AND m.minute < %(ends)s::timestamptz
    AND m.spread_bps IS NOT NULL
  GROUP BY 1, 2, 3
)
SELECT d.venue || ' ' || d.venue_symbol || ', the narrowest spread, basis points', d.spread_bps
FROM day AS d JOIN (
  SELECT venue, venue_symbol FROM day GROUP BY venue, venue_symbol
  ORDER BY avg(spread_bps), venue, venue_symbol LIMIT 1) AS one USING (venue, venue_symbol)
ORDER BY d.hour
"""  # noqa: S608 - of constants

DISTANCE = f"""
{_ASKED}, day AS MATERIALIZED (
  SELECT c.symbol, c.as_of, max(abs(c.difference_bps)) AS distance_bps
  FROM analytics.venue_comparison AS c
  WHERE c.as_of > %(begins)s::timestamptz AND c.as_of <= %(ends)s::timestamptz AND c.is_fresh
    AND c.symbol IN (
      SELECT o.symbol FROM asked JOIN analytics.venue_comparison AS o USING (venue, venue_symbol)
      WHERE o.as_of > %(begins)s::timestamptz AND o.as_of <= %(ends)s::timestamptz)
  GROUP BY c.symbol, c.as_of
)
SELECT d.symbol || ', farthest from the other venues, basis points', round(d.distance_bps, 3)
FROM day AS d JOIN (
  SELECT symbol FROM day GROUP BY symbol ORDER BY max(distance_bps) DESC, symbol LIMIT 1)
  AS one USING (symbol)
WHERE d.distance_bps IS NOT NULL
ORDER BY d.as_of
"""  # noqa: S608 - of constants

CHANGE = """
SELECT 'mean change in 24 hours of ' || max(count(*)) OVER () || ' markets, %%',
  round(avg(o.change_24h_pct), 3)
FROM analytics.market_overview AS o
WHERE o.as_of > %(begins)s::timestamptz AND o.as_of <= %(ends)s::timestamptz
  AND o.change_24h_pct IS NOT NULL
GROUP BY o.as_of ORDER BY o.as_of
"""


def read_line(
    connection: Connection,
    statement: LiteralString,
    markets: Sequence[MarketName],
    *,
    day_us: TimeUs,
) -> Line | None:
    """One of the lines above of a day and some markets; None where there is nothing to show."""
    parameters = {
        "venues": format_texts([market.venue for market in markets]),
        "symbols": format_texts([market.venue_symbol for market in markets]),
        "begins": format_time(day_us),
        "ends": format_time(day_us + MICROSECONDS_PER_DAY),
    }
    rows = connection.execute(statement, parameters).fetchall()
    return Line(rows[-1][0], [value for _, value in rows]) if rows else None

"""Candles made of trades, by PostgreSQL itself: trades need not leave it.

Here: the same as domain/candles.py as SQL, exact on numeric, and tested against it. Minutes are
made of trades, 5 minutes, hours and days of the candles below them. What is stored is replaced only
by a candle of at least as many trades: facts never change, so more trades are more of the truth,
and fewer mean that retention has removed some (or a restore has not yet brought them). Not here:
which hours (analytics.py), reading (analytics_reader.py).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import LiteralString, NamedTuple

from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR, TimeUs, day_of
from crypto_platform.feeds.candles import Interval
from crypto_platform.stores.postgres.rows import format_texts, format_time
from crypto_platform.stores.postgres.session import Connection

STORED_INTERVALS: Sequence[tuple[Interval, Interval]] = (
    (Interval.FIVE_MINUTES, Interval.MINUTE),
    (Interval.HOUR, Interval.FIVE_MINUTES),
    (Interval.DAY, Interval.HOUR),
)
"""What each is rolled up from; Interval.MINUTE is made of trades."""


class MarketSpan(NamedTuple):
    """A stretch of time of one market: whole hours, the second exclusive."""

    venue: str
    venue_symbol: str
    begins_us: TimeUs
    ends_us: TimeUs


# Each span by itself, so that its minutes are hashed: together, all rows were sorted on disk.
# Which trade is first is looked up afterwards, two probes a minute: measured, ordering inside the
# aggregate costs more than all the rest.
MINUTES: LiteralString = """
WITH span AS MATERIALIZED (
  SELECT s.venue, s.venue_symbol, s.begins, s.ends
  FROM unnest(%(venues)s::text[], %(symbols)s::text[], %(begins)s::timestamptz[],
    %(ends)s::timestamptz[]) AS s(venue, venue_symbol, begins, ends)
), minute AS MATERIALIZED (
  SELECT s.venue, s.venue_symbol, g.*
  FROM span AS s CROSS JOIN LATERAL (
    SELECT date_bin('1 minute', t.ts_event, timestamptz '1970-01-01 00:00+00') AS open_time,
      min(t.ts_event) AS first_time, max(t.ts_event) AS last_time,
      max(t.price) AS high, min(t.price) AS low, sum(t.quantity) AS base_volume,
      sum(t.price * t.quantity) AS quote_volume, count(*) AS trade_count
    FROM market.trade AS t
    WHERE t.venue = s.venue AND t.venue_symbol = s.venue_symbol
      AND t.ts_event >= s.begins AND t.ts_event < s.ends
      AND t.ts_event >= %(first)s::timestamptz AND t.ts_event < %(end)s::timestamptz
    GROUP BY 1) AS g
), candle AS (
  SELECT m.venue, m.venue_symbol, m.open_time, l.symbol, f.price AS open, m.high, m.low,
    l.price AS close, m.base_volume, m.quote_volume, m.trade_count
  FROM minute AS m
  CROSS JOIN LATERAL (
    SELECT t.price FROM market.trade AS t
    WHERE t.venue = m.venue AND t.venue_symbol = m.venue_symbol AND t.ts_event = m.first_time
    ORDER BY length(t.trade_id), t.trade_id COLLATE "C" LIMIT 1) AS f
  CROSS JOIN LATERAL (
    SELECT t.price, t.symbol FROM market.trade AS t
    WHERE t.venue = m.venue AND t.venue_symbol = m.venue_symbol AND t.ts_event = m.last_time
    ORDER BY length(t.trade_id) DESC, t.trade_id COLLATE "C" DESC LIMIT 1) AS l
)
"""

_UPSERT: LiteralString = """
ON CONFLICT (venue, venue_symbol, "interval", open_time) DO UPDATE
SET symbol = excluded.symbol, open = excluded.open, high = excluded.high, low = excluded.low,
  close = excluded.close, base_volume = excluded.base_volume,
  quote_volume = excluded.quote_volume, trade_count = excluded.trade_count,
  updated_at = excluded.updated_at
WHERE excluded.trade_count > c.trade_count
  OR excluded.trade_count = c.trade_count
    AND (excluded.symbol, excluded.open, excluded.high, excluded.low, excluded.close,
      excluded.base_volume, excluded.quote_volume)
    IS DISTINCT FROM (c.symbol, c.open, c.high, c.low, c.close, c.base_volume, c.quote_volume)
"""

_INSERT: LiteralString = """
INSERT INTO analytics.candle AS c (venue, venue_symbol, "interval", open_time, symbol, open, high,
  low, close, base_volume, quote_volume, trade_count, updated_at)
"""

_WRITE_MINUTES = f"""
{MINUTES}{_INSERT}
SELECT venue, venue_symbol, '1m', open_time, symbol, open, high, low, close, base_volume,
  quote_volume, trade_count, clock_timestamp()
FROM candle WHERE open_time + interval '1 minute' <= %(as_of)s::timestamptz
{_UPSERT}"""  # noqa: S608 - of constants

_ROLL_UP = f"""
WITH span AS MATERIALIZED (
  SELECT s.venue, s.venue_symbol, s.begins, s.ends
  FROM unnest(%(venues)s::text[], %(symbols)s::text[], %(begins)s::timestamptz[],
    %(ends)s::timestamptz[]) AS s(venue, venue_symbol, begins, ends)
)
{_INSERT}
SELECT s.venue, s.venue_symbol, %(interval)s,
  date_bin(make_interval(secs => %(length_s)s), l.open_time, timestamptz '1970-01-01 00:00+00'),
  (array_agg(l.symbol ORDER BY l.open_time DESC))[1],
  (array_agg(l.open ORDER BY l.open_time))[1], max(l.high), min(l.low),
  (array_agg(l.close ORDER BY l.open_time DESC))[1], sum(l.base_volume), sum(l.quote_volume),
  sum(l.trade_count), clock_timestamp()
FROM span AS s JOIN analytics.candle AS l
  ON l.venue = s.venue AND l.venue_symbol = s.venue_symbol AND l."interval" = %(lower)s
  AND l.open_time >= s.begins AND l.open_time < s.ends
GROUP BY 1, 2, 4
HAVING date_bin(make_interval(secs => %(length_s)s), min(l.open_time),
  timestamptz '1970-01-01 00:00+00') + make_interval(secs => %(length_s)s)
  <= %(as_of)s::timestamptz
{_UPSERT}"""  # noqa: S608 - of constants


_READ_BUSIEST = """
WITH hour AS MATERIALIZED (
  SELECT c.* FROM unnest(%(venues)s::text[], %(symbols)s::text[], %(begins)s::timestamptz[],
    %(ends)s::timestamptz[]) AS s(venue, venue_symbol, begins, ends)
  JOIN analytics.candle AS c ON c.venue = s.venue AND c.venue_symbol = s.venue_symbol
    AND c."interval" = '1h' AND c.open_time >= s.begins AND c.open_time < s.ends
)
SELECT h.venue, h.venue_symbol, h.open, h.high, h.low, h.close
FROM hour AS h JOIN (
  SELECT venue, venue_symbol FROM hour GROUP BY venue, venue_symbol
  ORDER BY sum(trade_count) DESC, venue, venue_symbol LIMIT 1) AS b USING (venue, venue_symbol)
ORDER BY h.open_time
"""


def write_candles(connection: Connection, spans: Sequence[MarketSpan], *, as_of_us: TimeUs) -> int:
    """Make the candles of these spans that have closed by then; returns how many rows changed.

    Args:
        connection: Inside a transaction.
        spans: That do not overlap.
        as_of_us: Now.
    """
    if not spans:
        return 0
    as_of = {"as_of": format_time(as_of_us)}
    hours = _split_into_hours(spans)
    changed = connection.execute(_WRITE_MINUTES, name_spans(hours) | as_of).rowcount
    for interval, lower in STORED_INTERVALS:
        whole = _widen_to_days(spans) if interval is Interval.DAY else spans
        parameters = {
            "interval": interval.value,
            "lower": lower.value,
            "length_s": interval.length_us // 1_000_000,
        }
        changed += connection.execute(_ROLL_UP, name_spans(whole) | as_of | parameters).rowcount
    return changed


def read_busiest(
    connection: Connection, spans: Sequence[MarketSpan]
) -> tuple[tuple[str, str], list[tuple[Decimal, Decimal, Decimal, Decimal]]] | None:
    """The market with most trades in its stored hours, with their prices in order."""
    if not spans:
        return None
    rows = connection.execute(_READ_BUSIEST, name_spans(spans)).fetchall()
    if not rows:
        return None
    return (rows[0][0], rows[0][1]), [tuple(prices) for _, _, *prices in rows]


def name_spans(spans: Sequence[MarketSpan]) -> dict[str, object]:
    """The parameters that MINUTES takes."""
    begins = [format_time(span.begins_us) for span in spans]
    ends = [format_time(span.ends_us) for span in spans]
    return {
        "venues": format_texts([span.venue for span in spans]),
        "symbols": format_texts([span.venue_symbol for span in spans]),
        "begins": format_texts(begins),
        "ends": format_texts(ends),
        "first": min(begins),
        "end": max(ends),
    }


def _split_into_hours(spans: Sequence[MarketSpan]) -> list[MarketSpan]:
    """Their hours, all markets of one before the next hour.

    Trades of all markets lie together in the order of their arrival: of one hour they are read from
    memory, of a market's whole day each row is another page.
    """
    hours = [
        span._replace(begins_us=hour_us, ends_us=hour_us + MICROSECONDS_PER_HOUR)
        for span in spans
        for hour_us in range(span.begins_us, span.ends_us, MICROSECONDS_PER_HOUR)
    ]
    return sorted(hours, key=lambda hour: (hour.begins_us, hour.venue, hour.venue_symbol))


def _widen_to_days(spans: Sequence[MarketSpan]) -> list[MarketSpan]:
    """The whole days that they touch, each once."""
    days = {
        span._replace(begins_us=day_us, ends_us=day_us + MICROSECONDS_PER_DAY)
        for span in spans
        for day_us in range(day_of(span.begins_us), span.ends_us, MICROSECONDS_PER_DAY)
    }
    return sorted(days)

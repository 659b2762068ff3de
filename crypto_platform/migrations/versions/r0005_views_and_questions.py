"""Views of what is latest, and functions for what people ask of the market.

All of them read by the index of venue and symbol and leave out the partitions of other times. The
functions are plain SQL without settings of their own, so that PostgreSQL puts their text in place
of the call; parameters are named with their function, for a bare name would be the column's.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The close time is counted in seconds: a day as a calendar's is 23 hours in some sessions.
CANDLE = """
CREATE VIEW market.candle AS
SELECT DISTINCT ON (r.venue, r.venue_symbol, r."interval", r.ts_event)
  r.venue, r.venue_symbol, r.symbol, r."interval", r.ts_event AS open_time,
  r.ts_event + make_interval(secs => extract(epoch FROM r."interval"::interval)::float8)
    AS close_time,
  r.open, r.high, r.low, r.close, r.base_volume, r.quote_volume, r.vwap, r.trade_count,
  count(*) OVER (PARTITION BY r.venue, r.venue_symbol, r."interval", r.ts_event) AS revision,
  r.ts_ingest, r.event_id
FROM market.candle_revision AS r
ORDER BY r.venue, r.venue_symbol, r."interval", r.ts_event, r.ts_ingest DESC,
  r.arrival_offset DESC
"""

INSTRUMENT = """
CREATE VIEW market.instrument AS
SELECT DISTINCT ON (r.source, r.native_id)
  r.source AS venue, r.native_id AS venue_symbol, r.symbol, r.name, r.base_id, r.quote_id,
  r.base_currency, r.quote_currency, r.status, r.price_step, r.quantity_step, r.quantity_min,
  r.notional_min, r.trade_numbering, r.ts_listed, r.ts_ingest, r.event_id
FROM market.instrument_revision AS r
WHERE r.kind = 'instrument'
ORDER BY r.source, r.native_id, r.ts_ingest DESC, r.arrival_offset DESC
"""

CURRENCY = """
CREATE VIEW market.currency AS
SELECT DISTINCT ON (r.source, r.native_id)
  r.source, r.native_id AS currency_id, r.symbol AS currency, r.name, r.status, r.quantity_step,
  r.quantity_min, r.ts_listed, r.ts_ingest, r.event_id
FROM market.instrument_revision AS r
WHERE r.kind = 'currency'
ORDER BY r.source, r.native_id, r.ts_ingest DESC, r.arrival_offset DESC
"""

COMMENTS = {
    "VIEW market.candle": "The latest revision of each candle; close_time is exclusive.",
    "VIEW market.instrument": "The latest revision of what each venue lists.",
    "VIEW market.currency": "The latest revision of each currency of each source.",
}

# Trades of one microsecond stand in the order in which they came.
FUNCTIONS = {
    "market.trades_latest(venue text, venue_symbol text, n integer)": """
RETURNS SETOF market.trade ROWS 100 LANGUAGE sql STABLE AS $$
  SELECT t.* FROM market.trade AS t
  WHERE t.venue = trades_latest.venue AND t.venue_symbol = trades_latest.venue_symbol
  ORDER BY t.ts_event DESC, t.arrival_offset DESC LIMIT trades_latest.n
$$""",
    "market.trades_between(venue text, venue_symbol text, begins timestamptz, ends timestamptz)": """
RETURNS SETOF market.trade LANGUAGE sql STABLE AS $$
  SELECT t.* FROM market.trade AS t
  WHERE t.venue = trades_between.venue AND t.venue_symbol = trades_between.venue_symbol
    AND t.ts_event >= trades_between.begins AND t.ts_event < trades_between.ends
  ORDER BY t.ts_event, t.arrival_offset
$$""",
    "market.trade_as_of(venue text, venue_symbol text, ts timestamptz)": """
RETURNS SETOF market.trade ROWS 1 LANGUAGE sql STABLE AS $$
  SELECT t.* FROM market.trade AS t
  WHERE t.venue = trade_as_of.venue AND t.venue_symbol = trade_as_of.venue_symbol
    AND t.ts_event <= trade_as_of.ts
  ORDER BY t.ts_event DESC, t.arrival_offset DESC LIMIT 1
$$""",
    "market.price_as_of(venue text, venue_symbol text, ts timestamptz)": """
RETURNS numeric LANGUAGE sql STABLE AS $$
  SELECT t.price
  FROM market.trade_as_of(price_as_of.venue, price_as_of.venue_symbol, price_as_of.ts) AS t
$$""",
    "market.order_book_as_of(venue text, venue_symbol text, ts timestamptz)": """
RETURNS SETOF market.order_book ROWS 1 LANGUAGE sql STABLE AS $$
  SELECT b.* FROM market.order_book AS b
  WHERE b.venue = order_book_as_of.venue AND b.venue_symbol = order_book_as_of.venue_symbol
    AND b.ts_event <= order_book_as_of.ts
  ORDER BY b.ts_event DESC, b.arrival_offset DESC LIMIT 1
$$""",
    "market.candles_between(venue text, venue_symbol text, candle_interval text, "
    "begins timestamptz, ends timestamptz)": """
RETURNS SETOF market.candle LANGUAGE sql STABLE AS $$
  SELECT c.* FROM market.candle AS c
  WHERE c.venue = candles_between.venue AND c.venue_symbol = candles_between.venue_symbol
    AND c."interval" = candles_between.candle_interval
    AND c.open_time >= candles_between.begins AND c.open_time < candles_between.ends
  ORDER BY c.open_time
$$""",
}

STATEMENTS = (
    *(CANDLE, INSTRUMENT, CURRENCY),
    *(f"COMMENT ON {name} IS '{comment}'" for name, comment in COMMENTS.items()),
    *(f"CREATE FUNCTION {signature} {rest}" for signature, rest in FUNCTIONS.items()),
)
"""Of views and functions; they go with a table that somebody drops, and are made again with it."""


def upgrade() -> None:
    """Apply it."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Take it back; no data is lost."""
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    for view in ("candle", "instrument", "currency"):
        op.execute(f"DROP VIEW market.{view}")

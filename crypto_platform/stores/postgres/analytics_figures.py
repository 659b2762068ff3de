"""Tables of figures in schema analytics, and how their rows are written.

Here: what each table holds, from which SQLAlchemy's tables are made (analytics_tables.py); rows
upserted by their keys, and removed by age. A figure that is not known is NULL. Not here: how
figures are reckoned (domain/), which rows (analytics/), what they are made of
(analytics_sources.py).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, LiteralString, NamedTuple

from psycopg import sql

from crypto_platform.domain.book_metrics import BANDS_BPS, ORDER_SIZES
from crypto_platform.domain.hours import TimeUs
from crypto_platform.stores.contents import StoredColumn
from crypto_platform.stores.postgres.rows import format_time
from crypto_platform.stores.postgres.session import Connection

Type = Literal["text", "timestamptz", "numeric", "bigint", "boolean"]


class FigureColumn(NamedTuple):
    """A column; `required` where it is never NULL."""

    name: str
    type: Type
    required: bool = False


class FigureTable(NamedTuple):
    """A table of schema analytics.

    Attributes:
        keys: First columns and primary key.
        figures: The other columns, but `updated_at`.
        has_time_index: Whether all markets of a time are asked for.
    """

    name: str
    keys: Sequence[FigureColumn]
    figures: Sequence[FigureColumn]
    comment: str
    has_time_index: bool = False

    @property
    def columns(self) -> Sequence[FigureColumn]:
        """In the order of a row."""
        return (*self.keys, *self.figures)

    @property
    def place(self) -> str:
        """By schema and name."""
        return f"analytics.{self.name}"

    @property
    def time_column(self) -> str:
        """The key that says when."""
        [name] = [column.name for column in self.keys if column.type == "timestamptz"]
        return name


def _texts(*names: str) -> tuple[FigureColumn, ...]:
    return tuple(FigureColumn(name, "text", required=True) for name in names)


def _amounts(*names: str, required: bool = False) -> tuple[FigureColumn, ...]:
    return tuple(FigureColumn(name, "numeric", required) for name in names)


_MARKET = _texts("venue", "venue_symbol")
_AS_OF = FigureColumn("as_of", "timestamptz", required=True)
_SYMBOL = FigureColumn("symbol", "text")

CANDLE = FigureTable(
    "candle",
    (*_MARKET, *_texts("interval"), FigureColumn("open_time", "timestamptz", required=True)),
    (
        _SYMBOL,
        *_amounts("open", "high", "low", "close", required=True),
        *_amounts("base_volume", "quote_volume", required=True),
        FigureColumn("trade_count", "bigint", required=True),
    ),
    "Closed candles made of the trades that are (or were) stored.",
)
"""Written by SQL of its own (analytics_candles.py), and never removed."""
INDICATOR = FigureTable(
    "indicator",
    (*_MARKET, *_texts("interval"), FigureColumn("open_time", "timestamptz", required=True)),
    (
        _SYMBOL,
        *_amounts("close", required=True),
        *_amounts("sma_20", "ema_20", "rsi_14"),
        *_amounts("macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_histogram"),
        *_amounts("bbands_20_2_upper", "bbands_20_2_middle", "bbands_20_2_lower"),
        *_amounts("atr_14", "vwap"),
    ),
    "Indicators of hourly candles made of trades; NULL before their warm-up.",
)
VOLATILITY = FigureTable(
    "volatility",
    (*_MARKET, _AS_OF),
    (_SYMBOL, *_amounts("annualised_pct"), FigureColumn("returns", "bigint", required=True)),
    "Realised volatility of five-minute closes of the 24 hours before as_of, per cent a year.",
    has_time_index=True,
)
CORRELATION = FigureTable(
    "correlation",
    (*_MARKET, *_texts("other_venue_symbol"), _AS_OF),
    (
        _SYMBOL,
        FigureColumn("other_symbol", "text"),
        *_amounts("correlation"),
        FigureColumn("pairs", "bigint", required=True),
    ),
    "Correlation of five-minute log returns of the 24 hours before as_of; each pair once.",
    has_time_index=True,
)
BOOK_METRICS = FigureTable(
    "book_metrics",
    (*_MARKET, FigureColumn("minute", "timestamptz", required=True)),
    (
        _SYMBOL,
        FigureColumn("ts_event", "timestamptz", required=True),
        *_texts("event_id"),
        *_amounts("best_bid", "best_ask", "mid_price", "spread", "spread_bps"),
        *_amounts("bid_quantity", "ask_quantity", "imbalance_ratio"),
        FigureColumn("imbalance_levels", "bigint", required=True),
        *(
            column
            for bps in BANDS_BPS
            for side in ("bid", "ask")
            for column in (
                *_amounts(f"{side}_base_{bps}bps", f"{side}_quote_{bps}bps"),
                FigureColumn(f"{side}_is_whole_{bps}bps", "boolean"),
            )
        ),
        *_amounts(
            *(f"{side}_{size}_slippage_bps" for size in ORDER_SIZES for side in ("buy", "sell"))
        ),
    ),
    "Figures of the last order book of each minute; is_whole false: there is at least so much.",
)
VENUE_COMPARISON = FigureTable(
    "venue_comparison",
    (*_texts("symbol"), _AS_OF, *_MARKET),
    (
        *_amounts("price"),
        FigureColumn("price_of", "text"),
        FigureColumn("age_s", "bigint"),
        FigureColumn("is_fresh", "boolean", required=True),
        *_amounts("reference_price", "difference_bps", "spread_bps"),
        *_amounts("base_volume_24h", "volume_share_ratio"),
    ),
    "Each venue of a symbol beside the others; the reference is the median of fresh prices.",
    has_time_index=True,
)
MARKET_OVERVIEW = FigureTable(
    "market_overview",
    (*_MARKET, _AS_OF),
    (
        _SYMBOL,
        *_amounts("last_price", "change_24h_pct", "change_7d_pct", "high_24h", "low_24h"),
        *_amounts("base_volume_24h", "quote_volume_24h", "volatility_24h_pct"),
    ),
    "What each market did in the 24 hours, and the week, before as_of.",
    has_time_index=True,
)

FIGURE_TABLES = (
    INDICATOR,
    VOLATILITY,
    CORRELATION,
    BOOK_METRICS,
    VENUE_COMPARISON,
    MARKET_OVERVIEW,
)

_COUNT_BEFORE = "SELECT count(*) FROM {table} WHERE {time} < %s::timestamptz"
_REMOVE_BEFORE = "DELETE FROM {table} WHERE {time} < %s::timestamptz"

Row = Sequence[object]

_ARRAYS: Mapping[Type, sql.SQL] = {
    "text": sql.SQL("%s::text[]"),
    "timestamptz": sql.SQL("%s::timestamptz[]"),
    "numeric": sql.SQL("%s::numeric[]"),
    "bigint": sql.SQL("%s::bigint[]"),
    "boolean": sql.SQL("%s::boolean[]"),
}

_UPSERT = """
INSERT INTO {table} AS t ({columns}, updated_at)
SELECT {given}, clock_timestamp() FROM unnest({arrays}) AS u({columns})
ON CONFLICT ({keys}) DO UPDATE SET ({figures}, updated_at) = ({excluded}, excluded.updated_at)
WHERE ({stored}) IS DISTINCT FROM ({excluded})
"""


def describe_table(table: FigureTable) -> list[StoredColumn]:
    """Its columns in order, as their readers see them."""
    own = [
        StoredColumn(
            column.name,
            "timestamp with time zone" if column.type == "timestamptz" else column.type,
            nullable=not column.required,
            field=None,
        )
        for column in table.columns
    ]
    updated_at = StoredColumn("updated_at", "timestamp with time zone", nullable=False, field=None)
    return [*own, updated_at]


def write_figures(connection: Connection, table: FigureTable, rows: Sequence[Row]) -> int:
    """Upsert rows by their keys; returns how many were new or changed.

    Args:
        connection: Inside a transaction.
        rows: A value a column, each key once; times as RFC 3339 text.
    """
    if not rows:
        return 0

    statement = sql.SQL(_UPSERT).format(
        table=sql.Identifier("analytics", table.name),
        columns=_names(table.columns),
        given=_names(table.columns, of="u"),
        arrays=sql.SQL(", ").join(_ARRAYS[column.type] for column in table.columns),
        keys=_names(table.keys),
        figures=_names(table.figures),
        excluded=_names(table.figures, of="excluded"),
        stored=_names(table.figures, of="t"),
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    return connection.execute(statement, columns).rowcount


def count_before(connection: Connection, table: FigureTable, before_us: TimeUs) -> int:
    """How many rows are of an earlier time."""
    statement = _of_before(_COUNT_BEFORE, table)
    [(count,)] = connection.execute(statement, [format_time(before_us)]).fetchall()
    return int(count)


def remove_before(connection: Connection, table: FigureTable, before_us: TimeUs) -> int:
    """Delete them; returns how many there were.

    Args:
        connection: Inside a transaction.
    """
    return connection.execute(_of_before(_REMOVE_BEFORE, table), [format_time(before_us)]).rowcount


def _of_before(statement: LiteralString, table: FigureTable) -> sql.Composed:
    return sql.SQL(statement).format(
        table=sql.Identifier("analytics", table.name), time=sql.Identifier(table.time_column)
    )


def _names(columns: Sequence[FigureColumn], *, of: str | None = None) -> sql.Composable:
    qualifier = () if of is None else (of,)
    return sql.SQL(", ").join(sql.Identifier(*qualifier, column.name) for column in columns)

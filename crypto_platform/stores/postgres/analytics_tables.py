"""Schema analytics as SQLAlchemy sees it: what is derived of the market, and what is still due.

Here: tables, from which migrations are checked. Rows are upserted by their keys and never partial:
whoever reads the tables without asking anybody finds closed intervals only. Not here: how they are
made (analytics_candles.py and its like), the facts (tables.py).
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from crypto_platform.stores.postgres.analytics_figures import CANDLE, FIGURE_TABLES, FigureTable

SCHEMA = "analytics"

TIME = sa.DateTime(timezone=True)
TEXT_C = sa.Text(collation="C")


def add_analytics_tables(metadata: sa.MetaData) -> None:
    """All tables of the schema."""
    _pending(metadata)
    for table in (CANDLE, *FIGURE_TABLES):
        _figures(metadata, table)


def _pending(metadata: sa.MetaData) -> None:
    sa.Table(
        "pending",
        metadata,
        sa.Column("computation", TEXT_C, primary_key=True),
        sa.Column("feed", TEXT_C, primary_key=True),
        sa.Column("key", TEXT_C, primary_key=True),
        sa.Column("event_hour", TIME, primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", TIME, nullable=False, server_default=sa.func.clock_timestamp()),
        schema=SCHEMA,
        comment="Which hours of event time each computation has still to make.",
    )


_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(),
    "timestamptz": TIME,
    "numeric": sa.Numeric(),
    "bigint": sa.BigInteger(),
    "boolean": sa.Boolean(),
}


def _figures(metadata: sa.MetaData, figures: FigureTable) -> None:
    table = sa.Table(
        figures.name,
        metadata,
        *(
            sa.Column(
                column.name,
                TEXT_C if column.type == "text" else _TYPES[column.type],
                primary_key=True,
            )
            for column in figures.keys
        ),
        *(
            sa.Column(column.name, _TYPES[column.type], nullable=not column.required)
            for column in figures.figures
        ),
        sa.Column("updated_at", TIME, nullable=False),
        schema=SCHEMA,
        comment=figures.comment,
    )
    if figures.has_time_index:
        sa.Index(f"{figures.name}_as_of", table.c.as_of)

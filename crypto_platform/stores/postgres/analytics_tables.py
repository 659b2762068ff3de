"""Schema analytics as SQLAlchemy sees it: what is derived of the market, and what is still due.

Here: tables, from which migrations are checked. Rows are upserted by their keys and never partial:
whoever reads the tables without asking anybody finds closed intervals only. Not here: how they are
made (analytics_candles.py and its like), the facts (tables.py).
"""

import sqlalchemy as sa

SCHEMA = "analytics"

TIME = sa.DateTime(timezone=True)
TEXT_C = sa.Text(collation="C")


def add_analytics_tables(metadata: sa.MetaData) -> None:
    """All tables of the schema."""
    _pending(metadata)
    _candle(metadata)


def _pending(metadata: sa.MetaData) -> None:
    sa.Table(
        "pending",
        metadata,
        sa.Column("computation", TEXT_C, primary_key=True),
        sa.Column("feed", TEXT_C, primary_key=True),
        sa.Column("key", TEXT_C, primary_key=True),
        sa.Column("event_hour", TIME, primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        schema=SCHEMA,
        comment="Which hours of event time each computation has still to make.",
    )


def _candle(metadata: sa.MetaData) -> None:
    sa.Table(
        "candle",
        metadata,
        sa.Column("venue", TEXT_C, primary_key=True),
        sa.Column("venue_symbol", TEXT_C, primary_key=True),
        sa.Column("interval", TEXT_C, primary_key=True),
        sa.Column("open_time", TIME, primary_key=True),
        sa.Column("symbol", sa.Text()),
        sa.Column("open", sa.Numeric(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=False),
        sa.Column("low", sa.Numeric(), nullable=False),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("base_volume", sa.Numeric(), nullable=False),
        sa.Column("quote_volume", sa.Numeric(), nullable=False),
        sa.Column("trade_count", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        schema=SCHEMA,
        comment="Closed candles made of the trades that are (or were) stored.",
    )

"""Order books by day, candles by month, instruments in one piece."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "order_book",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("venue_symbol", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("depth", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.Text(), nullable=True),
        sa.Column("bid_prices", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("bid_quantities", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("ask_prices", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("ask_quantities", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ts_event_text", sa.Text(), nullable=True),
        sa.Column("timed_by", sa.Text(), nullable=False),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id", "ts_event"),
        schema="market",
        postgresql_partition_by="RANGE (ts_event)",
    )
    op.create_index(
        "order_book_arrival",
        "order_book",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="market",
    )
    op.create_index(
        "order_book_venue_venue_symbol_ts_event",
        "order_book",
        ["venue", "venue_symbol", sa.literal_column("ts_event DESC")],
        unique=False,
        schema="market",
    )
    op.create_table(
        "candle_revision",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("venue_symbol", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Numeric(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=False),
        sa.Column("low", sa.Numeric(), nullable=False),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("base_volume", sa.Numeric(), nullable=False),
        sa.Column("quote_volume", sa.Numeric(), nullable=True),
        sa.Column("vwap", sa.Numeric(), nullable=True),
        sa.Column("trade_count", sa.BigInteger(), nullable=True),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id", "ts_event"),
        schema="market",
        postgresql_partition_by="RANGE (ts_event)",
    )
    op.create_index(
        "candle_revision_arrival",
        "candle_revision",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="market",
    )
    op.create_index(
        "candle_revision_venue_venue_symbol_interval_ts_event",
        "candle_revision",
        ["venue", "venue_symbol", "interval", sa.literal_column("ts_event DESC")],
        unique=False,
        schema="market",
    )
    op.create_table(
        "instrument_revision",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("base_id", sa.Text(), nullable=True),
        sa.Column("quote_id", sa.Text(), nullable=True),
        sa.Column("base_currency", sa.Text(), nullable=True),
        sa.Column("quote_currency", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("price_step", sa.Numeric(), nullable=True),
        sa.Column("quantity_step", sa.Numeric(), nullable=True),
        sa.Column("quantity_min", sa.Numeric(), nullable=True),
        sa.Column("notional_min", sa.Numeric(), nullable=True),
        sa.Column("trade_numbering", sa.Text(), nullable=True),
        sa.Column("ts_listed", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="market",
    )
    op.create_index(
        "instrument_revision_arrival",
        "instrument_revision",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="market",
    )
    op.create_index(
        "instrument_revision_source_kind_native_id_ts_ingest",
        "instrument_revision",
        ["source", "kind", "native_id", sa.literal_column("ts_ingest DESC")],
        unique=False,
        schema="market",
    )


def downgrade() -> None:
    """Take it back; data in dropped columns and tables is lost."""
    op.drop_index(
        "instrument_revision_source_kind_native_id_ts_ingest",
        table_name="instrument_revision",
        schema="market",
    )
    op.drop_index("instrument_revision_arrival", table_name="instrument_revision", schema="market")
    op.drop_table("instrument_revision", schema="market")
    op.drop_index(
        "candle_revision_venue_venue_symbol_interval_ts_event",
        table_name="candle_revision",
        schema="market",
    )
    op.drop_index("candle_revision_arrival", table_name="candle_revision", schema="market")
    op.drop_table("candle_revision", schema="market")
    op.drop_index(
        "order_book_venue_venue_symbol_ts_event", table_name="order_book", schema="market"
    )
    op.drop_index("order_book_arrival", table_name="order_book", schema="market")
    op.drop_table("order_book", schema="market")

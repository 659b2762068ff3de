"""Figures of the market: indicators, volatility, correlations, order books, venues, markets."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it; what is stored already is made when its hours are touched, or by a backfill."""
    op.create_table(
        "indicator",
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("interval", sa.Text(collation="C"), nullable=False),
        sa.Column("open_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("sma_20", sa.Numeric(), nullable=True),
        sa.Column("ema_20", sa.Numeric(), nullable=True),
        sa.Column("rsi_14", sa.Numeric(), nullable=True),
        sa.Column("macd_12_26_9", sa.Numeric(), nullable=True),
        sa.Column("macd_12_26_9_signal", sa.Numeric(), nullable=True),
        sa.Column("macd_12_26_9_histogram", sa.Numeric(), nullable=True),
        sa.Column("bbands_20_2_upper", sa.Numeric(), nullable=True),
        sa.Column("bbands_20_2_middle", sa.Numeric(), nullable=True),
        sa.Column("bbands_20_2_lower", sa.Numeric(), nullable=True),
        sa.Column("atr_14", sa.Numeric(), nullable=True),
        sa.Column("vwap", sa.Numeric(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "venue_symbol", "interval", "open_time"),
        schema="analytics",
        comment="Indicators of hourly candles made of trades; NULL before their warm-up.",
    )
    op.create_table(
        "volatility",
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("annualised_pct", sa.Numeric(), nullable=True),
        sa.Column("returns", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "venue_symbol", "as_of"),
        schema="analytics",
        comment="Realised volatility of five-minute closes of the 24 hours before as_of, per cent a year.",
    )
    op.create_index("volatility_as_of", "volatility", ["as_of"], unique=False, schema="analytics")
    op.create_table(
        "correlation",
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("other_venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("other_symbol", sa.Text(), nullable=True),
        sa.Column("correlation", sa.Numeric(), nullable=True),
        sa.Column("pairs", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "venue_symbol", "other_venue_symbol", "as_of"),
        schema="analytics",
        comment="Correlation of five-minute log returns of the 24 hours before as_of; each pair once.",
    )
    op.create_index("correlation_as_of", "correlation", ["as_of"], unique=False, schema="analytics")
    op.create_table(
        "book_metrics",
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("best_bid", sa.Numeric(), nullable=True),
        sa.Column("best_ask", sa.Numeric(), nullable=True),
        sa.Column("mid_price", sa.Numeric(), nullable=True),
        sa.Column("spread", sa.Numeric(), nullable=True),
        sa.Column("spread_bps", sa.Numeric(), nullable=True),
        sa.Column("bid_quantity", sa.Numeric(), nullable=True),
        sa.Column("ask_quantity", sa.Numeric(), nullable=True),
        sa.Column("imbalance_ratio", sa.Numeric(), nullable=True),
        sa.Column("imbalance_levels", sa.BigInteger(), nullable=False),
        sa.Column("bid_base_10bps", sa.Numeric(), nullable=True),
        sa.Column("bid_quote_10bps", sa.Numeric(), nullable=True),
        sa.Column("bid_is_whole_10bps", sa.Boolean(), nullable=True),
        sa.Column("ask_base_10bps", sa.Numeric(), nullable=True),
        sa.Column("ask_quote_10bps", sa.Numeric(), nullable=True),
        sa.Column("ask_is_whole_10bps", sa.Boolean(), nullable=True),
        sa.Column("bid_base_50bps", sa.Numeric(), nullable=True),
        sa.Column("bid_quote_50bps", sa.Numeric(), nullable=True),
        sa.Column("bid_is_whole_50bps", sa.Boolean(), nullable=True),
        sa.Column("ask_base_50bps", sa.Numeric(), nullable=True),
        sa.Column("ask_quote_50bps", sa.Numeric(), nullable=True),
        sa.Column("ask_is_whole_50bps", sa.Boolean(), nullable=True),
        sa.Column("bid_base_100bps", sa.Numeric(), nullable=True),
        sa.Column("bid_quote_100bps", sa.Numeric(), nullable=True),
        sa.Column("bid_is_whole_100bps", sa.Boolean(), nullable=True),
        sa.Column("ask_base_100bps", sa.Numeric(), nullable=True),
        sa.Column("ask_quote_100bps", sa.Numeric(), nullable=True),
        sa.Column("ask_is_whole_100bps", sa.Boolean(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "venue_symbol", "minute"),
        schema="analytics",
        comment="Figures of the last order book of each minute; is_whole false: there is at least so much.",
    )
    op.create_table(
        "venue_comparison",
        sa.Column("symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("price_of", sa.Text(), nullable=True),
        sa.Column("age_s", sa.BigInteger(), nullable=True),
        sa.Column("is_fresh", sa.Boolean(), nullable=False),
        sa.Column("reference_price", sa.Numeric(), nullable=True),
        sa.Column("difference_bps", sa.Numeric(), nullable=True),
        sa.Column("spread_bps", sa.Numeric(), nullable=True),
        sa.Column("base_volume_24h", sa.Numeric(), nullable=True),
        sa.Column("volume_share_ratio", sa.Numeric(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "as_of", "venue", "venue_symbol"),
        schema="analytics",
        comment="Each venue of a symbol beside the others; the reference is the median of fresh prices.",
    )
    op.create_index(
        "venue_comparison_as_of", "venue_comparison", ["as_of"], unique=False, schema="analytics"
    )
    op.create_table(
        "market_overview",
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("last_price", sa.Numeric(), nullable=True),
        sa.Column("change_24h_pct", sa.Numeric(), nullable=True),
        sa.Column("change_7d_pct", sa.Numeric(), nullable=True),
        sa.Column("high_24h", sa.Numeric(), nullable=True),
        sa.Column("low_24h", sa.Numeric(), nullable=True),
        sa.Column("base_volume_24h", sa.Numeric(), nullable=True),
        sa.Column("quote_volume_24h", sa.Numeric(), nullable=True),
        sa.Column("volatility_24h_pct", sa.Numeric(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "venue_symbol", "as_of"),
        schema="analytics",
        comment="What each market did in the 24 hours, and the week, before as_of.",
    )
    op.create_index(
        "market_overview_as_of", "market_overview", ["as_of"], unique=False, schema="analytics"
    )


def downgrade() -> None:
    """Take it back; figures of order books that retention has removed are lost."""
    op.drop_table("market_overview", schema="analytics")
    op.drop_table("venue_comparison", schema="analytics")
    op.drop_table("book_metrics", schema="analytics")
    op.drop_table("correlation", schema="analytics")
    op.drop_table("volatility", schema="analytics")
    op.drop_table("indicator", schema="analytics")

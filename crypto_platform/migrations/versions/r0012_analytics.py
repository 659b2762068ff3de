"""What is derived of the market: candles made of trades, and which hours are still due."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it; the hours that loads noted ever since are made by the first run."""
    op.execute("CREATE SCHEMA analytics")
    op.create_table(
        "pending",
        sa.Column("computation", sa.Text(collation="C"), nullable=False),
        sa.Column("feed", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("event_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("computation", "feed", "key", "event_hour"),
        schema="analytics",
        comment="Which hours of event time each computation has still to make.",
    )
    op.create_table(
        "candle",
        sa.Column("venue", sa.Text(collation="C"), nullable=False),
        sa.Column("venue_symbol", sa.Text(collation="C"), nullable=False),
        sa.Column("interval", sa.Text(collation="C"), nullable=False),
        sa.Column("open_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("open", sa.Numeric(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=False),
        sa.Column("low", sa.Numeric(), nullable=False),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("base_volume", sa.Numeric(), nullable=False),
        sa.Column("quote_volume", sa.Numeric(), nullable=False),
        sa.Column("trade_count", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "venue_symbol", "interval", "open_time"),
        schema="analytics",
        comment="Closed candles made of the trades that are (or were) stored.",
    )


def downgrade() -> None:
    """Take it back; what is derived of trades that retention has removed is lost."""
    op.drop_table("candle", schema="analytics")
    op.drop_table("pending", schema="analytics")
    op.execute("DROP SCHEMA analytics")

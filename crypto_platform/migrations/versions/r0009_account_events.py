"""Users' account events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it."""
    op.execute("CREATE SCHEMA accounts")
    op.create_table(
        "event",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("user_sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column("venue_symbol", sa.Text(), nullable=True),
        sa.Column("side", sa.Text(), nullable=True),
        sa.Column("order_type", sa.Text(), nullable=True),
        sa.Column("time_in_force", sa.Text(), nullable=True),
        sa.Column("post_only", sa.Boolean(), nullable=True),
        sa.Column("limit_price", sa.Numeric(), nullable=True),
        sa.Column("order_quantity", sa.Numeric(), nullable=True),
        sa.Column("order_funds", sa.Numeric(), nullable=True),
        sa.Column("filled_quantity", sa.Numeric(), nullable=True),
        sa.Column("filled_notional", sa.Numeric(), nullable=True),
        sa.Column("order_fees", sa.Numeric(), nullable=True),
        sa.Column("order_fee_currency", sa.Text(), nullable=True),
        sa.Column("order_status", sa.Text(), nullable=True),
        sa.Column("order_reason", sa.Text(), nullable=True),
        sa.Column("ts_created", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trade_id", sa.Text(), nullable=True),
        sa.Column("fill_price", sa.Numeric(), nullable=True),
        sa.Column("fill_quantity", sa.Numeric(), nullable=True),
        sa.Column("liquidity", sa.Text(), nullable=True),
        sa.Column("fill_fee", sa.Numeric(), nullable=True),
        sa.Column("fill_fee_currency", sa.Text(), nullable=True),
        sa.Column("posting_accounts", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("posting_currencies", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("posting_amounts", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("wallet_currencies", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("wallet_available", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("wallet_locked", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="accounts",
    )
    op.create_index(
        "event_arrival",
        "event",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="accounts",
    )
    op.create_index(
        "event_user_id_sequence",
        "event",
        ["user_id", sa.literal_column("sequence DESC")],
        unique=False,
        schema="accounts",
    )


def downgrade() -> None:
    """Take it back; data in dropped columns and tables is lost."""
    op.drop_index("event_user_id_sequence", table_name="event", schema="accounts")
    op.drop_index("event_arrival", table_name="event", schema="accounts")
    op.drop_table("event", schema="accounts")
    op.execute("DROP SCHEMA accounts")

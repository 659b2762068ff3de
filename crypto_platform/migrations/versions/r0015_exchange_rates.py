"""Official exchange rates: a day's publication a row, and a view with a row a currency."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

EXCHANGE_RATE = """
CREATE VIEW market.exchange_rate AS
SELECT d.source, d.base_currency, r.currency, (d.ts_event AT TIME ZONE 'UTC')::date AS day, r.rate,
  d.ts_ingest, d.event_id
FROM (
  SELECT DISTINCT ON (e.source, e.ts_event) e.*
  FROM market.exchange_rate_revision AS e
  ORDER BY e.source, e.ts_event DESC, e.ts_ingest DESC, e.arrival_offset DESC) AS d
CROSS JOIN LATERAL unnest(d.currencies, d.rates) AS r(currency, rate)
"""

COMMENT = """
COMMENT ON VIEW market.exchange_rate IS
  'Units of the currency for one of the base currency, by day and source, as last published.'
"""

STATEMENTS = (EXCHANGE_RATE, COMMENT)
"""Of the view; it goes with a table that somebody drops, and is made again with it."""


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "exchange_rate_revision",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("base_currency", sa.Text(), nullable=False),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currencies", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("rates", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="market",
    )
    op.create_index(
        "exchange_rate_revision_arrival",
        "exchange_rate_revision",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="market",
    )
    op.create_index(
        "exchange_rate_revision_source_ts_event",
        "exchange_rate_revision",
        ["source", sa.literal_column("ts_event DESC")],
        unique=False,
        schema="market",
    )
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Take it back; the rates are lost, and their source gives them again."""
    op.execute("DROP VIEW market.exchange_rate")
    op.drop_index(
        "exchange_rate_revision_source_ts_event",
        table_name="exchange_rate_revision",
        schema="market",
    )
    op.drop_index(
        "exchange_rate_revision_arrival", table_name="exchange_rate_revision", schema="market"
    )
    op.drop_table("exchange_rate_revision", schema="market")

"""trades, partitioned by month of event time, and the function that makes partitions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The loader calls it and may change no table itself. It attaches an empty table, which waits for no
# load; what it may make is bounded by the parent's kind and by time.
MAKE_PARTITION = """
CREATE FUNCTION platform.make_partition(parent_schema text, parent_table text, step text,
                                        begins timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
  ends timestamptz;
  name text;
BEGIN
  IF step NOT IN ('day', 'month') OR begins <> date_trunc(step, begins) THEN
    RAISE EXCEPTION 'a partition is a whole day or month, not a % from %', step, begins;
  END IF;
  IF begins < '2009-01-01' OR begins >= '2100-01-01' THEN
    RAISE EXCEPTION 'no partition begins before 2009 or after 2099: %', begins;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partrelid
    WHERE c.oid = to_regclass(format('%I.%I', parent_schema, parent_table))
      AND c.relowner = current_user::regrole) THEN
    RAISE EXCEPTION '%.% is no partitioned table of ours', parent_schema, parent_table;
  END IF;
  ends := begins + ('1 ' || step)::interval;
  name := parent_table
    || to_char(begins, CASE step WHEN 'day' THEN '_YYYY_MM_DD' ELSE '_YYYY_MM' END);
  PERFORM pg_advisory_xact_lock(hashtextextended(parent_schema || '.' || name, 0));
  IF to_regclass(format('%I.%I', parent_schema, name)) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL)',
                 parent_schema, name, parent_schema, parent_table);
  -- lets ATTACH see without a look that all rows (there are none) fit
  EXECUTE format('ALTER TABLE %I.%I ADD CONSTRAINT fits CHECK (ts_event >= %L AND ts_event < %L)',
                 parent_schema, name, begins, ends);
  EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                 parent_schema, parent_table, parent_schema, name, begins, ends);
  EXECUTE format('ALTER TABLE %I.%I DROP CONSTRAINT fits', parent_schema, name);
END
$$
"""


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "trade",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("venue_symbol", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("taker_side", sa.Text(), nullable=True),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ts_event_text", sa.Text(), nullable=True),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id", "ts_event"),
        schema="market",
        postgresql_partition_by="RANGE (ts_event)",
    )
    op.create_index(
        "trade_arrival",
        "trade",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="market",
    )
    op.create_index(
        "trade_venue_venue_symbol_ts_event",
        "trade",
        ["venue", "venue_symbol", sa.literal_column("ts_event DESC")],
        unique=False,
        schema="market",
    )
    op.execute(MAKE_PARTITION)
    op.execute(
        "REVOKE ALL ON FUNCTION platform.make_partition(text, text, text, timestamptz) FROM PUBLIC"
    )


def downgrade() -> None:
    """Take it back; data in dropped columns and tables is lost."""
    op.execute("DROP FUNCTION platform.make_partition(text, text, text, timestamptz)")
    op.drop_index("trade_venue_venue_symbol_ts_event", table_name="trade", schema="market")
    op.drop_index("trade_arrival", table_name="trade", schema="market")
    op.drop_table("trade", schema="market")

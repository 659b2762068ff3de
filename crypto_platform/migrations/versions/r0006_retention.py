"""What retention has removed is written down, in the transaction that removes it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The loader calls it and may delete nothing itself. It sums a partition by the ranges of load_batch
# (a range scan of the arrival index for each), then drops it. Meanwhile readers go on, and loads
# wait only if they write into this very partition; the drop at the end locks the whole table for a
# moment. A row belongs to the live range of its offset; where Kafka's log was cut and no live range
# has come so far again, to the range it was stored by.
REMOVE_PARTITION = """
CREATE FUNCTION platform.remove_partition(parent_schema text, parent_table text,
                                          before timestamptz, run text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '5s'
AS $$
DECLARE
  parent oid := to_regclass(format('%I.%I', parent_schema, parent_table));
  name text;
  counted bigint;
BEGIN
  IF before > now() - interval '1 day' THEN
    RAISE EXCEPTION 'the last day is never removed, and % is in it', before;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partrelid
    WHERE c.oid = parent AND c.relowner = current_user::regrole) THEN
    RAISE EXCEPTION '%.% is no partitioned table of ours', parent_schema, parent_table;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('remove ' || parent_schema || parent_table, 0));
  SELECT c.relname INTO name
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid,
    LATERAL (SELECT (regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                  'TO \\(''([^'']+)''\\)'))[1]::timestamptz AS ends) AS bound
  WHERE i.inhparent = parent AND bound.ends <= before
  ORDER BY bound.ends LIMIT 1;
  IF name IS NULL THEN
    RETURN NULL;
  END IF;
  EXECUTE format('LOCK TABLE %I.%I IN SHARE MODE', parent_schema, name);
  EXECUTE format($sums$
    INSERT INTO platform.removed AS r (sink, topic_id, part, first_offset, run_id, topic, hour,
      events_before, removed_records, removed_high, removed_low)
    SELECT b.sink, b.topic_id, b.part, lower(b.offsets), $1, min(b.topic), min(b.hour), $2,
      sum(s.records), sum(s.high), sum(s.low)
    FROM platform.load_batch AS b CROSS JOIN LATERAL (
      SELECT count(*) AS records, coalesce(sum((t.content_hash >> 32) & 4294967295), 0) AS high,
        coalesce(sum(t.content_hash & 4294967295), 0) AS low
      FROM %1$I.%2$I AS t
      WHERE t.arrival_topic_id = b.topic_id AND t.arrival_part = b.part
        AND t.arrival_offset >= lower(b.offsets) AND t.arrival_offset < upper(b.offsets)
        AND (b.kind = 'live' OR NOT EXISTS (
          SELECT FROM platform.load_batch AS o
          WHERE o.sink = b.sink AND o.topic_id = b.topic_id AND o.part = b.part
            AND o.offsets @> t.arrival_offset AND (o.kind = 'live'
              OR (o.kind IN ('truncated', 'restore') AND (o.hour, o.epoch, o.kind, o.run_id)
                < (b.hour, b.epoch, b.kind, b.run_id)))))
    ) AS s
    WHERE b.sink = 'postgres' AND b.kind IN ('live', 'truncated', 'restore') AND s.records > 0
    GROUP BY b.sink, b.topic_id, b.part, lower(b.offsets)
    ON CONFLICT (sink, topic_id, part, first_offset, run_id) DO UPDATE SET
      removed_records = r.removed_records + excluded.removed_records,
      removed_high = r.removed_high + excluded.removed_high,
      removed_low = r.removed_low + excluded.removed_low
  $sums$, parent_schema, name) USING run, before;
  EXECUTE format('SELECT count(*) FROM %I.%I', parent_schema, name) INTO counted;
  EXECUTE format('DROP TABLE %I.%I', parent_schema, name);
  RETURN counted;
END
$$
"""


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "removed",
        sa.Column("sink", sa.Text(collation="C"), nullable=False),
        sa.Column("topic_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("first_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.Text(collation="C"), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("events_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_records", sa.BigInteger(), nullable=False),
        sa.Column("removed_high", sa.Numeric(), nullable=False),
        sa.Column("removed_low", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint("sink", "topic_id", "part", "first_offset", "run_id"),
        schema="platform",
        comment="What retention removed of each range of load_batch, with its hash sum.",
    )
    op.execute(REMOVE_PARTITION)
    op.execute(
        "REVOKE ALL ON FUNCTION platform.remove_partition(text, text, timestamptz, text) "
        "FROM PUBLIC"
    )


def downgrade() -> None:
    """Take it back; audits then miss what was removed."""
    op.execute("DROP FUNCTION platform.remove_partition(text, text, timestamptz, text)")
    op.drop_table("removed", schema="platform")

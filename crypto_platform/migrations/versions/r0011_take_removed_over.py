"""A restore takes over what retention had removed from the other store, and nobody else may."""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The loader may not insert into platform.removed: what stands there the audit no longer looks for.
# This lets it do so for partitions that a restore has claimed, where no load writes.
TAKE_REMOVED_OVER = """
CREATE FUNCTION platform.take_removed_over(
  topic_ids uuid[], parts integer[], first_offsets bigint[], run_ids text[], topics text[],
  hours timestamptz[], events_before timestamptz[], counts bigint[], highs numeric[],
  lows numeric[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (
    SELECT FROM unnest(topic_ids, parts) AS u(topic_id, part)
    WHERE NOT EXISTS (
      SELECT FROM platform.kafka_offset AS o
      WHERE o.sink = 'postgres' AND o.topic_id = u.topic_id AND o.part = u.part
        AND o.blocked_by LIKE 'restore:%')) THEN
    RAISE EXCEPTION 'only a restore takes over what was removed, and none has claimed these';
  END IF;
  INSERT INTO platform.removed (sink, topic_id, part, first_offset, run_id, topic, hour,
    events_before, removed_records, removed_high, removed_low)
  SELECT 'postgres', u.*
  FROM unnest(topic_ids, parts, first_offsets, run_ids, topics, hours, events_before, counts,
    highs, lows) AS u
  ON CONFLICT (sink, topic_id, part, first_offset, run_id) DO NOTHING;
END
$$
"""
SIGNATURE = (
    "platform.take_removed_over(uuid[], integer[], bigint[], text[], text[], timestamptz[], "
    "timestamptz[], bigint[], numeric[], numeric[])"
)


def upgrade() -> None:
    """Apply it."""
    op.execute(TAKE_REMOVED_OVER)
    op.execute(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC")


def downgrade() -> None:
    """Take it back; restores then cannot take over what was removed."""
    op.execute(f"DROP FUNCTION {SIGNATURE}")

"""The first feeds and the platform's bookkeeping."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply it."""
    # schema platform is there already: it holds Alembic's own table
    op.execute("CREATE SCHEMA market")
    op.execute("CREATE SEQUENCE platform.touched_version AS bigint")
    op.create_table(
        "quote",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("currency_id", sa.Text(), nullable=False),
        sa.Column("quote_currency", sa.Text(), nullable=False),
        sa.Column("currency_symbol", sa.Text(), nullable=True),
        sa.Column("currency_name", sa.Text(), nullable=True),
        sa.Column("market_cap_rank", sa.BigInteger(), nullable=True),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("market_cap", sa.Numeric(), nullable=True),
        sa.Column("fully_diluted_market_cap", sa.Numeric(), nullable=True),
        sa.Column("quote_volume_24h", sa.Numeric(), nullable=True),
        sa.Column("vwap_24h", sa.Numeric(), nullable=True),
        sa.Column("high_24h", sa.Numeric(), nullable=True),
        sa.Column("low_24h", sa.Numeric(), nullable=True),
        sa.Column("price_change_24h", sa.Numeric(), nullable=True),
        sa.Column("price_change_24h_pct", sa.Numeric(), nullable=True),
        sa.Column("market_cap_change_24h", sa.Numeric(), nullable=True),
        sa.Column("market_cap_change_24h_pct", sa.Numeric(), nullable=True),
        sa.Column("circulating_supply", sa.Numeric(), nullable=True),
        sa.Column("total_supply", sa.Numeric(), nullable=True),
        sa.Column("max_supply", sa.Numeric(), nullable=True),
        sa.Column("ts_event", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="market",
    )
    op.create_index(
        "quote_arrival",
        "quote",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="market",
    )
    op.create_index(
        "quote_source_currency_id_ts_ingest",
        "quote",
        ["source", "currency_id", sa.literal_column("ts_ingest DESC")],
        unique=False,
        schema="market",
    )
    op.create_table(
        "incident",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sink", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("feed", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("topic_id", sa.Text(), nullable=True),
        sa.Column("part", sa.BigInteger(), nullable=True),
        sa.Column("first_offset", sa.BigInteger(), nullable=True),
        sa.Column("next_offset", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("next_step", sa.Text(), nullable=False),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="platform",
    )
    op.create_index(
        "incident_arrival",
        "incident",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="platform",
    )
    op.create_index(
        "incident_ts_ingest",
        "incident",
        [sa.literal_column("ts_ingest DESC")],
        unique=False,
        schema="platform",
    )
    op.create_table(
        "kafka_offset",
        sa.Column("sink", sa.Text(collation="C"), nullable=False),
        sa.Column("topic_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("leader_epoch", sa.Integer(), nullable=True),
        sa.Column("max_ts_append", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner_run_id", sa.Text(), nullable=True),
        sa.Column("backend_pid", sa.Integer(), nullable=True),
        sa.Column("backend_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_by", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sink", "topic_id", "part"),
        schema="platform",
        comment="How far each partition is stored, and who may write it.",
    )
    # every commit updates these rows: room on their page lets the update stay on it
    op.execute("ALTER TABLE platform.kafka_offset SET (fillfactor = 50)")
    op.create_table(
        "load_batch",
        sa.Column("sink", sa.Text(collation="C"), nullable=False),
        sa.Column("topic_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("run_id", sa.Text(collation="C"), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("offsets", postgresql.INT8RANGE(), nullable=False),
        sa.Column("stored_records", sa.BigInteger(), nullable=False),
        sa.Column("stored_high", sa.Numeric(), nullable=False),
        sa.Column("stored_low", sa.Numeric(), nullable=False),
        sa.Column("repeated_records", sa.BigInteger(), nullable=False),
        sa.Column("quarantined_records", sa.BigInteger(), nullable=False),
        postgresql.ExcludeConstraint(
            ("sink", "="),
            ("topic_id", "="),
            ("part", "="),
            ("offsets", "&&"),
            where=sa.text("kind = 'live'"),
            using="gist",
            name="load_batch_live_ranges_never_overlap",
        ),
        sa.PrimaryKeyConstraint("sink", "topic_id", "part", "hour", "epoch", "kind", "run_id"),
        schema="platform",
        comment="Which offsets each run wrote, with count and hash sum of what was new.",
    )
    op.create_table(
        "quarantine",
        sa.Column("topic_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("record_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'released', 'discarded')", name="quarantine_state_is_known"
        ),
        sa.PrimaryKeyConstraint("topic_id", "part", "record_offset"),
        schema="platform",
        comment="Kafka values this store refused, with the bytes as they came.",
    )
    op.create_table(
        "rejected",
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.BigInteger(), nullable=False),
        sa.Column("ts_ingest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("arrival_topic_id", sa.Uuid(), nullable=True),
        sa.Column("arrival_part", sa.Integer(), nullable=True),
        sa.Column("arrival_offset", sa.BigInteger(), nullable=True),
        sa.Column("ts_append", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
        schema="platform",
    )
    op.create_index(
        "rejected_arrival",
        "rejected",
        ["arrival_topic_id", "arrival_part", "arrival_offset"],
        unique=False,
        schema="platform",
    )
    op.create_index(
        "rejected_source_feed_ts_ingest",
        "rejected",
        ["source", "feed", sa.literal_column("ts_ingest DESC")],
        unique=False,
        schema="platform",
    )
    op.create_table(
        "touched",
        sa.Column("feed", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("event_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "key", "event_hour"),
        schema="platform",
        comment="Which hours of event time changed since analytics last looked.",
    )
    op.execute("ALTER TABLE platform.touched SET (fillfactor = 70)")


def downgrade() -> None:
    """Take it back; data in dropped columns and tables is lost."""
    op.drop_table("touched", schema="platform")
    op.drop_index("rejected_source_feed_ts_ingest", table_name="rejected", schema="platform")
    op.drop_index("rejected_arrival", table_name="rejected", schema="platform")
    op.drop_table("rejected", schema="platform")
    op.drop_table("quarantine", schema="platform")
    op.drop_table("load_batch", schema="platform")
    op.drop_table("kafka_offset", schema="platform")
    op.drop_index("incident_ts_ingest", table_name="incident", schema="platform")
    op.drop_index("incident_arrival", table_name="incident", schema="platform")
    op.drop_table("incident", schema="platform")
    op.drop_index("quote_source_currency_id_ts_ingest", table_name="quote", schema="market")
    op.drop_index("quote_arrival", table_name="quote", schema="market")
    op.drop_table("quote", schema="market")
    op.execute("DROP SEQUENCE platform.touched_version")
    op.execute("DROP SCHEMA market")

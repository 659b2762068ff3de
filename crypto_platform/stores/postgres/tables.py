"""PostgreSQL's tables as SQLAlchemy sees them: a fact table a feed, and the platform's bookkeeping.

Here: names, types, keys and indexes, from which migrations are generated and checked. Not here: SQL
that reads or writes (the modules beside), grants (rights.py), schema analytics
(analytics_tables.py). Loads never import this.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.feed import FieldKind, Index, Projection
from crypto_platform.stores.postgres.analytics_tables import SCHEMA as ANALYTICS
from crypto_platform.stores.postgres.analytics_tables import add_analytics_tables

SCHEMAS = ("accounts", ANALYTICS, "market", "platform")

_TIME = sa.DateTime(timezone=True)
_TEXT_C = sa.Text(collation="C")
"""Keys compare by bytes: faster than a language's order, and the same on every machine."""

_TYPE_OF_KIND: dict[FieldKind, sa.types.TypeEngine[Any]] = {
    FieldKind.TEXT: sa.Text(),
    FieldKind.AMOUNT: sa.Numeric(),
    FieldKind.AMOUNTS: pg.ARRAY(sa.Numeric()),
    FieldKind.TEXTS: pg.ARRAY(sa.Text()),
    FieldKind.TIME_US: _TIME,
    FieldKind.INTEGER: sa.BigInteger(),
    FieldKind.FLAG: sa.Boolean(),
    FieldKind.BYTES: sa.LargeBinary(),
}


def build_metadata(feeds: Iterable[Feed[Record]] = FEEDS) -> sa.MetaData:
    """All tables of the platform.

    Args:
        feeds: The catalogue; tests hand in feeds of their own.
    """
    metadata = sa.MetaData()
    for feed in feeds:
        _fact_table(metadata, feed)
        for projection in feed.projections:
            _state_table(metadata, projection)
    _kafka_offset(metadata)
    _load_batch(metadata)
    _quarantine(metadata)
    _removed(metadata)
    _touched(metadata)
    _currency_alias(metadata)
    add_analytics_tables(metadata)
    return metadata


def _fact_table(metadata: sa.MetaData, feed: Feed[Record]) -> None:
    """The record's fields, then its first arrival.

    The arrival is NULL in an incident that `block` wrote before Kafka brought it. Its names differ
    from the partition's in bookkeeping because an incident has fields topic_id and part of its own.
    """
    fields = [
        sa.Column(
            field.name,
            _TEXT_C if field.name == "event_id" else _TYPE_OF_KIND[field.kind],
            primary_key=field.name in _key_names(feed),
            nullable=field.nullable,
        )
        for field in feed.fields
    ]
    table = sa.Table(
        feed.table,
        metadata,
        *fields,
        sa.Column("arrival_topic_id", sa.Uuid()),
        sa.Column("arrival_part", sa.Integer()),
        sa.Column("arrival_offset", sa.BigInteger()),
        sa.Column("ts_append", _TIME),
        schema=feed.schema,
        postgresql_partition_by=None if feed.partition_step is None else "RANGE (ts_event)",
    )
    for index in feed.indexes:
        _index(table, index)
    for projection in feed.projections:
        if (parts := projection.parts) is not None:
            # a state's parts are a view of the facts
            sa.Index(
                f"{feed.table}_{parts.name}",
                *(table.c[name] for name in projection.key_names),
                postgresql_where=table.c[parts.key_name].is_not(None),
            )
    # A btree, not BRIN: measured with 1 M quotes, a load pays for it less than noise (under 2 of 25
    # us a record), while an hour of 10,000 records is summed in 10-40 ms instead of 40-100 (BRIN
    # minmax_multi) or 100-1400 ms (minmax: partitions lie mixed in the heap); and it gives order.
    sa.Index(
        f"{feed.table}_arrival",
        table.c.arrival_topic_id,
        table.c.arrival_part,
        table.c.arrival_offset,
    )


STATE_FILLFACTOR = 70
"""Per cent of a page of states that inserts fill: a state that changes stays in its page, and no
index is written (a HOT update)."""


def _state_table(metadata: sa.MetaData, projection: Projection) -> None:
    fields = {field.name: field for field in projection.fields}
    table = sa.Table(
        projection.table,
        metadata,
        *(
            sa.Column(
                field.name,
                _TEXT_C if field.name in projection.key_names else _TYPE_OF_KIND[field.kind],
                nullable=field.nullable,
            )
            for field in fields.values()
        ),
        sa.PrimaryKeyConstraint(*projection.key_names),
        schema=projection.schema,
        postgresql_with={"fillfactor": STATE_FILLFACTOR},
    )
    for index in projection.indexes:
        _index(table, index)


def _key_names(feed: Feed[Record]) -> frozenset[str]:
    """A partitioned table's key must hold what it is partitioned by (0A000 otherwise)."""
    return frozenset({"event_id"} if feed.partition_step is None else {"event_id", "ts_event"})


def _index(table: sa.Table, index: Index) -> None:
    names = [field.removeprefix("-") for field in index.fields]
    columns = [
        table.c[name].desc() if field.startswith("-") else table.c[name]
        for name, field in zip(names, index.fields, strict=True)
    ]
    where = None if index.where is None else table.c[index.where]
    sa.Index(f"{table.name}_{'_'.join(names)}", *columns, postgresql_where=where)


def _partition_columns(*, primary_key: bool) -> list[sa.Column[object]]:
    return [
        sa.Column("topic_id", sa.Uuid(), primary_key=primary_key, nullable=False),
        sa.Column("part", sa.Integer(), primary_key=primary_key, nullable=False),
    ]


def _kafka_offset(metadata: sa.MetaData) -> None:
    sa.Table(
        "kafka_offset",
        metadata,
        sa.Column("sink", _TEXT_C, primary_key=True),
        *_partition_columns(primary_key=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("leader_epoch", sa.Integer()),
        sa.Column("max_ts_append", _TIME, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner_run_id", sa.Text()),
        sa.Column("backend_pid", sa.Integer()),
        sa.Column("backend_start", _TIME),
        sa.Column("claimed_at", _TIME),
        sa.Column("blocked_by", sa.Text()),
        sa.Column("updated_at", _TIME, nullable=False),
        schema="platform",
        comment="How far each partition is stored, and who may write it.",
    )


def _load_batch(metadata: sa.MetaData) -> None:
    table = sa.Table(
        "load_batch",
        metadata,
        # the partition leads, for the audit reads one partition at a time
        sa.Column("sink", _TEXT_C, primary_key=True),
        *_partition_columns(primary_key=True),
        sa.Column("hour", _TIME, primary_key=True),
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("kind", _TEXT_C, primary_key=True),
        sa.Column("run_id", _TEXT_C, primary_key=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("offsets", pg.INT8RANGE(), nullable=False),
        sa.Column("stored_records", sa.BigInteger(), nullable=False),
        sa.Column("stored_high", sa.Numeric(), nullable=False),
        sa.Column("stored_low", sa.Numeric(), nullable=False),
        sa.Column("repeated_records", sa.BigInteger(), nullable=False),
        sa.Column("quarantined_records", sa.BigInteger(), nullable=False),
        schema="platform",
        comment="Which offsets each run wrote, with count and hash sum of what was new.",
    )
    table.append_constraint(
        pg.ExcludeConstraint(
            (table.c.sink, "="),
            (table.c.topic_id, "="),
            (table.c.part, "="),
            (table.c.offsets, "&&"),
            name="load_batch_live_ranges_never_overlap",
            using="gist",
            where=sa.text("kind = 'live'"),
        )
    )


def _quarantine(metadata: sa.MetaData) -> None:
    sa.Table(
        "quarantine",
        metadata,
        *_partition_columns(primary_key=True),
        sa.Column("record_offset", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("ts_append", _TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text()),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("value", sa.LargeBinary()),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("quarantined_at", _TIME, nullable=False),
        sa.Column("note", sa.Text()),
        sa.CheckConstraint(
            "state IN ('open', 'released', 'discarded', 'truncated')",
            name="quarantine_state_is_known",
        ),
        schema="platform",
        comment="Kafka values this store refused, with the bytes as they came.",
    )


def _removed(metadata: sa.MetaData) -> None:
    sa.Table(
        "removed",
        metadata,
        sa.Column("sink", _TEXT_C, primary_key=True),
        *_partition_columns(primary_key=True),
        sa.Column("first_offset", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("run_id", _TEXT_C, primary_key=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("hour", _TIME, nullable=False),
        sa.Column("events_before", _TIME, nullable=False),
        sa.Column("removed_records", sa.BigInteger(), nullable=False),
        sa.Column("removed_high", sa.Numeric(), nullable=False),
        sa.Column("removed_low", sa.Numeric(), nullable=False),
        schema="platform",
        comment="What retention removed of each range of load_batch, with its hash sum.",
    )


def _touched(metadata: sa.MetaData) -> None:
    sa.Sequence("touched_version", schema="platform", metadata=metadata, data_type=sa.BigInteger())
    sa.Table(
        "touched",
        metadata,
        sa.Column("feed", _TEXT_C, primary_key=True),
        sa.Column("key", _TEXT_C, primary_key=True),
        sa.Column("event_hour", _TIME, primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
        schema="platform",
        comment="Which hours of event time changed since analytics last looked.",
    )


def _currency_alias(metadata: sa.MetaData) -> None:
    sa.Table(
        "currency_alias",
        metadata,
        sa.Column("source", _TEXT_C, primary_key=True),
        sa.Column("currency_id", _TEXT_C, primary_key=True),
        sa.Column("currency", sa.Text(), nullable=False),
        schema="market",
        comment="Unified codes by source and its own currency id, as the settings had them at the "
        "last start; what is unmapped is not here.",
    )

"""Documents as their readers see them: keys and BSON types, in order.

Here: what documents.py writes of a feed and of its states, and bookkeeping.py, claims.py and
retention.py beside it, in words; tests compare the two. Not here: the bytes.
"""

from collections.abc import Iterable, Mapping, Sequence

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.stores.contents import StoredColumn
from crypto_platform.stores.mongo.schema import KAFKA_OFFSET, LOAD_BATCH, QUARANTINE, REMOVED

_TYPE_OF_KIND = {
    FieldKind.TEXT: "string",
    FieldKind.AMOUNT: "decimal",
    FieldKind.AMOUNTS: "array of decimal",
    FieldKind.TEXTS: "array of string",
    FieldKind.INTEGER: "long",
    FieldKind.FLAG: "bool",
    FieldKind.BYTES: "binData",
}

_ARRIVAL = (
    StoredColumn("arrival_topic_id", "string", nullable=True, field=None),
    StoredColumn("arrival_part", "long", nullable=True, field=None),
    StoredColumn("arrival_offset", "long", nullable=True, field=None),
    StoredColumn("ts_append_us", "long", nullable=True, field=None),
    StoredColumn("ts_append", "date", nullable=True, field=None),
)


def describe_columns(feed: Feed[Record]) -> list[StoredColumn]:
    """The keys of a feed's documents; a time is a date (milliseconds) and a long beside it."""
    return [*describe_fields(feed.fields), *_ARRIVAL]


def describe_fields(fields: Iterable[Field]) -> list[StoredColumn]:
    """The keys of documents with these fields."""
    return [column for field in fields for column in _describe(field)]


def _describe(field: Field) -> list[StoredColumn]:
    if field.kind is FieldKind.TIME_US:
        return [
            StoredColumn(f"{field.name}_us", "long", field.nullable, field.name),
            StoredColumn(field.name, "date", field.nullable, field.name),
        ]
    name = "_id" if field.name == "event_id" else field.name
    return [StoredColumn(name, _TYPE_OF_KIND[field.kind], field.nullable, field.name)]


def _of_kind(kind: str, *names: str, nullable: bool = False) -> list[StoredColumn]:
    return [StoredColumn(name, kind, nullable, name.rpartition(".")[2]) for name in names]


def _time(name: str, *, nullable: bool = False) -> list[StoredColumn]:
    return [
        StoredColumn(f"{name}_us", "long", nullable, name),
        StoredColumn(name, "date", nullable, name),
    ]


_ID = StoredColumn("_id", "objectId", nullable=False, field=None)

BOOKKEEPING: Mapping[str, Sequence[StoredColumn]] = {
    KAFKA_OFFSET: [
        *_of_kind("string", "_id.sink", "_id.topic_id"),
        *_of_kind("int", "_id.part"),
        *_of_kind("string", "topic"),
        *_of_kind("long", "next_offset"),
        *_of_kind("int", "leader_epoch", nullable=True),
        *_time("max_ts_append"),
        *_of_kind("long", "epoch"),
        *_of_kind("string", "owner_run_id"),
        *_of_kind("binData", "lsid"),
        *_of_kind("long", "commit_count"),
        *_time("claimed_at"),
        *_of_kind("string", "blocked_by", nullable=True),
        *_time("updated_at"),
    ],
    LOAD_BATCH: [
        _ID,
        *_of_kind("string", "topic_id"),
        *_of_kind("long", "part"),
        *_of_kind("string", "topic"),
        *_time("hour"),
        *_of_kind("long", "epoch"),
        *_of_kind("string", "kind", "run_id"),
        *_of_kind("long", "first_offset", "next_offset"),
        *_of_kind("long", "stored_records", "stored_high", "stored_low"),
        *_of_kind("long", "repeated_records", "quarantined_records"),
    ],
    QUARANTINE: [
        StoredColumn("_id", "string", nullable=False, field=None),
        *_of_kind("string", "topic_id"),
        *_of_kind("long", "part", "record_offset"),
        *_of_kind("string", "topic", "feed"),
        *_time("ts_append"),
        *_of_kind("string", "reason", "error"),
        *_of_kind("string", "event_id", nullable=True),
        *_of_kind("binData", "key", "value", nullable=True),
        *_of_kind("string", "run_id", "state"),
        *_time("quarantined_at"),
        *_of_kind("string", "note", nullable=True),
        *_time("released_at", nullable=True),
        *_of_kind("string", "released_by_run_id", nullable=True),
    ],
    REMOVED: [
        _ID,
        *_of_kind("string", "topic_id"),
        *_of_kind("long", "part", "first_offset"),
        *_of_kind("string", "run_id", "topic"),
        *_time("hour"),
        *_time("events_before"),
        *_of_kind("long", "removed_records", "removed_high", "removed_low"),
    ],
}
"""The platform's own collections. `field` names the meaning (stores/meaning.py), None an id that
says nothing of its own; a nullable key may be missing. The order says nothing."""

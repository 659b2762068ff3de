"""A feed's documents as their readers see them: keys and BSON types, in order.

Here: what documents.py writes, in words; a test compares the two. Not here: the bytes.
"""

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.stores.contents import StoredColumn

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
    return [column for field in feed.fields for column in _describe(field)] + list(_ARRIVAL)


def _describe(field: Field) -> list[StoredColumn]:
    if field.kind is FieldKind.TIME_US:
        return [
            StoredColumn(f"{field.name}_us", "long", field.nullable, field.name),
            StoredColumn(field.name, "date", field.nullable, field.name),
        ]
    name = "_id" if field.name == "event_id" else field.name
    return [StoredColumn(name, _TYPE_OF_KIND[field.kind], field.nullable, field.name)]

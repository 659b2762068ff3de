"""A feed's table as its readers see it: column names and PostgreSQL's types, in order.

Here: what tables.py says, in words; a test compares the two. Not here: the tables themselves, whose
library no load has to wait for.
"""

from collections.abc import Mapping
from typing import LiteralString

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.stores.contents import StoredColumn

TYPE_OF_KIND: Mapping[FieldKind, LiteralString] = {
    FieldKind.TEXT: "text",
    FieldKind.AMOUNT: "numeric",
    FieldKind.AMOUNTS: "numeric[]",
    FieldKind.TEXTS: "text[]",
    FieldKind.TIME_US: "timestamp with time zone",
    FieldKind.INTEGER: "bigint",
    FieldKind.FLAG: "boolean",
    FieldKind.BYTES: "bytea",
}

_ARRIVAL = (
    StoredColumn("arrival_topic_id", "uuid", nullable=True, field=None),
    StoredColumn("arrival_part", "integer", nullable=True, field=None),
    StoredColumn("arrival_offset", "bigint", nullable=True, field=None),
    StoredColumn("ts_append", "timestamp with time zone", nullable=True, field=None),
)


def describe_columns(feed: Feed[Record]) -> list[StoredColumn]:
    """The columns of a feed's table, in order."""
    own = [
        StoredColumn(field.name, TYPE_OF_KIND[field.kind], field.nullable, field.name)
        for field in feed.fields
    ]
    return [*own, *_ARRIVAL]

"""What a store says of its columns is what its tables and documents really hold."""

from typing import Any

import bson
import pytest
from sqlalchemy.dialects import postgresql

from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.codec import to_columns
from crypto_platform.stores import STORES
from crypto_platform.stores.mongo.documents import ArrivalEncoder, Documents
from crypto_platform.stores.postgres.tables import build_metadata
from tests.feed_samples import build_record
from tests.store_steps import NOON, TOPIC_ID

BSON_TYPES = {
    str: "string",
    bson.Int64: "long",
    bson.Decimal128: "decimal",
    bool: "bool",
    bytes: "binData",
}


def bson_type(value: object) -> str:
    """As columns say it."""
    if isinstance(value, list):
        return f"array of {BSON_TYPES[type(value[0])]}"
    return BSON_TYPES[type(value)]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_the_lineage_shows_postgresqls_own_columns(feed: Feed[Record]) -> None:
    """A schema in the UI that is not the table's sends analysts to columns that do not exist."""
    table = build_metadata([feed]).tables[f"{feed.schema}.{feed.table}"]
    real = [
        (c.name, c.type.compile(postgresql.dialect()).split(" COLLATE")[0].lower(), c.nullable)
        for c in table.columns
    ]
    assert [column[:3] for column in STORES["postgres"].columns_of(feed)] == real


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_the_lineage_shows_mongodbs_own_keys(feed: Feed[Record]) -> None:
    """The same, for documents."""
    arrivals = ArrivalEncoder(TOPIC_ID, 0).encode([1], [NOON])
    [body] = Documents(feed).encode(to_columns([build_record(feed)]), arrivals)
    document: dict[str, Any] = bson.decode(body)
    columns = STORES["mongo"].columns_of(feed)
    assert [column.name for column in columns] == list(document)
    kinds = {column.name: column.kind for column in columns}
    for name, value in document.items():
        if value is not None and not name.startswith("ts_"):
            assert bson_type(value) == kinds[name], name

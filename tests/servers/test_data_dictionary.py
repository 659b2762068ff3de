"""The data dictionary against real stores: what stands in them stands in it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

import psycopg
from bson import Binary, Int64, ObjectId

from crypto_platform.errors import Reason
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.stores.mongo.columns import BOOKKEEPING
from crypto_platform.stores.slices import Arrival, Refusal, Slice, build_arrivals
from docs.reference import FOLDER
from tests.feed_samples import build_record
from tests.mongo_harness import MongoDatabase
from tests.mongo_writer import PARTITION
from tests.store_harness import PostgresUrls

PAGE = (FOLDER / "data.md").read_text("utf-8")
BSON_TYPES: Mapping[type, str] = {
    str: "string",
    int: "int",
    Int64: "long",
    datetime: "date",
    bytes: "binData",
    Binary: "binData",
    ObjectId: "objectId",
}
COLUMNS = """
SELECT format('%s.%s', n.nspname, c.relname), c.relkind = 'v', a.attname
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname IN ('accounts', 'analytics', 'market', 'platform')
  AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
"""


def sections() -> Mapping[str, str]:
    """By heading, and by the table that a section says it is of."""
    found = re.findall(r"^##+ (.*?)\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    own = {table: text for _, text in found for table in re.findall(r"PostgreSQL: `(.*?)`", text)}
    return own | {heading: text for heading, text in found if heading not in own}


def test_every_relation_of_postgresql_is_there_with_its_columns(
    postgres_urls: PostgresUrls,
) -> None:
    """What a revision added by hand is in no list of ours."""
    told = sections()
    with psycopg.connect(postgres_urls.admin) as connection:
        rows = connection.execute(COLUMNS).fetchall()
    assert len({name for name, _, _ in rows}) > 30
    for name, is_view, column in rows:
        assert name in told, f"{name} is not in docs/reference/data.md"
        if is_view:
            assert re.search(rf"\b{column}\b|SELECT \*", told[name]), f"{name}.{column}"
        elif name != "platform.alembic_version":
            assert f"| `{column}` |" in told[name], f"{name}.{column}"


def test_every_collection_of_mongodb_is_there(mongo: MongoDatabase) -> None:
    """Views too: people's tools list them beside the collections."""
    own = {feed.collection for feed in FEEDS} | set(BOOKKEEPING)
    own |= {projection.collection for feed in FEEDS for projection in feed.projections}
    with mongo.client() as database:
        found = set(database.list_collection_names()) - {"system.views"}
    assert found == own | {"fills", "transactions"}
    for name in found:
        assert f"MongoDB: `{name}`" in PAGE or f"\n### {name}\n" in PAGE


def test_bookkeeping_in_mongodb_has_the_keys_that_are_told(mongo: MongoDatabase) -> None:
    """Nothing declares them but the statements that write them."""
    store = mongo.open()
    [claim] = store.claim([(ORDER_BOOKS, ORDER_BOOKS.topic, PARTITION)], run_id="run")
    book = build_record(ORDER_BOOKS)
    refusal = Refusal(0, 1, Reason.INVARIANT, "too odd", b"key", b"{}")

    def slice_of(*arrivals: Arrival, refusals: tuple[Refusal, ...] = ()) -> Slice:
        return Slice(
            claim=claim,
            hour=0,
            first_offset=0,
            next_offset=1,
            max_ts_append=1,
            leader_epoch=5,
            arrivals=build_arrivals(list(arrivals), feed=ORDER_BOOKS),
            refusals=refusals,
        )

    store.commit([slice_of(refusals=(refusal,))], run_id="run")
    store.commit_replay([slice_of(Arrival(book, 0, 1))], run_id="replay")
    assert store.remove_before(ORDER_BOOKS, 4_000_000_000_000_000, run_id="removal") == 1
    with mongo.client() as database:
        for name, columns in BOOKKEEPING.items():
            documents = list(database[name].find())
            assert documents, name
            found = {key: kind for each in documents for key, kind in list_keys(each)}
            told = {column.name: column.kind for column in columns}
            may_be_none = {column.name for column in columns if column.nullable}
            assert {key for key, kind in found.items() if kind == "null"} <= may_be_none
            known = {key: kind for key, kind in found.items() if kind != "null"}
            assert known == {key: told.get(key) for key in known}
            assert set(told) - set(found) == set()


def list_keys(document: Mapping[str, object], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from list_keys(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", "null" if value is None else BSON_TYPES[type(value)]

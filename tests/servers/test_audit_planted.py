"""Faults planted by hand in real stores, each found and named by the audit.

Each test loads five quotes of bitcoin (offsets 0 to 4 of one partition) into both stores, spoils
one thing as somebody with a password could, and reads what is found. What the fast way finds is
audited by the fast way; where a test goes deep, it first shows that only the deep way finds it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import msgspec
import psycopg
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.database import Database

from crypto_platform.delivery.audit import audit
from crypto_platform.delivery.audit_report import Listing
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.stores import STORES
from crypto_platform.stores.batches import BatchKind
from tests.platform_harness import Platform
from tests.store_steps import contradict, quote

KEY = "simulated:bitcoin"

Found = tuple[str, str, int, str | None]
"""Store, kind of fault, how many, id of the first."""


@pytest.fixture
def quotes(platform: Platform) -> list[Quote]:
    """Five quotes, loaded into both stores."""
    published = [quote(number) for number in range(5)]
    platform.publish(QUOTES, published)
    platform.load_both()
    return published


def spoil_postgres(platform: Platform, *statements: str) -> None:
    """Run SQL as the superuser; the last statement must hit one row."""
    url = platform.servers.postgres_admin_url.rpartition("/")[0] + f"/{platform.name}"
    with psycopg.connect(url, autocommit=True) as connection:
        rows = [connection.execute(statement.encode()).rowcount for statement in statements]
    assert rows[-1] == 1


@contextmanager
def mongo_of(platform: Platform) -> Iterator[Database[dict[str, Any]]]:
    """The database as its superuser has it."""
    client: MongoClient[dict[str, Any]] = MongoClient(platform.servers.mongo_admin_url)
    with client:
        yield client[platform.name]


def spoil_mongo(
    platform: Platform, collection: str, query: dict[str, Any], change: dict[str, Any]
) -> None:
    """Change one document, validator or not."""
    with mongo_of(platform) as database:
        update = {"q": query, "u": change}
        answer = database.command(
            "update", collection, updates=[update], bypassDocumentValidation=True
        )
    assert answer["nModified"] == 1


def find(platform: Platform, *, deep: bool = False) -> list[Found]:
    """What an audit finds."""
    return sorted(
        (found.store, found.kind.value, found.records, found.examples[0].event_id)
        for found in platform.audit(deep=deep).findings
    )


def find_by_deep_alone(platform: Platform) -> list[Found]:
    """What the deep audit finds; the fast one finds nothing."""
    assert find(platform) == []
    return find(platform, deep=True)


def detail_of(platform: Platform, *, deep: bool = False) -> str:
    """What an audit says of the only record that it finds wrong."""
    [found] = platform.audit(deep=deep).findings
    [example] = found.examples
    return example.detail


# Rows


def test_a_row_deleted_from_postgres_is_missing(platform: Platform, quotes: list[Quote]) -> None:
    """The one thing that must never happen."""
    lost = quotes[3].event_id
    spoil_postgres(platform, f"DELETE FROM market.quote WHERE event_id = '{lost}'")
    assert find(platform) == [("postgres", "missing", 1, lost)]


def test_a_document_deleted_from_mongo_is_missing(platform: Platform, quotes: list[Quote]) -> None:
    """Nor there."""
    lost = quotes[3].event_id
    with mongo_of(platform) as database:
        assert database["quotes"].delete_one({"_id": lost}).deleted_count == 1
    assert find(platform) == [("mongo", "missing", 1, lost)]


def test_a_digit_changed_together_with_its_hash_is_changed(
    platform: Platform, quotes: list[Quote]
) -> None:
    """Whoever knows how the hash is made can make a row that agrees with itself, not with Kafka."""
    changed = quotes[2]
    other = quote(2, price="1.6").content_hash
    spoil_postgres(
        platform,
        f"UPDATE market.quote SET price = 1.6, content_hash = {other} "
        f"WHERE event_id = '{changed.event_id}'",
    )
    spoil_mongo(
        platform,
        "quotes",
        {"_id": changed.event_id},
        {"$set": {"price": Decimal128("1.6"), "content_hash": Int64(other)}},
    )
    assert find(platform) == [
        ("mongo", "changed", 1, changed.event_id),
        ("postgres", "changed", 1, changed.event_id),
    ]


def test_a_digit_changed_beside_its_hash_is_found_by_the_deep_audit_alone(
    platform: Platform, quotes: list[Quote]
) -> None:
    """Sums look at hashes; somebody has to look at what they stand for."""
    changed = quotes[2].event_id
    spoil_postgres(platform, f"UPDATE market.quote SET price = 1.6 WHERE event_id = '{changed}'")
    spoil_mongo(platform, "quotes", {"_id": changed}, {"$set": {"price": Decimal128("1.6")}})
    assert find_by_deep_alone(platform) == [
        ("mongo", "columns_changed", 1, changed),
        ("postgres", "columns_changed", 1, changed),
    ]


def test_a_digit_added_behind_the_point_is_found_by_the_deep_audit_alone(
    platform: Platform, quotes: list[Quote]
) -> None:
    """1.5 and 1.50 are equal numbers, and not what the source said."""
    changed = quotes[2].event_id
    spoil_postgres(platform, f"UPDATE market.quote SET price = 1.50 WHERE event_id = '{changed}'")
    spoil_mongo(platform, "quotes", {"_id": changed}, {"$set": {"price": Decimal128("1.50")}})
    assert find_by_deep_alone(platform) == [
        ("mongo", "columns_changed", 1, changed),
        ("postgres", "columns_changed", 1, changed),
    ]


def test_a_row_that_stands_twice_is_named_twice(platform: Platform, quotes: list[Quote]) -> None:
    """A dropped key and one INSERT double a volume."""
    doubled = quotes[1].event_id
    spoil_postgres(
        platform,
        "ALTER TABLE market.quote DROP CONSTRAINT quote_pkey",
        f"INSERT INTO market.quote SELECT * FROM market.quote WHERE event_id = '{doubled}'",
    )
    assert find(platform) == [("postgres", "twice", 1, doubled)]


def test_a_document_under_another_id_with_the_same_arrival_is_named_twice(
    platform: Platform, quotes: list[Quote]
) -> None:
    """The unique _id does not forbid it: only the arrival tells that both are one record."""
    with mongo_of(platform) as database:
        document = database["quotes"].find_one({"_id": quotes[1].event_id})
        assert document is not None
        database["quotes"].insert_one(document | {"_id": "another"})
    assert find(platform) == [("mongo", "twice", 1, "another")]
    assert quotes[1].event_id in detail_of(platform)


def test_one_id_in_two_rows_at_two_true_arrivals_is_found_by_the_deep_audit(
    platform: Platform, quotes: list[Quote]
) -> None:
    """Kafka has the id twice, and so has the table: no sum of any hour differs."""
    doubled = quotes[1].event_id
    platform.publish(QUOTES, [quote(99), quotes[1]])
    platform.load_both()
    spoil_postgres(
        platform,
        "ALTER TABLE market.quote DROP CONSTRAINT quote_pkey",
        f"CREATE TEMP TABLE again AS SELECT * FROM market.quote WHERE event_id = '{doubled}'",
        # behind five quotes and the marker of their transaction, and another quote
        "UPDATE again SET arrival_offset = 7",
        "INSERT INTO market.quote SELECT * FROM again",
    )
    assert find(platform, deep=True) == [("postgres", "twice", 2, doubled)]


def test_a_row_under_another_time_is_found_by_the_deep_audit_alone(
    platform: Platform, quotes: list[Quote]
) -> None:
    """A microsecond later it is another fact, and in a table by time another partition."""
    moved = quotes[0].event_id
    spoil_postgres(
        platform,
        "UPDATE market.quote SET ts_event = ts_event + interval '1 microsecond' "
        f"WHERE event_id = '{moved}'",
    )
    spoil_mongo(platform, "quotes", {"_id": moved}, {"$inc": {"ts_event_us": Int64(1)}})
    assert find_by_deep_alone(platform) == [
        ("mongo", "columns_changed", 1, moved),
        ("postgres", "columns_changed", 1, moved),
    ]


def test_a_row_that_names_no_arrival_is_extra(platform: Platform, quotes: list[Quote]) -> None:
    """It is in no range of any partition, so no sum could ever miss it."""
    spoil_postgres(
        platform,
        "CREATE TEMP TABLE stray AS SELECT * FROM market.quote "
        f"WHERE event_id = '{quotes[0].event_id}'",
        "UPDATE stray SET event_id = 'stray', arrival_topic_id = NULL",
        "INSERT INTO market.quote SELECT * FROM stray",
    )
    with mongo_of(platform) as database:
        document = database["quotes"].find_one({"_id": quotes[0].event_id})
        assert document is not None
        database["quotes"].insert_one(document | {"_id": "stray", "arrival_topic_id": "nowhere"})
    assert find(platform) == [("mongo", "extra", 1, "stray"), ("postgres", "extra", 1, "stray")]


# Types of MongoDB, where a column has no type of its own


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"price": 1.5}, "price is a double (1.5), not a decimal"),
        ({"price": "1.5"}, "price is a string (1.5), not a decimal"),
        ({"source": 5}, "source is a int (5), not a string"),
        ({"ts_ingest_us": 1.0}, "ts_ingest_us is a double (1.0), not a long"),
        ({"ts_event": "today"}, "ts_event is a string (today), not a date"),
        ({"quote_currency": None}, "quote_currency is null"),
    ],
)
def test_a_value_of_a_wrong_type_is_found_by_the_deep_audit_alone(
    platform: Platform, quotes: list[Quote], change: dict[str, Any], problem: str
) -> None:
    """A float where a Decimal128 belongs looks right until somebody adds up a million of them."""
    changed = quotes[4].event_id
    spoil_mongo(platform, "quotes", {"_id": changed}, {"$set": change})
    assert find_by_deep_alone(platform) == [("mongo", "columns_changed", 1, changed)]
    assert detail_of(platform, deep=True) == problem


def test_a_date_beside_other_microseconds_is_found_by_the_deep_audit_alone(
    platform: Platform, quotes: list[Quote]
) -> None:
    """People query the date, the proof is over the microseconds: they must say one time."""
    changed = quotes[4].event_id
    wrong = datetime(2020, 1, 1, tzinfo=UTC)
    spoil_mongo(platform, "quotes", {"_id": changed}, {"$set": {"ts_ingest": wrong}})
    assert find_by_deep_alone(platform) == [("mongo", "columns_changed", 1, changed)]
    assert detail_of(platform, deep=True).startswith("ts_ingest says 1577836800000 ms since 1970")


def test_a_hash_of_a_wrong_type_is_changed(platform: Platform, quotes: list[Quote]) -> None:
    """A sum cannot take it, and must not end in an error either."""
    changed = quotes[0].event_id
    spoil_mongo(platform, "quotes", {"_id": changed}, {"$set": {"content_hash": "1"}})
    assert find(platform) == [("mongo", "changed", 1, changed)]


# Quarantine


@pytest.mark.parametrize(
    "poison",
    [b"{poison", encode(quote(9)).replace(b'"price":"1.5"', b'"price":"NaN"')],
    ids=["no JSON", "an amount that is none"],
)
def test_poison_whose_entry_was_removed_is_not_quarantined(
    platform: Platform, quotes: list[Quote], poison: bytes
) -> None:
    """Nobody misses a value that nobody could read, unless somebody looks at Kafka."""
    platform.publish_raw([(QUOTES, KEY, poison)])
    platform.load_both()
    assert find(platform) == []
    spoil_postgres(platform, "DELETE FROM platform.quarantine")
    with mongo_of(platform) as database:
        assert database["quarantine"].delete_many({}).deleted_count == 1
    assert find(platform) == [(store, "not_quarantined", 1, None) for store in sorted(STORES)]


def test_a_conflict_whose_entry_was_removed_is_not_quarantined(
    platform: Platform, quotes: list[Quote]
) -> None:
    """The second content of an id is in no row: without its entry it is nowhere."""
    platform.publish(QUOTES, [contradict(quotes[2])])
    platform.load_both()
    assert find(platform) == []
    spoil_postgres(platform, "DELETE FROM platform.quarantine")
    with mongo_of(platform) as database:
        assert database["quarantine"].delete_many({}).deleted_count == 1
    assert find(platform) == [
        (store, "not_quarantined", 1, quotes[2].event_id) for store in sorted(STORES)
    ]


def test_an_entry_with_other_bytes_than_kafka_is_named(
    platform: Platform, quotes: list[Quote]
) -> None:
    """The bytes are all that is left of what the source said."""
    platform.publish_raw([(QUOTES, KEY, b"{poison")])
    platform.load_both()
    spoil_postgres(platform, r"UPDATE platform.quarantine SET value = '\x00'")
    spoil_mongo(platform, "quarantine", {}, {"$set": {"value": b"\0"}})
    assert find(platform) == [(store, "unfounded_quarantine", 1, None) for store in sorted(STORES)]


# load_batch


def set_live_range(platform: Platform, first_offset: int) -> None:
    """Let the five quotes' live range begin later."""
    spoil_postgres(
        platform,
        f"UPDATE platform.load_batch SET offsets = int8range({first_offset}, upper(offsets)) "
        "WHERE stored_records = 5",
    )
    spoil_mongo(
        platform,
        "load_batch",
        {"stored_records": 5},
        {"$set": {"first_offset": Int64(first_offset)}},
    )


def test_a_hole_in_load_batch_is_named(platform: Platform, quotes: list[Quote]) -> None:
    """Two days later load_batch is the only witness."""
    set_live_range(platform, 2)
    assert find(platform) == [(store, "hole", 1, None) for store in sorted(STORES)]


def test_an_overlap_in_mongos_load_batch_is_named(platform: Platform, quotes: list[Quote]) -> None:
    """PostgreSQL has a constraint against it, MongoDB has nobody but the audit."""
    with mongo_of(platform) as database:
        row = database["load_batch"].find_one({"stored_records": 5})
        assert row is not None
        del row["_id"]
        zero = {"stored_records": 0, "stored_high": 0, "stored_low": 0}
        database["load_batch"].insert_one(row | {k: Int64(v) for k, v in zero.items()})
    assert find(platform) == [("mongo", "overlap", 1, None)]


def test_a_range_that_a_person_called_lost_is_no_hole(
    platform: Platform, quotes: list[Quote]
) -> None:
    """Both stores know the kind, and the audit names the range as lost."""
    set_live_range(platform, 2)
    kind = BatchKind.LOST.value
    spoil_postgres(
        platform,
        "CREATE TEMP TABLE lost AS SELECT * FROM platform.load_batch WHERE stored_records = 5",
        f"UPDATE lost SET kind = '{kind}', offsets = int8range(0, 2), stored_records = 0, "
        "stored_high = 0, stored_low = 0",
        "INSERT INTO platform.load_batch SELECT * FROM lost",
    )
    with mongo_of(platform) as database:
        row = database["load_batch"].find_one({"stored_records": 5})
        assert row is not None
        del row["_id"]
        zero = {"stored_records": 0, "stored_high": 0, "stored_low": 0, "first_offset": 0}
        numbers = {name: Int64(value) for name, value in (zero | {"next_offset": 2}).items()}
        database["load_batch"].insert_one(row | numbers | {"kind": kind})
    report = platform.audit(deep=False)
    assert sorted((lost.store, lost.first_offset, lost.next_offset) for lost in report.lost) == [
        ("mongo", 0, 2),
        ("postgres", 0, 2),
    ]
    assert "hole" not in {found.kind.value for found in report.findings}


# The list


def read_lines(lines: bytes) -> Sequence[dict[str, Any]]:
    """The list that `--list` writes."""
    return [msgspec.json.decode(line) for line in lines.splitlines()]


def test_the_list_names_every_record_where_the_report_names_some(platform: Platform) -> None:
    """Who repairs needs all the ids, and a terminal cannot hold them."""
    published = [quote(number) for number in range(50)]
    platform.publish(QUOTES, published)
    platform.load_both()
    spoil_postgres(
        platform, "WITH gone AS (DELETE FROM market.quote RETURNING 1) SELECT count(*) FROM gone"
    )
    file = BytesIO()
    stores = {name: platform.store(name, role="analyst") for name in STORES}
    report = audit(platform.settings, stores, FEEDS, listing=Listing(file))
    [found] = report.findings
    assert (found.records, len(found.examples)) == (50, 20)
    lines = read_lines(file.getvalue())
    assert {line["event_id"] for line in lines} == {each.event_id for each in published}
    assert {(line["store"], line["kind"]) for line in lines} == {("postgres", "missing")}

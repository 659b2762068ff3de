"""What the audit reads, always what a majority has.

Here: queries and their answers as values. Not here: bookkeeping (bookkeeping.py, claims.py), what
people read of the market (markets.py).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from bson.int64 import Int64
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredRecord
from crypto_platform.stores.mongo.connection import Connection, Document
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.sums import Sum

T = TypeVar("T")

_HALF = 2**32
PROOF = {
    "content_hash": 1,
    "arrival_topic_id": 1,
    "arrival_part": 1,
    "arrival_offset": 1,
}
_HASH_IS_LONG = {"content_hash": {"$type": "long"}}
_HASH_UNKNOWN = 0
"""No record has it."""


def read_records(
    connection: Connection, feed: Feed[Record], event_ids: Sequence[str]
) -> list[StoredRecord]:
    """The stored records among these ids; an incident without arrival has topic_id "" and -1."""
    found = connection.collection(feed.collection).find({"_id": {"$in": list(event_ids)}}, PROOF)
    return [parse_stored(document) for document in found]


def sum_range(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
    *,
    session: ClientSession | None = None,
) -> Sum:
    """Count and hash sum of the records whose first arrival lies in the range."""
    return _sum(connection, feed, of_range(partition, first_offset, next_offset), session)


def sum_all(
    connection: Connection, feed: Feed[Record], *, session: ClientSession | None = None
) -> Sum:
    """Count and hash sum of all records of a feed."""
    return _sum(connection, feed, {}, session)


def _sum(
    connection: Connection,
    feed: Feed[Record],
    query: Mapping[str, Any],
    session: ClientSession | None,
) -> Sum:
    # MongoDB 6.0 has no $bitAnd, and sums of whole hashes would turn into doubles. $mod of a long
    # is a long with the dividend's sign; made unsigned, it is the low half, and what the exact
    # total (a Decimal128 holds 34 digits) leaves is the high one. One $group, for each stage before
    # it builds every document anew: measured 3 us a record, with three stages 7 to 9.
    rest = {"$mod": ["$content_hash", _HALF]}
    collection = connection.collection(feed.collection)
    if session is not None:  # which brings a read concern of its own
        collection = collection.with_options(read_concern=ReadConcern())
    found = collection.aggregate(
        [
            # another type cannot be summed, and so makes the sums differ
            {"$match": {**query, **_HASH_IS_LONG}},
            {
                "$group": {
                    "_id": None,
                    "count": {"$sum": 1},
                    "negative": {"$sum": {"$cond": [{"$lt": ["$content_hash", 0]}, 1, 0]}},
                    "negative_rests": {"$sum": {"$cond": [{"$lt": [rest, 0]}, 1, 0]}},
                    "rests": {"$sum": rest},
                    "total": {"$sum": {"$toDecimal": "$content_hash"}},
                }
            },
        ],
        session=session,
    )
    for document in found:
        unsigned = int(document["total"].to_decimal()) + int(document["negative"]) * _HALF**2
        low = int(document["rests"]) + int(document["negative_rests"]) * _HALF
        return Sum(int(document["count"]), (unsigned - low) // _HALF, low)
    return Sum(0, 0, 0)


def count_events(
    connection: Connection,
    feed: Feed[Record],
    *,
    where: Mapping[str, str],
    start_us: int,
    end_us: int,
) -> int:
    """See Store.count_events."""
    times = {"ts_event_us": {"$gte": Int64(start_us), "$lt": Int64(end_us)}}
    return connection.collection(feed.collection).count_documents({**where, **times})


def read_range(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
) -> Iterator[StoredRecord]:
    """See Store.read_range."""
    query = of_range(partition, first_offset, next_offset)
    found = connection.collection(feed.collection).find(query, PROOF).sort("arrival_offset", 1)
    return sort_equal_offsets(map(parse_stored, found), lambda row: row)


def sort_equal_offsets(rows: Iterable[T], record_of: Callable[[T], StoredRecord]) -> Iterator[T]:
    """Rows in order of offset, those of one offset by id: the index by arrival has no ids."""
    for _, group in groupby(rows, key=lambda row: record_of(row).offset):
        yield from sorted(group, key=lambda row: record_of(row).event_id)


def read_strays(
    connection: Connection, feed: Feed[Record], known: Collection[TopicPart]
) -> Iterator[StoredRecord]:
    """The records that arrived in none of these partitions.

    Each distinct is a walk from key to key of the index by arrival, whatever the collection holds.
    """
    collection = connection.collection(feed.collection)
    for topic_id in collection.distinct("arrival_topic_id"):
        if topic_id is None and feed.owned_by_platform:
            continue
        own: dict[str, Any] = {"arrival_topic_id": topic_id}
        for part in collection.distinct("arrival_part", own):
            if (topic_id, part) not in known:
                found = collection.find(own | {"arrival_part": part}, PROOF)
                yield from map(parse_stored, found)


def read_facts(
    connection: Connection, feed: Feed[Record], event_ids: Sequence[str]
) -> list[Record]:
    """The whole records among these ids."""
    found = connection.collection(feed.collection).find({"_id": {"$in": list(event_ids)}})
    documents = documents_of(feed)
    return [documents.decode(document) for document in found]


def of_range(partition: TopicPart, first_offset: int, next_offset: int) -> dict[str, Any]:
    """The query for what first arrived in a range."""
    return {
        "arrival_topic_id": partition.topic_id,
        "arrival_part": partition.part,
        "arrival_offset": {"$gte": first_offset, "$lt": next_offset},
    }


def parse_stored(document: Document) -> StoredRecord:
    """What of a document says which record it is and where it came from."""
    part, offset = document.get("arrival_part"), document.get("arrival_offset")
    content_hash = document.get("content_hash")
    return StoredRecord(
        event_id=str(document["_id"]),
        content_hash=int(content_hash) if isinstance(content_hash, Int64) else _HASH_UNKNOWN,
        topic_id=document.get("arrival_topic_id") or "",
        part=-1 if part is None else int(part),
        offset=-1 if offset is None else int(offset),
    )

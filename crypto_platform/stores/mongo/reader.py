"""What the audit and people read, always what a majority has.

Here: queries and their answers as values. Not here: bookkeeping (bookkeeping.py, claims.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores.base import StoredRecord, Sum, TopicPart
from crypto_platform.stores.mongo.connection import Connection, Document
from crypto_platform.stores.mongo.pieces import documents_of

_HALF = 2**32
_PROOF = {
    "content_hash": 1,
    "arrival_topic_id": 1,
    "arrival_part": 1,
    "arrival_offset": 1,
}
_RANK_UNKNOWN = 2**62


def read_records(
    connection: Connection, feed: Feed[Record], event_ids: Sequence[str]
) -> list[StoredRecord]:
    """The stored records among these ids; an incident without arrival has topic_id "" and -1."""
    found = connection.collection(feed.collection).find({"_id": {"$in": list(event_ids)}}, _PROOF)
    return [_parse_stored(document) for document in found]


def sum_range(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
) -> Sum:
    """Count and hash sum of the records whose first arrival lies in the range."""
    found = connection.collection(feed.collection).aggregate(
        [
            {"$match": _of_range(partition, first_offset, next_offset)},
            {"$project": {"_id": 0, "content_hash": 1}},
            # Sums of whole hashes would turn into doubles. MongoDB 6.0 has no $bitAnd; $mod of a
            # long is a long with the dividend's sign, and the quotient, 32 bits wide, is exact as
            # the double that $divide gives.
            {"$set": {"rest": {"$mod": ["$content_hash", _HALF]}}},
            {"$set": {"low": _add_if_negative("$rest")}},
            {"$set": {"quotient": {"$divide": [{"$subtract": ["$content_hash", "$low"]}, _HALF]}}},
            {"$set": {"high": _add_if_negative({"$toLong": "$quotient"})}},
            {
                "$group": {
                    "_id": None,
                    "count": {"$sum": 1},
                    "high": {"$sum": "$high"},
                    "low": {"$sum": "$low"},
                }
            },
        ]
    )
    for document in found:
        return Sum(int(document["count"]), int(document["high"]), int(document["low"]))
    return Sum(0, 0, 0)


def read_range(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
) -> Iterator[StoredRecord]:
    """The records whose first arrival lies in the range, in order of offset."""
    query = _of_range(partition, first_offset, next_offset)
    found = connection.collection(feed.collection).find(query, _PROOF).sort("arrival_offset", 1)
    return (_parse_stored(document) for document in found)


def read_facts(
    connection: Connection, feed: Feed[Record], event_ids: Sequence[str]
) -> list[Record]:
    """The whole records among these ids."""
    found = connection.collection(feed.collection).find({"_id": {"$in": list(event_ids)}})
    documents = documents_of(feed)
    return [documents.decode(document) for document in found]


def read_latest_quotes(
    connection: Connection, currency_ids: Sequence[str], *, records_max: int
) -> list[Record]:
    """The newest quote per source and currency, best rank first, unknown ranks last."""
    collection = connection.collection(QUOTES.collection)
    found: list[Document] = []
    # a source at a time, for then the index alone finds the newest of each currency
    for source in collection.distinct("source"):
        found += collection.aggregate(build_latest(source, currency_ids))
    found.sort(key=_rank)
    documents = documents_of(QUOTES)
    return [documents.decode(document) for document in found[:records_max]]


def build_latest(source: str, currency_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The pipeline that finds one source's newest quotes, in an order that the index has."""
    match: dict[str, Any] = {"source": source}
    if currency_ids:
        match["currency_id"] = {"$in": list(currency_ids)}
    return [
        {"$match": match},
        {"$sort": {"source": 1, "currency_id": 1, "ts_ingest_us": -1}},
        {"$group": {"_id": "$currency_id", "newest": {"$first": "$$ROOT"}}},
        {"$replaceRoot": {"newRoot": "$newest"}},
    ]


def _rank(document: Mapping[str, Any]) -> tuple[int, str, str]:
    rank = document["market_cap_rank"]
    return (
        _RANK_UNKNOWN if rank is None else int(rank),
        document["source"],
        document["currency_id"],
    )


def _add_if_negative(value: object) -> dict[str, Any]:
    """A signed 32-bit number, as if it were unsigned."""
    return {"$cond": [{"$lt": [value, 0]}, {"$add": [value, _HALF]}, value]}


def _of_range(partition: TopicPart, first_offset: int, next_offset: int) -> dict[str, Any]:
    return {
        "arrival_topic_id": partition.topic_id,
        "arrival_part": partition.part,
        "arrival_offset": {"$gte": first_offset, "$lt": next_offset},
    }


def _parse_stored(document: Document) -> StoredRecord:
    part, offset = document["arrival_part"], document["arrival_offset"]
    return StoredRecord(
        event_id=document["_id"],
        content_hash=int(document["content_hash"]),
        topic_id=document["arrival_topic_id"] or "",
        part=-1 if part is None else int(part),
        offset=-1 if offset is None else int(offset),
    )

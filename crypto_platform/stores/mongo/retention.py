"""Removing what is older than a feed keeps: documents by range of time, with their sums.

A few thousand documents a transaction, each with the sums of what it deletes: killed in between,
the next run goes on with what is left. They are found a venue and symbol at a time, by the index
that ends in the time. Not here: what is too old (delivery/retention.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bson.int64 import Int64
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.batches import BatchKind, Removed
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredRecord
from crypto_platform.stores.mongo.claims import times
from crypto_platform.stores.mongo.connection import Connection, Document, Retry
from crypto_platform.stores.mongo.errors import is_transient
from crypto_platform.stores.mongo.reader import PROOF, parse_stored
from crypto_platform.stores.mongo.schema import LOAD_BATCH, REMOVED
from crypto_platform.stores.sums import Sum, sum_of

DOCUMENTS_PER_TRANSACTION = 5_000
"""A transaction has seconds to live, and no load waits for it."""

_HOLDING = (BatchKind.LIVE, BatchKind.TRUNCATED, BatchKind.RESTORE)
"""Kinds of range to which a record may belong, in this order; see Removed."""


def remove_before(
    connection: Connection, feed: Feed[Record], before_us: TimeUs, *, run_id: str
) -> int:
    """See Store.remove_before."""
    collection = connection.collection(feed.collection)
    removed = 0
    for query in _list_queries(connection, feed, before_us):
        while found := list(collection.find(query, PROOF).limit(DOCUMENTS_PER_TRANSACTION)):
            records = [parse_stored(document) for document in found]
            removed += _remove(connection, feed, records, before_us=before_us, run_id=run_id)
    return removed


def count_before(connection: Connection, feed: Feed[Record], before_us: TimeUs) -> int:
    """See Store.count_before."""
    collection = connection.collection(feed.collection)
    queries = _list_queries(connection, feed, before_us)
    return sum(collection.count_documents(query) for query in queries)


def read_removed(connection: Connection, partition: TopicPart) -> Sequence[Removed]:
    """See Store.read_removed."""
    query = {"topic_id": partition.topic_id, "part": partition.part}
    found = connection.collection(REMOVED).find(query).sort([("first_offset", 1), ("run_id", 1)])
    return [
        Removed(
            topic=document["topic"],
            partition=partition,
            run_id=document["run_id"],
            hour=int(document["hour_us"]),
            first_offset=int(document["first_offset"]),
            events_before=int(document["events_before_us"]),
            removed=Sum(
                int(document["removed_records"]),
                int(document["removed_high"]),
                int(document["removed_low"]),
            ),
        )
        for document in found
    ]


def _list_queries(
    connection: Connection, feed: Feed[Record], before_us: TimeUs
) -> Iterator[Mapping[str, Any]]:
    """A query for each value of what the index has before the time: none walks further."""
    [index, *_] = [index for index in feed.indexes if index.fields[-1] == "-ts_event"]
    queries: list[dict[str, Any]] = [{}]
    for name in index.fields[:-1]:
        queries = [
            query | {name: value}
            for query in queries
            for value in connection.collection(feed.collection).distinct(name, query)
        ]
    return (query | {"ts_event_us": {"$lt": Int64(before_us)}} for query in queries)


def _remove(
    connection: Connection,
    feed: Feed[Record],
    records: Sequence[StoredRecord],
    *,
    before_us: TimeUs,
    run_id: str,
) -> int:
    """Delete these and add up what they were; another transaction in the way is waited for."""
    retry = Retry(within_s=connection.timeout_s)
    while True:
        try:
            with connection.transaction() as session:
                ids = [record.event_id for record in records]
                delete = {"q": {"_id": {"$in": ids}}, "limit": 0}
                if connection.delete(session, feed.collection, [delete]) != len(ids):
                    return 0  # somebody else removes them, and has written that down
                updates = _build_sums(session, connection, records, before_us, run_id)
                if updates:
                    connection.update(session, REMOVED, updates)
                connection.commit(session)
        except OperationFailure as error:
            if retry.is_over or not is_transient(error):
                raise
        else:
            return len(records)
        retry.pause()


def _build_sums(
    session: ClientSession,
    connection: Connection,
    records: Sequence[StoredRecord],
    before_us: TimeUs,
    run_id: str,
) -> list[dict[str, Any]]:
    """A statement for each range of load_batch; a record in none of them is in no account."""
    by_part: dict[TopicPart, list[StoredRecord]] = {}
    for record in records:
        by_part.setdefault(TopicPart(record.topic_id, record.part), []).append(record)
    updates: list[dict[str, Any]] = []
    for partition, own in by_part.items():
        ranges = _read_ranges(session, connection, partition, own)
        hashes: dict[int, list[int]] = {}
        for record in own:
            place = _find_range(ranges, record.offset)
            if place is not None:
                hashes.setdefault(place, []).append(record.content_hash)
        updates += [
            _build_sum(ranges[place], sum_of(found), before_us, run_id)
            for place, found in hashes.items()
        ]
    return updates


def _read_ranges(
    session: ClientSession,
    connection: Connection,
    partition: TopicPart,
    records: Sequence[StoredRecord],
) -> Sequence[Document]:
    """Those that may hold one of these records, in the order in which they are asked."""
    offsets = [record.offset for record in records]
    query = {
        "topic_id": partition.topic_id,
        "part": partition.part,
        "next_offset": {"$gt": min(offsets)},
        "first_offset": {"$lte": max(offsets)},
        "kind": {"$in": [kind.value for kind in _HOLDING]},
    }
    found = list(connection.collection(LOAD_BATCH).find(query, session=session))
    order = [kind.value for kind in _HOLDING]
    return sorted(found, key=lambda each: (order.index(each["kind"]), each["first_offset"]))


def _find_range(ranges: Sequence[Document], offset: int) -> int | None:
    holding = (
        place
        for place, each in enumerate(ranges)
        if each["first_offset"] <= offset < each["next_offset"]
    )
    return next(holding, None)


def _build_sum(batch: Document, removed: Sum, before_us: TimeUs, run_id: str) -> dict[str, Any]:
    key = {
        "topic_id": batch["topic_id"],
        "part": batch["part"],
        "first_offset": batch["first_offset"],
        "run_id": run_id,
    }
    begin = {"topic": batch["topic"], "hour_us": batch["hour_us"], "hour": batch["hour"]}
    counts = {
        "removed_records": removed.count,
        "removed_high": removed.high,
        "removed_low": removed.low,
    }
    change = {
        "$setOnInsert": begin | times("events_before", before_us),
        "$inc": {name: Int64(count) for name, count in counts.items()},
    }
    return {"q": key, "u": change, "upsert": True}

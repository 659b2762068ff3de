"""What a person decides, written down: an incident acknowledged, quarantine entries discarded.

Here: one transaction each. What an answer moves was planned outside (delivery/incidents.py); it is
written only while the partition still is as it was planned. Not here: what waits (matters.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.domain.hours import hour_of
from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.incidents import INCIDENTS, Incident
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.matters import Acknowledgement, Cut, EntryState, Move
from crypto_platform.stores.mongo import claims
from crypto_platform.stores.mongo.claims import times
from crypto_platform.stores.mongo.connection import Connection, Retry
from crypto_platform.stores.mongo.documents import NO_ARRIVAL
from crypto_platform.stores.mongo.errors import is_transient
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.schema import LOAD_BATCH, QUARANTINE
from crypto_platform.stores.sums import EMPTY_SUM, Sum


def acknowledge(connection: Connection, answer: Acknowledgement, *, now_us: int) -> bool:
    """See Store.acknowledge; another transaction in the way is waited for."""
    retry = Retry(within_s=connection.timeout_s)
    while True:
        try:
            return _acknowledge_once(connection, answer, now_us=now_us)
        except OperationFailure as error:
            if retry.is_over or not is_transient(error):
                raise
        retry.pause()


def _acknowledge_once(connection: Connection, answer: Acknowledgement, *, now_us: int) -> bool:
    stopped, move = answer.stopped, answer.move
    with connection.transaction() as session:
        if stopped is not None:
            if not claims.go_on(session, connection, answer, now_us=now_us):
                return False
            if move is not None and move.lost:
                _give_up(session, connection, stopped, move, run_id=answer.run_id)
            if move is not None and move.cut is not None:
                _cut(session, connection, stopped, move.cut)
        insert_unarrived(session, connection, answer.fact)
        connection.commit(session)
    return True


def insert_unarrived(session: ClientSession, connection: Connection, incident: Incident) -> None:
    """Insert an incident that Kafka has not brought yet; nothing happens where its id is there."""
    collection = connection.collection(INCIDENTS.collection)
    if collection.find_one({"_id": incident.event_id}, session=session) is None:
        [encoded] = documents_of(INCIDENTS).encode(to_columns([incident]), [NO_ARRIVAL])
        connection.insert(session, INCIDENTS.collection, [RawBSONDocument(encoded)])


def discard(
    connection: Connection, partition: TopicPart, offsets: Sequence[int], *, note: str
) -> list[int]:
    """See Store.discard."""
    entries = connection.collection(QUARANTINE)
    changes = {"state": EntryState.DISCARDED.value, "note": note}
    discarded: list[int] = []
    for offset in sorted(set(offsets)):
        query = _of(partition) | {"record_offset": offset, "state": EntryState.OPEN.value}
        if entries.update_one(query, {"$set": changes}).modified_count:
            discarded.append(offset)
    return discarded


def _give_up(
    session: ClientSession,
    connection: Connection,
    stopped: StoredOffset,
    move: Move,
    *,
    run_id: str,
) -> None:
    lost = {
        **_of(stopped.partition),
        "topic": stopped.topic,
        "run_id": run_id,
        "epoch": Int64(stopped.epoch + 1),
        "hour_us": Int64(hour_of(stopped.max_ts_append)),
        "hour": times("hour", hour_of(stopped.max_ts_append))["hour"],
        "kind": BatchKind.LOST.value,
        "first_offset": Int64(stopped.next_offset),
        "next_offset": Int64(move.next_offset),
        **_sums(EMPTY_SUM),
        "repeated_records": Int64(0),
        "quarantined_records": Int64(0),
    }
    connection.collection(LOAD_BATCH).insert_one(lost, session=session)


def _cut(session: ClientSession, connection: Connection, stopped: StoredOffset, cut: Cut) -> None:
    batches = connection.collection(LOAD_BATCH)
    covering = {"$in": [BatchKind.LIVE.value, BatchKind.LOST.value]}
    ranges = {**_of(stopped.partition), "kind": covering}
    across = ranges | {"first_offset": {"$lt": cut.offset}, "next_offset": {"$gt": cut.offset}}
    found = batches.find_one(across, session=session)
    if found is not None and cut.below is not None and cut.above is not None:
        above = {name: value for name, value in found.items() if name != "_id"} | {
            "kind": BatchKind.TRUNCATED.value,
            "epoch": Int64(stopped.epoch + 1),
            "first_offset": Int64(cut.offset),
            **_sums(cut.above),
            "repeated_records": Int64(0),
            "quarantined_records": Int64(0),
        }
        below = {"next_offset": Int64(cut.offset), **_sums(cut.below)}
        batches.update_one({"_id": found["_id"]}, {"$set": below}, session=session)
        batches.insert_one(above, session=session)
    truncated = {"$set": {"kind": BatchKind.TRUNCATED.value}}
    batches.update_many(ranges | {"first_offset": {"$gte": cut.offset}}, truncated, session=session)
    connection.collection(QUARANTINE).update_many(
        {**_of(stopped.partition), "record_offset": {"$gte": cut.offset}},
        {"$set": {"state": EntryState.TRUNCATED.value}},
        session=session,
    )


def _of(partition: TopicPart) -> dict[str, Any]:
    return {"topic_id": partition.topic_id, "part": Int64(partition.part)}


def _sums(stored: Sum) -> Mapping[str, Int64]:
    return {
        "stored_records": Int64(stored.count),
        "stored_high": Int64(stored.high),
        "stored_low": Int64(stored.low),
    }

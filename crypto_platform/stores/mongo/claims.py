"""kafka_offset: who may write a partition, and how far it has come.

Here: reading, claiming, moving and blocking its documents. Not here: records (writer.py).

A claim raises `epoch`, so that the first statement of each later commit of the previous owner finds
nothing to update. Where that owner holds the documents in an open transaction it gets half a
second to end it, then its session is killed, and its locks go at once; `killSessions` ends sessions
of the own user without any further right, so all loads log in as one user.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bson.binary import Binary
from bson.int64 import Int64
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import StoreRefusedError
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.matters import Acknowledgement
from crypto_platform.stores.mongo.connection import Connection, Document, Retry
from crypto_platform.stores.mongo.errors import is_transient
from crypto_platform.stores.mongo.schema import KAFKA_OFFSET
from crypto_platform.stores.slices import Slice, describe_gap

SINK = "mongo"
OWNER_PATIENCE_S = 0.5
"""How long a claim waits for the previous owner's open transaction before it ends its session: a
commit takes milliseconds, and one that is ended is only read again."""
CLAIM_TIMEOUT_S = 10.0

Wanted = tuple[Feed[Record], str, TopicPart]
"""Feed, topic name, partition."""


def read_offsets(connection: Connection) -> list[StoredOffset]:
    """All documents of this sink, in order of topic and partition."""
    documents = connection.collection(KAFKA_OFFSET).find({"_id.sink": SINK})
    offsets = [_parse_offset(document) for document in documents]
    return sorted(offsets, key=lambda offset: (offset.topic, offset.partition))


def claim(
    connection: Connection, wanted: Sequence[Wanted], *, run_id: str, now_us: int
) -> list[Claim]:
    """Raise the epoch of all that no incident blocks, in one transaction, in lock order.

    Raises:
        StoreRefusedError: A collection is missing.
        PyMongoError: Nothing was claimed.
    """
    stored = _look(connection, wanted)
    free = [each for each in wanted if not stored.get(each[2], {}).get("blocked_by")]
    return _claim(connection, free, stored, None, run_id=run_id, now_us=now_us)


def claim_restore(
    connection: Connection, wanted: Sequence[Wanted], *, run_id: str, now_us: int
) -> list[Claim]:
    """See Store.claim_restore; errors as in `claim`."""
    stored = _look(connection, wanted)
    blocked_by: dict[TopicPart, str | None] = {}
    for _, _, partition in wanted:
        before = str(stored.get(partition, {}).get("blocked_by") or "")
        is_ours = before.startswith(RESTORING)
        blocked_by[partition] = before if is_ours else f"{RESTORING}{before}"
    return _claim(connection, wanted, stored, blocked_by, run_id=run_id, now_us=now_us)


def end_restore(
    connection: Connection, claim: Claim, *, blocked_by: str | None, now_us: int
) -> bool:
    """See Store.end_restore."""
    changes = {"blocked_by": blocked_by, **times("updated_at", now_us)}
    ended = connection.collection(KAFKA_OFFSET).update_one(
        {
            "_id": _key(claim.partition),
            "epoch": claim.epoch,
            "blocked_by": {"$regex": f"^{RESTORING}"},
        },
        {"$set": changes, "$inc": {"epoch": Int64(1)}},
    )
    return ended.modified_count == 1


def _look(connection: Connection, wanted: Sequence[Wanted]) -> Mapping[TopicPart, Document]:
    """What is stored of these partitions."""
    refuse_missing_collections(connection, {feed.collection for feed, _, _ in wanted})
    return _read_documents(connection, [partition for _, _, partition in wanted])


def _claim(
    connection: Connection,
    wanted: Sequence[Wanted],
    stored: Mapping[TopicPart, Document],
    blocked_by: Mapping[TopicPart, str | None] | None,
    *,
    run_id: str,
    now_us: int,
) -> list[Claim]:
    """Raise the epochs, ending previous owners that hold locks.

    Args:
        stored: As looked at before.
        blocked_by: What stops each partition from now on; None leaves that as it is, and a
            partition that is stopped unclaimed.
    """
    free = sorted(wanted, key=lambda each: each[2])
    if not free:
        return []
    owners: set[Binary] = {
        stored[partition]["lsid"] for _, _, partition in free if partition in stored
    } - {connection.lsid, None}
    patience = Retry(within_s=OWNER_PATIENCE_S)
    retry = Retry(within_s=CLAIM_TIMEOUT_S)
    while True:
        try:
            return _claim_once(connection, free, blocked_by, run_id=run_id, now_us=now_us)
        except OperationFailure as error:
            if retry.is_over or not is_transient(error):
                raise
        if owners and patience.is_over:
            _kill_sessions(connection, owners)
            owners.clear()
        retry.pause()


def advance(
    session: ClientSession, connection: Connection, slices: Sequence[Slice], *, now_us: int
) -> bool:
    """Move next_offset of every slice's partition, the first statement of a commit.

    Slices of one partition follow one another. False where a claim does not hold: then the
    transaction has to be aborted.
    """
    first = {piece.claim.partition: piece for piece in reversed(slices)}
    last = {piece.claim.partition: piece for piece in slices}
    updates = [
        {
            "q": {
                "_id": _key(partition),
                "epoch": first[partition].claim.epoch,
                "next_offset": first[partition].first_offset,
                "blocked_by": None,
            },
            "u": _build_advance(last[partition], now_us=now_us),
        }
        for partition in sorted(last)
    ]
    answer = connection.update(session, KAFKA_OFFSET, updates)
    return answer["nModified"] == len(updates)


def advance_restore(
    session: ClientSession, connection: Connection, slices: Sequence[Slice], *, now_us: int
) -> frozenset[TopicPart] | None:
    """The same for a restore: ranges below next_offset leave it where it is.

    Returns:
        The partitions that were moved; None where a claim does not hold.
    """
    first = {piece.claim.partition: piece for piece in reversed(slices)}
    last = {piece.claim.partition: piece for piece in slices}
    stored = _read_documents(connection, list(last), session=session)
    moved: set[TopicPart] = set()
    updates: list[dict[str, Any]] = []
    for partition in sorted(last):
        held = stored.get(partition)
        if held is None or held["epoch"] != first[partition].claim.epoch:
            return None
        change: dict[str, Any] = {"$inc": {"commit_count": Int64(1)}}
        if last[partition].next_offset > held["next_offset"]:
            if first[partition].first_offset != held["next_offset"]:
                raise StoreRefusedError(describe_gap(first[partition], held["next_offset"]))
            change = _build_advance(last[partition], now_us=now_us)
            moved.add(partition)
        updates.append({"q": {"_id": _key(partition), "epoch": held["epoch"]}, "u": change})
    answer = connection.update(session, KAFKA_OFFSET, updates)
    return frozenset(moved) if answer["nModified"] == len(updates) else None


def find_restore_fenced(connection: Connection, slices: Sequence[Slice]) -> frozenset[TopicPart]:
    """The partitions among these that another restore or load has claimed since."""
    expected = {piece.claim.partition: piece.claim.epoch for piece in slices}
    stored = _read_documents(connection, list(expected))
    return frozenset(
        partition
        for partition, epoch in expected.items()
        if partition not in stored or stored[partition]["epoch"] != epoch
    )


def find_fenced(connection: Connection, slices: Sequence[Slice]) -> frozenset[TopicPart]:
    """The partitions among these that are no longer the caller's to write."""
    expected = {
        piece.claim.partition: (piece.claim.epoch, piece.first_offset, None)
        for piece in reversed(slices)
    }
    stored = _read_documents(connection, list(expected))
    found = {
        partition: (document["epoch"], document["next_offset"], document["blocked_by"])
        for partition, document in stored.items()
    }
    return frozenset(
        partition for partition, values in expected.items() if found.get(partition) != values
    )


def block(
    session: ClientSession, connection: Connection, claim: Claim, *, incident_id: str
) -> bool:
    """Stop a partition until a person has acknowledged; False where the claim no longer holds."""
    update = {
        "q": {"_id": _key(claim.partition), "epoch": claim.epoch, "blocked_by": None},
        "u": {"$set": {"blocked_by": incident_id}},
    }
    answer = connection.update(session, KAFKA_OFFSET, [update])
    return answer["nModified"] == 1


def go_on(
    session: ClientSession, connection: Connection, answer: Acknowledgement, *, now_us: int
) -> bool:
    """Let a stopped partition go on, where the answer says; False where it is not as planned."""
    stopped, move = answer.stopped, answer.move
    assert stopped is not None, "an incident that stops nothing moves nothing"
    changes = {"blocked_by": None, **times("updated_at", now_us)}
    if move is not None:
        changes |= {"next_offset": Int64(move.next_offset)}
        changes |= times("max_ts_append", move.max_ts_append)
        if not move.keeps_leader_epoch:
            changes["leader_epoch"] = None
    update = {
        "q": {
            "_id": _key(stopped.partition),
            "epoch": stopped.epoch,
            "next_offset": stopped.next_offset,
            "blocked_by": answer.incident_id,
        },
        "u": {"$set": changes, "$inc": {"epoch": Int64(1)}},
    }
    return connection.update(session, KAFKA_OFFSET, [update])["nModified"] == 1


def register_session(connection: Connection, claims: Collection[Claim]) -> None:
    """Write the session's id beside the claims, where it is another than at the claim.

    A store used again after `close` has a new session; a successor must be able to end it.
    """
    connection.collection(KAFKA_OFFSET).update_many(
        {
            "$or": [{"_id": _key(claim.partition), "epoch": claim.epoch} for claim in claims],
            "lsid": {"$ne": connection.lsid},
        },
        {"$set": {"lsid": connection.lsid}},
    )


def times(name: str, time_us: int | None) -> dict[str, Any]:
    """A time as bookkeeping keeps it: exact, and as a date for people."""
    if time_us is None:
        return {f"{name}_us": None, name: None}
    return {f"{name}_us": Int64(time_us), name: from_time_us(time_us)}


def _claim_once(
    connection: Connection,
    wanted: Sequence[Wanted],
    blocked_by: Mapping[TopicPart, str | None] | None,
    *,
    run_id: str,
    now_us: int,
) -> list[Claim]:
    changes = {
        "owner_run_id": run_id,
        "lsid": connection.lsid,
        **times("claimed_at", now_us),
        **times("updated_at", now_us),
    }
    never_seen = {
        "next_offset": Int64(0),
        "leader_epoch": None,
        "commit_count": Int64(0),
        **times("max_ts_append", 0),
    }

    def build(topic: str, partition: TopicPart) -> dict[str, Any]:
        stopped = {"blocked_by": None if blocked_by is None else blocked_by[partition]}
        own, fresh = (
            (changes, never_seen | stopped)
            if blocked_by is None
            else (
                changes | stopped,
                never_seen,
            )
        )
        return {
            "$inc": {"epoch": Int64(1)},
            "$set": {"topic": topic, **own},
            "$setOnInsert": fresh,
        }

    updates = [
        {"q": {"_id": _key(partition)}, "u": build(topic, partition), "upsert": True}
        for _, topic, partition in wanted
    ]
    with connection.transaction() as session:
        connection.update(session, KAFKA_OFFSET, updates)
        stored = _read_documents(
            connection, [partition for _, _, partition in wanted], session=session
        )
        connection.commit(session)
    return [
        _build_claim(each, stored[each[2]])
        for each in wanted
        if blocked_by is not None or stored[each[2]]["blocked_by"] is None
    ]


def _build_claim(wanted: Wanted, document: Document) -> Claim:
    feed, topic, partition = wanted
    offset = _parse_offset(document)
    return Claim(
        feed=feed,
        topic=topic,
        partition=partition,
        epoch=offset.epoch,
        next_offset=offset.next_offset,
        leader_epoch=offset.leader_epoch,
        max_ts_append=offset.max_ts_append,
    )


def _build_advance(last: Slice, *, now_us: int) -> dict[str, Any]:
    changes = {
        "next_offset": Int64(last.next_offset),
        **times("max_ts_append", last.max_ts_append),
        **times("updated_at", now_us),
    }
    if last.leader_epoch is not None:
        changes["leader_epoch"] = last.leader_epoch
    # the counter makes sure that something is written, for only a write fences
    return {"$set": changes, "$inc": {"commit_count": Int64(1)}}


def _kill_sessions(connection: Connection, lsids: Collection[Binary]) -> None:
    sessions = [{"id": lsid} for lsid in lsids]
    connection.client.admin.command("killSessions", sessions)


def refuse_missing_collections(connection: Connection, names: Collection[str]) -> None:
    """A transaction would make them, without their indexes and validators.

    Raises:
        StoreRefusedError: With those that are missing.
    """
    missing = {KAFKA_OFFSET, *names} - set(connection.database.list_collection_names())
    if missing:
        message = (
            f"collections missing in MongoDB: {', '.join(sorted(missing))}; "
            "`python -m crypto_platform.migrations` makes them"
        )
        raise StoreRefusedError(message, table=min(missing))


def _read_documents(
    connection: Connection,
    partitions: Sequence[TopicPart],
    *,
    session: ClientSession | None = None,
) -> Mapping[TopicPart, Document]:
    documents = connection.collection(KAFKA_OFFSET).find(
        {"_id": {"$in": [_key(partition) for partition in partitions]}}, session=session
    )
    return {
        TopicPart(document["_id"]["topic_id"], int(document["_id"]["part"])): document
        for document in documents
    }


def _parse_offset(document: Document) -> StoredOffset:
    return StoredOffset(
        topic=document["topic"],
        partition=TopicPart(document["_id"]["topic_id"], int(document["_id"]["part"])),
        next_offset=int(document["next_offset"]),
        leader_epoch=_int_or_none(document["leader_epoch"]),
        max_ts_append=int(document["max_ts_append_us"]),
        epoch=int(document["epoch"]),
        owner_run_id=document["owner_run_id"],
        claimed_at=_int_or_none(document["claimed_at_us"]),
        updated_at=_int_or_none(document["updated_at_us"]),
        blocked_by=document["blocked_by"],
    )


def _int_or_none(value: int | None) -> int | None:
    return None if value is None else int(value)


def _key(partition: TopicPart) -> dict[str, Any]:
    """The _id; its fields' order is part of it."""
    return {"sink": SINK, "topic_id": partition.topic_id, "part": partition.part}

"""Records' own statements in a commit: look ids up, insert documents, fill in arrivals.

Here: commands of a bounded size, and which record a refused document was. Not here: the order of a
transaction and what to do after a refusal (writer.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.domain.hours import from_time_us
from crypto_platform.stores.mongo.connection import Connection, split_by_size
from crypto_platform.stores.mongo.pieces import Piece
from crypto_platform.stores.sorting import Known, Sorted

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Of the documents in one insert command; one of over 16 MB fails."""
LOOK_UP_IDS_MAX = 3_000
"""In one query: an id has up to 1024 characters, and a query of over 16 MB fails."""

Work = Sequence[tuple[Piece, Sequence[int]]]
"""Pieces, each with the indexes of the arrivals to insert."""


class InsertFailedError(Exception):
    """A document was refused, and with it the transaction.

    Attributes:
        refused: What the server says of it.
        owner: Its piece and the index of its arrival.
    """

    def __init__(
        self,
        *,
        collection: str,
        error: OperationFailure,
        refused: Mapping[str, Any],
        owner: tuple[Piece, int],
    ) -> None:
        super().__init__(str(error))
        self.collection = collection
        self.error = error
        self.refused = refused
        self.owner = owner

    def explain(self) -> str:
        """Which rule of the validator the document breaks."""
        details = self.refused.get("errInfo", {}).get("details", self)
        return f"MongoDB's validator refused it: {details}"[:1000]


def insert(session: ClientSession, connection: Connection, collection: str, work: Work) -> None:
    """Insert these documents, in commands of a bounded size.

    Raises:
        InsertFailedError: At the first document that the server refuses.
    """
    documents = [piece.documents[index] for piece, indexes in work for index in indexes]
    sent = 0
    for chunk in split_by_size(documents, bytes_max=BATCH_BYTES_MAX):
        _send(session, connection, collection, chunk, work, sent)
        sent += len(chunk)


def read_known(
    session: ClientSession, connection: Connection, collection: str, pieces: Sequence[Piece]
) -> dict[str, Known]:
    """What the store holds under the ids of these pieces."""
    ids = [event_id for piece in pieces for event_id in piece.slice.arrivals.event_ids]
    known: dict[str, Known] = {}
    for start in range(0, len(ids), LOOK_UP_IDS_MAX):
        found = connection.collection(collection).find(
            {"_id": {"$in": ids[start : start + LOOK_UP_IDS_MAX]}},
            {"content_hash": 1, "arrival_topic_id": 1},
            session=session,
            batch_size=LOOK_UP_IDS_MAX,
        )
        known |= {
            each["_id"]: (each["content_hash"], each["arrival_topic_id"] is not None)
            for each in found
        }
    return known


def write_arrivals(
    session: ClientSession,
    connection: Connection,
    collection: str,
    found: Iterable[tuple[Piece, Sorted]],
) -> None:
    """Fill in where Kafka has what a load had written itself (an incident)."""
    updates = [_build_arrival(piece, index) for piece, each in found for index in each.unarrived]
    if updates:
        connection.update(session, collection, updates)


def _send(
    session: ClientSession,
    connection: Connection,
    collection: str,
    chunk: list[RawBSONDocument],
    work: Work,
    sent: int,
) -> None:
    try:
        connection.insert(session, collection, chunk)
    except OperationFailure as error:
        refused = _first_write_error(error)
        if refused is None:
            raise
        owners = [(piece, index) for piece, indexes in work for index in indexes]
        owner = owners[sent + int(refused["index"])]
        raise InsertFailedError(
            collection=collection, error=error, refused=refused, owner=owner
        ) from error


def _build_arrival(piece: Piece, index: int) -> Mapping[str, Any]:
    arrival = piece.slice.arrivals[index]
    topic_id, part = piece.slice.claim.partition
    values = {
        "arrival_topic_id": topic_id,
        "arrival_part": Int64(part),
        "arrival_offset": Int64(arrival.offset),
        "ts_append_us": Int64(arrival.ts_append),
        "ts_append": from_time_us(arrival.ts_append),
    }
    query = {"_id": arrival.record.event_id, "arrival_topic_id": None}
    return {"q": query, "u": {"$set": values}}


def _first_write_error(error: OperationFailure) -> Mapping[str, Any] | None:
    """The statement an insert command stopped at; None where the whole command failed."""
    errors: Sequence[Mapping[str, Any]] = (error.details or {}).get("writeErrors", ())
    return errors[0] if errors else None

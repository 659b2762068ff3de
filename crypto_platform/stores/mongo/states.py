"""What is current as documents, brought up to date in the transaction of the facts that say so.

Here: states and their parts as BSON, and which of them are inserted, changed or left alone. Asked
first is what is there (`sequence`, the parts' keys), on the transaction's snapshot: whoever changes
it meanwhile makes a write conflict, and the whole transaction is done again. So the last sequence
wins and a part comes in once, in whatever order events arrive. Not here: the fold
(feeds/projection.py), reading (accounts.py).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession

from crypto_platform.feeds.feed import Field, FieldKind, State, build_event_id
from crypto_platform.feeds.projection import Columns, Folded, Key, PartColumns, Projection, pick
from crypto_platform.stores.mongo.connection import Connection, Document
from crypto_platform.stores.mongo.documents import EncodeColumn, build_encoder, decode_fields
from crypto_platform.stores.mongo.pieces import split_by_size

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Of the documents in one insert command; one of over 16 MB fails."""
STATEMENTS_MAX = 5_000
"""In one update command, and ids in one query."""

T = TypeVar("T")

_pack_int32 = struct.Struct("<i").pack


def state_id(key: Key) -> str:
    """The `_id` of a thing's state."""
    return key[0] if len(key) == 1 else build_event_id(*key)


class Encoded(NamedTuple):
    """A part: what tells it from the others of its state, and its document."""

    key: str
    document: bytes


class States:
    """The documents of one projection."""

    def __init__(self, projection: Projection) -> None:
        """Choose each field's encoder once."""
        self.projection = projection
        self.parts = projection.parts
        self._encode_id = build_encoder(Field(name="event_id", kind=FieldKind.TEXT, nullable=False))
        self._encoders = [build_encoder(field) for field in projection.fields]
        self.sequence_place = [field.name for field in projection.fields].index("sequence")
        part_fields = () if self.parts is None else self.parts.fields
        self._part_encoders = [build_encoder(field) for field in part_fields]

    def encode(self, columns: Columns) -> list[bytes]:
        """States as documents without `_id`."""
        return _encode(self._encoders, columns)

    def encode_parts(self, parts: PartColumns) -> dict[str, list[Encoded]]:
        """Parts as documents, by the key of their state; each list in order of sequence."""
        if self.parts is None or not parts.columns:
            return {}
        names = [field.name for field in self.parts.fields]
        keys, sequences = (
            parts.columns[names.index(name)] for name in (self.parts.key_name, "sequence")
        )
        found: dict[str, list[Encoded]] = {}
        encoded = _encode(self._part_encoders, parts.columns)
        for each in sorted(zip(sequences, parts.owners, keys, encoded, strict=True)):
            _, owner, key, document = each
            found.setdefault(owner, []).append(Encoded(key, document))
        return found

    def encode_whole(
        self, ids: Sequence[str], bodies: Sequence[bytes], parts: Mapping[str, list[Encoded]]
    ) -> list[RawBSONDocument]:
        """Whole documents: `_id`, the fields, the list of parts."""
        documents: list[RawBSONDocument] = []
        for each, encoded_id, body in zip(ids, self._encode_id(ids), bodies, strict=True):
            elements = encoded_id + body[4:-1]
            if self.parts is not None:
                elements += _encode_list(self.parts.name, parts.get(each, ()))
            documents.append(RawBSONDocument(_frame(elements)))
        return documents

    def decode(self, document: Document) -> State:
        """The state of a document."""
        return self.projection.state(**decode_fields(self.projection.fields, document))

    def decode_parts(self, document: Document) -> tuple[State, ...]:
        """Its parts, by their sequence."""
        if self.parts is None:
            return ()
        part, fields = self.parts.part, self.parts.fields
        found = document.get(self.parts.name, ())
        # they are written in this order
        return tuple([part(**decode_fields(fields, each)) for each in found])


states_of = cache(States)
"""The States of a projection, built once."""


def write(
    session: ClientSession, connection: Connection, projection: Projection, folded: Folded
) -> None:
    """Bring the states up to what was folded.

    Raises:
        OperationFailure: The transaction has failed; a write conflict is transient.
    """
    if not folded.keys:
        return
    documents, name = states_of(projection), projection.collection
    places = {state_id(key): place for place, key in enumerate(folded.keys)}
    known = _read_known(session, connection, projection, sorted(places))
    parts = documents.encode_parts(folded.parts)
    new = [each for each in places if each not in known]
    if new:
        bodies = documents.encode(pick(folded.columns, [places[each] for each in new]))
        whole = documents.encode_whole(new, bodies, parts)
        for chunk in split_by_size(whole, bytes_max=BATCH_BYTES_MAX):
            connection.insert(session, name, chunk)
    sequences = folded.columns[documents.sequence_place]
    newer = [each for each in known if known[each]["sequence"] < sequences[places[each]]]
    bodies = documents.encode(pick(folded.columns, [places[each] for each in newer]))
    updates = _list_updates(documents, known, dict(zip(newer, bodies, strict=True)), parts)
    for chunk in _chunk(list(updates), STATEMENTS_MAX):
        connection.update(session, name, chunk)


def _read_known(
    session: ClientSession, connection: Connection, projection: Projection, ids: Sequence[str]
) -> Mapping[str, Document]:
    wanted = {"sequence": 1}
    if projection.parts is not None:
        wanted[f"{projection.parts.name}.{projection.parts.key_name}"] = 1
    collection = connection.collection(projection.collection)
    return {
        document["_id"]: document
        for chunk in _chunk(ids, STATEMENTS_MAX)
        for document in collection.find(
            {"_id": {"$in": chunk}}, wanted, session=session, batch_size=STATEMENTS_MAX
        )
    }


def _list_updates(
    documents: States,
    known: Mapping[str, Document],
    bodies: Mapping[str, bytes],
    parts: Mapping[str, list[Encoded]],
) -> Iterator[Mapping[str, Any]]:
    for each, there in known.items():
        change: dict[str, Any] = {}
        if each in bodies:
            change["$set"] = RawBSONDocument(bodies[each])
        if documents.parts is not None and each in parts:
            name, key_name = documents.parts.name, documents.parts.key_name
            old = {part[key_name] for part in there[name]}
            missing = [RawBSONDocument(own.document) for own in parts[each] if own.key not in old]
            if missing:
                change["$push"] = {name: {"$each": missing, "$sort": {"sequence": 1}}}
        if change:
            yield {"q": {"_id": each}, "u": change}


def _encode(encoders: Sequence[EncodeColumn], columns: Columns) -> list[bytes]:
    if not columns or not columns[0]:
        return []
    encoded = [encode(column) for encode, column in zip(encoders, columns, strict=True)]
    return list(map(_frame, map(b"".join, zip(*encoded, strict=True))))


def _encode_list(name: str, parts: Sequence[Encoded]) -> bytes:
    elements = b"".join([b"\x03%d\0%b" % (n, each.document) for n, each in enumerate(parts)])
    return b"\x04%b\0%b" % (name.encode(), _frame(elements))


def _frame(elements: bytes) -> bytes:
    return b"%b%b\0" % (_pack_int32(len(elements) + 5), elements)


def _chunk(values: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), length):
        yield values[start : start + length]

"""What is current as documents, brought up to date in the transaction of the facts that say so.

Here: states and their parts as BSON, and which of them are inserted, changed or left alone. Asked
first is what is there (`sequence`, the parts' keys), on the transaction's snapshot: whoever changes
it meanwhile makes a write conflict, and the whole transaction is done again. So the last sequence
wins and a part comes in once, in whatever order events arrive. Not here: the fold
(feeds/projection.py), reading (accounts.py).
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession

from crypto_platform.feeds.codec import to_columns
from crypto_platform.feeds.feed import Field, FieldKind, State, build_event_id
from crypto_platform.feeds.projection import Folded, Key, Projection, order_parts
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


class States:
    """The documents of one projection."""

    def __init__(self, projection: Projection) -> None:
        """Choose each field's encoder once."""
        self.projection = projection
        self.parts = projection.parts
        self._encode_id = build_encoder(Field(name="event_id", kind=FieldKind.TEXT, nullable=False))
        self._encoders = [build_encoder(field) for field in projection.fields]
        part_fields = () if self.parts is None else self.parts.fields
        self._part_encoders = [build_encoder(field) for field in part_fields]

    def encode(self, states: Sequence[State]) -> list[bytes]:
        """The states' fields as documents without `_id`."""
        return _encode(self._encoders, states)

    def encode_parts(self, parts: Iterable[State]) -> list[RawBSONDocument]:
        """The parts as documents, by their sequence."""
        ordered = order_parts(parts)
        return list(map(RawBSONDocument, _encode(self._part_encoders, ordered))) if ordered else []

    def encode_whole(
        self, ids: Sequence[str], bodies: Sequence[bytes], parts: Sequence[Iterable[State]]
    ) -> list[RawBSONDocument]:
        """Whole documents: `_id`, the fields, the list of parts."""
        documents: list[RawBSONDocument] = []
        for encoded_id, body, own in zip(self._encode_id(ids), bodies, parts, strict=True):
            elements = encoded_id + body[4:-1]
            if self.parts is not None:
                elements += self._encode_list(self.parts.name, own)
            documents.append(RawBSONDocument(_frame(elements)))
        return documents

    def _encode_list(self, name: str, parts: Iterable[State]) -> bytes:
        elements = b"".join(
            b"\x03%d\0%b" % (place, each.raw) for place, each in enumerate(self.encode_parts(parts))
        )
        return b"\x04%b\0%b" % (name.encode(), _frame(elements))

    def decode(self, document: Document) -> State:
        """The state of a document."""
        return self.projection.state(**decode_fields(self.projection.fields, document))

    def decode_parts(self, document: Document) -> tuple[State, ...]:
        """Its parts, by their sequence."""
        if self.parts is None:
            return ()
        part, fields = self.parts.part, self.parts.fields
        found = document.get(self.parts.name, ())
        return tuple(order_parts([part(**decode_fields(fields, each)) for each in found]))


states_of = cache(States)
"""The States of a projection, built once."""


def write(
    session: ClientSession, connection: Connection, projection: Projection, folded: Folded
) -> None:
    """Bring the states up to what was folded.

    Raises:
        OperationFailure: The transaction has failed; a write conflict is transient.
    """
    if not folded.states:
        return
    keys = {state_id(key): key for key in sorted(folded.states)}
    known = _read_known(session, connection, projection, list(keys))
    documents = states_of(projection)
    name = projection.collection
    new = [each for each in keys if each not in known]
    if new:
        bodies = documents.encode([folded.states[keys[each]] for each in new])
        parts = [folded.parts.get(keys[each], {}).values() for each in new]
        for chunk in split_by_size(
            documents.encode_whole(new, bodies, parts), bytes_max=BATCH_BYTES_MAX
        ):
            connection.insert(session, name, chunk)
    for chunk in _chunk(list(_list_updates(documents, folded, keys, known)), STATEMENTS_MAX):
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
    folded: Folded,
    keys: Mapping[str, Key],
    known: Mapping[str, Document],
) -> Iterator[Mapping[str, Any]]:
    newer = [each for each in known if known[each]["sequence"] < folded.states[keys[each]].sequence]
    bodies = dict(
        zip(newer, documents.encode([folded.states[keys[each]] for each in newer]), strict=True)
        if newer
        else ()
    )
    for each, there in known.items():
        change: dict[str, Any] = {}
        if each in bodies:
            change["$set"] = RawBSONDocument(bodies[each])
        if documents.parts is not None:
            parts = folded.parts.get(keys[each], {})
            name, key_name = documents.parts.name, documents.parts.key_name
            old = {part[key_name] for part in there[name]}
            missing = [part for key, part in parts.items() if key not in old]
            if missing:
                pieces = documents.encode_parts(missing)
                change["$push"] = {name: {"$each": pieces, "$sort": {"sequence": 1}}}
        if change:
            yield {"q": {"_id": each}, "u": change}


def _encode(encoders: Sequence[EncodeColumn], structs: Sequence[State]) -> list[bytes]:
    columns = to_columns(structs)
    encoded = [encode(column) for encode, column in zip(encoders, columns, strict=True)]
    return list(map(_frame, map(b"".join, zip(*encoded, strict=True))))


def _frame(elements: bytes) -> bytes:
    return b"%b%b\0" % (_pack_int32(len(elements) + 5), elements)


def _chunk(values: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), length):
        yield values[start : start + length]

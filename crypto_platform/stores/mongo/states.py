"""What is current as documents, brought up to date in the transaction of the facts that say so.

Here: states and their parts as BSON, made ahead of the commit, and which of them are inserted,
changed or left alone. Asked first is what is there (`sequence`, the parts' keys), on the
transaction's snapshot: whoever changes it meanwhile makes a write conflict, and the whole
transaction is done again. So the last sequence wins and a part comes in once, in whatever order
events arrive. Not here: the fold (feeds/projection.py), reading (accounts.py).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession

from crypto_platform.feeds.feed import Field, FieldKind, State, build_event_id
from crypto_platform.feeds.projection import Columns, Folded, Key, PartColumns, Projection
from crypto_platform.stores.mongo.connection import Connection, Document, split_by_size
from crypto_platform.stores.mongo.documents import EncodeColumn, build_encoder, decode_fields

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Of the documents in one insert command; one of over 16 MB fails."""
STATEMENTS_MAX = 5_000
"""In one update command, and ids in one query."""

T = TypeVar("T")

_pack_int32 = struct.Struct("<i").pack


class EncodedState(NamedTuple):
    """A state: its sequence, its fields as BSON elements without `_id`."""

    sequence: int
    elements: bytes


class EncodedPart(NamedTuple):
    """A part: what tells it from the others of its state, and its document."""

    sequence: int
    key: str
    document: bytes


class EncodedStates(NamedTuple):
    """What some records say of a projection, by the states' `_id`.

    Attributes:
        parts: Of some of the states, by their sequence.
    """

    states: Mapping[str, EncodedState]
    parts: Mapping[str, Sequence[EncodedPart]]


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
        self._sequence_place = [field.name for field in projection.fields].index("sequence")
        part_fields = () if self.parts is None else self.parts.fields
        self._part_encoders = [build_encoder(field) for field in part_fields]

    def encode(self, folded: Folded) -> EncodedStates:
        """All work that needs no server."""
        elements = _encode(self._encoders, folded.columns)
        sequences = folded.columns[self._sequence_place] if folded.columns else ()
        return EncodedStates(
            dict(
                zip(
                    map(state_id, folded.keys),
                    map(EncodedState, sequences, elements),
                    strict=True,
                )
            ),
            self._encode_parts(folded.parts),
        )

    def _encode_parts(self, parts: PartColumns) -> dict[str, list[EncodedPart]]:
        if self.parts is None or not parts.columns:
            return {}
        names = [field.name for field in self.parts.fields]
        sequences, keys = (
            parts.columns[names.index(name)] for name in ("sequence", self.parts.key_name)
        )
        documents = map(_frame, _encode(self._part_encoders, parts.columns))
        found: dict[str, list[EncodedPart]] = {}
        for owner, part in zip(
            parts.owners, map(EncodedPart, sequences, keys, documents), strict=True
        ):
            found.setdefault(owner, []).append(part)
        return {owner: sorted(own) for owner, own in found.items()}

    def build_whole(
        self, found: Mapping[str, EncodedState], parts: Mapping[str, Sequence[EncodedPart]]
    ) -> list[RawBSONDocument]:
        """Whole documents: `_id`, the fields, the list of parts where states have one."""
        documents: list[RawBSONDocument] = []
        for (each, state), own_id in zip(found.items(), self._encode_id(list(found)), strict=True):
            elements = own_id + state.elements
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
        # they are written in this order
        return tuple(
            [part(**decode_fields(fields, each)) for each in document.get(self.parts.name, ())]
        )


states_of = cache(States)
"""The States of a projection, built once."""


def merge(many: Sequence[EncodedStates]) -> EncodedStates:
    """What several say together; see feeds/projection.py."""
    if len(many) == 1:
        return many[0]
    states: dict[str, EncodedState] = {}
    parts: dict[str, dict[str, EncodedPart]] = {}
    for each in many:
        for own_id, state in each.states.items():
            known = states.setdefault(own_id, state)
            if known.sequence < state.sequence:
                states[own_id] = state
        for owner, own in each.parts.items():
            parts.setdefault(owner, {}).update({part.key: part for part in own})
    return EncodedStates(states, {owner: sorted(own.values()) for owner, own in parts.items()})


def write(
    session: ClientSession, connection: Connection, projection: Projection, told: EncodedStates
) -> None:
    """Bring the states up to what was told.

    Raises:
        OperationFailure: The transaction has failed; a write conflict is transient.
    """
    if not told.states:
        return
    documents, name = states_of(projection), projection.collection
    known = _read_known(session, connection, projection, sorted(told.states))
    new = {own_id: state for own_id, state in told.states.items() if own_id not in known}
    whole = documents.build_whole(new, told.parts)
    for chunk in split_by_size(whole, bytes_max=BATCH_BYTES_MAX):
        connection.insert(session, name, chunk)
    list_changes = _list_replacements if documents.parts is None else _list_updates
    changes = list(list_changes(documents, known, told))
    for chunk in _chunk(changes, STATEMENTS_MAX):
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


def _list_replacements(
    documents: States, known: Mapping[str, Document], told: EncodedStates
) -> Iterator[Mapping[str, Any]]:
    """Of states without parts: the document is all there is."""
    newer = {
        own_id: told.states[own_id]
        for own_id, there in known.items()
        if there["sequence"] < told.states[own_id].sequence
    }
    for own_id, document in zip(newer, documents.build_whole(newer, {}), strict=True):
        yield {"q": {"_id": own_id}, "u": document}


def _list_updates(
    documents: States, known: Mapping[str, Document], told: EncodedStates
) -> Iterator[Mapping[str, Any]]:
    """Of states whose documents hold parts as well, which another event has brought."""
    assert documents.parts is not None
    name, key_name = documents.parts.name, documents.parts.key_name
    for own_id, there in known.items():
        change: dict[str, Any] = {}
        state = told.states[own_id]
        if there["sequence"] < state.sequence:
            change["$set"] = RawBSONDocument(_frame(state.elements))
        if own_id in told.parts:
            old = {part[key_name] for part in there[name]}
            missing = [
                RawBSONDocument(part.document) for part in told.parts[own_id] if part.key not in old
            ]
            if missing:
                change["$push"] = {name: {"$each": missing, "$sort": {"sequence": 1}}}
        if change:
            yield {"q": {"_id": own_id}, "u": change}


def _encode(encoders: Sequence[EncodeColumn], columns: Columns) -> list[bytes]:
    """Elements, a row each."""
    if not columns or not columns[0]:
        return []
    encoded = [encode(column) for encode, column in zip(encoders, columns, strict=True)]
    return list(map(b"".join, zip(*encoded, strict=True)))


def _encode_list(name: str, parts: Sequence[EncodedPart]) -> bytes:
    elements = b"".join([b"\x03%d\0%b" % (n, each.document) for n, each in enumerate(parts)])
    return b"\x04%b\0%b" % (name.encode(), _frame(elements))


def _frame(elements: bytes) -> bytes:
    return b"%b%b\0" % (_pack_int32(len(elements) + 5), elements)


def _chunk(values: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), length):
        yield values[start : start + length]

"""What is current as documents, brought up to date in the transaction of the facts that say so.

Here: states as BSON, made ahead of the commit, and which of them are inserted, replaced or left
alone. Asked first is what is there (`sequence`), on the transaction's snapshot: whoever changes it
meanwhile makes a write conflict, and the whole transaction is done again. So the last sequence
wins, in whatever order events arrive. Not here: the fold (feeds/projection.py), reading, also of
states' parts, which the facts tell (accounts.py).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession

from crypto_platform.feeds.feed import Field, FieldKind, State, build_event_id
from crypto_platform.feeds.projection import Derived, Key, Projection, pick
from crypto_platform.stores.mongo.connection import Connection, Document, split_by_size
from crypto_platform.stores.mongo.documents import (
    Elements,
    build_encoder,
    decode_fields,
    encode_decimal,
)
from crypto_platform.stores.mongo.layout import FieldReader, Layout, Raw

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


EncodedStates = Mapping[str, EncodedState]
"""What some records say of a projection, by the states' `_id`."""


def state_id(key: Key) -> str:
    """The `_id` of a thing's state."""
    return key[0] if len(key) == 1 else build_event_id(*key)


class States:
    """The documents of one projection."""

    def __init__(self, projection: Projection) -> None:
        """Choose each field's encoder once."""
        self.projection = projection
        own_id = Field(name="event_id", kind=FieldKind.TEXT, nullable=False)
        self._encode_id = build_encoder(own_id)
        self._encoders = {field.name: build_encoder(field) for field in projection.fields}
        self._reader = FieldReader(Layout([own_id, *projection.fields]), projection.fields)

    def encode(self, derived: Derived, records: Elements) -> EncodedStates:
        """All work that needs no server.

        Args:
            derived: Each thing once.
            records: The fields of what they were derived from.
        """
        columns = [
            pick(records[name], derived.places)
            if name not in derived.own
            else encode(derived.own[name], encode_decimal)
            for name, encode in self._encoders.items()
        ]
        elements = map(b"".join, zip(*columns, strict=True))
        states = map(EncodedState, derived.column("sequence"), elements)
        return dict(zip(map(state_id, self.projection.keys_of(derived)), states, strict=True))

    def build_whole(self, found: EncodedStates) -> list[RawBSONDocument]:
        """Whole documents: `_id` and the fields."""
        return [
            RawBSONDocument(_frame(own_id + state.elements))
            for state, own_id in zip(
                found.values(), self._encode_id(list(found), encode_decimal), strict=True
            )
        ]

    def read(self, raw: Raw) -> State:
        """The state of a document as it came."""
        return self.projection.state(**self._reader.read(raw))

    def decode(self, document: Document) -> State:
        """The state of a document."""
        return self.projection.state(**decode_fields(self.projection.fields, document))


states_of = cache(States)
"""The States of a projection, built once."""


def merge(many: Sequence[EncodedStates]) -> EncodedStates:
    """What several say together; see feeds/projection.py."""
    if len(many) == 1:
        return many[0]
    states: dict[str, EncodedState] = {}
    for each in many:
        for own_id, state in each.items():
            known = states.setdefault(own_id, state)
            if known.sequence < state.sequence:
                states[own_id] = state
    return states


def write(
    session: ClientSession,
    connection: Connection,
    projection: Projection,
    told: EncodedStates,
    *,
    is_replay: bool,
) -> None:
    """Bring the states up to what was told.

    Args:
        is_replay: A state that is of the same record is written anew: somebody may have changed it.

    Raises:
        OperationFailure: The transaction has failed; a write conflict is transient.
    """
    if not told:
        return
    documents, name = states_of(projection), projection.collection
    known = _read_sequences(session, connection, name, sorted(told))
    new = {own_id: state for own_id, state in told.items() if own_id not in known}
    for chunk in split_by_size(documents.build_whole(new), bytes_max=BATCH_BYTES_MAX):
        connection.insert(session, name, chunk)
    newer = {
        own_id: told[own_id]
        for own_id, sequence in known.items()
        if sequence < told[own_id].sequence + is_replay
    }
    changes = [
        {"q": {"_id": own_id}, "u": document}
        for own_id, document in zip(newer, documents.build_whole(newer), strict=True)
    ]
    for chunk in _chunk(changes, STATEMENTS_MAX):
        connection.update(session, name, chunk)


def _read_sequences(
    session: ClientSession, connection: Connection, name: str, ids: Sequence[str]
) -> Mapping[str, int]:
    collection = connection.collection(name)
    return {
        document["_id"]: document["sequence"]
        for chunk in _chunk(ids, STATEMENTS_MAX)
        for document in collection.find(
            {"_id": {"$in": chunk}}, {"sequence": 1}, session=session, batch_size=STATEMENTS_MAX
        )
    }


def _frame(elements: bytes) -> bytes:
    return b"%b%b\0" % (_pack_int32(len(elements) + 5), elements)


def _chunk(values: Sequence[T], length: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), length):
        yield values[start : start + length]

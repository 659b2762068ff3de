"""Documents read back for the deep audit: what their bytes say, and could a load have written them?

Here: the content hash of a document as it is stored, and what is wrong with its types and times.
Two ways: nearly every document has the very layout that documents.py writes (layout.py); any other
is decoded and looked at field by field. Not here: what an audit makes of it.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.facts import derive_hash, encode_facts, facts_type, list_facts
from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredContent, StoredRecord
from crypto_platform.stores.mongo.connection import Connection
from crypto_platform.stores.mongo.documents import decode_amount, stored_name
from crypto_platform.stores.mongo.layout import PARSERS, Layout, Raw, iterate_raw
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.reader import of_range, parse_stored, sort_equal_offsets
from crypto_platform.stores.slices import Arrival

BATCH_DOCUMENTS = 2_000
"""In one answer, which has 16 MB at most."""

_unpack_int64 = struct.Struct("<q").unpack

_ARRIVAL = (
    Field(name="arrival_topic_id", kind=FieldKind.TEXT, nullable=True),
    Field(name="arrival_part", kind=FieldKind.INTEGER, nullable=True),
    Field(name="arrival_offset", kind=FieldKind.INTEGER, nullable=True),
    Field(name="ts_append", kind=FieldKind.TIME_US, nullable=True),
)

_TYPE_NAMES: Mapping[type, str] = {
    str: "string",
    float: "double",
    Decimal128: "decimal",
    Int64: "long",
    int: "int",
    DatetimeMS: "date",
    bytes: "binData",
    bool: "bool",
    list: "array",
    dict: "object",
}
_KIND_NAMES: Mapping[FieldKind, str] = {
    FieldKind.TEXT: "string",
    FieldKind.AMOUNT: "decimal",
    FieldKind.AMOUNTS: "array",
    FieldKind.TEXTS: "array",
    FieldKind.TIME_US: "long",
    FieldKind.INTEGER: "long",
    FieldKind.FLAG: "bool",
    FieldKind.BYTES: "binData",
}
_ELEMENT_TYPES: Mapping[FieldKind, type] = {FieldKind.AMOUNTS: Decimal128, FieldKind.TEXTS: str}


def read_contents(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
) -> Iterator[StoredContent]:
    """See Store.read_contents."""
    found = _read_contents(connection, feed, of_range(partition, first_offset, next_offset))
    return sort_equal_offsets(found, lambda content: content.record)


def _read_contents(
    connection: Connection, feed: Feed[Record], query: Mapping[str, Any]
) -> Iterator[StoredContent]:
    proofs = proofs_of(feed)
    for raw in _read_raw(connection, feed, query):
        yield proofs.derive(raw)


def read_arrivals(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
) -> Iterator[Arrival]:
    """See Store.read_arrivals."""
    proofs = proofs_of(feed)
    for raw in _read_raw(connection, feed, of_range(partition, first_offset, next_offset)):
        yield proofs.read(raw)


def _read_raw(
    connection: Connection, feed: Feed[Record], query: Mapping[str, Any]
) -> Iterator[Raw]:
    """In order of offset."""
    found = connection.collection(feed.collection).find_raw_batches(
        query, sort=[("arrival_offset", 1)], batch_size=BATCH_DOCUMENTS
    )
    return iterate_raw(found)


class Proofs:
    """What a feed's documents say of themselves."""

    def __init__(self, feed: Feed[Record]) -> None:
        """Build the layout once."""
        self._feed = feed
        self._layout = Layout((*feed.fields, *_ARRIVAL))
        places = self._layout.places
        self._arrival = tuple(
            places[name]
            for name in ("_id", "content_hash", *(stored_name(each) for each in _ARRIVAL[:3]))
        )
        self._times = tuple(
            (field.name, places[f"{field.name}_us"], places[field.name])
            for field in (*feed.fields, *_ARRIVAL)
            if field.kind is FieldKind.TIME_US
        )
        self._facts = tuple(
            (places[stored_name(field)], PARSERS[field.kind]) for field in list_facts(feed)
        )
        self._build = facts_type(feed)
        self._fields = tuple(
            (field.name, places[stored_name(field)], PARSERS[field.kind]) for field in feed.fields
        )
        self._place = (places["arrival_offset"], places["ts_append_us"])

    def read(self, raw: Raw) -> Arrival:
        """The record of a document, and its arrival."""
        groups = self._layout.match(raw)
        if groups is None or any(groups[place] is None for place in self._place):
            document = raw.decode()
            record = documents_of(self._feed).decode(document)
            return Arrival(record, int(document["arrival_offset"]), int(document["ts_append_us"]))
        values = {name: parse(groups[place]) for name, place, parse in self._fields}
        offset, ts_append = (_unpack_int64(groups[place])[0] for place in self._place)
        return Arrival(self._feed.record(**values), offset, ts_append)

    def derive(self, raw: Raw) -> StoredContent:
        """What a document says."""
        groups = self._layout.match(raw)
        if groups is None:
            return self._explain(raw)
        event_id, content_hash, topic_id, part, offset = map(groups.__getitem__, self._arrival)
        record = StoredRecord(
            event_id.decode(),
            _unpack_int64(content_hash)[0],
            topic_id.decode() if topic_id else "",
            _unpack_int64(part)[0] if part else -1,
            _unpack_int64(offset)[0] if offset else -1,
        )
        for name, exact, date in self._times:
            if groups[exact] is not None:
                (time_us,), (date_ms,) = _unpack_int64(groups[exact]), _unpack_int64(groups[date])
                if time_us // 1000 != date_ms:
                    return StoredContent(record, None, _describe_date(name, date_ms, time_us))
        return self._prove(record, [parse(groups[place]) for place, parse in self._facts])

    def _explain(self, raw: Raw) -> StoredContent:
        """The slow way: field by field, and why."""
        document = raw.decode()
        record = parse_stored(document)
        problems = [
            problem
            for field in (*self._feed.fields, *_ARRIVAL)
            if (problem := _find_problem(field, document))
        ]
        if problems:
            return StoredContent(record, None, "; ".join(problems))
        return self._prove(record, [_take(each, document) for each in list_facts(self._feed)])

    def _prove(self, record: StoredRecord, values: Sequence[Any]) -> StoredContent:
        facts = encode_facts(self._build(*values))
        derived = derive_hash(self._feed, facts, content_hash=record.content_hash)
        return StoredContent(record, derived)


proofs_of = cache(Proofs)
"""The Proofs of a feed, built once."""


def _find_problem(field: Field, document: Mapping[str, Any]) -> str | None:
    """What no load would have written."""
    name = stored_name(field)
    value = document.get(name)
    if value is None:
        if field.nullable or (name in document and field in _ARRIVAL):
            return None
        return f"{name} is {'null' if name in document else 'missing'}"
    wanted, found = _KIND_NAMES[field.kind], _name_type(value)
    if found != wanted:
        return f"{name} is a {found} ({value}), not a {wanted}"
    if (element := _ELEMENT_TYPES.get(field.kind)) is not None:
        return _find_problem_within(name, value, element)
    return _find_date_problem(field, document, value) if field.kind is FieldKind.TIME_US else None


def _find_date_problem(field: Field, document: Mapping[str, Any], value: int) -> str | None:
    date = document.get(field.name)
    if not isinstance(date, DatetimeMS):
        return f"{field.name} is a {_name_type(date)} ({date}), not a date"
    return None if int(date) == value // 1000 else _describe_date(field.name, int(date), value)


def _find_problem_within(name: str, values: Sequence[object], element: type) -> str | None:
    for place, value in enumerate(values):
        if not isinstance(value, element):
            wanted = _TYPE_NAMES[element]
            return f"{name}.{place} is a {_name_type(value)} ({value}), not a {wanted}"
    return None


def _name_type(value: object) -> str:
    """As MongoDB calls a value's type."""
    return _TYPE_NAMES.get(value.__class__, value.__class__.__name__)


def _describe_date(name: str, date_ms: int, time_us: int) -> str:
    return f"{name} says {date_ms} ms since 1970, {name}_us {time_us} us"


def _take(field: Field, document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any kind of value
    value = document.get(stored_name(field))
    if isinstance(value, Decimal128):
        return decode_amount(value)
    if field.kind is FieldKind.AMOUNTS:
        return None if value is None else tuple(map(decode_amount, value))
    if field.kind is FieldKind.TEXTS:
        return None if value is None else tuple(value)
    return int(value) if isinstance(value, Int64) else value

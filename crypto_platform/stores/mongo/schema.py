"""Collections, indexes and validators, derived from FEEDS.

Here: what the database must look like, and `migrate`, which makes it so. Run by the user that owns
the collections; the loader may only read and write. Not here: documents' contents.

Ordinary collections, not clustered ones: on a clustered one `$in` of new ids scans everything.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import CollectionInvalid

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.feed import Field, FieldKind, Index, Projection
from crypto_platform.feeds.projection import Parts
from crypto_platform.stores.mongo.connection import Connection, Document
from crypto_platform.stores.mongo.documents import stored_name
from crypto_platform.stores.mongo.errors import translating
from crypto_platform.stores.mongo.views import VIEWS, View

KAFKA_OFFSET = "kafka_offset"
LOAD_BATCH = "load_batch"
QUARANTINE = "quarantine"
REMOVED = "removed"

Keys = Mapping[str, int]
"""An index: field -> direction, in order."""

_ARRIVAL_KEYS: Keys = {
    "arrival_topic_id": ASCENDING,
    "arrival_part": ASCENDING,
    "arrival_offset": ASCENDING,
}
_BOOKKEEPING: Mapping[str, Sequence[Keys]] = {
    KAFKA_OFFSET: (),
    # next_offset finds the range a commit extends
    LOAD_BATCH: ({"topic_id": ASCENDING, "part": ASCENDING, "next_offset": ASCENDING},),
    QUARANTINE: (
        {"topic_id": ASCENDING, "part": ASCENDING, "record_offset": ASCENDING},
        {"state": ASCENDING},
    ),
    REMOVED: (
        {
            "topic_id": ASCENDING,
            "part": ASCENDING,
            "first_offset": ASCENDING,
            "run_id": ASCENDING,
        },
    ),
}
_BSON_TYPES: Mapping[FieldKind, str] = {
    FieldKind.TEXT: "string",
    FieldKind.AMOUNT: "decimal",
    FieldKind.AMOUNTS: "array",
    FieldKind.TEXTS: "array",
    FieldKind.TIME_US: "long",
    FieldKind.INTEGER: "long",
    FieldKind.FLAG: "bool",
    FieldKind.BYTES: "binData",
}
_ELEMENT_TYPES: Mapping[FieldKind, str] = {FieldKind.AMOUNTS: "decimal", FieldKind.TEXTS: "string"}

_BSON_TYPE_NAMES = frozenset(
    (
        *("double", "string", "object", "array", "binData", "undefined", "objectId", "bool"),
        *("date", "null", "regex", "dbPointer", "javascript", "symbol", "int", "timestamp"),
        *("long", "decimal", "minKey", "maxKey"),
    )
)


def migrate(url: str, database: str, *, plain_text_hosts: Sequence[str] = ()) -> None:
    """Make collections, indexes and validators what FEEDS says; nothing is ever dropped.

    May be repeated, also by several processes at once.

    Args:
        url: Of the user that owns the collections.
        database: Its name; made by its first collection.
        plain_text_hosts: Members beyond this machine that need no encryption.

    Raises:
        ConfigurationError: The server is no replica set, so it has no transactions.
        StoreUnavailableError: Not reached; what was made stays.
        StoreRefusedError: A right is missing, or an index clashes with one made by hand.
    """
    connection = Connection(url, database, timeout_s=60, plain_text_hosts=plain_text_hosts)
    try:
        with translating("migrate"):
            _refuse_standalone(connection)
            _migrate(connection.database)
    finally:
        connection.close()


def _refuse_standalone(connection: Connection) -> None:
    answer = connection.client.admin.command("hello")
    if "setName" not in answer and answer.get("msg") != "isdbgrid":
        message = (
            "this mongod is a standalone server, and transactions need a replica set: start it "
            "with --replSet NAME and call rs.initiate() once (one node is enough)"
        )
        raise ConfigurationError(message)


def _migrate(database: Database[Document]) -> None:
    found = {info["name"]: info.get("options", {}) for info in database.list_collections()}
    for feed in FEEDS:
        _create(database, feed.collection, build_validator(feed), found)
        _create_indexes(database, feed.collection, build_indexes(feed))
        for each in feed.projections:
            _create(database, each.collection, build_rules(each.fields), found)
            if each.parts is not None:
                _index_parts(database, feed, each, each.parts)
            own = enumerate(each.indexes)
            where = {place: {index.where: True} for place, index in own if index.where}
            _create_indexes(database, each.collection, build_state_indexes(each), where=where)
    for view in VIEWS:
        _create_view(database, view, found)
    for name, indexes in _BOOKKEEPING.items():
        _create(database, name, {}, found)
        _create_indexes(database, name, indexes)


def _create(
    database: Database[Document],
    name: str,
    validator: Mapping[str, Any],
    found: Mapping[str, Mapping[str, Any]],
) -> None:
    if name not in found:
        try:
            database.create_collection(name, check_exists=False, validator=dict(validator))
        except CollectionInvalid:
            pass  # another migrate was faster
        else:
            return
    if found.get(name, {}).get("validator", {}) != validator:
        database.command("collMod", name, validator=validator)


def _create_indexes(
    database: Database[Document],
    name: str,
    wanted: Sequence[Keys],
    *,
    where: Mapping[int, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Create what is missing; `where` filters what is in an index (by its place)."""
    for place, keys in enumerate(wanted):
        partial = where.get(place)
        only: Mapping[str, Any] = {"partialFilterExpression": partial} if partial else {}
        if not _has_index(database, name, keys):
            database[name].create_index(list(keys.items()), **only)


def _has_index(database: Database[Document], name: str, keys: Keys) -> bool:
    # a dict knows no order, an index does
    wanted = list(keys.items())
    return any(list(index["key"].items()) == wanted for index in database[name].list_indexes())


def _index_parts(
    database: Database[Document], feed: Feed[Record], projection: Projection, parts: Parts
) -> None:
    """An index of the facts that states' parts are read by.

    States once held their parts in a list, until one had more than a document can hold.
    """
    keys = dict.fromkeys(projection.key_names, ASCENDING)
    if not _has_index(database, feed.collection, keys):
        database[projection.collection].update_many(
            {parts.name: {"$exists": True}}, {"$unset": {parts.name: ""}}
        )
        _create_indexes(database, feed.collection, [keys], where={0: build_part_filter(parts)})


def build_part_filter(parts: Parts) -> dict[str, Any]:
    """Which facts are parts: as their index is asked, word for word."""
    return {parts.key_name: {"$type": "string"}}


def _create_view(
    database: Database[Document], view: View, found: Mapping[str, Mapping[str, Any]]
) -> None:
    pipeline = list(view.pipeline)
    if view.name not in found:
        try:
            database.create_collection(
                view.name, check_exists=False, viewOn=view.collection, pipeline=pipeline
            )
        except CollectionInvalid:
            pass  # another migrate was faster
        else:
            return
    if found.get(view.name, {}).get("pipeline") != pipeline:
        database.command("collMod", view.name, viewOn=view.collection, pipeline=pipeline)


def build_indexes(feed: Feed[Record]) -> list[Keys]:
    """The feed's own indexes and the one by arrival, which the audit reads offset ranges with."""
    return [*(_build_keys(feed.fields, index) for index in feed.indexes), _ARRIVAL_KEYS]


def build_state_indexes(projection: Projection) -> list[Keys]:
    """The projection's own, and its key where that has several fields, for people ask by them."""
    keys = [Index(fields=projection.key_names)] if len(projection.key_names) > 1 else []
    wanted = [*projection.indexes, *keys]
    return [_build_keys(projection.fields, index) for index in wanted]


def _build_keys(fields: Sequence[Field], index: Index) -> Keys:
    named = {field.name: field for field in fields}
    return {
        stored_name(named[name.removeprefix("-")]): DESCENDING
        if name.startswith("-")
        else ASCENDING
        for name in index.fields
    }


def build_validator(feed: Feed[Record]) -> dict[str, Any]:
    """What every document of the feed must be, as MongoDB checks it.

    It is the last guard against a loader with another idea of the feed. What a record need not have
    may be missing, and unknown fields pass, so that a loader of the version before or behind works.

    Written as a query: measured on quotes, a $jsonSchema that says the same cost the server 19 us a
    document, this 9 us, the insert itself 21 us.
    """
    unknown_arrival = feed.owned_by_platform  # an incident is written before Kafka has it
    arrival = (
        Field(name="arrival_topic_id", kind=FieldKind.TEXT, nullable=unknown_arrival),
        Field(name="arrival_part", kind=FieldKind.INTEGER, nullable=unknown_arrival),
        Field(name="arrival_offset", kind=FieldKind.INTEGER, nullable=unknown_arrival),
        Field(name="ts_append", kind=FieldKind.TIME_US, nullable=unknown_arrival),
    )
    return build_rules((*feed.fields, *arrival))


def build_rules(fields: Sequence[Field]) -> dict[str, Any]:
    """The validator of documents with these fields."""
    required = {
        name: {"$type": kind}
        for field in fields
        if not field.nullable
        for name, kind in _list_types(field)
    }
    wrong = [
        {name: {"$type": sorted(_BSON_TYPE_NAMES - {kind, "null"})}}
        for field in fields
        if field.nullable
        for name, kind in _list_types(field)
    ]
    # $type looks at an array and at what it holds: of other types, nothing may be there
    wrong += [
        {stored_name(field): {"$type": sorted(_BSON_TYPE_NAMES - {element, "array"})}}
        for field in fields
        if (element := _ELEMENT_TYPES.get(field.kind)) is not None
    ]
    return required | ({"$nor": wrong} if wrong else {})


def _list_types(field: Field) -> list[tuple[str, str]]:
    """The keys that hold a field, each with its BSON type."""
    types = [(stored_name(field), _BSON_TYPES[field.kind])]
    if field.kind is FieldKind.TIME_US:
        types.append((field.name, "date"))
    return types

"""What a feed declares, and the parts all records share.

Here: the type Feed, the shared field types, identity (event_id, content_hash). Not here: a feed
itself (one file each beside this one), bytes (codec.py), SQL and BSON (stores/).

A record is a frozen msgspec struct whose field names are the column names and the document keys;
its annotations say what a field is (FieldKind), so one declaration serves both stores, and the
contract suite holds the stores to it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from crypto_platform.domain.hours import TimeUs, from_time_us
from crypto_platform.domain.money import Amount

TEXT_LENGTH_MAX = 4096
EVENT_ID_LENGTH_MAX = 1024

Text = Annotated[str, msgspec.Meta(title="text")]
"""Text without NUL, which PostgreSQL cannot hold; the codec checks it, a column at a time."""

MappedText = Annotated[str, msgspec.Meta(title="mapped text")]
"""Text that we looked up in the table of currencies, which users extend: no part of the content, or
a record read again after the table changed would contradict itself. Stored as first found."""

Remark = Annotated[str, msgspec.Meta(title="remark")]
"""What the platform says of a matter in words; no part of the content either: a matter that comes
back is told with other numbers, and is the same fact."""

Amounts = Annotated[tuple[str, ...], msgspec.Meta(title="amounts")]
"""Amounts in stored form, in an order that matters."""

Texts = Annotated[tuple[str, ...], msgspec.Meta(title="texts")]
"""Texts, each as `Text`, in an order that matters."""

Flag = Annotated[bool, msgspec.Meta(title="flag")]

EventId = Annotated[str, msgspec.Meta(title="text")]
ContentHash = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1, title="integer")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53, title="integer")]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, title="integer")]


class FieldKind(Enum):
    """What a field is, and so how both stores keep it."""

    TEXT = auto()
    """PostgreSQL text, BSON string."""
    AMOUNT = auto()
    """numeric, Decimal128; stored form of domain/money.py."""
    AMOUNTS = auto()
    """numeric[], an array of Decimal128."""
    TEXTS = auto()
    """text[], an array of strings."""
    TIME_US = auto()
    """timestamptz; BSON int64 `<name>_us` beside a date `<name>` (dates hold milliseconds only)."""
    INTEGER = auto()
    """bigint, int64."""
    FLAG = auto()
    """boolean, bool."""
    BYTES = auto()
    """bytea, binary."""


_KIND_OF_TITLE = {
    "text": FieldKind.TEXT,
    "mapped text": FieldKind.TEXT,
    "remark": FieldKind.TEXT,
    "amount": FieldKind.AMOUNT,
    "amounts": FieldKind.AMOUNTS,
    "texts": FieldKind.TEXTS,
    "time_us": FieldKind.TIME_US,
    "integer": FieldKind.INTEGER,
    "flag": FieldKind.FLAG,
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a record, as the stores see it.

    Attributes:
        is_fact: False of a MappedText and a Remark.
    """

    name: str
    kind: FieldKind
    nullable: bool
    is_fact: bool = True


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=0, gc=False):
    """What every record has. Subclasses set `tag` to their schema version.

    Fields are scalars or tuples of scalars, so Python's garbage collector need not look at records
    (gc=False).

    Attributes:
        event_id: Deterministic name of the fact, the primary key in both stores; set by `seal`.
        content_hash: Digest of the facts, see `hash_content`; set by `seal`.
        ts_ingest: When the platform received it. All records of one poll share it.
    """

    event_id: EventId = ""
    content_hash: ContentHash = 0
    ts_ingest: TimeUs


R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)

NOT_FACTS = frozenset({"event_id", "content_hash", "ts_ingest"})
"""What a record says about itself or about us; never part of its content."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index beside the primary key, the same in both stores.

    Attributes:
        fields: Record fields, in order; a leading `-` means descending.
    """

    fields: tuple[str, ...]


class Step(StrEnum):
    """How much event time one partition of a table holds."""

    DAY = "day"
    MONTH = "month"

    def begin_of(self, time_us: int) -> datetime:
        """The beginning of the partition that holds this time; they begin at midnight UTC."""
        midnight = from_time_us(time_us).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Step.DAY else midnight.replace(day=1)


@dataclass(frozen=True, kw_only=True)
class Feed(Generic[R_co]):
    """One catalogue entry: a topic, its record, and where both stores keep it.

    Attributes:
        name: Name of the feed, plural.
        topic: Kafka topic without prefix; its dots become parts of asset keys.
        partitions: Of the topic, when it is created.
        record: The struct records of today have.
        versions: Union of the structs of every version ever written.
        key_of: Kafka key of a record; also the key in platform.touched.
        schema, table: PostgreSQL's names, singular.
        partition_step: Of the table, which is then partitioned by the record's `ts_event`; None
            keeps it in one piece.
        collection: MongoDB's name, plural.
        positive_names: Amounts that are above zero, or the record is refused.
        paired_names: Lists that hold equally many, or the record is refused.
        find_odd: What else a record has to be: from sound columns, by name, the places of those
            that are not, each with what is wrong.
        state_of: What a poll publishes only where it differs from the last of its key; the event_id
            where None.
        pace_s_min: Shortest time between two polls where the settings say nothing of this feed.
        keeps_topic: Whether Kafka, too, keeps every record for good.
        retention_days: Age of event time at which both stores forget a record, by whole partitions;
            None keeps it.
        indexes: Beside the primary key event_id.
        owned_by_platform: Written by the platform about itself (rejected, incidents).
        description: One sentence for the UI.
    """

    name: str
    topic: str
    partitions: int
    record: type[R_co]
    versions: type | UnionType
    key_of: Callable[[R_co], str]
    schema: str
    table: str
    partition_step: Step | None = None
    collection: str
    positive_names: tuple[str, ...] = ()
    paired_names: tuple[tuple[str, str], ...] = ()
    find_odd: Callable[[Mapping[str, Sequence[Any]]], Iterator[tuple[int, str]]] | None = None
    state_of: Callable[[R_co], object] | None = None
    pace_s_min: float = 0.0
    keeps_topic: bool = False
    retention_days: int | None = None
    indexes: tuple[Index, ...] = ()
    owned_by_platform: bool = False
    description: str

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The record's fields in declared order."""
        return fields_of(self.record)

    @cached_property
    def amount_names(self) -> tuple[str, ...]:
        """The fields that hold amounts."""
        return tuple(field.name for field in self.fields if field.kind is FieldKind.AMOUNT)

    @cached_property
    def event_time_place(self) -> int | None:
        """Which field is `ts_event`, the source's own time; None where the feed has none."""
        names = [field.name for field in self.fields]
        return names.index("ts_event") if "ts_event" in names else None

    def event_time_of(self, record: Record) -> int | None:
        """The record's own time; None where the source gave none."""
        place = self.event_time_place
        return None if place is None else msgspec.structs.astuple(record)[place]

    @cached_property
    def asset_path(self) -> tuple[str, ...]:
        """The topic's name as asset key parts: market.quotes -> (market, quotes)."""
        return tuple(self.topic.split("."))


@cache
def fields_of(record: type[Record]) -> tuple[Field, ...]:
    """A record's fields in declared order."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(_field(info.name, hints[info.name]) for info in msgspec.structs.fields(record))


def _field(name: str, hint: object) -> Field:
    members = get_args(hint) if get_origin(hint) is not Annotated else (hint,)
    nullable = NoneType in members
    [inner] = [member for member in members if member is not NoneType] or [hint]
    is_fact = inner not in {MappedText, Remark}
    return Field(name=name, kind=_kind(name, inner), nullable=nullable, is_fact=is_fact)


def _kind(name: str, hint: object) -> FieldKind:
    if hint is bytes:
        return FieldKind.BYTES
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.title in _KIND_OF_TITLE:
            return _KIND_OF_TITLE[meta.title]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return FieldKind.TEXT
    known = "Text, StrEnum, Texts, Amount, Amounts, TimeUs, Count, Flag, bytes"
    message = f"field {name}: {hint} is none of {known}"
    raise TypeError(message)


def hash_content(facts: Mapping[str, object]) -> int:
    """64-bit digest of facts: a signed int64, so that both stores hold it natively, and never 0.

    Args:
        facts: Known facts by field name: amounts in stored form, times in the source's full
            precision. An unknown one is left out, so that a field added later changes no old hash.

    Source: blake2b (RFC 7693) over the facts as a JSON object in order of names.
    """
    known = {name: facts[name] for name in sorted(facts) if facts[name] is not None}
    digest = hashlib.blake2b(msgspec.json.encode(known), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def hash_facts(record: Record) -> int:
    """`hash_content` of a record's facts."""
    names = _name_facts(type(record))
    return hash_content({name: getattr(record, name) for name in names})


@cache
def _name_facts(record: type[Record]) -> tuple[str, ...]:
    fields = fields_of(record)
    return tuple(each.name for each in fields if each.name not in NOT_FACTS and each.is_fact)


def build_event_id(*parts: str | int | None) -> str:
    """Join the parts of an identity; unknown is `-`, and no part can imitate a border."""
    return ":".join(
        "-" if part is None else str(part).replace("%", "%25").replace(":", "%3A") for part in parts
    )


def seal(draft: R, *, identity: Iterable[str | int | None], content_in_id: bool = False) -> R:
    """Give a draft its content hash and event id.

    Args:
        draft: A record with all its facts.
        identity: What the source calls the thing, most general part first.
        content_in_id: True where the source may say something else under the same identity.
    """
    digest = hash_facts(draft)
    content = (f"{digest & (2**64 - 1):016x}",) if content_in_id else ()
    event_id = build_event_id(*identity, *content)
    return msgspec.structs.replace(draft, event_id=event_id, content_hash=digest)


__all__ = [
    "NOT_FACTS",
    "Amount",
    "Amounts",
    "ContentHash",
    "Count",
    "EventId",
    "Feed",
    "Field",
    "FieldKind",
    "Flag",
    "Index",
    "MappedText",
    "Offset",
    "Record",
    "Remark",
    "Step",
    "Text",
    "Texts",
    "TimeUs",
    "build_event_id",
    "fields_of",
    "hash_content",
    "hash_facts",
    "seal",
]

"""What a record and a state are made of: fields of a few kinds that both stores can keep.

Here: the kinds and types of fields, the bases of records and states. Not here: what a feed declares
(feed.py), what is derived (projection.py).

Records and states are frozen msgspec structs whose field names are the column names and the
document keys; their annotations say what a field is (FieldKind), so one declaration serves both
stores, and the contract suite holds the stores to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from functools import cache
from types import NoneType
from typing import Annotated, TypeGuard, get_args, get_origin, get_type_hints

import msgspec

from crypto_platform.domain.hours import TimeUs

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
        members: By their text, what a StrEnum can be; empty of any other field.
    """

    name: str
    kind: FieldKind
    nullable: bool
    is_fact: bool = True
    members: Mapping[str, StrEnum] = field(default_factory=dict[str, StrEnum], compare=False)

    def find_member(self, text: str | None) -> str | None:
        """The StrEnum's member a store keeps as text; what is none (see the audit) stays text."""
        return None if text is None else self.members.get(text, text)


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=0, gc=False):
    """What every record has. Subclasses set `tag` to their schema version.

    Fields are scalars or tuples of scalars, so Python's garbage collector need not look at records
    (gc=False).

    Attributes:
        event_id: Deterministic name of the fact, the primary key in both stores.
        content_hash: 64-bit digest of the facts; both are set by `seal`.
        ts_ingest: When the platform received it. All records of one poll share it.
    """

    event_id: EventId = ""
    content_hash: ContentHash = 0
    ts_ingest: TimeUs


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is current of one thing: the word of the last event about it.

    Attributes:
        sequence: Of that event; a state with a higher one takes its place.
    """

    sequence: Count


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index beside the primary key, the same in both stores.

    Attributes:
        fields: In order; a leading `-` means descending.
        where: A flag; what does not have it is not in the index.
    """

    fields: tuple[str, ...]
    where: str | None = None


@cache
def list_fields(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """A struct's fields in declared order."""
    hints = get_type_hints(struct, include_extras=True)
    return tuple(_field(info.name, hints[info.name]) for info in msgspec.structs.fields(struct))


def _field(name: str, hint: object) -> Field:
    members = get_args(hint) if get_origin(hint) is not Annotated else (hint,)
    nullable = NoneType in members
    [inner] = [member for member in members if member is not NoneType] or [hint]
    is_fact = inner not in {MappedText, Remark}
    return Field(
        name=name,
        kind=_kind(name, inner),
        nullable=nullable,
        is_fact=is_fact,
        members={member.value: member for member in inner} if _is_enum(inner) else {},
    )


def _is_enum(hint: object) -> TypeGuard[type[StrEnum]]:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


def _kind(name: str, hint: object) -> FieldKind:
    if hint is bytes:
        return FieldKind.BYTES
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.title in _KIND_OF_TITLE:
            return _KIND_OF_TITLE[meta.title]
    if _is_enum(hint):
        return FieldKind.TEXT
    known = "Text, StrEnum, Texts, Amount, Amounts, TimeUs, Count, Flag, bytes"
    message = f"field {name}: {hint} is none of {known}"
    raise TypeError(message)

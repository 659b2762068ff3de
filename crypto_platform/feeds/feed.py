"""What a feed declares.

Here: the type Feed, identity (event_id, content_hash). Not here: a feed itself (one file each
beside this one), what a record is made of (record.py), bytes (codec.py), SQL and BSON (stores/).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from types import UnionType
from typing import Any, Generic, TypeVar

import msgspec

from crypto_platform.domain.hours import TimeUs, from_time_us
from crypto_platform.domain.money import Amount
from crypto_platform.feeds.projection import Projection
from crypto_platform.feeds.record import (
    EVENT_ID_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Amounts,
    ContentHash,
    Count,
    EventId,
    Field,
    FieldKind,
    Flag,
    Index,
    MappedText,
    Offset,
    Record,
    Remark,
    State,
    Text,
    Texts,
    list_fields,
)

R = TypeVar("R", bound=Record)
R_co = TypeVar("R_co", bound=Record, covariant=True)

NOT_FACTS = frozenset({"event_id", "content_hash", "ts_ingest"})
"""What a record says about itself or about us; never part of its content."""


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
        key_of: Kafka key of a record; also the key in the notes of `notes_hours`.
        schema, table: PostgreSQL's names, singular.
        partition_step: Of the table, which is then partitioned by the record's `ts_event`; None
            keeps it in one piece.
        collection: MongoDB's name, plural.
        positive_names: Amounts that are above zero, or the record is refused.
        paired_names: Lists that hold equally many, or the record is refused.
        find_odd: What else a record has to be: from sound columns, by name, the places of those
            that are not, each with what is wrong.
        state_of: What a poll publishes only where it differs from the last one; the event_id where
            None.
        state_key_of: Of whose records the last one is meant; those of its Kafka key where None.
        pace_s_min: Shortest time between two polls where the settings say nothing of this feed.
        projections: What is derived from the records, kept beside them in the same transactions.
        keeps_topic: Whether Kafka, too, keeps every record for good.
        retention_days: Age of event time at which both stores forget a record, by whole partitions;
            None keeps it.
        indexes: Beside the primary key event_id.
        notes_hours: Loads note which hours of event time they changed (platform.touched): analytics
            makes something of the feed, and takes the notes away again.
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
    state_key_of: Callable[[R_co], str] | None = None
    pace_s_min: float = 0.0
    projections: tuple[Projection, ...] = ()
    keeps_topic: bool = False
    retention_days: int | None = None
    indexes: tuple[Index, ...] = ()
    notes_hours: bool = False
    owned_by_platform: bool = False
    description: str

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The record's fields in declared order."""
        return list_fields(self.record)

    @cached_property
    def amount_names(self) -> tuple[str, ...]:
        """The fields that hold amounts."""
        return tuple(field.name for field in self.fields if field.kind is FieldKind.AMOUNT)

    @cached_property
    def event_time_place(self) -> int | None:
        """Which field is `ts_event`, the source's own time; None where the feed has none."""
        names = [field.name for field in self.fields]
        return names.index("ts_event") if "ts_event" in names else None

    @cached_property
    def last_by(self) -> tuple[tuple[str, ...], str]:
        """By which fields what it tells of is told apart, and by which time the last is known.

        Both stores find that by the feed's first index: its rising fields, and its first falling
        one.
        """
        fields = self.indexes[0].fields
        names = tuple(name for name in fields if not name.startswith("-"))
        return names, next(name[1:] for name in fields if name.startswith("-"))

    def event_time_of(self, record: Record) -> int | None:
        """The record's own time; None where the source gave none."""
        place = self.event_time_place
        return None if place is None else msgspec.structs.astuple(record)[place]

    @cached_property
    def asset_path(self) -> tuple[str, ...]:
        """The topic's name as asset key parts: market.quotes -> (market, quotes)."""
        return tuple(self.topic.split("."))


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
    fields = list_fields(record)
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
    "EVENT_ID_LENGTH_MAX",
    "NOT_FACTS",
    "TEXT_LENGTH_MAX",
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
    "Projection",
    "Record",
    "Remark",
    "State",
    "Step",
    "Text",
    "Texts",
    "TimeUs",
    "build_event_id",
    "hash_content",
    "hash_facts",
    "seal",
]

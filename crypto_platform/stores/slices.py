"""What a load writes, a range of one partition at a time, and what became of it.

Here: records with their arrivals in columns, what is no record, the range of both. Not here: who
may write it (claims.py), how the account of ranges is kept (batches.py).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import Columns, to_columns
from crypto_platform.stores.claims import Claim, TopicPart


class Arrival(NamedTuple):
    """A record and where it lies in Kafka; ts_append in microseconds."""

    record: Record
    offset: int
    ts_append: int


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Records and where they lie in Kafka, a column each: what a load handles by the thousand.

    Attributes:
        records: In order of offset.
        columns: The records' fields, in the feed's order: event_id, content_hash, …; empty where
            there is no record.
        keys: Their Kafka keys.
        offsets: Rising.
        ts_appends: Microseconds.
    """

    records: Sequence[Record] = ()
    columns: Columns = ()
    keys: Sequence[bytes | None] = ()
    offsets: Sequence[int] = ()
    ts_appends: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Arrival:
        return Arrival(self.records[index], self.offsets[index], self.ts_appends[index])

    @property
    def event_ids(self) -> Sequence[str]:
        """In order of offset."""
        return cast("Sequence[str]", self.columns[0] if self.columns else ())

    @property
    def content_hashes(self) -> Sequence[int]:
        """In order of offset."""
        return cast("Sequence[int]", self.columns[1] if self.columns else ())

    def named(self, feed: Feed[Record]) -> Mapping[str, Sequence[object]]:
        """The columns by field name."""
        names = [field.name for field in feed.fields]
        return dict(zip(names, self.columns or [()] * len(names), strict=True))

    def event_times(self, feed: Feed[Record]) -> Sequence[int]:
        """Those the source gave, in order of offset; microseconds."""
        place = feed.event_time_place
        column = () if place is None or not self.columns else self.columns[place]
        return [cast("int", time) for time in column if time is not None]

    def take(self, indexes: Sequence[int]) -> "Arrivals":
        """Only these, in the given order."""
        return Arrivals(
            records=[self.records[index] for index in indexes],
            columns=tuple(tuple([column[i] for i in indexes]) for column in self.columns),
            keys=[self.keys[index] for index in indexes],
            offsets=[self.offsets[index] for index in indexes],
            ts_appends=[self.ts_appends[index] for index in indexes],
        )


def build_arrivals(arrivals: Sequence[Arrival], *, feed: Feed[Record]) -> Arrivals:
    """The same as columns, for a few records in hand; keys are the feed's own."""
    records = [arrival.record for arrival in arrivals]
    return Arrivals(
        records=records,
        columns=to_columns(records),
        keys=[feed.key_of(record).encode() for record in records],
        offsets=[arrival.offset for arrival in arrivals],
        ts_appends=[arrival.ts_append for arrival in arrivals],
    )


class Refusal(NamedTuple):
    """A Kafka value that is no record, kept as it came."""

    offset: int
    ts_append: int
    reason: Reason
    error: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A contiguous range of one partition within one hour of append time.

    Several slices of one partition in a commit follow one another without a gap. `first_offset` is
    the next_offset the store has (or the previous slice leaves). Markers count: a slice may hold no
    record at all.

    Attributes:
        hour: First microsecond of the hour (running maximum of append times).
        max_ts_append: That running maximum at the end of the slice.
        leader_epoch: What the consumer's position said, None to keep the stored one.
        encoded: The arrivals as `Store.encode` has them ready; that store's own business.
    """

    claim: Claim
    hour: int
    first_offset: int
    next_offset: int
    max_ts_append: int
    leader_epoch: int | None
    arrivals: Arrivals = Arrivals()
    refusals: Sequence[Refusal] = ()
    encoded: object = None


def without_offsets(slice_: Slice, offsets: Collection[int]) -> Slice:
    """The same range without the records at these offsets."""
    own = enumerate(slice_.arrivals.offsets)
    kept = [index for index, offset in own if offset not in offsets]
    if len(kept) == len(slice_.arrivals):
        return slice_
    return replace(slice_, arrivals=slice_.arrivals.take(kept), encoded=None)


def describe_gap(slice_: Slice, next_offset: int) -> str:
    """Why a restored range that moves the offset is refused."""
    part = slice_.claim.partition.part
    return (
        f"{slice_.claim.topic}/{part}: a restored range begins at offset {slice_.first_offset}, "
        f"the store stands at {next_offset}: nothing was written, the same command plans it anew"
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one commit did.

    Attributes:
        fenced: Partitions whose claim was taken over; nothing of theirs was written.
        stored_records: Per feed name, rows or documents that are new.
        repeated_records: Same id, same content: already there.
        quarantined_records: Refusals and conflicts.
    """

    fenced: frozenset[TopicPart] = frozenset()
    stored_records: Mapping[str, int] = field(default_factory=dict[str, int])
    repeated_records: int = 0
    quarantined_records: int = 0

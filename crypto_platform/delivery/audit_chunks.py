"""Cut what Kafka holds of a partition into chunks: decoded, in one hour, without a gap. Pure.

Here: the Kafka side of the audit's sums. Not here: what a store holds of a chunk (audit_ranges.py).

**How far a value is decoded.** All rules of a feed cost twenty times what its id and hash do
(measured on quotes with 14 amounts: 12 and 0.6 us). So a chunk takes ids and hashes from whatever
has them in a known schema version, and keeps the bytes. A value that a load has to refuse is
nowhere among a store's rows: the store's quarantine names it, or the sums differ; `sift` then
decodes by all rules and says which values are no record. What remains is a value that should have
been refused and was stored: the deep audit, which sifts everything, finds it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Annotated, Any, NamedTuple, cast, get_args

import msgspec

from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.reader import RawRecord
from crypto_platform.stores.sums import Sum, sum_of

CHUNK_OFFSETS_MAX = 20_000
"""Offsets compared at a time: one sum's work, and 20,000 ids and hashes in memory."""

CHUNK_BYTES_MAX = 16 * 1024 * 1024
"""Of the values kept; one more batch of the reader may come on top."""

VALUE_BYTES_MAX = 2**63 - 1
"""The size limit is a setting that may have changed since; what was stored is a record."""


class _Head(msgspec.Struct, gc=False):
    """What a sum needs of a value."""

    v: int = 0
    event_id: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    content_hash: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0


_decode_head = msgspec.json.Decoder(_Head).decode


class SeenRecord(NamedTuple):
    """A record in Kafka, as far as a comparison needs it."""

    offset: int
    event_id: str
    content_hash: int


class Refused(NamedTuple):
    """A value that is no record, as it came."""

    reason: Reason
    value: bytes | None


class Firsts(NamedTuple):
    """Distinct ids with their first content.

    Attributes:
        contradicted: Another content came later under one of them.
    """

    hashes: Mapping[str, int]
    total: Sum
    contradicted: bool


@dataclass(kw_only=True)
class Chunk:
    """A half-open range of one partition within one hour (running maximum of append times).

    Attributes:
        hour: First microsecond, None where nothing but markers has been seen yet.
        offsets, ids, hashes, values: Columns of its records, in order of offset.
        refused: By offset, as far as values have been looked at, see the module's text.
        is_sifted: All of them have.
    """

    feed: Feed[Record]
    first_offset: int
    next_offset: int = 0
    hour: int | None = None
    offsets: list[int] = field(default_factory=list[int])
    ids: list[str] = field(default_factory=list[str])
    hashes: list[int] = field(default_factory=list[int])
    values: list[bytes] = field(default_factory=list[bytes])
    refused: dict[int, Refused] = field(default_factory=dict[int, Refused])
    value_bytes: int = 0
    is_sifted: bool = False

    @property
    def is_empty(self) -> bool:
        """No value has been taken yet."""
        return not self.offsets and not self.refused

    @property
    def records(self) -> Iterator[SeenRecord]:
        """Row by row; for the few chunks that are looked at singly."""
        return map(SeenRecord._make, zip(self.offsets, self.ids, self.hashes, strict=True))

    @cached_property
    def firsts(self) -> Firsts:
        """Its distinct ids while nothing is in quarantine; asked when the chunk is complete."""
        return _list_firsts(self.ids, self.hashes)

    def firsts_without(self, held: AbstractSet[int]) -> Firsts:
        """The distinct ids of the records whose offset is not in quarantine."""
        if not held:
            return self.firsts
        kept = [record for record in self.records if record.offset not in held]
        return _list_firsts(
            [record.event_id for record in kept], [record.content_hash for record in kept]
        )

    def sift(self, offsets: Collection[int] | None = None) -> "Chunk":
        """The chunk with the values at these offsets (None: all) looked at by all rules."""
        if self.is_sifted:
            return self
        refused: dict[int, Refused] = {}
        for offset, value in zip(self.offsets, self.values, strict=True):
            if offsets is None or offset in offsets:
                seen = _look_at(self.feed, value)
                if isinstance(seen, Refused):
                    refused[offset] = seen
        sifted = self.without(refused) if refused else replace(self)
        sifted.is_sifted = offsets is None
        return sifted

    def without(self, refused: Mapping[int, Refused]) -> "Chunk":
        """The chunk after these of its values turned out to be no records."""
        rows = zip(self.offsets, self.ids, self.hashes, self.values, strict=True)
        kept = [row for row in rows if row[0] not in refused]
        offsets, ids, hashes, values = ([row[column] for row in kept] for column in range(4))
        return replace(
            self,
            offsets=offsets,
            ids=ids,
            hashes=hashes,
            values=values,
            refused={**self.refused, **refused},
        )

    def find_event_time(self, offset: int) -> int | None:
        """When the record at an offset happened, where it says so."""
        seen = _look_at(self.feed, self.values[bisect_left(self.offsets, offset)])
        return None if isinstance(seen, Refused) else self.feed.event_time_of(seen)

    def take(self, run: Sequence[RawRecord]) -> None:
        """Add values of its range."""
        offsets, _, _, values = map(list, zip(*run, strict=True))
        try:
            heads = [_decode_head(value) for value in values]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
            heads = []
        known = versions_of(self.feed)
        if heads and all(each.v in known and each.event_id and each.content_hash for each in heads):
            self.offsets += offsets
            self.ids += [each.event_id for each in heads]
            self.hashes += [each.content_hash for each in heads]
            self.values += values
        else:
            self._take_singly(run)
        self.value_bytes += sum([len(value) for value in values if value is not None])

    def _take_singly(self, run: Sequence[RawRecord]) -> None:
        for record in run:
            seen = _look_at(self.feed, record.value)
            if isinstance(seen, Refused):
                self.refused[record.offset] = seen
            else:
                self.offsets.append(record.offset)
                self.ids.append(seen.event_id)
                self.hashes.append(seen.content_hash)
                self.values.append(record.value or b"")


def _list_firsts(ids: Sequence[str], hashes: Sequence[int]) -> Firsts:
    found = dict(zip(ids, hashes, strict=True))
    if len(found) == len(ids):
        return Firsts(found, sum_of(hashes), contradicted=False)
    contradicted = False
    found = dict[str, int]()
    for event_id, content_hash in zip(ids, hashes, strict=True):
        if found.setdefault(event_id, content_hash) != content_hash:
            contradicted = True
    return Firsts(found, sum_of(list(found.values())), contradicted)


def _look_at(feed: Feed[Record], value: bytes | None) -> Record | Refused:
    """Whether a value is a record, by all rules."""
    try:
        return decode(feed, value, record_bytes_max=VALUE_BYTES_MAX)
    except RecordRejectedError as error:
        return Refused(error.reason, value)


@cache
def versions_of(feed: Feed[Record]) -> frozenset[object]:
    """The schema versions (`v`) that a feed's values may have."""
    structs = cast("Iterable[Any]", get_args(feed.versions) or (feed.versions,))
    return frozenset(each.__struct_config__.tag for each in structs)


class Recent:
    """Ids of the chunks just before, in which nothing was wrong: nearly all repeats are of those.

    The first round of a run publishes again what the last one of its predecessor had. Such an id is
    proved to be stored, where it first arrived; the sums of a later chunk are compared without it.
    """

    def __init__(self, ids_max: int = 2 * CHUNK_OFFSETS_MAX) -> None:
        self._ids_max = ids_max
        self._chunks: list[Mapping[str, int]] = []

    def find_repeats(self, firsts: Firsts) -> tuple[frozenset[str], bool]:
        """The ids seen with the same content, and whether one was seen with another."""
        repeats: set[str] = set()
        contradicted = False
        for before in self._chunks:
            for event_id in before.keys() & firsts.hashes.keys():
                if before[event_id] == firsts.hashes[event_id]:
                    repeats.add(event_id)
                else:
                    contradicted = True
        return frozenset(repeats), contradicted

    def add(self, firsts: Firsts) -> None:
        """Note a chunk, and forget the oldest."""
        self._chunks.append(firsts.hashes)
        while sum(map(len, self._chunks)) > self._ids_max and len(self._chunks) > 1:
            del self._chunks[0]

    def forget(self) -> None:
        """Nothing is proved of what came before."""
        self._chunks = []


def leave_out(firsts: Firsts, repeats: AbstractSet[str]) -> Sum:
    """The sum of the distinct ids without some of them."""
    if not repeats:
        return firsts.total
    less = sum_of([firsts.hashes[event_id] for event_id in repeats])
    total = firsts.total
    return Sum(total.count - less.count, total.high - less.high, total.low - less.low)


def cut_chunks(
    feed: Feed[Record],
    batches: Iterable[Sequence[RawRecord]],
    *,
    first_offset: int,
    next_offset: int,
    borders: Iterable[int] = (),
    first_hour: int = 0,
    offsets_max: int = CHUNK_OFFSETS_MAX,
    bytes_max: int = CHUNK_BYTES_MAX,
) -> Iterator[Chunk]:
    """Take a range of Kafka and cut it into chunks that leave no offset out.

    Hours follow the running maximum of append times, which is what offsets_for_times finds too: the
    first offset appended at or after a time is where that maximum first reaches it.

    Args:
        batches: All values of the range in order of offset.
        borders: Offsets at which a chunk has to end.
        first_hour: The hour reached before the range; a clock that went back is below it.
    """
    limits = sorted({border for border in borders if border > first_offset} | {next_offset})
    limit = _limiter(limits, offsets_max)
    chunk = Chunk(feed=feed, first_offset=first_offset)
    end = limit(first_offset)
    reached_us = first_hour
    for batch in batches:
        start = 0
        while start < len(batch):
            value = batch[start]
            while value.offset >= end:
                yield _close(chunk, end)
                chunk = Chunk(feed=feed, first_offset=end, hour=chunk.hour)
                end = limit(end)
            hour = hour_of(max(reached_us, value.ts_append))
            is_full = chunk.value_bytes >= bytes_max
            if (chunk.hour != hour or is_full) and not chunk.is_empty:
                yield _close(chunk, value.offset)
                chunk = Chunk(feed=feed, first_offset=value.offset)
                end = limit(value.offset)
            chunk.hour = hour
            stop, reached_us = _find_stop(batch, start, end=end, reached_us=reached_us)
            chunk.take(batch[start:stop])
            start = stop
    while chunk.first_offset < next_offset:
        yield _close(chunk, end)
        chunk = Chunk(feed=feed, first_offset=end, hour=chunk.hour)
        end = limit(end)


def _find_stop(
    batch: Sequence[RawRecord], start: int, *, end: int, reached_us: int
) -> tuple[int, int]:
    """Behind the values from `start` on that are of its hour and below `end`; and the time then."""
    reached_us = max(reached_us, batch[start].ts_append)
    last_us = max([record.ts_append for record in batch[start:]])
    if batch[-1].offset < end and hour_of(max(last_us, reached_us)) == hour_of(reached_us):
        return len(batch), max(last_us, reached_us)
    hour = hour_of(reached_us)
    for stop in range(start + 1, len(batch)):
        now_us = max(reached_us, batch[stop].ts_append)
        if batch[stop].offset >= end or hour_of(now_us) != hour:
            return stop, reached_us
        reached_us = now_us
    return len(batch), reached_us


def _limiter(limits: Sequence[int], offsets_max: int) -> Callable[[int], int]:
    def limit(first_offset: int) -> int:
        index = bisect_right(limits, first_offset)
        border = limits[index] if index < len(limits) else limits[-1]
        return min(first_offset + offsets_max, border)

    return limit


def _close(chunk: Chunk, next_offset: int) -> Chunk:
    chunk.next_offset = next_offset
    return chunk

"""Cut what Kafka holds of a partition into chunks: decoded, in one hour, without a gap. Pure.

Here: the Kafka side of the audit's sums. Not here: what a store holds of a chunk (audit_ranges.py).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.reader import RawRecord
from crypto_platform.stores.base import Sum, sum_of

CHUNK_OFFSETS_MAX = 20_000
"""Offsets compared at a time: bounds memory (ids and hashes, not values) and one sum's work."""

_NO_LIMIT = 2**63 - 1
"""The size limit is a setting that may have changed since; what was stored is a record."""


class SeenRecord(NamedTuple):
    """A record in Kafka, as far as sums need it; its bytes are gone."""

    offset: int
    event_id: str
    content_hash: int


@dataclass(kw_only=True)
class Chunk:
    """A half-open range of one partition within one hour (running maximum of append times).

    Attributes:
        hour: First microsecond, None where nothing but markers has been seen yet.
        refused: Offset -> reason of values that are no record.
    """

    first_offset: int
    next_offset: int = 0
    hour: int | None = None
    records: list[SeenRecord] = field(default_factory=list)
    refused: dict[int, Reason] = field(default_factory=dict)

    @cached_property
    def firsts(self) -> "Firsts":
        """Its distinct ids while nothing is in quarantine; asked when the chunk is complete."""
        return list_firsts(self.records, frozenset())


class Firsts(NamedTuple):
    """Distinct ids with their first content.

    Attributes:
        contradicted: Another content came later under one of them.
    """

    hashes: Mapping[str, int]
    total: Sum
    contradicted: bool


def list_firsts(records: Iterable[SeenRecord], held: AbstractSet[int]) -> Firsts:
    """The distinct ids of those records whose offset is not in quarantine."""
    hashes: dict[str, int] = {}
    contradicted = False
    for offset, event_id, content_hash in records:
        if offset not in held and hashes.setdefault(event_id, content_hash) != content_hash:
            contradicted = True
    return Firsts(hashes, sum_of(list(hashes.values())), contradicted)


def cut_chunks(
    feed: Feed[Record],
    batches: Iterable[Sequence[RawRecord]],
    *,
    first_offset: int,
    next_offset: int,
    borders: Iterable[int] = (),
    chunk_offsets_max: int = CHUNK_OFFSETS_MAX,
) -> Iterator[Chunk]:
    """Decode a range of Kafka and cut it into chunks that leave no offset out.

    Hours follow the running maximum of append times, which is what offsets_for_times finds too: the
    first offset appended at or after a time is where that maximum first reaches it.

    Args:
        batches: All values of the range in order of offset.
        borders: Offsets at which a chunk has to end.
    """
    limits = sorted({border for border in borders if border > first_offset} | {next_offset})
    chunk = Chunk(first_offset=first_offset)
    end = _limit(first_offset, limits, chunk_offsets_max)
    max_ts_append = 0
    for value in (value for batch in batches for value in batch):
        while value.offset >= end:
            yield _close(chunk, end)
            chunk = Chunk(first_offset=end, hour=chunk.hour)
            end = _limit(end, limits, chunk_offsets_max)
        max_ts_append = max(max_ts_append, value.ts_append)
        hour = hour_of(max_ts_append)
        if chunk.hour != hour and (chunk.records or chunk.refused):
            yield _close(chunk, value.offset)
            chunk = Chunk(first_offset=value.offset)
            end = _limit(value.offset, limits, chunk_offsets_max)
        chunk.hour = hour
        _take(feed, value, chunk)
    while chunk.first_offset < next_offset:
        yield _close(chunk, end)
        chunk = Chunk(first_offset=end, hour=chunk.hour)
        end = _limit(end, limits, chunk_offsets_max)


def _limit(first_offset: int, limits: Sequence[int], chunk_offsets_max: int) -> int:
    index = bisect_right(limits, first_offset)
    border = limits[index] if index < len(limits) else limits[-1]
    return min(first_offset + chunk_offsets_max, border)


def _close(chunk: Chunk, next_offset: int) -> Chunk:
    chunk.next_offset = next_offset
    return chunk


def _take(feed: Feed[Record], value: RawRecord, chunk: Chunk) -> None:
    try:
        record = decode(feed, value.value, record_bytes_max=_NO_LIMIT)
    except RecordRejectedError as error:
        chunk.refused[value.offset] = error.reason
    else:
        chunk.records.append(SeenRecord(value.offset, record.event_id, record.content_hash))

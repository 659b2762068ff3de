"""One slice on its way into the store, and what becomes of its records.

Here: values and the decision which record is new, repeated or a conflict, without I/O. Not here:
statements (writer.py, bookkeeping.py).
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from bson.raw_bson import RawBSONDocument

from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record, codec
from crypto_platform.stores.base import Arrival, Refusal, Slice, Sum, sum_of
from crypto_platform.stores.mongo.documents import ArrivalEncoder, Documents

documents_of = cache(Documents)
"""The Documents of a feed, built once."""

ENCODE_RECORDS = 1000
"""Encoded at a time, so that the server works on one step while the next is built."""


class Piece:
    """A slice and its documents, which stay the same however often the transaction is repeated.

    Attributes:
        invalid: Why the server refused a document: index of the arrival -> its error.
    """

    def __init__(self, slice_: Slice) -> None:
        """Nothing is encoded yet."""
        self.slice = slice_
        self.invalid: dict[int, str] = {}
        self._documents: list[RawBSONDocument] = []

    @property
    def feed(self) -> Feed[Record]:
        """Whose records these are."""
        return self.slice.claim.feed

    def valid_indexes(self) -> Sequence[int]:
        """Of the arrivals that the server has not refused."""
        everything = range(len(self.slice.arrivals))
        if not self.invalid:
            return everything
        return [index for index in everything if index not in self.invalid]

    def encode(self, indexes: Sequence[int]) -> Iterator[RawBSONDocument]:
        """The documents of these arrivals, encoded a step ahead of their use, and once."""
        for index in indexes:
            while index >= len(self._documents):
                self._encode_step()
            yield self._documents[index]

    def _encode_step(self) -> None:
        start = len(self._documents)
        arrivals = self.slice.arrivals[start : start + ENCODE_RECORDS]
        where = ArrivalEncoder(*self.slice.claim.partition)
        encoded = documents_of(self.feed).encode(
            [record for record, _, _ in arrivals],
            [where.encode(offset, ts_append) for _, offset, ts_append in arrivals],
        )
        self._documents += [RawBSONDocument(document) for document in encoded]


@dataclass(kw_only=True)
class Tally:
    """What one attempt did with a piece.

    Attributes:
        stored_hashes: Content hashes of the records that are new.
        conflicts: Arrivals whose id has another content, each with what was found.
    """

    stored_hashes: list[int] = field(default_factory=list)
    repeated: int = 0
    conflicts: list[tuple[Arrival, str]] = field(default_factory=list)

    @property
    def stored(self) -> Sum:
        """Count and hash sum of what is new."""
        return sum_of(self.stored_hashes)


class Stored(NamedTuple):
    """What the store, or this batch before, holds under an id.

    Attributes:
        arrived: False for an incident that its load wrote before Kafka had it.
    """

    content_hash: int
    arrived: bool


class SortedOut(NamedTuple):
    """Indexes of a piece's arrivals, by what has to be done.

    Attributes:
        new: To insert.
        unarrived: There, and only their arrival is missing.
    """

    new: list[int]
    unarrived: list[int]


def order_slices(slices: Sequence[Slice]) -> list[Slice]:
    """By partition, as locks are taken, and by offset, as a lower one wins a conflict."""
    ordered = sorted(slices, key=lambda each: (each.claim.partition, each.first_offset))
    for before, after in itertools.pairwise(ordered):
        if before.claim.partition == after.claim.partition:
            assert before.next_offset == after.first_offset, "slices of a partition have a gap"
    return ordered


def split_by_size(
    documents: Iterable[RawBSONDocument], *, bytes_max: int
) -> Iterator[list[RawBSONDocument]]:
    """Cut documents into commands that stay within the limits; one alone may be larger."""
    chunk: list[RawBSONDocument] = []
    size_bytes = 0
    for document in documents:
        length = len(document.raw)
        if chunk and (size_bytes + length > bytes_max or len(chunk) >= ENCODE_RECORDS):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(document)
        size_bytes += length
    if chunk:
        yield chunk


def sort_out(piece: Piece, known: dict[str, Stored], tally: Tally) -> SortedOut:
    """Decide on each arrival by what is known under its id: the first content wins.

    Args:
        piece: Whose valid arrivals are looked at, by offset.
        known: The store's, to which this adds what is new; so a later piece meets it.
        tally: Gets what is stored, repeated or in conflict.
    """
    sorted_out = SortedOut([], [])
    for index in piece.valid_indexes():
        arrival = piece.slice.arrivals[index]
        event_id, content_hash = arrival.record.event_id, arrival.record.content_hash
        found = known.get(event_id)
        if found is not None and found.content_hash != content_hash:
            error = f"{event_id} is stored with content {found.content_hash}, not {content_hash}"
            tally.conflicts.append((arrival, error))
        elif found is not None and found.arrived:
            tally.repeated += 1
        else:
            (sorted_out.new if found is None else sorted_out.unarrived).append(index)
            tally.stored_hashes.append(content_hash)
            known[event_id] = Stored(content_hash, arrived=True)
    return sorted_out


def list_refused(piece: Piece, tally: Tally) -> list[tuple[Refusal, str | None]]:
    """All of a piece that goes to quarantine, each with its event_id where it has one."""
    invalid = [(piece.slice.arrivals[index], error) for index, error in piece.invalid.items()]
    return [
        *((refusal, None) for refusal in piece.slice.refusals),
        *(_refuse(piece.feed, *each, Reason.CONFLICT) for each in tally.conflicts),
        *(_refuse(piece.feed, *each, Reason.INVARIANT) for each in invalid),
    ]


def count_refused(piece: Piece, tally: Tally) -> int:
    """How many of a piece go to quarantine."""
    return len(piece.slice.refusals) + len(tally.conflicts) + len(piece.invalid)


def _refuse(
    feed: Feed[Record], arrival: Arrival, error: str, reason: Reason
) -> tuple[Refusal, str]:
    """A record as Kafka had it: encoding gives back what was published."""
    record = arrival.record
    refusal = Refusal(
        offset=arrival.offset,
        ts_append=arrival.ts_append,
        reason=reason,
        error=error,
        key=feed.key_of(record).encode(),
        value=codec.encode(record),
    )
    return refusal, record.event_id

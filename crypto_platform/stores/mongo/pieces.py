"""One slice on its way into the store, and what becomes of its records.

Here: values, without I/O. Not here: which record is new (stores/sorting.py), statements (writer.py,
bookkeeping.py).
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from bson.raw_bson import RawBSONDocument

from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record, codec
from crypto_platform.feeds.projection import fold
from crypto_platform.stores.mongo.documents import ArrivalEncoder, Documents
from crypto_platform.stores.mongo.states import EncodedStates, states_of
from crypto_platform.stores.slices import Arrival, Refusal, Slice
from crypto_platform.stores.sorting import Sorted
from crypto_platform.stores.sums import EMPTY_SUM, Sum, sum_of

documents_of = cache(Documents)
"""The Documents of a feed, built once."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Of all records of a slice.

    Attributes:
        documents: In order of offset.
        states: What they say of the feed's projections, in that order.
    """

    documents: Sequence[RawBSONDocument] = ()
    states: Sequence[EncodedStates] = ()


def encode(slice_: Slice) -> Encoded:
    """All documents and states of a slice; reaches no server."""
    arrivals, feed = slice_.arrivals, slice_.claim.feed
    if not arrivals:
        return Encoded(states=[{} for _ in feed.projections])
    where, documents = ArrivalEncoder(*slice_.claim.partition), documents_of(feed)
    elements = documents.encode_fields(arrivals.columns)
    encoded = documents.build(elements, where.encode(arrivals.offsets, arrivals.ts_appends))
    folds = [(each, fold(each, arrivals.named(feed))) for each in feed.projections]
    return Encoded(
        documents=list(map(RawBSONDocument, encoded)),
        states=[states_of(projection).encode(derived, elements) for projection, derived in folds],
    )


class Piece:
    """A slice and its documents, which stay the same however often the transaction is repeated.

    Attributes:
        documents: Of all arrivals.
        invalid: Why the server refused a document: index of the arrival -> its error.
    """

    def __init__(self, slice_: Slice) -> None:
        """`slice_` is encoded already."""
        self.slice = slice_
        self.invalid: dict[int, str] = {}
        self._encoded = cast("Encoded", slice_.encoded)
        self.documents = self._encoded.documents
        self._left_out: frozenset[int] = frozenset()

    @property
    def feed(self) -> Feed[Record]:
        """Whose records these are."""
        return self.slice.claim.feed

    def states(self, indexes: Sequence[int]) -> Sequence[EncodedStates]:
        """What these arrivals say of the feed's projections, in that order."""
        if len(indexes) == len(self.slice.arrivals):
            return self._encoded.states
        kept = replace(self.slice, arrivals=self.slice.arrivals.take(indexes), encoded=None)
        return encode(kept).states

    def leave_out(self, offsets: Collection[int]) -> None:
        """Take no record at these offsets into the store, and all others."""
        own = enumerate(self.slice.arrivals.offsets) if offsets else ()
        self._left_out = frozenset(index for index, offset in own if offset in offsets)

    def valid_indexes(self) -> Sequence[int]:
        """Of the arrivals that are to be stored and that the server has not refused."""
        everything = range(len(self.slice.arrivals))
        out = self.left_out
        return [index for index in everything if index not in out] if out else everything

    @property
    def left_out(self) -> frozenset[int]:
        """The other arrivals."""
        return self._left_out.union(self.invalid) if self.invalid else self._left_out


@dataclass(kw_only=True)
class Tally:
    """What one attempt did with a piece.

    Attributes:
        stored: Count and hash sum of the records that are new.
        accounted: What load_batch says of the range, where that is more.
        conflicts: Indexes of arrivals whose id has another content, each with what was found.
    """

    stored: Sum = EMPTY_SUM
    accounted: Sum | None = None
    repeated: int = 0
    conflicts: Sequence[tuple[int, str]] = ()


def count(piece: Piece, indexes: Sequence[int]) -> Tally:
    """The tally of a piece of which these arrivals are new."""
    hashes = piece.slice.arrivals.content_hashes
    if len(indexes) != len(hashes):
        hashes = [hashes[index] for index in indexes]
    return Tally(stored=sum_of(hashes))


def count_sorted(piece: Piece, found: Sorted) -> Tally:
    """The tally of a piece that was sorted out."""
    tally = count(piece, [*found.new, *found.unarrived])
    tally.repeated = len(found.repeated)
    tally.conflicts = found.conflicts
    return tally


def order_slices(slices: Sequence[Slice]) -> list[Slice]:
    """By partition, as locks are taken, and by offset, as a lower one wins a conflict."""
    ordered = sorted(slices, key=lambda each: (each.claim.partition, each.first_offset))
    for before, after in itertools.pairwise(ordered):
        if before.claim.partition == after.claim.partition:
            assert before.next_offset == after.first_offset, "slices of a partition have a gap"
    return ordered


def list_refused(piece: Piece, tally: Tally) -> list[tuple[Refusal, str | None]]:
    """All of a piece that goes to quarantine, each with its event_id where it has one."""
    arrivals = piece.slice.arrivals
    return [
        *((refusal, None) for refusal in piece.slice.refusals),
        *(_refuse(piece.feed, arrivals[i], e, Reason.CONFLICT) for i, e in tally.conflicts),
        *(_refuse(piece.feed, arrivals[i], e, Reason.INVARIANT) for i, e in piece.invalid.items()),
    ]


def list_loaded(piece: Piece, tally: Tally) -> set[int]:
    """The offsets of a piece whose record is stored now, by this or another one."""
    in_conflict = {index for index, _ in tally.conflicts}
    offsets = piece.slice.arrivals.offsets
    return {offsets[index] for index in piece.valid_indexes() if index not in in_conflict}


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

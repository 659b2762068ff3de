"""A slice ready for its commit: all work that needs no server, done ahead by another thread.

Here: rows, hash sum and touched hours. Not here: the rows' text (rows.py), sending them (facts.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from crypto_platform.domain.hours import hour_of
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.projection import Folded, fold
from crypto_platform.stores.base import Arrivals, Slice, Sum, sum_of
from crypto_platform.stores.postgres.rows import encode_rows

Touched = frozenset[tuple[bytes, int]]
"""Kafka keys, each with an hour of event time (its first microsecond)."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Of all records of a slice.

    Attributes:
        rows: For COPY, one a line.
        sum: Of their content hashes.
        folds: What they say of the feed's projections, in that order.
    """

    rows: bytes
    sum: Sum
    touched: Touched
    folds: Sequence[Folded]


def encode_slice(slice_: Slice) -> Slice:
    """The slice with what is sent of it; as it is where that was made ahead."""
    return slice_ if slice_.encoded else replace(slice_, encoded=_encode(slice_))


def _encode(slice_: Slice) -> Encoded:
    claim, arrivals = slice_.claim, slice_.arrivals
    return Encoded(
        rows=encode_rows(claim.feed, claim.partition, arrivals),
        sum=sum_of(arrivals.content_hashes),
        touched=_find_touched(claim.feed, arrivals),
        folds=fold_slice(slice_),
    )


def fold_slice(slice_: Slice) -> Sequence[Folded]:
    """What its records say of the feed's projections, in that order."""
    projections = slice_.claim.feed.projections
    if not projections:
        return ()
    records = slice_.arrivals.named(slice_.claim.feed)
    return [fold(projection, records) for projection in projections]


def encoded_of(slice_: Slice) -> Encoded:
    """What `encode_slice` made; a commit does it for what comes without."""
    return cast("Encoded", slice_.encoded)


def _find_touched(feed: Feed[Record], arrivals: Arrivals) -> Touched:
    """Nothing of the platform's own feeds: no analytics is made of them."""
    place = feed.event_time_place
    if feed.owned_by_platform or place is None or not arrivals:
        return frozenset()
    keys = arrivals.keys
    if None in keys:
        pairs = zip(keys, arrivals.records, strict=True)
        keys = [feed.key_of(record).encode() if key is None else key for key, record in pairs]
    times = arrivals.columns[place]
    return frozenset(
        [
            (key, hour_of(time))
            for key, time in zip(keys, times, strict=True)
            if key is not None and isinstance(time, int)
        ]
    )

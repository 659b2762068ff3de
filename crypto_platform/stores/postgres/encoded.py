"""A slice ready for its commit: all work that needs no server, done ahead by another thread.

Here: rows, states, hash sum and touched hours. Not here: their text (rows.py), sending them
(facts.py, states.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from crypto_platform.domain.hours import hour_of
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.projection import fold
from crypto_platform.stores.postgres.rows import encode_rows, encode_states, format_fields
from crypto_platform.stores.slices import Arrivals, Slice
from crypto_platform.stores.sums import EMPTY_SUM, Sum, sum_of

Touched = frozenset[tuple[bytes, int]]
"""Kafka keys, each with an hour of event time (its first microsecond)."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Of all records of a slice.

    Attributes:
        rows: For COPY, one a line.
        sum: Of their content hashes.
        states: What they say of each of the feed's projections, for COPY too, each thing once.
    """

    rows: bytes = b""
    sum: Sum = EMPTY_SUM
    touched: Touched = frozenset()
    states: Sequence[bytes] = ()


def encode_slice(slice_: Slice) -> Slice:
    """The slice with what is sent of it; as it is where that was made ahead."""
    return slice_ if slice_.encoded else replace(slice_, encoded=_encode(slice_))


def _encode(slice_: Slice) -> Encoded:
    claim, feed, arrivals = slice_.claim, slice_.claim.feed, slice_.arrivals
    if not arrivals:
        return Encoded(states=[b"" for _ in feed.projections])
    texts = format_fields(feed.fields, arrivals.columns)
    folds = [(each, fold(each, arrivals.named(feed))) for each in feed.projections]
    return Encoded(
        rows=encode_rows(texts, claim.partition, arrivals),
        sum=sum_of(arrivals.content_hashes),
        touched=_find_touched(feed, arrivals),
        states=[encode_states(projection, derived, texts) for projection, derived in folds],
    )


def encoded_of(slice_: Slice) -> Encoded:
    """What `encode_slice` made; a commit does it for what comes without."""
    return cast("Encoded", slice_.encoded)


def _find_touched(feed: Feed[Record], arrivals: Arrivals) -> Touched:
    """Nothing of the platform's own feeds: no analytics is made of them."""
    place = feed.event_time_place
    if feed.owned_by_platform or place is None:
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

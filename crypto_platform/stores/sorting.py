"""Which records are new, by what a store says it holds under their ids. Pure, for every store.

Here: the first content under an id wins; the same content again is a repeat, another a conflict.
Not here: asking the store (its own look-up), writing.
"""

from collections.abc import Collection, MutableMapping
from dataclasses import dataclass, field
from typing import NamedTuple

from crypto_platform.stores.base import Arrivals


class Known(NamedTuple):
    """What the store, or this batch before, holds under an id.

    Attributes:
        arrived: False for an incident that its load wrote before Kafka had it.
    """

    content_hash: int
    arrived: bool


@dataclass(kw_only=True)
class Sorted:
    """Indexes of arrivals, by what has to be done.

    Attributes:
        new: To insert.
        unarrived: There, and only their arrival is missing; they count as stored.
        repeated: There already with the same content.
        conflicts: Their id has another content, each with what was found.
    """

    new: list[int] = field(default_factory=list)
    unarrived: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    conflicts: list[tuple[int, str]] = field(default_factory=list)


def sort_out(
    arrivals: Arrivals,
    known: MutableMapping[str, Known],
    *,
    without: Collection[int] = frozenset(),
) -> Sorted:
    """Decide on each arrival.

    Args:
        arrivals: In order of offset: of two contents under one id the lower offset wins.
        known: The store's, to which this adds what is new; so a later slice meets it.
        without: Indexes that are not looked at.
    """
    found = Sorted()
    pairs = zip(arrivals.event_ids, arrivals.content_hashes, strict=True)
    for index, (event_id, content_hash) in enumerate(pairs):
        if index in without:
            continue
        before = known.get(event_id)
        if before is None:
            found.new.append(index)
        elif before.content_hash != content_hash:
            error = f"{event_id} is stored with content {before.content_hash}, not {content_hash}"
            found.conflicts.append((index, error))
            continue
        elif before.arrived:
            found.repeated.append(index)
            continue
        else:
            found.unarrived.append(index)
        known[event_id] = Known(content_hash, arrived=True)
    return found

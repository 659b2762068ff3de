"""Which records are new, by what a store says it holds under their ids. Pure, for every store.

Here: the first content under an id wins; the same content again is a repeat, another a conflict.
Not here: asking the store (its own look-up), writing.
"""

from collections import Counter
from collections.abc import Collection, MutableMapping, Sequence
from dataclasses import dataclass, field

from crypto_platform.stores.slices import Arrivals

LOOK_UP_COMMITS = 20
"""Commits that go a store's look-up way at once after a repeat was seen: repeats come in series,
and each costs the straight way a failed attempt."""

Known = tuple[int, bool]
"""What the store, or this batch before, holds under an id: its content hash, and whether it has
arrived (False for an incident that its load wrote before Kafka had it). Plain tuples, for they are
made by the thousand."""


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
    ids, hashes = arrivals.event_ids, arrivals.content_hashes
    met = _find_met(ids, known)
    found = Sorted()
    for index, event_id in enumerate(ids):
        if index in without:
            continue
        if event_id in met:
            _decide(found, index, event_id, hashes[index], known)
        else:
            found.new.append(index)
    known.update({ids[index]: (hashes[index], True) for index in found.new})
    return found


def _find_met(ids: Sequence[str], known: MutableMapping[str, Known]) -> Collection[str]:
    """Ids that are known already, or more than once among these: few, so that the rest is quick."""
    distinct = set(ids)
    met = distinct & known.keys()
    if len(distinct) < len(ids):
        met |= {event_id for event_id, count in Counter(ids).items() if count > 1}
    return met


def _decide(
    found: Sorted, index: int, event_id: str, content_hash: int, known: MutableMapping[str, Known]
) -> None:
    """The fate of one whose id has been met."""
    before = known.get(event_id)
    if before is None:
        found.new.append(index)
    elif before[0] != content_hash:
        error = f"{event_id} is stored with content {before[0]}, not {content_hash}"
        found.conflicts.append((index, error))
        return
    elif before[1]:
        found.repeated.append(index)
        return
    else:
        found.unarrived.append(index)
    known[event_id] = (content_hash, True)

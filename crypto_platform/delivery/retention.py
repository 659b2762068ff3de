"""Forget what is older than a feed keeps, in both stores alike.

Here: what is too old, and doing it. Not here: how a store removes and writes down what it has
removed (stores/), so that the audit still proves what is left (audit_batches.py).

The cut is the beginning of a partition of the feed's table, so that whole partitions go: of trades
up to a month more is kept. A record that comes later than the cut is stored like any other, and
removed by the next run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs, to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.base import Store


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What a feed forgets.

    Attributes:
        before_us: Records whose event is older, microseconds.
    """

    feed: Feed[Record]
    before_us: TimeUs


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What a store forgets, or has forgotten, of a feed.

    Attributes:
        records: None where it does not answer; `problem` says why.
    """

    store: str
    cut: Cut
    records: int | None
    problem: PlatformError | None = None


def plan_cuts(feeds: Iterable[Feed[Record]], *, now_us: TimeUs) -> Sequence[Cut]:
    """Of each feed that forgets, how far."""
    cuts: list[Cut] = []
    for feed in feeds:
        if feed.retention_days and feed.partition_step:
            kept_from_us = now_us - feed.retention_days * MICROSECONDS_PER_DAY
            before_us = to_time_us(feed.partition_step.begin_of(kept_from_us))
            cuts.append(Cut(feed=feed, before_us=before_us))
    return cuts


def count_old(stores: Mapping[str, Store], cuts: Sequence[Cut]) -> Sequence[Removal]:
    """What `remove_old` would remove now."""
    return [
        _ask(name, cut, partial(store.count_before, cut.feed, cut.before_us))
        for name, store in stores.items()
        for cut in cuts
    ]


def remove_old(
    stores: Mapping[str, Store], cuts: Sequence[Cut], *, run_id: str
) -> Sequence[Removal]:
    """Remove it; a store that does not answer holds no other one up, and is asked next time.

    Args:
        stores: By sink, opened as loaders.
        cuts: The same for all of them.
        run_id: Written beside the sums of what went.
    """
    return [
        _ask(name, cut, partial(store.remove_before, cut.feed, cut.before_us, run_id=run_id))
        for name, store in stores.items()
        for cut in cuts
    ]


def _ask(store: str, cut: Cut, work: Callable[[], int]) -> Removal:
    try:
        return Removal(store=store, cut=cut, records=work())
    except PlatformError as error:
        return Removal(store=store, cut=cut, records=None, problem=error)

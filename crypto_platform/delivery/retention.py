"""Forget what is older than a feed keeps, in both stores alike.

Here: what is too old, and doing it. Not here: how a store removes and writes down what it has
removed (stores/), so that the audit still proves what is left (audit_batches.py).

The cut is the beginning of a partition of the feed's table, so that whole partitions go: of trades
up to a month more is kept. A record that comes later than the cut is stored like any other, and
removed by the next run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, TimeUs, to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.base import Store

_US_PER_DAY = 24 * MICROSECONDS_PER_HOUR


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
    return [
        Cut(feed=feed, before_us=to_time_us(feed.partition_step.begin_of(now_us - kept_us)))
        for feed in feeds
        if feed.retention_days is not None
        and feed.partition_step is not None
        and (kept_us := feed.retention_days * _US_PER_DAY)
    ]


def count_old(stores: Mapping[str, Store], cuts: Sequence[Cut]) -> Sequence[Removal]:
    """What `remove_old` would remove now."""
    return [_try(store, name, cut, run_id=None) for name, store in stores.items() for cut in cuts]


def remove_old(
    stores: Mapping[str, Store], cuts: Sequence[Cut], *, run_id: str
) -> Sequence[Removal]:
    """Remove it; a store that does not answer holds no other one up, and is asked next time.

    Args:
        stores: By sink, opened as loaders.
        cuts: The same for all of them.
        run_id: Written beside the sums of what went.
    """
    return [_try(store, name, cut, run_id=run_id) for name, store in stores.items() for cut in cuts]


def _try(store: Store, name: str, cut: Cut, *, run_id: str | None) -> Removal:
    try:
        if run_id is None:
            records = store.count_before(cut.feed, cut.before_us)
        else:
            records = store.remove_before(cut.feed, cut.before_us, run_id=run_id)
    except PlatformError as error:
        return Removal(store=name, cut=cut, records=None, problem=error)
    return Removal(store=name, cut=cut, records=records)

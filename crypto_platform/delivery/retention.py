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
from crypto_platform.errors import ConfigurationError, PlatformError
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.settings import Settings
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


def check_retention(settings: Settings) -> None:
    """Refuse days of a feed that does not exist, or whose records cannot be cut by time.

    Raises:
        ConfigurationError: Names the setting, and the feeds that it may name.
    """
    able = sorted(name for name, feed in FEED_BY_NAME.items() if feed.partition_step)
    for name in sorted(settings.retention_days.keys() - set(able)):
        why = "there is no such feed" if name not in FEED_BY_NAME else "it is kept for good"
        message = f"retention_days.{name}: {why}; days may be set for {', '.join(able)}"
        raise ConfigurationError(message)


def find_kept_days(settings: Settings, feed: Feed[Record]) -> int | None:
    """How many days of a feed both stores keep: as set, else as the catalogue says; None is all."""
    return settings.retention_days.get(feed.name, feed.retention_days) or None


def plan_cuts(
    settings: Settings, feeds: Iterable[Feed[Record]], *, now_us: TimeUs
) -> Sequence[Cut]:
    """Of each feed that forgets, how far.

    Raises:
        ConfigurationError: See check_retention.
    """
    check_retention(settings)
    cuts: list[Cut] = []
    for feed in feeds:
        days = find_kept_days(settings, feed)
        if days and feed.partition_step:
            kept_from_us = now_us - days * MICROSECONDS_PER_DAY
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

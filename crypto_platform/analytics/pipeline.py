"""Bring what is derived up to date: all that has changed, or days that somebody names.

Here: which hours are made together, in which order and transactions. Whatever is killed, an hour is
settled only together with its rows, and making it again gives the same rows. The newest days come
first, and now and then a long run looks for newer ones: a year that was backfilled must not keep
today waiting. Not here: SQL (stores/postgres/), what is made (a file a computation), Dagster
(assets/analytics.py).
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.computation import Computation, Stretch, Work
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    TimeUs,
    day_of,
    hour_of,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.settings import Settings
from crypto_platform.stores import open_analytics, open_stores
from crypto_platform.stores.postgres.analytics import AnalyticsStore, Pending, settle

BATCH_HOURS_MAX = 240
"""Of all keys together, in one transaction."""
TURN_S_MAX = 1800.0
"""A person's run waits so long until another one has ended."""
LOOK_S = 1.0


class RunEnd(StrEnum):
    """How a run ended."""

    DONE = "done"
    BUSY = "another run is at work"
    STOPPED = "stopped"


@dataclass(kw_only=True)
class DayReport:
    """What was made of one day.

    Attributes:
        keys: Of the feeds: mostly markets.
        hours: Of all keys together.
        rows: New or changed.
    """

    computation: str
    day_us: TimeUs
    keys: set[str] = field(default_factory=set)
    hours: int = 0
    rows: int = 0
    seconds: float = 0.0


OnDay = Callable[[DayReport], None]
Clock = Callable[[], TimeUs]


def feeds_of(names: Collection[str]) -> Mapping[str, Sequence[str]]:
    """The feeds that each of these computations is made of."""
    return {name: ANALYTICS[name].feeds for name in names}


def catch_up(
    settings: Settings,
    *,
    clock: Clock,
    stop: threading.Event,
    on_day: OnDay = lambda report: None,
    names: Collection[str] = tuple(ANALYTICS),
) -> RunEnd:
    """Make all hours that have changed since they were made.

    Args:
        names: Of the computations to make; hours of the others are noted and stay due.

    Raises:
        StoreUnavailableError, StoreRefusedError: What was made before stays made.
    """
    with closing(open_analytics(settings)) as store, store.alone() as is_alone:
        if not is_alone:
            return RunEnd.BUSY
        while not stop.is_set():
            store.take(feeds_of(ANALYTICS))
            due = _read_due(store, names, as_of_us=clock())
            if _make(store, due, settings.analytics.every_s, clock=clock, stop=stop, on_day=on_day):
                return RunEnd.DONE
        return RunEnd.STOPPED


def make_days(
    settings: Settings,
    names: Collection[str],
    days: Collection[TimeUs],
    *,
    clock: Clock,
    stop: threading.Event,
    on_day: OnDay = lambda report: None,
) -> RunEnd:
    """Make whole days anew, of every key that there is, whatever was made of them before.

    A run that is killed leaves its hours noted, so the next one that catches up makes them.

    Args:
        names: Of computations.
        days: By their first microsecond.
    """
    wanted = frozenset(days)
    with closing(open_analytics(settings)) as store:
        keys = _list_keys(settings, names)
        for name in names:
            for day_us in sorted(wanted):
                store.note(name, keys[name], day_us=day_us)
        deadline = time.monotonic() + TURN_S_MAX
        while not stop.is_set():
            with store.alone() as is_alone:
                if is_alone:
                    due = _read_due(store, names, as_of_us=clock(), days=wanted)
                    is_done = _make(store, due, None, clock=clock, stop=stop, on_day=on_day)
                    return RunEnd.DONE if is_done else RunEnd.STOPPED
            if time.monotonic() > deadline:
                return RunEnd.BUSY
            stop.wait(LOOK_S)
        return RunEnd.STOPPED


def _list_keys(settings: Settings, names: Collection[str]) -> Mapping[str, list[tuple[str, str]]]:
    """Feed and key of all that each computation is made of."""
    with open_stores(settings, ["postgres"]) as stores:
        markets = {
            feed: stores["postgres"].list_markets(FEED_BY_NAME[feed])
            for feed in {feed for name in names for feed in ANALYTICS[name].feeds}
        }
    return {
        name: [
            (feed, f"{market.venue}:{market.venue_symbol}")
            for feed in ANALYTICS[name].feeds
            for market in markets[feed]
        ]
        for name in names
    }


Due = Mapping[tuple[TimeUs, str], Sequence[Pending]]
"""By day and computation, in the order in which they are made."""


def _read_due(
    store: AnalyticsStore,
    names: Collection[str],
    *,
    as_of_us: TimeUs,
    days: Collection[TimeUs] | None = None,
) -> Due:
    found = {
        (day_us, name): list(hours)
        for name in names
        for day_us, hours in groupby(
            store.read_pending(name, as_of_us=as_of_us), key=lambda each: day_of(each.hour_us)
        )
        if days is None or day_us in days
    }
    order = list(ANALYTICS)
    return dict(sorted(found.items(), key=lambda item: (-item[0][0], order.index(item[0][1]))))


def _make(
    store: AnalyticsStore,
    due: Due,
    seconds: float | None,
    *,
    clock: Clock,
    stop: threading.Event,
    on_day: OnDay,
) -> bool:
    """Make what is due, for about so long; whether all of it is made."""
    began = time.monotonic()
    for (day_us, name), hours in due.items():
        if stop.is_set() or (seconds is not None and time.monotonic() - began > seconds):
            return False
        report = DayReport(computation=name, day_us=day_us)
        day_began = time.monotonic()
        by_key = sorted(hours, key=lambda each: (each.feed, each.key, each.hour_us))
        for first in range(0, len(by_key), BATCH_HOURS_MAX):
            batch = by_key[first : first + BATCH_HOURS_MAX]
            report.rows += _make_batch(store, ANALYTICS[name], batch, as_of_us=clock())
            report.hours += len(batch)
            report.keys |= {each.key for each in batch}
            if stop.is_set():
                return False
        report.seconds = time.monotonic() - day_began
        on_day(report)
    return True


def _make_batch(
    store: AnalyticsStore, computation: Computation, batch: Sequence[Pending], *, as_of_us: TimeUs
) -> int:
    stretches = list(plan_stretches(batch, warm_up_h=computation.warm_up_h, as_of_us=as_of_us))
    with store.writing() as connection:
        rows = computation.compute(
            Work(connection=connection, stretches=stretches, as_of_us=as_of_us)
        )
        settle(connection, computation.name, batch, as_of_us=as_of_us)
    return rows


def plan_stretches(
    hours: Iterable[Pending], *, warm_up_h: int, as_of_us: TimeUs
) -> Iterator[Stretch]:
    """Hours of one key that follow one another as one, with those behind that depend on them. Pure.

    Args:
        hours: In the order of feed, key and hour.
        warm_up_h: How many hours behind one depend on it.
        as_of_us: Now; an hour that has not begun has nothing to make.
    """
    latest_us = hour_of(as_of_us) + MICROSECONDS_PER_HOUR
    for (feed, key), own in groupby(hours, key=lambda each: (each.feed, each.key)):
        stretch: Stretch | None = None
        for each in own:
            whole_us = each.hour_us + MICROSECONDS_PER_HOUR * (1 + warm_up_h)
            ends_us = max(min(whole_us, latest_us), each.hour_us + MICROSECONDS_PER_HOUR)
            if stretch is not None and each.hour_us <= stretch.ends_us:
                stretch = stretch._replace(ends_us=max(ends_us, stretch.ends_us))
                continue
            if stretch is not None:
                yield stretch
            stretch = Stretch(feed, key, each.hour_us, ends_us)
        if stretch is not None:
            yield stretch


def list_days(first_us: TimeUs, end_us: TimeUs) -> range:
    """The days of a range by their first microseconds; the end is exclusive."""
    return range(day_of(first_us), end_us, MICROSECONDS_PER_DAY)

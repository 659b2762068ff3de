"""Forget figures that are older than they are kept; candles, of which the rest is made, stay.

Here: what is too old, and doing it. Not here: facts, whose removal is written down so that the
audit can prove what is left (delivery/retention.py); of figures nothing is proved.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from crypto_platform.analytics import ANALYTICS
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs, day_of
from crypto_platform.errors import ConfigurationError, PlatformError
from crypto_platform.settings import Settings
from crypto_platform.stores import open_analytics
from crypto_platform.stores.postgres.analytics import AnalyticsStore
from crypto_platform.stores.postgres.analytics_figures import (
    FIGURE_TABLES,
    FigureTable,
    count_before,
    remove_before,
)

_TABLE_OF: Mapping[str, FigureTable] = {
    name: computation.table
    for name, computation in ANALYTICS.items()
    if computation.table in FIGURE_TABLES
}
"""By computation."""


@dataclass(frozen=True, kw_only=True)
class FigureCut:
    """What a computation forgets.

    Attributes:
        before_us: Rows of earlier times, microseconds.
    """

    computation: str
    table: FigureTable
    before_us: TimeUs


@dataclass(frozen=True, kw_only=True)
class FigureRemoval:
    """What is forgotten, or has been.

    Attributes:
        rows: None where the store does not answer; `problem` says why.
    """

    cut: FigureCut
    rows: int | None
    problem: PlatformError | None = None


def check_figure_retention(settings: Settings) -> None:
    """Refuse days of what does not exist, or is kept for good.

    Raises:
        ConfigurationError: Names the setting, and what it may name.
    """
    for name in sorted(settings.analytics.retention_days.keys() - _TABLE_OF.keys()):
        why = "it is kept for good" if name in ANALYTICS else "there is no such computation"
        able = ", ".join(sorted(_TABLE_OF))
        message = f"analytics.retention_days.{name}: {why}; days may be set for {able}"
        raise ConfigurationError(message)


def plan_figure_cuts(settings: Settings, *, now_us: TimeUs) -> Sequence[FigureCut]:
    """Of each computation that forgets, how far: whole days.

    Raises:
        ConfigurationError: See check_figure_retention.
    """
    check_figure_retention(settings)
    days = {
        name: settings.analytics.retention_days.get(name, ANALYTICS[name].kept_days)
        for name in _TABLE_OF
    }
    return [
        FigureCut(
            computation=name,
            table=_TABLE_OF[name],
            before_us=day_of(now_us - kept * MICROSECONDS_PER_DAY),
        )
        for name, kept in days.items()
        if kept
    ]


def count_old_figures(settings: Settings, cuts: Sequence[FigureCut]) -> Sequence[FigureRemoval]:
    """What `remove_old_figures` would remove now."""

    def count(store: AnalyticsStore, cut: FigureCut) -> int:
        with store.writing() as connection:
            return count_before(connection, cut.table, cut.before_us)

    return _ask(settings, cuts, count)


def remove_old_figures(settings: Settings, cuts: Sequence[FigureCut]) -> Sequence[FigureRemoval]:
    """Remove it; what fails is asked for again next time."""

    def remove(store: AnalyticsStore, cut: FigureCut) -> int:
        with store.writing() as connection:
            return remove_before(connection, cut.table, cut.before_us)

    return _ask(settings, cuts, remove)


def _ask(
    settings: Settings,
    cuts: Sequence[FigureCut],
    work: Callable[[AnalyticsStore, FigureCut], int],
) -> Sequence[FigureRemoval]:
    removals: list[FigureRemoval] = []
    with closing(open_analytics(settings)) as store:
        for cut in cuts:
            try:
                removals.append(FigureRemoval(cut=cut, rows=work(store, cut)))
            except PlatformError as error:
                removals.append(FigureRemoval(cut=cut, rows=None, problem=error))
    return removals

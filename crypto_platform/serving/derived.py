"""Whether what is derived of the market keeps up with the records under it. Pure.

Here: what waits, and when that is no longer good. Not here: asking (readings.py), when a run is
asked for (analytics/planning.py), reading without waiting for one (analytics.py).
"""

from collections.abc import Iterable, Sequence

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.planning import PAUSE_S_MAX
from crypto_platform.domain.hours import TimeUs, to_time_us
from crypto_platform.domain.readable import format_age
from crypto_platform.serving.health import AnalyticsStatus
from crypto_platform.serving.readings import DerivedReading
from crypto_platform.settings import Settings

RUNS_MISSED_MAX = 3
"""Changes that wait for so many runs' time, and for longer than one that fails is put off."""

_US = 1_000_000


def build_analytics(
    settings: Settings, reading: DerivedReading | None, *, at_us: TimeUs
) -> tuple[AnalyticsStatus, ...]:
    """A status for each computation; nothing waits for longer than the stack has run."""
    if reading is None:
        return tuple(AnalyticsStatus(name=name) for name in ANALYTICS)
    started_at = settings.stack.started_at
    started_us = 0 if started_at is None else to_time_us(started_at)
    found = reading.waiting
    return tuple(
        AnalyticsStatus(
            name=name,
            is_busy=reading.is_busy,
            waiting_hours=found[name].hours if name in found else 0,
            waits_s=max(at_us - max(found[name].since_us, started_us), 0) / _US
            if name in found
            else 0.0,
        )
        for name in ANALYTICS
    )


def is_late(settings: Settings, computation: AnalyticsStatus) -> bool:
    """Whether changes wait for too long, and no run is at work; a backfilled year takes hours."""
    waits_s_max = max(PAUSE_S_MAX, settings.analytics.every_s * RUNS_MISSED_MAX)
    is_long = computation.waits_s is not None and computation.waits_s > waits_s_max
    return is_long and not computation.is_busy


def judge_analytics(settings: Settings, computations: Sequence[AnalyticsStatus]) -> Iterable[str]:
    """What is wrong of all of them, as one line."""
    late = [computation for computation in computations if is_late(settings, computation)]
    if late:
        names = ", ".join(computation.name for computation in late)
        yield f"analytics ({names}): {describe_waiting(late)}; {LATE}"


LATE = (
    "tables are behind, readers reckon the rest: is sensor analytics_due switched on, and does the "
    "last run of job analytics say why it failed?"
)


def describe_waiting(computations: Sequence[AnalyticsStatus]) -> str:
    """How many hours, of each market, wait and since when, of all together."""
    hours = [each.waiting_hours for each in computations if each.waiting_hours is not None]
    if not hours:
        return "not known"
    if not any(hours):
        return "up to date"
    longest = max(each.waits_s or 0.0 for each in computations)
    work = ", a run is at work" if computations[0].is_busy else ""
    since = f"the first for {format_age(longest)}{work}"
    return f"{sum(hours):,} changed market hours wait for a run, {since}"

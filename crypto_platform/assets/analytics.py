"""Analytics assets: what is derived of the market in PostgreSQL, partitioned by day of event time.

One multi-asset over ANALYTICS. A run without a partition catches up with all that has changed, and
is asked for by a sensor; a run with days makes these anew, of every market, as one run. The work is
analytics/pipeline.py's.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import dagster as dg

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.computation import Computation, Picture
from crypto_platform.analytics.pipeline import DayReport, RunEnd, catch_up, list_days, make_days
from crypto_platform.assets import charts
from crypto_platform.assets.checks import report_check
from crypto_platform.assets.descriptions import (
    OWNERS,
    describe_figures,
    refer_to,
    trace_figures,
)
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import (
    ANALYTICS_OP,
    ANALYTICS_SENSOR,
    analytics_key,
    load_key,
    topic_key,
)
from crypto_platform.assets.partitions import build_event_days_so_far
from crypto_platform.domain.hours import name_day, to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.serving.verdicts import Check
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, open_analytics

HOME = "postgres"


def build_analytics_assets(settings: Settings) -> dg.AssetsDefinition:
    """The multi-asset over all computations."""
    names = {analytics_key(name): name for name in ANALYTICS}
    partitions = build_event_days_so_far(settings)
    first_day_us = to_time_us(partitions.start)

    @dg.multi_asset(
        name=ANALYTICS_OP,
        specs=[_build_spec(computation) for computation in ANALYTICS.values()],
        can_subset=True,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def derive(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        told: set[str] = set()

        def tell(report: DayReport) -> None:
            told.add(report.computation)
            if report.day_us >= first_day_us:
                context.log_event(_materialize(settings, report))
            else:
                context.log.info("%s: no partition, older than history.first_day", report)

        stop = threading.Event()
        chosen = [name for key, name in names.items() if key in context.selected_asset_keys]
        try:
            with stopping_on_interrupt(stop):
                if context.has_partition_key or context.has_partition_key_range:
                    window = context.partition_time_window
                    days = list_days(to_time_us(window.start), to_time_us(window.end))
                    end = make_days(settings, chosen, days, clock=_clock, stop=stop, on_day=tell)
                    _check(end)
                else:
                    end = catch_up(settings, clock=_clock, stop=stop, on_day=tell)
                    if end is RunEnd.DONE:
                        for name in sorted(told):
                            current = _check_current(name)
                            report_check(context.instance, current, run_id=context.run.run_id)
        except PlatformError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        context.log.info("%s", end.value)
        # a body that returned would materialize every day of the run once more
        yield from ()

    return derive


def _clock() -> int:
    return time.time_ns() // 1000


def _check(end: RunEnd) -> None:
    """Days that a person has chosen are all made, or the run has failed."""
    if end is not RunEnd.DONE:
        message = f"{end.value}; what is left is noted, and the next run makes it"
        raise dg.Failure(message, allow_retries=False)


def _build_spec(computation: Computation) -> dg.AssetSpec:
    feeds = [FEED_BY_NAME[name] for name in computation.feeds]
    return dg.AssetSpec(
        analytics_key(computation.name),
        # Not the loads: Dagster fails a run without a partition whose parents have partitions and
        # were materialized (seen), and such a run is what catches up.
        deps=[*map(topic_key, feeds), *map(analytics_key, computation.after)],
        skippable=True,
        group_name="analytics",
        owners=OWNERS,
        tags={"crypto_platform/layer": "analytics"},
        kinds={STORES[HOME].product},
        description=f"{computation.description} Sensor {ANALYTICS_SENSOR} keeps it up to date; "
        "selecting days makes them anew, of every market: docs/analytics.md.",
        metadata={
            "dagster/table_name": computation.table.place,
            **describe_figures(computation.table, computation.columns),
            **trace_figures(computation.columns, _find_owner),
            "made_of": ", ".join(computation.feeds),
            **{f"read_from_{feed.name}": load_key(HOME, feed) for feed in feeds},
            "shell": f"crypto-platform connect {HOME}",
            **refer_to(the_computation=computation.compute),
        },
    )


def _check_current(name: str) -> dg.AssetCheckEvaluation:
    """Check `current` as of this run, which hides the answer that belonged to the one before."""
    return dg.AssetCheckEvaluation(
        asset_key=analytics_key(name),
        check_name=Check.CURRENT.value,
        passed=True,
        description="what had changed is made",
    )


def _find_owner(name: str) -> dg.AssetKey:
    """The asset that a column's origin belongs to: of a feed its topic, else a computation."""
    if name in FEED_BY_NAME:
        return topic_key(FEED_BY_NAME[name])
    [computation] = [each.name for each in ANALYTICS.values() if each.table.place == name]
    return analytics_key(computation)


def _materialize(settings: Settings, report: DayReport) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        analytics_key(report.computation),
        partition=name_day(report.day_us),
        metadata=_describe(settings, report),
    )


def _describe(settings: Settings, report: DayReport) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "rows_changed": report.rows,
        "hours": report.hours,
        "symbols": len(report.keys),
        "seconds": round(report.seconds, 3),
    }
    picture = _draw(settings, report)
    if picture is not None:
        metadata["chart"] = charts.draw_bars(picture.bars, title=picture.title)
    return metadata


def _draw(settings: Settings, report: DayReport) -> Picture | None:
    draw = ANALYTICS[report.computation].draw
    if draw is None:
        return None
    try:
        with (
            closing(open_analytics(settings, role="analyst")) as store,
            store.reading() as connection,
        ):
            return draw(connection, sorted(report.keys), report.day_us)
    except PlatformError:
        return None  # what was made is told without its picture

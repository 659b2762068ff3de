"""Remove, once a day, what is older than its feed keeps, in both stores alike, and old figures.

Here: the job. Not here: what is too old and what is written down of it (delivery/retention.py,
analytics/retention.py).
"""

import time

import dagster as dg

from crypto_platform.analytics.retention import (
    check_figure_retention,
    plan_figure_cuts,
    remove_old_figures,
)
from crypto_platform.delivery.retention import check_retention, plan_cuts, remove_old
from crypto_platform.feeds import FEEDS
from crypto_platform.settings import Settings
from crypto_platform.stores import open_stores

RETENTION_JOB = "remove_old_records"
RETENTION_OP = "remove_records_before_the_cut"
RUNTIME_S_MAX = 4 * 3600
"""A run that died with its machine would hold a run's place for good; the next one goes on."""
RETRIES = dg.RetryPolicy(max_retries=5, delay=60)
"""A long query of an analyst's keeps a partition from going; what has gone stays gone."""


def build_retention_job(settings: Settings) -> dg.JobDefinition:
    """Scheduled every night.

    Raises:
        ConfigurationError: The settings name a feed, or a computation, that keeps all.
    """
    check_retention(settings)
    check_figure_retention(settings)

    @dg.op(
        name=RETENTION_OP,
        retry_policy=RETRIES,
        description="Remove what is older than its feed keeps, and write down what it was.",
    )
    def remove_records_before_the_cut(context: dg.OpExecutionContext) -> None:
        with open_stores(settings) as stores:
            now_us = time.time_ns() // 1000
            removals = remove_old(
                stores, plan_cuts(settings, FEEDS, now_us=now_us), run_id=context.run_id
            )
            figures = remove_old_figures(settings, plan_figure_cuts(settings, now_us=now_us))
        gone = {f"{each.store}/{each.cut.feed.name}": each.records for each in removals}
        gone |= {f"analytics/{each.cut.computation}": each.rows for each in figures}
        context.add_output_metadata(
            {name: "no answer" if count is None else count for name, count in gone.items()}
        )
        problems = [each.problem for each in (*removals, *figures) if each.problem is not None]
        if problems:
            raise dg.Failure(
                "; ".join(sorted({str(problem) for problem in problems})),
                allow_retries=any(problem.retryable for problem in problems),
            )

    @dg.job(
        name=RETENTION_JOB,
        executor_def=dg.in_process_executor,
        run_tags={"dagster/max_runtime": str(RUNTIME_S_MAX)},
        description="Remove records that are older than their feed keeps, in both stores alike.",
    )
    def remove_old_records() -> None:
        remove_records_before_the_cut()

    return remove_old_records

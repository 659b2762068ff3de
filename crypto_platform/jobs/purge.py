"""Delete Dagster's own old history, so that its database and its UI stay as they are for months.

Here: what is old, and the order in which it goes: first what keeps partitions green is taken out of
the runs (dagster_tables.py), then a run's compute logs go, its events, and the run itself. Killed
anywhere in between, the next purge finds the run again and goes on. Not here: our data; nothing of
Kafka or of a store is touched.

What stays for good is one materialization an asset and hour, the latest answer to each check, and
the latest observation of each topic: 110 MB a year with two loads at work and three audits, 220 MB
with six (measured: 2.4 to 2.8 kB an event, indexes included). The first purge of a day also
rebuilds the indexes, which would keep most of what is deleted. Ticks are purged by Dagster's daemon
(retention in dagster.yaml). Left alone because they do not grow with time: snapshots (a few a
release), backfills (one a click), schedules' and sensors' states.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from crypto_platform.jobs.dagster_tables import (
    delete_check_executions,
    delete_repeated,
    keep_materializations,
    list_answered_runs,
    rebuild_indexes,
)
from crypto_platform.settings import Settings

PURGE_JOB = "purge_history"
PURGE_OP = "delete_old_history"
RUNS_PER_CHUNK = 100
RUNTIME_S_MAX = 3600
"""A purge that died with its machine would hold a run's place for good; the next one goes on."""


@dataclass(kw_only=True)
class Purged:
    """What one purge did.

    Attributes:
        leftover_runs: Deleted earlier; something was written into their logs all the same.
    """

    runs: int = 0
    leftover_runs: int = 0
    kept_materializations: int = 0
    events_without_run: int = 0
    check_executions: int = 0


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """Runs that ended so are deleted at this age, counted from their creation."""

    statuses: Sequence[dg.DagsterRunStatus]
    age: timedelta


def list_rules(*, keep: timedelta, keep_failed: timedelta) -> Sequence[_Rule]:
    """Which runs go when; a run that has not ended never does."""
    return (
        _Rule(statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED], age=keep),
        _Rule(statuses=[dg.DagsterRunStatus.FAILURE], age=keep_failed),
    )


def purge(
    instance: dg.DagsterInstance,
    log: logging.Logger,
    *,
    now: datetime,
    keep: timedelta,
    keep_failed: timedelta,
) -> Purged:
    """Delete what is older than that.

    Args:
        now: With a time zone; ages are counted to it.
        keep: Successful and cancelled runs, and what sensors wrote without a run.
        keep_failed: Failed runs.
    """
    purged = Purged()
    for rule in list_rules(keep=keep, keep_failed=keep_failed):
        for run_ids in _take_chunks(instance, rule, before=now - rule.age):
            purged.kept_materializations += keep_materializations(instance, run_ids)
            for run_id in run_ids:
                _delete_run(instance, run_id)
            purged.runs += len(run_ids)
            log.info("%s runs deleted", purged.runs)
    purged.leftover_runs = _delete_leftovers(instance, before=now - keep)
    purged.events_without_run = delete_repeated(instance, before=now - keep)
    purged.check_executions = delete_check_executions(instance, before=now - keep)
    return purged


def _take_chunks(
    instance: dg.DagsterInstance, rule: _Rule, *, before: datetime
) -> Iterator[Sequence[str]]:
    """The oldest runs that fall under a rule, until none is left; each chunk must be deleted."""
    runs = dg.RunsFilter(statuses=list(rule.statuses), created_before=before)
    while records := instance.get_run_records(runs, limit=RUNS_PER_CHUNK, ascending=True):
        yield [record.dagster_run.run_id for record in records]


def _delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """The run itself last: nobody would look for what is left of one that is gone."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.event_log_storage.delete_events(run_id)
    instance.delete_run(run_id)


def _delete_leftovers(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete what was written into the log of a run while the run went.

    Sensor `health` writes into a run that it has seen; a purge may delete that run in between, and
    no later one would look for it. The answer itself stays in the table of executions.

    Returns:
        Of how many runs something was left.
    """
    answered = list_answered_runs(instance, before=before)
    leftovers = 0
    for first in range(0, len(answered), RUNS_PER_CHUNK):
        some = answered[first : first + RUNS_PER_CHUNK]
        known = {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=some))}
        for run_id in set(some) - known:
            instance.event_log_storage.delete_events(run_id)
            leftovers += 1
    return leftovers


def _is_first_of_day(context: dg.OpExecutionContext) -> bool:
    """Whether no purge has succeeded today, UTC."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    done = dg.RunsFilter(
        job_name=PURGE_JOB, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=today
    )
    return not context.instance.get_runs(done, limit=1)


def build_purge_job(settings: Settings) -> dg.JobDefinition:
    """Scheduled every hour, so that each purge is small; indexes are rebuilt once a day."""
    keep = timedelta(days=settings.dagster.keep_days)
    keep_failed = timedelta(days=settings.dagster.keep_failed_days)

    @dg.op(name=PURGE_OP, description="Delete old runs, events and compute logs of Dagster.")
    def delete_old_history(context: dg.OpExecutionContext) -> None:
        purged = purge(
            context.instance,
            context.log,
            now=datetime.now(UTC),
            keep=keep,
            keep_failed=keep_failed,
        )
        freed_bytes = rebuild_indexes(context.instance) if _is_first_of_day(context) else 0
        context.add_output_metadata(
            {
                "deleted_runs": purged.runs,
                "leftover_runs": purged.leftover_runs,
                "kept_materializations": purged.kept_materializations,
                "deleted_events_without_run": purged.events_without_run,
                "deleted_check_executions": purged.check_executions,
                "freed_index_bytes": freed_bytes,
            }
        )

    @dg.job(
        name=PURGE_JOB,
        executor_def=dg.in_process_executor,
        run_tags={"dagster/max_runtime": str(RUNTIME_S_MAX)},
        description="Keep Dagster's own database small: old runs, events and logs go, every hour "
        "stays materialized. Nothing of the platform's data is touched.",
    )
    def purge_history() -> None:
        delete_old_history()

    return purge_history

"""Dagster's history goes, and nothing that people look at goes with it. On a real PostgreSQL."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from crypto_platform.jobs.dagster_tables import keep_materializations
from crypto_platform.jobs.purge import Purged, purge

HOURS = dg.HourlyPartitionsDefinition(start_date="2026-01-31-00:00")
FIRST, SECOND = "2026-01-31-00:00", "2026-01-31-01:00"
QUOTES, PRICES = dg.AssetKey("quotes"), dg.AssetKey("prices")
LOG = logging.getLogger("test_purge")
DAY = timedelta(days=1)


class QuotesConfig(dg.Config):
    fails: bool = False


@dg.asset(partitions_def=HOURS)
def quotes(config: QuotesConfig) -> dg.MaterializeResult[None]:
    print("a line of output")  # noqa: T201 - a compute log to be purged
    if config.fails:
        raise ValueError
    return dg.MaterializeResult(metadata={"rows": 7})


@dg.asset
def prices() -> None: ...


def run(instance: dg.DagsterInstance, hour: str, *, fails: bool = False) -> str:
    """Materialize an hour of quotes, and prices; returns the run's id."""
    config = {"ops": {"quotes": {"config": {"fails": fails}}}}
    return dg.materialize(
        [quotes], partition_key=hour, instance=instance, run_config=config, raise_on_error=False
    ).run_id


def run_purge(instance: dg.DagsterInstance, *, days_later: float = 4) -> Purged:
    later = datetime.now(UTC) + timedelta(days=days_later)
    return purge(instance, LOG, now=later, keep=3 * DAY, keep_failed=30 * DAY)


def green(instance: dg.DagsterInstance) -> set[str]:
    return instance.get_materialized_partitions(QUOTES)


def test_hours_stay_materialized_when_their_runs_are_gone(instance: dg.DagsterInstance) -> None:
    """After a week every partition of the UI would otherwise ask to be loaded again."""
    first, second = run(instance, FIRST), run(instance, SECOND)
    dg.materialize([prices], instance=instance)
    events = instance.event_log_storage
    before = {
        p: events.get_latest_storage_id_by_partition(
            QUOTES, dg.DagsterEventType.ASSET_MATERIALIZATION
        )[p]
        for p in (FIRST, SECOND)
    }
    done = run_purge(instance)

    assert (done.runs, done.kept_materializations) == (3, 3)
    assert green(instance) == {FIRST, SECOND}
    assert instance.get_runs_count() == 0
    assert [instance.all_logs(run_id) for run_id in (first, second)] == [[], []]
    after = events.get_latest_storage_id_by_partition(
        QUOTES, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    assert after == before
    for key in (QUOTES, PRICES):
        assert instance.get_latest_materialization_event(key) is not None
        [kept, *_] = instance.fetch_materializations(key, limit=2).records
        assert kept.run_id == ""
    [kept, _] = instance.fetch_materializations(QUOTES, limit=3).records
    assert kept.asset_materialization is not None
    assert kept.asset_materialization.metadata["rows"].value == 7


def test_the_runs_output_goes_with_them(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """1,440 folders a day would fill the disk with nothing anybody reads."""
    run_id = run(instance, FIRST)
    assert [path.name for path in tmp_path.rglob("*.out") if run_id in path.parts]
    run_purge(instance)
    assert not [path for path in tmp_path.rglob("*") if run_id in path.parts]


def test_failed_runs_are_kept_for_longer(instance: dg.DagsterInstance) -> None:
    """Somebody will want to know why, when they are back from their holidays."""
    failed = run(instance, FIRST, fails=True)
    run_purge(instance, days_later=29)
    assert instance.get_run_by_id(failed) is not None
    run_purge(instance, days_later=31)
    assert instance.get_run_by_id(failed) is None


def test_young_runs_and_runs_at_work_stay(instance: dg.DagsterInstance) -> None:
    """A purge under a lingering load would take its log away."""
    run(instance, FIRST)
    job = dg.Definitions(assets=[prices]).resolve_implicit_global_asset_job_def()
    at_work = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert run_purge(instance, days_later=2).runs == 0
    assert run_purge(instance, days_later=60).runs == 1
    assert instance.get_run_by_id(at_work.run_id) is not None


def test_only_the_latest_of_what_sensors_repeat_is_kept(instance: dg.DagsterInstance) -> None:
    """An observation a minute is half a million rows a year, for each topic."""
    for rows in range(5):
        instance.report_runless_asset_event(dg.AssetObservation(QUOTES, metadata={"rows": rows}))
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(QUOTES, "fresh", rows % 2 == 0))
    done = run_purge(instance)
    assert (done.events_without_run, done.check_executions) == (9, 4)
    latest = instance.fetch_observations(QUOTES, limit=9).records
    assert [r.asset_observation.metadata["rows"].value for r in latest if r.asset_observation] == [
        4
    ]
    [answer] = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(QUOTES, "fresh"), limit=9
    )
    assert answer.evaluation is not None
    assert answer.evaluation.passed


def test_a_purge_after_a_purge_finds_nothing(instance: dg.DagsterInstance) -> None:
    """It runs every hour."""
    run(instance, FIRST)
    run_purge(instance)
    assert run_purge(instance) == Purged()
    assert green(instance) == {FIRST}


def test_a_purge_that_was_killed_halfway_goes_on(instance: dg.DagsterInstance) -> None:
    """What has been taken out of its run must be neither lost nor taken for work at hand."""
    run_id = run(instance, FIRST)
    assert keep_materializations(instance, [run_id]) == 1
    assert green(instance) == {FIRST}
    assert run_purge(instance).runs == 1
    assert green(instance) == {FIRST}


def test_an_hour_materialized_again_keeps_only_its_latest_event(
    instance: dg.DagsterInstance,
) -> None:
    """Hours that are replayed now and then would pile up events for good."""
    run(instance, FIRST)
    run_purge(instance)
    run(instance, FIRST)
    run_purge(instance)
    assert len(instance.fetch_materializations(QUOTES, limit=9).records) == 1


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Dagster prints a failed run's trace."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("dagster").setLevel(logging.NOTSET)

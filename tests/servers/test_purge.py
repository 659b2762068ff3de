"""Dagster's history goes, and nothing that people look at goes with it. On a real PostgreSQL."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from crypto_platform.assets.checks import report_check
from crypto_platform.jobs.dagster_tables import keep_materializations, rebuild_indexes
from crypto_platform.jobs.purge import Purged, build_purge_job, purge
from crypto_platform.settings import load_settings

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


def read_summary(instance: dg.DagsterInstance) -> set[str]:
    """The hours that the UI shows as materialized, as its web server finds them."""
    with partition_loading_context(dynamic_partitions_store=instance):
        summary = get_and_update_asset_status_cache_value(instance, QUOTES, HOURS)
    assert summary is not None
    return set(summary.deserialize_materialized_partition_subsets(HOURS).get_partition_keys())


def fail_to_delete(prefix: list[str]) -> None:
    message = f"disk: {prefix}"
    raise OSError(message)


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
    assert kept.asset_materialization.metadata["purged_run"].value == second


@pytest.mark.parametrize("ui_looked_before", [True, False])
def test_the_ui_counts_purged_hours_as_materialized(
    instance: dg.DagsterInstance, *, ui_looked_before: bool
) -> None:
    """The UI reads hours from a summary beside the asset, built anew from what events are left."""
    run(instance, FIRST)
    if ui_looked_before:
        assert read_summary(instance) == {FIRST}
    run(instance, SECOND)
    run_purge(instance)
    assert read_summary(instance) == {FIRST, SECOND}


def test_the_runs_output_goes_with_them(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """1,440 folders a day would fill the disk with nothing anybody reads."""
    run_id = run(instance, FIRST)
    assert [path.name for path in tmp_path.rglob("*.out") if run_id in path.parts]
    run_purge(instance)
    assert not [path for path in tmp_path.rglob("*") if run_id in path.parts]


def test_a_run_whose_logs_could_not_be_deleted_is_found_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the run gone first, its folder would lie there for good and nobody would know of it."""
    run_id = run(instance, FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(instance.compute_log_manager, "delete_logs", fail_to_delete)
        with pytest.raises(OSError, match="disk"):
            run_purge(instance)
    assert instance.get_run_by_id(run_id) is not None
    assert green(instance) == {FIRST}
    assert run_purge(instance).runs == 1
    assert green(instance) == {FIRST}


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


def test_a_check_that_was_only_planned_does_not_replace_an_answer(
    instance: dg.DagsterInstance,
) -> None:
    """A run that fails before its checks would take the last thing known of them along."""
    check = dg.AssetCheckKey(QUOTES, "fresh")
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(QUOTES, "fresh", passed=True))
    planned = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
        "any",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=QUOTES, check_name="fresh"),
    )
    instance.report_dagster_event(planned, run_id="00000000-0000-0000-0000-000000000001")
    assert run_purge(instance).check_executions == 0
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
    assert len(history) == 2


def test_an_answer_that_came_while_its_run_went_goes_with_the_next_purge(
    instance: dg.DagsterInstance,
) -> None:
    """Nobody would look for the rows of a run that is gone: they would stay for good."""
    gone, failed = run(instance, FIRST), run(instance, SECOND, fails=True)
    run_purge(instance)
    answer = dg.AssetCheckEvaluation(QUOTES, "fresh", passed=True)
    for run_id in (gone, failed):
        report_check(instance, answer, run_id=run_id)
    logged = len(instance.all_logs(failed))

    assert run_purge(instance, days_later=2).leftover_runs == 0
    assert run_purge(instance).leftover_runs == 1
    assert instance.all_logs(gone) == []
    assert len(instance.all_logs(failed)) == logged
    latest, *_ = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(QUOTES, "fresh"), limit=9
    )
    assert latest.run_id == failed
    assert run_purge(instance) == Purged()


def test_changes_of_freshness_do_not_pile_up(instance: dg.DagsterInstance) -> None:
    """Dagster's daemon writes one, without a run, each time an asset becomes stale or fresh."""
    for state in (FreshnessState.PASS, FreshnessState.WARN, FreshnessState.PASS):
        change = FreshnessStateChange(
            key=QUOTES,
            new_state=state,
            previous_state=FreshnessState.UNKNOWN,
            state_change_timestamp=0.0,
        )
        instance._report_runless_asset_event(change)  # noqa: SLF001 - as the daemon does
    assert run_purge(instance).events_without_run == 2
    left = instance.event_log_storage.get_freshness_state_records([QUOTES])
    assert left[QUOTES].freshness_state is FreshnessState.PASS


def test_hours_add_no_snapshots(instance: dg.DagsterInstance) -> None:
    """Nothing deletes the stored shapes of jobs and plans: one an hour would grow for good."""
    run(instance, FIRST)
    before = count_snapshots(instance)
    run(instance, SECOND)
    assert count_snapshots(instance) == before


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


def test_rebuilt_indexes_give_back_what_purged_rows_left(instance: dg.DagsterInstance) -> None:
    """A kept event in each page would keep the indexes growing for good."""
    write_and_delete_events(instance)
    before = measure_indexes(instance)
    freed = rebuild_indexes(instance)
    assert measure_indexes(instance) == before - freed
    assert freed > before / 2
    run(instance, FIRST)
    assert green(instance) == {FIRST}


def test_the_first_purge_of_a_day_rebuilds_the_indexes(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Each hour would write the indexes 24 times a day to the disk, for little."""
    job = build_purge_job(load_settings(tmp_path, environment={}))
    write_and_delete_events(instance)
    before = measure_indexes(instance)
    assert job.execute_in_process(instance=instance).success
    rebuilt = measure_indexes(instance)
    assert rebuilt < before / 2
    write_and_delete_events(instance)
    assert job.execute_in_process(instance=instance).success
    assert measure_indexes(instance) > rebuilt


def test_an_index_in_use_is_left_for_the_next_time(instance: dg.DagsterInstance) -> None:
    """A purge that waits for somebody's long query would hold everybody else up behind it."""
    write_and_delete_events(instance)
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    before = measure_indexes(instance)
    with storage.index_connection() as other:
        other.execute(sa.text("BEGIN"))
        other.execute(sa.text("LOCK TABLE event_logs IN ROW EXCLUSIVE MODE"))
        rebuild_indexes(instance)
        assert measure_indexes(instance) == before
        other.execute(sa.text("ROLLBACK"))
    assert rebuild_indexes(instance) > 0


def write_and_delete_events(instance: dg.DagsterInstance) -> None:
    """20,000 of which every hundredth stays, as after a purge."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        insert = (
            "INSERT INTO event_logs (run_id, event) SELECT 'a', '' FROM generate_series(1, 20000)"
        )
        connection.execute(sa.text(insert))
        connection.execute(sa.text("DELETE FROM event_logs WHERE id % 100 <> 0"))


def measure_indexes(instance: dg.DagsterInstance) -> int:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        size = connection.execute(sa.text("SELECT pg_indexes_size('event_logs')")).scalar()
    assert isinstance(size, int)
    return size


def count_snapshots(instance: dg.DagsterInstance) -> int:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        return connection.execute(sa.text("SELECT count(*) FROM snapshots")).scalar_one()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Dagster prints a failed run's trace."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("dagster").setLevel(logging.NOTSET)

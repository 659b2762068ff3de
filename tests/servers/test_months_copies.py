"""The months benchmark's copies of an hour are hours to Dagster. On a real PostgreSQL."""

from datetime import timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus

from benchmarks.copies import Copies
from crypto_platform.jobs.dagster_tables import open_event_log

HOURS = dg.HourlyPartitionsDefinition(start_date="2026-01-31-00:00")
NAMES = ["2026-01-31-00:00", "2026-01-31-01:00", "2026-01-31-02:00", "2026-01-31-03:00"]
QUOTES = dg.AssetKey("quotes")


@dg.asset(partitions_def=HOURS, check_specs=[dg.AssetCheckSpec("counts", asset=QUOTES)])
def quotes():  # noqa: ANN201 - Dagster reads an output for the check into any annotation
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=True, check_name="counts")]
    )


def test_a_copied_hour_is_an_hour_of_its_own(instance: dg.DagsterInstance) -> None:
    """Copies that Dagster cannot read, or takes for the first hour, would measure nothing."""
    first = dg.materialize([quotes], partition_key=NAMES[1], instance=instance).run_id
    instance.create_tick(
        TickData(
            "origin", "lag", InstigatorType.SENSOR, TickStatus.SKIPPED, 1000.5, selector_id="s"
        )
    )
    copies = Copies(instance, NAMES[:3])
    copies.write(1, NAMES[1:])
    copies.tell_assets()

    [copy, original] = instance.get_run_records()
    assert original.dagster_run.run_id == first
    assert copy.dagster_run.run_id != first
    assert copy.dagster_run.tags["dagster/partition"] == NAMES[2]
    assert copy.create_timestamp - original.create_timestamp == timedelta(hours=1)
    assert (copy.start_time or 0) - (original.start_time or 0) == 3600
    pairs = list(
        zip(instance.all_logs(copy.dagster_run.run_id), instance.all_logs(first), strict=True)
    )
    assert {entry.run_id for entry, _ in pairs} == {copy.dagster_run.run_id}
    assert {round(new.timestamp - old.timestamp) for new, old in pairs} == {3600}
    assert instance.get_materialized_partitions(QUOTES) == set(NAMES[1:3])
    latest = instance.get_latest_materialization_event(QUOTES)
    assert latest is not None
    assert latest.run_id == copy.dagster_run.run_id
    assert [tick.timestamp for tick in instance.get_ticks("origin", "s")] == [4600.5, 1000.5]
    check = dg.AssetCheckKey(QUOTES, "counts")
    answers = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
    assert {answer.run_id for answer in answers} == {first, copy.dagster_run.run_id}


def test_what_is_written_after_copies_gets_ids_of_its_own(instance: dg.DagsterInstance) -> None:
    """The copies take ids without asking the sequence: the next event would fail on one of them."""
    dg.materialize([quotes], partition_key=NAMES[1], instance=instance)
    Copies(instance, NAMES[:3]).write(1, NAMES[1:])
    assert dg.materialize([quotes], partition_key=NAMES[3], instance=instance).success
    with open_event_log(instance).index_connection() as connection:
        rows, ids = connection.execute(
            sa.text("SELECT count(*), count(DISTINCT id) FROM event_logs")
        ).one()
    assert rows == ids

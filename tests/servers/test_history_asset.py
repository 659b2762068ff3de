"""A history asset, materialized over a range of days as the UI's backfill does it."""

import dagster as dg

from crypto_platform.assets.names import history_key
from crypto_platform.definitions import build_definitions
from crypto_platform.feeds.trades import TRADES
from tests.history_steps import NAME, count_offsets, read_from
from tests.platform_harness import Platform
from tests.venue_harness import NOON_MS, Venue, run_venue

KEY = history_key(NAME, "trades")
RANGE = {
    "dagster/asset_partition_range_start": "2026-01-02",
    "dagster/asset_partition_range_end": "2026-01-04",
}


def materialize(platform: Platform, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """One run over the days of RANGE."""
    job = build_definitions(platform.settings).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, tags=RANGE, asset_selection=[KEY], raise_on_error=False
    )


def describe(
    instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> list[tuple[object, ...]]:
    """Day, records and what was there before of each materialization, as the UI has them."""
    records = instance.fetch_materializations(KEY, limit=100, ascending=True).records
    found = [r.asset_materialization for r in records if r.run_id == result.run_id]
    return [
        (one.partition, one.metadata["records"].value, one.metadata["already_complete"].value)
        for one in found
        if one is not None
    ]


def open_venue(venue: Venue, platform: Platform) -> None:
    """The exchange, days later; one symbol that trades every 128 s."""
    venue.now_ms = NOON_MS + 6 * 86_400_000
    read_from(platform, venue, "FIL-USD")


def test_a_range_of_days_is_one_run_and_each_day_says_what_it_has(platform: Platform) -> None:
    """The UI shows a day's records, or that it had them before; nothing is asked for twice."""
    with run_venue() as venue, dg.DagsterInstance.ephemeral() as instance:
        open_venue(venue, platform)
        first = materialize(platform, instance)
        assert first.success
        assert describe(instance, first) == [(f"2026-01-0{day}", 675, 0) for day in (2, 3, 4)]
        said = [entry.user_message for entry in instance.all_logs(first.run_id)]
        assert any("trades before" in text and "too old to be kept" in text for text in said)
        length = count_offsets(platform, TRADES)
        second = materialize(platform, instance)
        assert describe(instance, second) == [(f"2026-01-0{day}", 0, 1) for day in (2, 3, 4)]
        assert count_offsets(platform, TRADES) == length


def test_a_day_that_failed_stays_missing_and_is_named(platform: Platform) -> None:
    """A green day with half its trades is what nobody would look for."""
    with run_venue() as venue, dg.DagsterInstance.ephemeral() as instance:
        open_venue(venue, platform)
        venue.order(kind="html")
        result = materialize(platform, instance)
        assert not result.success
        assert [day for day, *_ in describe(instance, result)] == ["2026-01-03", "2026-01-04"]
        [failure] = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
        assert "simulated_exchange/trades FIL-USD 2026-01-02" in str(failure.event_specific_data)
        assert materialize(platform, instance).success

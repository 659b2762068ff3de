"""The definitions as Dagster sees them: names people, dashboards and scripts rely on."""

from pathlib import Path

import pytest

from crypto_platform.assets.names import INGEST_JOB, INGEST_OP
from crypto_platform.definitions import build_definitions
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stack import dagster as stack_dagster


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environment={})


def test_the_asset_graph_is_the_way_of_a_record(settings: Settings) -> None:
    """A renamed key orphans its history in the UI and breaks everybody's selections."""
    graph = build_definitions(settings).resolve_asset_graph()
    parents = {
        key.to_user_string(): sorted(
            parent.to_user_string() for parent in graph.get(key).parent_keys
        )
        for key in graph.get_all_asset_keys()
    }
    ingest = ["coingecko/quotes", "simulated/quotes"]
    assert parents == {
        "coingecko/quotes": [],
        "simulated/quotes": [],
        "kafka/market/quotes": ingest,
        "kafka/platform/rejected": ingest,
        "kafka/platform/incidents": ingest,
        "postgres/market/quote": ["kafka/market/quotes"],
        "postgres/platform/rejected": ["kafka/platform/rejected"],
        "postgres/platform/incident": ["kafka/platform/incidents"],
        "mongo/quotes": ["kafka/market/quotes"],
        "mongo/rejected": ["kafka/platform/rejected"],
        "mongo/incidents": ["kafka/platform/incidents"],
    }


def test_a_source_without_its_key_is_left_out_and_comes_with_it(tmp_path: Path) -> None:
    """An asset that can only fail would be red for ever."""
    key = {"CRYPTO_PLATFORM_SOURCES__COINCAP__KEY": "a-key-of-mine"}
    keys = {
        asset.to_user_string()
        for asset in build_definitions(load_settings(tmp_path, environment=key))
        .resolve_asset_graph()
        .get_all_asset_keys()
    }
    assert "coincap/quotes" in keys


def test_the_minute_and_the_sensors_run_without_being_switched_on(settings: Settings) -> None:
    """A fresh install would otherwise sit there and do nothing."""
    repository = build_definitions(settings).get_repository_def()
    running = {s.name for s in repository.schedule_defs if s.default_status.value == "RUNNING"}
    running |= {s.name for s in repository.sensor_defs if s.default_status.value == "RUNNING"}
    assert running == {"every_minute", "topics", "postgres_lag", "mongo_lag"}


def test_the_first_run_asks_for_the_job_that_exists(settings: Settings) -> None:
    """The stack may not import the assets, so it names their job again."""
    assert (stack_dagster.FIRST_JOB, stack_dagster.FIRST_OP) == (INGEST_JOB, INGEST_OP)
    assert build_definitions(settings).resolve_job_def(INGEST_JOB).name == INGEST_JOB

"""Fixtures every test may use, markers that follow from them, and the header."""

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes on a full machine says nothing of what it shows
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

pytest_plugins = [
    "tests.mongo_harness",
    "tests.store_harness",
    "tests.platform_harness",
    "tests.dagster_harness",
    "tests.crash_harness",
    "tests.ui_harness",
    "tests.browser_harness",
    "tests.own_servers",
]

SERVER_FIXTURES = frozenset(
    {"servers", "platform", "store_factory", "postgres_server", "mongo_server"}
)


def pytest_configure(config: pytest.Config) -> None:
    """Register what follows from fixtures, and the one marker set by hand."""
    config.addinivalue_line("markers", "servers: uses real servers; follows from its fixtures")
    config.addinivalue_line("markers", "slow: takes a minute or more; `make test` leaves it out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses real servers is marked `servers` by its fixtures, not by hand."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)

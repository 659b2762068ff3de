"""Fixtures every test may use, markers that follow from them, and the header."""

from collections import Counter
from pathlib import Path

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that uses real servers is marked `servers` by its fixtures, not by hand."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist
        put_long_files_first(items)


def put_long_files_first(items: list[pytest.Item]) -> None:
    """By the time limit of a file's tests, then by their number: short files even out the end.

    A file is handed to one worker as a whole, in this order (`make test`). pytest-xdist's own, by
    the number alone, begins a file of few and long tests when there is little left beside it.
    """
    limit_of: dict[Path, float] = {}
    for item in items:
        marker = item.get_closest_marker("timeout")
        limit = float(marker.args[0]) if marker else 0.0
        limit_of[item.path] = max(limit, limit_of.get(item.path, 0.0))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-limit_of[item.path], -tests[item.path]))

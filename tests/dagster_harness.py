"""A Dagster instance as the platform runs one: its storage in a real PostgreSQL.

Here: `instance`, a database of its own on the servers of the test run. Not here: a web server or a
daemon (tests/servers/test_dagster_ui.py starts a whole stack for that).
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import dagster as dg
import psycopg
import pytest
from psycopg import sql

from tests.platform_harness import Servers


@pytest.fixture
def instance(servers: Servers, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An empty instance."""
    name = f"dagster_{secrets.token_hex(4)}"
    with psycopg.connect(servers.postgres_admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    parts = urlsplit(servers.postgres_admin_url)
    url = urlunsplit(parts._replace(scheme="postgresql+psycopg2", path=f"/{name}"))
    overrides = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made

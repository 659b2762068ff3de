"""Putting a backup back into PostgreSQL that ends half way leaves the store as it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crypto_platform.cli.dumpers import find_postgres_tool
from crypto_platform.errors import StoreRefusedError
from crypto_platform.stores.postgres.dump import APPLICATION_NAME, PostgresDumper
from tests.store_harness import PostgresUrls
from tests.waiting import eventually

HALF = """#!/bin/sh
echo 'CREATE SCHEMA platform; CREATE TABLE platform.half (n integer);'
yes -- '-- more than one piece of it' | head -c 3000000
{end}
"""
PUT_BACK = """
import sys
from pathlib import Path
from crypto_platform.cli.dumpers import find_postgres_tool
from crypto_platform.stores.postgres.dump import PostgresDumper

def find_tool(name):
    return Path(sys.argv[2]) if name == "pg_restore" else find_postgres_tool(name)

PostgresDumper(sys.argv[1], find_tool).put_back(Path("folder"), [], print)
"""

Admin = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def admin(postgres_urls: PostgresUrls) -> Iterator[Admin]:
    """A superuser's connection."""
    with psycopg.connect(postgres_urls.admin, autocommit=True) as connection:
        yield connection


def write_tool(folder: Path, end: str) -> Path:
    """A pg_restore that gives half of a store, and then ends so."""
    tool = folder / "pg_restore"
    tool.write_text(HALF.format(end=end), "utf-8")
    tool.chmod(0o755)
    return tool


def count_writers(admin: Admin, *, state: str) -> int:
    """The backends of this database that put a backup back."""
    [(count,)] = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = %s AND state LIKE %s",
        [APPLICATION_NAME, state],
    ).fetchall()
    assert isinstance(count, int)
    return count


def is_as_it_was(admin: Admin) -> bool:
    """The migrated tables are there, and nothing of the half."""
    return admin.execute(
        "SELECT to_regclass('platform.half') IS NULL AND "
        "to_regclass('platform.kafka_offset') IS NOT NULL"
    ).fetchall() == [(True,)]


def test_killed_half_way_the_old_store_is_whole(
    postgres_urls: PostgresUrls, admin: Admin, tmp_path: Path
) -> None:
    """A psql that commits at the end of its input takes our death for the end of the backup."""
    tool = write_tool(tmp_path, "exec sleep 60")
    child = subprocess.Popen(
        [sys.executable, "-c", PUT_BACK, postgres_urls.migrator, str(tool)], start_new_session=True
    )
    try:
        eventually(lambda: count_writers(admin, state="idle in transaction") == 1, within_s=30)
        child.kill()
        child.wait()
        eventually(lambda: count_writers(admin, state="%") == 0, within_s=30)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
    assert is_as_it_was(admin)


def test_a_reader_that_fails_half_way_changes_nothing_and_says_so(
    postgres_urls: PostgresUrls, admin: Admin, tmp_path: Path
) -> None:
    """Whoever types the command has to know whether there still is a store."""
    tool = write_tool(tmp_path, "echo 'damaged' >&2; exit 1")
    dumper = PostgresDumper(
        postgres_urls.migrator,
        lambda name: tool if name == "pg_restore" else find_postgres_tool(name),
    )
    with pytest.raises(StoreRefusedError, match=r"nothing was changed; it said: .*damaged"):
        dumper.put_back(tmp_path, [], print)
    eventually(lambda: count_writers(admin, state="%") == 0, within_s=30)
    assert is_as_it_was(admin)

"""Migrating PostgreSQL: repeatable, never two at once, always what FEEDS say."""

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crypto_platform.errors import ConfigurationError
from crypto_platform.migrations import __main__ as command
from crypto_platform.migrations import migrate as migrate_all
from crypto_platform.migrations import postgres as migrations
from crypto_platform.settings import load_settings
from tests.store_harness import PostgresServer, PostgresUrls, empty_database, migrate


@pytest.fixture
def empty_urls(postgres_server: PostgresServer) -> Iterator[PostgresUrls]:
    """A database as the stack makes it, without tables."""
    with empty_database(postgres_server, f"test_{secrets.token_hex(6)}") as urls:
        yield urls


def environment_of(urls: PostgresUrls) -> dict[str, str]:
    """Settings that name this database and no other server."""
    return {
        "CRYPTO_PLATFORM_POSTGRES__MIGRATOR_URL": urls.migrator,
        "CRYPTO_PLATFORM_POSTGRES__LOADER_URL": urls.loader,
        "CRYPTO_PLATFORM_POSTGRES__ANALYST_URL": urls.analyst,
    }


def test_the_revisions_make_what_the_feeds_say(postgres_urls: PostgresUrls) -> None:
    """A field added to a record without its revision would stop that feed's load."""
    migrations.check(postgres_urls.migrator)


def test_a_migration_with_nothing_to_do_is_quick(postgres_urls: PostgresUrls) -> None:
    """It is on the path of every start."""
    started = time.monotonic()
    line = migrate(postgres_urls)
    assert time.monotonic() - started < 2
    assert line.endswith("nothing to do")


def test_two_migrations_at_once_take_turns(empty_urls: PostgresUrls, tmp_path: Path) -> None:
    """Two starts at the same time must not both create the tables."""
    settings = load_settings(tmp_path, environment=environment_of(empty_urls))
    lines: list[str] = []
    threads = [
        threading.Thread(target=migrate_all, args=(settings,), kwargs={"progress": lines.append})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    ends = [line.split()[-1] for line in lines if line.startswith("PostgreSQL: at revision")]
    assert ends == ["do", "do"]
    assert len([line for line in lines if line.startswith("PostgreSQL: upgraded")]) == 1


def test_servers_that_are_not_set_are_left_out_by_name(
    empty_urls: PostgresUrls, tmp_path: Path
) -> None:
    """Silence would look like success to whoever forgot an address."""
    lines: list[str] = []
    settings = load_settings(tmp_path, environment=environment_of(empty_urls))
    migrate_all(settings, progress=lines.append)
    migrate_all(load_settings(tmp_path, environment={}), progress=lines.append)
    assert lines.pop(0).startswith("PostgreSQL: upgraded from nothing")
    assert lines == [
        "MongoDB: left out, mongo.migrator_url is not set",
        "Kafka: left out, kafka.bootstrap_servers is not set",
        "PostgreSQL: left out, postgres.migrator_url is not set",
        "MongoDB: left out, mongo.migrator_url is not set",
        "Kafka: left out, kafka.bootstrap_servers is not set",
    ]


def test_revisions_can_be_taken_back_and_applied_again(postgres_urls: PostgresUrls) -> None:
    """A downgrade that leaves something behind makes the next upgrade fail."""
    migrations.downgrade(postgres_urls.migrator, "base")
    assert migrate(postgres_urls).startswith("PostgreSQL: upgraded from nothing")
    migrations.check(postgres_urls.migrator)


def test_a_missing_role_is_named_with_what_makes_it(postgres_urls: PostgresUrls) -> None:
    """Roles are an administrator's business, so the error is for that person."""
    absent = postgres_urls.loader.replace("//loader:", "//absent:")
    with pytest.raises(ConfigurationError, match="CREATE ROLE absent"):
        migrations.migrate(migrator_url=postgres_urls.migrator, loader_url=absent, analyst_url=None)


def test_a_database_of_a_newer_version_is_refused(postgres_urls: PostgresUrls) -> None:
    """Going on would load into tables this version does not know."""
    with psycopg.connect(postgres_urls.migrator) as connection:
        connection.execute("UPDATE platform.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999"):
        migrate(postgres_urls)


def test_a_revision_cannot_be_written_without_a_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A revision is a difference: from nothing it would drop or create everything."""
    code = command.main(["--data-dir", str(tmp_path), "revision", "-m", "new feed"])
    assert code == 1
    assert "postgres.migrator_url is not set" in capsys.readouterr().err

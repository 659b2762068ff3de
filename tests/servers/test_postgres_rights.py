"""Who may do what in PostgreSQL, tried and not only granted."""

import contextlib

import psycopg
import pytest
from psycopg import sql

from crypto_platform.errors import PlatformError
from crypto_platform.stores.postgres import PostgresStore
from tests.store_harness import PostgresUrls, migrate
from tests.store_steps import P0, QUOTES, claim, piece, quote, refusal

LOADER_MUST_NOT = (
    "CREATE TABLE market.mine (id integer)",
    "CREATE TABLE public.mine (id integer)",
    "CREATE SCHEMA mine",
    "DROP TABLE market.quote",
    "ALTER TABLE market.quote ADD COLUMN mine integer",
    "TRUNCATE market.quote",
    "UPDATE market.quote SET price = 1",
    "DELETE FROM market.quote",
    "DELETE FROM platform.kafka_offset",
    "DELETE FROM platform.load_batch",
    "DELETE FROM platform.quarantine",
    "UPDATE platform.alembic_version SET version_num = 'x'",
    "INSERT INTO platform.removed SELECT * FROM platform.removed",
    "INSERT INTO market.currency_alias VALUES ('a', 'b', 'c')",
)

TAKE_REMOVED_OVER = """
SELECT platform.take_removed_over(ARRAY[topic_id], ARRAY[part], '{0}', '{run}', ARRAY[topic],
  ARRAY[now()], ARRAY[now()], '{1}', '{1}', '{1}') FROM platform.kafka_offset
"""

ANALYST_MUST_NOT = (
    "INSERT INTO platform.touched VALUES ('quotes', 'k', now(), 1)",
    "UPDATE platform.kafka_offset SET next_offset = 0",
    "DELETE FROM market.quote",
    "CREATE TABLE public.mine (id integer)",
    "CREATE TEMPORARY TABLE mine (id integer)",
    "SELECT nextval('platform.touched_version')",
)

MIGRATOR_MUST_NOT = (
    "CREATE ROLE guest",
    "ALTER ROLE loader SUPERUSER",
    "CREATE DATABASE guest",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/hostname')",
)


@pytest.fixture
def migrated_urls(postgres_urls: PostgresUrls) -> PostgresUrls:
    """A database whose own rights are set too: a template hands on only those of its tables."""
    migrate(postgres_urls)
    return postgres_urls


@pytest.mark.parametrize("statement", LOADER_MUST_NOT)
def test_the_loader_changes_neither_tables_nor_facts(
    postgres_urls: PostgresUrls, statement: str
) -> None:
    """A load that goes wrong must not be able to take what is stored with it."""
    with (
        psycopg.connect(postgres_urls.loader) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_rights_of_an_older_version_are_taken_back(
    migrated_urls: PostgresUrls,
) -> None:
    """It let the loader insert into whatever table came later: what was removed among them."""
    with psycopg.connect(migrated_urls.migrator) as owner:
        owner.execute("GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA market, platform TO loader")
        owner.execute(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA market, platform GRANT INSERT ON TABLES TO loader"
        )
    migrate(migrated_urls)
    with psycopg.connect(migrated_urls.migrator) as owner:
        owner.execute("CREATE TABLE platform.tomorrow (id integer)")
    for statement in (*LOADER_MUST_NOT, "INSERT INTO platform.tomorrow VALUES (1)"):
        with (
            psycopg.connect(migrated_urls.loader) as loader,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            loader.execute(statement.encode())
    with contextlib.closing(PostgresStore(migrated_urls.loader)) as store:
        [own] = claim(store, P0)
        store.commit([piece(own, [quote(1)], refusals=[refusal(1)])], run_id="run-a")


@pytest.mark.parametrize("statement", ANALYST_MUST_NOT)
def test_the_analyst_writes_nothing_even_in_a_writable_session(
    migrated_urls: PostgresUrls, statement: str
) -> None:
    """The read-only default is a convenience that a session can switch off."""
    with psycopg.connect(migrated_urls.analyst) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


@pytest.mark.parametrize("statement", MIGRATOR_MUST_NOT)
def test_the_migrator_owns_tables_and_nothing_of_the_server(
    postgres_urls: PostgresUrls, statement: str
) -> None:
    """Its password stands in a configuration; the administrator's does not."""
    with (
        psycopg.connect(postgres_urls.migrator, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_only_for_a_partition_that_is_being_restored_may_the_loader_say_that_rows_were_removed(
    migrated_urls: PostgresUrls,
) -> None:
    """What stands there the audit does not miss, so a load could hide by it what it lost."""
    with (
        contextlib.closing(PostgresStore(migrated_urls.loader)) as store,
        psycopg.connect(migrated_urls.loader, autocommit=True) as loader,
    ):
        claim(store, P0)
        with pytest.raises(psycopg.errors.RaiseException, match="only a restore"):
            loader.execute(TAKE_REMOVED_OVER)
        [own] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
        loader.execute(TAKE_REMOVED_OVER)
        assert [each.removed.count for each in store.read_removed(P0)] == [1]
        assert store.end_restore(own, blocked_by=None)
        with pytest.raises(psycopg.errors.RaiseException, match="only a restore"):
            loader.execute(TAKE_REMOVED_OVER)
    with (
        psycopg.connect(migrated_urls.analyst) as analyst,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        analyst.execute(TAKE_REMOVED_OVER)


def test_a_store_opened_as_analyst_reads_all_that_was_loaded(migrated_urls: PostgresUrls) -> None:
    """The audit proves the loader's work, so it must not run with the loader's rights."""
    with contextlib.closing(PostgresStore(migrated_urls.loader)) as loader:
        [own] = claim(loader, P0)
        loader.commit([piece(own, [quote(1)], refusals=[refusal(1)])], run_id="run-a")
    with contextlib.closing(PostgresStore(migrated_urls.analyst)) as analyst:
        assert [row.next_offset for row in analyst.read_offsets()] == [2]
        assert len(list(analyst.read_load_batches())) == 1
        assert len(list(analyst.read_quarantine())) == 1
        assert len(list(analyst.read_range(QUOTES, P0, 0, 2))) == 1
        assert analyst.read_latest_quotes() == [quote(1)]
        assert analyst.read_open_matters().quarantined_records == 1
        with pytest.raises(PlatformError):
            claim(analyst, P0)


def test_the_analyst_reads_everything_within_limits(migrated_urls: PostgresUrls) -> None:
    """A forgotten query must not hold back cleaning up for a day."""
    with psycopg.connect(migrated_urls.analyst) as connection:
        for table in ("market.quote", "platform.load_batch", "platform.quarantine"):
            connection.execute(sql.SQL("TABLE {}").format(sql.Identifier(*table.split("."))))
        [(read_only, timeout)] = connection.execute(
            "SELECT current_setting('default_transaction_read_only'), "
            "current_setting('statement_timeout')"
        ).fetchall()
    assert (read_only, timeout) == ("on", "2min")

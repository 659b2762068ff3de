"""Alembic without an ini file: revisions of the PostgreSQL store.

Here: upgrade, check, new revision, and the lock. Not here: the tables (stores/postgres/tables.py),
rights (stores/postgres/rights.py), revisions themselves (versions/).
"""

import contextlib
import io
from collections.abc import Generator
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from crypto_platform.errors import ConfigurationError
from crypto_platform.migrations.versions.r0005_views_and_questions import (
    STATEMENTS as MARKET_STATEMENTS,
)
from crypto_platform.migrations.versions.r0010_orders_and_wallets import (
    STATEMENTS as ACCOUNT_STATEMENTS,
)
from crypto_platform.migrations.versions.r0014_api import STATEMENTS as OWN_STATEMENTS
from crypto_platform.migrations.versions.r0015_exchange_rates import (
    STATEMENTS as EXCHANGE_RATE_STATEMENTS,
)
from crypto_platform.stores.postgres.rights import set_rights
from crypto_platform.stores.postgres.session import connect, translated
from crypto_platform.stores.postgres.tables import SCHEMAS, build_metadata

APPLICATION_NAME = "crypto_platform migration"
LOCK_WAIT_S = 50
VERSION_SCHEMA = "platform"
VERSION_TABLE = "alembic_version"

VIEWS_AND_FUNCTIONS = (
    *MARKET_STATEMENTS,
    *ACCOUNT_STATEMENTS,
    *OWN_STATEMENTS,
    *EXCHANGE_RATE_STATEMENTS,
)
"""What makes them and says what they are for, in this order."""

_LOCK_KEY = 0x63727970746F
"""Any constant will do: it names the platform's migrations among a database's advisory locks."""

_FOLDER = Path(__file__).parent


@contextlib.contextmanager
def lock(url: str) -> Generator[None, None, None]:
    """Wait until no other migration of this database runs, at most LOCK_WAIT_S.

    Raises:
        StoreUnavailableError: Not reached, or another migration holds the lock for too long.
    """
    with translated(), connect(url, application_name=APPLICATION_NAME) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_WAIT_S}s"])
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])
        yield  # the lock goes with the connection


def migrate(
    *,
    migrator_url: str,
    loader_url: str | None,
    analyst_url: str | None,
    api_url: str | None = None,
    remakes_dropped: bool = False,
) -> str:
    """Upgrade to the newest revision and set rights; returns a line for people.

    Args:
        remakes_dropped: Also make, empty, what somebody dropped since.

    Raises:
        StoreUnavailableError, ConfigurationError: See `migrate` of the package.
    """
    with _connected(migrator_url) as connection:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}"))
        connection.commit()
        before = _current(connection)
        connection.commit()
        scripts = ScriptDirectory.from_config(_config(connection))
        head = scripts.get_current_head()
        _refuse_unknown(before, list_revisions())
        if before != head:
            command.upgrade(_config(connection), "head")
            connection.commit()
        if remakes_dropped:
            _remake_dropped(connection)
    set_rights(
        migrator_url=migrator_url,
        loader_url=loader_url,
        analyst_url=analyst_url,
        api_url=api_url,
    )
    if before == head:
        return f"PostgreSQL: at revision {head}, nothing to do"
    return f"PostgreSQL: upgraded from {before or 'nothing'} to revision {head}"


def list_revisions() -> set[str]:
    """All that this version knows."""
    return {script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions()}


def _remake_dropped(connection: sa.Connection) -> None:
    """Empty tables, and the views and functions that went with them."""
    for schema in SCHEMAS:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    build_metadata().create_all(connection, checkfirst=True)
    for statement in VIEWS_AND_FUNCTIONS:
        replacing = statement.replace("CREATE ", "CREATE OR REPLACE ", 1)
        connection.exec_driver_sql(replacing)
    connection.commit()


def _refuse_unknown(revision: str | None, known: set[str]) -> None:
    if revision is not None and revision not in known:
        message = (
            f"the database is at revision {revision}, this version of the platform knows only "
            f"{', '.join(sorted(known))}: run the version that made it, or a newer one"
        )
        raise ConfigurationError(message)


def downgrade(url: str, revision: str) -> None:
    """Take revisions back to this one (`base` for none); data in what is dropped is lost."""
    with _connected(url) as connection:
        command.downgrade(_config(connection), revision)
        connection.commit()


def check(url: str) -> None:
    """Compare the database with FEEDS.

    Raises:
        alembic.util.exc.AutogenerateDiffsDetected: They differ, with what.
    """
    with _connected(url) as connection:
        command.check(_config(connection))


def write_revision(url: str, *, message: str) -> Path:
    """Generate a revision that makes the database (at the newest revision) what FEEDS say."""
    with _connected(url) as connection:
        config = _config(connection)
        scripts = ScriptDirectory.from_config(config)
        number = len(list(scripts.walk_revisions())) + 1
        script = command.revision(
            config, message=message, autogenerate=True, rev_id=f"{number:04d}"
        )
    assert script is not None
    assert not isinstance(script, list)
    return Path(script.path)


def _current(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(
        connection,
        opts={"version_table": VERSION_TABLE, "version_table_schema": VERSION_SCHEMA},
    )
    return context.get_current_revision()


@contextlib.contextmanager
def _connected(url: str) -> Generator[sa.Connection, None, None]:
    """A connection without statement time-out: building an index may take its time."""
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url, application_name=APPLICATION_NAME, statement_timeout_s=0),
        poolclass=sa.NullPool,
    )
    with translated():
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise error.orig or error from error


def _config(connection: sa.Connection) -> Config:
    # what Alembic would print is said by the callers
    config = Config(stdout=io.StringIO(), attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config

"""A database that is gone, made again on a server that is there; by a superuser.

Here: looking, and running the statements that are handed in. Not here: which (stack/postgres.py),
tables (migrations/).
"""

from collections.abc import Sequence

from psycopg import sql

from crypto_platform.stores.postgres.session import connect, translated

APPLICATION_NAME = "crypto_platform repair"


def has_database(admin_url: str, name: str) -> bool:
    """Whether a server has a database of this name.

    Raises:
        StoreUnavailableError: Not reached.
    """
    with translated(), connect(admin_url, application_name=APPLICATION_NAME) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        return found.rowcount == 1


def execute_all(admin_url: str, statements: Sequence[str]) -> None:
    """Run statements of ours, each by itself."""
    with translated(), connect(admin_url, application_name=APPLICATION_NAME) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement))  # pyright: ignore[reportArgumentType] - ours

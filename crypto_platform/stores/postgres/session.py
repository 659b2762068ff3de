"""One connection to PostgreSQL that comes back after it was lost, and transactions on it.

Here: connecting with limits that keep a load from being stuck for good, and what is known after a
transaction failed: before COMMIT nothing was written; a connection that breaks during COMMIT leaves
the outcome unknown. Not here: what is said on the connection.
"""

import contextlib
import logging
from collections.abc import Generator

import psycopg
from psycopg.rows import TupleRow

from crypto_platform.errors import OutcomeUnknownError, StoreRefusedError
from crypto_platform.stores.postgres.errors import translate

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 10
"""Longer than a successor needs to end a stopped holder (1 s and 2 s), shorter than a stall."""
IDLE_TIMEOUT_S = 30
"""An open transaction whose client says nothing is ended by the server after this."""
DEAD_PEER_S = 15
"""A peer that no longer acknowledges is given up after this."""

_SERVER_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "timezone": "UTC",
        "datestyle": "ISO",
        "client_min_messages": "warning",
        "lock_timeout": f"{LOCK_TIMEOUT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S}s",
        # a backend whose client is gone notices while it works, not at its end
        "client_connection_check_interval": "2s",
    }.items()
)

_NAME_USER = "SELECT set_config('crypto_platform.user_id', %s, true)"

Connection = psycopg.Connection[TupleRow]

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def translated() -> Generator[None, None, None]:
    """The driver's errors as the platform's, for statements that commit by themselves."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


def connect(
    url: str, *, application_name: str, statement_timeout_s: int = STATEMENT_TIMEOUT_S
) -> Connection:
    """A connection in autocommit mode with time-outs on everything.

    Args:
        url: postgresql://role:password@host:port/database.
        application_name: What pg_stat_activity shows.
        statement_timeout_s: 0 for none.

    Raises:
        StoreUnavailableError: Not reached within CONNECT_TIMEOUT_S, or refused.
    """
    with translated():
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=5,
            tcp_user_timeout=DEAD_PEER_S * 1000,
            client_encoding="utf-8",
            application_name=application_name,
            options=f"{_SERVER_OPTIONS} -c statement_timeout={statement_timeout_s}s",
        )


class Session:
    """The store's one connection; made when first needed and again after it was lost."""

    def __init__(self, url: str, *, application_name: str) -> None:
        self._url = url
        self._application_name = application_name
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The living connection, a new one where the last broke.

        Raises:
            StoreUnavailableError: Not reached.
        """
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, application_name=self._application_name)
        return self._connection

    def close(self) -> None:
        """Give the connection back, in whatever state it is."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextlib.contextmanager
    def autocommit(self) -> Generator[Connection, None, None]:
        """The connection for single statements, errors translated."""
        connection = self.connection()
        with translated():
            yield connection

    @contextlib.contextmanager
    def as_user(self, user_id: str) -> Generator[Connection, None, None]:
        """A transaction that reads, in which the views of one's own show this user's rows.

        Without it they show none. The name goes with the transaction, so that no other question on
        this connection ever has it.
        """
        with self.autocommit() as connection, connection.transaction():
            connection.execute(_NAME_USER, [user_id])
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Generator[Connection, None, None]:
        """One transaction: committed at the end of the block, rolled back by any error.

        Raises:
            StoreUnavailableError, StoreRefusedError: Rolled back.
            OutcomeUnknownError: The connection broke between COMMIT and its reply.
        """
        connection = self.connection()
        try:
            connection.execute("BEGIN")
            yield connection
        except psycopg.Error as error:
            self._roll_back()
            raise translate(error) from error
        except BaseException:
            self._roll_back()
            raise
        self._commit(connection)

    def _commit(self, connection: Connection) -> None:
        try:
            cursor = connection.execute("COMMIT")
        except psycopg.Error as error:
            if connection.closed:
                message = "the reply to COMMIT was lost: claim again and believe the stored offsets"
                raise OutcomeUnknownError(message) from error
            self._roll_back()
            raise translate(error) from error
        except BaseException:
            self.close()
            raise
        if cursor.statusmessage != "COMMIT":
            # the server answers ROLLBACK, without an error, to COMMIT of a failed transaction
            message = f"COMMIT was answered with {cursor.statusmessage}: nothing was written"
            raise StoreRefusedError(message)

    def _roll_back(self) -> None:
        if self._connection is None or self._connection.closed:
            return
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            _log.info("the connection was lost; the server rolls back by itself", exc_info=True)
            self.close()

"""psycopg's errors in the platform's words; nothing else of the driver leaves this package.

Here: which SQLSTATE means what. Classes: PostgreSQL manual, appendix A.
"""

import psycopg

from crypto_platform.errors import PlatformError, StoreRefusedError, StoreUnavailableError

UNIQUE_VIOLATION = "23505"
LOCK_NOT_AVAILABLE = "55P03"

_PASSING_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""Connection, transaction state (also a standby's read-only one), rollback (deadlock), resources,
state of an object (lock), operator (shutdown, time-out), system: a later attempt may succeed."""

_DATA_CLASSES = frozenset({"22", "23"})

_CHECK_VIOLATION = "23514"

_TOO_LARGE_FOR_INDEX = "54000"
"""An index entry over 2704 bytes: also a matter of the one record that has such a value."""


def is_data_error(error: psycopg.Error) -> bool:
    """Whether the values of some record are to blame, so that the others can be stored."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    if _lacks_partition(error):
        return False  # see _lacks_partition: every record would be to blame
    return error.sqlstate[:2] in _DATA_CLASSES or error.sqlstate == _TOO_LARGE_FOR_INDEX


def _lacks_partition(error: psycopg.Error) -> bool:
    """Whether retention has removed a partition since it was made; it is made again."""
    return error.sqlstate == _CHECK_VIOLATION and error.diag.constraint_name is None


def is_repeat(error: psycopg.Error) -> bool:
    """Whether an id is there already."""
    return error.sqlstate == UNIQUE_VIOLATION


def describe(error: psycopg.Error) -> str:
    """The server's text and code in one line; psycopg puts no secret into it."""
    text = " ".join(str(error).split())
    return f"{text} (SQLSTATE {error.sqlstate})" if error.sqlstate else text


def _advise(error: psycopg.Error) -> str:
    """What to do where no connection came about because of its encryption; psycopg has no code."""
    text = str(error).lower()
    if "connection has been closed" in text or "eof detected" in text:
        return ""  # a server that went away, over an encrypted connection
    if "certificate" in text or "ssl error" in text:
        return "; look at sslrootcert in the URL, and whether the certificate names this host"
    return "; look at sslmode in the URL" if "ssl" in text or "no encryption" in text else ""


def translate(error: psycopg.Error, *, table: str | None = None) -> PlatformError:
    """The platform's error for a statement that failed and was rolled back.

    Args:
        error: The driver's.
        table: Which one was being written, where the server does not say.
    """
    state = error.sqlstate
    unreached = state is None and isinstance(error, psycopg.OperationalError)
    passing = state is not None and state[:2] in _PASSING_CLASSES
    if unreached or passing or _lacks_partition(error):
        message = f"PostgreSQL: {describe(error)}; nothing was written{_advise(error)}"
        return StoreUnavailableError(message, sqlstate=state)
    named = error.diag.table_name and f"{error.diag.schema_name}.{error.diag.table_name}"
    message = f"PostgreSQL refused a statement: {describe(error)}; nothing was written"
    return StoreRefusedError(message, table=table or named or None, sqlstate=state)

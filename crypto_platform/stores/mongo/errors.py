"""pymongo's errors -> ours: the only place that knows the server's codes.

Here: which of three things an error means (not there, refused, come again inside the transaction).
Not here: what to do about it (writer.py, claims.py). A lost reply to commitTransaction is
translated where it is sent, for only there is the outcome unknown (connection.py).

Codes: mongo/src/mongo/base/error_codes.yml of the server; labels: MongoDB's transactions
specification.
"""

import contextlib
from collections.abc import Generator

from bson.errors import BSONError
from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError, WTimeoutError

from crypto_platform.errors import PlatformError, StoreRefusedError, StoreUnavailableError

TRANSIENT = "TransientTransactionError"
RETRYABLE = "RetryableWriteError"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"

DUPLICATE_KEY = 11000
DOCUMENT_INVALID = 121
ILLEGAL_OPERATION = 20
"""Among others: a transaction on a standalone server."""

_COME_AGAIN = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        43,  # CursorNotFound: the server restarted below a cursor
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        64,  # WriteConcernTimeout
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        133,  # FailedToSatisfyReadPreference
        175,  # QueryPlanKilled: an index or collection changed below a query
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        225,  # TransactionTooOld
        237,  # CursorKilled
        246,  # SnapshotUnavailable
        251,  # NoSuchTransaction
        262,  # ExceededTimeLimit
        290,  # TransactionExceededLifetimeLimitSeconds
        391,  # ReauthenticationRequired
        9001,  # SocketException
        10058,  # LegacyNotPrimary
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted: killSessions, killOp
        11602,  # InterruptedDueToReplStateChange
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary: still recovering
        14031,  # OutOfDiskSpace: space comes back, faults.md 19
    }
)
"""Not there now. A wrong password (18) or a missing right (13) stays so, however often we ask."""


def is_transient(error: PyMongoError) -> bool:
    """Whether the server asks to run the transaction again (a write conflict, a killed session)."""
    return isinstance(error, OperationFailure) and error.has_error_label(TRANSIENT)


def translate(
    error: PyMongoError | BSONError, *, doing: str, table: str | None = None
) -> PlatformError:
    """The error of ours that says what the driver's means; the caller raises it `from error`.

    Args:
        error: As the driver raised it.
        doing: What was tried, for a person: "commit 3 slices".
        table: The collection concerned, where known.

    Returns:
        StoreUnavailableError or StoreRefusedError. The text holds no URL, so no password.
    """
    if isinstance(error, (ConnectionFailure, WTimeoutError)):
        message = f"MongoDB was not reached to {doing}: {_shorten(error)}{_advise(error, None)}"
        return StoreUnavailableError(message)
    code = error.code if isinstance(error, OperationFailure) else None
    labelled = isinstance(error, PyMongoError) and (
        error.has_error_label(TRANSIENT) or error.has_error_label(RETRYABLE)
    )
    if code in _COME_AGAIN or labelled or _is_timeout(error):
        message = f"MongoDB asks to come again to {doing} (code {code}): {_shorten(error)}"
        return StoreUnavailableError(message, code=code)
    message = f"MongoDB refuses to {doing} (code {code}): {_shorten(error)}{_advise(error, code)}"
    return StoreRefusedError(message, table=table, code=code)


@contextlib.contextmanager
def translating(doing: str, *, table: str | None = None) -> Generator[None]:
    """Let only errors of ours leave the block.

    Raises:
        StoreUnavailableError: Not reached, or asked to come again.
        StoreRefusedError: Asking again changes nothing.
    """
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise translate(error, doing=doing, table=table) from error


def _is_timeout(error: PyMongoError | BSONError) -> bool:
    return isinstance(error, PyMongoError) and error.timeout


def _advise(error: PyMongoError | BSONError, code: int | None) -> str:
    if code == ILLEGAL_OPERATION:
        return "; transactions need a replica set (of one node at least)"
    if code in {13, 18}:
        return "; look at the user and password of this role's URL, and its rights"
    if isinstance(error, DriverConfigurationError):
        return "; look at the URL's options"
    if "certificate" in str(error):
        return "; look at tlsCAFile in the URL, and whether the certificate names this host"
    return ""


def _shorten(error: Exception) -> str:
    """The driver's text without its dump of the whole reply."""
    return str(error).partition(", full error:")[0][:500]

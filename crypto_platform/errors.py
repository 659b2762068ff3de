"""Every error the platform raises on purpose, drawn once.

Here: the tree, what each branch means for the caller, and nothing else. Not here: translation of a
driver's errors (each driver's home does that) and Dagster's Failure (the shells in assets/).

    PlatformError                .retryable  .outcome_known  .context (no secrets)
    ├─ SourceError               source, url without query
    │  ├─ SourceUnavailableError   retryable, retry_after_s: no connection, 408 425 429 5xx
    │  ├─ SourceRefusedError       other 4xx: asking again changes nothing
    │  ├─ SourceMalformedError     answered, but not what its page promises
    │  └─ SourceCursorLostError    what was read of it is not its history any more
    ├─ RecordRejectedError       reason: one of Reason
    ├─ KafkaUnavailableError     retryable, nothing was published or read
    ├─ PublisherFencedError      a newer run publishes this feed: end quietly
    ├─ StoreUnavailableError     retryable, nothing was written
    ├─ StoreRefusedError         the store refused a statement of ours: mend it first
    ├─ OutcomeUnknownError       the reply to COMMIT was lost: believe the offset row
    ├─ IncidentError             kind: one of IncidentKind
    ├─ AccountingError           kind: one of AccountingKind
    ├─ StackError                a part of the embedded stack cannot start
    └─ ConfigurationError        names the setting, the value found, a value that works
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a record was refused; the same words in topics, quarantine and the audit."""

    UNDECODABLE = "undecodable"
    UNKNOWN_SCHEMA = "unknown_schema"
    INVARIANT = "invariant"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"


class IncidentKind(StrEnum):
    """What needs a person; docs/runbook.md says for each what to look at and what to type."""

    TOPIC_RECREATED = "topic_recreated"
    RETENTION_GAP = "retention_gap"
    OFFSET_BEYOND_END = "offset_beyond_end"
    LOG_TRUNCATED = "log_truncated"
    CURSOR_LOST = "cursor_lost"
    SOURCE_DRIFT = "source_drift"
    TRADE_GAP = "trade_gap"
    CANDLE_GAP = "candle_gap"


class AccountingKind(StrEnum):
    """What an account's own events contradict."""

    MISSING_ACQUISITION = "missing_acquisition"
    IMPOSSIBLE_EVENT = "impossible_event"


class PlatformError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        retryable: Whether doing the same again later may succeed.
        outcome_known: False where the work may be half done; then the store has to be asked.
        context: What a person needs to find the place; never holds a secret.
    """

    retryable = False
    outcome_known = True

    def __init__(self, message: str, /, **context: object) -> None:
        super().__init__(message)
        self.context = context


class SourceError(PlatformError):
    """A source did not give what was asked.

    Attributes:
        source: The source's name in the settings.
        url: What was asked, without its query (a query may hold a key).
    """

    def __init__(self, message: str, /, *, source: str, url: str, **context: object) -> None:
        super().__init__(message, source=source, url=url, **context)
        self.source = source
        self.url = url


class SourceUnavailableError(SourceError):
    """Not reached, or asked to come again (408, 425, 429, 5xx)."""

    retryable = True

    def __init__(
        self,
        message: str,
        /,
        *,
        source: str,
        url: str,
        retry_after_s: float | None = None,
        **context: object,
    ) -> None:
        super().__init__(message, source=source, url=url, **context)
        self.retry_after_s = retry_after_s


class SourceRefusedError(SourceError):
    """Refused for good (another 4xx): asking again changes nothing until a setting does."""


class SourceMalformedError(SourceError):
    """Answered, but not what its page promises; nothing of the page is used."""

    retryable = True


class SourceCursorLostError(SourceError):
    """Its history is another than the one that was read: incident cursor_lost, nothing is used.

    Attributes:
        position: How far it had been read.
    """

    def __init__(
        self, message: str, /, *, source: str, url: str, position: str, **context: object
    ) -> None:
        super().__init__(message, source=source, url=url, **context)
        self.position = position


class RecordRejectedError(PlatformError):
    """One record is not what its feed promises.

    Attributes:
        reason: One of Reason.
    """

    def __init__(self, message: str, /, *, reason: Reason, **context: object) -> None:
        super().__init__(message, **context)
        self.reason = reason


class KafkaUnavailableError(PlatformError):
    """Kafka did not answer in time; nothing was published or read."""

    retryable = True


class PublisherFencedError(PlatformError):
    """A newer producer has this transactional id: this one must end, quietly."""


class StoreUnavailableError(PlatformError):
    """The store did not answer or asked to come again; nothing was written."""

    retryable = True


class StoreRefusedError(PlatformError):
    """The store refused a statement of ours (a missing table, right or index).

    Attributes:
        table: Which table or collection could not be written, where the store says so.
    """

    def __init__(self, message: str, /, *, table: str | None = None, **context: object) -> None:
        super().__init__(message, table=table, **context)
        self.table = table


class OutcomeUnknownError(PlatformError):
    """The reply to COMMIT was lost: connect again, claim again, believe the stored row."""

    retryable = True
    outcome_known = False


class IncidentError(PlatformError):
    """Something only a person can decide; the partition stops until it is acknowledged.

    Attributes:
        kind: One of IncidentKind.
    """

    def __init__(self, message: str, /, *, kind: IncidentKind, **context: object) -> None:
        super().__init__(message, **context)
        self.kind = kind


class AccountingError(PlatformError):
    """The events of an account contradict each other; nothing of what was asked is answered.

    Attributes:
        kind: One of AccountingKind.
    """

    def __init__(self, message: str, /, *, kind: AccountingKind, **context: object) -> None:
        super().__init__(message, **context)
        self.kind = kind


class StackError(PlatformError):
    """A part of the embedded stack cannot start, with what to do about it."""


class ConfigurationError(PlatformError):
    """A setting is unknown or has a value that cannot work; names it and a value that does."""

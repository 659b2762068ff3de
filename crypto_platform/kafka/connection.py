"""How every client reaches Kafka, and what its errors mean.

Here: the settings all clients share and the one translation of librdkafka's errors. Callbacks given
to librdkafka never raise: an exception inside `consume()` drops the batch yet moves the position.
"""

import logging
import time
from contextlib import suppress
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException

from crypto_platform.errors import ConfigurationError, KafkaUnavailableError
from crypto_platform.settings import KafkaSettings, Settings

logger = logging.getLogger(__name__)

_EXPECTED_TEXTS = (
    "fenced by a newer instance",
    "attempted an operation with an old epoch",
    "Coordinator load in progress",
    "SSL handshake failed",
    "SASL authentication error",
    "routines::",
)
"""What librdkafka calls critical and is how every run is succeeded, a broker that has just started,
or (several times a second) one that is not trusted: whoever asked gets it as an exception."""


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of librdkafka's tells more than the errors it raises anyway."""
    text = record.getMessage()
    return not any(expected in text for expected in _EXPECTED_TEXTS)


client_logger = logging.getLogger(f"{__name__}.librdkafka")
client_logger.addFilter(is_news)

SILENCE_MS_MAX = 5000
"""A broker that owes an answer for so long is given up; what asks longest waits 0.2 s there."""

TRANSIENT_CODES = frozenset(
    {
        KafkaError._NOENT,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.BROKER_NOT_AVAILABLE,
    }
)
"""Seen for some seconds after a broker restart; none of them says that a topic is gone."""


def client_config(settings: Settings) -> dict[str, Any]:
    """What every client is made with.

    Raises:
        ConfigurationError: No broker is known, or not how to log in there.
    """
    servers = settings.kafka.bootstrap_servers
    if servers is None:
        message = (
            "kafka.bootstrap_servers is not set: start the platform here with "
            "`crypto-platform up`, or name a broker (host:port) in the settings"
        )
        raise ConfigurationError(message)
    return {
        "bootstrap.servers": servers,
        **_describe_security(settings.kafka),
        "client.id": f"crypto_platform-{settings.deployment}",
        "error_cb": _note_error,
        "logger": client_logger,
        # else a broker that hangs is believed in for a minute, though another one leads by then
        "socket.timeout.ms": SILENCE_MS_MAX,
        "socket.connection.setup.timeout.ms": 3000,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1000,
        # a client that is idle (an AdminClient between two questions) learns only so that the
        # broker it would ask is gone and another one decides
        "topic.metadata.refresh.interval.ms": 5_000,
        # else a client remembers for half a minute that a fresh topic does not exist
        "topic.metadata.propagation.max.ms": 5_000,
    }


def _describe_security(kafka: KafkaSettings) -> dict[str, Any]:
    """Encryption and log-in; a certificate is always checked, the name in it too."""
    config: dict[str, Any] = {"security.protocol": kafka.security_protocol}
    if kafka.ca_file is not None:
        if not kafka.ca_file.is_file():
            message = f"kafka.ca_file: there is no file {kafka.ca_file}"
            raise ConfigurationError(message)
        config["ssl.ca.location"] = str(kafka.ca_file)
    if not kafka.security_protocol.startswith("SASL_"):
        return config
    if kafka.username is None or kafka.password is None:
        message = (
            f"kafka.security_protocol is {kafka.security_protocol}, which logs in: set "
            f"kafka.username and kafka.password too"
        )
        raise ConfigurationError(message)
    return config | {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.username,
        "sasl.password": kafka.password.get_secret_value(),
    }


class Polled(Protocol):
    """A client that calls its callbacks only when asked to (AdminClient, Producer)."""

    def poll(self, timeout: float = ..., /) -> int:
        """Call those that are due."""
        ...


def unavailable(
    error: KafkaException | KafkaError | TimeoutError, doing: str, client: Polled | None = None
) -> KafkaUnavailableError:
    """The platform's error for a Kafka error while `doing` something.

    Args:
        client: Whose it is, where it has not been polled: it may know why nobody answers.
    """
    if client is not None:
        with suppress(KafkaException):  # one that can go on no more says it here again
            client.poll(0)
    cause = error.args[0] if isinstance(error, KafkaException) else error
    text = cause.str() if isinstance(cause, KafkaError) else str(cause) or "no answer in time"
    return KafkaUnavailableError(f"Kafka: {doing}: {text}{_refusals.explain()}; it is tried again")


class _Refusals:
    """Why a broker was not trusted or let nobody in: librdkafka's callers learn of time-outs only.

    A process knows one Kafka, whatever clients it has.
    """

    def __init__(self) -> None:
        self._told_at = 0.0
        self._text = ""

    def note(self, error: KafkaError) -> None:
        """Keep what says more than that nobody answers."""
        text = error.str().partition(" (after ")[0].partition(" (install ")[0]
        advice = _REFUSAL_ADVICE.get(error.code())
        if advice is None and "security.protocol" in text:
            advice = "look at kafka.security_protocol"
        if advice is not None:
            self._told_at, self._text = time.monotonic(), f"; {text}; {advice}"

    def explain(self) -> str:
        """The last one, if it is no older than the longest wait."""
        return self._text if time.monotonic() - self._told_at < REFUSAL_S else ""


REFUSAL_S = 60.0
_REFUSAL_ADVICE = {
    KafkaError._SSL: "look at kafka.ca_file, and whether the certificate names this host",
    KafkaError._AUTHENTICATION: "look at kafka.username, kafka.password and kafka.sasl_mechanism",
}
_refusals = _Refusals()


def _note_error(error: KafkaError) -> None:
    logger.debug("kafka client: %s", error.str())
    _refusals.note(error)

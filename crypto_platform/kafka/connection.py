"""How every client reaches Kafka, and what its errors mean.

Here: the settings all clients share and the one translation of librdkafka's errors. Callbacks given
to librdkafka never raise: an exception inside `consume()` drops the batch yet moves the position.
"""

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from crypto_platform.errors import ConfigurationError, KafkaUnavailableError
from crypto_platform.settings import Settings

logger = logging.getLogger(__name__)

_EXPECTED_TEXTS = (
    "fenced by a newer instance",
    "attempted an operation with an old epoch",
    "Coordinator load in progress",
)
"""What librdkafka calls critical and is how every run is succeeded, or a broker that has just
started: whoever asked gets it as an exception."""


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of librdkafka's tells more than the errors it raises anyway."""
    text = record.getMessage()
    return not any(expected in text for expected in _EXPECTED_TEXTS)


client_logger = logging.getLogger(f"{__name__}.librdkafka")
client_logger.addFilter(is_news)

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
        ConfigurationError: No broker is known.
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
        "client.id": f"crypto_platform-{settings.deployment}",
        "error_cb": _note_error,
        "logger": client_logger,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 60_000,
        # else a client remembers for half a minute that a fresh topic does not exist
        "topic.metadata.propagation.max.ms": 5_000,
    }


def unavailable(error: KafkaException | KafkaError, doing: str) -> KafkaUnavailableError:
    """The platform's error for a Kafka error while `doing` something."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    text = cause.str() if isinstance(cause, KafkaError) else str(cause)
    return KafkaUnavailableError(f"Kafka: {doing}: {text}; it is tried again")


def _note_error(error: KafkaError) -> None:
    logger.debug("kafka client: %s", error.str())

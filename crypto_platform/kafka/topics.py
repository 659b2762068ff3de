"""Names, sizes and settings of the topics; only a migration creates them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.kafka.connection import client_config, unavailable
from crypto_platform.settings import Settings

CURSORS_TOPIC = "platform.cursors"
HISTORY_CURSORS_TOPIC = "platform.history_cursors"
"""Apart from the others, which every ingest run reads whole."""
COMPACTED_TOPICS = (CURSORS_TOPIC, HISTORY_CURSORS_TOPIC)
"""The last value under each key is kept for good; no store loads them."""

_MS_PER_HOUR = 3_600_000
_RETENTION_BYTES = 8 * 1024**3
"""Size cap of a partition: a runaway source must not fill the disk before 48 hours pass."""

_UNLIMITED = "-1"


def topic_name(settings: Settings, topic: str) -> str:
    """The topic's name on the broker, with this deployment's prefix."""
    return f"{settings.kafka.topic_prefix}{topic}"


def create_topics(settings: Settings, *, progress: Callable[[str], None] = print) -> None:
    """Create the topics that are missing; those that exist stay as they are.

    Raises:
        KafkaUnavailableError: The broker did not answer or refused; asking again is safe.
    """
    admin = AdminClient(client_config(settings))
    timeout_s = settings.kafka.request_timeout_s
    try:
        existing = set(admin.list_topics(timeout=timeout_s).topics)
    except KafkaException as error:
        raise unavailable(error, "list topics") from error
    wanted = [_feed_topic(settings, feed) for feed in FEEDS]
    wanted += [_compacted_topic(settings, topic) for topic in COMPACTED_TOPICS]
    missing = [topic for topic in wanted if topic.topic not in existing]
    if not missing:
        return
    for name, future in admin.create_topics(missing, request_timeout=timeout_s).items():
        try:
            future.result(timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(error, f"create topic {name}") from error
        except TimeoutError as error:
            message = f"Kafka: create topic {name}: no answer in {timeout_s} s"
            raise KafkaUnavailableError(message) from error
    progress(f"kafka: created {', '.join(topic.topic for topic in missing)}")


def read_topic_ids(
    admin: AdminClient, names: list[str], *, timeout_s: float
) -> dict[str, tuple[str, int]]:
    """Kafka's own id (UUID as text) and the partition count of each topic that exists.

    A topic deleted and created again under its name has another id. A topic just created may be
    unknown to the broker asked for a moment: it is then absent from the answer.

    Raises:
        KafkaUnavailableError: The broker did not answer.
    """
    found: dict[str, tuple[str, int]] = {}
    futures = admin.describe_topics(TopicCollection(names), request_timeout=timeout_s)
    for name, future in futures.items():
        try:
            description = future.result(timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise unavailable(error, f"describe topic {name}") from error
        except TimeoutError as error:
            message = f"Kafka: describe topic {name}: no answer in {timeout_s} s"
            raise KafkaUnavailableError(message) from error
        found[name] = (_uuid_text(description.topic_id), len(description.partitions))
    return found


def _uuid_text(topic_id: Any) -> str:  # noqa: ANN401 - a Uuid, whose stub lacks its methods
    mask = 2**64 - 1
    high = topic_id.get_most_significant_bits() & mask
    low = topic_id.get_least_significant_bits() & mask
    return str(UUID(int=high << 64 | low))


def _feed_topic(settings: Settings, feed: Feed[Record]) -> NewTopic:
    retention_ms = settings.kafka.retention_hours * _MS_PER_HOUR
    return NewTopic(
        topic_name(settings, feed.topic),
        num_partitions=feed.partitions,
        replication_factor=settings.kafka.replication_factor,
        config={
            "retention.ms": _UNLIMITED if feed.keeps_topic else str(retention_ms),
            "retention.bytes": _UNLIMITED if feed.keeps_topic else str(_RETENTION_BYTES),
            # the hour of a record is the broker's, so a producer's wrong clock moves nothing
            "message.timestamp.type": "LogAppendTime",
        },
    )


def _compacted_topic(settings: Settings, topic: str) -> NewTopic:
    return NewTopic(
        topic_name(settings, topic),
        num_partitions=1,
        replication_factor=settings.kafka.replication_factor,
        config={
            # with the defaults it practically never compacts
            "cleanup.policy": "compact",
            "segment.ms": "600000",
            "max.compaction.lag.ms": "1200000",
            "min.cleanable.dirty.ratio": "0.1",
        },
    )

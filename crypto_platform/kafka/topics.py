"""Names, sizes and settings of the topics; only a migration creates them."""

import math
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.kafka.brokers import judge_brokers
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

_KEPT = "retention.ms"
_UNLIMITED = "-1"


def topic_name(settings: Settings, topic: str) -> str:
    """The topic's name on the broker, with this deployment's prefix."""
    return f"{settings.kafka.topic_prefix}{topic}"


def create_topics(settings: Settings, *, progress: Callable[[str], None]) -> None:
    """Create the topics that are missing; those that exist may only come to keep records longer.

    A shorter ``kafka.retention_hours`` is left to a person: Kafka would remove at once what a store
    that is behind has not loaded yet. Topics are created also by a user who may not ask or change
    how long the others keep records.

    Args:
        progress: Takes a line for people; also where a topic has fewer replicas than are asked for,
            keeps records longer, or is not ours to ask or to change.

    Raises:
        ConfigurationError: There are fewer brokers than replicas are asked for, or one that would
            be talked to in plain text.
        KafkaUnavailableError: The broker did not answer or refused; asking again is safe.
    """
    admin = AdminClient(client_config(settings))
    timeout_s = settings.kafka.request_timeout_s
    try:
        found = admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise unavailable(error, "list topics", admin) from error
    judge_brokers(settings, found)
    existing = found.topics
    wanted = [_feed_topic(settings, feed) for feed in FEEDS]
    wanted += [_compacted_topic(settings, topic) for topic in COMPACTED_TOPICS]
    missing = [topic for topic in wanted if topic.topic not in existing]
    thin = [
        topic.topic
        for topic in wanted
        if topic.topic in existing
        and _count_replicas(existing[topic.topic]) < settings.kafka.replication_factor
    ]
    if thin:
        progress(
            f"kafka: kept on fewer brokers than kafka.replication_factor = "
            f"{settings.kafka.replication_factor}: {', '.join(thin)}; Kafka's "
            f"kafka-reassign-partitions adds replicas (docs/resilience.md)"
        )
    _keep_longer(settings, admin, [t for t in wanted if t.topic in existing], progress)
    if not missing:
        return
    for name, future in admin.create_topics(missing, request_timeout=timeout_s).items():
        try:
            future.result(timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.INVALID_REPLICATION_FACTOR:
                raise _too_few_brokers(settings, name, error) from error
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(error, f"create topic {name}") from error
        except TimeoutError as error:
            raise unavailable(error, f"create topic {name}") from error
    progress(f"kafka: created {', '.join(topic.topic for topic in missing)}")


def _keep_longer(
    settings: Settings,
    admin: AdminClient,
    topics: list[NewTopic],
    progress: Callable[[str], None],
) -> None:
    """Raise ``retention.ms`` where a topic keeps less than is asked for; only tell of more."""
    configs = {topic.topic: topic.config or {} for topic in topics}
    asked = {name: config[_KEPT] for name, config in configs.items() if _KEPT in config}
    if not asked:
        return
    timeout_s = settings.kafka.request_timeout_s
    kept = _read_retention(admin, list(asked), timeout_s)
    if unknown := [name for name in asked if name not in kept]:
        progress(
            f"kafka: not known whether records are kept for kafka.retention_hours = "
            f"{settings.kafka.retention_hours}: {', '.join(unknown)}; {_lacks('DescribeConfigs')}"
        )
    short = {name: asked[name] for name in kept if _lasts(kept[name]) < _lasts(asked[name])}
    refused = _set_retention(admin, short, timeout_s) if short else []
    if refused:
        progress(
            f"kafka: records are kept shorter than kafka.retention_hours = "
            f"{settings.kafka.retention_hours}, and it could not be changed: {', '.join(refused)}; "
            f"{_lacks('AlterConfigs')}"
        )
    if changed := [name for name in short if name not in refused]:
        progress(f"kafka: records are kept longer now, as settings say: {', '.join(changed)}")
    if long := [name for name in kept if _lasts(kept[name]) > _lasts(asked[name])]:
        progress(
            f"kafka: kept longer than kafka.retention_hours = {settings.kafka.retention_hours}, "
            f"and left so: {', '.join(long)}; Kafka's kafka-configs shortens it (docs/runbook.md)"
        )


def _lacks(operation: str) -> str:
    return f"Kafka's user lacks the right {operation} on topics (docs/security.md)"


def _lasts(retention_ms: str) -> float:
    return math.inf if retention_ms == _UNLIMITED else int(retention_ms)


def _read_retention(admin: AdminClient, names: list[str], timeout_s: float) -> dict[str, str]:
    """Milliseconds as text, or ``_UNLIMITED``, by topic; without those that are not ours to see."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    futures = admin.describe_configs(resources, request_timeout=timeout_s)
    kept: dict[str, str] = {}
    for resource, future in futures.items():
        try:
            kept[resource.name] = str(future.result(timeout=timeout_s)[_KEPT].value)
        except (KafkaException, TimeoutError) as error:
            if not _is_forbidden(error):
                raise unavailable(error, "read how long topics keep records", admin) from error
    return kept


def _set_retention(admin: AdminClient, wanted: dict[str, str], timeout_s: float) -> list[str]:
    """Returns the topics that are not ours to change; the others are changed."""
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(_KEPT, value, incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for name, value in wanted.items()
    ]
    futures = admin.incremental_alter_configs(resources, request_timeout=timeout_s)
    refused: list[str] = []
    for resource, future in futures.items():
        try:
            future.result(timeout=timeout_s)
        except (KafkaException, TimeoutError) as error:
            if not _is_forbidden(error):
                raise unavailable(error, "let topics keep records longer", admin) from error
            refused.append(resource.name)
    return refused


def _is_forbidden(error: KafkaException | TimeoutError) -> bool:
    return (
        isinstance(error, KafkaException)
        and error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    )


def _count_replicas(topic: TopicMetadata) -> int:
    return min((len(partition.replicas) for partition in topic.partitions.values()), default=0)


def _too_few_brokers(settings: Settings, name: str, error: KafkaException) -> ConfigurationError:
    message = (
        f"kafka.replication_factor is {settings.kafka.replication_factor}, but topic {name} cannot "
        f"be kept on so many brokers ({error.args[0].str()}): start the others, or set it to how "
        f"many there are"
    )
    return ConfigurationError(message)


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
    deadline = time.monotonic() + timeout_s
    futures = admin.describe_topics(TopicCollection(names), request_timeout=timeout_s)
    for name, future in futures.items():
        try:
            description = future.result(timeout=max(deadline - time.monotonic(), 0.0))
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise unavailable(error, f"describe topic {name}", admin) from error
        except TimeoutError as error:
            raise unavailable(error, f"describe topic {name}", admin) from error
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
            _KEPT: _UNLIMITED if feed.keeps_topic else str(retention_ms),
            "retention.bytes": _UNLIMITED if feed.keeps_topic else str(_RETENTION_BYTES),
            # the hour of a record is the broker's, so a producer's wrong clock moves nothing
            "message.timestamp.type": "LogAppendTime",
            **_keep_majority(settings),
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
            **_keep_majority(settings),
        },
    )


def _keep_majority(settings: Settings) -> dict[str, str]:
    """A record is acknowledged once most replicas have it, so that any one of three may be lost."""
    return {"min.insync.replicas": str(settings.kafka.replication_factor // 2 + 1)}

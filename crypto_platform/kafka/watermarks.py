"""Bounds of partitions: what is there, how far read_committed can see, which offset an hour has.

Here: AdminClient calls, each with a timeout well under a sensor tick's 60 s. After a broker restart
a long-lived AdminClient's list_offsets fails with FENCED_LEADER_EPOCH until it refreshes its
metadata: on any error it is refreshed and asked once more, then made anew by the next call.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.kafka.brokers import judge_brokers, refuse_open_brokers
from crypto_platform.kafka.connection import client_config, unavailable
from crypto_platform.kafka.topics import read_topic_ids
from crypto_platform.settings import Settings

Spec = Any
"""An OffsetSpec; the client's stubs disagree with themselves about its subclasses."""


class Part(NamedTuple):
    """A partition by its topic's name on the broker."""

    topic: str
    part: int


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """One partition's bounds.

    Attributes:
        low: First retained offset.
        high: One past the last replicated record.
        last_stable: How far read_committed can see; below `high` while a transaction is open.
    """

    low: int
    high: int
    last_stable: int


class Watermarks:
    """Asks for topic ids and bounds; one a process, any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_s = settings.kafka.request_timeout_s
        self._admin: AdminClient | None = None

    def read_topic_ids(
        self, topics: Iterable[str], *, within_s: float | None = None
    ) -> dict[str, tuple[str, int]]:
        """Id and partition count of each topic that exists; see topics.read_topic_ids.

        Args:
            within_s: Ask once and wait no longer, an error's consequences included; None asks a
                second time after an error.
        """
        names = list(topics)
        deadline = time.monotonic() + (within_s or 0.0)
        try:
            client = self._client(within_s)
            return read_topic_ids(client, names, timeout_s=within_s or self._timeout_s)
        except KafkaUnavailableError:
            if within_s is not None:
                self._refresh(deadline - time.monotonic())
                raise
            self._refresh(self._timeout_s)
            return read_topic_ids(self._client(), names, timeout_s=self._timeout_s)

    def read_bounds(self, parts: Sequence[Part]) -> dict[Part, Bounds]:
        """The bounds of each partition, uncached.

        Raises:
            ConfigurationError: A broker would be talked to in plain text.
            KafkaUnavailableError: No answer, or not for all of them.
        """
        committed = IsolationLevel.READ_COMMITTED
        uncommitted = IsolationLevel.READ_UNCOMMITTED
        low = self._list(parts, OffsetSpec.earliest(), uncommitted)
        # last_stable before high: records arriving in between must not look like an open
        # transaction being behind; high can only be further
        last_stable = self._list(parts, OffsetSpec.latest(), committed)
        high = self._list(parts, OffsetSpec.latest(), uncommitted)
        return {
            part: Bounds(low=low[part], high=high[part], last_stable=last_stable[part])
            for part in parts
        }

    def read_offsets_at(self, parts: Sequence[Part], *, time_us: int) -> dict[Part, int | None]:
        """First offset appended at or after a time; None where there is none yet."""
        spec = OffsetSpec.for_timestamp(-(-time_us // 1000))
        found = self._list(parts, spec, IsolationLevel.READ_UNCOMMITTED)
        return {part: None if offset < 0 else offset for part, offset in found.items()}

    def read_last_appends(self, parts: Sequence[Part]) -> dict[Part, int | None]:
        """Latest append time in each partition, microseconds; None where it holds nothing."""
        found = self._ask(parts, OffsetSpec.max_timestamp(), IsolationLevel.READ_UNCOMMITTED)
        return {
            part: None if result.offset < 0 else result.timestamp * 1000
            for part, result in found.items()
        }

    def _list(
        self, parts: Sequence[Part], spec: Spec, isolation: IsolationLevel
    ) -> dict[Part, int]:
        return {part: found.offset for part, found in self._ask(parts, spec, isolation).items()}

    def _ask(
        self, parts: Sequence[Part], spec: Spec, isolation: IsolationLevel
    ) -> dict[Part, ListOffsetsResultInfo]:
        if not parts:
            return {}
        try:
            return self._ask_once(parts, spec, isolation)
        except KafkaUnavailableError:
            self._refresh(self._timeout_s)
            return self._ask_once(parts, spec, isolation)

    def _ask_once(
        self, parts: Sequence[Part], spec: Spec, isolation: IsolationLevel
    ) -> dict[Part, ListOffsetsResultInfo]:
        request = {TopicPartition(part.topic, part.part): spec for part in parts}
        offsets: dict[Part, ListOffsetsResultInfo] = {}
        client = self._client()
        try:
            futures = client.list_offsets(
                request, isolation_level=isolation, request_timeout=self._timeout_s
            )
            for partition, future in futures.items():
                found = future.result(timeout=self._timeout_s)
                offsets[Part(partition.topic, partition.partition)] = found
        except (KafkaException, TimeoutError) as error:
            raise unavailable(error, "list offsets", client) from error
        return offsets

    def _client(self, within_s: float | None = None) -> AdminClient:
        if self._admin is None:
            admin = AdminClient(client_config(self._settings))
            refuse_open_brokers(self._settings, admin, within_s=within_s)
            self._admin = admin
        return self._admin

    def _refresh(self, within_s: float) -> None:
        """Bring the client's view of leaders up to date, or drop it; at once without time left."""
        client, self._admin = self._admin, None
        if client is None or within_s <= 0:
            return
        with suppress(KafkaException):
            judge_brokers(self._settings, client.list_topics(timeout=within_s))
            self._admin = client

"""Publish one poll as one Kafka transaction: its records, its rejected pieces, its cursors.

Here: a transactional producer per (source, feed, mode). `open` fences the predecessor with the same
transactional id. An open transaction holds back every reader of its partitions, so everything is in
hand before one begins, and it is short. Not here: what to publish (delivery/ingest.py).
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from crypto_platform.crash_points import is_armed, reach
from crypto_platform.errors import KafkaUnavailableError, PublisherFencedError
from crypto_platform.kafka.brokers import refuse_open_brokers
from crypto_platform.kafka.connection import client_config, unavailable
from crypto_platform.settings import Settings

logger = logging.getLogger(__name__)

_FENCED_CODES = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
)
_COMMIT_TRIES_MAX = 3
"""A commit that timed out must be asked again: repeating it is safe, its outcome is one."""


ABORT_S_MAX = 2.0
"""Longest wait for an abort: where the broker is away, the next publisher's opening does it too."""

RUN_HEADER = "run_id"
"""Names the run that published a record; loads never parse it."""


class Outgoing(NamedTuple):
    """One Kafka record to publish; value None is a tombstone (cursors only)."""

    topic: str
    key: str
    value: bytes | None


class Publisher:
    """The transactional producer of one source's feed. One thread uses it."""

    def __init__(
        self,
        settings: Settings,
        *,
        source: str,
        feed: str,
        mode: str = "live",
        run_id: str | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            run_id: Who publishes; goes with each record as header RUN_HEADER.
        """
        self._headers: list[tuple[str, str | bytes | None]] = (
            [] if run_id is None else [(RUN_HEADER, run_id.encode())]
        )
        self._transactional_id = f"{settings.deployment}.{source}.{feed}.{mode}"
        timeout_ms = int(settings.ingest.transaction_timeout_s * 1000)
        self._settings = settings
        self._timeout_s = settings.kafka.request_timeout_s
        self._producer = Producer(
            client_config(settings)
            | {
                "transactional.id": self._transactional_id,
                "transaction.timeout.ms": timeout_ms,
                "delivery.timeout.ms": timeout_ms,
                "socket.timeout.ms": timeout_ms,
                # a transaction asks for it anyway: acknowledged is what most replicas have
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "lz4",
                # librdkafka's default partitioner differs from every Java client's
                "partitioner": "murmur2_random",
            }
        )
        self._opened = False

    def open(self) -> None:
        """Take over the transactional id; a predecessor's open transaction is aborted.

        Raises:
            ConfigurationError: A broker would be talked to in plain text.
            KafkaUnavailableError: No answer; make a new publisher and try again.
        """
        refuse_open_brokers(self._settings, self._producer)
        try:
            self._producer.init_transactions(self._timeout_s)
        except KafkaException as error:
            raise self._translate(error, "take over the transactional id") from error
        self._opened = True

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Publish all of it, or nothing.

        Raises:
            PublisherFencedError: A newer publisher took over; nothing was published.
            KafkaUnavailableError: Nothing was published, or (after a commit without an answer) all
                of it; close this publisher, and the next one's cursors tell which.
        """
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record)
            self._reach_before_commit()
        except KafkaException as error:
            self._abort(error)
            raise self._translate(error, f"publish {len(records)} records") from error
        try:
            self._commit()
        except KafkaException as error:
            # a commit without an answer may have gone through: aborting would be a lie
            if error.args[0].txn_requires_abort():
                self._abort(error)
            raise self._translate(error, f"publish {len(records)} records") from error
        reach("after_kafka_commit")

    def close(self) -> None:
        """Let go without waiting: what was not committed is aborted by the broker."""
        try:
            self._producer.purge()
            self._producer.flush(0)
        except KafkaException as error:
            # a fenced producer raises even here; there is nothing left to let go of
            logger.debug("close of %s: %s", self._transactional_id, error)

    def _produce(self, record: Outgoing) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic, key=record.key, value=record.value, headers=self._headers
                )
            except BufferError:
                # the queue is full: serving it makes room, nothing is dropped
                self._producer.poll(0.1)
            else:
                return

    def _reach_before_commit(self) -> None:
        if is_armed("before_kafka_commit"):
            # else the kill would find the records in our queue and nothing in Kafka's log
            self._producer.flush(self._timeout_s)
            reach("before_kafka_commit")

    def _commit(self) -> None:
        for attempt in range(1, _COMMIT_TRIES_MAX + 1):
            try:
                self._producer.commit_transaction(self._timeout_s)
            except KafkaException as error:
                if attempt == _COMMIT_TRIES_MAX or not error.args[0].retriable():
                    raise
            else:
                return

    def _abort(self, error: KafkaException) -> None:
        if error.args[0].fatal():
            return
        try:
            self._producer.abort_transaction(ABORT_S_MAX)
        except KafkaException as abort_error:
            logger.debug("abort of %s: %s", self._transactional_id, abort_error)

    def _translate(
        self, error: KafkaException, doing: str
    ) -> PublisherFencedError | KafkaUnavailableError:
        cause = error.args[0]
        if cause.code() in _FENCED_CODES or (cause.fatal() and "fenced" in cause.str().lower()):
            return PublisherFencedError(f"{self._transactional_id} was taken over by a newer run")
        return unavailable(error, doing, self._producer)

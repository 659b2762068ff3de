"""PartitionReader: which words of the client about a lost place are believed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from confluent_kafka import KafkaError, TopicPartition

from crypto_platform.kafka import reader
from crypto_platform.kafka.reader import PartitionReader, PositionDoubtedError, Start
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import load_settings

PART = Part("market.quotes", 0)
UNSET = -1001
AT_END = KafkaError._PARTITION_EOF  # noqa: SLF001 - as librdkafka calls it
LOST = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001


@dataclass
class FakeMessage:
    """A record, or with an error an event."""

    at: int
    code: int | None = None

    def __len__(self) -> int:
        return 1

    def error(self) -> KafkaError | None:
        return None if self.code is None else KafkaError(self.code, "log truncation detected")

    def topic(self) -> str:
        return PART.topic

    def partition(self) -> int:
        return PART.part

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"value"


@dataclass
class FakeConsumer:
    """Brings what it was given, a list a call; its position is the test's word."""

    answers: list[list[FakeMessage]] = field(default_factory=list[list[FakeMessage]])
    at: TopicPartition = field(default_factory=lambda: TopicPartition(*PART, UNSET))

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        del partitions

    def close(self) -> None:
        """A second assignment is another client's."""

    def consume(self, count: int, timeout: float) -> list[FakeMessage]:
        del count, timeout
        return self.answers.pop(0) if self.answers else []

    def position(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        del partitions
        return [self.at]


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """Takes the client's place."""
    fake = FakeConsumer()
    monkeypatch.setattr(reader, "Consumer", lambda config: fake)  # pyright: ignore[reportUnknownLambdaType]
    return fake


@pytest.fixture
def partition_reader(consumer: FakeConsumer) -> PartitionReader:
    """Assigned from offset 10."""
    del consumer
    environment = {
        "CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "CRYPTO_PLATFORM_KAFKA__SECURITY_PROTOCOL": "SSL",  # whose brokers need not be judged
    }
    made = PartitionReader(load_settings(environment=environment))
    made.assign({PART: Start(10, 3)})
    return made


def read(partition_reader: PartitionReader) -> reader.PartRead:
    """What one read brings of the partition."""
    return partition_reader.read(records_max=100, first_wait_s=0, more_wait_s=0)[PART]


def test_the_epoch_is_that_of_a_marker_that_comes_alone(
    consumer: FakeConsumer, partition_reader: PartitionReader
) -> None:
    consumer.answers = [[FakeMessage(12, AT_END)]]
    consumer.at = TopicPartition(*PART, 12, leader_epoch=5)
    brought = read(partition_reader)
    assert (brought.offsets, brought.next_offset, brought.leader_epoch) == ([], 12, 5)


def test_a_place_that_was_assigned_and_is_gone_is_lost(
    consumer: FakeConsumer, partition_reader: PartitionReader
) -> None:
    consumer.answers = [[FakeMessage(10, LOST)]]
    assert "log truncation" in (read(partition_reader).lost_position or "")


def test_a_place_moved_on_to_is_doubted_once_all_that_came_is_returned(
    consumer: FakeConsumer, partition_reader: PartitionReader
) -> None:
    """The answer may be about an earlier place than the one it is held against."""
    consumer.answers = [[FakeMessage(10)], [FakeMessage(12, LOST)]]
    consumer.at = TopicPartition(*PART, 12, leader_epoch=5)
    brought = read(partition_reader)
    assert (brought.offsets, brought.next_offset, brought.lost_position) == ([10], 11, None)
    with pytest.raises(PositionDoubtedError, match="log truncation"):
        read(partition_reader)
    partition_reader.assign({PART: Start(12, 5)})
    consumer.answers, consumer.at = [[FakeMessage(12)]], TopicPartition(*PART, 13, leader_epoch=5)
    assert read(partition_reader).offsets == [12]

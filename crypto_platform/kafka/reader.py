"""Read partitions from given offsets, read_committed, and say exactly how far that was.

Here: one consumer without a group (`assign`, never `subscribe`; offsets live in the stores).
Offsets have holes where transaction markers stand; the end-of-partition event's offset lies past
the last marker, so `next_offset` is taken from it. Not here: what a value means.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from crypto_platform.errors import IncidentError, IncidentKind, KafkaUnavailableError
from crypto_platform.kafka.brokers import refuse_open_brokers
from crypto_platform.kafka.connection import TRANSIENT_CODES, client_config, unavailable
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import Settings

QUEUED_BYTES_MAX = 4 * 1024 * 1024
"""librdkafka's own read-ahead, in one queue, and the most of one answer. Another feed's records
wait behind it while a backlog goes through: 0.4 s measured; with 32 MiB 1.8 s, no faster."""
PARTITION_FETCH_BYTES = 96 * 1024
"""Of one partition in an answer. All partitions together must fit into QUEUED_BYTES_MAX: an answer
is filled in their order, and those behind would wait until the others have no backlog any more
(measured with 1 MiB: 70 s behind 5 million trades). A larger batch still comes, alone."""

READ_BYTES_MAX = 16 * 1024 * 1024
STEP_RECORDS_MAX = 1000
"""Taken from the consumer's own queue at a time; that queue bounds its bytes."""

_MICROSECONDS_PER_MS = 1000
_PLACE_CODES = frozenset(
    {KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
)
"""The place that was asked for holds no record, or no longer."""


class Start(NamedTuple):
    """Where to begin in a partition; with a leader epoch a cut log is noticed, not skipped."""

    offset: int
    leader_epoch: int | None


class RawRecord(NamedTuple):
    """A Kafka record as it came; ts_append in microseconds (the broker keeps milliseconds)."""

    offset: int
    ts_append: int
    key: bytes | None
    value: bytes | None


@dataclass(kw_only=True)
class PartRead:
    """What one read brought of one partition, a column each.

    Attributes:
        offsets, ts_appends, keys, values: Of the records, in order of offset; see RawRecord.
        next_offset: One past the last record or marker seen; None where nothing moved.
        leader_epoch: What the consumer's position said after this read, None where unset; of what
            stands right below `next_offset`, which may be a transaction's marker, and younger.
        at_end: The last stable offset was reached.
        lost_position: The broker no longer has the offset that was assigned: its text.
    """

    offsets: list[int] = field(default_factory=list)
    ts_appends: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    next_offset: int | None = None
    leader_epoch: int | None = None
    at_end: bool = False
    lost_position: str | None = None

    @classmethod
    def collect(cls, records: Sequence[RawRecord], *, next_offset: int) -> "PartRead":
        """Of records in hand."""
        read = cls(next_offset=next_offset)
        for offset, ts_append, key, value in records:
            read.offsets.append(offset)
            read.ts_appends.append(ts_append)
            read.keys.append(key)
            read.values.append(value)
        return read

    def list_records(self) -> list[RawRecord]:
        """The records one by one."""
        columns = zip(self.offsets, self.ts_appends, self.keys, self.values, strict=True)
        return list(map(RawRecord._make, columns))


class PositionDoubtedError(KafkaUnavailableError):
    """The broker is said not to have a position that the client had moved on to.

    librdkafka holds the answer about an earlier position against the later one, where a fetch came
    between question and answer (a broker that was frozen, or has just started). Asked from an
    assigned offset it cannot be mistaken: assign anew.
    """


class PartitionReader:
    """A consumer over assigned partitions. One thread uses it.

    Args:
        fetch_wait_ms: How long the broker may hold back an empty answer, and so how late the end of
            a partition is noticed; records come at once whatever it is.

    Raises:
        ConfigurationError: A broker would be talked to in plain text.
        KafkaUnavailableError: No broker answered, and none has in this process.
    """

    def __init__(self, settings: Settings, *, fetch_wait_ms: int = 200) -> None:
        self._config = client_config(settings) | {
            "group.id": f"crypto_platform-{settings.deployment}-never-committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": QUEUED_BYTES_MAX // 1024,
            "max.partition.fetch.bytes": PARTITION_FETCH_BYTES,
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.min.bytes": 1,
            "fetch.queue.backoff.ms": 10,
        }
        refuse_open_brokers(settings)
        self._consumer = Consumer(self._config)
        self._is_assigned = False
        self._doubt: str | None = None

    def assign(self, starts: Mapping[Part, Start]) -> None:
        """Read these partitions from these offsets, and no others.

        librdkafka asks whether a log was cut only where a client is assigned for the first time;
        later it would skip in silence what took the lost offsets' place. So each is a new client.
        """
        if self._is_assigned:
            self._consumer.close()
            self._consumer = Consumer(self._config)
        self._is_assigned = True
        self._doubt = None
        partitions = [
            TopicPartition(part.topic, part.part, start.offset)
            if start.leader_epoch is None
            else TopicPartition(
                part.topic, part.part, start.offset, leader_epoch=start.leader_epoch
            )
            for part, start in starts.items()
        ]
        try:
            self._consumer.assign(partitions)
        except KafkaException as error:
            raise unavailable(error, "assign partitions") from error

    def drop(self, parts: list[Part]) -> None:
        """Stop reading these partitions."""
        if not parts:
            return
        try:
            self._consumer.incremental_unassign([TopicPartition(p.topic, p.part) for p in parts])
        except KafkaException as error:
            raise unavailable(error, "drop partitions") from error

    def read(
        self,
        *,
        records_max: int,
        first_wait_s: float,
        more_wait_s: float,
        bytes_max: int = READ_BYTES_MAX,
    ) -> dict[Part, PartRead]:
        """Wait for a first record or event, then take what comes soon after.

        Args:
            records_max: At most so many records and events.
            first_wait_s: Longest wait for the first.
            more_wait_s: Longest wait for more once one is there.
            bytes_max: Of the values, as far as their usual length tells how many may be taken.

        Raises:
            KafkaUnavailableError: The consumer is broken; make a new reader.
            PositionDoubtedError: Everything read before was returned; assign anew.
        """
        if self._doubt is not None:
            raise PositionDoubtedError(self._doubt)
        reads: dict[Part, PartRead] = {}
        messages = self._consume(1, first_wait_s)
        deadline = time.monotonic() + more_wait_s
        count = size_bytes = 0
        while messages:
            self._take(messages, reads)
            count += len(messages)
            size_bytes += sum(map(len, messages))
            if count >= records_max or size_bytes >= bytes_max:
                break
            usual_bytes = size_bytes // count + 1
            left = min(
                records_max - count,
                STEP_RECORDS_MAX,
                (bytes_max - size_bytes) // usual_bytes + 1,
            )
            # what is there costs no wait; only then is the rest of the time spent
            messages = self._consume(left, 0) or self._consume(1, deadline - time.monotonic())
        self._note_positions(reads)
        return reads

    def _consume(self, records_max: int, wait_s: float) -> list[Message]:
        try:
            return self._consumer.consume(records_max, timeout=max(wait_s, 0))
        except KafkaException as error:
            raise unavailable(error, "read") from error

    def take_one(self, *, wait_s: float) -> Message | None:
        """The next record with all that belongs to it; None where its place is gone or empty.

        Raises:
            KafkaUnavailableError: No answer in time, which says nothing about the record.
        """
        deadline = time.monotonic() + wait_s
        while (left_s := deadline - time.monotonic()) > 0:
            message = self._consumer.poll(left_s)
            error = None if message is None else message.error()
            if message is None or (error is not None and error.code() in TRANSIENT_CODES):
                continue
            if error is None:
                return message
            if error.code() in _PLACE_CODES:
                return None
            raise unavailable(error, "read one record")
        text = f"Kafka: read one record: no answer in {wait_s:.0f} s"
        raise KafkaUnavailableError(text)

    def close(self) -> None:
        """Leave; nothing is committed."""
        self._consumer.close()

    def _take(self, messages: Sequence[Message], reads: dict[Part, PartRead]) -> None:
        """Sort messages by partition. On the path of every record: written to be quick."""
        place: tuple[str | None, int | None] | None = None
        read = PartRead()
        for message in messages:
            error = message.error()
            if error is not None:
                self._take_error(message, error, reads)
                place = None
                continue
            if place != (message.topic(), message.partition()):
                place = message.topic(), message.partition()
                read = reads.setdefault(Part(*place), PartRead())  # pyright: ignore[reportArgumentType]
                read.at_end = False
            read.offsets.append(message.offset())  # pyright: ignore[reportArgumentType]
            read.ts_appends.append(message.timestamp()[1] * _MICROSECONDS_PER_MS)
            read.keys.append(message.key())
            read.values.append(message.value())
        for read in reads.values():
            if read.offsets:
                read.next_offset = max(read.offsets[-1] + 1, read.next_offset or 0)

    def _take_error(self, message: Message, error: KafkaError, reads: dict[Part, PartRead]) -> None:
        topic, part = message.topic(), message.partition()
        if error.code() in TRANSIENT_CODES:
            return
        if topic is None or part is None:
            raise unavailable(error, "read")
        self._take_event(reads.setdefault(Part(topic, part), PartRead()), error, message.offset())

    def _take_event(self, read: PartRead, error: KafkaError, offset: int | None) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            read.at_end = True
            if offset is not None and offset >= 0:
                read.next_offset = max(offset, read.next_offset or 0)
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            read.lost_position = error.str()
        else:
            raise unavailable(error, "read")

    def _note_positions(self, reads: dict[Part, PartRead]) -> None:
        # also where nothing but a marker came: after a broker's restart it is of a later epoch than
        # its records, and with theirs the log would look cut below it
        asked = [
            TopicPartition(part.topic, part.part)
            for part, read in reads.items()
            if read.next_offset is not None or read.lost_position is not None
        ]
        if not asked:
            return
        try:
            positions = self._consumer.position(asked)
        except KafkaException as error:
            raise unavailable(error, "ask for the position") from error
        for position in positions:
            read = reads[Part(position.topic, position.partition)]
            # None where unset, whatever the stub says
            epoch: int | None = position.leader_epoch
            if epoch is not None and epoch >= 0:  # pyright: ignore[reportUnnecessaryComparison]
                read.leader_epoch = epoch
            if read.lost_position is not None and position.offset >= 0:
                self._doubt = (
                    f"Kafka: {position.topic}/{position.partition}: {read.lost_position}; "
                    "it is asked again"
                )
                read.lost_position = None


RANGE_FETCH_WAIT_MS = 10
ONE_RECORD_S_MAX = 5.0
STILL_S_MAX = 20.0
"""A range whose end is not reached and that brings nothing for so long cannot be read."""


def read_range(
    settings: Settings,
    part: Part,
    *,
    first_offset: int,
    next_offset: int,
    records_max: int = 10_000,
) -> Iterator[list[RawRecord]]:
    """The committed records of a half-open range, in order, in lists of bounded length.

    Args:
        next_offset: At most the last stable offset, or the end is never reached.

    Raises:
        KafkaUnavailableError: Nothing came for STILL_S_MAX.
        IncidentError: retention_gap. The range is no longer there.
    """
    if first_offset >= next_offset:
        return
    reader = PartitionReader(settings, fetch_wait_ms=RANGE_FETCH_WAIT_MS)
    try:
        reader.assign({part: Start(first_offset, None)})
        reached = first_offset
        still_since = time.monotonic()
        while reached < next_offset:
            try:
                reads = reader.read(records_max=records_max, first_wait_s=0.5, more_wait_s=0.02)
            except PositionDoubtedError:
                reader.assign({part: Start(reached, None)})
                continue
            read = reads.get(part)
            if read is None or read.next_offset is None or read.next_offset <= reached:
                _refuse_lost(part, first_offset, read)
                if time.monotonic() - still_since > STILL_S_MAX:
                    message = (
                        f"Kafka: {part.topic}/{part.part} read to {reached} of {next_offset}, then "
                        f"nothing for {STILL_S_MAX:.0f} s"
                    )
                    raise KafkaUnavailableError(message)
                continue
            still_since = time.monotonic()
            reached = read.next_offset
            records = [record for record in read.list_records() if record.offset < next_offset]
            if records:
                yield records
    finally:
        reader.close()


class KeptRecord(NamedTuple):
    """One record with all that Kafka keeps of it; ts_append in microseconds."""

    ts_append: int
    value: bytes | None
    headers: Mapping[str, str]


def read_kept_record(settings: Settings, part: Part, offset: int) -> KeptRecord | None:
    """The record at this offset with its headers; None where Kafka has none there (any more).

    For people who look for where a record came from; loads never parse headers.

    Raises:
        KafkaUnavailableError: No answer; whether Kafka has it is not known.
    """
    reader = PartitionReader(settings, fetch_wait_ms=RANGE_FETCH_WAIT_MS)
    try:
        reader.assign({part: Start(offset, None)})
        message = reader.take_one(wait_s=ONE_RECORD_S_MAX)
    finally:
        reader.close()
    if message is None or message.offset() != offset:
        return None
    headers = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for name, value in message.headers() or []
    }
    return KeptRecord(message.timestamp()[1] * _MICROSECONDS_PER_MS, message.value(), headers)


def _refuse_lost(part: Part, first_offset: int, read: PartRead | None) -> None:
    if read is not None and read.lost_position is not None:
        message = (
            f"Kafka no longer has offset {first_offset} of {part.topic}/{part.part}: "
            f"{read.lost_position}; retention removed it, the other store may still hold it"
        )
        raise IncidentError(message, kind=IncidentKind.RETENTION_GAP)

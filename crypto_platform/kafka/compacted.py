"""Read a compacted topic of one partition: the last value under each key.

Here: reading as far as the topic is written, again and again from where the last reading ended. Not
here: what the values say (cursors.py, history_cursors.py), writing (they are published with the
data they belong to).
"""

import time
from collections.abc import Mapping, Sequence

from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.kafka.reader import (
    RANGE_FETCH_WAIT_MS,
    PartitionReader,
    PositionDoubtedError,
    Start,
)
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings

READ_DEADLINE_S = 10.0
_READ_RECORDS_MAX = 10_000


class CompactedTopic:
    """One compacted topic as it stood at the last reading. One thread uses it."""

    def __init__(self, settings: Settings, watermarks: Watermarks, topic: str) -> None:
        """Nothing is read yet."""
        self._settings = settings
        self._watermarks = watermarks
        self._part = Part(topic_name(settings, topic), 0)
        self._values: dict[str, bytes] = {}
        self._reached: int | None = None

    def read(self) -> Mapping[str, bytes]:
        """All values by key, as of now; the first reading takes all, the next ones what is new.

        The answer itself changes with the next reading.

        Reads to the high watermark, not to the first end of partition: that one stands at the last
        stable offset and would hide our own committed values behind another's open transaction.

        Raises:
            KafkaUnavailableError: Not reached within READ_DEADLINE_S.
        """
        while True:
            bounds = self._watermarks.read_bounds([self._part])[self._part]
            begin = bounds.low if self._reached is None else self._reached
            if begin >= bounds.high or self._read_range(begin, bounds.high):
                return self._values
            # compaction moved the low watermark between the two questions
            self._reached = None
            self._values.clear()

    def _read_range(self, begin: int, end: int) -> bool:
        """Take in a range; False where it has no beginning any more."""
        reader = PartitionReader(self._settings, fetch_wait_ms=RANGE_FETCH_WAIT_MS)
        deadline = time.monotonic() + READ_DEADLINE_S
        reached = begin
        try:
            reader.assign({self._part: Start(begin, None)})
            while reached < end:
                if time.monotonic() > deadline:
                    message = (
                        f"Kafka: {self._part.topic} read to offset {reached} of {end} in "
                        f"{READ_DEADLINE_S} s; nothing is asked for until it is known"
                    )
                    raise KafkaUnavailableError(message)
                try:
                    reads = reader.read(
                        records_max=_READ_RECORDS_MAX, first_wait_s=0.2, more_wait_s=0.01
                    )
                except PositionDoubtedError:
                    return False
                read = reads.get(self._part)
                if read is None:
                    continue
                if read.lost_position is not None:
                    return False
                self._keep(read.keys, read.values)
                reached = max(reached, read.next_offset or 0)
        finally:
            reader.close()
        self._reached = reached
        return True

    def _keep(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> None:
        for key, value in zip(keys, values, strict=True):
            if key is None:
                continue
            if value is None:
                self._values.pop(key.decode(), None)
            else:
                self._values[key.decode()] = value

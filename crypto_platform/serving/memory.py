"""Since when something stands: what one reading must know of those before it.

Here: pure bookkeeping over readings in order of time. A record's waiting time is written in Kafka
alone, and looking there costs a consumer; so it is looked for only where nothing moves, and
elsewhere bounded by what is known anyway: the append time of the last stored record, and when the
partition was last seen with nothing waiting. Not here: asking Kafka (status.py).
"""

from collections.abc import Mapping

from crypto_platform.serving.judge import find_lags
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import KafkaReading, StoreReading
from crypto_platform.stores.claims import TopicPart

FRESH_US = 5_000_000
"""Where no record can have waited for longer, the bound is good enough."""


class Memory:
    """What a StatusReader remembers."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._next_offsets: dict[tuple[str, TopicPart], int] = {}
        self._drained_at: dict[tuple[str, TopicPart], int] = {}
        self._found: dict[tuple[TopicPart, int], int] = {}
        self._waiting_since: dict[str, dict[TopicPart, int]] = {}
        self._unknown: dict[str, dict[TopicPart, int]] = {}
        self._blocked: dict[TopicPart, tuple[int, int]] = {}

    def note(
        self,
        at_us: int,
        kafka: KafkaReading | None,
        stores: Mapping[str, Answer[StoreReading]],
    ) -> None:
        """Take in one reading; `unknown` then says what has to be looked for in Kafka."""
        self._waiting_since, self._unknown = {}, {}
        if kafka is None:
            return
        self._note_blocked(at_us, kafka)
        for name, answer in stores.items():
            if answer.value is not None:
                self._note_store(at_us, name, kafka, answer.value)

    @property
    def unknown(self) -> Mapping[str, Mapping[TopicPart, int]]:
        """Per store: partitions that stand still, at which offset."""
        return self._unknown

    def keep_first_waiting(
        self, at_us: int, store: str, partition: TopicPart, ts_append: int | None
    ) -> None:
        """Keep what Kafka said of a partition in `unknown`; None: only markers, nothing waits."""
        next_offset = self._unknown[store][partition]
        if ts_append is not None:
            # markers are not kept: a record may come behind them
            self._found[partition, next_offset] = ts_append
        self._waiting_since[store][partition] = at_us if ts_append is None else ts_append

    def waiting_since(self) -> Mapping[str, Mapping[TopicPart, int]]:
        """Per store, when the first waiting record was appended, at the earliest."""
        return self._waiting_since

    def blocked_since(self) -> Mapping[TopicPart, int]:
        """When each partition's last stable offset was first seen standing below its end."""
        return {partition: since for partition, (_, since) in self._blocked.items()}

    def _note_blocked(self, at_us: int, kafka: KafkaReading) -> None:
        before, self._blocked = self._blocked, {}
        for partition, bound in kafka.bounds.items():
            if bound.last_stable < bound.high:
                last_stable, since = before.get(partition, (bound.last_stable, at_us))
                stands = last_stable == bound.last_stable
                self._blocked[partition] = (bound.last_stable, since if stands else at_us)

    def _note_store(
        self, at_us: int, name: str, kafka: KafkaReading, reading: StoreReading
    ) -> None:
        rows = {row.partition: row for row in reading.offsets}
        since = self._waiting_since.setdefault(name, {})
        unknown = self._unknown.setdefault(name, {})
        for partition, lag in find_lags(kafka, reading.offsets).items():
            row = rows.get(partition)
            next_offset = kafka.bounds[partition].low if row is None else row.next_offset
            before = self._next_offsets.get((name, partition))
            self._next_offsets[name, partition] = next_offset
            if not lag:
                self._drained_at[name, partition] = at_us
                continue
            exact = self._found.get((partition, next_offset))
            bound = max(row.max_ts_append if row else 0, self._drained_at.get((name, partition), 0))
            if exact or bound:
                since[partition] = exact or bound
            moves = before is not None and before != next_offset
            if not exact and not moves and at_us - bound > FRESH_US:
                unknown[partition] = next_offset
        self._forget()

    def _forget(self) -> None:
        standing = {(p, offset) for (_, p), offset in self._next_offsets.items()}
        self._found = {key: found for key, found in self._found.items() if key in standing}

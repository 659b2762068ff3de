"""The way of one stored record backwards: its row, its run, its offset, its poll.

Here: what each store and Kafka know of an id, put together; what does not answer is said and left
out. Only reads. Not here: text (cli/trace.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.errors import (
    KafkaUnavailableError,
    RecordRejectedError,
    StoreUnavailableError,
)
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.producer import RUN_HEADER
from crypto_platform.kafka.reader import KeptRecord, read_kept_record
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import LoadBatch
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredRecord
from crypto_platform.stores.matters import QuarantineEntry

POLL_OFFSETS_MAX = 1000
"""So far to both sides of a record its poll is looked for: one poll is one transaction."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What one store knows of an id.

    Attributes:
        record: As read back; None where the store does not hold it.
        arrival: Where Kafka first brought it; None also for an incident its load wrote itself.
        topic: Of the arrival, by name.
        batches: The loads that wrote a range with that offset, the live one first.
        quarantined: Entries of this id.
        poll_records: Stored records of the same poll in this partition, itself included, at most
            POLL_OFFSETS_MAX away; None where it has no arrival or no poll.
        problem: Why the store did not answer; nothing else is known then.
    """

    record: Record | None = None
    arrival: StoredRecord | None = None
    topic: str | None = None
    batches: Sequence[LoadBatch] = ()
    quarantined: Sequence[QuarantineEntry] = ()
    poll_records: int | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The way of one record.

    Attributes:
        stores: By name.
        kept: The record as Kafka holds it; None where it does not, or was not asked.
        kafka_problem: Why nothing is known from Kafka.
    """

    feed: Feed[Record]
    event_id: str
    stores: Mapping[str, Stored]
    kept: KeptRecord | None
    kafka_problem: str | None = None

    @property
    def record(self) -> Record | None:
        """From whichever store has it."""
        return next((s.record for s in self.stores.values() if s.record is not None), None)

    @property
    def quarantined(self) -> list[tuple[str, QuarantineEntry]]:
        """Store name and entry, of all stores."""
        return [(name, entry) for name, s in self.stores.items() for entry in s.quarantined]

    @property
    def ingest_run_id(self) -> str | None:
        """The run that polled it, as long as Kafka keeps the record."""
        return None if self.kept is None else self.kept.headers.get(RUN_HEADER)

    @property
    def is_mirrored(self) -> bool | None:
        """Whether all stores hold the same record; None where only one of them can be asked."""
        asked = [stored for stored in self.stores.values() if stored.problem is None]
        if len(asked) < 2:  # noqa: PLR2004 - two make a comparison
            return None
        return all(stored.record == asked[0].record for stored in asked)


def trace(
    settings: Settings, stores: Mapping[str, Store], feed: Feed[Record], event_id: str
) -> Trace:
    """Ask each store, then Kafka at the offset of the first arrival.

    Raises:
        StoreUnavailableError: No store answers.
    """
    found = {name: _look_if_up(store, feed, event_id) for name, store in stores.items()}
    problems = [stored.problem for stored in found.values() if stored.problem is not None]
    if len(problems) == len(found):
        message = f"no store answers: {'; '.join(problems)}"
        raise StoreUnavailableError(message)
    kept, kafka_problem = None, None
    arrived = next((stored for stored in found.values() if stored.arrival is not None), None)
    if arrived is not None:
        try:
            kept = _read_kept(settings, feed, arrived)
        except KafkaUnavailableError as error:
            kafka_problem = str(error)
    return Trace(feed=feed, event_id=event_id, stores=found, kept=kept, kafka_problem=kafka_problem)


def _read_kept(settings: Settings, feed: Feed[Record], stored: Stored) -> KeptRecord | None:
    """What stands at the arrival's offset, if it still is that record."""
    arrival, topic = stored.arrival, stored.topic
    if arrival is None or topic is None:
        return None
    ids = Watermarks(settings).read_topic_ids([topic])
    if topic not in ids or ids[topic][0] != arrival.topic_id:
        # a topic made again counts from 0: there stands another record
        return None
    kept = read_kept_record(settings, Part(topic, arrival.part), arrival.offset)
    if kept is None:
        return None
    try:
        record = decode(feed, kept.value, record_bytes_max=settings.load.record_bytes_max)
    except RecordRejectedError:
        return None
    return kept if record.event_id == arrival.event_id else None


def _look_if_up(store: Store, feed: Feed[Record], event_id: str) -> Stored:
    try:
        return _look(store, feed, event_id)
    except StoreUnavailableError as error:
        return Stored(problem=str(error))


def _look(store: Store, feed: Feed[Record], event_id: str) -> Stored:
    record = next(iter(store.read_facts(feed, [event_id])), None)
    quarantined = [entry for entry in store.read_quarantine() if entry.event_id == event_id]
    found = store.read_records(feed, [event_id])
    # an incident that its load wrote itself has not arrived yet
    arrival = next((stored for stored in found if stored.offset >= 0), None)
    if record is None or arrival is None:
        return Stored(record=record, quarantined=quarantined)
    partition = TopicPart(arrival.topic_id, arrival.part)
    batches = [
        batch
        for batch in store.read_load_batches(partition)
        if batch.first_offset <= arrival.offset < batch.next_offset
    ]
    topics = [row.topic for row in store.read_offsets() if row.partition == partition]
    return Stored(
        record=record,
        arrival=arrival,
        topic=next(iter(topics), None),
        batches=sorted(batches, key=lambda batch: batch.kind.value),
        quarantined=quarantined,
        poll_records=_count_poll(store, feed, record, arrival),
    )


def _count_poll(
    store: Store, feed: Feed[Record], record: Record, arrival: StoredRecord
) -> int | None:
    if feed.owned_by_platform:
        return None
    near = store.read_range(
        feed,
        TopicPart(arrival.topic_id, arrival.part),
        max(arrival.offset - POLL_OFFSETS_MAX, 0),
        arrival.offset + POLL_OFFSETS_MAX + 1,
    )
    records = store.read_facts(feed, [found.event_id for found in near])
    return sum(1 for other in records if name_poll(feed, other) == name_poll(feed, record))


def name_poll(feed: Feed[Record], record: Record) -> tuple[str | None, str, int]:
    """Source, feed and time of asking: what all records of one poll share."""
    # of what a venue says, the venue is the source's name
    source = getattr(record, "source", None) or getattr(record, "venue", None)
    return source, feed.name, record.ts_ingest

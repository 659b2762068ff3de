"""The way of one stored record backwards: its row, its run, its offset, its poll.

Here: what each store and Kafka know of an id, put together. Only reads. Not here: text (cli/).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.producer import RUN_HEADER
from crypto_platform.kafka.reader import KeptRecord, read_kept_record
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import Settings
from crypto_platform.stores.base import LoadBatch, QuarantineEntry, Store, StoredRecord, TopicPart


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What one store knows of an id.

    Attributes:
        record: As read back; None where the store does not hold it.
        arrival: Where Kafka first brought it; None also for an incident its load wrote itself.
        topic: Of the arrival, by name.
        batches: The loads that wrote a range with that offset, the live one first.
        quarantined: Entries of this id.
    """

    record: Record | None = None
    arrival: StoredRecord | None = None
    topic: str | None = None
    batches: Sequence[LoadBatch] = ()
    quarantined: Sequence[QuarantineEntry] = ()


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The way of one record.

    Attributes:
        stores: By name.
        kept: What Kafka says of the arrival; None where retention has removed it.
    """

    feed: Feed[Record]
    event_id: str
    stores: Mapping[str, Stored]
    kept: KeptRecord | None

    @property
    def record(self) -> Record | None:
        """From whichever store has it."""
        return next((s.record for s in self.stores.values() if s.record is not None), None)

    @property
    def ingest_run_id(self) -> str | None:
        """The run that polled it, as long as Kafka keeps the record."""
        return None if self.kept is None else self.kept.headers.get(RUN_HEADER)


def trace(
    settings: Settings, stores: Mapping[str, Store], feed: Feed[Record], event_id: str
) -> Trace:
    """Ask each store, then Kafka at the offset of the first arrival.

    Raises:
        StoreUnavailableError, KafkaUnavailableError: Something does not answer.
    """
    found = {name: _look(store, feed, event_id) for name, store in stores.items()}
    places = [(s.topic, s.arrival) for s in found.values() if s.topic is not None and s.arrival]
    kept = None
    if places:
        topic, arrival = places[0]
        kept = read_kept_record(settings, Part(topic, arrival.part), arrival.offset)
    return Trace(feed=feed, event_id=event_id, stores=found, kept=kept)


def _look(store: Store, feed: Feed[Record], event_id: str) -> Stored:
    records = store.read_facts(feed, [event_id])
    arrivals = store.read_records(feed, [event_id])
    quarantined = [entry for entry in store.read_quarantine() if entry.event_id == event_id]
    if not arrivals:
        return Stored(record=records[0] if records else None, quarantined=quarantined)
    arrival = arrivals[0]
    partition = TopicPart(arrival.topic_id, arrival.part)
    topics = [row.topic for row in store.read_offsets() if row.partition == partition]
    batches = [
        batch
        for batch in store.read_load_batches(partition)
        if batch.first_offset <= arrival.offset < batch.next_offset
    ]
    return Stored(
        record=records[0] if records else None,
        arrival=arrival,
        topic=topics[0] if topics else None,
        batches=sorted(batches, key=lambda batch: batch.kind.value),
        quarantined=quarantined,
    )

"""Load a past range of a feed again, from Kafka, without moving the live offset.

Here: which offsets an hour has, and that all of it is still there. Ids absorb what is stored
already, nothing is deleted, quarantined records that load now are released. Protocol:
docs/exactly-once.md 6.
"""

from collections.abc import Callable
from dataclasses import dataclass

from crypto_platform.delivery.slices import cut_slices
from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import IncidentError, IncidentKind, KafkaUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.reader import PartRead, read_range
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Claim, Store, StoredOffset


@dataclass(kw_only=True)
class Replayed:
    """What a replay did."""

    read_records: int = 0
    stored_records: int = 0
    repeated_records: int = 0
    quarantined_records: int = 0


def replay(
    settings: Settings,
    store: Store,
    feed: Feed[Record],
    *,
    first_hour: int,
    end_hour: int,
    run_id: str,
    progress: Callable[[str], None] = lambda text: None,
) -> Replayed:
    """Replay [first_hour, end_hour) of append time, capped at what the live load has stored.

    Args:
        first_hour, end_hour: Microseconds, whole hours.
        progress: Told after each partition.

    Raises:
        IncidentError: retention_gap. Kafka no longer holds all of it; nothing was written for that
            partition, and the text says where the rest may be.
        KafkaUnavailableError, StoreUnavailableError: Replaying again is safe.
    """
    watermarks = Watermarks(settings)
    topic = topic_name(settings, feed.topic)
    ids = watermarks.read_topic_ids([topic])
    if topic not in ids:
        message = f"Kafka: no topic {topic}; `python -m crypto_platform.migrations` creates it"
        raise KafkaUnavailableError(message)
    replayed = Replayed()
    stored = [
        row
        for row in store.read_offsets()
        if row.topic == topic and row.partition.topic_id == ids[topic][0]
    ]
    parts = [Part(topic, row.partition.part) for row in stored]
    bounds = watermarks.read_bounds(parts)
    firsts = watermarks.read_offsets_at(parts, time_us=first_hour)
    ends = watermarks.read_offsets_at(parts, time_us=end_hour)
    for part, row in zip(parts, stored, strict=True):
        first_offset, next_offset = _range(row, bounds[part], firsts[part], ends[part])
        _refuse_gap(store, row, bounds[part], hours=range(first_hour, end_hour))
        before = replayed.stored_records
        claim = Claim(
            feed=feed,
            topic=topic,
            partition=row.partition,
            epoch=0,
            next_offset=first_offset,
            leader_epoch=None,
            max_ts_append=0,
        )
        _replay_part(settings, store, claim, next_offset=next_offset, run_id=run_id, into=replayed)
        progress(
            f"{store.sink}: replayed {topic}/{part.part} offsets {first_offset} to "
            f"{next_offset}: {replayed.stored_records - before} were missing"
        )
    return replayed


def _range(
    row: StoredOffset, bounds: Bounds, first: int | None, end: int | None
) -> tuple[int, int]:
    """The hour's offsets: never past what is stored live, nor past what read_committed sees."""
    cap = min(row.next_offset, bounds.last_stable)
    first_offset = cap if first is None else min(first, cap)
    next_offset = cap if end is None else min(end, cap)
    return first_offset, max(next_offset, first_offset)


def _refuse_gap(store: Store, row: StoredOffset, bounds: Bounds, *, hours: range) -> None:
    """Was any of these hours loaded from offsets that Kafka has removed since?"""
    if bounds.low == 0:
        return
    lost = [
        batch
        for batch in store.read_load_batches(row.partition)
        if batch.hour in hours and batch.first_offset < bounds.low
    ]
    if lost:
        hour = from_time_us(lost[0].hour).isoformat(timespec="minutes")
        message = (
            f"{row.topic}/{row.partition.part}: the hour {hour} began at offset "
            f"{lost[0].first_offset}, but Kafka's retention has removed everything below "
            f"{bounds.low}; replay later hours only, or restore {store.sink} from the other store"
        )
        raise IncidentError(message, kind=IncidentKind.RETENTION_GAP)


def _replay_part(
    settings: Settings,
    store: Store,
    claim: Claim,
    *,
    next_offset: int,
    run_id: str,
    into: Replayed,
) -> None:
    part = Part(claim.topic, claim.partition.part)
    for records in read_range(
        settings,
        part,
        first_offset=claim.next_offset,
        next_offset=next_offset,
        records_max=settings.load.batch_records_max,
    ):
        read = PartRead(records=records, next_offset=records[-1].offset + 1)
        slices = cut_slices(claim, read, record_bytes_max=settings.load.record_bytes_max)
        outcome = store.commit_replay(slices, run_id=run_id)
        into.read_records += len(records)
        into.stored_records += sum(outcome.stored_records.values())
        into.repeated_records += outcome.repeated_records
        into.quarantined_records += outcome.quarantined_records
        claim = Claim(
            feed=claim.feed,
            topic=claim.topic,
            partition=claim.partition,
            epoch=claim.epoch,
            next_offset=read.next_offset or claim.next_offset,
            leader_epoch=None,
            max_ts_append=slices[-1].max_ts_append if slices else claim.max_ts_append,
        )

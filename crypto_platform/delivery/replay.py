"""Load a past range of a feed again, from Kafka, without moving the live offset.

Here: which offsets an hour has, and that all of it is still there. Ids absorb what is stored
already, nothing is deleted, quarantined records that load now are released. Protocol:
docs/exactly-once.md 6.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from crypto_platform.delivery.slices import cut_slices
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, name_hour
from crypto_platform.errors import IncidentError, IncidentKind, KafkaUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.reader import PartRead, read_range
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, StoredOffset

HOURS_NAMED_MAX = 5


@dataclass(kw_only=True)
class Replayed:
    """What a replay did."""

    read_records: int = 0
    stored_records: int = 0
    repeated_records: int = 0
    quarantined_records: int = 0


@dataclass(frozen=True, kw_only=True)
class ReplayRange:
    """What would be read of one partition.

    Attributes:
        row: How far the store has come in it.
        first_offset, next_offset: Half open; empty where the hours hold nothing of it.
        lost_hours: Of the hours asked for, those (first microsecond) that began below what Kafka
            still has, in order.
        first_whole_hour: Every hour from there on can be replayed; None where all can.
        low: First offset that Kafka still has.
    """

    feed: Feed[Record]
    row: StoredOffset
    first_offset: int
    next_offset: int
    lost_hours: tuple[int, ...]
    first_whole_hour: int | None
    low: int

    @property
    def part(self) -> Part:
        """As Kafka knows it."""
        return Part(self.row.topic, self.row.partition.part)


def plan_replay(
    settings: Settings,
    store: Store,
    feed: Feed[Record],
    *,
    first_hour: int,
    end_hour: int,
) -> list[ReplayRange]:
    """What a replay of [first_hour, end_hour) would read, a range a partition; nothing is written.

    Raises:
        KafkaUnavailableError, StoreUnavailableError: No answer; nothing is known.
    """
    watermarks = Watermarks(settings)
    topic = topic_name(settings, feed.topic)
    ids = watermarks.read_topic_ids([topic])
    if topic not in ids:
        message = f"Kafka: no topic {topic}; `python -m crypto_platform.migrations` creates it"
        raise KafkaUnavailableError(message)
    stored = [
        row
        for row in store.read_offsets()
        if row.topic == topic and row.partition.topic_id == ids[topic][0]
    ]
    parts = [Part(topic, row.partition.part) for row in stored]
    bounds = watermarks.read_bounds(parts)
    firsts = watermarks.read_offsets_at(parts, time_us=first_hour)
    ends = watermarks.read_offsets_at(parts, time_us=end_hour)
    ranges: list[ReplayRange] = []
    for part, row in zip(parts, stored, strict=True):
        first_offset, next_offset = _range(row, bounds[part], firsts[part], ends[part])
        low = bounds[part].low
        lost = _find_lost_hours(store, row, low)
        ranges.append(
            ReplayRange(
                feed=feed,
                row=row,
                first_offset=first_offset,
                next_offset=next_offset,
                lost_hours=tuple(hour for hour in lost if first_hour <= hour < end_hour),
                first_whole_hour=lost[-1] + MICROSECONDS_PER_HOUR if lost else None,
                low=low,
            )
        )
    return ranges


def refuse_gaps(sink: str, ranges: Iterable[ReplayRange]) -> None:
    """Refuse a plan of which Kafka no longer holds everything.

    Raises:
        IncidentError: retention_gap. Names the hours that are lost, the first that is not, and the
            way out.
    """
    lost = [found for found in ranges if found.lost_hours]
    if not lost:
        return
    hours = sorted({hour for found in lost for hour in found.lost_hours})
    names = ", ".join(name_hour(hour) for hour in hours[:HOURS_NAMED_MAX])
    if len(hours) > HOURS_NAMED_MAX:
        names += f" and {len(hours) - HOURS_NAMED_MAX} more, the last {name_hour(hours[-1])}"
    places = ", ".join(f"{found.part.topic}/{found.part.part} below {found.low}" for found in lost)
    first_whole = max(found.first_whole_hour or 0 for found in lost)
    message = (
        f"Kafka's retention has removed records of {names} (offsets of {places}); nothing of "
        f"{_join_topics(lost)} was replayed. Hours from {name_hour(first_whole)} on can be "
        f"replayed; what {sink} lacks of older ones can only come from the other store, the mirror "
        "to restore from"
    )
    raise IncidentError(message, kind=IncidentKind.RETENTION_GAP)


def _join_topics(ranges: Iterable[ReplayRange]) -> str:
    return " and ".join(dict.fromkeys(found.part.topic for found in ranges))


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
        IncidentError: retention_gap. Kafka no longer holds all of it; nothing was written.
        KafkaUnavailableError, StoreUnavailableError: Replaying again is safe.
    """
    ranges = plan_replay(settings, store, feed, first_hour=first_hour, end_hour=end_hour)
    refuse_gaps(store.sink, ranges)
    return replay_ranges(settings, store, ranges, run_id=run_id, progress=progress)


def replay_ranges(
    settings: Settings,
    store: Store,
    ranges: Iterable[ReplayRange],
    *,
    run_id: str,
    progress: Callable[[str], None] = lambda text: None,
) -> Replayed:
    """Replay what was planned; see `replay`."""
    replayed = Replayed()
    for found in ranges:
        before = replayed.stored_records
        claim = Claim(
            feed=found.feed,
            topic=found.row.topic,
            partition=found.row.partition,
            epoch=0,
            next_offset=found.first_offset,
            leader_epoch=None,
            max_ts_append=0,
        )
        _replay_part(
            settings, store, claim, next_offset=found.next_offset, run_id=run_id, into=replayed
        )
        progress(
            f"{store.sink}: replayed {found.part.topic}/{found.part.part} offsets "
            f"{found.first_offset} to {found.next_offset}: "
            f"{replayed.stored_records - before} were missing"
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


def _find_lost_hours(store: Store, row: StoredOffset, low: int) -> list[int]:
    """The hours that were loaded from offsets which Kafka has removed since, in order."""
    if low == 0:
        return []
    batches = store.read_load_batches(row.partition)
    return sorted({batch.hour for batch in batches if batch.first_offset < low})


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
        read = PartRead.collect(records, next_offset=records[-1].offset + 1)
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

"""Kafka as the origin of a restore: everything that its retention has left.

Here: which ranges of a partition the store lacks, by its own account of them, and reading one. Not
here: writing (restore.py).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from crypto_platform.delivery.audit_batches import (
    SummedRange,
    build_account,
    list_possible_sums,
)
from crypto_platform.delivery.audit_removed import Removals
from crypto_platform.delivery.restore_plan import (
    Lost,
    PartPlan,
    Place,
    Range,
    sum_there,
)
from crypto_platform.delivery.slices import cut_slices
from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.reader import PartRead, read_range
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import NOTHING_TAKEN_OVER, BatchKind, Removed, TakenOver
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.slices import Slice, without_offsets
from crypto_platform.stores.sums import sum_of


class Topics:
    """The feeds' topics as the broker has them now."""

    def __init__(self, settings: Settings, feeds: Sequence[Feed[Record]]) -> None:
        """Ask for their ids.

        Raises:
            KafkaUnavailableError: No answer.
        """
        self._watermarks = Watermarks(settings)
        feed_of = {topic_name(settings, feed.topic): feed for feed in feeds}
        ids = self._watermarks.read_topic_ids(feed_of)
        self.places = [
            Place(feed, topic, TopicPart(ids[topic][0], part))
            for topic, feed in feed_of.items()
            if topic in ids
            for part in range(ids[topic][1])
        ]
        self._known = {place.partition for place in self.places}

    def read_bounds(self, place: Place) -> Bounds | None:
        """A partition's bounds now; None where Kafka no longer has it."""
        if place.partition not in self._known:
            return None
        part = Part(place.topic, place.partition.part)
        return self._watermarks.read_bounds([part])[part]


@dataclass(kw_only=True)
class KafkaOrigin:
    """See the module's text.

    Attributes:
        store: Which is restored; only read here.
        mirror: The other one, for what was decided of quarantined values and what retention took;
            None where it does not answer.
    """

    settings: Settings
    store: Store
    topics: Topics
    mirror: Store | None = None

    @property
    def name(self) -> str:
        """Kafka's."""
        return "kafka"

    @property
    def warning(self) -> str | None:
        """What Kafka alone does not know."""
        if self.mirror is not None:
            return None
        return (
            "the mirror does not answer: what was discarded from quarantine or removed by "
            "retention, in a store that lost its books, comes back, loaded or in quarantine"
        )

    def list_places(self) -> list[Place]:
        """The partitions of today's topics."""
        return self.topics.places

    def plan(
        self, place: Place, row: StoredOffset | None, *, rewrites_states: bool = False
    ) -> PartPlan:
        """Ranges whose rows no longer add up to what was stored, and what follows on the end."""
        bounds = self.topics.read_bounds(place)
        if bounds is None:
            message = f"{place.name} is no partition of today's topics: begin again"
            raise KafkaUnavailableError(message)
        start = 0 if row is None else row.next_offset
        ranges: list[Range] = []
        lost: list[Lost] = []
        whole_records = 0
        for summed in self._read_account(place, start):
            hour, first_offset, next_offset = summed.hour, summed.first_offset, summed.next_offset
            there = sum_there(self.store, place, first_offset, next_offset)
            is_whole = there in list_possible_sums(summed)
            if is_whole and not rewrites_states:
                whole_records += there.count
                continue
            begin, end = max(first_offset, bounds.low), min(next_offset, start)
            if first_offset < bounds.low and not is_whole:
                lost.append(Lost(first_offset, min(bounds.low, end)))
            if begin < end:
                ranges.append(_range(begin, end, hour=hour, is_repair=True))
        if start < bounds.low:
            hour = hour_of(row.max_ts_append if row is not None else 0)
            lost.append(Lost(start, bounds.low))
            ranges.append(
                replace(_range(start, bounds.low, hour=hour), kind=BatchKind.LOST, records=0)
            )
        begin = max(start, bounds.low)
        if begin < bounds.last_stable:
            ranges.append(_range(begin, bounds.last_stable, hour=None))
        return PartPlan(
            place=place,
            row=row,
            ranges=ranges,
            whole_records=whole_records,
            lost=lost,
            rewrites_states=rewrites_states,
        )

    def _read_account(self, place: Place, next_offset: int) -> list[SummedRange]:
        """What should be in each stretch, as the audit has it of a Kafka that has nothing left."""
        if not next_offset:
            return []
        everything = (next_offset, next_offset)
        account = build_account(self.store, place.partition, everything, next_offset)
        found = [*account.old, *account.used_again]
        return sorted(found, key=lambda each: each.first_offset)

    def read(
        self, part: PartPlan, range_: Range, claim: Claim
    ) -> Iterator[tuple[Slice, TakenOver]]:
        """As a load would cut it."""
        place = part.place
        begun_at = claim.max_ts_append if range_.hour is None else range_.hour
        last = replace(claim, next_offset=range_.first_offset, max_ts_append=begun_at)
        # of what it still has, the store's own books tell; of the rest the mirror's
        books = self.store if range_.is_repair else self.mirror
        removed = Removals(() if books is None else books.read_removed(place.partition))
        for records in read_range(
            self.settings,
            Part(place.topic, place.partition.part),
            first_offset=range_.first_offset,
            next_offset=range_.next_offset,
            records_max=self.settings.load.batch_records_max,
        ):
            read = PartRead.collect(records, next_offset=records[-1].offset + 1)
            bytes_max = self.settings.load.record_bytes_max
            for slice_ in cut_slices(last, read, record_bytes_max=bytes_max):
                left, gone = self._heed_retention(removed, replace(slice_, claim=claim))
                left, taken = self._heed_decisions(place, left)
                yield left, replace(taken, removed=() if range_.is_repair else gone)
                last = replace(
                    last, next_offset=slice_.next_offset, max_ts_append=slice_.max_ts_append
                )
        if last.next_offset < range_.next_offset:
            yield (
                Slice(  # markers
                    claim=claim,
                    hour=hour_of(last.max_ts_append),
                    first_offset=last.next_offset,
                    next_offset=range_.next_offset,
                    max_ts_append=last.max_ts_append,
                    leader_epoch=None,
                ),
                NOTHING_TAKEN_OVER,
            )

    def _heed_decisions(self, place: Place, slice_: Slice) -> tuple[Slice, TakenOver]:
        """The store knows its own; the mirror's are those that it may have lost."""
        if self.mirror is None:
            return slice_, NOTHING_TAKEN_OVER
        entries = self.mirror.read_quarantine(
            place.partition, first_offset=slice_.first_offset, next_offset=slice_.next_offset
        )
        discarded = [entry for entry in entries if entry.state == EntryState.DISCARDED]
        return leave_out_discarded(slice_, discarded)

    def _heed_retention(self, removed: Removals, slice_: Slice) -> tuple[Slice, Sequence[Removed]]:
        """What is older than what went, and is in the mirror no more, went too.

        The mirror decides, for a record that came after the removal is there until the next one.
        """
        feed = slice_.claim.feed
        old = find_old(slice_, removed)
        if old and self.mirror is not None:
            ids = [old[offset] for offset in old]
            there = {row.event_id for row in self.mirror.read_records(feed, ids)}
            old = {offset: event_id for offset, event_id in old.items() if event_id not in there}
        return leave_out_removed(slice_, removed, old)

    def list_changed(self) -> Sequence[str]:
        """Kafka's values cannot be changed."""
        return ()


def find_old(slice_: Slice, removed: Removals) -> Mapping[int, str]:
    """Ids of the records that may have been removed, by offset."""
    feed, arrivals = slice_.claim.feed, slice_.arrivals
    if not removed.rows:
        return {}
    found: dict[int, str] = {}
    for offset, record in zip(arrivals.offsets, arrivals.records, strict=True):
        event_us, cut = feed.event_time_of(record), removed.find_cut(offset)
        if event_us is not None and cut is not None and event_us < cut:
            found[offset] = record.event_id
    return found


def leave_out_removed(
    slice_: Slice, removed: Removals, offsets: Collection[int]
) -> tuple[Slice, Sequence[Removed]]:
    """A range without the records at these offsets, and the account of what it lacks."""
    if not offsets:
        return slice_, ()
    latest = max(
        (row for row in removed.rows if row.first_offset <= max(offsets)),
        key=lambda row: row.events_before,
    )
    arrivals = slice_.arrivals
    pairs = zip(arrivals.offsets, arrivals.content_hashes, strict=True)
    gone = replace(
        latest,
        hour=slice_.hour,
        first_offset=slice_.first_offset,
        removed=sum_of([content_hash for offset, content_hash in pairs if offset in offsets]),
    )
    return without_offsets(slice_, offsets), [gone]


def leave_out_discarded(
    slice_: Slice, discarded: Sequence[QuarantineEntry]
) -> tuple[Slice, TakenOver]:
    """A range without these values, and their entries, which say why."""
    if not discarded:
        return slice_, NOTHING_TAKEN_OVER
    offsets = {entry.offset for entry in discarded}
    left = replace(
        without_offsets(slice_, offsets),
        refusals=[each for each in slice_.refusals if each.offset not in offsets],
    )
    return left, TakenOver(entries=discarded)


def _range(
    first_offset: int, next_offset: int, *, hour: int | None, is_repair: bool = False
) -> Range:
    return Range(
        first_offset=first_offset,
        next_offset=next_offset,
        hour=hour,
        records=next_offset - first_offset,
        is_repair=is_repair,
    )

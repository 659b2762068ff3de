"""The other store as the origin of a restore: its rows by first arrival, and its books.

Here: which ranges of a partition differ, and reading one as records with their arrivals. Each
record's content hash is derived anew: one that was changed where it lay is left out and named, for
a restore must not spread it. Where the mirror ends and Kafka begins later, what lies between is
lost. Not here: writing (restore.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from crypto_platform.delivery.restore_kafka import Topics
from crypto_platform.delivery.restore_plan import (
    Lost,
    PartPlan,
    Place,
    Range,
    list_accounts,
    sum_there,
)
from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.facts import derive_record_hash
from crypto_platform.kafka.topics import topic_name
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import (
    NOTHING_TAKEN_OVER,
    RESTORING,
    BatchKind,
    LoadBatch,
    TakenOver,
)
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.slices import Arrival, Slice, build_arrivals

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Of encoded records in one transaction."""


@dataclass(kw_only=True)
class MirrorOrigin:
    """See the module's text.

    Attributes:
        store: Which is restored; only read here.
        mirror: The other one.
        topics: Kafka's; its bounds say what follows on the mirror's end.
    """

    settings: Settings
    store: Store
    mirror: Store
    feeds: Sequence[Feed[Record]]
    topics: Topics
    _rows: dict[TopicPart, StoredOffset] = field(default_factory=dict[TopicPart, StoredOffset])
    _changed: dict[str, None] = field(default_factory=dict[str, None])

    @property
    def name(self) -> str:
        """The mirror's."""
        return self.mirror.sink

    @property
    def warning(self) -> str | None:
        """It knows what the store knew."""
        return None

    def list_places(self) -> list[Place]:
        """All partitions that the mirror ever loaded.

        Raises:
            ConfigurationError: It is being restored itself.
        """
        feed_of = {topic_name(self.settings, feed.topic): feed for feed in self.feeds}
        rows = [row for row in self.mirror.read_offsets() if row.topic in feed_of]
        self._rows = {row.partition: row for row in rows}
        if any((row.blocked_by or "").startswith(RESTORING) for row in rows):
            message = (
                f"{self.name} is being restored itself: finish that with "
                f"`crypto-platform restore {self.name}` first"
            )
            raise ConfigurationError(message)
        order = {feed.name: number for number, feed in enumerate(self.feeds)}
        places = [Place(feed_of[row.topic], row.topic, row.partition) for row in rows]
        return sorted(places, key=lambda place: (order[place.feed.name], place.partition))

    def plan(
        self, place: Place, row: StoredOffset | None, *, rewrites_states: bool = False
    ) -> PartPlan:
        """What the mirror has in other sums than the store, and what follows on the store's end."""
        own = self._rows[place.partition]
        start = 0 if row is None else row.next_offset
        ranges: list[Range] = []
        whole_records = 0
        batches = list(self.mirror.read_load_batches(place.partition))
        given_up = [batch for batch in batches if batch.kind is BatchKind.LOST]
        for hour, first_offset, next_offset in list_accounts(batches):
            if first_offset < start:
                end = min(next_offset, start)
                there = self.mirror.sum_range(place.feed, place.partition, first_offset, end)
                is_whole = there == sum_there(self.store, place, first_offset, end)
                if is_whole and not (rewrites_states and there.count):
                    whole_records += there.count
                else:
                    ranges.append(
                        Range(
                            first_offset=first_offset,
                            next_offset=end,
                            hour=hour,
                            records=there.count,
                            is_repair=True,
                        )
                    )
            if next_offset > start:
                begin = max(first_offset, start)
                ranges += self._cut(place, hour, begin, next_offset, given_up)
        reached = max(own.next_offset, start)
        bounds = self.topics.read_bounds(place)
        lost = [
            Lost(each.first_offset, each.next_offset)
            for each in ranges
            if each.kind is BatchKind.LOST
        ]
        if bounds is not None and bounds.low > reached:
            hour = hour_of(own.max_ts_append)
            ranges.append(_lose(reached, bounds.low, hour))
            lost.append(Lost(reached, bounds.low))
        return PartPlan(
            place=place,
            row=row,
            ranges=ranges,
            whole_records=whole_records,
            lost=lost,
            rewrites_states=rewrites_states,
        )

    def _cut(
        self,
        place: Place,
        hour: int,
        first_offset: int,
        next_offset: int,
        given_up: Sequence[LoadBatch],
    ) -> Iterator[Range]:
        """The stretch in pieces: what the mirror itself gave up stays given up."""
        reached = first_offset
        for batch in given_up:
            begin, end = max(batch.first_offset, reached), min(batch.next_offset, next_offset)
            if begin >= end:
                continue
            if self.mirror.sum_range(place.feed, place.partition, begin, end).count:
                continue  # a restore has brought it back
            if begin > reached:
                yield self._take(place, hour, reached, begin)
            yield _lose(begin, end, hour)
            reached = end
        if next_offset > reached:
            yield self._take(place, hour, reached, next_offset)

    def _take(self, place: Place, hour: int, first_offset: int, next_offset: int) -> Range:
        there = self.mirror.sum_range(place.feed, place.partition, first_offset, next_offset)
        return Range(
            first_offset=first_offset, next_offset=next_offset, hour=hour, records=there.count
        )

    def read(
        self, part: PartPlan, range_: Range, claim: Claim
    ) -> Iterator[tuple[Slice, TakenOver]]:
        """Records by rising offset, with the entries and accounts that belong to their range."""
        place = part.place
        books = _Books.read(self.mirror, place) if not range_.is_repair else _Books()
        begin = range_.first_offset
        for batch, end in self._read_batches(place, range_):
            slice_ = self._build_slice(claim, range_, batch, begin, end)
            yield slice_, books.select(self.mirror, place, begin, end)
            begin = end

    def _read_batches(self, place: Place, range_: Range) -> Iterator[tuple[Sequence[Arrival], int]]:
        """Arrivals, each list with the offset at which it ends; the last one at the range's."""
        batch: list[Arrival] = []
        size_bytes = 0
        records_max = self.settings.load.batch_records_max
        found = self.mirror.read_arrivals(
            place.feed, place.partition, range_.first_offset, range_.next_offset
        )
        for arrival in found:
            is_full = len(batch) >= records_max or size_bytes >= BATCH_BYTES_MAX
            # where a log was cut, two rows may share an offset
            if is_full and arrival.offset > batch[-1].offset:
                yield batch, batch[-1].offset + 1
                batch, size_bytes = [], 0
            if derive_record_hash(place.feed, arrival.record) != arrival.record.content_hash:
                self._changed[arrival.record.event_id] = None  # once, however often it is read
                continue
            batch.append(arrival)
            size_bytes += len(encode(arrival.record))
        yield batch, range_.next_offset

    def _build_slice(
        self, claim: Claim, range_: Range, batch: Sequence[Arrival], begin: int, end: int
    ) -> Slice:
        hour = range_.hour or 0
        own = self._rows[claim.partition]
        is_last = end == own.next_offset
        appends = (arrival.ts_append for arrival in batch)
        return Slice(
            claim=claim,
            hour=hour,
            first_offset=begin,
            next_offset=end,
            max_ts_append=own.max_ts_append if is_last else max(appends, default=hour),
            leader_epoch=own.leader_epoch if is_last else None,
            arrivals=build_arrivals(batch, feed=claim.feed),
        )

    def list_changed(self) -> Sequence[str]:
        """See Origin."""
        return list(self._changed)


@dataclass(frozen=True, kw_only=True)
class _Books:
    """What the mirror's bookkeeping says of one partition beside its ranges."""

    everything: TakenOver = NOTHING_TAKEN_OVER

    @classmethod
    def read(cls, mirror: Store, place: Place) -> "_Books":
        batches = mirror.read_load_batches(place.partition)
        return cls(
            everything=TakenOver(
                removed=mirror.read_removed(place.partition),
                truncated=[batch for batch in batches if batch.kind is BatchKind.TRUNCATED],
            )
        )

    def select(self, mirror: Store, place: Place, first_offset: int, next_offset: int) -> TakenOver:
        """What begins in a range."""
        entries = mirror.read_quarantine(
            place.partition, first_offset=first_offset, next_offset=next_offset
        )
        own = range(first_offset, next_offset)
        return TakenOver(
            entries=list(entries),
            removed=[each for each in self.everything.removed if each.first_offset in own],
            truncated=[each for each in self.everything.truncated if each.first_offset in own],
        )


def _lose(first_offset: int, next_offset: int, hour: int) -> Range:
    return Range(
        first_offset=first_offset,
        next_offset=next_offset,
        hour=hour,
        records=0,
        kind=BatchKind.LOST,
    )

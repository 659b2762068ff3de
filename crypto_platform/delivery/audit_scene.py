"""What there is to audit: topics, their bounds, and how far each store has come.

Here: looking once, waiting until the stores have caught up, the seam to Kafka. Not here: the audit.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from crypto_platform.delivery.audit_report import Lag
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.reader import RawRecord, read_range
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset, TopicPart

READ_RECORDS_MAX = 2_000
"""Values in hand at a time: they may be large."""

LOOK_AGAIN_S = 0.2


class Log(Protocol):
    """Kafka as the audit sees it; tests hand in a log written by hand."""

    def read_topic_ids(self, topics: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Id and partition count of each topic that exists."""
        ...

    def read_bounds(self, parts: Sequence[Part]) -> dict[Part, Bounds]:
        """The bounds of each partition."""
        ...

    def read_offsets_at(self, parts: Sequence[Part], *, time_us: int) -> dict[Part, int | None]:
        """First offset appended at or after a time; None where there is none yet."""
        ...

    def read_range(
        self, part: Part, *, first_offset: int, next_offset: int
    ) -> Iterator[Sequence[RawRecord]]:
        """The committed values of a half-open range, in order."""
        ...


class KafkaLog(Watermarks):
    """The Log of a real Kafka."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._read_settings = settings

    def read_range(
        self, part: Part, *, first_offset: int, next_offset: int
    ) -> Iterator[Sequence[RawRecord]]:
        """See kafka.reader.read_range."""
        return read_range(
            self._read_settings,
            part,
            first_offset=first_offset,
            next_offset=next_offset,
            records_max=READ_RECORDS_MAX,
        )


@dataclass(frozen=True, kw_only=True)
class Place:
    """One partition of one incarnation of a feed's topic.

    Attributes:
        bounds: None where Kafka no longer has it: then only load_batch can prove anything.
    """

    feed: Feed[Record]
    topic: str
    partition: TopicPart
    bounds: Bounds | None

    @property
    def part(self) -> Part:
        """As Kafka knows it."""
        return Part(self.topic, self.partition.part)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One look at everything.

    Attributes:
        stored: By store and partition.
        goals: Where each partition ended at the first look.
    """

    places: Sequence[Place]
    stored: Mapping[str, Mapping[TopicPart, StoredOffset]]
    goals: Mapping[TopicPart, int]

    def lag(self, store: str) -> Lag:
        """How far a store is behind, as delivery/planning.py counts it."""
        rows = self.stored[store]
        lag_records = blocked = 0
        for place in self.places:
            row = rows.get(place.partition)
            if place.bounds is None:
                continue
            if row is not None and row.blocked_by is not None:
                blocked += 1
            elif row is not None or place.bounds.low < place.bounds.high:
                behind = place.bounds.last_stable - (0 if row is None else row.next_offset)
                lag_records += max(behind, 0)
        return Lag(lag_records=lag_records, blocked_partitions=blocked)

    def is_behind(self, store: str) -> bool:
        """Whether it has not come to where Kafka ended at the first look; incidents left aside."""
        rows = self.stored[store]
        return any(
            row.next_offset < self.goals[place.partition] and row.blocked_by is None
            if (row := rows.get(place.partition)) is not None
            else place.bounds.low < self.goals[place.partition]
            for place in self.places
            if place.bounds is not None and place.partition in self.goals
        )


def look(
    settings: Settings, stores: Mapping[str, Store], feeds: Sequence[Feed[Record]], log: Log
) -> Scene:
    """Look once. Stores first: then none can be ahead of the bounds, unless the log was cut.

    Raises:
        StoreUnavailableError, StoreRefusedError, KafkaUnavailableError: Not reached.
    """
    feed_of = {topic_name(settings, feed.topic): feed for feed in feeds}
    stored = {
        name: {row.partition: row for row in store.read_offsets() if row.topic in feed_of}
        for name, store in stores.items()
    }
    ids = log.read_topic_ids(feed_of)
    current = [
        (topic, TopicPart(topic_id, part))
        for topic, (topic_id, partitions) in sorted(ids.items())
        for part in range(partitions)
    ]
    bounds = log.read_bounds([Part(topic, partition.part) for topic, partition in current])
    places = [
        Place(
            feed=feed_of[topic],
            topic=topic,
            partition=partition,
            bounds=bounds[Part(topic, partition.part)],
        )
        for topic, partition in current
    ]
    known = {place.partition for place in places}
    gone = {
        (row.topic, partition)
        for rows in stored.values()
        for partition, row in rows.items()
        if partition not in known
    }
    places += [
        Place(feed=feed_of[topic], topic=topic, partition=partition, bounds=None)
        for topic, partition in sorted(gone)
    ]
    order = {feed.name: number for number, feed in enumerate(feeds)}
    return Scene(
        places=sorted(places, key=lambda place: order[place.feed.name]),
        stored=stored,
        goals={
            place.partition: place.bounds.last_stable
            for place in places
            if place.bounds is not None
        },
    )


def look_until_loaded(
    settings: Settings,
    stores: Mapping[str, Store],
    feeds: Sequence[Feed[Record]],
    log: Log,
    *,
    wait_s: float,
) -> Scene:
    """Look again until every store has all that Kafka had at the first look, or time is over.

    Not until none lags: beside traffic something is always on its way.
    """
    deadline = time.monotonic() + wait_s
    pause = threading.Event()
    scene = look(settings, stores, feeds, log)
    goals = scene.goals
    while any(map(scene.is_behind, stores)) and time.monotonic() < deadline:
        pause.wait(LOOK_AGAIN_S)
        scene = replace(look(settings, stores, feeds, log), goals=goals)
    return scene

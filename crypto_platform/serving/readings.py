"""What each part says when asked how it is: one function a part, one value each.

Here: questions and answers as they come, each quick and read-only. Not here: what they mean
together (judge.py), who waits how long for whom (probe.py).
"""

import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from crypto_platform.analytics import ANALYTICS
from crypto_platform.analytics.pipeline import feeds_of
from crypto_platform.domain.hours import MICROSECONDS_PER_MINUTE
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.kafka.reader import PartitionReader, Start
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.matters import OpenMatters
from crypto_platform.stores.postgres.analytics import AnalyticsStore, Waiting

FIRST_WAITING_S_MAX = 1.5
UI_TIMEOUT_S = 2.5


@dataclass(frozen=True, kw_only=True)
class KafkaReading:
    """All topics of the catalogue, by partition.

    Attributes:
        feed_of: Which feed a partition belongs to.
        names: The partitions by the topics' names on the broker.
        missing: Feeds without a topic.
        minute_ago: First offset appended within the last minute; None where there is none.
        last_append: Microseconds, None where nothing is kept.
    """

    feed_of: Mapping[TopicPart, str]
    names: Mapping[TopicPart, Part]
    missing: Sequence[str]
    bounds: Mapping[TopicPart, Bounds]
    minute_ago: Mapping[TopicPart, int | None]
    last_append: Mapping[TopicPart, int | None]


@dataclass(frozen=True, kw_only=True)
class StoreReading:
    """One store's version and how far it has come."""

    version: str
    offsets: Sequence[StoredOffset]


@dataclass(frozen=True, kw_only=True)
class StoreDetails:
    """What changes slowly in a store.

    Attributes:
        stored_last_minute: Records appended within the last minute and stored; None is unknown.
    """

    matters: OpenMatters
    stored_last_minute: int | None


@dataclass(frozen=True, kw_only=True)
class DerivedReading:
    """What analytics has still to make, by computation, and whether a run is at it."""

    waiting: Mapping[str, Waiting]
    is_busy: bool


@dataclass(frozen=True, kw_only=True)
class CursorsReading:
    """All cursors by key, and when they were read (microseconds): they are looked at seldom."""

    at_us: int
    cursors: Mapping[str, Cursor]


@dataclass(frozen=True, kw_only=True)
class DiskReading:
    """What the data folder holds and what is free where it is."""

    used_bytes: int
    free_bytes: int


@dataclass(frozen=True, kw_only=True)
class MemoryReading:
    """Of the machine; `available_bytes` can be given to programs without swapping."""

    size_bytes: int
    available_bytes: int


def read_kafka(settings: Settings, watermarks: Watermarks, *, now_us: int) -> KafkaReading:
    """Bounds, rates and last appends of all topics.

    Raises:
        KafkaUnavailableError: No answer.
    """
    topics = {topic_name(settings, feed.topic): feed for feed in FEEDS}
    ids = watermarks.read_topic_ids(topics)
    names = {
        TopicPart(topic_id, part): Part(topic, part)
        for topic, (topic_id, count) in ids.items()
        for part in range(count)
    }
    parts = list(names.values())
    bounds = watermarks.read_bounds(parts)
    minute_ago = watermarks.read_offsets_at(parts, time_us=now_us - MICROSECONDS_PER_MINUTE)
    last_append = watermarks.read_last_appends(parts)
    return KafkaReading(
        feed_of={partition: topics[part.topic].name for partition, part in names.items()},
        names=names,
        missing=[feed.name for topic, feed in topics.items() if topic not in ids],
        bounds={partition: bounds[part] for partition, part in names.items()},
        minute_ago={partition: minute_ago[part] for partition, part in names.items()},
        last_append={partition: last_append[part] for partition, part in names.items()},
    )


def read_first_waiting(settings: Settings, waiting: Mapping[Part, int]) -> dict[Part, int | None]:
    """When the first record at or behind each offset was appended, microseconds.

    None where only transaction markers stand there, so nothing waits, or where the log no longer
    holds the offset. A partition that did not answer within FIRST_WAITING_S_MAX is left out.

    Raises:
        KafkaUnavailableError: The client is broken.
    """
    found: dict[Part, int | None] = {}
    left = dict(waiting)
    reader = PartitionReader(settings)
    deadline = time.monotonic() + FIRST_WAITING_S_MAX
    try:
        reader.assign({part: Start(offset, None) for part, offset in left.items()})
        while left and time.monotonic() < deadline:
            # one record at a time: a busy partition must not fill the answer
            reads = reader.read(records_max=len(waiting) * 2, first_wait_s=0.2, more_wait_s=0.01)
            settled = {
                part: read.ts_appends
                for part, read in reads.items()
                if part in left and (read.offsets or read.at_end or read.lost_position)
            }
            for part, ts_appends in settled.items():
                found[part] = ts_appends[0] if ts_appends else None
                del left[part]
            if settled:
                reader.drop(list(settled))
    finally:
        reader.close()
    return found


def read_store(store: Store) -> StoreReading:
    """Version and offsets.

    Raises:
        StoreUnavailableError, StoreRefusedError: As the store says.
    """
    return StoreReading(version=store.ping(), offsets=store.read_offsets())


def count_stored(store: Store, kafka: KafkaReading, offsets: Iterable[StoredOffset]) -> int:
    """Records appended within the last minute that the store holds for the first time."""
    next_offsets = {row.partition: row.next_offset for row in offsets}
    total = 0
    for partition, first_offset in kafka.minute_ago.items():
        next_offset = next_offsets.get(partition, 0)
        if first_offset is not None and first_offset < next_offset:
            feed = FEED_BY_NAME[kafka.feed_of[partition]]
            total += store.sum_range(feed, partition, first_offset, next_offset).count
    return total


def read_derived(store: AnalyticsStore, *, now_us: int) -> DerivedReading:
    """What analytics has still to make.

    Raises:
        StoreUnavailableError, StoreRefusedError: As the store says.
    """
    waiting = store.read_waiting(feeds_of(ANALYTICS), as_of_us=now_us)
    return DerivedReading(waiting=waiting, is_busy=store.is_busy())


def read_disk(data_dir: Path) -> DiskReading:
    """Size of the data folder as far as we may look, and the free space beside it."""
    folder = data_dir
    while not folder.exists():
        folder = folder.parent
    return DiskReading(used_bytes=_size_bytes(data_dir), free_bytes=shutil.disk_usage(folder).free)


def _size_bytes(folder: Path) -> int:
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += _size_bytes(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        pass  # another user's folder, or gone meanwhile
    return total


def read_memory() -> MemoryReading:
    """What the kernel says; in a container that is the whole machine's, not the container's."""
    found = psutil.virtual_memory()
    return MemoryReading(size_bytes=found.total, available_bytes=found.available)


def answers(url: str) -> bool:
    """Whether Dagster's web server answers at this URL."""
    # without a proxy: the address is one of ours
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/server_info", timeout=UI_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return True  # a log-in page in front of it is an answer
    except (OSError, ValueError):
        return False

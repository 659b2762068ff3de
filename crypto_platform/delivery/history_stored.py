"""What of a backfill has reached the stores, by their own counts.

Here: waiting until they have loaded what is in Kafka now, counting what they hold of some days. Not
here: the loads themselves, which Dagster's sensors ask for.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.delivery.history_plan import Stream
from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store

LOOK_EVERY_S = 0.5
STALL_S_MAX = 60.0
"""No store moved for so long: nobody loads, or an incident stops it."""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What a backfill changed in one store, by its own counts.

    Attributes:
        new_records: It holds so many more of these days than before.
        lacking_offsets: So many offsets of the topics it has not loaded yet.
    """

    new_records: int
    lacking_offsets: int


def wait_until_loaded(
    settings: Settings,
    stores: Mapping[str, Store],
    feeds: Sequence[Feed[Record]],
    stop: threading.Event,
) -> Mapping[str, int]:
    """Wait until the stores have what the feeds' topics hold now.

    Returns:
        By store, how many offsets it still lacks: 0 but where nothing moved for STALL_S_MAX, or
        `stop` was set.

    Raises:
        KafkaUnavailableError, StoreUnavailableError: Not reached.
    """
    parts = [
        Part(topic_name(settings, feed.topic), part)
        for feed in feeds
        for part in range(feed.partitions)
    ]
    bounds = Watermarks(settings).read_bounds(parts)
    wanted = {part: bounds[part].last_stable for part in parts}
    lacking: Mapping[str, int] = {}
    moved_at = time.monotonic()
    while True:
        found = {name: _count_lacking(store, wanted) for name, store in stores.items()}
        if found != lacking:
            lacking, moved_at = found, time.monotonic()
        if not any(lacking.values()) or time.monotonic() - moved_at > STALL_S_MAX:
            return lacking
        if stop.wait(LOOK_EVERY_S):
            return lacking


def _count_lacking(store: Store, wanted: Mapping[Part, int]) -> int:
    reached = {Part(row.topic, row.partition.part): row.next_offset for row in store.read_offsets()}
    return sum(max(end - reached.get(part, 0), 0) for part, end in wanted.items())


def count_stored(
    store: Store,
    feed: Feed[Record],
    streams: Sequence[Stream],
    *,
    venue: str,
    start_us: TimeUs,
    end_us: TimeUs,
) -> int:
    """How many records a store holds of a stretch of event time."""
    return sum(
        store.count_events(
            feed, where=_name_stream(venue, stream), start_us=start_us, end_us=end_us
        )
        for stream in streams
    )


def _name_stream(venue: str, stream: Stream) -> Mapping[str, str]:
    named = {"venue": venue, "venue_symbol": stream.venue_symbol}
    return named if stream.interval is None else named | {"interval": stream.interval.value}

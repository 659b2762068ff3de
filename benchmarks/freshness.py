"""How fresh a store is, seen from outside.

Kafka is read (read_committed) and each store is asked for its offsets: a record is *committed* when
the store's next_offset has passed it. Freshness = that moment minus the record's append time, or
minus its own time, the venue's; the polling of the stores adds at most POLL_S to it.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import click

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.reader import PartitionReader, PartRead, Start
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, open_store

POLL_S = 0.02
US = 1_000_000


class Freshness:
    """Notes when each record of some feeds was appended and when each store had it."""

    def __init__(
        self,
        settings: Settings,
        feeds: Sequence[Feed[Record]],
        *,
        stores: Collection[str] = tuple(STORES),
        of_event: bool = False,
    ) -> None:
        """Watch these feeds.

        Args:
            of_event: Count from a record's own time (`ts_event`), not from its append time.
        """
        self._settings = settings
        self._feeds = {feed.name: feed for feed in feeds}
        self._of_event = of_event
        self._parts = {
            Part(topic_name(settings, feed.topic), part): feed.name
            for feed in feeds
            for part in range(feed.partitions)
        }
        self._appended: dict[Part, list[tuple[int, int]]] = defaultdict(list)
        self._moves: dict[str, dict[Part, list[tuple[int, int]]]] = {
            store: defaultdict(list) for store in stores
        }
        self._owners: dict[str, set[str]] = {store: set() for store in stores}
        self._stop = threading.Event()

    def watch(self, body: Callable[[], object]) -> None:
        """Watch for as long as the body takes."""
        threads = [threading.Thread(target=self._tail)]
        threads += [threading.Thread(target=self._ask, args=(store,)) for store in self._moves]
        for thread in threads:
            thread.start()
        try:
            body()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _tail(self) -> None:
        bounds = Watermarks(self._settings).read_bounds(list(self._parts))
        reader = PartitionReader(self._settings)
        reader.assign({part: Start(bounds[part].last_stable, None) for part in self._parts})
        while not self._stop.is_set():
            reads = reader.read(records_max=10_000, first_wait_s=0.5, more_wait_s=0.1)
            for part, read in reads.items():
                self._appended[part] += zip(read.offsets, self._since(part, read), strict=True)
        reader.close()

    def _since(self, part: Part, read: PartRead) -> Sequence[int]:
        """From when each record counts, microseconds."""
        if not self._of_event:
            return read.ts_appends
        feed = self._feeds[self._parts[part]]
        bytes_max = self._settings.load.record_bytes_max
        times = (
            feed.event_time_of(decode(feed, value, record_bytes_max=bytes_max))
            for value in read.values
        )
        pairs = zip(times, read.ts_appends, strict=True)
        return [append if time_us is None else time_us for time_us, append in pairs]

    def _ask(self, name: str) -> None:
        store = open_store(name, self._settings, role="analyst")
        last: dict[Part, int] = {}
        while not self._stop.wait(POLL_S):
            rows = store.read_offsets()
            now_us = time.time_ns() // 1000
            for row in rows:
                part = Part(row.topic, row.partition.part)
                if part not in self._parts:
                    continue
                if row.owner_run_id is not None:
                    self._owners[name].add(row.owner_run_id)
                if row.next_offset > last.get(part, 0):
                    last[part] = row.next_offset
                    self._moves[name][part].append((row.next_offset, now_us))
        store.close()

    def result(self) -> dict[str, object]:
        """Seconds, by store and feed; and how many load runs owned the partitions."""
        found: dict[str, object] = {}
        for store in self._moves:
            by_feed: dict[str, list[float]] = {name: [] for name in self._parts.values()}
            for part, feed in self._parts.items():
                by_feed[feed] += self._waits(store, part)
            found[store] = {feed: summarize(waits) for feed, waits in by_feed.items()} | {
                "load_runs": len(self._owners[store])
            }
        return found

    def _waits(self, store: str, part: Part) -> list[float]:
        """Of each record of a partition that the store has, in seconds."""
        moves, at_move = self._moves[store][part], 0
        waits: list[float] = []
        for offset, since_us in self._appended[part]:
            while at_move < len(moves) and moves[at_move][0] <= offset:
                at_move += 1
            if at_move == len(moves):
                break
            waits.append((moves[at_move][1] - since_us) / US)
        return waits


def summarize(waits: list[float]) -> dict[str, float]:
    """Percentiles, in seconds."""
    waits = sorted(waits)
    if not waits:
        return {"counted": 0}
    return {"counted": len(waits)} | {
        name: round(waits[min(int(len(waits) * ratio), len(waits) - 1)], 3)
        for name, ratio in (("p50_s", 0.5), ("p90_s", 0.9), ("p99_s", 0.99), ("max_s", 1.0))
    }


def wait(seconds: float, what: str) -> None:
    """Say what for, and wait."""
    click.echo(f"{what} for {seconds:.0f} s", err=True)
    threading.Event().wait(seconds)

"""The steady state: freshness in both stores, hand-overs included, and what the whole stack costs.

A stack of its own runs on the simulated market with one poll a second and load runs that are
succeeded every minute. From outside it reads Kafka (read_committed) and asks each store for its
offsets: a record is *committed* when the store's next_offset has passed it. Freshness = that moment
minus the record's append time; the polling of the stores adds at most POLL_S to it.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil

from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.reader import PartitionReader, Start
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores import STORES, open_store

POLL_S = 0.02
SETTINGS = """
[load]
follow_s = 60

[sources.simulated]
pace_s = 1.0

[sources.simulated_exchange]
enabled = false
"""
US = 1_000_000


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="How long to measure.")
@click.option("--warm-up-s", default=60.0, show_default=True, help="Not counted, first.")
@click.option("--data-dir", type=Path, help="Measure the stack that runs there instead of an own.")
def steady(minutes: float, warm_up_s: float, data_dir: Path | None) -> None:
    """Freshness p50 and p99 in both stores, CPU and memory of the whole stack."""
    with _stack(data_dir) as (settings, folder):
        _wait(warm_up_s, "warming up")
        cost = _Cost(folder)
        watch = _Watch(settings)
        watch.run(minutes * 60)
        click.echo(json.dumps(watch.result() | cost.result(), indent=2))


@contextmanager
def _stack(data_dir: Path | None) -> Iterator[tuple[Settings, Path]]:
    from crypto_platform.cli import main as cli  # noqa: PLC0415 - only where a stack is started

    if data_dir is not None:
        yield load_settings(data_dir), data_dir.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        folder = Path(name) / "data"
        Path(name).chmod(0o755)
        folder.mkdir()
        (folder / "settings.toml").write_text(SETTINGS)
        at = ["--data-dir", str(folder)]
        cli(["up", "--detach", "--sources", "simulated", *at], standalone_mode=False)
        try:
            yield load_settings(folder), folder
        finally:
            cli(["down", *at], standalone_mode=False)


def _wait(seconds: float, what: str) -> None:
    click.echo(f"{what} for {seconds:.0f} s", err=True)
    threading.Event().wait(seconds)


class _Watch:
    """Notes when each record was appended and when each store had it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topic_name(settings, QUOTES.topic)
        self._parts = [Part(self._topic, part) for part in range(QUOTES.partitions)]
        self._appended: list[tuple[Part, int, int]] = []
        self._seen: dict[str, list[tuple[Part, int, int]]] = {name: [] for name in STORES}
        self._owners: dict[str, set[str]] = {name: set() for name in STORES}
        self._stop = threading.Event()

    def run(self, seconds: float) -> None:
        """Watch for so long, and until the stores have what was seen by then."""
        threads = [threading.Thread(target=self._tail)]
        threads += [threading.Thread(target=self._ask, args=(name,)) for name in STORES]
        for thread in threads:
            thread.start()
        _wait(seconds, "measuring")
        self._stop.set()
        for thread in threads:
            thread.join()

    def _tail(self) -> None:
        bounds = Watermarks(self._settings).read_bounds(self._parts)
        reader = PartitionReader(self._settings)
        reader.assign({part: Start(bounds[part].last_stable, None) for part in self._parts})
        while not self._stop.is_set():
            reads = reader.read(records_max=10_000, first_wait_s=0.5, more_wait_s=0.1)
            for part, read in reads.items():
                self._appended += [(part, r.offset, r.ts_append) for r in read.list_records()]
        reader.close()

    def _ask(self, name: str) -> None:
        store = open_store(name, self._settings, role="analyst")
        last: dict[Part, int] = {}
        while not self._stop.wait(POLL_S):
            rows = store.read_offsets()
            now_us = time.time_ns() // 1000
            for row in rows:
                part = Part(row.topic, row.partition.part)
                if row.owner_run_id is not None and row.topic == self._topic:
                    self._owners[name].add(row.owner_run_id)
                if row.next_offset > last.get(part, 0):
                    last[part] = row.next_offset
                    self._seen[name].append((part, row.next_offset, now_us))
        store.close()

    def result(self) -> dict[str, object]:
        """Seconds, per store."""
        by_store: dict[str, object] = {
            name: self._freshness(seen) | {"load_runs": len(self._owners[name])}
            for name, seen in self._seen.items()
        }
        return {"records": len(self._appended)} | by_store

    def _freshness(self, seen: list[tuple[Part, int, int]]) -> dict[str, object]:
        waits: list[float] = []
        for part in self._parts:
            moves = [(offset, at) for p, offset, at in seen if p == part]
            at_move = 0
            for _, offset, ts_append in (a for a in self._appended if a[0] == part):
                while at_move < len(moves) and moves[at_move][0] <= offset:
                    at_move += 1
                if at_move < len(moves):
                    waits.append((moves[at_move][1] - ts_append) / US)
        waits.sort()
        if not waits:
            return {"counted": 0}
        return {
            "counted": len(waits),
            "p50_s": round(waits[len(waits) // 2], 3),
            "p90_s": round(waits[len(waits) * 9 // 10], 3),
            "p99_s": round(waits[len(waits) * 99 // 100], 3),
            "max_s": round(waits[-1], 3),
        }


class _Cost:
    """CPU (cores) and memory (PSS) of every process of a stack."""

    def __init__(self, folder: Path) -> None:
        self._pid = json.loads((folder / "stack.json").read_text())["pid"]
        self._at = time.monotonic()
        self._cpu_s = self._cpu()

    def _family(self) -> list[psutil.Process]:
        root = psutil.Process(self._pid)
        return [root, *root.children(recursive=True)]

    def _cpu(self) -> float:
        total = 0.0
        for process in self._family():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def result(self) -> dict[str, object]:
        """Since it was made."""
        cores = (self._cpu() - self._cpu_s) / (time.monotonic() - self._at)
        memory: dict[str, float] = {}
        for process in self._family():
            try:
                name, pss = process.name(), process.memory_full_info().pss
            except psutil.Error:
                continue
            memory[name] = memory.get(name, 0.0) + pss / 1024**2
        return {
            "cores": round(cores, 2),
            "memory_mib": round(sum(memory.values())),
            "memory_mib_by_process": {k: round(v) for k, v in sorted(memory.items())},
        }

"""Hours of the whole platform at its default settings: what it takes, what grows, and how fast.

A stack of its own on the simulated market and company, looked at once a minute: CPU and memory of
each part, the folders on the disk, Dagster's event log, records in the stores. CPU is counted in
seconds of the processes, so that what else the machine does changes it little. The end is the
audit. Not here: faults (tests/soak.py), months of Dagster's history (months.py).
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

import click
import psutil
import psycopg

from benchmarks.freshness import wait
from benchmarks.steady import run_stack
from crypto_platform.serving.readings import read_disk
from crypto_platform.settings import Settings
from crypto_platform.stack.state import read_state
from crypto_platform.stores import STORES, open_store

MIB = 1024**2
FOLDERS = ("kafka", "postgres", "mongo", "dagster-postgres", "dagster", "company", "logs")
_EVENT_LOG = "SELECT count(*), pg_total_relation_size('event_logs') FROM event_logs"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One look.

    Attributes:
        at_s: Since the first one.
        cpu_s: Of each part so far, runs that have ended included.
        memory_mib: PSS of each part.
        disk_mib: Blocks of each folder.
        event_log_rows, event_log_mib: Dagster's, indexes included.
        offsets: Stored so far of each store; a record and a transaction's marker take one each.
    """

    at_s: float
    cpu_s: Mapping[str, float]
    memory_mib: Mapping[str, float]
    disk_mib: Mapping[str, float]
    event_log_rows: int
    event_log_mib: float
    offsets: Mapping[str, int]

    def figures(self) -> dict[str, float]:
        """All of it by name; what grows only with the records is to be read beside them."""
        found = {"event_log_rows": float(self.event_log_rows), "event_log_mib": self.event_log_mib}
        found |= {f"memory_mib {name}": value for name, value in self.memory_mib.items()}
        found |= {f"disk_mib {name}": value for name, value in self.disk_mib.items()}
        return found | {f"offsets {name}": float(value) for name, value in self.offsets.items()}


@click.command()
@click.option("--minutes", default=60, show_default=True, help="How long to look.")
@click.option("--warm-up-s", default=120.0, show_default=True, help="Not counted, first.")
@click.option("--every-s", default=60.0, show_default=True, help="Between two looks.")
@click.option("--data-dir", type=Path, help="Look at the stack that runs there.")
def endurance(minutes: int, warm_up_s: float, every_s: float, data_dir: Path | None) -> None:
    """CPU, memory, disk and event log over an hour, what grows, and the audit."""
    with run_stack(data_dir, "") as (settings, folder):
        wait(warm_up_s, "warming up")
        meter = Meter(settings, folder)
        samples = [meter.look()]
        deadline = time.monotonic() + minutes * 60
        while time.monotonic() < deadline:
            wait(every_s, f"minute {samples[-1].at_s / 60:.0f} of {minutes}")
            samples.append(meter.look())
            click.echo(json.dumps({"at_s": round(samples[-1].at_s)} | _total(samples[-1])))
        click.echo(json.dumps(summarize(samples), indent=2))
        audit = [sys.executable, "-m", "crypto_platform.cli", "audit", "--wait", "60"]
        sys.exit(subprocess.run([*audit, "--data-dir", folder], check=False).returncode)


@dataclass
class Meter:
    """Looks at one running stack; between two looks it keeps what ended processes have used."""

    settings: Settings
    folder: Path
    _began: float = field(default_factory=time.monotonic)
    _alive: dict[tuple[str, int, float], float] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)

    def look(self) -> Sample:
        """Now."""
        memory: dict[str, float] = {}
        alive: dict[tuple[str, int, float], float] = {}
        for part, process in self._processes():
            try:
                times, began = process.cpu_times(), process.create_time()
                pss = process.memory_full_info().pss
            except psutil.Error:
                continue
            memory[part] = memory.get(part, 0.0) + pss / MIB
            alive[part, process.pid, began] = times.user + times.system
        for key, used_s in self._alive.items():
            if key not in alive:
                # a run's last seconds are not seen
                self._ended[key[0]] = self._ended.get(key[0], 0.0) + used_s
        self._alive = alive
        used = dict(self._ended)
        for (part, _, _), used_s in alive.items():
            used[part] = used.get(part, 0.0) + used_s
        rows, size_bytes = self._event_log()
        return Sample(
            at_s=time.monotonic() - self._began,
            cpu_s=used,
            memory_mib=memory,
            disk_mib={name: read_disk(self.folder / name).used_bytes / MIB for name in FOLDERS},
            event_log_rows=rows,
            event_log_mib=size_bytes / MIB,
            offsets={store: self._stored(store) for store in STORES},
        )

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        """Each with the part it belongs to; runs are the code server's children."""
        state = read_state(self.folder)
        if state is None:
            message = f"nothing runs in {self.folder}"
            raise click.ClickException(message)
        yield "up", psutil.Process(state.pid)
        for name, part in state.parts.items():
            if part.pid is None:
                continue
            try:
                root = psutil.Process(part.pid)
                yield from ((name, process) for process in (root, *root.children(recursive=True)))
            except psutil.Error:
                continue

    def _event_log(self) -> tuple[int, int]:
        url = self.settings.dagster.postgres_url
        if url is None:
            message = f"dagster.postgres_url is not known: does a stack run in {self.folder}?"
            raise click.ClickException(message)
        with psycopg.connect(url.get_secret_value()) as connection:
            row = connection.execute(_EVENT_LOG).fetchone()
        assert row is not None
        return row[0], row[1]

    def _stored(self, name: str) -> int:
        store = open_store(name, self.settings, role="analyst")
        try:
            return sum(row.next_offset for row in store.read_offsets())
        finally:
            store.close()


def summarize(samples: Sequence[Sample]) -> dict[str, object]:
    """Cores by part, and of every figure its first and last value and what it gains an hour.

    The gain is the slope of a line through all samples: a figure that swings and stays has none.
    """
    first, last = samples[0], samples[-1]
    seconds = last.at_s - first.at_s
    cores = {
        part: round((last.cpu_s[part] - first.cpu_s.get(part, 0.0)) / seconds, 3)
        for part in sorted(last.cpu_s)
    }
    hours = [sample.at_s / 3600 for sample in samples]
    table: dict[str, dict[str, float]] = {}
    for name in first.figures():
        values = [sample.figures().get(name, 0.0) for sample in samples]
        table[name] = {
            "first": round(values[0], 1),
            "last": round(values[-1], 1),
            "most": round(max(values), 1),
            "an_hour": round(linear_regression(hours, values).slope, 1),
        }
    return {
        "minutes": round(seconds / 60, 1),
        "cores": cores | {"all": round(sum(cores.values()), 2)},
        "memory_mib_all": [round(sum(sample.memory_mib.values())) for sample in (first, last)],
        "figures": table,
    }


def _total(sample: Sample) -> dict[str, int]:
    return {
        "cpu_s": round(sum(sample.cpu_s.values())),
        "memory_mib": round(sum(sample.memory_mib.values())),
        "disk_mib": round(sum(sample.disk_mib.values())),
        "event_log_rows": sample.event_log_rows,
        "offsets": max(sample.offsets.values()),
    }

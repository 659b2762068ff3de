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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import TextIO

import click
import psutil
import sqlalchemy as sa

from benchmarks.freshness import wait
from benchmarks.steady import add_cpu_s, add_memory_mib, find_family, run_stack
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
        cpu_s: Of each part so far, what has ended below it (runs) included.
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
@click.option(
    "--settings", "more", type=click.File(), help="settings.toml of the own stack, for more load."
)
def endurance(
    *, minutes: int, warm_up_s: float, every_s: float, data_dir: Path | None, more: TextIO | None
) -> None:
    """CPU, memory, disk and event log over an hour, what grows, and the audit."""
    toml = "" if more is None else more.read()
    with run_stack(data_dir, toml) as (settings, folder):
        wait(warm_up_s, "warming up")
        began = time.monotonic()
        samples = [look(settings, folder, began=began)]
        while time.monotonic() < began + minutes * 60:
            wait(every_s, f"minute {samples[-1].at_s / 60:.0f} of {minutes}")
            samples.append(look(settings, folder, began=began))
            click.echo(json.dumps({"at_s": round(samples[-1].at_s)} | _total(samples[-1])))
        click.echo(json.dumps(summarize(samples), indent=2))
        audit = [sys.executable, "-m", "crypto_platform.cli", "audit", "--wait", "60"]
        sys.exit(subprocess.run([*audit, "--data-dir", folder], check=False).returncode)


def look(settings: Settings, folder: Path, *, began: float) -> Sample:
    """How a running stack is now.

    Args:
        began: When the first look was, of the monotonic clock.
    """
    families = _find_families(folder)
    rows, size_bytes = _measure_event_log(settings)
    return Sample(
        at_s=time.monotonic() - began,
        cpu_s={part: add_cpu_s(family) for part, family in families.items()},
        memory_mib={part: add_memory_mib(family) for part, family in families.items()},
        disk_mib={name: read_disk(folder / name).used_bytes / MIB for name in FOLDERS},
        event_log_rows=rows,
        event_log_mib=size_bytes / MIB,
        offsets={store: _count_stored(settings, store) for store in STORES},
    )


def _find_families(folder: Path) -> dict[str, list[psutil.Process]]:
    """Each part's processes; runs are the code server's children."""
    state = read_state(folder)
    if state is None:
        message = f"nothing runs in {folder}"
        raise click.ClickException(message)
    families = {"up": [psutil.Process(state.pid)]}
    for name, part in state.parts.items():
        # one that is just being started again is seen the next time
        with suppress(psutil.NoSuchProcess):
            families |= {} if part.pid is None else {name: find_family(part.pid)}
    return families


def _measure_event_log(settings: Settings) -> tuple[int, int]:
    url = settings.dagster.postgres_url
    if url is None:
        message = "dagster.postgres_url is not known: does a stack run there?"
        raise click.ClickException(message)
    engine = sa.create_engine(url.get_secret_value(), poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows, size_bytes = connection.execute(sa.text(_EVENT_LOG)).one()
    return rows, size_bytes


def _count_stored(settings: Settings, name: str) -> int:
    store = open_store(name, settings, role="analyst")
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

"""The steady state: freshness in both stores, hand-overs included, and what the whole stack costs.

A stack of its own runs on the simulated market with so many polls a second, half of them for quotes
and half for trades, and load runs that are succeeded every minute. What freshness is and how it is
read from outside: freshness.py.
"""

import itertools
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil

from benchmarks.freshness import Freshness, wait
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.feeds.trades import TRADES
from crypto_platform.settings import DEFAULT_SOURCES, Settings, load_settings

SOURCES = ("simulated", "simulated_exchange")
PACE_S_MIN = 0.2
"""The shortest that the settings allow: more polls a second take more sources."""


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="How long to measure.")
@click.option("--warm-up-s", default=60.0, show_default=True, help="Not counted, first.")
@click.option("--polls", default=20, show_default=True, help="A second, in all.")
@click.option("--data-dir", type=Path, help="Measure the stack that runs there instead of an own.")
def steady(minutes: float, warm_up_s: float, polls: int, data_dir: Path | None) -> None:
    """Freshness p50 and p99 in both stores, CPU and memory of the whole stack."""
    with run_stack(data_dir, build_settings(polls)) as (settings, folder):
        wait(warm_up_s, "warming up")
        cost = Cost(folder)
        freshness = Freshness(settings, [QUOTES, TRADES])
        freshness.watch(lambda: wait(minutes * 60, "measuring"))
        click.echo(json.dumps(freshness.result() | cost.result(), indent=2))


def build_settings(polls: int) -> str:
    """TOML: as many sources of each kind as so many polls a second take, each at one pace."""
    copies = max(round(polls * PACE_S_MIN / len(SOURCES)), 1)
    pace_s = copies * len(SOURCES) / polls
    lines = ["[load]", "follow_s = 60"]
    for name, number in itertools.product(SOURCES, range(copies)):
        source = DEFAULT_SOURCES[name]
        lines += ["", f"[sources.{name}{number or ''}]", f"pace_s = {pace_s}"]
        lines += ["requests_per_minute_max = 6000.0"]
        if number:
            lines += [f"{key} = {json.dumps(source[key])}" for key in ("dialect", "base_url")]
            lines += ["simulated = true"]
            lines += [f"symbols = {json.dumps(source['symbols'])}"] if "symbols" in source else []
    return "\n".join(lines) + "\n"


@contextmanager
def run_stack(data_dir: Path | None, toml: str) -> Iterator[tuple[Settings, Path]]:
    """The stack that runs in a folder; without one a stack of its own with these settings."""
    from crypto_platform.cli import main as cli  # noqa: PLC0415 - only where a stack is started

    if data_dir is not None:
        yield load_settings(data_dir), data_dir.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="crypto_platform_bench_") as name:
        folder = Path(name) / "data"
        Path(name).chmod(0o755)
        folder.mkdir()
        (folder / "settings.toml").write_text(toml)
        at = ["--data-dir", str(folder)]
        cli(["up", "--detach", "--sources", "simulated", *at], standalone_mode=False)
        try:
            yield load_settings(folder), folder
        finally:
            cli(["down", *at], standalone_mode=False)


class Cost:
    """CPU (cores) and memory (PSS) of every process of a stack."""

    def __init__(self, folder: Path) -> None:
        """Begin to count."""
        self._pid = json.loads((folder / "stack.json").read_text())["pid"]
        self._at = time.monotonic()
        self._cpu_s = add_cpu_s(find_family(self._pid))

    def memory(self) -> dict[str, float]:
        """MiB by the processes' names, now."""
        found: dict[str, float] = {}
        for process in find_family(self._pid):
            try:
                name = process.name()
            except psutil.Error:
                continue
            found[name] = found.get(name, 0.0) + add_memory_mib([process])
        return found

    def result(self) -> dict[str, object]:
        """Since it was made."""
        cpu_s = add_cpu_s(find_family(self._pid)) - self._cpu_s
        memory = self.memory()
        return {
            "cores": round(cpu_s / (time.monotonic() - self._at), 2),
            "memory_mib": round(sum(memory.values())),
            "memory_mib_by_process": {k: round(v) for k, v in sorted(memory.items())},
        }


def find_family(pid: int) -> list[psutil.Process]:
    """A process with all below it.

    Raises:
        psutil.NoSuchProcess: It has ended.
    """
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def add_cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Seconds that these have used so far, and those below them that have ended."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def add_memory_mib(processes: Iterable[psutil.Process]) -> float:
    """PSS of these: what they share is counted once."""
    total = 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss / 1024**2
        except psutil.Error:
            continue
    return total

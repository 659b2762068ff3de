"""Loads and ingest runs in processes of their own, for tests that kill, stop or outlive them.

Here: starting them on a test platform's data folder, and waiting for SIGSTOP. `python -m
tests.fault_children FOLDER SOURCE...` polls each of these sources once, as a run of the schedule
would, and prints how each feed ended. Loads are the platform's own command.
"""

import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from crypto_platform.delivery.ingest import ingest
from crypto_platform.settings import (
    ENV_PREFIX,
    ENVIRONMENT_FILE,
    load_settings,
    process_environment,
)
from crypto_platform.sources import build_sources
from crypto_platform.stores import STORES
from tests.platform_harness import Platform
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
START_S = 60.0
"""A child imports drivers first, on a machine that others use as well."""


@contextmanager
def running_load(
    platform: Platform, store: str, **variables: str
) -> "Generator[subprocess.Popen[str]]":
    """A draining load of this store; ended with the block.

    Args:
        variables: Settings of this process alone, without their common prefix.
    """
    command = ("-m", "crypto_platform.cli", "load", "--store", store, "--drain", "--json")
    arguments = [*command, "--data-dir", str(platform.data_dir)]
    with _running(arguments, variables) as process:
        yield process


class Machine:
    """Another machine, as far as one is to be had here: a folder, and processes that know no other.

    They share Kafka and the stores with everybody, and nothing else: no file, no working directory.
    """

    def __init__(self, platform: Platform, folder: Path) -> None:
        folder.mkdir()
        shutil.copy(platform.data_dir / ENVIRONMENT_FILE, folder)
        self._folder = folder

    @contextmanager
    def running_loads(self, shard: str) -> "Generator[dict[str, subprocess.Popen[str]]]":
        """A load of each store that follows, for this shard; ended with the block."""
        with ExitStack() as ending:
            yield {
                store: ending.enter_context(
                    _running(
                        [
                            *("-m", "crypto_platform.cli", "load", "--store", store, "--json"),
                            *("--shard", shard, "--data-dir", str(self._folder)),
                        ],
                        {},
                        folder=self._folder,
                    )
                )
                for store in STORES
            }


@contextmanager
def running_restore(
    platform: Platform, store: str, origin: str, *, is_heard: bool = False, **variables: str
) -> "Generator[subprocess.Popen[str]]":
    """A restore of this store; see `running_load`.

    Args:
        is_heard: The test reads what it says on stderr.
    """
    command = ("-m", "crypto_platform.cli", "restore", store, "--from", origin, "--yes", "--json")
    arguments = [*command, "--data-dir", str(platform.data_dir)]
    with _running(arguments, variables, is_heard=is_heard) as process:
        yield process


@contextmanager
def running_ingest(
    platform: Platform, *sources: str, **variables: str
) -> "Generator[subprocess.Popen[str]]":
    """An ingest run that polls these sources once; ended with the block."""
    command = ["-m", "tests.fault_children", str(platform.data_dir), *sources]
    with _running(command, variables) as process:
        yield process


def wait_until_stopped(process: "subprocess.Popen[str]") -> None:
    """Until the child has frozen itself (or was frozen)."""
    watched = psutil.Process(process.pid)
    eventually(lambda: watched.status() == psutil.STATUS_STOPPED, within_s=START_S)


@contextmanager
def _running(
    arguments: list[str],
    variables: Mapping[str, str],
    *,
    is_heard: bool = False,
    folder: Path = ROOT,
) -> "Generator[subprocess.Popen[str]]":
    inherited = {k: v for k, v in process_environment().items() if not k.startswith(ENV_PREFIX)}
    settings = {f"{ENV_PREFIX}{name}": value for name, value in variables.items()}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=inherited | settings | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if is_heard else None,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def main(data_dir: Path, names: list[str]) -> None:
    """Poll once, say how it ended."""
    settings = load_settings(data_dir)
    sources = build_sources(settings)
    reports = ingest(
        settings,
        sources,
        [(name, feed) for name in names for feed in sources[name].feeds],
        clock=lambda: time.time_ns() // 1000,
        stop=threading.Event(),
        run_id=str(uuid.uuid4()),
    )
    for report in reports:
        line = (
            f"{report.source}: {report.end.value}, {report.polls} polls, {report.records} records"
        )
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""Two machines load from one Kafka into the same stores, and one of them dies while it does."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.rows import tuple_row

from crypto_platform.assets.names import load_job
from crypto_platform.delivery.load import LoadEnd
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import DEFAULT_SOURCES, ENV_PREFIX, load_settings
from crypto_platform.stack.processes import find_marked
from crypto_platform.stores import STORES
from tests.fault_children import START_S, Machine
from tests.fault_steps import assert_whole, ids_of, numbered_quotes, stored_ids
from tests.platform_harness import Platform
from tests.stack_harness import running_up, stack_folder, wait_until_nothing_is_left
from tests.waiting import eventually

PACE_S = 0.05
SEEN_TICKS = 4
"""Of a sensor that comes every 5 s: the second machine looks on for 15 s at least."""
TAKEN_OVER_S = 90.0
"""15 s without progress, a tick, and the start of a run on a machine that others use as well."""
WAYS = (
    pytest.param(("0/2", "1/2"), LoadEnd.STOPPED, id="a half each"),
    pytest.param(("0/1", "0/1"), LoadEnd.FENCED, id="all of it each", marks=pytest.mark.slow),
)
"""Which shards each of the two loads, and how a load of the first one ends."""


class Publishing(threading.Thread):
    """A quote every PACE_S, until `stop`; numbered on from what was sent before."""

    def __init__(self, platform: Platform, *, after: Sequence[Quote] = ()) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.sent = list(after)
        self._platform = platform

    def run(self) -> None:
        while not self.stop.wait(PACE_S):
            number = len(self.sent) + 1
            [quote] = numbered_quotes(number, number)
            self._platform.publish(QUOTES, [quote])
            self.sent.append(quote)

    def end(self) -> None:
        """Publish no more."""
        self.stop.set()
        self.join(timeout=30)


@pytest.fixture
def publishing(platform: Platform) -> Iterator[Publishing]:
    """Records that never cease."""
    thread = Publishing(platform)
    thread.start()
    yield thread
    thread.end()


@pytest.mark.parametrize(("shards", "end"), WAYS)
def test_a_machine_that_dies_while_it_loads_is_replaced_by_the_other(
    platform: Platform,
    publishing: Publishing,
    tmp_path: Path,
    shards: tuple[str, str],
    end: LoadEnd,
) -> None:
    """Fault 32: what the dead one had begun is nobody's; the other one goes on where it stood."""
    one, other = Machine(platform, tmp_path / "one"), Machine(platform, tmp_path / "other")
    owners = Owners(platform)
    with one.running_loads(shards[0]) as first:
        owners.wait_for_new()
        with other.running_loads(shards[1]) as second:
            owners.wait_for_new()
            for load in second.values():
                load.send_signal(signal.SIGKILL)
                load.wait()
        with one.running_loads(shards[1]) as third:
            owners.wait_for_new()
            publishing.end()
            settle(platform, publishing.sent)
            assert stop(third) == [LoadEnd.STOPPED] * len(STORES)
        assert stop(first) == [end] * len(STORES)

    assert_whole(platform, publishing.sent)


class Owners:
    """Who holds partitions of the quotes, in each store."""

    def __init__(self, platform: Platform) -> None:
        self._topic = platform.topic(QUOTES)
        self._readers = {store: platform.store(store, role="analyst") for store in STORES}
        self._known = {store: self._read(store) for store in STORES}

    def wait_for_new(self, *, within_s: float = START_S) -> None:
        """Until each store is loaded by somebody that was not there the last time."""
        for store in STORES:
            eventually(lambda: bool(self._read(store) - self._known[store]), within_s=within_s)  # noqa: B023
            self._known[store] |= self._read(store)

    def read_claims(self) -> dict[tuple[str, int], tuple[int, str | None]]:
        """Each partition's epoch and owner, by store."""
        return {
            (store, row.partition.part): (row.epoch, row.owner_run_id)
            for store, reader in self._readers.items()
            for row in reader.read_offsets()
            if row.topic == self._topic
        }

    def _read(self, store: str) -> set[str | None]:
        rows = self._readers[store].read_offsets()
        return {row.owner_run_id for row in rows if row.topic == self._topic}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_two_dagsters_the_second_waits_until_the_first_is_dead(
    platform: Platform, publishing: Publishing
) -> None:
    """Fault 32: two that both want everything share nothing, and neither takes it from the other.

    The second one starts while nothing waits, sees traffic go by, and is then left alone.
    """
    owners = Owners(platform)
    with stack_folder() as one, stack_folder() as other, running_dagster(platform, one) as first:
        owners.wait_for_new()
        publishing.end()
        settle(platform, publishing.sent)
        with running_dagster(platform, other):
            wait_for_ticks(other, 2)
            resumed = Publishing(platform, after=publishing.sent)
            resumed.start()
            try:
                claims = owners.read_claims()
                wait_for_ticks(other, 2 + SEEN_TICKS)
                assert owners.read_claims() == claims
                assert count_loads(other) == 0
                kill_all(one, first)
                killed_at = time.monotonic()
                owners.wait_for_new(within_s=TAKEN_OVER_S)
                sys.stderr.write(f"taken over {time.monotonic() - killed_at:.0f} s later\n")
            finally:
                resumed.end()
            settle(platform, resumed.sent)

    assert_whole(platform, resumed.sent)


@contextmanager
def running_dagster(platform: Platform, folder: Path) -> "Generator[subprocess.Popen[str]]":
    """A machine's whole Dagster with its own database, on the servers of the test; ended with it.

    It reads no source: the records are the test's.
    """
    away = {f"{ENV_PREFIX}SOURCES__{name.upper()}__ENABLED": "false" for name in DEFAULT_SOURCES}
    options = ("--only", "daemon", "--no-migrate")
    with running_up(folder, *options, variables=platform.variables | away) as process:
        yield process


def wait_for_ticks(folder: Path, ticks: int) -> None:
    """Until the load sensor of each store has been asked so often, by this machine's Dagster."""
    query = """SELECT count(*) FROM job_ticks
        WHERE status IN ('SKIPPED', 'SUCCESS') AND tick_body LIKE %s"""

    def has_ticked() -> bool:
        with dagster_of(folder) as connection:
            counts = [
                connection.execute(query, [f"%{load_sensor(store)}%"]).fetchone()
                for store in STORES
            ]
        return all(count is not None and count[0] >= ticks for count in counts)

    eventually(has_ticked, within_s=START_S + ticks * 10, every_s=0.5)


def count_loads(folder: Path) -> int:
    """How many loads this machine's Dagster has ever asked for."""
    jobs = [load_job(store) for store in STORES]
    with dagster_of(folder) as connection:
        query = "SELECT count(*) FROM runs WHERE pipeline_name = ANY(%s)"
        row = connection.execute(query, [jobs]).fetchone()
    assert row is not None
    return row[0]


def dagster_of(folder: Path) -> psycopg.Connection[tuple[int]]:
    """The database of a machine's Dagster."""
    url = load_settings(folder, environment={}).dagster.postgres_url
    assert url is not None
    plain = url.get_secret_value().replace("postgresql+psycopg2", "postgresql")
    return psycopg.connect(plain, autocommit=True, row_factory=tuple_row)


def kill_all(folder: Path, up: "subprocess.Popen[str]") -> None:
    """A machine dies: its `up`, its Dagster, its runs, all at once."""
    marked = find_marked(folder)
    assert any("spawn_main" in word for process in marked for word in process.cmdline())
    up.kill()
    for process in marked:
        with suppress(psutil.NoSuchProcess):  # it died of `up`'s death
            process.kill()
    wait_until_nothing_is_left(folder, marked)


def settle(platform: Platform, sent: list[Quote]) -> None:
    """Until each store has all of it."""
    for store in STORES:
        wait_until_stored(platform, store, ids_of(sent))


def wait_until_stored(platform: Platform, store: str, ids: list[str]) -> None:
    eventually(lambda: stored_ids(platform, store) == ids, within_s=START_S)


def stop(loads: "Mapping[str, subprocess.Popen[str]]") -> list[str]:
    """Ask loads to end; how each ended, by its own word."""
    for load in loads.values():
        load.send_signal(signal.SIGTERM)
    return [json.loads(load.communicate(timeout=60)[0])["end"] for load in loads.values()]

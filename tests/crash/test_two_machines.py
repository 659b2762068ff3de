"""Two machines load from one Kafka into the same stores, and one of them dies while it does."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from crypto_platform.delivery.load import LoadEnd
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.stores import STORES
from tests.fault_children import START_S, Machine
from tests.fault_steps import assert_whole, ids_of, numbered_quotes, stored_ids
from tests.platform_harness import Platform
from tests.waiting import eventually

PACE_S = 0.05
WAYS = (
    pytest.param(("0/2", "1/2"), LoadEnd.STOPPED, id="a half each"),
    pytest.param(("0/1", "0/1"), LoadEnd.FENCED, id="all of it each", marks=pytest.mark.slow),
)
"""Which shards each of the two loads, and how a load of the first one ends."""


class Publishing(threading.Thread):
    """A quote every PACE_S, until `stop`."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.sent: list[Quote] = []
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
            for store in STORES:
                wait_until_stored(platform, store, ids_of(publishing.sent))
            assert stop(third) == [LoadEnd.STOPPED] * len(STORES)
        assert stop(first) == [end] * len(STORES)

    assert_whole(platform, publishing.sent)


class Owners:
    """Who holds partitions of the quotes, in each store."""

    def __init__(self, platform: Platform) -> None:
        self._topic = platform.topic(QUOTES)
        self._readers = {store: platform.store(store, role="analyst") for store in STORES}
        self._known = {store: self._read(store) for store in STORES}

    def wait_for_new(self) -> None:
        """Until each store is loaded by somebody that was not there the last time."""
        for store in STORES:
            eventually(lambda: bool(self._read(store) - self._known[store]), within_s=START_S)  # noqa: B023
            self._known[store] |= self._read(store)

    def _read(self, store: str) -> set[str | None]:
        rows = self._readers[store].read_offsets()
        return {row.owner_run_id for row in rows if row.topic == self._topic}


def wait_until_stored(platform: Platform, store: str, ids: list[str]) -> None:
    eventually(lambda: stored_ids(platform, store) == ids, within_s=START_S)


def stop(loads: "Mapping[str, subprocess.Popen[str]]") -> list[str]:
    """Ask loads to end; how each ended, by its own word."""
    for load in loads.values():
        load.send_signal(signal.SIGTERM)
    return [json.loads(load.communicate(timeout=60)[0])["end"] for load in loads.values()]

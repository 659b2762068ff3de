"""A store's disk is full for a while: its load stops with that reason and goes on afterwards."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_platform.delivery.load import LoadEnd
from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds.quotes import QUOTES
from tests.fault_steps import assert_whole, numbered_quotes
from tests.own_servers import own_server
from tests.platform_harness import Platform
from tests.stack_harness import stack_folder
from tests.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk of its own size"),
]

DISK_MB = {"postgres": 256, "mongo": 700}
RECORDS = 40_000
"""About 20 MB in either store: more than a server keeps free in files it has made already."""


@pytest.fixture
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data folder on a disk of the store's size in DISK_MB."""
    store = request.node.callspec.params["store"]
    with stack_folder() as folder:
        disk = folder.parent / "disk"
        disk.mkdir()
        size = f"size={DISK_MB[store]}m,mode=0755"
        done = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=False)
        if done.returncode != 0:
            pytest.skip("a tmpfs cannot be mounted here")
        try:
            yield disk / "data"
        finally:
            subprocess.run(["/bin/umount", "--lazy", disk], check=True)


def fill(folder: Path) -> Path:
    """Write a file over all that is free; returns it."""
    ballast = folder.parent / "ballast"
    block = bytes(2**20)
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(block) == len(block):
                pass
        except OSError:
            pass
    return ballast


@pytest.mark.parametrize("store", DISK_MB)
def test_a_load_into_a_full_disk_stops_with_that_reason_and_goes_on_when_there_is_room(
    platform: Platform, small_disk: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 19: an offset that moved without its rows, or a run that gave up, would lose them."""
    monkeypatch.setenv("CRYPTO_PLATFORM_STACK__DISK_FREE_BYTES_MIN", "0")
    [other] = set(DISK_MB) - {store}
    with own_server(platform, small_disk, store):
        platform.publish(QUOTES, numbered_quotes(1, 20))
        platform.load_both()
        ballast = fill(small_disk)
        platform.publish(QUOTES, numbered_quotes(21, RECORDS))
        platform.reload(CRYPTO_PLATFORM_LOAD__STALL_S="5")

        with pytest.raises(StoreUnavailableError) as caught:
            platform.load(store)

        if store == "postgres":
            assert "No space left on device" in str(caught.value)
        # mongod ends instead of writing half; its own log says why
        assert platform.load(other).end is LoadEnd.DRAINED
        ballast.unlink()
        platform.reload(CRYPTO_PLATFORM_LOAD__STALL_S="15")

        def is_loaded() -> bool:
            try:
                return platform.load(store).end is LoadEnd.DRAINED
            except StoreUnavailableError:
                return False

        eventually(is_loaded, within_s=120)
        assert_whole(platform, numbered_quotes(1, RECORDS))

"""Kill -9 of each part of a running platform: it comes back by itself, and the audit is whole.

Slow (some minutes): `make test-crash`.
"""

import os
import signal

import psutil
import pytest

from crypto_platform.stack.processes import find_marked
from crypto_platform.stack.targets import KILLABLE_PARTS, RUN_PARTS
from tests.crash_harness import RunningPlatform
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("part", KILLABLE_PARTS)
def test_a_part_killed_comes_back_and_nothing_is_lost(running: RunningPlatform, part: str) -> None:
    """Faults 7, 8, 10, 17, 18, 25: whatever dies, the rest waits or goes on."""
    os.kill(running.pid_of(part), signal.SIGKILL)
    running.wait_for_progress()
    assert running.audit()["whole"]


@pytest.mark.parametrize("server", RUN_PARTS)
def test_a_run_worker_killed_is_replaced(running: RunningPlatform, server: str) -> None:
    """Faults 1, 2, 3, 9: the ingest run (it talks to the market), a load run of each store."""
    eventually(lambda: bool(running.workers(server)), within_s=90)
    for pid in running.workers(server):
        psutil.Process(pid).kill()
    running.wait_for_progress()
    assert running.audit()["whole"]


def test_up_itself_killed_leaves_nothing_that_the_next_up_does_not_end(
    running: RunningPlatform,
) -> None:
    """Two supervisors or two mongods on one folder would be the end of it."""
    before = [process.pid for process in find_marked(running.data_dir)]
    os.kill(running.pid_of("up"), signal.SIGKILL)
    running.up()
    assert not set(before) & {process.pid for process in find_marked(running.data_dir)}
    running.wait_for_progress()
    assert running.audit()["whole"]

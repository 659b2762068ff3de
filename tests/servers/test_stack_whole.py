"""The whole stack, Dagster included: what Dagster starts ends with it."""

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from crypto_platform.encryption import is_this_machine
from crypto_platform.stack.identity import read_identity
from crypto_platform.stack.processes import find_marked
from tests.stack_harness import kill, running_up, stack_folder, wait_until_nothing_is_left
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)


def test_run_workers_do_not_outlive_a_killed_stack() -> None:
    """They are grandchildren, which the kernel does not end, and write into the next stack."""
    with stack_folder() as folder:
        with running_up(folder) as first:
            # The first ingest run is launched at once; its worker is a child of the code server.
            eventually(lambda: bool(_run_workers(folder)), within_s=120)
            workers = _run_workers(folder)
            _assert_only_this_machine_is_listened_to(folder)
            kill(first.pid)
            first.wait()
        with running_up(folder, "--only", "mongo"):
            wait_until_nothing_is_left(folder / "nowhere", known=workers)
        wait_until_nothing_is_left(folder)


def _assert_only_this_machine_is_listened_to(folder: Path) -> None:
    """They talk plain text, and Kafka and Dagster's UI ask nobody who he is."""
    doors: set[tuple[str, int]] = set()
    for process in find_marked(folder):
        with suppress(psutil.NoSuchProcess):
            found = process.net_connections("inet")
            doors |= {each.laddr for each in found if each.laddr and not each.raddr}
    identity = read_identity(folder)
    assert identity is not None
    assert set(identity.ports.values()) <= {port for _, port in doors}
    # Java opens IPv6 sockets for IPv4
    hosts = {address.removeprefix("::ffff:") for address, _ in doors}
    assert {host for host in hosts if not is_this_machine(host)} == set()


def _run_workers(folder: Path) -> list[psutil.Process]:
    workers: list[psutil.Process] = []
    for process in find_marked(folder):
        # One that was found may end before it is asked for its words.
        with suppress(psutil.NoSuchProcess):
            if any("spawn_main" in word for word in process.cmdline()):
                workers.append(process)
    return workers

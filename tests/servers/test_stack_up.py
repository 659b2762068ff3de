"""A real `up` with real servers: what is killed comes back, what is stopped is gone."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from crypto_platform.stack.embedded import embedded_servers, find_admin_urls
from crypto_platform.stack.folder import PREPARED_FILE
from crypto_platform.stack.identity import read_identity, write_identity
from crypto_platform.stack.processes import find_marked
from crypto_platform.stack.state import PartState, read_state
from tests.stack_harness import (
    is_running,
    kill,
    pid_of,
    run_cli,
    running_up,
    stack_folder,
    start_up,
    state_of,
    wait_until_nothing_is_left,
)
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(240)

SERVERS = "kafka,postgres,mongo"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of this test's own."""
    with stack_folder() as path:
        yield path


def test_every_killed_server_comes_back_ready(folder: Path) -> None:
    """Each recovers in its own way: log recovery, WAL replay, election."""
    with running_up(folder, "--only", SERVERS, "--no-migrate"):
        parts = SERVERS.split(",")
        before = {part: pid_of(folder, part) for part in parts}
        for pid in before.values():
            kill(pid)
        eventually(
            lambda: all(
                state_of(folder).parts[part].state is PartState.READY
                and state_of(folder).parts[part].pid != before[part]
                for part in parts
            ),
            within_s=60,
        )


def test_nothing_outlives_a_clean_stop(folder: Path) -> None:
    """A server left behind holds its port and its folder against the next `up`."""
    with running_up(folder, "--only", "postgres,mongo"):
        known = find_marked(folder)
        assert len(known) >= 2
        stopped = run_cli("down", "--data-dir", str(folder))
        assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
        assert not [process for process in known if process.is_running()]
        assert read_state(folder) is None


def test_nothing_outlives_a_killed_up_and_the_next_one_runs(folder: Path) -> None:
    """After kill -9 nobody is there to stop the servers but the kernel and the next `up`."""
    with running_up(folder, "--only", SERVERS, "--no-migrate") as first:
        known = find_marked(folder)
        kill(first.pid)
        first.wait()
    with running_up(folder, "--only", "mongo"):
        old = {process.pid for process in known}
        assert not old & {process.pid for process in find_marked(folder)}
    wait_until_nothing_is_left(folder)


def test_a_kill_in_the_middle_of_the_first_start_costs_nothing(folder: Path) -> None:
    """initdb, the format of Kafka's log, MongoDB's first user: each may be cut anywhere."""
    for part in SERVERS.split(","):
        cut = start_up(folder, "--only", part)
        eventually(partial(is_being_made, folder / part), within_s=30)
        kill(cut.pid)
        cut.communicate()
        assert is_being_made(folder / part)
    with embedded_servers(folder):
        assert not any(is_being_made(folder / part) for part in SERVERS.split(","))


def is_being_made(part_folder: Path) -> bool:
    """Whether a part's folder is there but not yet marked as whole."""
    return part_folder.exists() and not (part_folder / PREPARED_FILE).exists()


def test_servers_follow_when_their_ports_change(folder: Path) -> None:
    """The old port may be taken: MongoDB's set and Kafka's quorum have it written down."""
    with embedded_servers(folder) as settings:
        before = settings.kafka.bootstrap_servers
    identity = read_identity(folder)
    assert identity is not None
    write_identity(folder, identity.model_copy(update={"ports": {}}))
    with embedded_servers(folder) as settings:
        assert settings.kafka.bootstrap_servers != before
        assert find_admin_urls(folder).mongo


def test_a_second_up_only_looks(folder: Path) -> None:
    """Typing `up` twice must not start every server twice, nor stop the first."""
    with running_up(folder, "--only", "mongo") as first:
        second = run_cli("up", "--data-dir", str(folder))
        assert second.returncode == 0
        assert f"is running (process {first.pid})" in second.stdout
        assert is_running(folder, first)


def test_a_detached_stack_runs_on_until_down(folder: Path) -> None:
    """The way for CI and for a machine of one's own."""
    up = run_cli("up", "--detach", "--only", "mongo", "--data-dir", str(folder))
    assert up.returncode == 0, up.stderr
    assert "running in the background" in up.stdout
    assert state_of(folder).parts["mongo"].state is PartState.READY
    down = run_cli("down", "--wipe", "--yes", "--data-dir", str(folder))
    assert down.returncode == 0, down.stderr
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_a_start_that_fails_leaves_nothing_and_says_why(folder: Path) -> None:
    """Three servers of four, without the reason, would be worse than none."""
    with stack_folder() as other, running_up(other, "--only", "mongo"):
        address = state_of(other).parts["mongo"].address
        assert address is not None
        folder.mkdir()
        port = address.rpartition(":")[2]
        (folder / "settings.toml").write_text(f"[stack]\nmongo_port = {port}\n", "utf-8")
        failed = run_cli("up", "--detach", "--only", "mongo", "--data-dir", str(folder))
    assert failed.returncode == 1
    assert f"port {port} for mongo is taken by mongod" in failed.stdout + failed.stderr
    wait_until_nothing_is_left(folder)


def test_borrowed_servers_end_with_the_borrower(folder: Path) -> None:
    """A test run that is killed must not leave Kafka on the machine."""
    with embedded_servers(folder, parts=("mongo",)):
        supervisor = psutil.Process(state_of(folder).pid)
        assert supervisor.is_running()
    assert not supervisor.is_running()
    wait_until_nothing_is_left(folder)

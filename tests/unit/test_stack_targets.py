"""What may be killed: the list, and who is refused. No process is touched here."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from crypto_platform.errors import StackError
from crypto_platform.stack.plan import PARTS, ROLES
from crypto_platform.stack.processes import MARK, is_marked
from crypto_platform.stack.state import PartState, PartStatus, Phase, StackState, write_state
from crypto_platform.stack.targets import (
    KILLABLE_PARTS,
    RUN_PARTS,
    RunningTargets,
    Target,
    find_runs,
    find_whole_stack,
    list_targets,
)

MONGO_GIVEN = "[mongo]\n" + "".join(
    f"{role}_url = 'mongodb://mongo.example/?tls=true'\n" for role in ROLES
)


def state_of(*parts: str, phase: Phase = Phase.RUNNING, pid: int | None = None) -> StackState:
    """A stack held by this test, whose parts all claim to be the process `pid`."""
    status = PartStatus(state=PartState.READY, pid=pid, address="127.0.0.1:1")
    return StackState(
        pid=os.getpid(),
        phase=phase,
        started_at=datetime(2025, 11, 22, 12, tzinfo=UTC),
        parts=dict.fromkeys(parts, status),
    )


@pytest.fixture
def held_folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose lock is held, as a running `up` holds it."""
    with (tmp_path / "lock").open("w+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield tmp_path


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process without any stack's mark."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    environment = {key: value for key, value in os.environ.items() if key != MARK}  # noqa: TID251
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


def test_all_parts_that_are_kept_running_can_be_killed_and_the_runs_beside_them() -> None:
    """A part that is left out is never shown to come back."""
    assert set(PARTS) - set(KILLABLE_PARTS) == {"migration"}
    names = [target.name for target in list_targets(state_of(*PARTS))]
    assert names == [
        *("kafka", "postgres", "mongo", "dagster-postgres", "simulation", "company"),
        *("code-server", "daemon", "webserver", "api"),
        *("ingest run", "load run of postgres", "load run of mongo"),
    ]


def test_without_the_simulated_market_neither_it_nor_the_run_that_asks_it_is_hit() -> None:
    """Live sources only: a run could not be told apart, and a wrong one would be killed."""
    targets = list_targets(state_of(*(part for part in PARTS if part != "simulation")))
    assert {"simulation", "ingest run"}.isdisjoint(target.name for target in targets)


def test_nothing_runs_here_is_said_with_what_to_type(tmp_path: Path) -> None:
    """Who uses compose, or stands in another folder, learns it before anything happens."""
    with pytest.raises(StackError, match=r"no embedded stack runs in .* `crypto-platform up"):
        find_whole_stack(tmp_path)


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ('[kafka]\nsecurity_protocol = "SSL"\nbootstrap_servers = "kafka.example:9092"\n', "kafka"),
        (MONGO_GIVEN, "mongo"),
    ],
)
def test_servers_given_by_url_are_refused(held_folder: Path, setting: str, part: str) -> None:
    """They may be somebody's production; even where a stack runs beside them."""
    write_state(held_folder, state_of(*PARTS))
    (held_folder / "settings.toml").write_text(setting, "utf-8")
    with pytest.raises(StackError, match=f"{part} given by URL"):
        find_whole_stack(held_folder)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.STOPPING])
def test_a_stack_that_is_not_running_yet_is_left_alone(held_folder: Path, phase: Phase) -> None:
    """A part killed before it was ever ready fails the whole start."""
    write_state(held_folder, state_of(*PARTS, phase=phase))
    with pytest.raises(StackError, match=f"is {phase}"):
        find_whole_stack(held_folder)


def test_a_part_that_is_just_coming_back_is_waited_for(held_folder: Path) -> None:
    """What was broken before would be counted as a fault of the kills."""
    state = state_of(*PARTS)
    state.parts["daemon"] = PartStatus(state=PartState.RESTARTING)
    write_state(held_folder, state)
    with pytest.raises(StackError, match="daemon is restarting: try again"):
        find_whole_stack(held_folder)


def test_a_stack_without_dagster_is_refused(held_folder: Path) -> None:
    """Nothing would load what waits, so lag would never come back to 0."""
    write_state(held_folder, state_of("kafka", "postgres", "mongo"))
    with pytest.raises(StackError, match="runs without code-server, daemon"):
        find_whole_stack(held_folder)


def test_a_process_without_the_folders_mark_is_never_killed(
    held_folder: Path, stranger: subprocess.Popen[bytes]
) -> None:
    """An old stack.json names a number that belongs to somebody else by now."""
    write_state(held_folder, state_of(*PARTS, pid=stranger.pid))
    targets = RunningTargets(held_folder, load_runs=1)
    assert [targets.kill(Target(part=part)) for part in KILLABLE_PARTS] == [None] * 10
    assert [find_runs(held_folder, part) for part in RUN_PARTS] == [[], [], []]
    assert stranger.poll() is None


def test_another_folders_mark_does_not_count(tmp_path: Path) -> None:
    """Two stacks side by side: the tests' own, and the one a person looks at."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={MARK: str(tmp_path / "one")},
    )
    assert child.stdout is not None
    child.stdout.readline()
    process = psutil.Process(child.pid)
    assert is_marked(process, tmp_path / "one")
    assert not is_marked(process, tmp_path / "two")
    child.communicate()
    assert not is_marked(process, tmp_path / "one")

"""The data folder: what is kept in it, who may read it, what a crash leaves, what wiping takes."""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_platform.cli import main
from crypto_platform.errors import StackError
from crypto_platform.stack.folder import (
    hold_lock,
    is_prepared,
    make_data_folder,
    mark_prepared,
    read_lock_holder,
    write_private,
)
from crypto_platform.stack.identity import find_identity, new_cluster_id, read_identity
from crypto_platform.stack.logs import follow_logs, open_log, read_tail, rotate_log
from crypto_platform.stack.state import new_state, read_state, write_state
from crypto_platform.stack.wipe import plan_wipe, wipe

NOON = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
LATER = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_folder_keeps_its_identity_for_good(tmp_path: Path) -> None:
    """New passwords would lock us out of our own servers; a new first hour moves partitions."""
    first = find_identity(tmp_path, now=NOON)
    assert find_identity(tmp_path, now=LATER) == first
    assert first.installed_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """The folder itself is open to PostgreSQL's user, so each file must be closed."""
    find_identity(tmp_path, now=NOON)
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600


def test_a_lost_identity_is_said_and_not_made_anew(tmp_path: Path) -> None:
    """With new passwords the data would be there and out of reach."""
    (tmp_path / "postgres").mkdir()
    with pytest.raises(StackError, match=r"holds postgres but no identity\.json"):
        find_identity(tmp_path, now=NOON)


def test_a_damaged_identity_is_said_with_its_place(tmp_path: Path) -> None:
    """A traceback would not tell which file to restore."""
    (tmp_path / "identity.json").write_text("{", "utf-8")
    with pytest.raises(StackError, match=r"identity\.json cannot be used"):
        read_identity(tmp_path)


def test_a_write_cut_short_leaves_the_old_file(tmp_path: Path) -> None:
    """A half-written environment file would send half of the processes nowhere."""
    path = tmp_path / "environment"
    write_private(path, "old")
    (tmp_path / ".environment.new").write_text("ha", "utf-8")  # what a kill leaves
    assert path.read_text("utf-8") == "old"
    write_private(path, "new")
    assert path.read_text("utf-8") == "new"


def test_a_half_made_server_folder_is_made_again(tmp_path: Path) -> None:
    """After a kill in initdb the cluster looks complete to everybody but PostgreSQL."""
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "half").touch()
    assert not is_prepared(folder, version="postgresql 18")
    assert list(folder.iterdir()) == []
    mark_prepared(folder, version="postgresql 18")
    (folder / "records").touch()
    assert is_prepared(folder, version="postgresql 18")
    assert (folder / "records").exists()


def test_a_folder_of_another_server_version_is_refused_untouched(tmp_path: Path) -> None:
    """Deleting it would delete somebody's data; starting on it would fail without a reason."""
    folder = tmp_path / "postgres"
    folder.mkdir()
    mark_prepared(folder, version="postgresql 17")
    with pytest.raises(StackError, match=r"made by postgresql 17, installed is postgresql 18"):
        is_prepared(folder, version="postgresql 18")
    assert (folder / "prepared.json").exists()


def test_the_lock_tells_who_runs_and_is_free_afterwards(tmp_path: Path) -> None:
    """Two supervisors on one folder would start every server twice."""
    with hold_lock(tmp_path):
        assert read_lock_holder(tmp_path) is not None
        with pytest.raises(StackError, match="is running already"), hold_lock(tmp_path):
            pass
    assert read_lock_holder(tmp_path) is None


def test_the_state_of_a_stack_that_died_is_no_state(tmp_path: Path) -> None:
    """stack.json outlives a kill -9 and would say `running` for ever."""
    write_state(tmp_path, new_state(1, NOON))
    assert read_state(tmp_path) is None


def test_wiping_takes_what_the_stack_made_and_nothing_else(tmp_path: Path) -> None:
    """The default folder lies in a checkout: a person's files may lie beside ours."""
    make_data_folder(tmp_path)
    find_identity(tmp_path, now=NOON)
    (tmp_path / "kafka" / "log").mkdir(parents=True)
    (tmp_path / "kafka" / "log" / "0").write_bytes(b"x" * 10_000)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "settings.toml").touch()

    doomed = plan_wipe(tmp_path, with_settings=False)
    wipe(tmp_path, doomed)

    assert {item.path.name for item in doomed} == {"kafka", "logs", "identity.json"}
    assert doomed[0].size_bytes >= 10_000
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "settings.toml", "lock"}


def test_a_folder_that_is_no_stacks_is_not_wiped(tmp_path: Path) -> None:
    """`down --wipe --data-dir ~` must not find anything of ours there."""
    (tmp_path / "logs").mkdir()
    with pytest.raises(StackError, match="is no stack's folder"):
        plan_wipe(tmp_path, with_settings=False)


def test_a_wipe_that_is_not_confirmed_stops_and_deletes_nothing(tmp_path: Path) -> None:
    """Whoever looks at the list and says no must find the stack as it was."""
    make_data_folder(tmp_path)
    find_identity(tmp_path, now=NOON)
    (tmp_path / "kafka").mkdir()
    command = ["down", "--wipe", "--data-dir", str(tmp_path)]
    ended = CliRunner().invoke(main, command, input="n\n")
    assert ended.exit_code == 1
    assert "kafka" in ended.output
    # what `down` says of a stack, before anything is deleted
    assert "nothing runs" not in ended.output
    assert (tmp_path / "kafka").exists()


def test_a_log_is_cut_at_its_limit_while_its_writer_goes_on(tmp_path: Path) -> None:
    """A server logging for weeks must not fill the disk, nor lose its log when it is cut."""
    path = tmp_path / "kafka.log"
    with open_log(path) as log:
        os.write(log, b"a" * 5000 + b"\n")
        assert rotate_log(path, bytes_max=4096)
        os.write(log, b"after\n")
    assert read_tail(path, lines=5) == ["after"]
    assert (tmp_path / "kafka.log.1").stat().st_size == 5001
    assert not rotate_log(path, bytes_max=4096)


def test_following_a_log_survives_its_rotation(tmp_path: Path) -> None:
    """`logs -f` would otherwise fall silent at the first rotation."""
    path = tmp_path / "mongo.log"
    path.write_text("before\n", "utf-8")
    stop = threading.Event()
    lines = follow_logs([path], stop=stop, from_start=True)
    assert next(lines) == (path, "before")
    path.write_text("cut\n", "utf-8")
    assert next(lines) == (path, "cut")
    stop.set()
    assert list(lines) == []


def test_a_cluster_id_never_looks_like_an_option() -> None:
    """One folder in 64 could not be formatted: kafka-storage took its id for an option."""
    begins_with_minus = bytes([0b11111000]) + bytes(15)
    assert new_cluster_id(begins_with_minus) == "eAAAAAAAAAAAAAAAAAAAAA"


def test_a_folder_made_before_there_was_a_company_or_an_api_gets_their_secrets_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    """An update must neither refuse a folder with data nor change its passwords."""
    made = find_identity(tmp_path, now=NOON)
    old = made.model_dump(mode="json")
    del old["company_secret"], old["api_secret"]
    (tmp_path / "identity.json").write_text(json.dumps(old), "utf-8")
    found = find_identity(tmp_path, now=NOON)
    assert found.postgres_passwords == made.postgres_passwords
    assert len(found.company_secret) >= 32
    assert len(found.api_secret) >= 32

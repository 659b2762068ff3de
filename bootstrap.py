"""Make `.venv` as requirements.lock says: what `make` runs where there is nothing but Python.

Here: the environment, one process at a time, every package checked against its hash. Not here: the
servers' files (crypto_platform/stack/install.py). The standard library only.

uv, itself taken from the lock, installs what is left: measured on two cores with empty caches, 15 s
where pip takes 150 s. pip remains the second way, for it alone reads a machine's pip settings.
"""

import fcntl
import hashlib
import re
import subprocess
import sys
import venv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
SIZES = "the first time about 600 MB to download, 2.3 GB on disk"
STAMP = VENV / "installed"
"""Holds the digest of what was installed; make compares its age, we compare its content."""


def main() -> int:
    """Make or renew the environment; 1 where that cannot be done, with what to do about it."""
    try:
        import ensurepip as _  # noqa: F401, PLC0415 (Debian packs it apart from Python)
    except ImportError:
        return _fail(
            f"{sys.executable} has no ensurepip: on Debian and Ubuntu `apt install "
            f"python3-venv`, elsewhere install Python with pip and venv"
        )
    try:
        with _only_one():
            _install()
    except subprocess.CalledProcessError as error:
        command = " ".join(str(word) for word in error.cmd)
        return _fail(f"`{command}` failed, see above; check the network, then run make again")
    except PermissionError as error:
        return _fail(f"{error.filename} belongs to somebody else: remove it, or run as its owner")
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def _only_one() -> Generator[None, None, None]:
    """Two terminals may say `make` at once: the second waits and finds the work done."""
    with (ROOT / ".venv.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another make is installing; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install() -> None:
    wanted = _digest()
    usable = _runs()
    if usable and STAMP.exists() and STAMP.read_text("ascii") == wanted:
        STAMP.touch()  # an older checkout gave the files a new date, not a new content
        return
    _say(f"installing the packages of {LOCK.name} into {VENV} ({SIZES})")
    STAMP.unlink(missing_ok=True)
    if not usable:
        venv.create(VENV, clear=True, symlinks=True, with_pip=True)
    if not (VENV / "bin" / "uv").exists():
        _install_uv()
    _install_packages()
    uv = (VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", PYTHON)
    _run(*uv, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    STAMP.write_text(wanted, "ascii")


def _digest() -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in (LOCK, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _runs() -> bool:
    """Whether there is an environment, whole, of this Python, that was not moved here."""
    if not PYTHON.exists():
        return False
    code = "import pathlib, sys; print(sys.version_info[:2], sys.prefix)"
    found = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() == f"{sys.version_info[:2]} {VENV}"


def _install_uv() -> None:
    [block] = re.findall(r"^uv==.*?(?=^\S|\Z)", LOCK.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    only_uv = VENV / "uv.lock"
    only_uv.write_text(block, "utf-8")
    _pip(only_uv)


def _install_packages() -> None:
    # Compiled once here: else, where Python may not write beside its modules, every process of the
    # stack compiles Dagster anew (measured: 2.3 instead of 0.9 CPU seconds for `import dagster`).
    options = ("--compile-bytecode", "--python", PYTHON)
    uv = (VENV / "bin" / "uv", "pip", "sync", *options)
    try:
        _run_told(*uv, "--require-hashes", LOCK)
    except subprocess.CalledProcessError:
        _say("uv could not install them; trying pip, which takes some minutes")
        _pip(LOCK)


def _pip(requirements: Path) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    _run(PYTHON, "-m", "pip", "install", *options, "--requirement", requirements)


def _run_told(*command: str | Path) -> None:
    """Run it, handing on its steps and large downloads; a line for each of all packages is left."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if not line.startswith((" + ", " - ", " ~ ", " Downloaded ")):
                sys.stdout.write(f"  {line.strip()}\n")
                sys.stdout.flush()
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())

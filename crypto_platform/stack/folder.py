"""What a data folder holds, and writing into it so that a crash leaves no half of a file.

Here: names of files and folders, the cache shared by all stacks, atomic writes, the mark that says
a part's folder is whole, the lock held by the running `up`. Not here: what the files say
(identity.py, state.py, environment.py).
"""

import fcntl
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from crypto_platform.errors import StackError
from crypto_platform.settings import ENVIRONMENT_FILE, process_environment

IDENTITY_FILE = "identity.json"
STATE_FILE = "stack.json"
LOCK_FILE = "lock"
LOGS_FOLDER = "logs"
DAGSTER_FOLDER = "dagster"
KAFKA_FOLDER = "kafka"
POSTGRES_FOLDER = "postgres"
DAGSTER_POSTGRES_FOLDER = "dagster-postgres"
MONGO_FOLDER = "mongo"
COMPANY_FOLDER = "company"

SERVER_FOLDERS = (KAFKA_FOLDER, POSTGRES_FOLDER, DAGSTER_POSTGRES_FOLDER, MONGO_FOLDER)
OWN_NAMES = (
    *SERVER_FOLDERS,
    COMPANY_FOLDER,
    DAGSTER_FOLDER,
    LOGS_FOLDER,
    ENVIRONMENT_FILE,
    STATE_FILE,
    IDENTITY_FILE,
)
"""What `up` makes in a data folder, in the order in which `down --wipe` deletes it: the identity
last, so that a wipe cut short can be repeated. The lock stays: were it deleted while another `up`
waits for it, two could hold it."""

PREPARED_FILE = "prepared.json"


def make_data_folder(data_dir: Path) -> None:
    """Make the data folder, readable by its owner only.

    Under root others may pass through it (mode 0711): PostgreSQL, which refuses to run as root,
    has its cluster inside. What is secret has mode 0600.
    """
    if not data_dir.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    (data_dir / LOGS_FOLDER).mkdir(mode=0o700, exist_ok=True)


def refuse_foreign_folder(data_dir: Path) -> None:
    """Refuse a folder with contents of our names that no `up` of ours made.

    Raises:
        StackError: Names what was found. Nothing was touched.
    """
    if (data_dir / IDENTITY_FILE).exists():
        return
    found = [name for name in SERVER_FOLDERS if (data_dir / name).exists()]
    if found:
        message = (
            f"{data_dir} holds {', '.join(found)} but no {IDENTITY_FILE} with their passwords: "
            f"restore that file from a backup, or choose another folder with --data-dir"
        )
        raise StackError(message)


def cache_folder() -> Path:
    """Where all stacks of this user share what was fetched."""
    base = process_environment().get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crypto_platform"


def write_private(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace a file in one step; mode 0600, on the disk when this returns if `durable`."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    new.replace(path)


def is_prepared(folder: Path, *, version: str) -> bool:
    """Whether a part's folder was made to the end, by this version of its server.

    A folder without the mark is what a kill in the middle left behind: it was never used, so it is
    deleted and made again.

    Raises:
        StackError: Another version made it. Nothing was touched.
    """
    mark = folder / PREPARED_FILE
    if not mark.exists():
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True)
        return False
    found = json.loads(mark.read_text("utf-8"))["version"]
    if found != version:
        message = (
            f"{folder} was made by {found}, installed is {version}, which cannot read it: install "
            f"the older one and take a backup, or start anew with --data-dir or `down --wipe`"
        )
        raise StackError(message)
    return True


def mark_prepared(folder: Path, *, version: str) -> None:
    """Say that a part's folder is whole; from now on its contents are somebody's data."""
    write_private(folder / PREPARED_FILE, json.dumps({"version": version}) + "\n")


@contextmanager
def hold_lock(data_dir: Path) -> Generator[None]:
    """Hold the data folder's lock while the stack runs; the kernel frees it if we die.

    Raises:
        StackError: Another `up` holds it; `.context["pid"]` is that process, where known.
    """
    with (data_dir / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_lock_holder(data_dir)
            message = f"the stack in {data_dir} is running already (process {pid})"
            raise StackError(message, pid=pid) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def read_lock_holder(data_dir: Path) -> int | None:
    """The process that runs this folder's stack, or None where nobody does."""
    path = data_dir / LOCK_FILE
    if not path.exists():
        return None
    with path.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError):
                return int(file.read())
            return 0  # just taken, its number is not yet written
    return None

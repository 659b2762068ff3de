"""Delete what a stack made in its data folder: `down --wipe`.

Here: what that would be and how large it is, and deleting it. Not here: asking (cli/stack.py).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from crypto_platform.errors import StackError
from crypto_platform.settings import SETTINGS_FILE
from crypto_platform.stack.folder import IDENTITY_FILE, OWN_NAMES, hold_lock


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """One file or folder to be deleted, with all that is in it."""

    path: Path
    size_bytes: int


def plan_wipe(data_dir: Path, *, with_settings: bool) -> list[Doomed]:
    """What `wipe` would delete: only names that a stack makes, never others beside them.

    Raises:
        StackError: No stack was ever started in this folder.
    """
    if not (data_dir / IDENTITY_FILE).exists():
        message = f"{data_dir} is no stack's folder (it has no {IDENTITY_FILE}): nothing is deleted"
        raise StackError(message)
    names = ([SETTINGS_FILE] if with_settings else []) + list(OWN_NAMES)
    paths = [data_dir / name for name in names]
    return [Doomed(path=path, size_bytes=_measure(path)) for path in paths if path.exists()]


def wipe(data_dir: Path, doomed: list[Doomed]) -> None:
    """Delete it, while no `up` can begin.

    Raises:
        StackError: The stack runs.
    """
    with hold_lock(data_dir):
        for item in doomed:
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)


def _measure(path: Path) -> int:
    """Bytes on the disk; Kafka's preallocated files are larger on paper."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if not p.is_symlink()]
    return sum(file.lstat().st_blocks * 512 for file in files)

"""A server of the test's own in place of a shared one: to be stopped, cut, filled or restored.

Here: `own_folder`, and `own_server` which runs one part in it, again and again with the same data.
Not here: what is done to the folder meanwhile.
"""

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crypto_platform.settings import Settings
from crypto_platform.stack.embedded import embedded_servers
from tests.platform_harness import Platform
from tests.stack_harness import stack_folder


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """The data folder of servers that this test alone uses."""
    with stack_folder() as folder:
        yield folder


@contextmanager
def own_server(platform: Platform, folder: Path, part: str) -> Generator[Settings]:
    """Run one part (kafka, postgres, mongo) for as long as the block lasts; `platform` uses it."""
    with embedded_servers(folder, parts=(part,)) as settings:
        platform.use(settings, part)
        yield settings
        platform.close_publishers()


def copy_server(folder: Path, part: str, to: Path) -> None:
    """Copy the files of a stopped server, owners included."""
    shutil.copytree(folder / part, to, copy_function=_copy_file)
    for source, copy in ((p, to / p.relative_to(folder / part)) for p in _all_of(folder / part)):
        _give_same_owner(source, copy)


def restore_server(folder: Path, part: str, backup: Path) -> None:
    """Put a backup in the place of a stopped server's files."""
    shutil.rmtree(folder / part)
    backup.rename(folder / part)


def _all_of(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def _copy_file(source: str, target: str) -> None:
    shutil.copy2(source, target)


def _give_same_owner(source: Path, copy: Path) -> None:
    status = source.stat()
    shutil.chown(copy, status.st_uid, status.st_gid)

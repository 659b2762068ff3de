"""The parts' logs: files that children append to, kept small, and read by people.

A child writes to its file itself (O_APPEND): a pipe pumped by us would break with us, or stop the
child when we are slow. The price: a file that is too long is copied and cut while the child writes
on, and what it writes between the two is lost.
"""

import os
import shutil
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROTATED_SUFFIX = ".1"
_FOLLOW_INTERVAL_S = 0.3


@contextmanager
def open_log(path: Path) -> Generator[int]:
    """A descriptor to append to; mode 0600, for a traceback may show more than it should."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def rotate_log(path: Path, *, bytes_max: int) -> bool:
    """Move a log over its limit to `.log.1`, whose older content goes; False if it was not."""
    try:
        if path.stat().st_size <= bytes_max:
            return False
        shutil.copyfile(path, path.with_name(path.name + ROTATED_SUFFIX))
        path.with_name(path.name + ROTATED_SUFFIX).chmod(0o600)
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    return True


def read_tail(path: Path, *, lines: int, start: int = 0) -> list[str]:
    """The last lines of a log, at most 64 KiB of it, from byte `start` on."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start if start <= size else 0, size - 65536))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]


def follow_logs(
    paths: Sequence[Path], *, stop: threading.Event, from_start: bool = False
) -> Iterator[tuple[Path, str]]:
    """Yield lines as they are written, until `stop`; a log that was cut is read from its start."""
    positions = {path: 0 if from_start else path.stat().st_size for path in paths}
    rests = dict.fromkeys(paths, b"")
    stopped = False
    while not stopped:
        stopped = stop.wait(_FOLLOW_INTERVAL_S)  # and once more for what was written last
        for path in paths:
            with path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < positions[path]:
                    positions[path] = 0
                file.seek(positions[path])
                written = rests[path] + file.read()
                positions[path] = file.tell()
            *lines, rests[path] = written.split(b"\n")
            for line in lines:
                yield path, line.decode(errors="replace")

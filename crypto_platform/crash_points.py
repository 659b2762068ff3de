"""Named places at which a test can kill or freeze the process, as a power cut or an overload would.

Here: the seam `reach` that stores and the publisher call, and `arm`, which the start of the process
calls with `settings.crash_at`; without it nothing ever happens. Not here: reading the environment
(settings.py).
"""

import os
import signal

from crypto_platform.settings import CrashBy, CrashPoint, IngestCrashPoint

_armed: dict[CrashPoint | IngestCrashPoint, CrashBy] = {}
_reached: set[CrashPoint | IngestCrashPoint] = set()

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def arm(point: CrashPoint | IngestCrashPoint | None, *, by: CrashBy = "kill") -> None:
    """Choose where this process dies or freezes; None (every deployment's default) disarms.

    A point where it froze already stays harmless, however often it is chosen.
    """
    _armed.clear()
    if point is not None and point not in _reached:
        _armed[point] = by


def is_armed(point: CrashPoint | IngestCrashPoint) -> bool:
    """Whether `reach` would kill or stop: for what has to be brought about before."""
    return point in _armed


def reach(point: CrashPoint | IngestCrashPoint) -> None:
    """Kill or stop the own process if it was armed for this point, the first time it comes by.

    By signals that nobody can catch, because nothing may be tidied up: no rollback, no flush, no
    `finally`. A process that was stopped and is woken goes on from here.
    """
    by = _armed.pop(point, None)
    if by is not None:
        _reached.add(point)
        os.kill(os.getpid(), _SIGNALS[by])

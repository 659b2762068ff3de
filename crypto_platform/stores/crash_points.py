"""Named places in a commit where a test can kill the process, as a power cut would.

Here: the seam `reach` that stores call, and `arm`, which the start of the process calls with
`settings.crash_at`; without it nothing ever happens. Not here: reading the environment
(settings.py).
"""

import os
import signal

from crypto_platform.settings import CrashPoint

_armed: set[CrashPoint] = set()


def arm(point: CrashPoint | None) -> None:
    """Choose where this process dies; None (the default of every deployment) disarms."""
    _armed.clear()
    if point is not None:
        _armed.add(point)


def reach(point: CrashPoint) -> None:
    """Kill the own process with SIGKILL if it was armed for this point.

    SIGKILL because nothing may be tidied up: no rollback, no flush, no `finally`.
    """
    if point in _armed:
        os.kill(os.getpid(), signal.SIGKILL)

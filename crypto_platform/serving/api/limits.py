"""How often somebody may ask: a bucket of tokens each, refilled at a steady rate.

Here: arithmetic over a clock that is handed in. One bucket a name, the longest unused forgotten
where there are too many. Not here: who somebody is, what a refusal looks like (gate.py).
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

NAMES_MAX = 50_000


class Buckets:
    """One bucket for each name. Safe for threads."""

    def __init__(
        self,
        *,
        per_s: float,
        burst: float,
        names_max: int = NAMES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """All full.

        Args:
            per_s: Tokens that come back a second.
            burst: How many a bucket holds, 1 or more.
            names_max: Above that many the one that was asked longest ago is full again.
            clock: Seconds that only rise.
        """
        self._per_s = per_s
        self._burst = burst
        self._names_max = names_max
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Name -> tokens, and when they were counted; the longest unused first."""

    def take(self, name: str) -> float:
        """Take a token; returns 0, or how many seconds it takes until there is one."""
        with self._lock:
            now = self._clock()
            level, at = self._levels.pop(name, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._per_s)
            wait_s = 0.0 if level >= 1 else (1 - level) / self._per_s
            self._levels[name] = (level if wait_s else level - 1, now)
            if len(self._levels) > self._names_max:
                self._levels.popitem(last=False)
            return wait_s

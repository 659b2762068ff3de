"""How many requests a source may still be asked, counted before they are sent.

Here: the count, with the clock handed in. Not here: waiting (http.py), pace (delivery/ingest.py).
A count over a sliding window, not a bucket that refills: a full bucket plus its refill would let
through twice the allowance within one minute, and sources count by the minute.
"""

import math
import threading
from collections import deque

LIVE_SHARE = 0.7
"""Part of a source's allowance that live polls use; the rest is history's."""
HISTORY_SHARE = 0.3

_WINDOW_S = 60.0


class Budget:
    """At most `requests_max` requests in any `window_s` seconds. Safe for several threads.

    Attributes:
        requests_max: At least 1.
        window_s: 60; longer where the share of a small allowance is less than one a minute.
    """

    def __init__(self, requests_per_minute_max: float, *, share: float = LIVE_SHARE) -> None:
        """Allow this share of what the source allows."""
        allowed = requests_per_minute_max * share
        # 1e-9: 90 x 0.7 is 62.999... as a float
        self.requests_max = max(1, math.floor(allowed + 1e-9))
        self.window_s = _WINDOW_S if allowed >= 1 else _WINDOW_S / allowed
        self._taken: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self, now_s: float) -> float:
        """Count one request, if there is room for it.

        Args:
            now_s: A clock that never goes back.

        Returns:
            0 if it was counted, else the seconds until there is room; then nothing was counted.
        """
        with self._lock:
            while self._taken and self._taken[0] + self.window_s <= now_s:
                self._taken.popleft()
            if len(self._taken) >= self.requests_max:
                return self._taken[0] + self.window_s - now_s
            self._taken.append(now_s)
            return 0.0

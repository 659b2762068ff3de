"""How many requests a source may still be asked, counted before they are sent.

Here: the count, with the clock handed in. Not here: waiting (http.py), pace (delivery/pacing.py).
A count over a sliding window, not a bucket that refills: a full bucket plus its refill would let
through twice the allowance within one minute, and sources count by the minute.

The feeds of a source share one budget. Half of it is for whoever comes first; of the other half
each has its part, which nobody else can use up: so a feed that is far behind cannot starve one that
asks once a minute.
"""

import math
import threading
from collections import deque
from collections.abc import Hashable

LIVE_SHARE = 0.7
"""Part of a source's allowance that live polls use; the rest is history's."""
HISTORY_SHARE = 0.3

_WINDOW_S = 60.0


_KEPT_SHARE = 0.5
"""Part of a budget that is kept for its users in equal parts."""


class Budget:
    """At most `requests_max` requests in any `window_s` seconds. Safe for several threads.

    Attributes:
        requests_max: At least 1.
        window_s: 60; longer where the share of a small allowance is less than one a minute.
        taken_requests: Counted since the beginning.
    """

    def __init__(self, requests_per_minute_max: float, *, share: float = LIVE_SHARE) -> None:
        """Allow this share of what the source allows."""
        allowed = requests_per_minute_max * share
        # 1e-9: 90 x 0.7 is 62.999... as a float
        self.requests_max = max(1, math.floor(allowed + 1e-9))
        self.window_s = _WINDOW_S if allowed >= 1 else _WINDOW_S / allowed
        self.taken_requests = 0
        self._taken: dict[Hashable, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, now_s: float, *, user: Hashable = None) -> float:
        """Count one request, if there is room for it.

        Args:
            now_s: A clock that never goes back.
            user: Who asks; from its first request on a part of the budget is kept for it.

        Returns:
            0 if it was counted, else the seconds until there is room; then nothing was counted.
        """
        with self._lock:
            own = self._taken.setdefault(user, deque())
            for taken in self._taken.values():
                while taken and taken[0] + self.window_s <= now_s:
                    taken.popleft()
            kept = self._count_kept()
            takes = list(self._taken.values())
            is_room = sum(map(len, takes)) < self.requests_max
            claimed = sum(max(len(taken), kept) for taken in takes)
            if is_room and (len(own) < kept or claimed < self.requests_max):
                own.append(now_s)
                self.taken_requests += 1
                return 0.0
            # where parts are all that is left, one taken out of another's part makes no room
            ends = [taken[0] for taken in takes if len(taken) > (kept if is_room else 0)]
            ends += [own[0]] if own else []
            return min(ends) + self.window_s - now_s

    def _count_kept(self) -> int:
        """Requests kept for each user; one user alone has the whole budget anyway."""
        return math.floor(self.requests_max * _KEPT_SHARE / len(self._taken))

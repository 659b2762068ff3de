"""How many steps the traders are due, by the clock: the usual rate, or that of a drive.

A drive is somebody's order to trade at another rate for a while. Pure: the time is handed in, in
seconds of a clock that only rises.
"""

import math
from dataclasses import dataclass

RATE_MAX = 5000.0
DRIVE_S_MAX = 86_400.0
_BEHIND_S_MAX = 1.0
"""What could not be done within a second is left out: a slow machine falls behind, not further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """One drive.

    Attributes:
        rate: Orders a second.
        users: Who trade; None: as many as usual.
        seed: Of what they do; None: the usual one.
    """

    rate: float
    seconds: float
    users: int | None = None
    seed: int | None = None


class Pace:
    """Counts the steps that are due."""

    def __init__(self, *, rate: float, now_s: float) -> None:
        """Begin now, with the usual rate; 0: nobody trades by himself."""
        self._usual_rate = rate
        self._rate = rate
        self._since_s = now_s
        self._ends_s = 0.0
        self.drive: Drive | None = None

    def begin(self, drive: Drive, *, now_s: float) -> None:
        """Drive from now on, in place of another drive."""
        self.drive = drive
        self._rate = drive.rate
        self._since_s = now_s
        self._ends_s = now_s + drive.seconds

    def end(self, *, now_s: float) -> None:
        """Go back to the usual rate."""
        self.drive = None
        self._rate = self._usual_rate
        self._since_s = now_s

    def left_s(self, *, now_s: float) -> float:
        """How long the drive goes on; 0 where there is none."""
        return 0.0 if self.drive is None else max(self._ends_s - now_s, 0.0)

    def take(self, *, now_s: float, steps_max: int) -> int:
        """How many steps to make now; they count as made. Ends a drive that is over."""
        until_s = now_s if self.drive is None else min(now_s, self._ends_s)
        # a thousandth of a step is rounding, not a step that is missing
        due = int((until_s - self._since_s) * self._rate + 0.001)
        steps = max(min(due, steps_max), 0)
        if steps:
            self._since_s = max(self._since_s + steps / self._rate, now_s - _BEHIND_S_MAX)
        if self.drive is not None and now_s >= self._ends_s and steps == due:
            self.end(now_s=now_s)
        return steps

    def wait_s(self, *, now_s: float) -> float | None:
        """How long until the next step is due, or the drive is over; None: never."""
        due_s = self._since_s + 1 / self._rate if self._rate > 0 else math.inf
        over_s = math.inf if self.drive is None else self._ends_s
        wait_s = min(due_s, over_s) - now_s
        return None if math.isinf(wait_s) else max(wait_s, 0.0)

"""One kill after another, in an order that a seed decides, and how long each was missing.

Here: the order, the pace, the list of what was killed. Not here: processes (targets.py), whether
the platform is whole afterwards (proof.py).
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crypto_platform.stack.targets import Target

LOOK_S = 0.25
"""How exactly the time until something is back is known."""


class Targets(Protocol):
    """What RunningTargets gives, and a test's stand-in."""

    def kill(self, target: Target) -> int | None:
        """Kill it; the process, None where none is there just now."""
        ...

    def is_back(self, target: Target, *, killed: int) -> bool:
        """Whether another process does its work."""
        ...


@dataclass(kw_only=True)
class Kill:
    """One kill.

    Attributes:
        pid: The process that was killed.
        at_s: When, since the beginning.
        away_s: How long nothing did its work; None while nothing does.
    """

    target: Target
    pid: int
    at_s: float
    away_s: float | None = None


def order_targets(targets: Sequence[Target], *, seed: int) -> Iterator[Target]:
    """All in random order, then all in another one, and so on: none twice before each was once."""
    dice = random.Random(seed)  # noqa: S311 repeatable
    while True:
        turn = list(targets)
        dice.shuffle(turn)
        yield from turn


class Killer:
    """Kills for a while, then only watches until all is back.

    One thread calls run() or step(); others may read.
    """

    def __init__(
        self,
        running: Targets,
        targets: Sequence[Target],
        *,
        seed: int,
        every_s: float,
        duration_s: float,
        say: Callable[[str], None],
    ) -> None:
        """Kill nothing yet.

        Args:
            running: Kills and says what is back.
            targets: At least one.
            seed: The same gives the same order. What is not there in its turn comes as soon as it
                is, before what follows it.
            every_s: From one kill to the next; the first is at once.
            duration_s: No kill at or after this time.
            say: Told of each kill and each return.
        """
        self._running = running
        self._order = order_targets(targets, seed=seed)
        self._targets_count = len(targets)
        self._put_off: list[Target] = []
        self._every_s = every_s
        self._duration_s = duration_s
        self._say = say
        self._next_s = 0.0
        self._now_s = 0.0
        self.kills: list[Kill] = []

    @property
    def now_s(self) -> float:
        """Seconds since the beginning, at the last step."""
        return self._now_s

    @property
    def is_done(self) -> bool:
        """Whether it kills no more."""
        return self._now_s >= self._duration_s

    @property
    def away(self) -> list[Kill]:
        """What has not come back yet."""
        return [kill for kill in self.kills if kill.away_s is None]

    def run(self, stop: threading.Event) -> None:
        """Kill and watch until `stop` is set."""
        began = time.monotonic()
        while not stop.is_set():
            self.step(time.monotonic() - began)
            stop.wait(LOOK_S)

    def step(self, now_s: float) -> None:
        """Note what is back, and kill where one is due.

        Args:
            now_s: Seconds since the beginning, never less than the last time.
        """
        self._now_s = now_s
        for kill in self.away:
            if self._running.is_back(kill.target, killed=kill.pid):
                kill.away_s = now_s - kill.at_s
                self._say(f"{kill.target.name} is back after {kill.away_s:.1f} s")
        if not self.is_done and now_s >= self._next_s and self._kill_one(now_s):
            self._next_s = (now_s // self._every_s + 1) * self._every_s

    def _kill_one(self, now_s: float) -> bool:
        """Kill the first in the order that is there; False where none is."""
        away = {kill.target for kill in self.away}
        put_off = self._put_off
        self._put_off = []
        while put_off or len(self._put_off) < self._targets_count:
            target = put_off.pop(0) if put_off else next(self._order)
            pid = None if target in away else self._running.kill(target)
            if pid is not None:
                self._put_off += put_off
                self.kills.append(Kill(target=target, pid=pid, at_s=now_s))
                self._say(f"killed {target.name} (process {pid})")
                return True
            if target not in self._put_off:
                self._put_off.append(target)
        return False

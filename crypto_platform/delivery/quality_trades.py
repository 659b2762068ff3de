"""Holes and repeats in the numbers of trades, where a venue numbers them without gaps.

Here: a set of numbers that are seen about in order, kept as runs. Pure. Not here: which venues
number so (feeds/instruments.py, TradeNumbering), reading (quality_hour.py, gap_report.py).
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from crypto_platform.domain.hours import TimeUs

RUNS_MAX = 1000
"""Runs kept open for trades that come late by time; the lowest ones are settled."""


class Hole(NamedTuple):
    """Numbers that are missing between two that are there.

    Attributes:
        after_id, before_id: Around it.
        after_us, before_us: Event times of these two.
    """

    after_id: int
    after_us: TimeUs
    before_id: int
    before_us: TimeUs

    @property
    def missing(self) -> int:
        """How many."""
        return self.before_id - self.after_id - 1


@dataclass(slots=True)
class _Run:
    first: int
    first_us: TimeUs
    last: int
    last_us: TimeUs


def _first_of(run: _Run) -> int:
    return run.first


class TradeIds:
    """The numbers of a market's trades, in whatever order they come by time."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._settled: list[Hole] = []

    def add(self, number: int, time_us: TimeUs) -> bool:
        """Take a number; False where it was there already."""
        runs = self._runs
        if runs and number == runs[-1].last + 1:
            runs[-1].last, runs[-1].last_us = number, time_us
            return True
        place = bisect_right(runs, number, key=_first_of)
        before = runs[place - 1] if place else None
        after = runs[place] if place < len(runs) else None
        if before is not None and number <= before.last:
            return False
        joins_before = before is not None and before.last + 1 == number
        joins_after = after is not None and number + 1 == after.first
        if before is not None and joins_before:
            before.last, before.last_us = number, time_us
            if after is not None and joins_after:
                before.last, before.last_us = after.last, after.last_us
                del runs[place]
        elif after is not None and joins_after:
            after.first, after.first_us = number, time_us
        else:
            runs.insert(place, _Run(number, time_us, number, time_us))
            self._settle()
        return True

    def list_holes(self) -> Iterator[Hole]:
        """What is missing between the numbers that came, lowest first."""
        yield from self._settled
        for lower, upper in zip(self._runs, self._runs[1:], strict=False):
            yield _between(lower, upper)

    def _settle(self) -> None:
        if len(self._runs) > RUNS_MAX:
            self._settled.append(_between(self._runs[0], self._runs[1]))
            del self._runs[0]


def _between(lower: _Run, upper: _Run) -> Hole:
    return Hole(lower.last, lower.last_us, upper.first, upper.first_us)


def read_number(trade_id: str) -> int | None:
    """A trade id as a number; None where it is none."""
    return int(trade_id) if trade_id.isdecimal() else None

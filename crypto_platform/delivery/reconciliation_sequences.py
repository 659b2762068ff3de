"""A set of the company's numbers 1, 2, 3 …, a bit each, and the gaps in it.

Here: numbers in any order, which are there twice, which are missing. Not here: whether a missing
one is lost or on its way (reconciliation.py).
"""

from collections.abc import Iterable, Iterator

PAGE_NUMBERS = 65_536
_FULL = bytearray(b"\xff") * (PAGE_NUMBERS // 8)
REPEATS_MAX = 20
"""Repeated numbers kept; all are counted."""


class Sequences:
    """A set of numbers above 0; memory is an eighth of a byte for each between the first and last.

    Attributes:
        newest: The highest; 0 where there is none.
        repeated: How often a number came that was there.
        repeats: The first of them.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self.newest = 0
        self.repeated = 0
        self.repeats: list[int] = []
        self._pages: dict[int, bytearray] = {0: bytearray(PAGE_NUMBERS // 8)}
        self._pages[0][0] = 1  # 0 is no number, and missed by nobody
        self.add(numbers)

    def add(self, numbers: Iterable[int]) -> None:
        """Take in numbers, in any order."""
        pages, newest = self._pages, self.newest
        for number in numbers:
            page = pages.get(number >> 16)
            if page is None:
                page = pages[number >> 16] = bytearray(PAGE_NUMBERS // 8)
            place, bit = (number & 0xFFFF) >> 3, 1 << (number & 7)
            if page[place] & bit:
                self.repeated += 1
                if len(self.repeats) < REPEATS_MAX:
                    self.repeats.append(number)
            page[place] |= bit
            newest = max(newest, number)
        self.newest = newest

    def __contains__(self, number: int) -> bool:
        page = self._pages.get(number >> 16)
        return page is not None and bool(page[(number & 0xFFFF) >> 3] & 1 << (number & 7))

    def find_gaps(self, *, through: int) -> Iterator[tuple[int, int]]:
        """First and last of each run of numbers up to `through` that are not there."""
        expected = 0
        for first, last in self._find_runs():
            if first > through:
                break
            if first > expected:
                yield expected, first - 1
            expected = last + 1
        if expected <= through:
            yield expected, through

    def find_contiguous(self) -> int:
        """The largest number up to which none is missing; 0 where 1 is."""
        first_gap = next(self.find_gaps(through=self.newest), None)
        return self.newest if first_gap is None else first_gap[0] - 1

    def _find_runs(self) -> Iterator[tuple[int, int]]:
        """First and last of runs that are there, rising; a run may be told in pieces."""
        for place in sorted(self._pages):
            page, first = self._pages[place], place * PAGE_NUMBERS
            if page == _FULL:
                yield first, first + PAGE_NUMBERS - 1
                continue
            for number in range(PAGE_NUMBERS):
                if page[number >> 3] & 1 << (number & 7):
                    yield first + number, first + number

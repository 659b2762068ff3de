"""Count and hash sum of records: the same for the same records, whatever their order."""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sum:
    """Count and order-free hash of a set of records.

    `high` and `low` add up the unsigned upper and lower 32 bits of content_hash apart.
    """

    count: int
    high: int
    low: int

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.count + other.count, self.high + other.high, self.low + other.low)

    def __sub__(self, other: "Sum") -> "Sum":
        return Sum(self.count - other.count, self.high - other.high, self.low - other.low)


EMPTY_SUM = Sum(0, 0, 0)


def sum_of(content_hashes: Sequence[int]) -> Sum:
    """The Sum of these content hashes (signed int64)."""
    # as an array its halves are there at once: measured 0.1 us a hash, by shifting 0.3
    halves = memoryview(array("q", content_hashes)).cast("B").cast("I")
    evens, odds = sum(halves[::2]), sum(halves[1::2])
    high, low = (odds, evens) if sys.byteorder == "little" else (evens, odds)
    return Sum(len(content_hashes), high, low)

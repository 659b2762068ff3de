"""What retention has removed of a partition, sorted once, for who asks about it range by range.

A range of load_batch has a row for each run that removed something of it, so rows are many after
months. Not here: what the answers mean (audit_batches.py, audit_ranges.py).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from crypto_platform.stores.batches import Removed
from crypto_platform.stores.sums import EMPTY_SUM, Sum


class Removals:
    """One partition's.

    Attributes:
        rows: As the store gave them.
    """

    def __init__(self, rows: Sequence[Removed] = ()) -> None:
        """Each of `rows` is looked at once."""
        self.rows = rows
        in_order = sorted(rows, key=_first_offset)
        self._first_offsets = [each.first_offset for each in in_order]
        self._sums = list(accumulate((each.removed for each in in_order), initial=EMPTY_SUM))
        self._cuts = list(accumulate((each.events_before for each in in_order), max))

    def sum_between(self, first_offset: int, next_offset: int) -> Sum:
        """What was removed of the ranges that begin in there."""
        begin = bisect_left(self._first_offsets, first_offset)
        end = bisect_left(self._first_offsets, next_offset, lo=begin)
        return self._sums[end] - self._sums[begin]

    def find_cut(self, offset: int) -> int | None:
        """The latest cut of a range that begins at or before an offset: older events may be gone.

        None where nothing was removed of any of them.
        """
        end = bisect_right(self._first_offsets, offset)
        return self._cuts[end - 1] if end else None


def _first_offset(removed: Removed) -> int:
    return removed.first_offset

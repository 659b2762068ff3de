"""What is new since somebody last looked, by number: the memory behind a stream.

Here: rows by key with the number under which each last changed; the oldest are forgotten, and who
asks for what was forgotten is told so. Not here: reading stores, sending (streams.py).
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

Row = TypeVar("Row")


class News(NamedTuple, Generic[Row]):
    """Rows that changed, in the order in which they did.

    Attributes:
        number: Of the last one; the next question is for what came behind it.
        is_whole: False where some between were forgotten.
    """

    rows: list[Row]
    number: int
    is_whole: bool


class Journal(Generic[Row]):
    """Rows by key. Safe for threads."""

    def __init__(self, *, kept_max: int) -> None:
        """Nothing is known.

        Args:
            kept_max: Rows.
        """
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._rows: OrderedDict[Hashable, tuple[int, Hashable, Row]] = OrderedDict()
        """Key -> number, what tells this state of it from another, row; by number."""
        self.number = 0
        self._forgotten = 0

    def knows(self, key: Hashable, state: Hashable) -> bool:
        """Whether this state of a thing is the last one noted."""
        known = self._rows.get(key)
        return known is not None and known[1] == state

    def note(self, rows: Iterable[tuple[Hashable, Hashable, Row]]) -> None:
        """Take in rows by key and state; those that are known change nothing."""
        with self._lock:
            for key, state, row in rows:
                if not self.knows(key, state):
                    self.number += 1
                    self._rows[key] = (self.number, state, row)
                    self._rows.move_to_end(key)
            while len(self._rows) > self._kept_max:
                _, (self._forgotten, _, _) = self._rows.popitem(last=False)

    def since(self, number: int) -> News[Row]:
        """What changed behind this number; of what changed twice, the last."""
        found: list[Row] = []
        with self._lock:
            for own, _, row in reversed(self._rows.values()):
                if own <= number:
                    break
                found.append(row)
            is_whole = self._forgotten <= number <= self.number
            return News(found[::-1], self.number, is_whole)

"""How many records one commit takes: enough for speed, few enough to stay fresh. Pure.

A commit costs a few milliseconds whatever it holds, so larger ones are faster, up to some thousands
of records; where a store is slow (a full disk, a busy machine), smaller ones keep the age of what
is stored, and what a killed commit costs, bounded.
"""

COMMIT_S_MAX = 0.5
"""A commit that takes longer is made smaller next time."""
COMMIT_S_GOOD = 0.25
"""A full one that took less may be larger next time."""
RECORDS_MIN = 250


class BatchSize:
    """Follows how long commits take. Starts at half of what is allowed."""

    def __init__(self, *, records_max: int) -> None:
        self._records_max = records_max
        self.records = max(records_max // 2, 1)

    def note(self, records: int, *, seconds: float) -> None:
        """A commit of so many records took so long."""
        if seconds > COMMIT_S_MAX and records > RECORDS_MIN:
            floor = min(RECORDS_MIN, self._records_max)
            self.records = max(min(records, self.records) // 2, floor)
        elif seconds < COMMIT_S_GOOD and records >= self.records // 2:
            self.records = min(self.records * 2, self._records_max)

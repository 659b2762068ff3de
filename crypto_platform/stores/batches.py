"""The account of ranges: load_batch, what retention removed of them, what a restore takes over.

Here: the values. Not here: checking them (delivery/audit_batches.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.matters import QuarantineEntry
from crypto_platform.stores.sums import EMPTY_SUM, Sum


class BatchKind(StrEnum):
    """Why a load_batch row exists."""

    LIVE = "live"
    REPLAY = "replay"
    RESTORE = "restore"
    """Rows taken over from the other store."""
    TRUNCATED = "truncated"
    """Was live before Kafka's log was cut; its offsets are used again, its rows stay."""
    LOST = "lost"
    """Retention removed the range unread, which a person has acknowledged; nothing is stored."""


@dataclass(frozen=True, kw_only=True)
class LoadBatch:
    """A row of load_batch: a range one run wrote, and what it stored there first.

    Attributes:
        stored: Count and hash sum of the records that were new.
    """

    run_id: str
    topic: str
    partition: TopicPart
    epoch: int
    hour: int
    kind: BatchKind
    first_offset: int
    next_offset: int
    stored: Sum
    repeated_records: int
    quarantined_records: int


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What retention has removed of the records that one range of load_batch had stored.

    A record belongs to the live range of its offset; where Kafka's log was cut and no live range
    has come so far again, to the truncated one, else to the restore, the first by offset.

    Attributes:
        hour, first_offset: Of that range.
        events_before: Records with older events went, microseconds.
    """

    topic: str
    partition: TopicPart
    run_id: str
    hour: int
    first_offset: int
    events_before: int
    removed: Sum


RESTORING = "restore:"
"""How `blocked_by` begins while a restore owns a partition, so that no load claims it; behind it
stands the incident that stopped the partition before, if one did."""


@dataclass(frozen=True, kw_only=True)
class TakenOver:
    """What restored ranges bring from the other store's books, beside their records.

    Of partitions that are restored in the same transaction.

    Attributes:
        entries: Of quarantine, in whatever state they are.
        removed: What retention took of the range there; part of what the range is said to hold.
        truncated: Ranges of a log that was cut: their rows are the restored range's own now, and
            where they lie is still known.
    """

    entries: Sequence[QuarantineEntry] = ()
    removed: Sequence[Removed] = ()
    truncated: Sequence[LoadBatch] = ()

    def sum_removed(self, partition: TopicPart, first_offset: int, next_offset: int) -> Sum:
        """What was removed of ranges that began in this one."""
        own = (
            each.removed
            for each in self.removed
            if each.partition == partition and first_offset <= each.first_offset < next_offset
        )
        return sum(own, EMPTY_SUM)


NOTHING_TAKEN_OVER = TakenOver()

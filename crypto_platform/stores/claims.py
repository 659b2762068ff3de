"""Who may write a partition of a topic, and how far it is stored.

Here: the values. Not here: what is written (slices.py), how a claim fences (the stores' own
claims.py; docs/exactly-once.md).
"""

from dataclasses import dataclass
from typing import NamedTuple

from crypto_platform.feeds import Feed, Record


class TopicPart(NamedTuple):
    """One partition of one incarnation of a topic; sorts as locks are taken.

    Attributes:
        topic_id: Kafka's own id (a UUID as text); a re-created topic has another.
        part: Partition number.
    """

    topic_id: str
    part: int


@dataclass(frozen=True, kw_only=True)
class StoredOffset:
    """A row of kafka_offset: how far a store has come in one partition.

    Attributes:
        next_offset: First offset not yet stored; 0 where nothing was.
        leader_epoch: Of the last batch, None where unknown.
        max_ts_append: Running maximum of append times so far, microseconds, 0 at the start.
        epoch: Of the last claim; 0 where nobody ever claimed.
        owner_run_id: Who claimed last.
        claimed_at, updated_at: Microseconds; `updated_at` is the last commit or claim.
        blocked_by: event_id of the incident that stops the partition, else None.
    """

    topic: str
    partition: TopicPart
    next_offset: int
    leader_epoch: int | None
    max_ts_append: int
    epoch: int
    owner_run_id: str | None
    claimed_at: int | None
    updated_at: int | None
    blocked_by: str | None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to write one partition, until a later claim takes it over."""

    feed: Feed[Record]
    topic: str
    partition: TopicPart
    epoch: int
    next_offset: int
    leader_epoch: int | None
    max_ts_append: int

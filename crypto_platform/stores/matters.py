"""What waits for a person: quarantined values and incidents, and a person's answers to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from crypto_platform.errors import Reason
from crypto_platform.feeds import Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.sums import Sum

OPEN_INCIDENTS_MAX = 100
"""Of a store that are told, the newest."""


class EntryState(StrEnum):
    """What became of a quarantined value."""

    OPEN = "open"
    RELEASED = "released"
    """Its record is stored."""
    DISCARDED = "discarded"
    """A person left it out for good; replays leave it out too."""
    TRUNCATED = "truncated"
    """Kafka's log was cut below it: another value may stand at its offset now."""


@dataclass(frozen=True, kw_only=True)
class QuarantineEntry:
    """A Kafka value the store refused: where it lies, why, and the bytes.

    Attributes:
        note: Who discarded it and why.
    """

    topic: str
    partition: TopicPart
    offset: int
    ts_append: int
    reason: Reason
    error: str
    event_id: str | None
    key: bytes | None
    value: bytes | None
    run_id: str
    state: str
    quarantined_at: int
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """Which quarantine entries are meant; None asks for any.

    Attributes:
        topic: By the broker's name.
        part, offset: Where in the topic.
    """

    topic: str | None = None
    part: int | None = None
    offset: int | None = None
    reason: Reason | None = None
    state: EntryState | None = None


class EntryGroup(NamedTuple):
    """What quarantine entries are counted by."""

    feed: str
    reason: Reason
    state: EntryState


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What becomes of the account where Kafka's log was cut below what is stored.

    Live (and lost) ranges that begin at or above `offset` become `truncated`, their sums kept, and
    so do quarantine entries. One that reaches across is split.

    Attributes:
        offset: First offset that is used again.
        below, above: What the range that reaches across stored in each of its parts; None where
            none does.
    """

    offset: int
    below: Sum | None = None
    above: Sum | None = None


@dataclass(frozen=True, kw_only=True)
class Move:
    """Where a stopped partition goes on.

    Attributes:
        max_ts_append: Running maximum of append times below `next_offset`, as far as it is known.
        keeps_leader_epoch: So that a log that was cut still lower is noticed.
        lost: Whether the offsets up to `next_offset` are given up: a `lost` range of load_batch.
        cut: What is no longer Kafka's; None where nothing is.
    """

    next_offset: int
    max_ts_append: int
    keeps_leader_epoch: bool = False
    lost: bool = False
    cut: Cut | None = None


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """A person's answer to the incident that stops a partition.

    Attributes:
        fact: The incident, acknowledged; written without arrival.
        incident_id: Of the open incident.
        stopped: The partition as the answer was planned; None where the incident stops none.
        move: None where the load goes on where it stopped.
        run_id: Names the answer in load_batch.
    """

    fact: Incident
    incident_id: str
    stopped: StoredOffset | None
    move: Move | None
    run_id: str


@dataclass(frozen=True, kw_only=True)
class OpenMatters:
    """What of a store waits for a person.

    Attributes:
        quarantined: Entries neither released nor discarded, by feed name; a feed without any is
            left out.
        incidents: Not acknowledged, or still blocking a partition; newest first.
    """

    quarantined: Mapping[str, int]
    incidents: Sequence[Record]

    @property
    def quarantined_records(self) -> int:
        """Of all feeds."""
        return sum(self.quarantined.values())

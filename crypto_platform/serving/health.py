"""How the platform is: one Status, and the readings it is made of.

Here: values only. What is not known is None, never 0: a store that does not answer has no lag, not
a lag of 0. Not here: asking (readings.py, status.py), judging (judge.py), text (cli/).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import (
    CursorsReading,
    DerivedReading,
    DiskReading,
    KafkaReading,
    MemoryReading,
    StoreDetails,
    StoreReading,
)
from crypto_platform.stores.claims import TopicPart


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One store. All but name, up and problem are None where unknown.

    Attributes:
        address: host:port; None where this process knows none, and so asks nobody.
        next_offset: Sum over the partitions of today's topics.
        lag_records: Waiting offsets of partitions that are not blocked, markers included.
        lag_s: How long the first of them has waited; 0 where none waits.
        records_per_minute: Appended in the last minute and stored; None while it is further behind.
        commit_age_s: Since the last commit (or claim).
        record_age_s: Since the newest stored record was appended to Kafka.
        blocked_partitions: Stopped by incidents.
        restoring_partitions: Claimed by a restore, which may have been killed.
        is_paused: A person has switched its loads off.
    """

    name: str
    up: bool
    problem: str | None = None
    version: str | None = None
    address: str | None = None
    next_offset: int | None = None
    lag_records: int | None = None
    lag_s: float | None = None
    records_per_minute: int | None = None
    commit_age_s: float | None = None
    record_age_s: float | None = None
    blocked_partitions: int | None = None
    restoring_partitions: int | None = None
    quarantined_records: int | None = None
    is_paused: bool | None = None


class LoadStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One feed in one store, None where unknown; see StoreStatus.

    Attributes:
        record_age_s: Since its newest stored record was appended to Kafka.
        blocked_by: event_id of an incident that stops one of its partitions, or a restore's mark.
    """

    store: str
    feed: str
    lag_records: int | None = None
    lag_s: float | None = None
    record_age_s: float | None = None
    blocked_partitions: int | None = None
    blocked_by: str | None = None
    quarantined_records: int | None = None


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One feed's topic; offsets are sums over its partitions, None where unknown.

    Attributes:
        offsets_per_minute: Appended in the last minute; transaction markers count too.
        blocked_s: How long an open transaction has been seen to hold readers back.
        kept_days: Age of event time at which both stores forget its records; None keeps them.
    """

    name: str
    topic: str
    partitions: int | None = None
    low: int | None = None
    high: int | None = None
    last_stable: int | None = None
    offsets_per_minute: int | None = None
    append_age_s: float | None = None
    blocked_s: float | None = None
    kept_days: int | None = None


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One configured source; times are as of the last look at its cursors.

    Attributes:
        reason: Why it is not asked, else where.
        feeds: What it is asked for; empty where it is not asked.
        failures: Failed polls in a row of its worst feed.
        due_in_s: Until the next poll; negative where it should have been.
        is_paused: A person has switched it off; None where unknown.
    """

    name: str
    dialect: str
    simulated: bool
    enabled: bool
    reason: str
    feeds: tuple[str, ...] = ()
    poll_age_s: float | None = None
    failures: int | None = None
    due_in_s: float | None = None
    is_paused: bool | None = None


class AnalyticsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One computation of what is derived of the market, None where unknown.

    Attributes:
        is_busy: A run of some computations is at work.
        waiting_hours: Hours of keys that changed, or ended, since they were made.
        waits_s: How long the first of them has waited; 0 where none does.
    """

    name: str
    is_busy: bool | None = None
    waiting_hours: int | None = None
    waits_s: float | None = None


class IncidentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One open incident."""

    event_id: str
    kind: str
    subject: str
    store: str | None
    source: str | None
    feed: str | None
    message: str
    next_step: str
    age_s: float


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the embedded stack, as its supervisor says."""

    name: str
    state: str
    pid: int | None
    restarts: int
    address: str | None
    is_good: bool


class DiskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The data folder; `days_left` at its growth since the installation, None where unknown."""

    used_bytes: int
    free_bytes: int
    days_left: float | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, at one time.

    Attributes:
        problems: Why it is not good, one line each; empty where it is.
        pauses: What a person has paused and how it goes on, one line each; that is no problem.
        webserver_up: Whether Dagster's UI answers; None where there is none.
        kafka_up: Whether it answers; None where this process knows no address of it.
        parts: None where no stack runs in this folder.
    """

    at: datetime
    data_dir: str
    deployment: str
    is_good: bool
    problems: tuple[str, ...]
    pauses: tuple[str, ...]
    webserver_url: str | None
    webserver_up: bool | None
    api_url: str | None
    kafka_address: str | None
    kafka_up: bool | None
    kafka_problem: str | None
    stores: tuple[StoreStatus, ...]
    loads: tuple[LoadStatus, ...]
    feeds: tuple[FeedStatus, ...]
    sources: tuple[SourceStatus, ...]
    analytics: tuple[AnalyticsStatus, ...]
    incidents: tuple[IncidentStatus, ...]
    parts: tuple[PartStatus, ...] | None
    disk: DiskStatus | None
    memory: MemoryReading | None

    @property
    def word(self) -> str:
        """All of it in a word: starting as long as no source that is asked has been asked once."""
        if not self.is_good:
            return "not good"
        asked = [source for source in self.sources if source.feeds and not source.is_paused]
        is_starting = asked and all(source.poll_age_s is None for source in asked)
        return "starting" if is_starting else "good"


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What was read, by whom it concerns.

    Attributes:
        at_us: When, microseconds since 1970.
        addresses: Of the stores, without passwords.
        waiting_since: Per store, when the first waiting record of a partition was appended.
        blocked_since: When a partition's last stable offset was first seen to stand still below
            its high watermark.
        paused: Sources and stores that a person has paused; None where that is unknown.
    """

    at_us: int
    kafka: Answer[KafkaReading]
    stores: Mapping[str, Answer[StoreReading]]
    details: Mapping[str, Answer[StoreDetails]]
    cursors: Answer[CursorsReading]
    disk: Answer[DiskReading]
    derived: Answer[DerivedReading]
    memory: MemoryReading | None = None
    webserver_up: bool | None = None
    parts: Sequence[PartStatus] | None = None
    addresses: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    waiting_since: Mapping[str, Mapping[TopicPart, int]] = field(
        default_factory=dict[str, Mapping[TopicPart, int]]
    )
    blocked_since: Mapping[TopicPart, int] = field(default_factory=dict[TopicPart, int])
    paused: frozenset[str] | None = None

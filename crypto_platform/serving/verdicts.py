"""What is good and what is not, one asset at a time: the answers of Dagster's checks.

Here: pure functions from a Status to verdicts; each says what is wrong and what to type. Not here:
what the status says of the platform as a whole (judge.py), Dagster (assets/checks.py).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from crypto_platform.serving.derived import LATE, describe_waiting, is_late
from crypto_platform.serving.health import (
    AnalyticsStatus,
    FeedStatus,
    IncidentStatus,
    LoadStatus,
    SourceStatus,
    Status,
)
from crypto_platform.serving.judge import (
    BLOCKED_S_MAX,
    LAG_STALLS_MAX,
    SOURCE_FAILURES_MAX,
    SOURCE_LATE_S,
    type_answer,
)
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import Settings
from crypto_platform.stores.batches import RESTORING


class Grade(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


class Check(StrEnum):
    """What is asked of an asset."""

    POLLED = "polled"
    READABLE = "readable"
    FRESH = "fresh"
    INCIDENTS = "incidents"
    QUARANTINE = "quarantine"
    CURRENT = "current"


QUESTIONS = {
    Check.POLLED: "Is the source asked at its pace, and does it answer?",
    Check.READABLE: "Does Kafka serve the topic, and does no open transaction hold readers back?",
    Check.FRESH: "Is what Kafka has stored within seconds?",
    Check.INCIDENTS: "Does no incident wait for a person?",
    Check.QUARANTINE: "Is nothing in quarantine?",
    Check.CURRENT: "Is what changed made anew within minutes?",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one check of one asset.

    Attributes:
        place: A source's name, `kafka`, a store's, or `analytics`.
        feed: Of analytics the computation.
        text: What is so, and where it is wrong also what to type.
        facts: The figures behind it; None is unknown.
    """

    place: str
    feed: str
    check: Check
    grade: Grade
    text: str
    facts: Mapping[str, float | int | str | None]


def judge(
    settings: Settings, status: Status, *, paused: Collection[str] = frozenset()
) -> Iterator[Verdict]:
    """A verdict for each check of each asset.

    Args:
        paused: Sources and stores that a person has paused.
    """
    for source in status.sources:
        if source.enabled:
            for feed in source.feeds:
                yield judge_source(source, feed, is_paused=source.name in paused)
    for feed_status in status.feeds:
        yield judge_topic(status, feed_status)
    for load in status.loads:
        yield judge_freshness(settings, status, load, is_paused=load.store in paused)
        yield judge_incidents(status, load)
        yield judge_quarantine(load)
    for computation in status.analytics:
        yield judge_computation(settings, computation)


def judge_source(source: SourceStatus, feed: str, *, is_paused: bool) -> Verdict:
    """Whether a source is asked and answers."""
    grade, text = Grade.GOOD, f"{source.name} answers"
    name = source.name
    if is_paused:
        grade, text = Grade.WARNING, f"{name} is paused; `crypto-platform resume {name}` goes on"
    elif source.failures is None and source.poll_age_s is None:
        grade = Grade.WARNING
        text = (
            f"nobody has asked {name} yet, as far as Kafka's cursors tell: "
            "`crypto-platform status` says what runs"
        )
    elif source.failures:
        bad = source.failures >= SOURCE_FAILURES_MAX
        grade = Grade.ERROR if bad else Grade.WARNING
        text = (
            f"{name} failed {source.failures} times in a row: "
            f"`crypto-platform sources check {name}` asks it and says why"
        )
    elif source.due_in_s is not None and source.due_in_s < -SOURCE_LATE_S:
        grade = Grade.ERROR
        text = (
            f"{name} has been due for {-source.due_in_s:.0f} s and nobody asks it: is schedule "
            "every_minute switched on, and does its last run say why it failed?"
        )
    facts = {
        "poll_age_s": _rounded(source.poll_age_s),
        "failures": source.failures,
        "due_in_s": _rounded(source.due_in_s),
    }
    return Verdict(place=name, feed=feed, check=Check.POLLED, grade=grade, text=text, facts=facts)


def judge_topic(status: Status, feed: FeedStatus) -> Verdict:
    """Whether readers of a topic see what is written."""
    grade, text = Grade.GOOD, f"{feed.topic} is served"
    if not status.kafka_up:
        grade = Grade.ERROR
        text = f"Kafka is down: {status.kafka_problem}: `crypto-platform logs kafka` may say why"
    elif feed.high is None:
        grade = Grade.ERROR
        text = (
            f"there is no topic {feed.topic}: `crypto-platform exec -- python -m "
            "crypto_platform.migrations` creates it"
        )
    elif feed.blocked_s is not None and feed.blocked_s > BLOCKED_S_MAX:
        grade = Grade.ERROR
        text = (
            f"an open transaction has held readers of {feed.topic} back for {feed.blocked_s:.0f} s;"
            " brokers abort one after 5 s: `crypto-platform logs kafka`"
        )
    facts = {
        "low_watermark": feed.low,
        "high_watermark": feed.high,
        "last_append_age_s": _rounded(feed.append_age_s),
        "held_back_s": _rounded(feed.blocked_s),
    }
    return Verdict(
        place="kafka", feed=feed.name, check=Check.READABLE, grade=grade, text=text, facts=facts
    )


def judge_freshness(
    settings: Settings, status: Status, load: LoadStatus, *, is_paused: bool
) -> Verdict:
    """Whether a store has what Kafka has, by our own clock of seconds."""
    lag_s_max = settings.load.stall_s * LAG_STALLS_MAX
    [store] = [store for store in status.stores if store.name == load.store]
    name = load.store
    grade, text = Grade.GOOD, "nothing waits"
    if load.lag_records:
        age = "a moment" if load.lag_s is None else f"{load.lag_s:.1f} s"
        text = f"{load.lag_records} records wait, the first of them for {age}"
    if not store.up:
        grade = Grade.ERROR
        text = (
            f"{name} is down: {store.problem}: `crypto-platform logs {name}` may say why; what "
            "waits in Kafka is loaded when it is back"
        )
    elif is_paused:
        text = f"{name} is paused; {text}; `crypto-platform resume {name}` goes on"
        grade = Grade.WARNING
    elif load.lag_records is None:
        grade, text = Grade.WARNING, "not known: Kafka does not answer"
    elif load.lag_s is not None and load.lag_s > lag_s_max:
        grade = Grade.ERROR
        text = (
            f"{text} (good is up to {lag_s_max:.0f} s): sensor {load_sensor(name)} says what "
            "it does about it, its last run why it failed"
        )
    facts = {
        "lag_records": load.lag_records,
        "lag_s": _rounded(load.lag_s),
        "record_age_s": _rounded(load.record_age_s),
    }
    return Verdict(
        place=name, feed=load.feed, check=Check.FRESH, grade=grade, text=text, facts=facts
    )


def judge_incidents(status: Status, load: LoadStatus) -> Verdict:
    """Whether an incident of this feed waits for a person, or even stops its load."""
    own = [
        incident
        for incident in status.incidents
        if incident.feed == load.feed and incident.store in {load.store, None}
    ]
    grade, text = Grade.GOOD, "none is open"
    if load.blocked_partitions is None:
        grade, text = Grade.WARNING, f"not known: {load.store} or Kafka does not answer"
    if own:
        grade = Grade.ERROR if load.blocked_partitions else Grade.WARNING
        text = _describe_incidents(own)
        if load.blocked_partitions:
            text = f"{load.blocked_partitions} partitions are stopped: {text}"
    elif load.blocked_partitions:
        grade, text = Grade.ERROR, _describe_stop(load)
    facts = {"open_incidents": len(own), "blocked_partitions": load.blocked_partitions}
    return Verdict(
        place=load.store,
        feed=load.feed,
        check=Check.INCIDENTS,
        grade=grade,
        text=text,
        facts=facts,
    )


def judge_quarantine(load: LoadStatus) -> Verdict:
    """Whether records of this feed stand in the store's quarantine."""
    grade, text = Grade.GOOD, "empty"
    if load.quarantined_records is None:
        grade, text = Grade.WARNING, f"not known: {load.store} does not answer"
    elif load.quarantined_records:
        grade = Grade.WARNING
        text = (
            f"{load.quarantined_records} records: `crypto-platform quarantine list --store "
            f"{load.store} --feed {load.feed}` counts them by reason, `quarantine show` prints "
            "their bytes; after a mend `quarantine release` loads them, `quarantine discard` "
            "leaves them out for good"
        )
    return Verdict(
        place=load.store,
        feed=load.feed,
        check=Check.QUARANTINE,
        grade=grade,
        text=text,
        facts={"quarantined_records": load.quarantined_records},
    )


def judge_computation(settings: Settings, computation: AnalyticsStatus) -> Verdict:
    """Whether its table says what the records under it do."""
    grade, text = Grade.GOOD, describe_waiting([computation])
    if computation.waiting_hours is None:
        grade, text = Grade.WARNING, "not known: postgres does not answer"
    elif is_late(settings, computation):
        grade, text = Grade.ERROR, f"{text}; {LATE}"
    facts = {
        "waiting_hours": computation.waiting_hours,
        "waits_s": _rounded(computation.waits_s),
    }
    return Verdict(
        place="analytics",
        feed=computation.name,
        check=Check.CURRENT,
        grade=grade,
        text=text,
        facts=facts,
    )


def _describe_incidents(incidents: Collection[IncidentStatus]) -> str:
    return "; ".join(f"{i.kind}: {i.message} -> {i.next_step}; {type_answer(i)}" for i in incidents)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _describe_stop(load: LoadStatus) -> str:
    if (load.blocked_by or "").startswith(RESTORING):
        return (
            f"{load.blocked_partitions} partitions are being restored: `crypto-platform restore "
            f"{load.store}` goes on with it if it was killed"
        )
    return (
        f"{load.blocked_partitions} partitions are stopped by {load.blocked_by}: "
        "`crypto-platform incident list` says more"
    )

"""What of a Status and the last audits is bad enough to tell somebody. Pure.

Here: faults by names that stay, and what is known to be well. What is not known is neither: a store
that does not answer ends no alert about its quarantine. Not here: what is bad (verdicts.py,
judge.py), when it is told (alerts.py).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from crypto_platform.serving.audits import LastAudit
from crypto_platform.serving.health import Status, StoreStatus
from crypto_platform.serving.judge import judge_disk, judge_paused_store, type_answer
from crypto_platform.serving.verdicts import Check, Grade, Verdict, judge
from crypto_platform.settings import Settings
from crypto_platform.stores.matters import OPEN_INCIDENTS_MAX

TEXTS_MAX = 3
"""Of a list; feeds of one store fail for one reason, mostly."""


class Heading(StrEnum):
    """Where docs/runbook.md says what to do, as its anchors are spelled (incidents: by kind)."""

    QUARANTINE = "quarantine"
    LAG = "a-store-lags"
    DOWN = "a-store-is-down"
    KAFKA = "kafka-does-not-serve"
    SOURCE = "a-source-fails"
    ANALYTICS = "analytics-are-behind"
    AUDIT = "an-audit-is-not-whole"
    DISK = "the-disk-is-nearly-full"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is bad now.

    Attributes:
        heading: Of docs/runbook.md: a Heading's or an incident's kind.
    """

    title: str
    text: str
    heading: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known now.

    Attributes:
        bad: By name, as lag/postgres.
        good: Names of what is known to be well; one that ends in a slash speaks for all names that
            begin so and are not bad.
    """

    bad: Mapping[str, Fault]
    good: Collection[str]

    def is_over(self, name: str) -> bool:
        """Whether what was bad under this name is known to be no more."""
        return name not in self.bad and (
            name in self.good
            or any(name.startswith(scope) for scope in self.good if scope.endswith("/"))
        )


@dataclass
class _Collected:
    """A Found in the making."""

    bad: dict[str, Fault] = field(default_factory=dict[str, Fault])
    good: set[str] = field(default_factory=set[str])

    def add(self, name: str, fault: Fault | None) -> None:
        """What is known of one name."""
        if fault is None:
            self.good.add(name)
        else:
            self.bad[name] = fault


def find_faults(
    settings: Settings,
    status: Status,
    audits: Sequence[LastAudit],
    *,
    paused: Collection[str] = frozenset(),
) -> Found:
    """All that is bad, and all that is known to be well.

    Args:
        audits: Those that are known; a feed without one is not known.
        paused: Sources and stores that a person has paused: that is meant.
    """
    found = _Collected()
    verdicts = [*judge(settings, status, paused=paused)]
    for store in status.stores:
        own = [v for v in verdicts if v.place == store.name and v.check is Check.FRESH]
        _look_at_lag(found, settings, store, own, is_paused=store.name in paused)
    topics = [v for v in verdicts if v.check is Check.READABLE]
    _look_at_errors(found, "kafka", "Kafka does not serve", topics, Heading.KAFKA)
    derived = [v for v in verdicts if v.check is Check.CURRENT]
    _look_at_grades(found, "analytics", "analytics are behind", derived, Heading.ANALYTICS)
    _look_at_sources(found, verdicts, paused=paused)
    for verdict in verdicts:
        if verdict.check is Check.QUARANTINE and verdict.facts["quarantined_records"] is not None:
            found.add(f"quarantine/{verdict.place}/{verdict.feed}", _quarantine(verdict))
    _look_at_incidents(found, status)
    for audit in audits:
        if audit.faults or audit.is_answered:
            found.add(f"audit/{audit.feed}", _audit(audit))
    if status.disk is not None:
        texts = [*judge_disk(settings, status.disk)]
        fault = Fault(title="the disk is nearly full", text="".join(texts), heading=Heading.DISK)
        found.add("disk", fault if texts else None)
    return Found(bad=found.bad, good=found.good)


def _look_at_lag(
    found: _Collected,
    settings: Settings,
    store: StoreStatus,
    verdicts: Sequence[Verdict],
    *,
    is_paused: bool,
) -> None:
    """A store's feeds lag for one reason, mostly: one alert, not ten."""
    down, name = f"down/{store.name}", f"lag/{store.name}"
    if not store.up:
        # how far it is behind is not known now
        _look_at_errors(found, down, f"{store.name} is down", verdicts, Heading.DOWN)
        return
    found.add(down, None)
    if is_paused:
        if store.lag_records is None:
            return
        texts = [*judge_paused_store(settings, store)]
        fault = Fault(
            title=f"{store.name} is paused for too long", text="".join(texts), heading=Heading.LAG
        )
        found.add(name, fault if texts else None)
        return
    _look_at_grades(found, name, f"{store.name} lags", verdicts, Heading.LAG)


def _look_at_errors(
    found: _Collected, name: str, title: str, verdicts: Sequence[Verdict], heading: Heading
) -> None:
    """What is no error is well."""
    bad = [verdict for verdict in verdicts if verdict.grade is Grade.ERROR]
    found.add(name, Fault(title=title, text=_join(bad), heading=heading) if bad else None)


def _look_at_grades(
    found: _Collected, name: str, title: str, verdicts: Sequence[Verdict], heading: Heading
) -> None:
    """A warning is neither: it says that something is not known."""
    grades = {verdict.grade for verdict in verdicts}
    if Grade.ERROR in grades or grades <= {Grade.GOOD}:
        _look_at_errors(found, name, title, verdicts, heading)


def _look_at_sources(
    found: _Collected, verdicts: Sequence[Verdict], *, paused: Collection[str]
) -> None:
    polled = [verdict for verdict in verdicts if verdict.check is Check.POLLED]
    for source in dict.fromkeys(verdict.place for verdict in polled):
        own = [verdict for verdict in polled if verdict.place == source]
        bad = [verdict for verdict in own if verdict.grade is Grade.ERROR]
        is_known = all(verdict.facts["failures"] is not None for verdict in own)
        if bad:
            fault = Fault(title=f"source {source} fails", text=_join(bad), heading=Heading.SOURCE)
            found.add(f"source/{source}", fault)
        elif is_known or source in paused:
            found.add(f"source/{source}", None)


def _join(verdicts: Iterable[Verdict]) -> str:
    """What they say, each thing once; a feed is named where feeds differ."""
    feeds: dict[str, list[str]] = {}
    for verdict in verdicts:
        feeds.setdefault(verdict.text, []).append(verdict.feed)
    if len(feeds) == 1:
        return next(iter(feeds))
    texts = [f"{', '.join(names)}: {text}" for text, names in feeds.items()]
    return list_few(texts)


def list_few(texts: Sequence[str]) -> str:
    """The first of them, and how many more."""
    more = [f"and {len(texts) - TEXTS_MAX} more"] if len(texts) > TEXTS_MAX else []
    return "; ".join([*texts[:TEXTS_MAX], *more])


def _quarantine(verdict: Verdict) -> Fault | None:
    if verdict.grade is Grade.GOOD:
        return None
    title = f"{verdict.place} has refused records of {verdict.feed}"
    return Fault(title=title, text=verdict.text, heading=Heading.QUARANTINE)


def _look_at_incidents(found: _Collected, status: Status) -> None:
    """Each by itself: a second one is news. Ingestion's stand in both stores."""
    for incident in status.incidents:
        fault = Fault(
            title=f"incident {incident.kind} of {incident.subject}",
            text=f"{incident.message} -> {incident.next_step}; {type_answer(incident)}",
            heading=incident.kind,
        )
        found.add(f"incident/{incident.store or 'ingestion'}/{incident.event_id}", fault)
    known = [store.name for store in status.stores if store.quarantined_records is not None]
    if len(status.incidents) >= OPEN_INCIDENTS_MAX:
        return  # there may be more than a store names: none of them is known to be over
    found.good |= {f"incident/{store}/" for store in known}
    if len(known) == len(status.stores):
        found.good.add("incident/ingestion/")


def _audit(audit: LastAudit) -> Fault | None:
    if not audit.faults:
        return None
    return Fault(
        title=f"the audit of {audit.feed} is not whole",
        text=f"hour {audit.hour}: {'; '.join(audit.faults)}",
        heading=Heading.AUDIT,
    )

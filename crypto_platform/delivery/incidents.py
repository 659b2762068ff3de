"""What is stopped for a person, and what acknowledging it does.

Here: finding incidents in the stores, the plan of an answer (what moves, in words), and writing it
down: in the store whose load was stopped first, then in platform.incidents. Not here: SQL and BSON
(stores/*/answers.py), the command (cli/incident.py). Protocol: docs/exactly-once.md 7.

    topic_recreated, source_drift  the partition goes on where it stopped
    retention_gap                  what retention removed is given up: kind `lost` in load_batch
    log_truncated                  back to where the broker says the log was cut
    offset_beyond_end              back to where the log ends
    cursor_lost, trade_gap, candle_gap  stop nothing in a store: published only

Going back turns the ranges whose offsets are used again into kind `truncated`. What was stored
stays; ids absorb what comes again. Where it goes back to a known end the stored leader epoch is
kept, so that a log which was cut still lower is noticed by the next load.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from crypto_platform.domain.hours import TimeUs
from crypto_platform.errors import (
    IncidentKind,
    PlatformError,
    StoreRefusedError,
)
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.incidents import (
    ACKNOWLEDGED,
    INCIDENTS,
    OPEN,
    Incident,
    build_acknowledgement,
)
from crypto_platform.kafka.watermarks import Bounds, Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import BatchKind, LoadBatch
from crypto_platform.stores.claims import StoredOffset
from crypto_platform.stores.matters import Acknowledgement, Cut, EntryState, Move
from crypto_platform.stores.sums import sum_of

_BROKER_END = re.compile(r"broker end offset is (-?\d+)")
_LOG_END = re.compile(r" ends at (\d+), but ")
"""What stops.py writes of a log that ends below what is stored."""

_COVERING = frozenset({BatchKind.LIVE, BatchKind.LOST})


@dataclass(frozen=True, kw_only=True)
class Matter:
    """One incident and what became of it.

    Attributes:
        stopped: The partition it stops, in the store that it names; None where it stops none.
        answer: The acknowledged fact, wherever it was found.
        untold: Stores that have the incident, but not yet its answer.
    """

    incident: Incident
    stopped: StoredOffset | None
    answer: Incident | None
    untold: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """It waits for a person: not answered, or back since it was."""
        return self.answer is None or self.stopped is not None

    @property
    def place(self) -> str | None:
        """The partition's name for people: postgres:market.quotes/1."""
        found = self.incident
        if found.sink is None or found.topic is None or found.part is None:
            return None
        return f"{found.sink}:{found.topic}/{found.part}"

    def is_called(self, name: str) -> bool:
        """Whether a person means it: its subject, id or partition."""
        return name in {self.incident.subject, self.incident.event_id, self.place}


def find_matters(stores: Mapping[str, Store]) -> list[Matter]:
    """All incidents that these stores know, newest first.

    Raises:
        StoreUnavailableError: A store does not answer.
    """
    opened: dict[str, Incident] = {}
    answers: dict[str, Incident] = {}
    known: dict[tuple[str, str], set[str]] = {}
    blocking: dict[tuple[str, str], StoredOffset] = {}
    for name, store in stores.items():
        for record in (*store.read_open_matters().incidents, *store.read_incidents()):
            if isinstance(record, Incident):
                (opened if record.state == OPEN else answers)[record.subject] = record
                known.setdefault((record.subject, record.state), set()).add(name)
        for row in store.read_offsets():
            if row.blocked_by is not None:
                blocking[(name, row.blocked_by)] = row
    matters = [
        Matter(
            incident=incident,
            stopped=blocking.get((incident.sink or "", incident.event_id)),
            answer=answers.get(subject),
            untold=frozenset(
                known[(subject, OPEN)] - known.get((subject, ACKNOWLEDGED), set())
                if subject in answers
                else ()
            ),
        )
        for subject, incident in opened.items()
    ]
    return sorted(matters, key=lambda matter: matter.incident.ts_ingest, reverse=True)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What acknowledging an incident does.

    Attributes:
        move: None where the load goes on where it stopped.
        effects: The same in words, a sentence each.
    """

    matter: Matter
    move: Move | None
    effects: tuple[str, ...]


def plan_answer(settings: Settings, store: Store | None, matter: Matter) -> Plan:
    """Plan the answer to an incident; nothing is written.

    Args:
        store: The one that the incident names; None for an incident of ingestion.

    Raises:
        KafkaUnavailableError, StoreUnavailableError: No answer; nothing can be planned.
        StoreRefusedError: The store's account contradicts its rows.
    """
    incident, stopped = matter.incident, matter.stopped
    if store is None:
        text = "it stops no load: that a person has seen it is published, nothing else changes"
        return Plan(matter=matter, move=None, effects=(text,))
    if stopped is None:
        text = f"it stops no partition of {store.sink} (any more): nothing else changes"
        return Plan(matter=matter, move=None, effects=(text,))
    bounds = _read_bounds(settings, stopped)
    target = find_target(incident, stopped, bounds)
    if target is None or target.next_offset == stopped.next_offset:
        text = f"{matter.place} goes on at offset {stopped.next_offset:,}, where it stopped"
        if bounds is None:
            text += "; Kafka no longer has this topic"
        move = None if target is None else _stay(stopped, target)
        return Plan(matter=matter, move=move, effects=(text,))
    moved = f"{matter.place} goes on at offset {target.next_offset:,}, not {stopped.next_offset:,}"
    if target.next_offset > stopped.next_offset:
        move = Move(next_offset=target.next_offset, max_ts_append=stopped.max_ts_append, lost=True)
        count = target.next_offset - stopped.next_offset
        lost = (
            f"offsets {stopped.next_offset:,} to {target.next_offset - 1:,} ({count:,}) are given "
            "up: load_batch calls them lost, and so does every audit"
        )
        return Plan(matter=matter, move=move, effects=(moved, lost))
    return _plan_return(store, matter, stopped, target, moved)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a partition goes on; see Move."""

    next_offset: int
    keeps_leader_epoch: bool = False


def find_target(incident: Incident, stopped: StoredOffset, bounds: Bounds | None) -> Target | None:
    """Where a stopped partition goes on, by the kind of its incident; None: where it stopped.

    Args:
        bounds: Of the partition now; None where Kafka no longer has it.
    """
    kind = IncidentKind(incident.kind)
    if bounds is None:
        return None
    if kind is IncidentKind.RETENTION_GAP:
        is_lost = bounds.low > stopped.next_offset
        return Target(next_offset=bounds.low) if is_lost else None
    if kind is IncidentKind.LOG_TRUNCATED:
        found = _BROKER_END.search(incident.message)
        end = -1 if found is None else int(found[1])
        if end >= 0:
            return Target(next_offset=min(end, stopped.next_offset), keeps_leader_epoch=True)
        return Target(next_offset=min(bounds.low, stopped.next_offset))
    if kind is IncidentKind.OFFSET_BEYOND_END:
        # the log may have grown since: what it holds above its end of then was never read
        found = _LOG_END.search(incident.message)
        ends = [bounds.high, stopped.next_offset, *([int(found[1])] if found else ())]
        return Target(next_offset=min(ends), keeps_leader_epoch=True)
    return None


def _stay(stopped: StoredOffset, target: Target) -> Move:
    return Move(
        next_offset=stopped.next_offset,
        max_ts_append=stopped.max_ts_append,
        keeps_leader_epoch=target.keeps_leader_epoch,
    )


def _plan_return(
    store: Store, matter: Matter, stopped: StoredOffset, target: Target, moved: str
) -> Plan:
    """Back to an offset that was stored already."""
    offset = target.next_offset
    batches = [b for b in store.read_load_batches(stopped.partition) if b.kind in _COVERING]
    above = [batch for batch in batches if batch.next_offset > offset]
    across = next((batch for batch in above if batch.first_offset < offset), None)
    cut = Cut(offset=offset)
    effects = [moved, f"offsets from {offset:,} on are used again; what was stored stays"]
    stored = sum(batch.stored.count for batch in above)
    if across is not None:
        feed = FEED_BY_NAME[matter.incident.feed or ""]
        cut = split(store, feed, across, offset)
        stored -= 0 if cut.below is None else cut.below.count
    effects.append(
        f"load_batch calls {len(above)} ranges ({stored:,} records) truncated, their sums are kept"
        + ("" if across is None else f"; one of them is split at {offset:,}")
    )
    waiting = store.read_quarantine(stopped.partition, first_offset=offset)
    entries = sum(1 for entry in waiting if entry.state != EntryState.TRUNCATED)
    if entries:
        effects.append(f"{entries:,} quarantine entries from {offset:,} on are kept as truncated")
    move = Move(
        next_offset=offset,
        max_ts_append=_find_max_append(stopped, batches, offset),
        keeps_leader_epoch=target.keeps_leader_epoch,
        cut=cut,
    )
    return Plan(matter=matter, move=move, effects=tuple(effects))


def split(store: Store, feed: Feed[Record], across: LoadBatch, offset: int) -> Cut:
    """What a range that reaches across stored on either side; both add up to what it says.

    The upper side is read from the rows by their arrival; rows that a replay brought out of
    quarantine are no part of it.

    Raises:
        StoreRefusedError: More is there than the range ever stored.
    """
    place = (across.partition, offset, across.next_offset)
    released = {
        entry.offset
        for entry in store.read_quarantine(
            across.partition, first_offset=offset, next_offset=across.next_offset
        )
        if entry.state == EntryState.RELEASED
    }
    above = store.sum_range(feed, *place)
    if released:
        rows = store.read_range(feed, *place)
        above -= sum_of([row.content_hash for row in rows if row.offset in released])
    below = across.stored - above
    if min(below.count, below.high, below.low) < 0:
        message = (
            f"{store.sink}: offsets {across.first_offset} to {across.next_offset - 1} of "
            f"{across.topic}/{across.partition.part} hold more rows from {offset} on than their "
            "load stored: `crypto-platform audit` says which; mend them first"
        )
        raise StoreRefusedError(message)
    return Cut(offset=offset, below=below, above=above)


def _find_max_append(stopped: StoredOffset, batches: Iterable[LoadBatch], offset: int) -> int:
    """The running maximum below an offset, to the hour, which is all that it decides."""
    hours = [batch.hour for batch in batches if batch.first_offset < offset]
    return min(max(hours, default=0), stopped.max_ts_append)


def _read_bounds(settings: Settings, stopped: StoredOffset) -> Bounds | None:
    """The partition's bounds; None where the topic is gone or another one under its name."""
    watermarks = Watermarks(settings)
    topic_id, parts = watermarks.read_topic_ids([stopped.topic]).get(stopped.topic, (None, 0))
    if topic_id != stopped.partition.topic_id or stopped.partition.part >= parts:
        return None
    part = Part(stopped.topic, stopped.partition.part)
    return watermarks.read_bounds([part])[part]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How an answer ended.

    Attributes:
        fact: As the store holds it, or as it was published; None where the partition has changed
            since the plan, and nothing was written.
        problem: Why platform.incidents was not told; the store's copy stands.
    """

    fact: Incident | None
    problem: str | None = None


def acknowledge(
    store: Store | None,
    plan: Plan,
    *,
    who: str,
    why: str,
    run_id: str,
    now_us: TimeUs,
    publish: Callable[[Incident], None],
) -> Answered:
    """Write an answer down as it was planned, then tell platform.incidents.

    Args:
        store: As in plan_answer.
        publish: Best effort where a store holds the fact, else the only thing that is done.

    Raises:
        StoreUnavailableError: Nothing was written.
        OutcomeUnknownError: The reply was lost; asking again tells.
        KafkaUnavailableError: Of an incident of ingestion: nothing was published.
    """
    matter = plan.matter
    incident = matter.incident
    fact = build_acknowledgement(incident, who=who, why=why, effects=plan.effects, ts_ingest=now_us)
    if store is None:
        publish(fact)
        return Answered(fact=fact)
    answer = Acknowledgement(
        fact=fact,
        incident_id=incident.event_id,
        stopped=matter.stopped,
        move=plan.move,
        run_id=run_id,
    )
    if not store.acknowledge(answer):
        return Answered(fact=None)
    [held] = store.read_facts(FEED_BY_NAME[INCIDENTS.name], [fact.event_id])
    # of a matter that came back the first answer's fact stays
    kept = held if isinstance(held, Incident) else fact
    return Answered(fact=kept, problem=tell(kept, publish))


def tell(fact: Incident, publish: Callable[[Incident], None]) -> str | None:
    """Publish what a store holds; returns why that failed."""
    try:
        publish(fact)
    except PlatformError as error:
        return str(error)
    return None

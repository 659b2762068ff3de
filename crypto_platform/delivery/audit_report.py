"""What an audit says: sums an hour, totals a feed, findings with examples, lag.

Here: the values, how findings are collected (bounded, with total counts) and what to type next. Not
here: how anything is found out (audit.py, audit_ranges.py, audit_batches.py).
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

import msgspec

from crypto_platform.delivery.reconciliation_report import Reconciliation
from crypto_platform.domain.hours import from_time_us, name_hour
from crypto_platform.stores.sums import EMPTY_SUM, Sum

EXAMPLES_MAX = 20
"""Examples and hours named by one finding; it counts all."""


class Fault(StrEnum):
    """What can be wrong; each makes an audit not whole."""

    MISSING = "missing"
    """Kafka has the record, the store neither holds nor quarantined it."""
    CHANGED = "changed"
    """A row has another content hash than its record in Kafka."""
    EXTRA = "extra"
    """A row names an arrival that is not this record, or that the store has not reached."""
    TWICE = "twice"
    """An id or an arrival stands in two rows, or in a row and in quarantine."""
    NOT_QUARANTINED = "not_quarantined"
    """A refused value, or another content under a stored id, is not in quarantine."""
    UNFOUNDED_QUARANTINE = "unfounded_quarantine"
    """An entry names no record, calls a repeat a conflict, or is released and not stored."""
    COLUMNS_CHANGED = "columns_changed"
    """Deep: the columns read back do not give the content hash, or have types no load writes."""
    HOLE = "hole"
    """load_batch leaves out offsets that kafka_offset calls stored."""
    OVERLAP = "overlap"
    """Two live ranges of load_batch hold the same offset."""
    SUM_DIFFERS = "sum_differs"
    """The rows of a range are not those that its loads stored."""
    BEYOND_END = "beyond_end"
    """The store has come further than Kafka's log reaches."""


_NEXT_STEPS: Mapping[Fault, str] = {
    Fault.MISSING: "replay these hours: in Dagster materialize these partitions of the store's "
    "load asset of this feed; what is there already is not touched",
    Fault.CHANGED: "find out who changed these rows; then, as the owner of the tables, delete them "
    "and replay their hours",
    Fault.EXTRA: "find out who wrote these rows; then delete them as the owner of the tables",
    Fault.TWICE: "find out which of the two is wrong and delete it as the owner of the tables",
    Fault.NOT_QUARANTINED: "replay these hours: it quarantines what it cannot store",
    Fault.UNFOUNDED_QUARANTINE: "compare the entries with Kafka's values; delete those that are "
    "wrong as the owner of the tables and replay their hours",
    Fault.COLUMNS_CHANGED: "find out who changed these rows; then, as the owner of the tables, "
    "delete them and replay their hours",
    Fault.HOLE: "run the audit once more; if it stays, bookkeeping was changed by hand or restored "
    "apart from its data",
    Fault.OVERLAP: "run the audit once more; if it stays, bookkeeping was changed by hand",
    Fault.SUM_DIFFERS: "compare the range with the other store; restore from the one that is whole",
    Fault.BEYOND_END: "find out what happened to Kafka's log; the next load stops with an incident",
}


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a finding."""

    event_id: str | None
    offset: int | None
    detail: str


class Finding(msgspec.Struct, kw_only=True):
    """One kind of fault in one store's partition.

    Attributes:
        records: How many; for ranges, how many of them.
        hours: Hours of append time concerned, as Dagster names partitions, EXAMPLES_MAX at most.
        examples: EXAMPLES_MAX at most, in order of offset.
    """

    kind: Fault
    feed: str
    store: str
    topic: str
    part: int
    records: int = 0
    hours: list[str] = []
    examples: list[Example] = []
    next_step: str


class KafkaCount(msgspec.Struct, frozen=True, kw_only=True):
    """What Kafka holds of a range.

    Attributes:
        records: Distinct ids, each where the stores say it first arrived.
        hash: Their order-free sum, see `format_hash`.
        refused: Values that are no record.
        read: All values, repeats included.
    """

    records: int
    hash: str
    refused: int
    read: int


class StoreCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds of a range.

    Attributes:
        records: Rows whose first arrival lies in the range.
        quarantined: Entries in any state.
        open_quarantined: Those of them that are neither released nor discarded.
        older_records: Rows from before Kafka's low watermark, audited by load_batch (totals only).
    """

    records: int
    hash: str
    quarantined: int
    open_quarantined: int = 0
    older_records: int = 0


class HourLine(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's part of one hour of append time.

    Attributes:
        hour: RFC 3339; None where nothing but transaction markers stands.
        kafka: None where retention has removed it: then load_batch was the judge.
        stores: Only those that have come to `next_offset`.
        problems: Records by kind of fault.
        settled: Nothing more can come into the hour: the last stable offset has passed its end.
    """

    feed: str
    topic: str
    part: int
    hour: str | None
    first_offset: int
    next_offset: int
    kafka: KafkaCount | None
    stores: Mapping[str, StoreCount]
    problems: Mapping[str, int]
    settled: bool
    ok: bool


class FeedTotal(msgspec.Struct, frozen=True, kw_only=True):
    """All hours of a feed."""

    kafka: KafkaCount
    stores: Mapping[str, StoreCount]


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a store is behind the last stable offsets, markers included; no part of the proof."""

    lag_records: int
    blocked_partitions: int


class LostRange(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets that retention removed before a store had read them; a person has acknowledged it.

    No fault of the store's rows, and no record of it is in there.
    """

    store: str
    topic: str
    part: int
    first_offset: int
    next_offset: int


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer.

    Attributes:
        whole: No finding: every record of the audited ranges is stored once or quarantined once,
            and accounts agree.
        behind: Stores that in the time they were given have not come to where Kafka ended when the
            audit began; empty where they were given none.
        audited_at, since: RFC 3339.
        lost: What is known to be lost; the audit is whole all the same.
        notes: What a person may want to know and that is no fault.
        reconciliation: Of users' accounts; None where the audit is of a part of the time, or of
            other feeds.
    """

    whole: bool
    deep: bool
    audited_at: str
    since: str | None
    seconds: float
    feeds: Mapping[str, FeedTotal]
    lag: Mapping[str, Lag]
    behind: list[str]
    findings: list[Finding]
    hours: list[HourLine]
    lost: list[LostRange]
    notes: list[str]
    reconciliation: Reconciliation | None = None

    @property
    def is_proved(self) -> bool:
        """Whole, and of all that Kafka had: a store that is empty and far behind proves nothing."""
        return self.whole and not self.behind

    def to_document(self) -> dict[str, object]:
        """For --json: a feed's stores stand beside its `kafka`."""
        document: dict[str, object] = msgspec.to_builtins(self)
        document["feeds"] = {
            name: {"kafka": total.kafka} | dict(total.stores) for name, total in self.feeds.items()
        }
        return msgspec.to_builtins(document)


def format_hash(total: Sum) -> str:
    """The order-free hash: 16 hexadecimal digits for each half's sum."""
    return f"{total.high:016x}{total.low:016x}"


def format_time(time_us: int) -> str:
    """RFC 3339, whole seconds."""
    return from_time_us(time_us).strftime("%Y-%m-%dT%H:%M:%SZ")


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, as a line of the full list."""

    kind: Fault
    store: str
    feed: str
    topic: str
    part: int
    offset: int | None
    event_id: str | None
    hour: str | None
    detail: str


class Listing:
    """Writes every fault to a file, a JSON object a line; a report names the first ones only.

    Any thread may write.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encode = msgspec.json.Encoder().encode
        self._lock = threading.Lock()

    def write(self, fact: Fact) -> None:
        """Add a line."""
        with self._lock:
            self._file.write(self._encode(fact) + b"\n")

    def tell(self) -> int:
        """Where the next line begins."""
        return self._file.tell()

    def go_back(self, place: int) -> None:
        """Forget the lines since then: what they tell of is audited anew."""
        self._file.seek(place)
        self._file.truncate()


class Findings:
    """Collects faults of one feed's partition: all are counted, the first are named."""

    def __init__(self, *, feed: str, topic: str, part: int, listing: Listing | None = None) -> None:
        self._feed = feed
        self._topic = topic
        self._part = part
        self._listing = listing
        self._found: dict[tuple[str, Fault], Finding] = {}

    def add(
        self,
        kind: Fault,
        store: str,
        *,
        detail: str,
        event_id: str | None = None,
        offset: int | None = None,
        hour: int | None = None,
    ) -> None:
        """Count one fault, name it while there is room, and list it."""
        finding = self._found.get((store, kind))
        if finding is None:
            finding = Finding(
                kind=kind,
                feed=self._feed,
                store=store,
                topic=self._topic,
                part=self._part,
                next_step=_NEXT_STEPS[kind],
            )
            self._found[store, kind] = finding
        finding.records += 1
        hour_name = name_hour(hour) if hour else None
        if len(finding.examples) < EXAMPLES_MAX:
            finding.examples.append(Example(event_id=event_id, offset=offset, detail=detail))
        if hour_name and len(finding.hours) < EXAMPLES_MAX and hour_name not in finding.hours:
            finding.hours.append(hour_name)
        if self._listing is not None:
            self._listing.write(
                Fact(
                    kind=kind,
                    store=store,
                    feed=self._feed,
                    topic=self._topic,
                    part=self._part,
                    offset=offset,
                    event_id=event_id,
                    hour=hour_name,
                    detail=detail,
                )
            )

    def counts(self) -> dict[Fault, int]:
        """Faults so far, by kind."""
        counts: dict[Fault, int] = {}
        for (_, kind), finding in self._found.items():
            counts[kind] = counts.get(kind, 0) + finding.records
        return counts

    def of(self, store: str) -> int:
        """Faults of one store so far."""
        return sum(f.records for (name, _), f in self._found.items() if name == store)

    def findings(self) -> list[Finding]:
        """In the order in which each kind was first met."""
        return list(self._found.values())


@dataclass(kw_only=True)
class StoreTally:
    """A StoreCount while it grows."""

    stored: Sum = EMPTY_SUM
    quarantined: int = 0
    open_quarantined: int = 0
    older_records: int = 0

    def count(self) -> StoreCount:
        """As it stands."""
        return StoreCount(
            records=self.stored.count,
            hash=format_hash(self.stored),
            quarantined=self.quarantined,
            open_quarantined=self.open_quarantined,
            older_records=self.older_records,
        )


@dataclass(kw_only=True)
class Tally:
    """An HourLine or a FeedTotal while it grows."""

    kafka: Sum = EMPTY_SUM
    refused: int = 0
    read: int = 0
    stores: dict[str, StoreTally] = field(default_factory=dict)

    def store(self, name: str) -> StoreTally:
        """The store's part."""
        return self.stores.setdefault(name, StoreTally())

    def add(self, other: "Tally") -> None:
        """Take over the other's counts."""
        self.kafka += other.kafka
        self.refused += other.refused
        self.read += other.read
        for name, more in other.stores.items():
            own = self.store(name)
            own.stored += more.stored
            own.quarantined += more.quarantined
            own.open_quarantined += more.open_quarantined
            own.older_records += more.older_records

    def count_kafka(self) -> KafkaCount:
        """Kafka's part as it stands."""
        return KafkaCount(
            records=self.kafka.count,
            hash=format_hash(self.kafka),
            refused=self.refused,
            read=self.read,
        )

    def count_stores(self) -> dict[str, StoreCount]:
        """The stores' parts as they stand."""
        return {name: tally.count() for name, tally in self.stores.items()}

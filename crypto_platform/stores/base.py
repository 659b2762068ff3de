"""What a store must be able to do; stores/postgres and stores/mongo do it.

Here: the values that delivery/ and a store exchange, and the protocol. Not here: SQL, BSON,
drivers. The protocol in prose is docs/exactly-once.md; in short: a *claim* raises a partition's
epoch and so fences the previous owner; a *commit* writes contiguous *slices* of many partitions
together with their next_offset in one transaction, or nothing. A store's implementation translates
its driver's errors into StoreUnavailableError (nothing was written), OutcomeUnknownError (ask the
offset row) and StoreRefusedError, and nothing else leaves it.
"""

import sys
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from crypto_platform.domain.hours import TimeUs
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.accounts import AccountEvent, Order, Wallet
from crypto_platform.feeds.api_keys import ApiKey
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.codec import Columns, to_columns
from crypto_platform.feeds.exchange_rates import ExchangeRates
from crypto_platform.feeds.feed import Projection, State
from crypto_platform.feeds.incidents import Incident
from crypto_platform.stores.candles import StoredCandles


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


class Arrival(NamedTuple):
    """A record and where it lies in Kafka; ts_append in microseconds."""

    record: Record
    offset: int
    ts_append: int


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Records and where they lie in Kafka, a column each: what a load handles by the thousand.

    Attributes:
        records: In order of offset.
        columns: The records' fields, in the feed's order: event_id, content_hash, …; empty where
            there is no record.
        keys: Their Kafka keys.
        offsets: Rising.
        ts_appends: Microseconds.
    """

    records: Sequence[Record] = ()
    columns: Columns = ()
    keys: Sequence[bytes | None] = ()
    offsets: Sequence[int] = ()
    ts_appends: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Arrival:
        return Arrival(self.records[index], self.offsets[index], self.ts_appends[index])

    @property
    def event_ids(self) -> Sequence[str]:
        """In order of offset."""
        return cast("Sequence[str]", self.columns[0] if self.columns else ())

    @property
    def content_hashes(self) -> Sequence[int]:
        """In order of offset."""
        return cast("Sequence[int]", self.columns[1] if self.columns else ())

    def named(self, feed: Feed[Record]) -> Mapping[str, Sequence[object]]:
        """The columns by field name."""
        names = [field.name for field in feed.fields]
        return dict(zip(names, self.columns or [()] * len(names), strict=True))

    def event_times(self, feed: Feed[Record]) -> Sequence[int]:
        """Those the source gave, in order of offset; microseconds."""
        place = feed.event_time_place
        column = () if place is None or not self.columns else self.columns[place]
        return [cast("int", time) for time in column if time is not None]

    def take(self, indexes: Sequence[int]) -> "Arrivals":
        """Only these, in the given order."""
        return Arrivals(
            records=[self.records[index] for index in indexes],
            columns=tuple(tuple([column[i] for i in indexes]) for column in self.columns),
            keys=[self.keys[index] for index in indexes],
            offsets=[self.offsets[index] for index in indexes],
            ts_appends=[self.ts_appends[index] for index in indexes],
        )


def build_arrivals(arrivals: Sequence[Arrival], *, feed: Feed[Record]) -> Arrivals:
    """The same as columns, for a few records in hand; keys are the feed's own."""
    records = [arrival.record for arrival in arrivals]
    return Arrivals(
        records=records,
        columns=to_columns(records),
        keys=[feed.key_of(record).encode() for record in records],
        offsets=[arrival.offset for arrival in arrivals],
        ts_appends=[arrival.ts_append for arrival in arrivals],
    )


class Refusal(NamedTuple):
    """A Kafka value that is no record, kept as it came."""

    offset: int
    ts_append: int
    reason: Reason
    error: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A contiguous range of one partition within one hour of append time.

    Several slices of one partition in a commit follow one another without a gap. `first_offset` is
    the next_offset the store has (or the previous slice leaves). Markers count: a slice may hold no
    record at all.

    Attributes:
        hour: First microsecond of the hour (running maximum of append times).
        max_ts_append: That running maximum at the end of the slice.
        leader_epoch: What the consumer's position said, None to keep the stored one.
        encoded: The arrivals as `Store.encode` has them ready; that store's own business.
    """

    claim: Claim
    hour: int
    first_offset: int
    next_offset: int
    max_ts_append: int
    leader_epoch: int | None
    arrivals: Arrivals = Arrivals()
    refusals: Sequence[Refusal] = ()
    encoded: object = None


def without_offsets(slice_: Slice, offsets: Collection[int]) -> Slice:
    """The same range without the records at these offsets."""
    own = enumerate(slice_.arrivals.offsets)
    kept = [index for index, offset in own if offset not in offsets]
    if len(kept) == len(slice_.arrivals):
        return slice_
    return replace(slice_, arrivals=slice_.arrivals.take(kept), encoded=None)


def describe_gap(slice_: Slice, next_offset: int) -> str:
    """Why a restored range that moves the offset is refused."""
    part = slice_.claim.partition.part
    return (
        f"{slice_.claim.topic}/{part}: a restored range begins at offset {slice_.first_offset}, "
        f"the store stands at {next_offset}: nothing was written, the same command plans it anew"
    )


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
class Outcome:
    """What one commit did.

    Attributes:
        fenced: Partitions whose claim was taken over; nothing of theirs was written.
        stored_records: Per feed name, rows or documents that are new.
        repeated_records: Same id, same content: already there.
        quarantined_records: Refusals and conflicts.
    """

    fenced: frozenset[TopicPart] = frozenset()
    stored_records: Mapping[str, int] = field(default_factory=dict[str, int])
    repeated_records: int = 0
    quarantined_records: int = 0


class StoredRecord(NamedTuple):
    """What the audit asks of a stored record: its content and its first arrival."""

    event_id: str
    content_hash: int
    topic_id: str
    part: int
    offset: int


class StoredContent(NamedTuple):
    """A stored record, and what its columns say when they are read back.

    Attributes:
        derived_hash: Content hash of the facts as they are stored; None where they cannot be read.
        problem: What of it no load writes (a wrong type, a date beside other microseconds), in
            words; None where all is right.
    """

    record: StoredRecord
    derived_hash: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """Count and order-free hash of a set of records.

    `high` and `low` add up the unsigned upper and lower 32 bits of content_hash apart.
    """

    count: int
    high: int
    low: int

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.count + other.count, self.high + other.high, self.low + other.low)

    def __sub__(self, other: "Sum") -> "Sum":
        return Sum(self.count - other.count, self.high - other.high, self.low - other.low)


EMPTY_SUM = Sum(0, 0, 0)


def sum_of(content_hashes: Sequence[int]) -> Sum:
    """The Sum of these content hashes (signed int64)."""
    # as an array its halves are there at once: measured 0.1 us a hash, by shifting 0.3
    halves = memoryview(array("q", content_hashes)).cast("B").cast("I")
    evens, odds = sum(halves[::2]), sum(halves[1::2])
    high, low = (odds, evens) if sys.byteorder == "little" else (evens, odds)
    return Sum(len(content_hashes), high, low)


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


class StoredColumn(NamedTuple):
    """A column of a table, or a key of a document.

    Attributes:
        kind: As the store names the type.
        field: The record's field it holds, None where it holds the arrival.
    """

    name: str
    kind: str
    nullable: bool
    field: str | None


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


class Market(NamedTuple):
    """What is traded where, as a feed's records say.

    Attributes:
        symbol: Unified, as the newest of them has it; None where unmapped.
    """

    venue: str
    venue_symbol: str
    symbol: str | None


def market_name(market: Market) -> tuple[str, str]:
    """By which markets are ordered."""
    return market.venue, market.venue_symbol


class Span(NamedTuple):
    """A stretch of time in microseconds: its begin inclusive, its end exclusive, None is open."""

    begins_us: int | None = None
    ends_us: int | None = None


ALWAYS = Span()

MARKET_PAGE_RECORDS = 10_000
"""In a page of `Store.read_market`: about 10 MB of trades."""


class AsOf(NamedTuple):
    """Whose last record is meant, and of when.

    Attributes:
        names: Of what, by the names in Feed.last_by.
        first_us, last_us: Between these two, both inclusive.
    """

    names: tuple[str, ...]
    first_us: int
    last_us: int


AS_OF_MAX = 5_000
"""In one statement of `Store.read_as_of`."""


class Whole(NamedTuple):
    """A state with all that belongs to it piece by piece: an order with its fills.

    Attributes:
        parts: By their sequence.
    """

    state: State
    parts: Sequence[State]


class StatesSum(NamedTuple):
    """So many states, and their sequences added up: what tells that one is missing or stale."""

    states: int
    sequences: int


class StatesAccount(NamedTuple):
    """States as they are there, and as the records of the same store tell them, at one moment."""

    there: StatesSum
    told: StatesSum


class TransactionsPage(NamedTuple):
    """Which of a user's transactions; see Store.read_transactions."""

    span: Span
    currency: str | None
    before_sequence: int | None
    records_max: int


class PostingSum(NamedTuple):
    """What all postings of a user to one account add up to, exactly."""

    user_id: str
    account: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """What a dump holds, all of one moment.

    Attributes:
        revision: Of the tables; empty where the store has no such thing.
        sums: Count and hash sum of each feed's records, by its name.
        next_offsets: By topic and partition: market.trades/3.
    """

    server_version: str
    revision: str
    sums: Mapping[str, Sum]
    next_offsets: Mapping[str, int]


class Dumper(Protocol):
    """One store as files, and back."""

    @property
    def sink(self) -> str:
        """Name in bookkeeping: postgres, mongo."""
        ...

    @property
    def replaces_at_once(self) -> bool:
        """Whether a `put_back` that is refused has changed nothing."""
        ...

    def read_version(self) -> str:
        """The server's, as it writes it."""
        ...

    def estimate_bytes(self) -> int:
        """About how large a dump will be at most."""
        ...

    def is_empty(self) -> bool:
        """Whether there is nothing that could be overwritten."""
        ...

    def dump(self, folder: Path, progress: Callable[[str], None]) -> Dumped:
        """Write everything of one moment into a folder that does not exist yet.

        Raises:
            StoreUnavailableError, StoreRefusedError: What is in the folder is of no use.
        """
        ...

    def read_sums(self) -> Mapping[str, Sum]:
        """Count and hash sum of each feed's records as they are now."""
        ...

    def put_back(
        self, folder: Path, names: Collection[str], progress: Callable[[str], None]
    ) -> None:
        """Replace everything by what `dump` wrote; no load sees half of it.

        Args:
            names: The files that were verified, by path within the folder; no other is read.
        """
        ...


class UserCount(NamedTuple):
    """A user's events as a store has them.

    Attributes:
        events: How many.
        last_user_sequence: The highest of the user's own numbers.
    """

    user_id: str
    events: int
    last_user_sequence: int


class Half(NamedTuple):
    """One user's half of a match; amounts as they are stored."""

    venue_symbol: str
    trade_id: str
    sequence: int
    user_id: str
    liquidity: str
    price: str
    quantity: str


class Store(Protocol):
    """One store as the loads, the audit and the readers see it. Not safe for several threads."""

    @property
    def sink(self) -> str:
        """Name in bookkeeping: postgres, mongo."""
        ...

    def ping(self) -> str:
        """Reach the server; returns its version.

        Raises:
            StoreUnavailableError: With what was tried.
        """
        ...

    def close(self) -> None:
        """Give back connections; the store may be used again afterwards."""
        ...

    def check_readable(self) -> None:
        """Refuse where a collection is missing that would answer every question with nothing.

        Raises:
            StoreRefusedError: With what is missing. Where a query is refused itself, never.
        """
        ...

    def read_offsets(self) -> list[StoredOffset]:
        """All rows of kafka_offset of this sink, in order of topic and partition."""
        ...

    def claim(
        self, partitions: Sequence[tuple[Feed[Record], str, TopicPart]], *, run_id: str
    ) -> list[Claim]:
        """Raise the epoch of each (feed, topic name, partition) that no incident blocks.

        Ends a previous owner that holds locks (its backend or session), so that a stopped writer
        delays its successor by about a second. A partition never seen starts at offset 0.
        """
        ...

    def encode(self, slice_: Slice) -> Slice:
        """The slice with its records as this store will send them; reaches no server.

        A load calls it ahead of the commit, from another thread; `commit` does it where nobody has.
        """
        ...

    def commit(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        """Write slices and their next_offset in one transaction (kind live).

        Fenced partitions are left out and named; the rest is committed. A record whose id is there
        with another hash is quarantined as a conflict (the lowest offset wins), one that is there
        with the same hash counts as repeated.

        Raises:
            StoreUnavailableError: Nothing was written.
            OutcomeUnknownError: The reply to COMMIT was lost: claim again and believe the store.
            StoreRefusedError: Nothing was written; `table` names what cannot be, where known.
        """
        ...

    def commit_replay(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        """Write slices again without claim and without moving next_offset (kind replay).

        Quarantined records that now load are marked released in the same transaction. A record
        whose entry is discarded is left out, also where it is discarded meanwhile.
        """
        ...

    def claim_restore(
        self, partitions: Sequence[tuple[Feed[Record], str, TopicPart]], *, run_id: str
    ) -> list[Claim]:
        """As `claim`, blocked partitions too, and keep all loads off until `end_restore`.

        A restore that was killed leaves its partitions so; the next one takes them over.
        """
        ...

    def commit_restore(
        self,
        slices: Sequence[Slice],
        *,
        run_id: str,
        kind: BatchKind = BatchKind.RESTORE,
        taken: TakenOver = NOTHING_TAKEN_OVER,
    ) -> Outcome:
        """Write slices of partitions that `claim_restore` claimed, in one transaction.

        Of each partition they lie either below its next_offset, and then say what they stored
        anew, or begin at it: then they move it, and their ranges say all that arrived in them, rows
        that were left over included.

        Args:
            slices: Of no partition both.
            run_id: Another one for ranges below than for those that move the offset.
            kind: restore, or lost for ranges that nobody has any more.
            taken: Written in the same transaction; what is there already stays as it is.
        """
        ...

    def end_restore(self, claim: Claim, *, blocked_by: str | None) -> bool:
        """Let loads have a restored partition again, or the incident that still stops it.

        False where another restore has taken it over.
        """
        ...

    def discard(self, partition: TopicPart, offsets: Sequence[int], *, note: str) -> list[int]:
        """Mark open entries discarded; returns which of these offsets were open, in order."""
        ...

    def block(self, claim: Claim, incident: Incident) -> bool:
        """Write the incident and blocked_by in one transaction; False if the claim was lost."""
        ...

    def acknowledge(self, answer: Acknowledgement) -> bool:
        """Write the fact and what it changes in one transaction, and let the partition go on.

        Raises the epoch, so that whoever still writes is fenced. False, and nothing is written,
        where the partition is no longer as the answer was planned. Where the fact is there already
        (the same matter came back) the first one stays.
        """
        ...

    def remove_before(self, feed: Feed[Record], before_us: TimeUs, *, run_id: str) -> int:
        """Remove a feed's records whose event is older; returns how many.

        In several transactions, each with `Removed` of what it takes away; killed or failed in
        between, what has gone stays gone, and the next call goes on.

        Args:
            feed: One that is partitioned by event time.
            before_us: The beginning of one of its partitions, more than a day ago.
            run_id: Written beside it.
        """
        ...

    def count_before(self, feed: Feed[Record], before_us: TimeUs) -> int:
        """How many records `remove_before` would remove."""
        ...

    # What the audit reads. Ranges are half open.
    def read_removed(self, partition: TopicPart) -> Sequence[Removed]:
        """What retention has removed of a partition, by first_offset and run_id."""
        ...

    def read_records(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[StoredRecord]:
        """The stored records among these ids, in any order; at most 10,000 ids a call."""
        ...

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        """Count and hash sum of the records whose first arrival lies in the range."""
        ...

    def read_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredRecord]:
        """The records whose first arrival lies in the range, streamed, by offset and event_id.

        Two with one offset are a fault, which the audit names alike in every store.
        """
        ...

    def read_contents(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredContent]:
        """As `read_range`, each with the content hash of its columns as they are stored."""
        ...

    def read_arrivals(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[Arrival]:
        """As `read_range`, the whole records as `read_facts` gives them, and when they arrived."""
        ...

    def read_repeated(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> list[StoredRecord]:
        """The records of the range under whose id there is another row, wherever it arrived."""
        ...

    def read_strays(
        self, feed: Feed[Record], known: Collection[TopicPart]
    ) -> Iterator[StoredRecord]:
        """The records whose first arrival lies in none of these partitions, streamed.

        Of the platform's own feeds one without any arrival is none: a load has written it, and
        Kafka has not brought it yet.
        """
        ...

    def read_quarantine(
        self,
        partition: TopicPart | None = None,
        *,
        first_offset: int = 0,
        next_offset: int | None = None,
    ) -> Iterator[QuarantineEntry]:
        """Quarantine entries (open ones and others), all or those of a range, by offset."""
        ...

    def read_load_batches(self, partition: TopicPart | None = None) -> Iterator[LoadBatch]:
        """load_batch rows, all or one partition's, by first_offset, kind, run, epoch and hour."""
        ...

    def read_facts(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[Record]:
        """The whole records as the store gives them back (deep audit, tests).

        Amounts in stored form, times in microseconds, so that they equal what was published.
        """
        ...

    # What people read.
    def estimate_records(self, feed: Feed[Record]) -> int | None:
        """About how many records of a feed are stored, at once; None where nobody knows yet."""
        ...

    def count_events(
        self, feed: Feed[Record], *, where: Mapping[str, str], start_us: int, end_us: int
    ) -> int:
        """How many stored records have these texts and an event time in [start, end).

        Args:
            feed: One whose records have an event time.
            where: Value by field name: venue, venue_symbol, interval.
        """
        ...

    def read_open_matters(self, *, incidents_max: int = 100) -> OpenMatters:
        """What waits for a person: open quarantine entries, open incidents."""
        ...

    def read_incidents(self, *, incidents_max: int = 1000) -> list[Record]:
        """The newest incidents, open and acknowledged facts alike, newest first."""
        ...

    def count_entries(self, wanted: EntryFilter) -> Mapping[EntryGroup, int]:
        """How many quarantine entries there are of each group."""
        ...

    def read_entries(self, wanted: EntryFilter, *, entries_max: int) -> list[QuarantineEntry]:
        """The newest quarantine entries, newest first."""
        ...

    def read_latest_quotes(
        self,
        currency_ids: Sequence[str] = (),
        *,
        records_max: int = 100,
        as_of_us: int | None = None,
    ) -> list[Record]:
        """The newest quote per source and currency, best market_cap_rank first.

        Args:
            currency_ids: The sources' own; empty is all.
            records_max: At most so many.
            as_of_us: What was received later is left out, so that this is what was known then.
        """
        ...

    def list_markets(self, feed: Feed[Record]) -> list[Market]:
        """What a venue's feed has records of, by venue and its symbol."""
        ...

    def read_newest(
        self,
        feed: Feed[Record],
        market: Market,
        span: Span = ALWAYS,
        *,
        records_max: int,
    ) -> list[Record]:
        """The newest trades or order books of a market by event time, newest first.

        Those of one microsecond stand in the order in which Kafka has them.
        """
        ...

    def read_market(
        self,
        feed: Feed[Record],
        market: Market,
        span: Span = ALWAYS,
        *,
        interval: Interval | None = None,
        newest: int | None = None,
        page_records: int = MARKET_PAGE_RECORDS,
    ) -> Iterator[Sequence[Record]]:
        """Trades, order books or candles of a market by event time, oldest first, page by page.

        Those of one microsecond stand in the order in which Kafka has them; of each candle its last
        revision. What is loaded meanwhile may be among them.

        Args:
            interval: Of candles, and only of them.
            newest: Only so many, the newest.
            page_records: In a page, at most.
        """
        ...

    def built_candles(self, market: Market) -> StoredCandles | None:
        """A market's candles made of trades; None where the store keeps none."""
        ...

    def read_instruments(self, source: str | None = None) -> list[Record]:
        """The last revision of all that sources list, or one does, by source, kind, native_id."""
        ...

    def read_as_of(self, feed: Feed[Record], wanted: Sequence[AsOf]) -> list[Record | None]:
        """The last record of each within its time, in the order asked; None where there is none.

        Of those of one microsecond the last in Kafka. A statement asks for AS_OF_MAX of them.
        """
        ...

    def read_exchange_rates(self, span: Span = ALWAYS) -> list[ExchangeRates]:
        """The last revision of each day, by source and day."""
        ...

    # What a user reads, and of one user only.
    def read_open_orders(self, user_id: str, *, records_max: int) -> list[Order]:
        """The orders that may still be filled, the newest first."""
        ...

    def read_order(self, user_id: str, order_id: str) -> Whole | None:
        """An order with its fills; None where this user has none of that id."""
        ...

    def read_wallets(self, user_id: str) -> list[Wallet]:
        """All wallets, by currency."""
        ...

    def read_transactions(
        self,
        user_id: str,
        span: Span = ALWAYS,
        *,
        currency: str | None = None,
        before_sequence: int | None = None,
        records_max: int,
    ) -> list[AccountEvent]:
        """A page of the user's events, the newest first.

        Args:
            span: Of event time.
            currency: Only those that touched this wallet.
            before_sequence: That of the last event of the page before.
        """
        ...

    def read_api_keys(self, user_id: str) -> list[ApiKey]:
        """What was said of the user's keys of the API, in any order."""
        ...

    # What the reconciliation reads.
    def read_states(self, feed: Feed[Record], projection: Projection) -> Iterator[Whole]:
        """All states of a projection, streamed in the order of their keys, byte by byte."""
        ...

    def sum_states(self, feed: Feed[Record], projection: Projection) -> StatesAccount:
        """How many states there are, and how many there should be; contents are not compared."""
        ...

    def read_sequences(self) -> Iterator[int]:
        """The company's numbers of all account events, in any order, streamed."""
        ...

    def sum_postings(self, *, through_sequence: int) -> Iterator[PostingSum]:
        """The sums of all postings up to an event, inclusive, by user, account and currency.

        Streamed in that order, byte by byte.
        """
        ...

    def count_user_events(self, *, through_sequence: int) -> Iterator[UserCount]:
        """How many events each user has up to one, inclusive; streamed by user, byte by byte."""
        ...

    def read_halves(self, *, through_sequence: int) -> Iterator[Half]:
        """All halves of matches up to an event, inclusive.

        Streamed by venue_symbol and trade_id, byte by byte, then by sequence.
        """
        ...

    def read_account_events(self, wanted: Sequence[tuple[str, int]]) -> list[AccountEvent]:
        """The events of these users and sequences that are there, in any order."""
        ...

"""What a store must be able to do; stores/postgres and stores/mongo do it.

Here: the protocol. Not here: the values it is said with (the modules beside), SQL, BSON, drivers.
The protocol in prose is docs/exactly-once.md; in short: a *claim* raises a partition's epoch and so
fences the previous owner; a *commit* writes contiguous *slices* of many partitions together with
their next_offset in one transaction, or nothing. A store's implementation translates its driver's
errors into StoreUnavailableError (nothing was written), OutcomeUnknownError (ask the offset row)
and StoreRefusedError, and nothing else leaves it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.accounts import AccountEvent, Order, Wallet
from crypto_platform.feeds.api_keys import ApiKey
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.exchange_rates import ExchangeRates
from crypto_platform.feeds.feed import Projection
from crypto_platform.feeds.incidents import Incident
from crypto_platform.stores.accounts import (
    Half,
    PostingSum,
    StatesAccount,
    ToldOrder,
    UserCount,
    Whole,
)
from crypto_platform.stores.batches import (
    NOTHING_TAKEN_OVER,
    BatchKind,
    LoadBatch,
    Removed,
    TakenOver,
)
from crypto_platform.stores.candles import StoredCandles
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.contents import StoredContent, StoredRecord
from crypto_platform.stores.market import ALWAYS, MARKET_PAGE_RECORDS, AsOf, Market, Span
from crypto_platform.stores.matters import (
    OPEN_INCIDENTS_MAX,
    Acknowledgement,
    EntryFilter,
    EntryGroup,
    OpenMatters,
    QuarantineEntry,
)
from crypto_platform.stores.slices import Arrival, Outcome, Slice
from crypto_platform.stores.sums import Sum


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

    def read_open_matters(self, *, incidents_max: int = OPEN_INCIDENTS_MAX) -> OpenMatters:
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

    def read_told_orders(self, *, through_sequence: int) -> Iterator[ToldOrder]:
        """The orders that events up to one, inclusive, tell of; streamed by id, byte by byte."""
        ...

    def read_halves(self, *, through_sequence: int) -> Iterator[Half]:
        """All halves of matches up to an event, inclusive.

        Streamed by venue_symbol and trade_id, byte by byte, then by sequence.
        """
        ...

    def read_account_events(self, wanted: Sequence[tuple[str, int]]) -> list[AccountEvent]:
        """The events of these users and sequences that are there, in any order."""
        ...

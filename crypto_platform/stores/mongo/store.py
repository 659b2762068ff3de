"""MongoStore: the Store protocol over the parts beside this file.

Here: which part does what, and that only errors of ours leave. Not here: any statement.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds import FEEDS, Feed, Record
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
    TransactionsPage,
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
from crypto_platform.stores.mongo import (
    accounts,
    answers,
    bookkeeping,
    claims,
    contents,
    markets,
    matters,
    reader,
    retention,
    schema,
)
from crypto_platform.stores.mongo.connection import Connection
from crypto_platform.stores.mongo.errors import translating
from crypto_platform.stores.mongo.pieces import encode
from crypto_platform.stores.mongo.writer import TRANSACTION_BYTES_MAX, Writer
from crypto_platform.stores.slices import Arrival, Outcome, Slice
from crypto_platform.stores.sums import Sum

READ_COLLECTIONS = frozenset(
    name
    for feed in FEEDS
    for name in (feed.collection, *(each.collection for each in feed.projections))
)


def read_clock_us() -> int:
    """This machine's clock, microseconds since 1970."""
    return time.time_ns() // 1000


class MongoStore:
    """A MongoDB replica set as a Store. Not safe for several threads.

    Attributes:
        transaction_bytes_max: A caller cuts its slices so that one commit's documents stay below.
    """

    transaction_bytes_max = TRANSACTION_BYTES_MAX

    def __init__(
        self,
        url: str,
        database: str,
        *,
        timeout_s: float = 15.0,
        clock_us: Callable[[], int] = read_clock_us,
        plain_text_hosts: Sequence[str] = (),
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: mongodb://…, of the role that is to act.
            database: Made by `migrate`.
            timeout_s: Longest wait for an answer, and for a commit to be tried again.
            clock_us: Stands in for the clock in tests.
            plain_text_hosts: Members beyond this machine that need no encryption.
        """
        self._connection = Connection(
            url, database, timeout_s=timeout_s, plain_text_hosts=plain_text_hosts
        )
        self._clock_us = clock_us
        self._writer = Writer(self._connection, clock_us=clock_us)

    @property
    def sink(self) -> str:
        """`mongo`."""
        return claims.SINK

    def ping(self) -> str:
        """Reach the server; returns its version."""
        with translating("ask for its version"):
            return str(self._connection.client.server_info()["version"])

    def close(self) -> None:
        """Give back session and connections; the next call makes new ones."""
        self._connection.close()

    def check_readable(self) -> None:
        """See Store."""
        with translating("look what is there"):
            claims.refuse_missing_collections(self._connection, READ_COLLECTIONS)

    def read_offsets(self) -> list[StoredOffset]:
        """See Store."""
        with translating("read offsets", table=claims.KAFKA_OFFSET):
            return claims.read_offsets(self._connection)

    def claim(
        self, partitions: Sequence[tuple[Feed[Record], str, TopicPart]], *, run_id: str
    ) -> list[Claim]:
        """See Store."""
        with translating(f"claim {len(partitions)} partitions", table=claims.KAFKA_OFFSET):
            claimed = claims.claim(
                self._connection, partitions, run_id=run_id, now_us=self._clock_us()
            )
        self._writer.note(claimed)
        return claimed

    def encode(self, slice_: Slice) -> Slice:
        """See Store."""
        return slice_ if slice_.encoded is not None else replace(slice_, encoded=encode(slice_))

    def commit(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        """See Store."""
        return self._writer.write(
            list(map(self.encode, slices)), run_id=run_id, kind=BatchKind.LIVE
        )

    def commit_replay(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        """See Store."""
        return self._writer.write(
            list(map(self.encode, slices)), run_id=run_id, kind=BatchKind.REPLAY
        )

    def claim_restore(
        self, partitions: Sequence[tuple[Feed[Record], str, TopicPart]], *, run_id: str
    ) -> list[Claim]:
        """See Store."""
        with translating(f"claim {len(partitions)} partitions", table=claims.KAFKA_OFFSET):
            claimed = claims.claim_restore(
                self._connection, partitions, run_id=run_id, now_us=self._clock_us()
            )
        self._writer.note(claimed)
        return claimed

    def commit_restore(
        self,
        slices: Sequence[Slice],
        *,
        run_id: str,
        kind: BatchKind = BatchKind.RESTORE,
        taken: TakenOver = NOTHING_TAKEN_OVER,
    ) -> Outcome:
        """See Store."""
        encoded = list(map(self.encode, slices))
        return self._writer.write(encoded, run_id=run_id, kind=kind, taken=taken)

    def end_restore(self, claim: Claim, *, blocked_by: str | None) -> bool:
        """See Store."""
        with translating("end a restore", table=claims.KAFKA_OFFSET):
            return claims.end_restore(
                self._connection, claim, blocked_by=blocked_by, now_us=self._clock_us()
            )

    def discard(self, partition: TopicPart, offsets: Sequence[int], *, note: str) -> list[int]:
        """See Store."""
        with translating("discard quarantine entries", table=bookkeeping.QUARANTINE):
            return answers.discard(self._connection, partition, offsets, note=note)

    def block(self, claim: Claim, incident: Incident) -> bool:
        """See Store. The incident's arrival stays empty until Kafka's copy of it is loaded."""
        connection = self._connection
        with translating("block a partition"), connection.transaction() as session:
            if not claims.block(session, connection, claim, incident_id=incident.event_id):
                return False
            answers.insert_unarrived(session, connection, incident)
            connection.commit(session)
        return True

    def acknowledge(self, answer: Acknowledgement) -> bool:
        """See Store. The fact's arrival stays empty until Kafka's copy of it is loaded."""
        with translating("acknowledge an incident"):
            return answers.acknowledge(self._connection, answer, now_us=self._clock_us())

    def remove_before(self, feed: Feed[Record], before_us: TimeUs, *, run_id: str) -> int:
        """See Store."""
        with translating("remove old records", table=feed.collection):
            return retention.remove_before(self._connection, feed, before_us, run_id=run_id)

    def count_before(self, feed: Feed[Record], before_us: TimeUs) -> int:
        """See Store."""
        with translating("count old records", table=feed.collection):
            return retention.count_before(self._connection, feed, before_us)

    def read_removed(self, partition: TopicPart) -> Sequence[Removed]:
        """See Store."""
        with translating("read what was removed", table=schema.REMOVED):
            return retention.read_removed(self._connection, partition)

    def read_records(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[StoredRecord]:
        """See Store."""
        with translating("read records", table=feed.collection):
            return reader.read_records(self._connection, feed, event_ids)

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        """See Store."""
        with translating("sum a range", table=feed.collection):
            return reader.sum_range(self._connection, feed, partition, first_offset, next_offset)

    def read_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredRecord]:
        """See Store."""
        with translating("read a range", table=feed.collection):
            yield from reader.read_range(
                self._connection, feed, partition, first_offset, next_offset
            )

    def read_contents(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredContent]:
        """See Store."""
        with translating("read contents", table=feed.collection):
            yield from contents.read_contents(
                self._connection, feed, partition, first_offset, next_offset
            )

    def read_arrivals(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[Arrival]:
        """See Store."""
        with translating("read records", table=feed.collection):
            yield from contents.read_arrivals(
                self._connection, feed, partition, first_offset, next_offset
            )

    def read_repeated(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> list[StoredRecord]:
        """See Store. An _id is unique, whatever rights somebody has."""
        del feed, partition, first_offset, next_offset
        return []

    def read_strays(
        self, feed: Feed[Record], known: Collection[TopicPart]
    ) -> Iterator[StoredRecord]:
        """See Store."""
        with translating("read strays", table=feed.collection):
            yield from reader.read_strays(self._connection, feed, known)

    def read_quarantine(
        self,
        partition: TopicPart | None = None,
        *,
        first_offset: int = 0,
        next_offset: int | None = None,
    ) -> Iterator[QuarantineEntry]:
        """See Store."""
        with translating("read the quarantine", table=bookkeeping.QUARANTINE):
            yield from bookkeeping.read_quarantine(
                self._connection, partition, first_offset=first_offset, next_offset=next_offset
            )

    def read_load_batches(self, partition: TopicPart | None = None) -> Iterator[LoadBatch]:
        """See Store."""
        with translating("read load batches", table=bookkeeping.LOAD_BATCH):
            yield from bookkeeping.read_load_batches(self._connection, partition)

    def read_facts(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[Record]:
        """See Store."""
        with translating("read facts", table=feed.collection):
            return reader.read_facts(self._connection, feed, event_ids)

    def estimate_records(self, feed: Feed[Record]) -> int | None:
        """See Store."""
        with translating("count records", table=feed.collection):
            return self._connection.collection(feed.collection).estimated_document_count()

    def count_events(
        self, feed: Feed[Record], *, where: Mapping[str, str], start_us: int, end_us: int
    ) -> int:
        """See Store."""
        with translating("count events", table=feed.collection):
            return reader.count_events(
                self._connection, feed, where=where, start_us=start_us, end_us=end_us
            )

    def read_open_matters(self, *, incidents_max: int = OPEN_INCIDENTS_MAX) -> OpenMatters:
        """See Store."""
        with translating("read open matters"):
            return matters.read_open_matters(self._connection, incidents_max=incidents_max)

    def read_incidents(self, *, incidents_max: int = 1000) -> list[Record]:
        """See Store."""
        with translating("read incidents"):
            return matters.read_incidents(self._connection, incidents_max=incidents_max)

    def count_entries(self, wanted: EntryFilter) -> Mapping[EntryGroup, int]:
        """See Store."""
        with translating("count the quarantine", table=bookkeeping.QUARANTINE):
            return matters.count_entries(self._connection, wanted)

    def read_entries(self, wanted: EntryFilter, *, entries_max: int) -> list[QuarantineEntry]:
        """See Store."""
        with translating("read the quarantine", table=bookkeeping.QUARANTINE):
            return matters.read_entries(self._connection, wanted, entries_max=entries_max)

    def read_latest_quotes(
        self,
        currency_ids: Sequence[str] = (),
        *,
        records_max: int = 100,
        as_of_us: int | None = None,
    ) -> list[Record]:
        """See Store."""
        with translating("read the latest quotes", table=markets.QUOTES.collection):
            return markets.read_latest_quotes(
                self._connection, currency_ids, records_max=records_max, as_of_us=as_of_us
            )

    def list_markets(self, feed: Feed[Record]) -> list[Market]:
        """See Store."""
        with translating("list markets", table=feed.collection):
            return markets.list_markets(self._connection, feed)

    def read_newest(
        self, feed: Feed[Record], market: Market, span: Span = ALWAYS, *, records_max: int
    ) -> list[Record]:
        """See Store."""
        with translating("read the newest records", table=feed.collection):
            return markets.read_newest(
                self._connection, feed, market, span, records_max=records_max
            )

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
        """See Store."""
        with translating("read a market", table=feed.collection):
            yield from markets.read_market(
                self._connection,
                feed,
                market,
                span,
                interval=interval,
                newest=newest,
                page_records=page_records,
            )

    def built_candles(self, market: Market) -> None:
        """See Store: what is derived has its home in PostgreSQL."""

    def read_instruments(self, source: str | None = None) -> list[Record]:
        """See Store."""
        with translating("read instruments", table=markets.INSTRUMENTS.collection):
            return markets.read_instruments(self._connection, source)

    def read_as_of(self, feed: Feed[Record], wanted: Sequence[AsOf]) -> list[Record | None]:
        """See Store."""
        with translating("read records as of a time", table=feed.collection):
            return markets.read_as_of(self._connection, feed, wanted)

    def read_exchange_rates(self, span: Span = ALWAYS) -> list[ExchangeRates]:
        """See Store."""
        with translating("read exchange rates", table=markets.EXCHANGE_RATES.collection):
            return markets.read_exchange_rates(self._connection, span)

    def read_open_orders(self, user_id: str, *, records_max: int) -> list[Order]:
        """See Store."""
        with translating("read orders"):
            return accounts.read_open_orders(self._connection, user_id, records_max=records_max)

    def read_order(self, user_id: str, order_id: str) -> Whole | None:
        """See Store."""
        with translating("read an order"):
            return accounts.read_order(self._connection, user_id, order_id)

    def read_wallets(self, user_id: str) -> list[Wallet]:
        """See Store."""
        with translating("read wallets"):
            return accounts.read_wallets(self._connection, user_id)

    def read_transactions(
        self,
        user_id: str,
        span: Span = ALWAYS,
        *,
        currency: str | None = None,
        before_sequence: int | None = None,
        records_max: int,
    ) -> list[AccountEvent]:
        """See Store."""
        page = TransactionsPage(span, currency, before_sequence, records_max)
        with translating("read transactions"):
            return accounts.read_transactions(self._connection, user_id, page)

    def read_api_keys(self, user_id: str) -> list[ApiKey]:
        """See Store."""
        with translating("read API keys"):
            return accounts.read_api_keys(self._connection, user_id)

    def read_states(self, feed: Feed[Record], projection: Projection) -> Iterator[Whole]:
        """See Store; see accounts.py."""
        _ = feed
        with translating("read states"):
            yield from accounts.read_states(self._connection, projection)

    def sum_states(self, feed: Feed[Record], projection: Projection) -> StatesAccount:
        """See Store."""
        with translating("add up states", table=projection.collection):
            return accounts.sum_states(self._connection, feed, projection)

    def read_sequences(self) -> Iterator[int]:
        """See Store."""
        with translating("read sequences"):
            yield from accounts.read_sequences(self._connection)

    def sum_postings(self, *, through_sequence: int) -> Iterator[PostingSum]:
        """See Store."""
        with translating("sum postings"):
            yield from accounts.sum_postings(self._connection, through_sequence=through_sequence)

    def count_user_events(self, *, through_sequence: int) -> Iterator[UserCount]:
        """See Store."""
        with translating("count users' events"):
            yield from accounts.count_user_events(
                self._connection, through_sequence=through_sequence
            )

    def read_told_orders(self, *, through_sequence: int) -> Iterator[ToldOrder]:
        """See Store."""
        with translating("read what events tell of orders"):
            yield from accounts.read_told_orders(
                self._connection, through_sequence=through_sequence
            )

    def read_halves(self, *, through_sequence: int) -> Iterator[Half]:
        """See Store."""
        with translating("read halves of matches"):
            yield from accounts.read_halves(self._connection, through_sequence=through_sequence)

    def read_account_events(self, wanted: Sequence[tuple[str, int]]) -> list[AccountEvent]:
        """See Store."""
        with translating("read account events"):
            return accounts.read_account_events(self._connection, wanted)

"""PostgresStore: the protocol of stores/base.py over one connection.

Here: which module answers which call. Not here: how (claims.py, writer.py, reader.py).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

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
from crypto_platform.stores.postgres import (
    accounts,
    answers,
    claims,
    markets,
    matters,
    reader,
    retention,
)
from crypto_platform.stores.postgres.analytics_reader import PostgresCandles
from crypto_platform.stores.postgres.bookkeeping import SINK
from crypto_platform.stores.postgres.encoded import encode_slice
from crypto_platform.stores.postgres.session import Session
from crypto_platform.stores.postgres.writer import Writer
from crypto_platform.stores.slices import Arrival, Outcome, Slice
from crypto_platform.stores.sums import Sum


class PostgresStore:
    """PostgreSQL as a Store; methods are documented there. Not safe for several threads."""

    def __init__(self, url: str, *, application_name: str = "crypto_platform") -> None:
        """Nothing is connected yet; the first call does that.

        Args:
            url: Of the role that loads (or, for reading only, of the analyst).
            application_name: What pg_stat_activity shows.
        """
        self._session = Session(url, application_name=application_name)
        self._writer = Writer(self._session)

    @property
    def sink(self) -> str:
        return SINK

    def ping(self) -> str:
        with self._session.autocommit() as connection:
            [(version,)] = connection.execute("SHOW server_version").fetchall()
        return f"PostgreSQL {version}"

    def close(self) -> None:
        self._session.close()
        self._writer.forget()

    def check_readable(self) -> None:
        """See Store: a query of a table that is missing is refused."""

    def read_offsets(self) -> list[StoredOffset]:
        return claims.read_offsets(self._session)

    def claim(
        self, partitions: Sequence[tuple[Feed[Record], str, TopicPart]], *, run_id: str
    ) -> list[Claim]:
        return claims.claim(self._session, partitions, run_id=run_id)

    def encode(self, slice_: Slice) -> Slice:
        return encode_slice(slice_)

    def commit(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        return self._writer.commit(list(map(encode_slice, slices)), run_id=run_id)

    def commit_replay(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        return self._writer.commit_replay(list(map(encode_slice, slices)), run_id=run_id)

    def claim_restore(
        self, partitions: Sequence[tuple[Feed[Record], str, TopicPart]], *, run_id: str
    ) -> list[Claim]:
        return claims.claim_restore(self._session, partitions, run_id=run_id)

    def commit_restore(
        self,
        slices: Sequence[Slice],
        *,
        run_id: str,
        kind: BatchKind = BatchKind.RESTORE,
        taken: TakenOver = NOTHING_TAKEN_OVER,
    ) -> Outcome:
        encoded = list(map(encode_slice, slices))
        return self._writer.commit_restore(encoded, run_id=run_id, kind=kind, taken=taken)

    def end_restore(self, claim: Claim, *, blocked_by: str | None) -> bool:
        return claims.end_restore(self._session, claim, blocked_by=blocked_by)

    def discard(self, partition: TopicPart, offsets: Sequence[int], *, note: str) -> list[int]:
        return answers.discard(self._session, partition, offsets, note=note)

    def block(self, claim: Claim, incident: Incident) -> bool:
        return claims.block(self._session, claim, incident)

    def acknowledge(self, answer: Acknowledgement) -> bool:
        return answers.acknowledge(self._session, answer)

    def remove_before(self, feed: Feed[Record], before_us: TimeUs, *, run_id: str) -> int:
        return retention.remove_before(self._session, feed, before_us, run_id=run_id)

    def count_before(self, feed: Feed[Record], before_us: TimeUs) -> int:
        return retention.count_before(self._session, feed, before_us)

    def read_removed(self, partition: TopicPart) -> Sequence[Removed]:
        return retention.read_removed(self._session, partition)

    def read_records(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[StoredRecord]:
        return reader.read_records(self._session, feed, event_ids)

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        return reader.sum_range(
            self._session, feed, partition, first_offset=first_offset, next_offset=next_offset
        )

    def read_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredRecord]:
        return reader.read_range(
            self._session, feed, partition, first_offset=first_offset, next_offset=next_offset
        )

    def read_contents(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[StoredContent]:
        return reader.read_contents(
            self._session, feed, partition, first_offset=first_offset, next_offset=next_offset
        )

    def read_arrivals(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Iterator[Arrival]:
        return reader.read_arrivals(
            self._session, feed, partition, first_offset=first_offset, next_offset=next_offset
        )

    def read_repeated(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> list[StoredRecord]:
        return reader.read_repeated(
            self._session, feed, partition, first_offset=first_offset, next_offset=next_offset
        )

    def read_strays(
        self, feed: Feed[Record], known: Collection[TopicPart]
    ) -> Iterator[StoredRecord]:
        return reader.read_strays(self._session, feed, known)

    def read_quarantine(
        self,
        partition: TopicPart | None = None,
        *,
        first_offset: int = 0,
        next_offset: int | None = None,
    ) -> Iterator[QuarantineEntry]:
        return reader.read_quarantine(
            self._session, partition, first_offset=first_offset, next_offset=next_offset
        )

    def read_load_batches(self, partition: TopicPart | None = None) -> Iterator[LoadBatch]:
        return reader.read_load_batches(self._session, partition)

    def read_facts(self, feed: Feed[Record], event_ids: Sequence[str]) -> list[Record]:
        return reader.read_facts(self._session, feed, event_ids)

    def estimate_records(self, feed: Feed[Record]) -> int | None:
        """See Store."""
        return reader.estimate_records(self._session, feed)

    def count_events(
        self, feed: Feed[Record], *, where: Mapping[str, str], start_us: int, end_us: int
    ) -> int:
        """See Store."""
        return reader.count_events(
            self._session, feed, where=where, start_us=start_us, end_us=end_us
        )

    def read_open_matters(self, *, incidents_max: int = OPEN_INCIDENTS_MAX) -> OpenMatters:
        return matters.read_open_matters(self._session, incidents_max=incidents_max)

    def read_incidents(self, *, incidents_max: int = 1000) -> list[Record]:
        return matters.read_incidents(self._session, incidents_max=incidents_max)

    def count_entries(self, wanted: EntryFilter) -> Mapping[EntryGroup, int]:
        return matters.count_entries(self._session, wanted)

    def read_entries(self, wanted: EntryFilter, *, entries_max: int) -> list[QuarantineEntry]:
        return matters.read_entries(self._session, wanted, entries_max=entries_max)

    def read_latest_quotes(
        self,
        currency_ids: Sequence[str] = (),
        *,
        records_max: int = 100,
        as_of_us: int | None = None,
    ) -> list[Record]:
        return markets.read_latest_quotes(
            self._session, currency_ids, records_max=records_max, as_of_us=as_of_us
        )

    def list_markets(self, feed: Feed[Record]) -> list[Market]:
        return markets.list_markets(self._session, feed)

    def read_newest(
        self, feed: Feed[Record], market: Market, span: Span = ALWAYS, *, records_max: int
    ) -> list[Record]:
        return markets.read_newest(self._session, feed, market, span, records_max=records_max)

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
        return markets.read_market(
            self._session,
            feed,
            market,
            span,
            interval=interval,
            newest=newest,
            page_records=page_records,
        )

    def built_candles(self, market: Market) -> PostgresCandles:
        """See Store."""
        return PostgresCandles(self._session, market)

    def read_instruments(self, source: str | None = None) -> list[Record]:
        return markets.read_instruments(self._session, source)

    def read_as_of(self, feed: Feed[Record], wanted: Sequence[AsOf]) -> list[Record | None]:
        """See Store."""
        return markets.read_as_of(self._session, feed, wanted)

    def read_exchange_rates(self, span: Span = ALWAYS) -> list[ExchangeRates]:
        """See Store."""
        return markets.read_exchange_rates(self._session, span)

    def read_open_orders(self, user_id: str, *, records_max: int) -> list[Order]:
        """See Store."""
        return accounts.read_open_orders(self._session, user_id, records_max=records_max)

    def read_order(self, user_id: str, order_id: str) -> Whole | None:
        """See Store."""
        return accounts.read_order(self._session, user_id, order_id)

    def read_wallets(self, user_id: str) -> list[Wallet]:
        """See Store."""
        return accounts.read_wallets(self._session, user_id)

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
        return accounts.read_transactions(self._session, user_id, page)

    def read_api_keys(self, user_id: str) -> list[ApiKey]:
        """See Store."""
        return accounts.read_api_keys(self._session, user_id)

    def read_states(self, feed: Feed[Record], projection: Projection) -> Iterator[Whole]:
        """See Store."""
        return accounts.read_states(self._session, feed, projection)

    def sum_states(self, feed: Feed[Record], projection: Projection) -> StatesAccount:
        """See Store."""
        return accounts.sum_states(self._session, feed, projection)

    def read_sequences(self) -> Iterator[int]:
        """See Store."""
        return accounts.read_sequences(self._session)

    def sum_postings(self, *, through_sequence: int) -> Iterator[PostingSum]:
        """See Store."""
        return accounts.sum_postings(self._session, through_sequence=through_sequence)

    def count_user_events(self, *, through_sequence: int) -> Iterator[UserCount]:
        """See Store."""
        return accounts.count_user_events(self._session, through_sequence=through_sequence)

    def read_told_orders(self, *, through_sequence: int) -> Iterator[ToldOrder]:
        """See Store."""
        return accounts.read_told_orders(self._session, through_sequence=through_sequence)

    def read_halves(self, *, through_sequence: int) -> Iterator[Half]:
        """See Store."""
        return accounts.read_halves(self._session, through_sequence=through_sequence)

    def read_account_events(self, wanted: Sequence[tuple[str, int]]) -> list[AccountEvent]:
        """See Store."""
        return accounts.read_account_events(self._session, wanted)

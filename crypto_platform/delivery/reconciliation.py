"""Reconcile users' accounts: every wallet is its postings is the company's own word, at one cut.

Here: what is read in which order. Not here: the comparisons (reconciliation_ledger.py,
reconciliation_orders.py), that each event is in each store (audit.py), the command (cli/audit.py).

The cut is the largest number C such that each store has the events 1 to C: what lies below it does
not change any more, so stores may load on meanwhile. All is streamed in the order of its keys and
compared side by side; memory holds one user at a time, and a bit for each event. Nothing is written
anywhere.

A number missing below one that is there is lost, or its partition is behind. The company's numbers
come to Kafka in order, so whoever has seen number N knows that all below N are in Kafka: a store
that has then come to the end of each partition and still lacks one has lost it.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, cast

from crypto_platform.delivery.audit_scene import LOOK_AGAIN_S, KafkaLog, Log
from crypto_platform.delivery.reconciliation_ledger import LedgerCheck, UserInStore
from crypto_platform.delivery.reconciliation_merge import group, merge
from crypto_platform.delivery.reconciliation_orders import (
    check_ahead,
    check_match,
    compare_order,
)
from crypto_platform.delivery.reconciliation_report import (
    CompanyAnswer,
    Discrepancy,
    Mismatches,
    Reconciliation,
    StoreAccounts,
)
from crypto_platform.delivery.reconciliation_sequences import Sequences
from crypto_platform.errors import ConfigurationError, SourceError
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS, WALLETS, Order, Wallet
from crypto_platform.feeds.projection import Projection
from crypto_platform.feeds.record import State
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import Settings
from crypto_platform.sources import explain_sources
from crypto_platform.sources.company_accounts import CompanyAccounts, OwnAccounts
from crypto_platform.stores.accounts import Half, PostingSum, ToldOrder, UserCount, Whole
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import TopicPart

CATCH_UP_S = 5.0
"""Longest wait, where a number is missing, for a store to come to the end of what Kafka had."""
AHEAD_STATES = 1_000
"""States above the cut that are looked up together."""
COMPANY_DIALECT = "company"


class Truth(Protocol):
    """The company as the reconciliation sees it; see sources/company_accounts.py."""

    @property
    def name(self) -> str:
        """Of the source."""
        ...

    def read_last_sequence(self) -> int:
        """How many events there are."""
        ...

    def read_totals(self, *, at_sequence: int) -> Mapping[tuple[str, str], Decimal]:
        """Sums by account and currency."""
        ...

    def read_wallets(self, *, at_sequence: int) -> Iterator[OwnAccounts]:
        """All users, by id."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


def reconcile(
    settings: Settings,
    stores: Mapping[str, Store],
    *,
    wait_s: float = CATCH_UP_S,
    log: Log | None = None,
    company: Truth | None = None,
) -> Reconciliation:
    """Reconcile all accounts of all stores, and compare them with the company where it answers.

    Args:
        stores: By sink; only read.
        wait_s: Longest wait for a store from which a number is missing.
        log: Stands in for Kafka in tests.
        company: Stands in for the settings' source in tests.

    Raises:
        StoreUnavailableError, StoreRefusedError, KafkaUnavailableError: Something does not answer;
            nothing is proved.
    """
    begun = time.monotonic()
    work = _Work(settings=settings, stores=stores, log=log or KafkaLog(settings))
    work.find_cut(wait_s=max(wait_s, CATCH_UP_S))
    answer = CompanyAnswer(compared=False, users=0, detail="there are no account events")
    if work.cut:
        answer = work.compare_users(company)
        work.compare_orders()
        work.check_matches()
    findings = work.mismatches.list_found()
    return Reconciliation(
        whole=not findings,
        through_event=work.cut,
        seconds=round(time.monotonic() - begun, 3),
        stores={name: tally.count() for name, tally in work.tallies.items()},
        company=answer,
        findings=findings,
        notes=work.notes,
    )


@dataclass(kw_only=True)
class _Tally:
    """A StoreAccounts while it grows."""

    newest_event: int = 0
    users: int = 0
    wallets: int = 0
    orders: int = 0
    matches: int = 0

    def count(self) -> StoreAccounts:
        return StoreAccounts(
            newest_event=self.newest_event,
            users=self.users,
            wallets=self.wallets,
            orders=self.orders,
            matches=self.matches,
        )


class _CompanyStream:
    """The company's users, as long as it answers."""

    def __init__(self, truth: Truth, cut: int) -> None:
        self.users = 0
        self.problem: SourceError | None = None
        self._truth = truth
        self._cut = cut

    def read(self) -> Iterator[tuple[str, OwnAccounts]]:
        """By user; ends early where an answer fails, and keeps why."""
        try:
            for own in self._truth.read_wallets(at_sequence=self._cut):
                self.users += 1
                yield own.user_id, own
        except SourceError as error:
            self.problem = error


@dataclass(kw_only=True)
class _Work:
    """One reconciliation."""

    settings: Settings
    stores: Mapping[str, Store]
    log: Log
    cut: int = 0
    mismatches: Mismatches = field(default_factory=Mismatches)
    notes: list[str] = field(default_factory=list[str])
    tallies: dict[str, _Tally] = field(default_factory=dict[str, _Tally])
    _ahead: dict[tuple[str, str], list[State]] = field(
        default_factory=dict[tuple[str, str], list[State]]
    )

    def find_cut(self, *, wait_s: float) -> None:
        """Read all numbers; what is missing for good is a mismatch."""
        found = {name: Sequences(store.read_sequences()) for name, store in self.stores.items()}
        newest = max((each.newest for each in found.values()), default=0)
        self.cut = min((each.find_contiguous() for each in found.values()), default=0)
        for name, numbers in found.items():
            self.tallies[name] = _Tally(newest_event=numbers.newest)
            if numbers.repeated:
                told = ", ".join(map(str, numbers.repeats))
                self.mismatches.add(
                    Discrepancy.EVENT_TWICE,
                    name,
                    records=numbers.repeated,
                    detail=f"each of these numbers is of two events: {told}",
                )
            if numbers.find_contiguous() < newest:
                self._judge_gaps(name, newest=newest, wait_s=wait_s)

    def _judge_gaps(self, name: str, *, newest: int, wait_s: float) -> None:
        store = self.stores[name]
        has_all = self._has_caught_up(store, wait_s=wait_s)
        gaps = list(Sequences(store.read_sequences()).find_gaps(through=newest))
        missing = sum(last - first + 1 for first, last in gaps)
        if not missing:
            return
        if not has_all:
            self.notes.append(
                f"{name} lags: {missing:,} events up to number {newest:,} are not there yet, the "
                f"first is {gaps[0][0]:,}"
            )
            return
        for first, last in gaps:
            self.mismatches.add(
                Discrepancy.EVENT_MISSING,
                name,
                records=last - first + 1,
                detail=f"event {first:,}" + (f" to {last:,}" if last > first else ""),
            )

    def _has_caught_up(self, store: Store, *, wait_s: float) -> bool:
        """Whether the store has come to where each partition of the feed ends now."""
        topic = topic_name(self.settings, ACCOUNT_EVENTS.topic)
        known = self.log.read_topic_ids([topic]).get(topic)
        if known is None:
            return True
        topic_id, partitions = known
        bounds = self.log.read_bounds([Part(topic, part) for part in range(partitions)])
        # the high watermark, not the last stable offset: a marker may still be on its way
        ends = {TopicPart(topic_id, part.part): each.high for part, each in bounds.items()}
        deadline = time.monotonic() + wait_s
        pause = threading.Event()
        while True:
            rows = {row.partition: row for row in store.read_offsets()}
            is_behind = any(
                end > (rows[partition].next_offset if partition in rows else 0)
                for partition, end in ends.items()
                if end
            )
            is_stopped = any(
                rows[partition].blocked_by is not None for partition in ends if partition in rows
            )
            if not is_behind or is_stopped or time.monotonic() >= deadline:
                return not is_behind
            pause.wait(LOOK_AGAIN_S)

    def compare_users(self, company: Truth | None) -> CompanyAnswer:
        """Wallets, postings and numbers of events, user by user, with the company beside them."""
        check = LedgerCheck(
            cut=self.cut,
            mismatches=self.mismatches,
            take_ahead=lambda store, wallet: self._take_ahead(store, WALLETS, wallet),
        )
        try:
            truth = company or find_company(self.settings)
        except ConfigurationError as error:
            truth = str(error)
        if isinstance(truth, str):
            self._walk_users(check, None)
            return CompanyAnswer(compared=False, users=0, detail=truth)
        with closing(truth):
            return self._compare_with(truth, check)

    def _compare_with(self, truth: Truth, check: LedgerCheck) -> CompanyAnswer:
        stream = _CompanyStream(truth, self.cut)
        totals: Mapping[tuple[str, str], Decimal] = {}
        try:
            last = truth.read_last_sequence()
            if last >= self.cut:
                totals = truth.read_totals(at_sequence=self.cut)
        except SourceError as error:
            self._walk_users(check, None)
            return CompanyAnswer(compared=False, users=0, detail=str(error))
        if last < self.cut:
            self._walk_users(check, None)
            self.mismatches.add(
                Discrepancy.COMPANY_DIFFERS,
                " and ".join(self.stores),
                detail=f"{self.cut:,} events are here, the company has {last:,}: it is another "
                f"one, or an older copy",
            )
            detail = f"{truth.name} has fewer events than the stores"
            return CompanyAnswer(compared=False, users=0, detail=detail)
        self._walk_users(check, stream)
        if stream.problem is not None:
            return CompanyAnswer(compared=False, users=stream.users, detail=str(stream.problem))
        check.check_totals(totals)
        return CompanyAnswer(compared=True, users=stream.users, detail=f"source {truth.name}")

    def _walk_users(self, check: LedgerCheck, company: _CompanyStream | None) -> None:
        names = list(self.stores)
        streams: list[Iterator[tuple[str, object]]] = []
        for store in self.stores.values():
            sums = store.sum_postings(through_sequence=self.cut)
            wallets = (whole.state for whole in store.read_states(ACCOUNT_EVENTS, WALLETS))
            counts = store.count_user_events(through_sequence=self.cut)
            streams += [group(sums, _user_of), group(wallets, _user_of), group(counts, _user_of)]
        streams.append(iter(()) if company is None else company.read())
        for user_id, values in merge(streams):
            found = {
                name: _as_user(*values[3 * place : 3 * place + 3])
                for place, name in enumerate(names)
            }
            for name, user in found.items():
                self.tallies[name].users += user.count is not None
                self.tallies[name].wallets += len(user.wallets)
            check.check_user(user_id, found)
            if company is not None and company.problem is None:
                own: OwnAccounts | None = values[-1]
                check.check_company(user_id, found, own)
        self._check_ahead(WALLETS)

    def compare_orders(self) -> None:
        """Orders with their fills, store by store, and what one store's events tell of them.

        Below the cut all stores have the same events, or that was found before.
        """
        names = list(self.stores)
        streams: list[Iterator[tuple[str, object]]] = [
            group(store.read_states(ACCOUNT_EVENTS, ORDERS), _order_of)
            for store in self.stores.values()
        ]
        told = self.stores[names[0]].read_told_orders(through_sequence=self.cut)
        streams.append((each.order_id, each) for each in told)
        for _, (*wholes, told_order) in merge(streams):
            found = {
                name: cast("list[Whole]", whole)[0] if whole else None
                for name, whole in zip(names, wholes, strict=True)
            }
            for name, whole in found.items():
                self.tallies[name].orders += whole is not None
            own = cast("ToldOrder | None", told_order)
            for name, state in compare_order(found, own, cut=self.cut, mismatches=self.mismatches):
                self._take_ahead(name, ORDERS, state)
        self._check_ahead(ORDERS)

    def check_matches(self) -> None:
        """Both halves of each match, in each store."""
        for name, store in self.stores.items():
            for _, halves in group(store.read_halves(through_sequence=self.cut), _match_of):
                self.tallies[name].matches += 1
                check_match(name, halves, cut=self.cut, mismatches=self.mismatches)

    def _take_ahead(self, name: str, projection: Projection, state: State) -> None:
        waiting = self._ahead.setdefault((name, projection.table), [])
        waiting.append(state)
        if len(waiting) >= AHEAD_STATES:
            self._check_ahead(projection)

    def _check_ahead(self, projection: Projection) -> None:
        for name, store in self.stores.items():
            states = self._ahead.pop((name, projection.table), [])
            if not states:
                continue
            wanted = [
                (state.user_id, state.sequence)
                for state in states
                if isinstance(state, Order | Wallet)
            ]
            events = store.read_account_events(wanted)
            check_ahead(name, projection, states, events, mismatches=self.mismatches)


def find_company(settings: Settings) -> CompanyAccounts | str:
    """The company that the account events come from, or why there is none to ask.

    Raises:
        ConfigurationError: A source's settings cannot work.
    """
    states = [each for each in explain_sources(settings) if each.dialect == COMPANY_DIALECT]
    asked = [each for each in states if each.enabled]
    if not asked:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in states)
        return reasons or f"no source of the dialect {COMPANY_DIALECT} is in the settings"
    if len(asked) > 1:
        names = ", ".join(each.name for each in asked)
        return f"several sources speak {COMPANY_DIALECT} ({names}); accounts are of one company"
    [state] = asked
    return CompanyAccounts(name=state.name, settings=settings.sources[state.name])


def _as_user(sums: object, wallets: object, counts: object) -> UserInStore:
    return UserInStore(
        sums=cast("list[PostingSum]", sums or []),
        wallets=cast("list[Wallet]", wallets or []),
        count=cast("list[UserCount]", counts)[0] if counts else None,
    )


def _user_of(value: PostingSum | UserCount | Wallet) -> str:
    return value.user_id


def _order_of(value: Whole) -> str:
    assert isinstance(value.state, Order)
    return value.state.order_id


def _match_of(value: Half) -> str:
    return f"{value.venue_symbol} {value.trade_id}"

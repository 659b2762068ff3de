"""Is a store's own account of one partition, load_batch, whole, and do its rows agree with it?

Here: live ranges, and those given up as lost, cover [0, next_offset) without hole or overlap; count
and hash sum of what each stored are those of the rows by first arrival. That is the proof for what
Kafka's retention has removed. Not here: the comparison with Kafka (audit_ranges.py), the judge
wherever it has the range.

A replay's row says what it stored anew: a record whose row had been deleted (then the live sum
counts it already) or one that was in quarantine (then it does not). So over a range that was
repaired the rows may be the live sum plus those of any of its replays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from crypto_platform.delivery.audit_ranges import FACTS_PER_CALL, check_columns
from crypto_platform.delivery.audit_report import Fault, Findings, format_hash
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.feed import build_event_id
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.stores.base import (
    EMPTY_SUM,
    BatchKind,
    LoadBatch,
    Store,
    StoredRecord,
    Sum,
    TopicPart,
)

REPAIRS_MAX = 8
"""Of one range that are tried in every combination; of more, all or none."""

READ_AGAIN_MAX = 3
"""A load extends its range while it is read; what is really missing is so again."""


@dataclass(kw_only=True)
class OldRange:
    """Whole live ranges of one hour that begin before the part compared with Kafka."""

    hour: int
    first_offset: int
    next_offset: int
    live: Sum = EMPTY_SUM
    repairs: list[Sum] = field(default_factory=list)


@dataclass(kw_only=True)
class Account:
    """One partition's load_batch.

    Attributes:
        old: What only these sums can prove, in order.
        fresh_first, fresh_next: The other live ranges that were complete when the audit began;
            empty where there is none.
        fresh: What they stored.
        is_repaired: A replay stored something in there.
        holes, overlaps, lost: Half-open offset ranges.
    """

    old: list[OldRange] = field(default_factory=list)
    fresh_first: int = 0
    fresh_next: int = 0
    fresh: Sum = EMPTY_SUM
    is_repaired: bool = False
    holes: list[tuple[int, int]] = field(default_factory=list)
    overlaps: list[tuple[int, int]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)


def read_account(
    store: Store, partition: TopicPart, *, compared_from: int, compared_to: int, next_offset: int
) -> Account:
    """Read a partition's account.

    Args:
        compared_from, compared_to: What is compared with Kafka, half open.
        next_offset: How far the store had come when the audit began.
    """
    for _ in range(READ_AGAIN_MAX - 1):
        account = build_account(store, partition, (compared_from, compared_to), next_offset)
        if not account.holes and not account.overlaps:
            return account
    return build_account(store, partition, (compared_from, compared_to), next_offset)


def build_account(
    store: Store, partition: TopicPart, compared: tuple[int, int], next_offset: int
) -> Account:
    """`read_account` without a second look."""
    repairs = [
        batch
        for batch in store.read_load_batches(partition)
        if batch.kind is BatchKind.REPLAY and batch.stored != EMPTY_SUM
    ]
    account = Account()
    fresh: list[LoadBatch] = []
    reached = 0
    covering = {BatchKind.LIVE, BatchKind.LOST}
    for batch in (b for b in store.read_load_batches(partition) if b.kind in covering):
        if batch.first_offset > reached:
            account.holes.append((reached, batch.first_offset))
        elif batch.first_offset < reached:
            account.overlaps.append((batch.first_offset, min(reached, batch.next_offset)))
        reached = max(reached, batch.next_offset)
        if batch.kind is BatchKind.LOST:
            account.lost.append((batch.first_offset, batch.next_offset))
        elif batch.first_offset < compared[0]:
            _add_old(account, batch, repairs)
        elif batch.next_offset <= min(compared[1], next_offset):
            fresh.append(batch)
    if reached < next_offset:
        account.holes.append((reached, next_offset))
    for old in account.old:
        own = (b for b in repairs if old.first_offset <= b.first_offset < old.next_offset)
        old.repairs = [batch.stored for batch in own]
    if fresh:
        account.fresh_first, account.fresh_next = fresh[0].first_offset, fresh[-1].next_offset
        account.fresh = sum((batch.stored for batch in fresh), EMPTY_SUM)
        account.is_repaired = any(batch.next_offset > account.fresh_first for batch in repairs)
    return account


def _add_old(account: Account, batch: LoadBatch, repairs: Sequence[LoadBatch]) -> None:
    last = account.old[-1] if account.old else None
    begins = last is None or (
        (batch.hour != last.hour or batch.first_offset != last.next_offset)
        # a replay that reaches across has to stay with all that it may have repaired
        and not any(b.first_offset < batch.first_offset < b.next_offset for b in repairs)
    )
    if last is None or begins:
        last = OldRange(
            hour=batch.hour, first_offset=batch.first_offset, next_offset=batch.next_offset
        )
        account.old.append(last)
    last.next_offset = max(last.next_offset, batch.next_offset)
    last.live += batch.stored


@dataclass(frozen=True, kw_only=True)
class AccountChecker:
    """Compares one partition's account with the rows of one store."""

    store: Store
    feed: Feed[Record]
    topic: str
    partition: TopicPart
    findings: Findings

    def check_cover(self, account: Account) -> list[str]:
        """Report holes and overlaps; returns notes on gaps that a person has acknowledged."""
        notes = [self._describe_lost(*lost) for lost in account.lost]
        for first_offset, next_offset in account.holes:
            if self._is_acknowledged(first_offset):
                notes.append(self._describe_lost(first_offset, next_offset))
                continue
            detail = f"no live range holds offsets {first_offset} to {next_offset - 1}"
            self.findings.add(Fault.HOLE, self.store.sink, offset=first_offset, detail=detail)
        for first_offset, next_offset in account.overlaps:
            detail = f"two live ranges hold offsets {first_offset} to {next_offset - 1}"
            self.findings.add(Fault.OVERLAP, self.store.sink, offset=first_offset, detail=detail)
        return notes

    def _describe_lost(self, first_offset: int, next_offset: int) -> str:
        return (
            f"{self.store.sink}: {self.topic}/{self.partition.part} lacks offsets "
            f"{first_offset} to {next_offset - 1}: retention removed them unread, which a "
            "person has acknowledged"
        )

    def check_old(self, old: OldRange, *, deep: bool) -> Sum:
        """Compare the rows of an old range with what its loads stored; returns the rows' sum."""
        found = self.store.sum_range(self.feed, self.partition, old.first_offset, old.next_offset)
        if found not in _possible_sums(old):
            detail = (
                f"offsets {old.first_offset} to {old.next_offset - 1}: the loads stored "
                f"{old.live.count} records ({format_hash(old.live)}), {found.count} are there "
                f"({format_hash(found)})"
            )
            self.findings.add(
                Fault.SUM_DIFFERS,
                self.store.sink,
                offset=old.first_offset,
                detail=detail,
                hour=old.hour,
            )
        if deep:
            self._check_columns(old)
        return found

    def check_fresh(self, account: Account, found: Sum) -> None:
        """Compare what the newer ranges say with rows that have just proved equal to Kafka.

        Where a replay repaired something the account may be right in too many ways to be worth it.
        """
        if account.is_repaired or found == account.fresh:
            return
        detail = (
            f"offsets {account.fresh_first} to {account.fresh_next - 1}: load_batch says "
            f"{account.fresh.count} records ({format_hash(account.fresh)}), {found.count} are "
            f"there and equal to Kafka ({format_hash(found)})"
        )
        self.findings.add(
            Fault.SUM_DIFFERS, self.store.sink, offset=account.fresh_first, detail=detail
        )

    def _check_columns(self, old: OldRange) -> None:
        rows = self.store.read_range(self.feed, self.partition, old.first_offset, old.next_offset)
        for page in _take_pages(rows):
            for fault, row, detail in check_columns(self.store, self.feed, page):
                self.findings.add(
                    fault,
                    self.store.sink,
                    event_id=row.event_id,
                    offset=row.offset,
                    detail=detail,
                    hour=old.hour,
                )

    def _is_acknowledged(self, first_offset: int) -> bool:
        """Whatever of the gap Kafka still has is compared anyway and found missing."""
        topic_id, part = self.partition
        kind = IncidentKind.RETENTION_GAP.value
        subject = f"{self.store.sink}/{self.topic}/{topic_id}/{part}/{kind}/{first_offset}"
        return bool(
            self.store.read_facts(
                FEED_BY_NAME[INCIDENTS.name], [build_event_id(subject, "acknowledged")]
            )
        )


def _possible_sums(old: OldRange) -> Iterator[Sum]:
    """What the rows may add up to; see the module's text."""
    if len(old.repairs) > REPAIRS_MAX:
        yield old.live
        yield sum(old.repairs, old.live)
        return
    for size in range(len(old.repairs) + 1):
        for some in combinations(old.repairs, size):
            yield sum(some, old.live)


def _take_pages(rows: Iterator[StoredRecord]) -> Iterator[list[StoredRecord]]:
    """The rows in lists that read_facts takes."""
    page: list[StoredRecord] = []
    for row in rows:
        page.append(row)
        if len(page) == FACTS_PER_CALL:
            yield page
            page = []
    if page:
        yield page

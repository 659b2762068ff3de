"""Is a store's own account of one partition, load_batch, whole, and do its rows agree with it?

Here: live ranges cover [0, next_offset) without hole or overlap; count and hash sum of what each
stored are those of the rows by first arrival. That is the proof for what Kafka's retention has
removed. Not here: the comparison with Kafka (audit_ranges.py), the judge wherever it has the range.

What the kinds of range mean for it:

- *live* covers its offsets, and its rows are there.
- *replay* and *restore* say what they stored anew: a record whose row had been deleted (then the
  live sum counts it already) or one that was in quarantine or never loaded (then it does not). So
  over a range that was repaired the rows may be the live sum plus those of any of its repairs.
- a *restore* of what a store had lost wholly covers offsets that no live range holds: there its
  sums are those of the rows, as a live range's are. The truncated ranges it took over say only
  where rows of a log that was cut may lie; their rows are in the restore's own sums.
- *lost* covers offsets without records: retention removed them unread, and a person has said so.
  A restore over it brings them back.
- *truncated* was live until Kafka's log was cut. Its offsets are used again, by live ranges that
  cover them anew; its rows have stayed. So there the rows are the sum of both, whatever Kafka has.

What retention has removed of a range (Store.read_removed) is taken off what the range has stored.

A record that came out of quarantine is in no live sum, so rows without it add up as well: of older
ranges its entry says that it has to be there.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge

from crypto_platform.delivery.audit_chunks import VALUE_BYTES_MAX
from crypto_platform.delivery.audit_ranges import IDS_PER_CALL, judge_content
from crypto_platform.delivery.audit_removed import Removals
from crypto_platform.delivery.audit_report import Fault, Findings, LostRange, format_hash
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import decode_batch
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import BatchKind, LoadBatch
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.sums import EMPTY_SUM, Sum

REPAIRS_MAX = 14
"""Of one range that are tried in every combination; of more, all or none."""

USED_AGAIN_TRIES_MAX = 5

READ_AGAIN_MAX = 3
"""A load extends its range while it is read; what is really missing is so again."""


@dataclass(kw_only=True)
class SummedRange:
    """A range of offsets whose rows are proved by what the loads wrote down.

    Attributes:
        certain: What the rows add up to at least.
        repairs: What may have been added to that.
    """

    hour: int
    first_offset: int
    next_offset: int
    certain: Sum = EMPTY_SUM
    repairs: list[Sum] = field(default_factory=list[Sum])

    def overlaps(self, batch: LoadBatch) -> bool:
        """Whether they share an offset."""
        return batch.first_offset < self.next_offset and self.first_offset < batch.next_offset

    def add(self, batch: LoadBatch) -> None:
        """Take in a range whose rows are there for certain."""
        self.first_offset = min(self.first_offset, batch.first_offset)
        self.next_offset = max(self.next_offset, batch.next_offset)
        self.certain += batch.stored


@dataclass(kw_only=True)
class Account:
    """One partition's load_batch.

    Attributes:
        old: What only these sums can prove, in order: whole live ranges of one hour each.
        used_again: Where Kafka's log was cut: truncated ranges with the live ones over them.
        truncated: Half-open offset ranges in which rows of the log before may stand.
        fresh: The other live ranges that were complete when the audit began, as one; empty where
            there is none.
        is_blurred: Too many repairs have stored rows in there, or one in there and beyond, or
            offsets in there are used again: the fresh rows may be right in too many ways.
        removed: What retention has taken away of all ranges; the sums here are without it.
        first_hour: Of the last range that begins before the part compared with Kafka.
        holes, overlaps, lost: Half-open offset ranges.
    """

    old: list[SummedRange] = field(default_factory=list[SummedRange])
    used_again: list[SummedRange] = field(default_factory=list[SummedRange])
    truncated: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    fresh: SummedRange = field(
        default_factory=lambda: SummedRange(hour=0, first_offset=0, next_offset=0)
    )
    is_blurred: bool = False
    first_hour: int = 0
    removed: Removals = field(default_factory=Removals)
    holes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    overlaps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    lost: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def sums_up(self, first_offset: int, next_offset: int, *, is_whole: bool) -> bool:
        """Whether a range's rows are compared with what its loads stored.

        Args:
            is_whole: The older ranges are.
        """
        fresh = self.fresh
        if fresh.first_offset <= first_offset and next_offset <= fresh.next_offset:
            return not self.is_blurred
        others = [*self.used_again, *(self.old if is_whole else ())]
        return any(
            each.first_offset <= first_offset and next_offset <= each.next_offset for each in others
        )


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
    # live ranges are many, others few
    others = [
        batch
        for batch in store.read_load_batches(partition)
        if batch.kind is not BatchKind.LIVE
        and (batch.kind is not BatchKind.REPLAY or batch.stored != EMPTY_SUM)
    ]
    account = Account(removed=Removals(store.read_removed(partition)))
    _note_truncated(account, others)
    lost = [batch for batch in others if batch.kind is BatchKind.LOST]
    restores = [batch for batch in others if batch.kind is BatchKind.RESTORE]
    repairs = [
        batch
        for batch in others
        if batch.kind in {BatchKind.REPLAY, BatchKind.RESTORE} and batch.stored != EMPTY_SUM
    ]
    account.lost = _leave_out_restored(
        lost, [batch for batch in restores if batch.stored != EMPTY_SUM]
    )
    live = (b for b in store.read_load_batches(partition) if b.kind is BatchKind.LIVE)
    cover = merge(live, lost, restores, key=lambda batch: batch.first_offset)
    alone = restores
    fresh: list[LoadBatch] = []
    for batch in _walk_cover(account, cover, next_offset):
        alone = [each for each in alone if not _overlap(each, batch)]
        if batch.first_offset < compared[0]:
            account.first_hour = max(account.first_hour, batch.hour)
        if any(each.overlaps(batch) for each in account.used_again):
            _join(account, batch)
        elif batch.first_offset < compared[0]:
            _add_old(account, batch, repairs)
        elif batch.next_offset <= min(compared[1], next_offset):
            fresh.append(batch)
    for batch in alone:
        if any(each.overlaps(batch) for each in account.used_again):
            _join(account, batch)
    account.old += _build_restored(
        [batch for batch in alone if not any(each.overlaps(batch) for each in account.used_again)]
    )
    for each in (*account.old, *account.used_again):
        own = (b for b in repairs if each.first_offset <= b.first_offset < each.next_offset)
        each.repairs = [batch.stored for batch in own if batch not in alone]
        each.certain -= account.removed.sum_between(each.first_offset, each.next_offset)
    if fresh:
        _sum_fresh(account, fresh, others)
    return account


def _sum_fresh(account: Account, live: Sequence[LoadBatch], others: Sequence[LoadBatch]) -> None:
    account.fresh = fresh = _begin(live[0])
    for batch in live[1:]:
        fresh.add(batch)
    fresh.certain -= account.removed.sum_between(fresh.first_offset, fresh.next_offset)
    for batch in others:
        if batch.kind is BatchKind.LOST or not fresh.overlaps(batch):
            continue
        if batch.kind is BatchKind.RESTORE and batch.stored == EMPTY_SUM:
            continue
        fresh.repairs.append(batch.stored)
        is_inside = (
            fresh.first_offset <= batch.first_offset and batch.next_offset <= fresh.next_offset
        )
        account.is_blurred |= batch.kind is BatchKind.TRUNCATED or not is_inside
    account.is_blurred |= len(fresh.repairs) > REPAIRS_MAX


def _walk_cover(
    account: Account, cover: Iterable[LoadBatch], next_offset: int
) -> Iterator[LoadBatch]:
    """Note holes and overlaps on the way; yields the live ranges.

    A restore may lie over any number of live ranges that it repaired.
    """
    reached = reached_by_loads = 0
    for batch in cover:
        if batch.first_offset > reached:
            account.holes.append((reached, batch.first_offset))
        if batch.first_offset < reached_by_loads and batch.kind is BatchKind.LIVE:
            account.overlaps.append((batch.first_offset, min(reached_by_loads, batch.next_offset)))
        reached = max(reached, batch.next_offset)
        if batch.kind is not BatchKind.RESTORE:
            reached_by_loads = max(reached_by_loads, batch.next_offset)
        if batch.kind is BatchKind.LIVE:
            yield batch
    if reached < next_offset:
        account.holes.append((reached, next_offset))


def _note_truncated(account: Account, others: Sequence[LoadBatch]) -> None:
    for batch in others:
        if batch.kind is not BatchKind.TRUNCATED:
            continue
        account.truncated.append((batch.first_offset, batch.next_offset))
        if any(each.overlaps(batch) for each in account.used_again):
            _join(account, batch)
        else:
            account.used_again.append(_begin(batch))


def _join(account: Account, batch: LoadBatch) -> None:
    """Add a range to those it overlaps, which become one."""
    first, *more = [each for each in account.used_again if each.overlaps(batch)]
    for each in more:
        first.next_offset = max(first.next_offset, each.next_offset)
        first.certain += each.certain
        account.used_again.remove(each)
    first.add(batch)


def _begin(batch: LoadBatch) -> SummedRange:
    return SummedRange(
        hour=batch.hour,
        first_offset=batch.first_offset,
        next_offset=batch.next_offset,
        certain=batch.stored,
    )


def _build_restored(alone: Sequence[LoadBatch]) -> list[SummedRange]:
    """Restores over no live range: there the rows are theirs alone."""
    ranges: list[SummedRange] = []
    for batch in alone:
        if ranges and ranges[-1].overlaps(batch):
            ranges[-1].add(batch)
        else:
            ranges.append(_begin(batch))
    return ranges


def _overlap(one: LoadBatch, other: LoadBatch) -> bool:
    return one.first_offset < other.next_offset and other.first_offset < one.next_offset


def _leave_out_restored(
    lost: Sequence[LoadBatch], restores: Sequence[LoadBatch]
) -> list[tuple[int, int]]:
    """The pieces of lost ranges over which there was no restore."""
    pieces: list[tuple[int, int]] = []
    for batch in lost:
        first_offset = batch.first_offset
        for restore in restores:
            if restore.next_offset <= first_offset or restore.first_offset >= batch.next_offset:
                continue
            if restore.first_offset > first_offset:
                pieces.append((first_offset, restore.first_offset))
            first_offset = restore.next_offset
        if first_offset < batch.next_offset:
            pieces.append((first_offset, batch.next_offset))
    return pieces


def _add_old(account: Account, batch: LoadBatch, repairs: Sequence[LoadBatch]) -> None:
    last = account.old[-1] if account.old else None
    if last is not None and (
        (batch.hour == last.hour and batch.first_offset == last.next_offset)
        # a repair that reaches across has to stay with all that it may have repaired
        or any(b.first_offset < batch.first_offset < b.next_offset for b in repairs)
    ):
        last.add(batch)
    else:
        account.old.append(_begin(batch))


@dataclass(frozen=True, kw_only=True)
class AccountChecker:
    """Compares one partition's account with the rows of one store."""

    store: Store
    feed: Feed[Record]
    topic: str
    partition: TopicPart
    findings: Findings

    def check_cover(self, account: Account) -> list[LostRange]:
        """Report holes and overlaps; returns what is lost and a person knows of."""
        for first_offset, next_offset in account.holes:
            detail = f"no live range holds offsets {first_offset} to {next_offset - 1}"
            self.findings.add(Fault.HOLE, self.store.sink, offset=first_offset, detail=detail)
        for first_offset, next_offset in account.overlaps:
            detail = f"two live ranges hold offsets {first_offset} to {next_offset - 1}"
            self.findings.add(Fault.OVERLAP, self.store.sink, offset=first_offset, detail=detail)
        return [
            LostRange(
                store=self.store.sink,
                topic=self.topic,
                part=self.partition.part,
                first_offset=first_offset,
                next_offset=next_offset,
            )
            for first_offset, next_offset in account.lost
        ]

    def check_old(self, old: SummedRange, removed: Removals, *, kafka_from: int, deep: bool) -> Sum:
        """Compare the rows of a range with what its loads stored; returns the rows' sum.

        Args:
            removed: What retention has taken away of the partition.
            kafka_from: From which offset on the records are compared with Kafka as well.
        """
        found = self._sum(old)
        if found not in list_possible_sums(old):
            self._report(old, found)
        self._check_released(old, removed, next_offset=min(old.next_offset, kafka_from))
        if deep:
            self._check_columns(old)
        return found

    def check_used_again(self, account: Account, read_again: Callable[[], Account]) -> list[str]:
        """Compare the rows at offsets that were used twice with what both their loads stored.

        The last such range grows while a load goes on: sum and account have to be of one moment.

        Returns:
            Notes on ranges that never stood still.
        """
        notes: list[str] = []
        for _ in range(USED_AGAIN_TRIES_MAX):
            wrong = [
                (each, found)
                for each in account.used_again
                if (found := self._sum(each)) not in list_possible_sums(each)
            ]
            if not wrong:
                return notes
            before, account = account, read_again()
            if account.used_again == before.used_again:
                for each, found in wrong:
                    self._report(each, found)
                return notes
        first_offset = account.used_again[-1].first_offset
        notes.append(
            f"{self.store.sink}: {self.topic}/{self.partition.part} is loaded while it is audited; "
            f"rows from offset {first_offset} on, where Kafka's log was cut, are not proved"
        )
        return notes

    def _sum(self, each: SummedRange) -> Sum:
        return self.store.sum_range(self.feed, self.partition, each.first_offset, each.next_offset)

    def _report(self, each: SummedRange, found: Sum) -> None:
        detail = (
            f"offsets {each.first_offset} to {each.next_offset - 1}: the loads stored "
            f"{each.certain.count} records ({format_hash(each.certain)}), less what retention "
            f"removed; {found.count} are there ({format_hash(found)})"
        )
        self.findings.add(
            Fault.SUM_DIFFERS,
            self.store.sink,
            offset=each.first_offset,
            detail=detail,
            hour=each.hour,
        )

    def check_fresh(self, account: Account, found: Sum) -> None:
        """Compare what the newer ranges say with rows that have just proved equal to Kafka."""
        fresh = account.fresh
        if account.is_blurred or found in list_possible_sums(fresh):
            return
        detail = (
            f"offsets {fresh.first_offset} to {fresh.next_offset - 1}: load_batch says "
            f"{fresh.certain.count} records ({format_hash(fresh.certain)}), less what retention "
            f"removed; {found.count} are there and equal to Kafka ({format_hash(found)})"
        )
        self.findings.add(
            Fault.SUM_DIFFERS, self.store.sink, offset=fresh.first_offset, detail=detail
        )

    def _check_released(self, old: SummedRange, removed: Removals, *, next_offset: int) -> None:
        """What came out of quarantine is stored, or old enough for retention to have taken it."""
        entries = [
            entry
            for entry in self.store.read_quarantine(
                self.partition, first_offset=old.first_offset, next_offset=next_offset
            )
            if entry.state == EntryState.RELEASED
        ]
        for start in range(0, len(entries), IDS_PER_CALL):
            self._check_stored(old, entries[start : start + IDS_PER_CALL], removed)

    def _check_stored(
        self, old: SummedRange, entries: Sequence[QuarantineEntry], removed: Removals
    ) -> None:
        values = [entry.value for entry in entries]
        found = decode_batch(self.feed, values, record_bytes_max=VALUE_BYTES_MAX)
        ids = [record.event_id for record in found.records]
        stored = {row.event_id for row in self.store.read_records(self.feed, ids)}
        for place, record in zip(found.places, found.records, strict=True):
            offset = entries[place].offset
            cut, event_us = removed.find_cut(offset), self.feed.event_time_of(record)
            if record.event_id in stored or (cut and event_us is not None and event_us < cut):
                continue
            self.findings.add(
                Fault.MISSING,
                self.store.sink,
                event_id=record.event_id,
                offset=offset,
                detail="released from quarantine, but not stored",
                hour=old.hour,
            )

    def _check_columns(self, old: SummedRange) -> None:
        place = (self.feed, self.partition, old.first_offset, old.next_offset)
        for content in self.store.read_contents(*place):
            if wrong := judge_content(content):
                self.findings.add(
                    Fault.COLUMNS_CHANGED,
                    self.store.sink,
                    event_id=content.record.event_id,
                    offset=content.record.offset,
                    detail=wrong,
                    hour=old.hour,
                )
        for row in self.store.read_repeated(*place):
            self.findings.add(
                Fault.TWICE,
                self.store.sink,
                event_id=row.event_id,
                offset=row.offset,
                detail="another row has this id",
                hour=old.hour,
            )


def list_possible_sums(summed: SummedRange) -> Collection[Sum]:
    """What the rows may add up to; see the module's text."""
    if len(summed.repairs) > REPAIRS_MAX:
        return {summed.certain, sum(summed.repairs, summed.certain)}
    sums = {summed.certain}
    for repair in summed.repairs:
        sums |= {each + repair for each in sums}
    return sums

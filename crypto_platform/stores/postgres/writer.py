"""One commit: slices of many partitions and feeds in one transaction, or nothing.

Order, for live loads: lock the offset rows, leave out whom a later claim has fenced, move the
offsets, write the facts and their states feed by feed, then quarantine, load_batch and touched,
COMMIT. The offset moves in the transaction of its data, so a kill at any point leaves both or
neither. Here: that order and the account of what became of each record. Not here: SQL (facts.py,
states.py, bookkeeping.py).
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from crypto_platform.crash_points import reach
from crypto_platform.errors import StoreRefusedError
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.batches import NOTHING_TAKEN_OVER, BatchKind, TakenOver
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.postgres import bookkeeping, reader, states
from crypto_platform.stores.postgres.bookkeeping import Refused, Tally
from crypto_platform.stores.postgres.encoded import encode_slice
from crypto_platform.stores.postgres.facts import FactWriter, Fate
from crypto_platform.stores.postgres.partitions import Partitions
from crypto_platform.stores.postgres.session import Connection, Session
from crypto_platform.stores.slices import Outcome, Slice, describe_gap


@dataclass(kw_only=True)
class _Account:
    """What one commit did.

    Attributes:
        tallies: By partition and hour: two slices of one hour share a load_batch row.
    """

    tallies: dict[tuple[TopicPart, int], Tally] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    touched: dict[str, set[tuple[bytes, int]]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    loaded_offsets: dict[TopicPart, set[int]] = field(default_factory=dict)

    def open(self, slice_: Slice) -> None:
        """Count the slice's range and what never was a record."""
        tally = self.tallies.setdefault(
            (slice_.claim.partition, slice_.hour),
            Tally(
                topic=slice_.claim.topic,
                claim=slice_.claim,
                hour=slice_.hour,
                first_offset=slice_.first_offset,
                next_offset=slice_.next_offset,
            ),
        )
        tally.next_offset = slice_.next_offset
        tally.quarantined += len(slice_.refusals)
        self.refused += [
            Refused(claim=slice_.claim, refusal=refusal, event_id=None)
            for refusal in slice_.refusals
        ]

    def take(self, feed: Feed[Record], fate: Fate) -> None:
        """Count what became of a slice's records."""
        slice_ = fate.slice
        tally = self.tallies[(slice_.claim.partition, slice_.hour)]
        tally.stored += fate.sum
        tally.repeated += len(fate.repeated)
        tally.quarantined += len(fate.refused)
        self.stored[feed.name] = self.stored.get(feed.name, 0) + len(fate.stored)
        if feed.notes_hours:
            self.touched.setdefault(feed.name, set()).update(fate.touched)
        for index, reason, error in fate.refused:
            arrival = slice_.arrivals[index]
            refusal = bookkeeping.refuse(feed, arrival, reason=reason, error=error)
            self.refused.append(
                Refused(claim=slice_.claim, refusal=refusal, event_id=arrival.record.event_id)
            )

    def note_loaded(self, fate: Fate) -> None:
        """Remember which offsets are records now; a replay releases their quarantine entries."""
        offsets = fate.slice.arrivals.offsets
        loaded = self.loaded_offsets.setdefault(fate.slice.claim.partition, set())
        loaded |= {offsets[index] for index in (*fate.stored, *fate.repeated)}

    def outcome(self, fenced: frozenset[TopicPart]) -> Outcome:
        """The account in the caller's terms."""
        return Outcome(
            fenced=fenced,
            stored_records=self.stored,
            repeated_records=sum(tally.repeated for tally in self.tallies.values()),
            quarantined_records=sum(tally.quarantined for tally in self.tallies.values()),
        )


class Writer:
    """Commits and replays on one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._facts = FactWriter()
        self._partitions = Partitions(session)

    def forget(self) -> None:
        """Know nothing any more of what is in the database."""
        self._partitions.forget()

    def commit(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        """See Store.commit."""
        by_partition = _by_partition(slices)
        self._partitions.ensure(slices)
        with self._session.transaction() as connection:
            held = bookkeeping.lock_offsets(connection, by_partition.keys())
            fenced = frozenset(
                partition
                for partition, own in by_partition.items()
                if held.get(partition) != (own[0].claim.epoch, own[0].first_offset)
            )
            live = {key: own for key, own in by_partition.items() if key not in fenced}
            bookkeeping.move_offsets(connection, [own[-1] for own in live.values()])
            reach("after_offset_update")
            flat = [slice_ for own in live.values() for slice_ in own]
            account = self._write(connection, flat, run_id=run_id, kind=BatchKind.LIVE)
            reach("before_commit")
        reach("after_commit")
        return account.outcome(fenced)

    def commit_replay(self, slices: Sequence[Slice], *, run_id: str) -> Outcome:
        """See Store.commit_replay."""
        flat = [slice_ for own in _by_partition(slices).values() for slice_ in own]
        self._partitions.ensure(slices)
        with self._session.transaction() as connection:
            flat = list(map(encode_slice, bookkeeping.leave_out_discarded(connection, flat)))
            account = self._write(connection, flat, run_id=run_id, kind=BatchKind.REPLAY)
        return account.outcome(frozenset())

    def commit_restore(
        self, slices: Sequence[Slice], *, run_id: str, kind: BatchKind, taken: TakenOver
    ) -> Outcome:
        """See Store.commit_restore."""
        by_partition = _by_partition(slices)
        self._partitions.ensure(slices)
        with self._session.transaction() as connection:
            held = bookkeeping.lock_offsets(connection, by_partition.keys())
            own_by_key = {
                key: own
                for key, own in by_partition.items()
                if key in held and held[key][0] == own[0].claim.epoch
            }
            ahead = {
                key: own for key, own in own_by_key.items() if own[-1].next_offset > held[key][1]
            }
            for key, own in ahead.items():
                if own[0].first_offset != held[key][1]:
                    raise StoreRefusedError(describe_gap(own[0], held[key][1]))
            bookkeeping.move_offsets(connection, [own[-1] for own in ahead.values()])
            reach("after_offset_update")
            flat = [slice_ for own in own_by_key.values() for slice_ in own]
            flat = list(map(encode_slice, bookkeeping.leave_out_discarded(connection, flat)))
            account = self._write(
                connection, flat, run_id=run_id, kind=kind, whole=ahead.keys(), taken=taken
            )
            if own_by_key:
                feed_of = {key: own[0].claim.feed for key, own in own_by_key.items()}
                bookkeeping.take_over(connection, taken, feed_of=feed_of)
            reach("before_commit")
        reach("after_commit")
        return account.outcome(frozenset(by_partition.keys() - own_by_key.keys()))

    def _write(
        self,
        connection: Connection,
        slices: Sequence[Slice],
        *,
        run_id: str,
        kind: BatchKind,
        whole: Collection[TopicPart] = (),
        taken: TakenOver = NOTHING_TAKEN_OVER,
    ) -> _Account:
        """Everything but the offsets; slices of a partition by rising offset.

        Args:
            whole: Partitions whose ranges account for all that arrived in them, see
                Store.commit_restore.
            taken: What is part of such a range's account.
        """
        account = _Account()
        for slice_ in slices:
            account.open(slice_)
        is_replay = kind is not BatchKind.LIVE
        for feed, own in _by_feed(slices):
            look_up = kind is BatchKind.REPLAY
            fates = self._facts.write(connection, feed, own, look_up=look_up)
            states.write(connection, feed, fates, is_replay=is_replay)
            for fate in fates:
                account.take(feed, fate)
                if is_replay:
                    account.note_loaded(fate)
        for tally in account.tallies.values():
            if tally.claim.partition in whole:
                _account_for_all(connection, tally, taken)
        reach("after_copy")
        with connection.pipeline():  # one round trip for all
            bookkeeping.quarantine(connection, account.refused, run_id=run_id, kind=kind)
            bookkeeping.add_batches(connection, account.tallies.values(), run_id=run_id, kind=kind)
            bookkeeping.touch(connection, account.touched)
        if is_replay:
            _release(connection, slices, account.loaded_offsets)
        return account


def _account_for_all(connection: Connection, tally: Tally, taken: TakenOver) -> None:
    """Rows that were left over arrived in the range too, and removed ones once did."""
    place = (tally.claim.partition, tally.first_offset, tally.next_offset)
    if tally.repeated:
        tally.stored = reader.sum_arrived(connection, tally.claim.feed, *place)
    tally.stored += taken.sum_removed(*place)


def _release(
    connection: Connection, slices: Sequence[Slice], loaded: Mapping[TopicPart, set[int]]
) -> None:
    for partition, own in sorted(_by_partition(slices).items()):
        bookkeeping.release(
            connection,
            partition,
            first_offset=own[0].first_offset,
            next_offset=own[-1].next_offset,
            loaded_offsets=loaded.get(partition, set()),
        )


def _by_partition(slices: Sequence[Slice]) -> dict[TopicPart, list[Slice]]:
    """Slices of each partition by rising offset; they must follow one another."""
    grouped: dict[TopicPart, list[Slice]] = {}
    for slice_ in sorted(slices, key=lambda s: (s.claim.partition, s.first_offset)):
        grouped.setdefault(slice_.claim.partition, []).append(slice_)
    for own in grouped.values():
        for before, after in itertools.pairwise(own):
            assert before.next_offset == after.first_offset, "slices of a partition have a gap"
    return grouped


def _by_feed(slices: Sequence[Slice]) -> list[tuple[Feed[Record], list[Slice]]]:
    """The slices of each feed that hold records, feeds in an order that every writer uses."""
    grouped: dict[str, tuple[Feed[Record], list[Slice]]] = {}
    for slice_ in slices:
        if slice_.arrivals:
            feed = slice_.claim.feed
            grouped.setdefault(feed.name, (feed, []))[1].append(slice_)
    return [grouped[name] for name in sorted(grouped)]

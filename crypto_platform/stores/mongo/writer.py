"""Slices -> one transaction, or nothing.

Here: the order of statements, and what to do again when one of them fails. Not here: the statements
on kafka_offset (claims.py), records (records.py), quarantine and load_batch (bookkeeping.py).

A transaction first moves the offsets, which fences (only a write does), then inserts records
without looking: the first arrival is the common case. In MongoDB any failed statement ends the
transaction, so what it taught is kept and the transaction begun again from the offsets:

    a claim does not hold      -> without its partition (Outcome.fenced)
    an id is there already     -> this collection takes the look-up way now and for a while
    a document breaks a rule   -> it goes to quarantine; too many of them: StoreRefusedError
    a write conflict, a killed session, an election -> the same again, until the deadline

The look-up way asks for all ids first: three times the work of the server, but it ends.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bson.binary import Binary
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.crash_points import reach
from crypto_platform.errors import StoreRefusedError, StoreUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import Projection
from crypto_platform.stores.batches import NOTHING_TAKEN_OVER, BatchKind, TakenOver
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.mongo import bookkeeping, claims, reader, records, states
from crypto_platform.stores.mongo.connection import Connection, Retry
from crypto_platform.stores.mongo.errors import (
    DOCUMENT_INVALID,
    DUPLICATE_KEY,
    is_transient,
    translating,
)
from crypto_platform.stores.mongo.pieces import (
    Piece,
    Tally,
    count,
    count_refused,
    count_sorted,
    order_slices,
)
from crypto_platform.stores.mongo.records import InsertFailedError
from crypto_platform.stores.slices import Outcome, Slice
from crypto_platform.stores.sorting import LOOK_UP_COMMITS, sort_out

TRANSACTION_BYTES_MAX = 32 * 1024 * 1024
"""What a caller should not exceed: a longer transaction may outlive the server's limit."""
INVALID_DOCUMENTS_MAX = 100
"""A commit with more documents that break a rule is refused whole: loader and schema disagree."""


@dataclass(kw_only=True)
class _Attempt:
    """One transaction's pieces and what it did with them so far.

    Attributes:
        taken, whole: Of a restore; `whole` are partitions whose ranges account for all that
            arrived in them, see Store.commit_restore.
    """

    pieces: list[Piece]
    run_id: str
    kind: BatchKind
    now_us: int
    taken: TakenOver = NOTHING_TAKEN_OVER
    whole: frozenset[TopicPart] = frozenset()
    tallies: dict[Piece, Tally] = field(default_factory=dict)

    @property
    def is_restore(self) -> bool:
        """Whether it writes under `claim_restore`."""
        return self.kind in {BatchKind.RESTORE, BatchKind.LOST}

    def groups(self) -> Iterator[tuple[Feed[Record], list[Piece]]]:
        """The pieces of each feed, in order."""
        ordered = sorted(self.pieces, key=lambda piece: piece.feed.collection)
        for _, group in itertools.groupby(ordered, key=lambda piece: piece.feed.collection):
            pieces = list(group)
            yield pieces[0].feed, pieces


class _ClaimLostError(Exception):
    """Ends an attempt whose offsets could not be moved."""


class Writer:
    """Commits of one store. Remembers which collections take the look-up way."""

    def __init__(self, connection: Connection, *, clock_us: Callable[[], int]) -> None:
        """`clock_us` gives microseconds since 1970."""
        self._connection = connection
        self._clock_us = clock_us
        self._look_ups_left: dict[str, int] = {}
        self._claimed_with: dict[TopicPart, Binary] = {}

    def note(self, claimed: Iterable[Claim]) -> None:
        """Remember with which session partitions were claimed."""
        lsid = self._connection.lsid
        self._claimed_with |= {claim.partition: lsid for claim in claimed}

    def write(
        self,
        slices: Sequence[Slice],
        *,
        run_id: str,
        kind: BatchKind,
        taken: TakenOver = NOTHING_TAKEN_OVER,
    ) -> Outcome:
        """Write slices as one transaction, leaving out partitions whose claim does not hold.

        Raises:
            StoreUnavailableError: Nothing was written.
            OutcomeUnknownError: The reply to commitTransaction was lost.
            StoreRefusedError: Nothing was written.
        """
        pieces: list[Piece] = [Piece(each) for each in order_slices(slices)]
        fenced: set[TopicPart] = set()
        retry = Retry(within_s=self._connection.timeout_s)
        with translating(f"commit {len(slices)} slices"):
            self._register_session([each.claim for each in slices])
            while pieces:
                attempt = _Attempt(
                    pieces=pieces, run_id=run_id, kind=kind, now_us=self._clock_us(), taken=taken
                )
                lost = self._try(attempt, retry)
                if lost is None:
                    self._count_down(attempt)
                    return _build_outcome(attempt, fenced)
                fenced |= lost
                pieces = [p for p in pieces if p.slice.claim.partition not in lost]
        return Outcome(fenced=frozenset(fenced))

    def _try(self, attempt: _Attempt, retry: Retry) -> frozenset[TopicPart] | None:
        """One attempt: None if it was committed, else what the next leaves out (maybe nothing).

        Raises:
            StoreUnavailableError: Nothing new was learnt until the deadline.
        """
        cause: Exception
        try:
            self._run(attempt)
        except _ClaimLostError as lost_claim:
            find = claims.find_restore_fenced if attempt.is_restore else claims.find_fenced
            lost = find(self._connection, [p.slice for p in attempt.pieces])
            if lost:
                return lost
            cause = lost_claim
        except InsertFailedError as failure:
            if self._learn(failure, attempt):
                return frozenset()
            cause = failure
        except OperationFailure as error:
            # others may have stored a state since our snapshot
            if not is_transient(error) and error.code != DUPLICATE_KEY:
                raise
            cause = error
        else:
            return None
        if retry.is_over:
            message = f"other transactions kept in the way of this commit: {cause}"
            raise StoreUnavailableError(message) from cause
        retry.pause()
        return frozenset()

    def _register_session(self, held: Sequence[Claim]) -> None:
        """After `close` the session is another than at the claim: let a successor know it."""
        lsid = self._connection.lsid
        strange = [each for each in held if self._claimed_with.get(each.partition) != lsid]
        if strange:
            claims.register_session(self._connection, strange)
            self.note(strange)

    def _run(self, attempt: _Attempt) -> None:
        """One transaction from the claim check to its end."""
        connection = self._connection
        with connection.transaction() as session:
            self._hold(session, attempt)
            if attempt.kind is not BatchKind.LIVE:
                bookkeeping.leave_out_discarded(session, connection, attempt.pieces)
            reach("after_offset_update")
            for feed, pieces in attempt.groups():
                self._write_records(session, attempt, feed, pieces)
            reach("after_copy")
            self._write_bookkeeping(session, attempt)
            reach("before_commit")
            connection.commit(session)
        reach("after_commit")

    def _hold(self, session: ClientSession, attempt: _Attempt) -> None:
        """Move the offsets, which fences; a replay has no claim.

        Raises:
            _ClaimLostError: A claim does not hold.
        """
        if attempt.kind is BatchKind.REPLAY:
            return
        about = (session, self._connection, [piece.slice for piece in attempt.pieces])
        if attempt.is_restore:
            moved = claims.advance_restore(*about, now_us=attempt.now_us)
            if moved is None:
                raise _ClaimLostError
            attempt.whole = moved
        elif not claims.advance(*about, now_us=attempt.now_us):
            raise _ClaimLostError

    def _write_records(
        self, session: ClientSession, attempt: _Attempt, feed: Feed[Record], pieces: list[Piece]
    ) -> None:
        about = (session, self._connection, feed.collection)
        if self._takes_look_up(attempt, feed):
            known = records.read_known(*about, pieces)
            found = [
                (piece, sort_out(piece.slice.arrivals, known, without=piece.left_out))
                for piece in pieces
            ]
            attempt.tallies |= {piece: count_sorted(piece, each) for piece, each in found}
            records.insert(*about, [(piece, each.new) for piece, each in found])
            records.write_arrivals(*about, found)
            stored = [
                (piece, sorted([*each.new, *each.unarrived, *each.repeated]))
                for piece, each in found
            ]
        else:
            stored = [(piece, piece.valid_indexes()) for piece in pieces]
            attempt.tallies |= {piece: count(piece, indexes) for piece, indexes in stored}
            records.insert(*about, stored)
        told = zip(*[piece.states(indexes) for piece, indexes in stored], strict=True)
        for projection, own in zip(feed.projections, told, strict=True):
            self._write_states(session, attempt, feed, projection, states.merge(own))

    def _write_states(
        self,
        session: ClientSession,
        attempt: _Attempt,
        feed: Feed[Record],
        projection: Projection,
        told: states.EncodedStates,
    ) -> None:
        is_replay = attempt.kind is not BatchKind.LIVE
        try:
            states.write(session, self._connection, projection, told, is_replay=is_replay)
        except OperationFailure as error:
            if is_transient(error) or error.code == DUPLICATE_KEY:
                raise
            # without its states, no fact of the feed may be there
            message = f"MongoDB refuses states of {projection.collection}: {error}"
            raise StoreRefusedError(message, table=feed.collection, code=error.code) from error

    def _write_bookkeeping(self, session: ClientSession, attempt: _Attempt) -> None:
        for piece, tally in attempt.tallies.items():
            if piece.slice.claim.partition in attempt.whole:
                self._account_for_all(session, attempt.taken, piece, tally)
        work = list(attempt.tallies.items())
        about = (session, self._connection, work)
        run_id, kind, now_us = attempt.run_id, attempt.kind, attempt.now_us
        bookkeeping.extend_load_batches(*about, run_id=run_id, kind=kind)
        bookkeeping.write_quarantine(*about, run_id=run_id, kind=kind, now_us=now_us)
        if kind is not BatchKind.LIVE:
            bookkeeping.release_quarantine(*about, run_id=run_id, now_us=now_us)
        if attempt.is_restore:
            bookkeeping.take_over(*about, attempt.taken)

    def _account_for_all(
        self, session: ClientSession, taken: TakenOver, piece: Piece, tally: Tally
    ) -> None:
        """Rows that were left over arrived in the range too, and removed ones once did."""
        each = piece.slice
        place = (each.claim.partition, each.first_offset, each.next_offset)
        found = tally.stored
        if tally.repeated:
            found = reader.sum_range(self._connection, piece.feed, *place, session=session)
        tally.accounted = found + taken.sum_removed(*place)

    def _takes_look_up(self, attempt: _Attempt, feed: Feed[Record]) -> bool:
        return attempt.kind is BatchKind.REPLAY or feed.collection in self._look_ups_left

    def _learn(self, failure: InsertFailedError, attempt: _Attempt) -> bool:
        """Keep what a failed insert says, so that the next attempt passes it; False if nothing.

        Raises:
            StoreRefusedError: An error of another kind, or too many documents break a rule.
        """
        piece, index = failure.owner
        collection, code = failure.collection, failure.error.code
        if code == DUPLICATE_KEY and failure.refused.get("keyPattern") == {"_id": 1}:
            if self._takes_look_up(attempt, piece.feed):
                return False  # stored by another transaction since the look-up
            self._look_ups_left[collection] = LOOK_UP_COMMITS
            return True
        invalid = sum(len(each.invalid) for each in attempt.pieces)
        if code != DOCUMENT_INVALID or invalid >= INVALID_DOCUMENTS_MAX:
            message = f"MongoDB refuses documents of {collection} ({invalid} before): {failure}"
            raise StoreRefusedError(message, table=collection, code=code) from failure.error
        piece.invalid[index] = failure.explain()
        return True

    def _count_down(self, attempt: _Attempt) -> None:
        """Leave the look-up way after a while without repeats."""
        for feed, pieces in attempt.groups():
            name = feed.collection
            if name not in self._look_ups_left:
                continue
            tallies = [attempt.tallies[piece] for piece in pieces]
            if any(tally.repeated or tally.conflicts for tally in tallies):
                self._look_ups_left[name] = LOOK_UP_COMMITS
            elif self._look_ups_left[name] > 1:
                self._look_ups_left[name] -= 1
            else:
                del self._look_ups_left[name]


def _build_outcome(attempt: _Attempt, fenced: Iterable[TopicPart]) -> Outcome:
    stored: dict[str, int] = {}
    for piece, tally in attempt.tallies.items():
        name = piece.feed.name
        stored[name] = stored.get(name, 0) + tally.stored.count
    return Outcome(
        fenced=frozenset(fenced),
        stored_records=stored,
        repeated_records=sum(tally.repeated for tally in attempt.tallies.values()),
        quarantined_records=sum(
            count_refused(piece, tally) for piece, tally in attempt.tallies.items()
        ),
    )

"""Slices -> one transaction, or nothing.

Here: the order of statements, and what to do again when one of them fails. Not here: the statements
on kafka_offset (claims.py), quarantine and load_batch (bookkeeping.py), bytes (documents.py).

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bson.binary import Binary
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import StoreRefusedError, StoreUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.stores.base import BatchKind, Claim, Outcome, Slice, TopicPart
from crypto_platform.stores.crash_points import reach
from crypto_platform.stores.mongo import bookkeeping, claims
from crypto_platform.stores.mongo.connection import Connection, Retry
from crypto_platform.stores.mongo.errors import (
    DOCUMENT_INVALID,
    DUPLICATE_KEY,
    is_transient,
    translating,
)
from crypto_platform.stores.mongo.pieces import (
    ENCODE_RECORDS,
    Piece,
    SortedOut,
    Stored,
    Tally,
    count_refused,
    order_slices,
    sort_out,
    split_by_size,
)

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Of the documents in one insert command; one of over 16 MB fails."""
LOOK_UP_IDS_MAX = 10_000
"""In one query; an id has up to 1024 characters, and a query of over 16 MB fails."""
TRANSACTION_BYTES_MAX = 32 * 1024 * 1024
"""What a caller should not exceed: a longer transaction may outlive the server's limit."""
INVALID_DOCUMENTS_MAX = 100
"""A commit with more documents that break a rule is refused whole: loader and schema disagree."""
LOOK_UP_COMMITS = 20
"""How many commits a collection stays on the look-up way after a repeat: repeats come in series,
and a failed insert costs a whole transaction."""


@dataclass(kw_only=True)
class _Attempt:
    """One transaction's pieces and what it did with them so far."""

    pieces: list[Piece]
    run_id: str
    kind: BatchKind
    now_us: int
    tallies: dict[Piece, Tally] = field(default_factory=dict)

    def groups(self) -> Iterator[tuple[Feed[Record], list[Piece]]]:
        """The pieces of each feed, in order."""
        ordered = sorted(self.pieces, key=lambda piece: piece.feed.collection)
        for _, group in itertools.groupby(ordered, key=lambda piece: piece.feed.collection):
            pieces = list(group)
            yield pieces[0].feed, pieces


class _ClaimLostError(Exception):
    """Ends an attempt whose offsets could not be moved."""


class _InsertFailedError(Exception):
    """Ends an attempt at a document; the caller knows how to go on without it."""

    def __init__(
        self,
        *,
        collection: str,
        error: OperationFailure,
        refused: Mapping[str, Any],
        owner: tuple[Piece, int],
    ) -> None:
        super().__init__(str(error))
        self.collection = collection
        self.error = error
        self.refused = refused
        self.owner = owner


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

    def write(self, slices: Sequence[Slice], *, run_id: str, kind: BatchKind) -> Outcome:
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
                attempt = _Attempt(pieces=pieces, run_id=run_id, kind=kind, now_us=self._clock_us())
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
            lost = claims.find_fenced(self._connection, [p.slice for p in attempt.pieces])
            if lost:
                return lost
            cause = lost_claim
        except _InsertFailedError as failure:
            if self._learn(failure, attempt):
                return frozenset()
            cause = failure
        except OperationFailure as error:
            if not is_transient(error):
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
            if attempt.kind is BatchKind.LIVE:
                slices = [piece.slice for piece in attempt.pieces]
                if not claims.advance(session, connection, slices, now_us=attempt.now_us):
                    raise _ClaimLostError
            reach("after_offset_update")
            for feed, pieces in attempt.groups():
                self._write_records(session, attempt, feed, pieces)
            reach("after_copy")
            self._write_bookkeeping(session, attempt)
            reach("before_commit")
            connection.commit(session)
        reach("after_commit")

    def _write_records(
        self, session: ClientSession, attempt: _Attempt, feed: Feed[Record], pieces: list[Piece]
    ) -> None:
        if self._takes_look_up(attempt, feed):
            known = self._read_known(session, feed, pieces)
            for piece in pieces:
                attempt.tallies[piece] = Tally()
            found = [(piece, sort_out(piece, known, attempt.tallies[piece])) for piece in pieces]
            self._insert(session, feed.collection, [(piece, each.new) for piece, each in found])
            self._write_arrivals(session, feed, found)
            return
        for piece in pieces:
            arrivals = piece.slice.arrivals
            hashes = [arrivals[index].record.content_hash for index in piece.valid_indexes()]
            attempt.tallies[piece] = Tally(stored_hashes=hashes)
        work = [(piece, piece.valid_indexes()) for piece in pieces]
        self._insert(session, feed.collection, work)

    def _insert(
        self, session: ClientSession, collection: str, work: Sequence[tuple[Piece, Sequence[int]]]
    ) -> None:
        """Insert these documents, in commands of a bounded size.

        While a thread waits for the server's answer, this one encodes what comes next; measured on
        a busy machine, commits of 5,000 quotes took 16 % less. A small commit is one command.

        Raises:
            _InsertFailedError: At the first document that the server refuses.
        """
        sent = 0
        waiting: Future[None] | None = None
        documents = (each for piece, indexes in work for each in piece.encode(indexes))
        is_small = sum(len(indexes) for _, indexes in work) <= ENCODE_RECORDS
        with ThreadPoolExecutor(1, thread_name_prefix="mongo-insert") as sender:
            for chunk in split_by_size(documents, bytes_max=BATCH_BYTES_MAX):
                about = (session, collection, chunk, work, sent)
                sent += len(chunk)
                if waiting is not None:
                    waiting.result()
                if is_small:
                    self._send(*about)
                else:
                    waiting = sender.submit(self._send, *about)
            if waiting is not None:
                waiting.result()

    def _send(
        self,
        session: ClientSession,
        collection: str,
        chunk: list[RawBSONDocument],
        work: Sequence[tuple[Piece, Sequence[int]]],
        sent: int,
    ) -> None:
        try:
            self._connection.insert(session, collection, chunk)
        except OperationFailure as error:
            refused = _first_write_error(error)
            if refused is None:
                raise
            owners = [(piece, index) for piece, indexes in work for index in indexes]
            owner = owners[sent + int(refused["index"])]
            raise _InsertFailedError(
                collection=collection, error=error, refused=refused, owner=owner
            ) from error

    def _write_arrivals(
        self,
        session: ClientSession,
        feed: Feed[Record],
        found: Iterable[tuple[Piece, SortedOut]],
    ) -> None:
        updates = [
            _build_arrival(piece, index) for piece, each in found for index in each.unarrived
        ]
        if updates:
            self._connection.update(session, feed.collection, updates)

    def _read_known(
        self, session: ClientSession, feed: Feed[Record], pieces: Sequence[Piece]
    ) -> dict[str, Stored]:
        ids = [arrival.record.event_id for piece in pieces for arrival in piece.slice.arrivals]
        collection = self._connection.collection(feed.collection)
        known: dict[str, Stored] = {}
        for start in range(0, len(ids), LOOK_UP_IDS_MAX):
            found = collection.find(
                {"_id": {"$in": ids[start : start + LOOK_UP_IDS_MAX]}},
                {"content_hash": 1, "arrival_topic_id": 1},
                session=session,
                batch_size=LOOK_UP_IDS_MAX,
            )
            known |= {
                each["_id"]: Stored(each["content_hash"], each["arrival_topic_id"] is not None)
                for each in found
            }
        return known

    def _write_bookkeeping(self, session: ClientSession, attempt: _Attempt) -> None:
        work = list(attempt.tallies.items())
        about = (session, self._connection, work)
        run_id, kind, now_us = attempt.run_id, attempt.kind, attempt.now_us
        bookkeeping.extend_load_batches(*about, run_id=run_id, kind=kind)
        bookkeeping.write_quarantine(*about, run_id=run_id, kind=kind, now_us=now_us)
        if kind is BatchKind.REPLAY:
            bookkeeping.release_quarantine(*about, run_id=run_id, now_us=now_us)

    def _takes_look_up(self, attempt: _Attempt, feed: Feed[Record]) -> bool:
        return attempt.kind is BatchKind.REPLAY or feed.collection in self._look_ups_left

    def _learn(self, failure: _InsertFailedError, attempt: _Attempt) -> bool:
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
        piece.invalid[index] = _explain_invalid(failure)
        return True

    def _count_down(self, attempt: _Attempt) -> None:
        """Leave the look-up way after a while without repeats."""
        for feed, pieces in attempt.groups():
            name = feed.collection
            if name not in self._look_ups_left:
                continue
            if any(attempt.tallies[piece].repeated for piece in pieces):
                self._look_ups_left[name] = LOOK_UP_COMMITS
            elif self._look_ups_left[name] > 1:
                self._look_ups_left[name] -= 1
            else:
                del self._look_ups_left[name]


def _build_arrival(piece: Piece, index: int) -> Mapping[str, Any]:
    """The update that fills in where Kafka has an incident which its load wrote itself."""
    arrival = piece.slice.arrivals[index]
    topic_id, part = piece.slice.claim.partition
    values = {
        "arrival_topic_id": topic_id,
        "arrival_part": Int64(part),
        "arrival_offset": Int64(arrival.offset),
        "ts_append_us": Int64(arrival.ts_append),
        "ts_append": from_time_us(arrival.ts_append),
    }
    query = {"_id": arrival.record.event_id, "arrival_topic_id": None}
    return {"q": query, "u": {"$set": values}}


def _first_write_error(error: OperationFailure) -> Mapping[str, Any] | None:
    """The statement an insert command stopped at; None where the whole command failed."""
    errors: Sequence[Mapping[str, Any]] = (error.details or {}).get("writeErrors", ())
    return errors[0] if errors else None


def _explain_invalid(failure: _InsertFailedError) -> str:
    details = failure.refused.get("errInfo", {}).get("details", failure)
    return f"MongoDB's validator refused it: {details}"[:1000]


def _build_outcome(attempt: _Attempt, fenced: Iterable[TopicPart]) -> Outcome:
    stored: dict[str, int] = {}
    for piece, tally in attempt.tallies.items():
        name = piece.feed.name
        stored[name] = stored.get(name, 0) + len(tally.stored_hashes)
    return Outcome(
        fenced=frozenset(fenced),
        stored_records=stored,
        repeated_records=sum(tally.repeated for tally in attempt.tallies.values()),
        quarantined_records=sum(
            count_refused(piece, tally) for piece, tally in attempt.tallies.items()
        ),
    )

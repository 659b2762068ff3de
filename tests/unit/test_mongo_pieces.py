"""Sorting out a piece: what is new, repeated, in conflict."""

import msgspec

from crypto_platform.errors import Reason
from crypto_platform.feeds import Record
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.stores.base import Arrival, Claim, Refusal, Slice, Sum, TopicPart
from crypto_platform.stores.mongo.pieces import (
    Piece,
    SortedOut,
    Stored,
    Tally,
    list_refused,
    sort_out,
)

CLAIM = Claim(
    feed=QUOTES,
    topic="market.quotes",
    partition=TopicPart("topic", 0),
    epoch=1,
    next_offset=0,
    leader_epoch=None,
    max_ts_append=0,
)


def record(event_id: str, content_hash: int) -> Record:
    """Named and digested by hand, so that an id can have two contents."""
    return Quote(
        source="s",
        currency_id="c",
        quote_currency="USD",
        ts_ingest=1,
        event_id=event_id,
        content_hash=content_hash,
    )


def piece_of(*records: Record, refusals: tuple[Refusal, ...] = ()) -> Piece:
    arrivals = [Arrival(each, offset, 1) for offset, each in enumerate(records)]
    return Piece(
        Slice(
            claim=CLAIM,
            hour=0,
            first_offset=0,
            next_offset=len(records),
            max_ts_append=1,
            leader_epoch=None,
            arrivals=arrivals,
            refusals=refusals,
        )
    )


def test_the_first_of_two_contents_in_a_batch_wins() -> None:
    """Lowest offset wins, or two loads of the same range would store different things."""
    piece, tally = piece_of(record("a", 1), record("a", 2)), Tally()
    assert sort_out(piece, {}, tally) == SortedOut(new=[0], unarrived=[])
    assert tally.stored_hashes == [1]
    [(refusal, event_id)] = list_refused(piece, tally)
    assert (refusal.offset, refusal.reason, event_id) == (1, Reason.CONFLICT, "a")
    assert msgspec.json.decode(refusal.value or b"")["content_hash"] == 2


def test_a_repeat_in_the_store_or_in_the_batch_is_only_counted() -> None:
    """Sources repeat pages; a repeat is no news and no fault."""
    piece, tally = piece_of(record("a", 1), record("b", 2), record("b", 2)), Tally()
    known = {"a": Stored(1, arrived=True)}
    assert sort_out(piece, known, tally) == SortedOut(new=[1], unarrived=[])
    assert tally.repeated == 2


def test_a_later_piece_meets_what_an_earlier_one_brought() -> None:
    """Two partitions of one commit may hold the same id; the insert would fail for both."""
    known: dict[str, Stored] = {}
    sort_out(piece_of(record("a", 1)), known, Tally())
    tally = Tally()
    assert sort_out(piece_of(record("a", 1)), known, tally) == SortedOut(new=[], unarrived=[])
    assert tally.repeated == 1


def test_an_incident_that_its_load_wrote_counts_as_stored_when_kafka_brings_it() -> None:
    """Else the sums of load_batch would miss a document that sum_range finds."""
    piece, tally = piece_of(record("a", 1)), Tally()
    assert sort_out(piece, {"a": Stored(1, arrived=False)}, tally) == SortedOut([], unarrived=[0])
    assert tally.stored == Sum(1, 0, 1)


def test_what_the_server_refused_is_left_out_and_quarantined() -> None:
    """One bad record must not hold up its partition, nor vanish."""
    piece, tally = piece_of(record("a", 1), record("b", 2)), Tally()
    piece.invalid[0] = "the validator refused it"
    assert sort_out(piece, {}, tally) == SortedOut(new=[1], unarrived=[])
    [(refusal, event_id)] = list_refused(piece, tally)
    assert (refusal.offset, refusal.reason, event_id) == (0, Reason.INVARIANT, "a")


def test_a_value_that_never_was_a_record_keeps_its_reason_and_bytes() -> None:
    """The quarantine is the only place left that holds it."""
    refusal = Refusal(0, 1, Reason.UNDECODABLE, "not JSON", b"k", b"{")
    assert list_refused(piece_of(refusals=(refusal,)), Tally()) == [(refusal, None)]

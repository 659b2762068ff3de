"""A piece: what becomes of its records, in figures and for the quarantine."""

import msgspec

from crypto_platform.errors import Reason
from crypto_platform.feeds import Record
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.mongo.pieces import Encoded, Piece, Tally, count_sorted, list_refused
from crypto_platform.stores.slices import Arrival, Refusal, Slice, build_arrivals
from crypto_platform.stores.sorting import Known, sort_out
from crypto_platform.stores.sums import Sum

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
            arrivals=build_arrivals(arrivals, feed=QUOTES),
            refusals=refusals,
            encoded=Encoded(),
        )
    )


def tally_of(piece: Piece, known: dict[str, Known]) -> Tally:
    return count_sorted(piece, sort_out(piece.slice.arrivals, known, without=piece.invalid))


def test_a_conflict_is_quarantined_as_kafka_had_it() -> None:
    """The quarantine is the only place left that holds the second content."""
    piece = piece_of(record("a", 1), record("a", 2))
    tally = tally_of(piece, {})
    assert tally.stored == Sum(1, 0, 1)
    [(refusal, event_id)] = list_refused(piece, tally)
    assert (refusal.offset, refusal.reason, event_id) == (1, Reason.CONFLICT, "a")
    assert msgspec.json.decode(refusal.value or b"")["content_hash"] == 2


def test_an_incident_that_its_load_wrote_counts_as_stored_when_kafka_brings_it() -> None:
    """Else the sums of load_batch would miss a document that sum_range finds."""
    tally = tally_of(piece_of(record("a", 1)), {"a": (1, False)})
    assert tally.stored == Sum(1, 0, 1)


def test_what_the_server_refused_is_left_out_and_quarantined() -> None:
    """One bad record must not hold up its partition, nor vanish."""
    piece = piece_of(record("a", 1), record("b", 2))
    piece.invalid[0] = "the validator refused it"
    tally = tally_of(piece, {})
    assert tally.stored == Sum(1, 0, 2)
    [(refusal, event_id)] = list_refused(piece, tally)
    assert (refusal.offset, refusal.reason, event_id) == (0, Reason.INVARIANT, "a")


def test_a_value_that_never_was_a_record_keeps_its_reason_and_bytes() -> None:
    """The quarantine is the only place left that holds it."""
    refusal = Refusal(0, 1, Reason.UNDECODABLE, "not JSON", b"k", b"{")
    assert list_refused(piece_of(refusals=(refusal,)), Tally()) == [(refusal, None)]

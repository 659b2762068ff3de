"""cut_slices: what was read becomes contiguous ranges, an hour each, and nothing falls between."""

from crypto_platform.delivery.slices import cut_slices
from crypto_platform.errors import Reason
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.kafka.reader import PartRead, RawRecord
from crypto_platform.stores.claims import Claim, TopicPart

HOUR = 3_600_000_000
NOON = 1_700_000 * HOUR // 3600 * 3600


def claim(*, next_offset: int = 10, max_ts_append: int = 0) -> Claim:
    return Claim(
        feed=QUOTES,
        topic="market.quotes",
        partition=TopicPart("11111111-1111-1111-1111-111111111111", 0),
        epoch=3,
        next_offset=next_offset,
        leader_epoch=1,
        max_ts_append=max_ts_append,
    )


def raw(offset: int, *, at: int = NOON) -> RawRecord:
    quote = Quote(
        source="s", currency_id="bitcoin", quote_currency="USD", price="1.10", ts_ingest=offset
    )
    return RawRecord(offset, at, b"s:bitcoin", encode(seal_quote(quote)))


def read_of(*records: RawRecord, next_offset: int) -> PartRead:
    return PartRead.collect(records, next_offset=next_offset)


def ranges(read: PartRead, at: Claim) -> list[tuple[int, int, int, int]]:
    """(hour, first, next, records) of each slice."""
    slices = cut_slices(at, read, record_bytes_max=10_000)
    return [(s.hour, s.first_offset, s.next_offset, len(s.arrivals)) for s in slices]


def test_markers_behind_the_last_record_belong_to_the_slice() -> None:
    """Else lag would never reach 0: offsets have holes where transaction markers stand."""
    read = read_of(raw(10), raw(11), next_offset=13)
    assert ranges(read, claim()) == [(NOON, 10, 13, 2)]


def test_a_marker_alone_moves_the_offset() -> None:
    """An aborted transaction leaves a marker and no record."""
    read = read_of(next_offset=12)
    assert ranges(read, claim(max_ts_append=NOON + 5)) == [(NOON, 10, 12, 0)]


def test_nothing_new_gives_no_slice() -> None:
    """An empty range would be a row that covers nothing."""
    assert ranges(read_of(next_offset=10), claim()) == []
    assert ranges(read_of(raw(8), raw(9), next_offset=10), claim()) == []


def test_what_was_read_ahead_of_the_claim_is_dropped() -> None:
    """A successor reads before it claims: what its predecessor stored since must not come twice."""
    read = read_of(raw(8), raw(9), raw(10), raw(11), next_offset=12)
    assert ranges(read, claim()) == [(NOON, 10, 12, 2)]


def test_hours_part_a_read_without_gap_or_overlap() -> None:
    """The audit compares hour by hour."""
    records = [raw(10, at=NOON + HOUR - 1), raw(11, at=NOON + HOUR), raw(14, at=NOON + 2 * HOUR)]
    assert ranges(read_of(*records, next_offset=16), claim()) == [
        (NOON, 10, 11, 1),
        (NOON + HOUR, 11, 14, 1),
        (NOON + 2 * HOUR, 14, 16, 1),
    ]


def test_a_clock_that_goes_back_never_reopens_a_past_hour() -> None:
    """Fault 24: the hour is the running maximum's, also of what was stored before."""
    records = [raw(10, at=NOON + HOUR), raw(11, at=NOON)]
    assert ranges(read_of(*records, next_offset=12), claim()) == [(NOON + HOUR, 10, 12, 2)]
    late = claim(max_ts_append=NOON + 2 * HOUR)
    assert ranges(read_of(raw(10), next_offset=11), late) == [(NOON + 2 * HOUR, 10, 11, 1)]


def test_a_poison_value_is_refused_alone_and_keeps_its_bytes() -> None:
    """Fault 20: it must neither stop nor take with it what stands around it."""
    poison = RawRecord(11, NOON, b"k", b'{"v":1,"price":')
    read = read_of(raw(10), poison, raw(12), next_offset=13)
    [piece] = cut_slices(claim(), read, record_bytes_max=10_000)
    assert list(piece.arrivals.offsets) == [10, 12]
    [refusal] = piece.refusals
    assert (refusal.offset, refusal.reason, refusal.key, refusal.value) == (
        11,
        Reason.UNDECODABLE,
        b"k",
        b'{"v":1,"price":',
    )

"""cut_chunks: Kafka's side of the audit leaves no offset out and never holds more than a chunk."""

from collections.abc import Sequence

import pytest

from crypto_platform.delivery.audit_chunks import (
    Chunk,
    Firsts,
    Recent,
    Refused,
    cut_chunks,
    leave_out,
)
from crypto_platform.errors import Reason
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.reader import RawRecord
from crypto_platform.stores.sums import EMPTY_SUM, sum_of
from tests.store_steps import HOUR, NOON, contradict, quote


def raw(offset: int, *, at: int = NOON) -> RawRecord:
    return RawRecord(offset, at, b"key", encode(quote(offset)))


def cut(
    *batches: Sequence[RawRecord],
    first_offset: int = 0,
    next_offset: int,
    borders: Sequence[int] = (),
    first_hour: int = 0,
    offsets_max: int = 100,
    bytes_max: int = 1_000_000,
) -> list[Chunk]:
    return list(
        cut_chunks(
            QUOTES,
            batches,
            first_offset=first_offset,
            next_offset=next_offset,
            borders=borders,
            first_hour=first_hour,
            offsets_max=offsets_max,
            bytes_max=bytes_max,
        )
    )


def shapes(chunks: Sequence[Chunk]) -> list[tuple[int | None, int, int, int]]:
    """(hours after noon, first, next, records) of each."""
    return [
        (_hours_after_noon(chunk), chunk.first_offset, chunk.next_offset, len(chunk.offsets))
        for chunk in chunks
    ]


def _hours_after_noon(chunk: Chunk) -> int | None:
    return None if chunk.hour is None else (chunk.hour - NOON) // HOUR


def test_markers_before_between_and_behind_records_are_covered() -> None:
    """A row that names a marker's offset would lie in no chunk, and so be seen by nobody."""
    chunks = cut([raw(2), raw(5)], next_offset=9)
    assert shapes(chunks) == [(0, 0, 9, 2)]


def test_a_range_without_records_is_one_chunk() -> None:
    """Aborted transactions alone leave nothing to compare, but rows there would be wrong."""
    assert shapes(cut(next_offset=7)) == [(None, 0, 7, 0)]


def test_a_chunk_ends_with_its_hour() -> None:
    """An hour is what a person replays."""
    chunks = cut([raw(0), raw(1)], [raw(2, at=NOON + HOUR), raw(3, at=NOON + HOUR)], next_offset=4)
    assert shapes(chunks) == [(0, 0, 2, 2), (1, 2, 4, 2)]


def test_a_clock_that_goes_back_stays_in_the_later_hour() -> None:
    """Loads count hours by the running maximum; another rule would name the wrong partition."""
    chunks = cut([raw(0, at=NOON + HOUR), raw(1, at=NOON)], next_offset=2)
    assert shapes(chunks) == [(1, 0, 2, 2)]


def test_a_chunk_never_grows_over_its_limit() -> None:
    """Memory is bounded by it, whatever the topic holds."""
    chunks = cut([raw(offset) for offset in range(5)], next_offset=5, offsets_max=2)
    assert shapes(chunks) == [(0, 0, 2, 2), (0, 2, 4, 2), (0, 4, 5, 1)]


def test_a_gap_longer_than_the_limit_is_cut_too() -> None:
    """One sum over a million offsets would be one statement over all rows of an extra table."""
    chunks = cut([raw(0), raw(5)], next_offset=6, offsets_max=2)
    assert shapes(chunks) == [(0, 0, 2, 1), (0, 2, 4, 0), (0, 4, 6, 1)]


def test_a_chunk_ends_at_every_border() -> None:
    """A store is compared exactly up to where it has come."""
    chunks = cut([raw(offset) for offset in range(4)], next_offset=4, borders=[3, 0, 1, 3, 4, 9])
    assert [(c.first_offset, c.next_offset) for c in chunks] == [(0, 1), (1, 3), (3, 4)]


def test_a_chunk_ends_when_its_values_have_grown_too_large() -> None:
    """Half a megabyte each, twenty thousand of them: they must not all stay in memory."""
    batches = [[raw(offset)] for offset in range(3)]
    assert shapes(cut(*batches, next_offset=3, bytes_max=1)) == [
        (0, 0, 1, 1),
        (0, 1, 2, 1),
        (0, 2, 3, 1),
    ]


def test_a_clock_that_went_back_before_the_range_is_in_the_later_hour() -> None:
    """Retention has removed the record that set the hour; load_batch still knows it."""
    assert shapes(cut([raw(0)], next_offset=1, first_hour=NOON + HOUR)) == [(1, 0, 1, 1)]


def test_a_value_without_id_and_hash_is_refused_at_once() -> None:
    """It can be in no sum."""
    [chunk] = cut([RawRecord(0, NOON, b"key", b"{poison")], next_offset=1)
    assert chunk.refused == {0: Refused(Reason.UNDECODABLE, b"{poison")}
    assert chunk.offsets == []


def test_a_tombstone_is_refused_like_a_value_nobody_can_read() -> None:
    """Its neighbours are taken all the same."""
    [chunk] = cut([raw(0), RawRecord(1, NOON, b"key", None), raw(2)], next_offset=3)
    assert chunk.refused == {1: Refused(Reason.UNDECODABLE, None)}
    assert chunk.offsets == [0, 2]


@pytest.mark.parametrize("version", [b'"v":99', b'"w":1'])
def test_a_value_of_an_unknown_schema_is_refused_at_once(version: bytes) -> None:
    """An id of a schema nobody knows may mean another thing."""
    value = encode(quote(0)).replace(b'"v":1', version)
    [chunk] = cut([RawRecord(0, NOON, b"key", value)], next_offset=1)
    assert chunk.refused == {0: Refused(Reason.UNKNOWN_SCHEMA, value)}


def test_a_value_with_an_amount_that_is_none_is_refused_when_it_is_sifted() -> None:
    """Sums need no amounts: only who misses the value, or wants all of it, looks at them."""
    value = encode(quote(0)).replace(b'"price":"1.5"', b'"price":"NaN"')
    [chunk] = cut([RawRecord(0, NOON, b"key", value), raw(1)], next_offset=2)
    assert chunk.offsets == [0, 1]
    assert chunk.sift({1}).offsets == [0, 1]
    assert chunk.sift({0}).refused == {0: Refused(Reason.INVARIANT, value)}
    assert chunk.sift().offsets == [1]
    assert chunk.sift().ids == [quote(1).event_id]


def test_a_value_over_todays_size_limit_is_still_a_record() -> None:
    """The limit is a setting: what was stored under a higher one is not wrong now."""
    large = encode(quote(0)) + b" " * 10_000_000
    [chunk] = cut([RawRecord(0, NOON, b"key", large)], next_offset=1)
    assert chunk.sift().ids == [quote(0).event_id]


def test_the_first_content_of_an_id_counts_and_a_second_is_noticed() -> None:
    """It changes no sum: who does not notice it never looks for its entry in quarantine."""
    values = [quote(0), contradict(quote(0))]
    [chunk] = cut(
        [RawRecord(i, NOON, b"key", encode(value)) for i, value in enumerate(values)],
        next_offset=2,
    )
    assert list(chunk.firsts.hashes.values()) == [values[0].content_hash]
    assert chunk.firsts.contradicted
    assert not chunk.firsts_without({1}).contradicted


def test_ids_of_the_chunks_before_are_repeats_and_left_out_of_the_sum() -> None:
    """Every run begins with what the last one ended with: that must not cost a look at each row."""
    before, after = cut([raw(0), raw(1), raw(1), raw(2)], next_offset=4, offsets_max=1)[:2]
    recent = Recent(ids_max=1)
    recent.add(before.firsts)
    assert recent.find_repeats(before.firsts) == ({quote(0).event_id}, False)
    assert leave_out(before.firsts, {quote(0).event_id}) == EMPTY_SUM
    recent.add(after.firsts)
    assert recent.find_repeats(before.firsts) == (frozenset(), False)


def test_another_content_under_an_id_of_the_chunks_before_is_noticed() -> None:
    """Left out as a repeat, it would be looked for nowhere."""
    recent = Recent()
    recent.add(Firsts({"id": 1}, sum_of([1]), contradicted=False))
    found = recent.find_repeats(Firsts({"id": 2}, sum_of([2]), contradicted=False))
    assert found == (frozenset(), True)

"""Sorting out arrivals: what is new, repeated, in conflict."""

from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.stores.slices import Arrival, Arrivals, build_arrivals
from crypto_platform.stores.sorting import Known, Sorted, sort_out


def arrivals_of(*ids_and_hashes: tuple[str, int]) -> Arrivals:
    """Named and digested by hand, so that an id can have two contents."""
    records = [
        Quote(
            source="s",
            currency_id="c",
            quote_currency="USD",
            ts_ingest=1,
            event_id=event_id,
            content_hash=content_hash,
        )
        for event_id, content_hash in ids_and_hashes
    ]
    return build_arrivals([Arrival(r, i, 1) for i, r in enumerate(records)], feed=QUOTES)


def test_the_first_of_two_contents_in_a_batch_wins() -> None:
    """Lowest offset wins, or two loads of the same range would store different things."""
    found = sort_out(arrivals_of(("a", 1), ("a", 2)), {})
    assert (found.new, found.repeated) == ([0], [])
    assert [index for index, _ in found.conflicts] == [1]


def test_a_repeat_in_the_store_or_in_the_batch_is_only_counted() -> None:
    """Sources repeat pages; a repeat is no news and no fault."""
    known = {"a": (1, True)}
    found = sort_out(arrivals_of(("a", 1), ("b", 2), ("b", 2)), known)
    assert found == Sorted(new=[1], repeated=[0, 2])


def test_a_later_slice_meets_what_an_earlier_one_brought() -> None:
    """Two partitions of one commit may hold the same id; the insert would fail for both."""
    known: dict[str, Known] = {}
    sort_out(arrivals_of(("a", 1)), known)
    assert sort_out(arrivals_of(("a", 1)), known) == Sorted(repeated=[0])


def test_what_waits_for_its_arrival_is_neither_new_nor_repeated() -> None:
    """An incident that its load wrote before Kafka had it gets its place in Kafka, once."""
    known = {"a": (1, False)}
    assert sort_out(arrivals_of(("a", 1), ("a", 1)), known) == Sorted(unarrived=[0], repeated=[1])


def test_what_was_refused_before_is_not_looked_at() -> None:
    """Else it would take the place of a sound record of the same id."""
    found = sort_out(arrivals_of(("a", 1), ("a", 2)), {}, without={0})
    assert found == Sorted(new=[1])

"""What must hold of a store after every step, whatever the steps were.

Each takes a store and the truth, reads the store through its protocol alone, and asserts. They are
the audit's own rules, written a second time and without its code.
"""

from collections import defaultdict

from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredRecord
from tests.stateful.truth import Truth
from tests.store_steps import QUOTES

_END = 2**62


def offsets_are_what_was_committed(store: Store, truth: Truth) -> None:
    """A next_offset ahead of its data loses records; one behind repeats them."""
    rows = {row.partition: row for row in store.read_offsets() if row.partition in truth.logs}
    claimed = {part for part, epoch in truth.epochs.items() if epoch}
    assert set(rows) == claimed
    assert {part: row.next_offset for part, row in rows.items()} == {
        part: truth.reached[part] for part in claimed
    }
    assert {part: row.epoch for part, row in rows.items()} == {
        part: truth.epochs[part] for part in claimed
    }


def each_record_is_stored_once_and_in_order(store: Store, truth: Truth) -> None:
    """Every committed id in one row, at its first place in that partition; and no other row."""
    places: dict[str, list[tuple[TopicPart, int, int]]] = defaultdict(list)
    for part, offset, entry in truth.committed():
        if entry.quote is not None:
            place = (part, offset, entry.quote.content_hash)
            places[entry.quote.event_id].append(place)
    rows: list[StoredRecord] = []
    for part in truth.logs:
        own = list(store.read_range(QUOTES, part, 0, _END))
        assert [row.offset for row in own] == sorted(row.offset for row in own)
        rows += own
    assert sorted(row.event_id for row in rows) == sorted(places)
    for row in rows:
        arrival = (TopicPart(row.topic_id, row.part), row.offset, row.content_hash)
        first_there = next(place for place in places[row.event_id] if place[0] == arrival[0])
        assert arrival == first_there


def quarantine_holds_what_was_refused(store: Store, truth: Truth) -> None:
    """Poison, and every other content under a stored id; each once, at its place."""
    stored = {
        row.event_id: row.content_hash
        for part in truth.logs
        for row in store.read_range(QUOTES, part, 0, _END)
    }
    expected = sorted(
        (part, offset)
        for part, offset, entry in truth.committed()
        if entry.poison is not None
        or (entry.quote is not None and stored[entry.quote.event_id] != entry.quote.content_hash)
    )
    found = [(part, entry.offset) for part in truth.logs for entry in store.read_quarantine(part)]
    assert sorted(found) == expected


def live_batches_cover_what_is_stored(store: Store, truth: Truth) -> None:
    """When Kafka has forgotten a range, these rows are its only witness."""
    for part, reached in truth.reached.items():
        batches = [b for b in store.read_load_batches(part) if b.kind is BatchKind.LIVE]
        borders = [0, *(batch.next_offset for batch in batches)]
        assert [batch.first_offset for batch in batches] == borders[:-1]
        assert borders[-1] == reached
        for batch in batches:
            rows = store.sum_range(QUOTES, part, batch.first_offset, batch.next_offset)
            assert batch.stored == rows
            hours = {e.hour for e in truth.logs[part][batch.first_offset : batch.next_offset]}
            assert hours == {batch.hour}


ALL = (
    offsets_are_what_was_committed,
    each_record_is_stored_once_and_in_order,
    quarantine_holds_what_was_refused,
    live_batches_cover_what_is_stored,
)

"""What a restore asks of any store: claims that keep loads off, ranges with their account."""

import pytest

from crypto_platform.errors import Reason, StoreRefusedError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.facts import derive_record_hash
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING, BatchKind, LoadBatch, Removed, TakenOver
from crypto_platform.stores.claims import StoredOffset
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.sums import Sum, sum_of
from tests.feed_samples import build_record, leave_out_unknown, renamed
from tests.store_harness import StoreFactory
from tests.store_steps import HOUR, NOON, P0, QUOTES, claim, piece, quote


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    return store_factory.open()


def row_of(store: Store) -> StoredOffset:
    """Partition 0's offset row."""
    return next(row for row in store.read_offsets() if row.partition == P0)


def entry(offset: int, state: EntryState, *, note: str | None = None) -> QuarantineEntry:
    """A value that the mirror had refused."""
    return QuarantineEntry(
        topic="market.quotes",
        partition=P0,
        offset=offset,
        ts_append=NOON + offset,
        reason=Reason.UNDECODABLE,
        error="not JSON",
        event_id=None,
        key=b"k",
        value=b"\x00{",
        run_id="mirror-run",
        state=state,
        quarantined_at=NOON + 7,
        note=note,
    )


def removed(first_offset: int, found: Sum) -> Removed:
    """What retention took of the mirror."""
    return Removed(
        topic="market.quotes",
        partition=P0,
        run_id="mirror-retention",
        hour=NOON,
        first_offset=first_offset,
        events_before=NOON - HOUR,
        removed=found,
    )


def test_no_load_gets_a_partition_that_is_being_restored(store: Store) -> None:
    """Two writers would share out the range, and neither would account for it."""
    [live] = claim(store, P0)
    [own] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    assert (row_of(store).blocked_by or "").startswith(RESTORING)
    assert claim(store, P0) == []
    assert store.commit([piece(live, [quote(1)])], run_id="run-a").fenced == {P0}
    [successor] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore-2")
    assert store.commit_restore([piece(own, [quote(1)])], run_id="restore").fenced == {P0}
    assert not store.end_restore(own, blocked_by=None)
    assert store.end_restore(successor, blocked_by=None)
    assert [each.partition for each in claim(store, P0)] == [P0]


def test_what_stopped_a_partition_before_is_remembered_and_may_come_back(store: Store) -> None:
    """A restore that ends below an incident must not answer it."""
    [first] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    assert store.end_restore(first, blocked_by="incident-1")
    assert row_of(store).blocked_by == "incident-1"
    [again] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    assert row_of(store).blocked_by == f"{RESTORING}incident-1"
    assert store.end_restore(again, blocked_by=None)
    assert row_of(store).blocked_by is None


def test_a_restored_range_moves_the_offset_and_is_the_account_of_all_that_lies_in_it(
    store: Store,
) -> None:
    """What retention took of it in the mirror counts as well: the audit takes it off again."""
    records = [quote(number) for number in range(4)]
    [before] = claim(store, P0)
    store.commit([piece(before, records[:2])], run_id="run-a")
    gone = Sum(3, 30, 300)
    [mine] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    taken = TakenOver(
        entries=[entry(4, EntryState.DISCARDED, note="ada: test data")],
        removed=[removed(2, gone)],
    )
    slice_ = piece(mine, records[2:], first_offset=2, next_offset=5, leader_epoch=7)
    outcome = store.commit_restore([slice_], run_id="restore-2", taken=taken)
    # whoever handed the entry over has counted it
    assert (outcome.stored_records, outcome.quarantined_records) == ({"quotes": 2}, 0)
    found = row_of(store)
    assert (found.next_offset, found.leader_epoch) == (5, 7)
    [live, restored] = store.read_load_batches(P0)
    assert live.kind is BatchKind.LIVE
    assert restored.stored == sum_of([record.content_hash for record in records[2:]]) + gone
    [kept] = store.read_quarantine(P0)
    assert kept == entry(4, EntryState.DISCARDED, note="ada: test data")
    assert list(store.read_removed(P0)) == [removed(2, gone)]


def test_a_range_below_the_offset_is_a_repair_and_leaves_the_offset_alone(store: Store) -> None:
    """What is there is absorbed; only what was missing is said to be stored."""
    records = [quote(number) for number in range(3)]
    [live] = claim(store, P0)
    store.commit([piece(live, records[:2], next_offset=3)], run_id="run-a")
    [own] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    outcome = store.commit_restore(
        [piece(own, records, first_offset=0, next_offset=3)], run_id="restore-0"
    )
    assert (outcome.stored_records, outcome.repeated_records) == ({"quotes": 1}, 2)
    assert row_of(store).next_offset == 3
    repair = next(each for each in store.read_load_batches(P0) if each.kind is BatchKind.RESTORE)
    assert repair.stored == sum_of([records[2].content_hash])


def test_a_restored_range_that_leaves_a_gap_is_refused(store: Store) -> None:
    """Also where Python leaves assertions out: what lies in the gap would be missed by nobody."""
    [own] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    with pytest.raises(StoreRefusedError, match="begins at offset 5, the store stands at 0"):
        store.commit_restore([piece(own, [quote(1)], first_offset=5)], run_id="restore-5")
    assert row_of(store).next_offset == 0


def test_lost_and_truncated_ranges_are_taken_over_as_such(store: Store) -> None:
    """Where rows of a cut log may lie, and what nobody has, the audit must go on knowing."""
    [own] = store.claim_restore([(QUOTES, QUOTES.topic, P0)], run_id="restore")
    lost = piece(own, [], next_offset=10)
    store.commit_restore([lost], run_id="restore-0", kind=BatchKind.LOST)
    cut = LoadBatch(
        run_id="mirror-run",
        topic="market.quotes",
        partition=P0,
        epoch=3,
        hour=NOON,
        kind=BatchKind.TRUNCATED,
        first_offset=10,
        next_offset=14,
        stored=Sum(4, 4, 4),
        repeated_records=1,
        quarantined_records=0,
    )
    slice_ = piece(own, [quote(1)], first_offset=10, next_offset=12)
    store.commit_restore([slice_], run_id="restore-10", taken=TakenOver(truncated=[cut]))
    found = {each.kind: each for each in store.read_load_batches(P0)}
    assert set(found) == {BatchKind.LOST, BatchKind.RESTORE, BatchKind.TRUNCATED}
    assert (found[BatchKind.LOST].first_offset, found[BatchKind.LOST].next_offset) == (0, 10)
    truncated = found[BatchKind.TRUNCATED]
    assert (truncated.first_offset, truncated.next_offset) == (10, 14)
    assert truncated.stored == Sum(0, 0, 0)


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_records_come_back_with_their_arrival_as_they_were_published(
    store: Store, feed: Feed[Record]
) -> None:
    """A restore writes what it reads here: a digit lost on the way would be lost for good."""
    full = build_record(feed)
    records = [full, renamed(leave_out_unknown(feed), "unknown"), renamed(full, "third")]
    [own] = claim(store, P0, feed=feed)
    store.commit([piece(own, records)], run_id="run-a")
    arrivals = list(store.read_arrivals(feed, P0, 0, 10))
    assert [arrival.record for arrival in arrivals] == records
    assert [(each.offset, each.ts_append) for each in arrivals] == [
        (number, NOON + number) for number in range(3)
    ]
    assert [each.offset for each in store.read_arrivals(feed, P0, 1, 2)] == [1]
    assert derive_record_hash(feed, arrivals[0].record) == full.content_hash

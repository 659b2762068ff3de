"""What a restore makes of a store's account, what it objects to, and what the audit makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crypto_platform.delivery.audit_batches import Account as BookAccount
from crypto_platform.delivery.audit_batches import build_account
from crypto_platform.delivery.restore_kafka import KafkaOrigin, leave_out_discarded
from crypto_platform.delivery.restore_plan import (
    Account,
    Lost,
    PartPlan,
    Place,
    Range,
    RestorePlan,
    Stretches,
    find_objection,
    list_accounts,
)
from crypto_platform.errors import Reason
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.kafka.watermarks import Bounds
from crypto_platform.settings import load_settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING, BatchKind, LoadBatch, Removed
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.slices import Refusal
from crypto_platform.stores.sums import Sum
from tests.store_steps import QUOTES, piece, quote

P0 = TopicPart("11111111-2222-3333-4444-555555555555", 0)
PLACE = Place(FEED_BY_NAME["trades"], "market.trades", P0)
NINE, TEN = 9 * 3_600_000_000, 10 * 3_600_000_000


def batch(
    first: int, end: int, *, hour: int = NINE, kind: BatchKind = BatchKind.LIVE, count: int = 0
) -> LoadBatch:
    """A range of load_batch; its sums are its count."""
    return LoadBatch(
        run_id=f"run-{first}",
        topic="market.trades",
        partition=P0,
        epoch=1,
        hour=hour,
        kind=kind,
        first_offset=first,
        next_offset=end,
        stored=Sum(count, count, count),
        repeated_records=0,
        quarantined_records=0,
    )


def row(next_offset: int, blocked_by: str | None = None) -> StoredOffset:
    return StoredOffset(
        topic="market.trades",
        partition=P0,
        next_offset=next_offset,
        leader_epoch=None,
        max_ts_append=NINE,
        epoch=1,
        owner_run_id=None,
        claimed_at=None,
        updated_at=None,
        blocked_by=blocked_by,
    )


def range_(first: int, end: int, *, kind: BatchKind = BatchKind.RESTORE) -> Range:
    return Range(first_offset=first, next_offset=end, hour=NINE, records=end - first, kind=kind)


def plan_of(part: PartPlan) -> RestorePlan:
    return RestorePlan(sink="postgres", origin="mongo", parts=[part])


def test_runs_of_one_hour_are_one_stretch_and_a_hole_belongs_to_the_hour_behind_it() -> None:
    """An hour has four runs; a range each would be four times the questions."""
    found = list_accounts(
        [batch(0, 5), batch(5, 9), batch(20, 30, hour=TEN), batch(8, 12, kind=BatchKind.REPLAY)]
    )
    assert found == [Account(NINE, 0, 9), Account(TEN, 9, 30)]


def test_an_empty_store_is_restored_without_asking_and_any_other_is_not() -> None:
    """A mistyped store name must not touch a store that is well."""
    empty = PartPlan(place=PLACE, row=None, ranges=[range_(0, 10)])
    killed = PartPlan(place=PLACE, row=row(5, RESTORING), ranges=[range_(5, 10)])
    well = PartPlan(place=PLACE, row=row(5), ranges=[range_(5, 10)], whole_records=4)
    assert find_objection(plan_of(empty)) is None
    assert find_objection(plan_of(killed)) is None
    objection = find_objection(plan_of(well)) or ""
    assert objection.startswith("postgres is not empty: what is there stays as it is (4 records")


def test_what_nobody_has_is_named_before_it_is_given_up() -> None:
    """The exact offsets: whoever says yes has to know to what."""
    ranges = [range_(0, 40, kind=BatchKind.LOST), range_(40, 50)]
    part = PartPlan(place=PLACE, row=None, ranges=ranges, lost=[Lost(0, 40)])
    assert find_objection(plan_of(part)) == (
        "40 offsets do not come back from mongo: market.trades/0 0 to 39"
    )


def test_ranges_that_do_not_touch_are_written_under_names_of_their_own() -> None:
    """load_batch extends a run's range in place: one name would cover the hole between them."""
    names = Stretches(run_id="r")
    ranges = [range_(0, 5), range_(5, 9), range_(9, 12, kind=BatchKind.LOST), range_(12, 20)]
    assert [names.name(P0, each) for each in ranges] == ["r-0", "r-0", "r-9", "r-12"]


@dataclass
class Books:
    """As much of a store as its account."""

    batches: Sequence[LoadBatch]
    rows: Mapping[range, int] = field(default_factory=dict[range, int])
    """How many there are by where they lie; their sums are their count."""

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        del feed, partition
        own = range(first_offset, next_offset)
        count = sum(n for where, n in self.rows.items() if where.start in own)
        return Sum(count, count, count)

    def read_load_batches(self, partition: TopicPart) -> Iterator[LoadBatch]:
        del partition
        return iter(sorted(self.batches, key=lambda each: each.first_offset))

    def read_removed(self, partition: TopicPart) -> Sequence[Removed]:
        del partition
        return ()


def account_of(*batches: LoadBatch, next_offset: int) -> BookAccount:
    books: object = Books(batches)
    store: Store = books  # pyright: ignore[reportAssignmentType] - as much as an account needs
    return build_account(store, P0, (0, 0), next_offset)


def test_a_restored_range_without_records_covers_its_offsets() -> None:
    """Markers only, or all in quarantine: no hole."""
    empty = batch(0, 10, kind=BatchKind.RESTORE)
    account = account_of(empty, batch(10, 20, count=10), next_offset=20)
    assert account.holes == []


def test_a_restore_over_a_cut_log_accounts_for_the_rows_of_both_logs() -> None:
    """The mirror's truncated range came along without sums: where, not how many."""
    cut = batch(40, 60, kind=BatchKind.TRUNCATED)
    restored = batch(0, 70, kind=BatchKind.RESTORE, count=90)
    account = account_of(cut, restored, next_offset=70)
    [used] = account.used_again
    assert (used.first_offset, used.next_offset, used.certain) == (0, 70, Sum(90, 90, 90))
    assert account.old == []


def test_a_repair_over_several_live_ranges_overlaps_none_of_them() -> None:
    """An hour has four runs, and a restore repairs it as one."""
    first, second = batch(0, 10, count=9), batch(10, 20, count=10)
    repair = batch(0, 20, kind=BatchKind.RESTORE, count=1)
    assert account_of(first, repair, second, next_offset=20).overlaps == []
    twice = account_of(first, repair, batch(8, 20, count=10), next_offset=20)
    assert twice.overlaps == [(8, 10)]


class Log:
    """A partition that still has everything."""

    def __init__(self, next_offset: int) -> None:
        self._bounds = Bounds(low=0, high=next_offset, last_stable=next_offset)

    def read_bounds(self, place: Place) -> Bounds:
        del place
        return self._bounds


def plan_from_kafka(books: Books, *, next_offset: int, tmp_path: Path) -> PartPlan:
    store: object = books
    topics: object = Log(next_offset)
    origin = KafkaOrigin(
        settings=load_settings(tmp_path, environment={}),
        store=store,  # pyright: ignore[reportArgumentType] - as much as a plan needs
        topics=topics,  # pyright: ignore[reportArgumentType]
    )
    return origin.plan(PLACE, row(next_offset))


def test_what_was_repaired_or_released_is_whole(tmp_path: Path) -> None:
    """Else it is named lost and written again at every restore, for good."""
    live = batch(0, 10, count=9)
    released = batch(3, 4, kind=BatchKind.REPLAY, count=1)
    repaired = batch(0, 10, kind=BatchKind.RESTORE, count=9)
    for more, there in (([released], 10), ([repaired], 9), ([released, repaired], 10)):
        books = Books([live, *more], {range(10): there})
        part = plan_from_kafka(books, next_offset=10, tmp_path=tmp_path)
        assert (list(part.ranges), part.whole_records) == ([], there)


def test_what_is_missing_after_a_repair_is_seen(tmp_path: Path) -> None:
    """Being repaired once is no proof."""
    batches = [batch(0, 10, count=9), batch(0, 10, kind=BatchKind.RESTORE, count=9)]
    books = Books(batches, {range(10): 8})
    [found] = plan_from_kafka(books, next_offset=10, tmp_path=tmp_path).ranges
    assert (found.first_offset, found.next_offset, found.is_repair) == (0, 10, True)


def discarded(offset: int) -> QuarantineEntry:
    return QuarantineEntry(
        topic="market.trades",
        partition=P0,
        offset=offset,
        ts_append=NINE,
        reason=Reason.CONFLICT,
        error="other content",
        event_id="a",
        key=None,
        value=b"{}",
        run_id="run",
        state=EntryState.DISCARDED,
        quarantined_at=NINE,
        note="ann: the venue took it back",
    )


def test_what_a_person_discarded_is_not_loaded_again_from_kafka() -> None:
    """Kafka has the value; the store that lost its books would take it for the first."""
    claim = Claim(
        feed=QUOTES,
        topic="market.quotes",
        partition=P0,
        epoch=1,
        next_offset=0,
        leader_epoch=None,
        max_ts_append=NINE,
    )
    refused = Refusal(2, NINE, Reason.UNDECODABLE, "no record", None, b"?")
    whole = piece(claim, [quote(1), quote(2)], next_offset=3, refusals=[refused])
    left, taken = leave_out_discarded(whole, [discarded(1), discarded(2)])
    assert (left.arrivals.offsets, left.refusals, left.next_offset) == ([0], [], 3)
    assert [entry.offset for entry in taken.entries] == [1, 2]


def test_a_mirror_that_does_not_answer_is_said_before_decisions_are_undone() -> None:
    """Whoever restores from Kafka has to know."""
    part = PartPlan(place=PLACE, row=None, ranges=[range_(0, 10)])
    plan = RestorePlan(sink="postgres", origin="kafka", parts=[part], warning="mirror is away")
    assert find_objection(plan) == "mirror is away"

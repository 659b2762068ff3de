"""What a restore would write into a store, partition by partition; nothing is written here.

Here: the ranges of a partition's offsets that come from an origin (Kafka, the other store), those
that are skipped because they are whole, those that nobody has any more. Pure of any server but what
the origins read. Not here: writing (restore.py), reading the origins (restore_kafka.py,
restore_mirror.py).

Of each partition two kinds of range come about:

- from the store's next_offset on: they move it, and so account for all that lies in them;
- below it, where rows are missing although the store once had them: repairs, absorbed by ids.

Where states alone are missing or stale (orders, wallets), all ranges of their feed are repairs: no
row is, but with the records their states are written anew.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from crypto_platform.errors import StoreRefusedError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.projection import Projection
from crypto_platform.stores.accounts import StatesAccount
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING, BatchKind, LoadBatch, TakenOver
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.slices import Slice
from crypto_platform.stores.sums import EMPTY_SUM, Sum

LOST_NAMED_MAX = 5


class Place(NamedTuple):
    """One partition of one incarnation of a feed's topic."""

    feed: Feed[Record]
    topic: str
    partition: TopicPart

    @property
    def name(self) -> str:
        """market.trades/3, for people."""
        return f"{self.topic}/{self.partition.part}"


class Account(NamedTuple):
    """A stretch of offsets of one hour, as a store's load_batch has it.

    Attributes:
        hour: First microsecond.
    """

    hour: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True, kw_only=True)
class Range:
    """A stretch of offsets to be written.

    Attributes:
        hour: First microsecond of its hour of append time; None where reading tells.
        kind: restore, or lost: nobody has it any more.
        records: How many are to be read; offsets of Kafka, markers counted.
        is_repair: Below the store's next_offset.
    """

    first_offset: int
    next_offset: int
    hour: int | None
    records: int
    kind: BatchKind = BatchKind.RESTORE
    is_repair: bool = False


class Lost(NamedTuple):
    """Offsets that neither the origin nor Kafka has."""

    first_offset: int
    next_offset: int

    def __str__(self) -> str:
        return f"{self.first_offset:,} to {self.next_offset - 1:,}"


@dataclass(frozen=True, kw_only=True)
class PartPlan:
    """What would happen to one partition.

    Attributes:
        row: How far the store has come; None where it never saw the partition.
        ranges: In the order in which they are written: repairs, then rising from next_offset.
        whole_records: There already, in ranges that are skipped.
        lost: Records that this restore does not bring back.
        rewrites_states: Ranges are read although their rows are whole, for the states they tell.
    """

    place: Place
    row: StoredOffset | None
    ranges: Sequence[Range] = ()
    whole_records: int = 0
    lost: Sequence[Lost] = ()
    rewrites_states: bool = False

    @property
    def next_offset(self) -> int:
        """Where the store stands."""
        return 0 if self.row is None else self.row.next_offset

    @property
    def end_offset(self) -> int:
        """Where it will stand."""
        return max((each.next_offset for each in self.ranges), default=self.next_offset)

    @property
    def records(self) -> int:
        """To be read."""
        return sum(each.records for each in self.ranges)

    @property
    def is_unfinished(self) -> bool:
        """A restore was killed here, and no load may have the partition."""
        return self.row is not None and (self.row.blocked_by or "").startswith(RESTORING)


class OddStates(NamedTuple):
    """States that are not as many, or not as new, as the store's own records tell.

    Attributes:
        account: None where the store does not even have a place for them.
    """

    feed: Feed[Record]
    projection: Projection
    account: StatesAccount | None

    def __str__(self) -> str:
        if self.account is None:
            return f"{self.projection.collection} are not there at all"
        there, told = self.account
        if there.states != told.states:
            return (
                f"{there.states:,} {self.projection.collection} are there, {told.states:,} belong"
            )
        return f"some of {there.states:,} {self.projection.collection} are not the last"


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """What would happen to a store.

    Attributes:
        sink: Which store.
        origin: Where from, for people.
        warning: What the origin cannot bring back beside records.
        odd_states: What made it read the records of whole ranges again.
    """

    sink: str
    origin: str
    parts: Sequence[PartPlan]
    warning: str | None = None
    odd_states: Sequence[OddStates] = ()

    @property
    def work(self) -> list[PartPlan]:
        """The partitions that are touched at all."""
        return [part for part in self.parts if part.ranges or part.is_unfinished]

    @property
    def records(self) -> int:
        """To be read."""
        return sum(part.records for part in self.parts)

    @property
    def whole_records(self) -> int:
        """There already, and skipped."""
        return sum(part.whole_records for part in self.parts)

    @property
    def is_store_empty(self) -> bool:
        """The store knows of nothing, or a restore that was killed has filled it."""
        return all(
            part.row is None or part.is_unfinished or not part.next_offset for part in self.parts
        )

    @property
    def lost(self) -> list[tuple[Place, Lost]]:
        """What nobody has."""
        return [(part.place, lost) for part in self.parts for lost in part.lost]


class Origin(Protocol):
    """Where records come back from."""

    @property
    def name(self) -> str:
        """For people and for incidents: kafka, mongo."""
        ...

    @property
    def warning(self) -> str | None:
        """What a person has to know before; None where there is nothing."""
        ...

    def list_places(self) -> list[Place]:
        """The partitions it knows, by feed and partition."""
        ...

    def plan(
        self, place: Place, row: StoredOffset | None, *, rewrites_states: bool = False
    ) -> PartPlan:
        """What would be written into a store that has come so far.

        Args:
            rewrites_states: Whole ranges are read as well, where the origin still has them.
        """
        ...

    def read(
        self, part: PartPlan, range_: Range, claim: Claim
    ) -> Iterator[tuple[Slice, TakenOver]]:
        """A range in slices without a gap, each small enough for one transaction."""
        ...

    def list_changed(self) -> Sequence[str]:
        """Ids of records that were left out: they are not what once was published."""
        ...


def list_accounts(batches: Iterable[LoadBatch]) -> list[Account]:
    """The stretches that live, lost and restored ranges cover, in order, an hour each at most.

    A later range gives way where it overlaps; a hole belongs to the hour behind it.
    """
    accounts: list[Account] = []
    reached = 0
    for batch in batches:
        if batch.kind not in {BatchKind.LIVE, BatchKind.LOST, BatchKind.RESTORE}:
            continue
        if batch.next_offset <= reached:
            continue
        last = accounts[-1] if accounts else None
        if last is not None and last.hour == batch.hour:
            accounts[-1] = last._replace(next_offset=batch.next_offset)
        else:
            accounts.append(Account(batch.hour, reached, batch.next_offset))
        reached = batch.next_offset
    return accounts


def sum_there(store: Store, place: Place, first_offset: int, next_offset: int) -> Sum:
    """What of a range is in a store; nothing where its table is gone, which is made first."""
    try:
        return store.sum_range(place.feed, place.partition, first_offset, next_offset)
    except StoreRefusedError:
        return EMPTY_SUM


def find_odd_states(store: Store, places: Iterable[Place]) -> list[OddStates]:
    """The states of these places' feeds that do not fit the store's records; see Store.sum_states.

    Contents are not compared, which the audit does.
    """
    feeds = {place.feed.name: place.feed for place in places}
    odd: list[OddStates] = []
    for feed in feeds.values():
        for projection in feed.projections:
            try:
                account = store.sum_states(feed, projection)
            except StoreRefusedError:
                account = None
            if account is None or account.there != account.told:
                odd.append(OddStates(feed, projection, account))
    return odd


def find_objection(plan: RestorePlan) -> str | None:
    """Why a person has to say yes first; None where nothing can be harmed."""
    objections: list[str] = []
    if not plan.is_store_empty and plan.work:
        objections.append(
            f"{plan.sink} is not empty: what is there stays as it is ({plan.whole_records:,} "
            "records in whole ranges are skipped, ids absorb the others)"
        )
    if plan.lost:
        count = sum(lost.next_offset - lost.first_offset for _, lost in plan.lost)
        places = "; ".join(f"{place.name} {lost}" for place, lost in plan.lost[:LOST_NAMED_MAX])
        more = len(plan.lost) - LOST_NAMED_MAX
        objections.append(
            f"{count:,} offsets do not come back from {plan.origin}: {places}"
            + (f" and {more} ranges more" if more > 0 else "")
        )
    if plan.warning is not None and plan.work:
        objections.append(plan.warning)
    return "; ".join(objections) or None


@dataclass(kw_only=True)
class Stretches:
    """Names the ranges of load_batch a restore writes: one a stretch without a gap.

    load_batch extends a range of one run and hour in place, so two that do not touch, or are of
    different kinds, need names of their own.
    """

    run_id: str
    _last: tuple[TopicPart, BatchKind, bool, int] | None = None
    _name: str = field(default="")

    def name(self, partition: TopicPart, range_: Range) -> str:
        """The run_id under which a range is written."""
        key = (partition, range_.kind, range_.is_repair, range_.first_offset)
        if self._last != key:
            self._name = f"{self.run_id}-{range_.first_offset}"
        self._last = (*key[:3], range_.next_offset)
        return self._name

"""The protocol between a load and a store, step by step in any order.

Two writers, each with a store of its own on one database, claim and commit what is published; any
of their claims may come back much later. Restart, hand-over and a lost reply are steps like any
other. Numbers are tiny, so that edges come up often.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.slices import Outcome, Slice
from tests.stateful import invariants
from tests.stateful.truth import Truth
from tests.store_steps import QUOTES

PARTITIONS_MAX = 4
KINDS = ("new", "new", "new", "repeat", "contradiction", "poison", "marker")

WRITERS = st.integers(0, 1)
PLACES = st.integers(0, PARTITIONS_MAX - 1)


@dataclass
class Writer:
    """Who claimed once, and may believe long after that the claims are still its own."""

    store: Store
    run_id: str
    claims: dict[TopicPart, Claim] = field(default_factory=dict[TopicPart, Claim])


class Delivery(RuleBasedStateMachine):
    """Whatever the order of steps, each store holds what was committed, once."""

    writers = Bundle("writers")

    def __init__(self, open_stores: Callable[[], Sequence[Store]]) -> None:
        super().__init__()
        self.stores = open_stores()
        self.truth = Truth()
        self.runs = 0

    @initialize(partitions=st.integers(1, 3))
    def create_topic(self, partitions: int) -> None:
        self.truth.recreate_topic(partitions)

    @rule(
        place=PLACES,
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
        choice=st.integers(0, 20),
    )
    def publish(self, place: int, kinds: list[str], choice: int) -> None:
        part = self.truth.parts[place % len(self.truth.parts)]
        for number, kind in enumerate(kinds):
            self.truth.publish(part, kind, choice + number)

    @rule()
    def turn_the_hour(self) -> None:
        self.truth.turn_the_hour()

    @rule(target=writers, number=WRITERS)
    def claim(self, number: int) -> Writer:
        """A run begins, and takes everything over from whoever had it."""
        self.runs += 1
        writer = Writer(self.stores[number], f"run-{self.runs}")
        claims = writer.store.claim(
            [(QUOTES, QUOTES.topic, part) for part in self.truth.parts], run_id=writer.run_id
        )
        assert [own.partition for own in claims] == sorted(self.truth.parts)
        for own in claims:
            self.truth.epochs[own.partition] += 1
            assert own.epoch == self.truth.epochs[own.partition]
            assert own.next_offset == self.truth.reached[own.partition]
            writer.claims[own.partition] = own
        return writer

    @rule(writer=writers, records_max=st.integers(1, 4))
    def commit(self, writer: Writer, records_max: int) -> None:
        """What the writer may write is written; for the rest it learns that it is fenced."""
        slices = self._read(writer, records_max)
        outcome = writer.store.commit(slices, run_id=writer.run_id)
        self._account(slices, outcome)
        for part in outcome.fenced:
            del writer.claims[part]
        for own in slices:
            if own.claim.partition in writer.claims:
                part = own.claim.partition
                writer.claims[part] = replace(writer.claims[part], next_offset=own.next_offset)

    @rule(writer=writers, records_max=st.integers(1, 4))
    def commit_and_lose_the_reply(self, writer: Writer, records_max: int) -> None:
        """It is written, and the writer believes that it is not."""
        slices = self._read(writer, records_max)
        self._account(slices, writer.store.commit(slices, run_id=writer.run_id))

    @rule(target=writers, writer=consumes(writers))
    def crash(self, writer: Writer) -> object:
        """Dead between claim and commit: its connections end, its claims are nobody's."""
        writer.store.close()
        return multiple()

    @rule(place=PLACES, first=st.integers(0, 10), length=st.integers(1, 6))
    def replay(self, place: int, first: int, length: int) -> None:
        """A past range again: nothing is stored twice, and no offset moves."""
        part = self.truth.parts[place % len(self.truth.parts)]
        first = min(first, self.truth.reached[part])
        end = min(first + length, self.truth.reached[part])
        anybody = Claim(
            feed=QUOTES,
            topic=QUOTES.topic,
            partition=part,
            epoch=0,
            next_offset=first,
            leader_epoch=None,
            max_ts_append=0,
        )
        slices = self.truth.cut_slices(anybody, first, end)
        outcome = self.stores[0].commit_replay(slices, run_id="replay")
        assert sum(outcome.stored_records.values()) == 0

    @precondition(lambda self: len(self.truth.parts) < PARTITIONS_MAX)
    @rule()
    def add_a_partition(self) -> None:
        self.truth.add_partition()

    @precondition(lambda self: self.truth.incarnation < 3)
    @rule(partitions=st.integers(1, 3))
    def recreate_the_topic(self, partitions: int) -> None:
        self.truth.recreate_topic(partitions)

    @invariant()
    def every_invariant_holds(self) -> None:
        for holds in invariants.ALL:
            holds(self.stores[-1], self.truth)

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    def _read(self, writer: Writer, records_max: int) -> list[Slice]:
        slices: list[Slice] = []
        for part, own in writer.claims.items():
            end = min(own.next_offset + records_max, len(self.truth.logs[part]))
            slices += self.truth.cut_slices(own, own.next_offset, end)
        return slices

    def _account(self, slices: Sequence[Slice], outcome: Outcome) -> None:
        """What of it was written, by the truth's own reckoning; it must be the store's too."""
        firsts = {own.claim.partition: own for own in reversed(slices)}
        fenced = {
            part
            for part, own in firsts.items()
            if own.claim.epoch != self.truth.epochs[part]
            or own.first_offset != self.truth.reached[part]
        }
        assert outcome.fenced == fenced
        for own in slices:
            if own.claim.partition not in fenced:
                self.truth.reached[own.claim.partition] = own.next_offset

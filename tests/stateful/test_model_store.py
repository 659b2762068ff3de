"""The machine over a store in memory: many examples, and whether it would notice what is wrong."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from crypto_platform.feeds import Record
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.slices import Slice
from crypto_platform.stores.sums import Sum
from tests.stateful.machine import Delivery
from tests.stateful.model_store import ModelStore, Tables

MANY = settings(
    max_examples=150,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
)
UNTIL_IT_FAILS = settings(MANY, max_examples=1000, database=None, phases=[Phase.generate])
"""Without shrinking: that it fails is all that is wanted."""


def two_of(kind: type[ModelStore]) -> Sequence[Store]:
    """Two connections to one empty database."""
    tables = Tables()
    return [kind(tables), kind(tables)]  # pyright: ignore[reportReturnType]


def test_each_record_is_stored_once_whatever_the_order_of_claims_and_commits() -> None:
    """The protocol itself, before any server has a say in it."""
    run_state_machine_as_test(lambda: Delivery(lambda: two_of(ModelStore)), settings=MANY)


class WithoutFence(ModelStore):
    """Takes the offset's word and forgets to ask whose claim it is."""

    def holds(self, first: Slice) -> bool:
        return self.tables.offsets[first.claim.partition].next_offset == first.first_offset


class WithoutOffsetCheck(ModelStore):
    """Asks whose claim it is, not where the batch begins: a lost reply repeats the batch."""

    def holds(self, first: Slice) -> bool:
        return self.tables.offsets[first.claim.partition].epoch == first.claim.epoch


class OffsetFirst(ModelStore):
    """Moves the offset by one more than it writes."""

    def move_offset(self, own: Slice) -> None:
        super().move_offset(own)
        row = self.tables.offsets[own.claim.partition]
        ahead = replace(row, next_offset=row.next_offset + 1)
        self.tables.offsets[own.claim.partition] = ahead


class LastContentWins(ModelStore):
    """Overwrites what is stored with what contradicts it."""

    def store_fact(self, part: TopicPart, record: Record, offset: int) -> bool:
        found = self.tables.facts.get(record.event_id)
        if found is not None and found.content_hash != record.content_hash:
            del self.tables.facts[record.event_id]
        return super().store_fact(part, record, offset)


class WithoutAccount(ModelStore):
    """Leaves out the load_batch row of a slice without records."""

    def add_batch(self, own: Slice, *, run_id: str, kind: BatchKind, stored: Sum) -> None:
        if stored.count:
            super().add_batch(own, run_id=run_id, kind=kind, stored=stored)


@pytest.mark.parametrize(
    "kind", [WithoutFence, WithoutOffsetCheck, OffsetFirst, LastContentWins, WithoutAccount]
)
def test_a_store_with_one_thing_wrong_is_found_out(kind: type[ModelStore]) -> None:
    """An invariant that nothing can break proves nothing."""
    with pytest.raises((AssertionError, StopIteration)):
        run_state_machine_as_test(lambda: Delivery(lambda: two_of(kind)), settings=UNTIL_IT_FAILS)

"""The audit after retention: what it took is no fault, and what somebody else took still is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from crypto_platform.delivery.audit import audit
from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Sum, TopicPart
from tests.audit_fakes import FakeLog, FakeStore
from tests.store_steps import NOON, quote

SETTINGS = Settings(data_dir=Path("/nonexistent"))

Q0, Q1, Q2, Q3 = (quote(number) for number in range(4))
CUT = NOON + 2_000_000
"""Q0 and Q1 are older."""

both_ways = pytest.mark.parametrize("deep", [False, True])


def run(log: FakeLog, store: FakeStore, *, deep: bool) -> AuditReport:
    return audit(SETTINGS, {store.sink: store}, [QUOTES], deep=deep, log=log)


def load(*batches: Sequence[Record]) -> tuple[FakeLog, FakeStore]:
    """A log with these batches, and a store that has loaded one after the other."""
    log, store = FakeLog(), FakeStore()
    for batch in batches:
        log.publish(*batch)
        store.load(log, batch)
    return log, store


def found(report: AuditReport) -> Mapping[str, Sequence[str | None]]:
    """Kind -> ids of its examples."""
    return {f.kind.value: [example.event_id for example in f.examples] for f in report.findings}


@both_ways
def test_what_retention_took_is_no_fault_while_kafka_still_has_it(*, deep: bool) -> None:
    """A late record is gone from the stores before it is gone from Kafka."""
    log, store = load([Q0, Q2], [Q1, Q3])
    store.forget(CUT)
    report = run(log, store, deep=deep)
    assert report.whole
    [note] = report.notes
    assert note.startswith("postgres: retention has removed 2 records of quotes")
    assert note.endswith("events before 2025-11-22T12:00:02Z")


@both_ways
def test_what_retention_took_is_no_fault_when_kafka_has_forgotten_it(*, deep: bool) -> None:
    """The usual case: then the loads' own sums are the judge, less what went."""
    log, store = load([Q0, Q2], [Q1, Q3])
    store.forget(CUT)
    log.low = 4
    assert run(log, store, deep=deep).whole


@both_ways
def test_a_younger_row_that_somebody_deleted_is_still_named(*, deep: bool) -> None:
    """Retention must not become the excuse for every hole."""
    log, store = load([Q0, Q2], [Q1, Q3])
    store.forget(CUT)
    store.drop(Q3.event_id)
    assert found(run(log, store, deep=deep)) == {"missing": [Q3.event_id]}
    log.low = 4
    assert found(run(log, store, deep=deep)) == {"sum_differs": [None]}


@both_ways
def test_a_late_row_that_somebody_else_deleted_is_missed_in_the_account(*, deep: bool) -> None:
    """It is as old as what was removed, but retention has not written it down."""
    log, store = load([Q0, Q2])
    store.forget(CUT)
    log.publish(Q1)
    store.load(log, [Q1])
    assert run(log, store, deep=deep).whole
    store.drop(Q1.event_id)
    assert found(run(log, store, deep=deep)) == {"sum_differs": [None]}


@both_ways
def test_more_written_down_than_was_stored_is_a_fault(*, deep: bool) -> None:
    """Else whoever deletes rows need only add to the table of what was removed."""
    log, store = load([Q0, Q2])
    store.forget(CUT)
    store.removed.append(store.removed[0])
    assert found(run(log, store, deep=deep)) == {"sum_differs": [None]}


@both_ways
def test_a_repeat_of_a_removed_record_is_no_loss(*, deep: bool) -> None:
    """The range of the repeat stored nothing, and so nothing was removed of it."""
    log, store = load([Q0, Q2], [Q3, Q0])
    store.forget(CUT)
    assert run(log, store, deep=deep).whole


@both_ways
def test_a_record_that_came_again_after_it_was_removed_is_removed_again(*, deep: bool) -> None:
    """A source repeats itself days later: stored once more, and gone with the next run."""
    log, store = load([Q0, Q2])
    store.forget(CUT)
    log.publish(Q0)
    store.load(log, [Q0])
    assert run(log, store, deep=deep).whole
    store.forget(CUT)
    assert run(log, store, deep=deep).whole


@both_ways
def test_a_released_entry_may_outlive_its_record(*, deep: bool) -> None:
    """Retention takes records; what was decided about them stays to be read."""
    log, store = load([Q0, Q2])
    store.refuse(0, Reason.UNKNOWN_SCHEMA, event_id=Q0.event_id, state="released")
    store.forget(CUT)
    assert run(log, store, deep=deep).whole


class ForgettingStore(FakeStore):
    """Retention strikes when the first sum is asked for, after the account was read."""

    def sum_range(
        self, feed: Feed[Record], partition: TopicPart, first_offset: int, next_offset: int
    ) -> Sum:
        if not self.removed:
            self.forget(CUT)
        return super().sum_range(feed, partition, first_offset, next_offset)


@both_ways
def test_an_audit_that_retention_meets_begins_that_partition_anew(*, deep: bool) -> None:
    """A false alarm every night would be switched off."""
    log, store = FakeLog(), ForgettingStore()
    log.publish(Q0, Q2)
    store.load(log, [Q0, Q2])
    assert run(log, store, deep=deep).whole
    assert len(store.removed) == 1

"""The audit after retention: what it took is no fault, and what somebody else took still is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from crypto_platform.delivery.audit import audit
from crypto_platform.delivery.audit_removed import Removals
from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.settings import Settings
from crypto_platform.stores.batches import Removed
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.sums import EMPTY_SUM, Sum
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
def test_a_replay_nearby_is_no_cover_for_a_late_row_that_was_deleted(*, deep: bool) -> None:
    """One repaired row among millions would have made the account of them all worthless."""
    log, store = load([Q0, Q2])
    store.forget(CUT)
    log.publish(Q1)
    store.load(log, [Q1])
    store.drop(Q2.event_id)
    store.replay(Q2, 1)
    assert run(log, store, deep=deep).whole
    store.drop(Q1.event_id)
    assert found(run(log, store, deep=deep)) == {"sum_differs": [None]}


@both_ways
def test_what_no_complete_range_speaks_of_is_said(*, deep: bool) -> None:
    """A load extends its range while it is audited; whether retention took a row is open then."""
    log, store = load([Q0, Q2])
    store.forget(CUT)
    log.publish(Q1)
    store.load(log, [Q1])
    store.drop(Q1.event_id)
    store.batches[-1] = replace(store.batches[-1], next_offset=9)
    report = run(log, store, deep=deep)
    assert report.whole
    said = "1 records of market.quotes/0 are in Kafka, not stored, and older than what retention"
    assert [said in note for note in report.notes] == [True, False]


@both_ways
def test_a_released_record_that_retention_took_is_no_loss(*, deep: bool) -> None:
    """Its entry stays, and says when it happened."""
    log, store = load([Q0, Q2], [Q3])
    for offset, record in ((0, Q0), (1, Q2)):
        store.refuse(
            offset,
            Reason.UNKNOWN_SCHEMA,
            event_id=record.event_id,
            value=encode(record),
            state="released",
        )
    store.forget(CUT)
    log.low = 2
    assert run(log, store, deep=deep).whole


def test_what_was_removed_of_a_range_is_that_of_all_runs() -> None:
    """A range is emptied by one nightly run after the other."""
    rows = [
        Removed(
            topic="market.quotes",
            partition=TopicPart("id", 0),
            run_id=run_id,
            hour=NOON,
            first_offset=first_offset,
            events_before=cut,
            removed=Sum(1, 10, 100),
        )
        for first_offset, run_id, cut in ((20, "a", 7), (10, "b", 9), (10, "a", 8), (30, "a", 1))
    ]
    removals = Removals(rows)
    assert removals.sum_between(10, 20) == Sum(2, 20, 200)
    assert removals.sum_between(11, 31) == Sum(2, 20, 200)
    assert removals.sum_between(0, 10) == removals.sum_between(31, 99) == EMPTY_SUM
    assert [removals.find_cut(offset) for offset in (9, 10, 25, 99)] == [None, 9, 9, 9]


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

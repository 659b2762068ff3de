"""The audit over a log and stores that are lists: spoil one thing, name what is found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from crypto_platform.delivery.audit import AuditProgress, audit
from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.errors import IncidentError, Reason
from crypto_platform.feeds import Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.feed import Step
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.settings import Settings
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.sums import sum_of
from tests.audit_fakes import MARKER, FakeLog, FakeStore, hours
from tests.store_steps import NOON, OTHER_TOPIC_ID, contradict, quote

SETTINGS = Settings(data_dir=Path("/nonexistent"))

Q0, Q1, Q2, Q3 = (quote(number) for number in range(4))


def run(
    log: FakeLog,
    *stores: FakeStore,
    deep: bool = False,
    since_us: int | None = None,
    until_us: int | None = None,
) -> AuditReport:
    by_name = {store.sink: store for store in stores}
    return audit(
        SETTINGS,
        by_name,
        [QUOTES],
        deep=deep,
        since_us=since_us,
        until_us=until_us,
        log=log,
    )


def published(
    *values: Record | bytes | None, hour: int = NOON, stores: Sequence[FakeStore] = ()
) -> tuple[FakeLog, FakeStore]:
    """A log with these values in one hour, and a store that has loaded them."""
    log, store = FakeLog(), FakeStore()
    log.publish(*values, hour=hour)
    for each in (store, *stores):
        each.load(log, values, hour=hour)
    return log, store


def found(report: AuditReport) -> dict[str, list[tuple[str | None, int | None]]]:
    """Kind -> (event_id, offset) of its examples."""
    return {
        finding.kind.value: [(e.event_id, e.offset) for e in finding.examples]
        for finding in report.findings
    }


def test_what_was_loaded_is_whole_and_the_sums_are_equal() -> None:
    """An audit that cries wolf is switched off."""
    mongo = FakeStore(sink="mongo")
    log, store = published(Q0, Q1, b"{poison", MARKER, Q2, stores=[mongo])
    report = run(log, store, mongo)
    assert report.whole
    quotes = report.to_document()["feeds"]["quotes"]  # type: ignore[index]
    assert quotes["kafka"] | {"hash": ""} == {"records": 3, "hash": "", "refused": 1, "read": 4}
    assert quotes["postgres"] == quotes["mongo"]
    assert quotes["postgres"]["records"] == 3
    assert quotes["postgres"]["quarantined"] == 1
    assert quotes["postgres"]["hash"] == quotes["kafka"]["hash"]


def test_equal_sums_need_no_look_at_single_ids() -> None:
    """The audit of a day must cost seconds, or nobody runs it."""
    log, store = published(Q0, Q1, Q2)
    run(log, store)
    assert (store.looked_up_ids, store.rows_read) == (0, 0)


def test_the_hash_shown_is_the_sum_of_both_halves() -> None:
    """Two audits are compared by eye: the number has to mean something."""
    record = msgspec.structs.replace(Q0, content_hash=0x1_0000_0002)
    log, store = published(record)
    assert run(log, store).feeds["quotes"].kafka.hash == "0000000000000001" + "0000000000000002"


def test_a_deleted_row_is_named_as_missing() -> None:
    """A lost record is what the platform exists to prevent."""
    log, store = published(Q0, Q1, Q2)
    store.drop(Q1.event_id)
    report = run(log, store)
    assert not report.whole
    assert found(report) == {"missing": [(Q1.event_id, 1)]}


def test_a_deleted_row_of_one_store_is_not_blamed_on_the_other() -> None:
    """Else the whole store would be restored from the broken one."""
    mongo = FakeStore(sink="mongo")
    log, store = published(Q0, Q1, stores=[mongo])
    mongo.drop(Q0.event_id)
    [finding] = run(log, store, mongo).findings
    assert (finding.store, finding.kind.value, finding.records) == ("mongo", "missing", 1)


def test_a_changed_hash_is_named_as_changed() -> None:
    """Somebody with a password rewrote history."""
    log, store = published(Q0, Q1)
    store.change(Q1.event_id, content_hash=7)
    assert found(run(log, store)) == {"changed": [(Q1.event_id, 1)]}


def test_a_changed_column_is_found_by_the_deep_audit() -> None:
    """A price changed in place keeps its hash, and so all sums."""
    log, store = published(Q0, Q1)
    store.change(Q1.event_id, record=msgspec.structs.replace(Q1, price="9999"))
    assert run(log, store).whole
    assert found(run(log, store, deep=True)) == {"columns_changed": [(Q1.event_id, 1)]}


def test_an_extra_row_is_named() -> None:
    """Nothing may stand in a store that no source has said."""
    log, store = published(Q0, MARKER, Q1)
    store.rows.append(store.row(Q3, 1))
    assert found(run(log, store)) == {"extra": [(Q3.event_id, 1)]}


def test_an_extra_row_beyond_the_stored_offset_is_named() -> None:
    """A row must not hide from every range by naming an arrival that is not reached."""
    log, store = published(Q0, Q1)
    store.rows.append(store.row(Q3, 1_000_000))
    assert found(run(log, store)) == {"extra": [(Q3.event_id, 1_000_000)]}


def test_a_row_that_was_moved_out_of_every_range_is_named() -> None:
    """It would pass for a repeat whose first arrival lies elsewhere."""
    log, store = published(Q0, Q1)
    store.change(Q1.event_id, partition=TopicPart(OTHER_TOPIC_ID, 0))
    assert found(run(log, store)) == {"extra": [(Q1.event_id, 1)]}


def test_two_rows_with_one_id_are_named_as_twice() -> None:
    """Every record once: two rows double a volume."""
    log, store = published(Q0, Q1)
    store.rows.append(store.row(Q1, 0))
    assert found(run(log, store)) == {"extra": [(Q1.event_id, 0)], "twice": [(Q1.event_id, 1)]}


def test_two_rows_at_two_true_arrivals_are_found_by_the_deep_audit() -> None:
    """Each hour's sums are equal then. The unique key of both stores forbids it; what if not?"""
    log, store = published(Q0, Q1)
    log.publish(Q0, hour=hours(1))
    store.load(log, [Q0], hour=hours(1))
    store.rows.append(store.row(Q0, 2))
    assert "twice" in found(run(log, store, deep=True))


def test_one_id_under_two_event_times_is_found_where_the_table_is_partitioned_by_time() -> None:
    """Its key holds the time, so two rows may have one id, each at an arrival that Kafka has."""
    by_time = replace(QUOTES, partition_step=Step.MONTH)
    log, store = published(Q0, Q1)
    log.publish(Q0, hour=hours(1))
    store.load(log, [Q0], hour=hours(1))
    store.rows.append(store.row(Q0, 2))
    report = audit(SETTINGS, {"postgres": store}, [by_time], log=log)
    assert found(report)["twice"] == [(Q0.event_id, 0), (Q0.event_id, 2)]


def test_the_same_id_twice_in_the_topic_is_fine() -> None:
    """A poll that is sent again after a lost reply is ordinary."""
    log, store = published(Q0, Q1, Q0)
    report = run(log, store)
    assert report.whole
    assert report.feeds["quotes"].kafka.records == 2


def test_a_repeat_in_a_later_hour_is_fine_and_counted_once() -> None:
    """The first round of every run repeats what the last one has published."""
    log, store = published(Q0, Q1)
    log.publish(Q1, Q2, hour=hours(1))
    store.load(log, [Q1, Q2], hour=hours(1))
    report = run(log, store)
    assert report.whole
    assert [(line.hour, line.kafka and line.kafka.records) for line in report.hours] == [
        ("2025-11-22T12:00:00Z", 2),
        ("2025-11-22T13:00:00Z", 1),
    ]
    assert report.feeds["quotes"].kafka.records == report.feeds["quotes"].stores["postgres"].records


def test_a_deleted_row_is_missing_in_the_hour_of_its_repeat_too() -> None:
    """The repeat is no proof that the first arrival was stored."""
    log, store = published(Q0, Q1)
    log.publish(Q1, hour=hours(1))
    store.load(log, [Q1], hour=hours(1))
    store.drop(Q1.event_id)
    [finding] = run(log, store).findings
    assert finding.records == 2
    assert finding.hours == ["2025-11-22-12:00", "2025-11-22-13:00"]


def test_a_row_that_a_replay_of_the_later_hour_brought_back_is_whole() -> None:
    """Its first arrival is the repeat then; the earlier hour must find it by its id."""
    log, store = published(Q0, Q1)
    log.publish(Q1, hour=hours(1))
    store.load(log, [Q1], hour=hours(1))
    store.drop(Q1.event_id)
    store.replay(Q1, 2)
    assert run(log, store).whole


def test_a_conflict_in_quarantine_is_whole() -> None:
    """The first content wins, the second is kept and named: nothing is lost."""
    log, store = published(Q0, contradict(Q0), Q1)
    report = run(log, store)
    assert report.whole
    assert report.feeds["quotes"].stores["postgres"].quarantined == 1


def test_a_conflict_that_is_not_in_quarantine_is_named() -> None:
    """The second content changes no sum: only its missing entry can give it away."""
    log, store = published(Q0, contradict(Q0), Q1)
    store.quarantine.clear()
    assert found(run(log, store)) == {"not_quarantined": [(Q0.event_id, 1)]}


def test_an_entry_that_calls_a_repeat_a_conflict_is_named() -> None:
    """A quarantine full of false alarms hides the true one."""
    log, store = published(Q0, Q0)
    store.refuse(1, Reason.CONFLICT, event_id=Q0.event_id)
    assert found(run(log, store)) == {"unfounded_quarantine": [(Q0.event_id, 1)]}


def test_a_record_that_is_stored_and_in_quarantine_is_named() -> None:
    """Once here or once there, never both."""
    log, store = published(Q0, Q1)
    store.refuse(1, Reason.INVARIANT, event_id=Q1.event_id)
    assert found(run(log, store)) == {"twice": [(Q1.event_id, 1)]}


def test_a_record_that_the_store_refused_is_whole() -> None:
    """PostgreSQL may refuse what our own rules let pass; it is in quarantine once."""
    log, store = published(Q0, Q1)
    store.drop(Q1.event_id)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    store.refuse(1, Reason.INVARIANT, event_id=Q1.event_id)
    assert run(log, store).whole


def test_poison_that_is_not_in_quarantine_is_named() -> None:
    """What a source said must not vanish because nobody can read it."""
    log, store = published(Q0, b"{poison")
    store.quarantine.clear()
    assert found(run(log, store)) == {"not_quarantined": [(None, 1)]}


def test_an_entry_without_a_value_in_kafka_is_named() -> None:
    """An entry at a marker's offset was never a record."""
    log, store = published(Q0, MARKER)
    store.refuse(1, Reason.UNDECODABLE)
    assert found(run(log, store)) == {"unfounded_quarantine": [(None, 1)]}


def test_a_released_entry_whose_record_is_not_stored_is_named() -> None:
    """Released means loaded; else the record is nowhere."""
    log, store = published(Q0, Q1)
    store.drop(Q1.event_id)
    store.refuse(1, Reason.UNKNOWN_SCHEMA, event_id=Q1.event_id, state="released")
    assert found(run(log, store)) == {
        "unfounded_quarantine": [(Q1.event_id, 1)],
        "missing": [(Q1.event_id, 1)],
    }


def test_an_entry_that_would_load_today_is_a_note() -> None:
    """It is kept once, as promised; a replay brings it home."""
    log, store = published(Q0, Q1)
    store.drop(Q1.event_id)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    store.refuse(1, Reason.UNKNOWN_SCHEMA, event_id=Q1.event_id)
    report = run(log, store)
    assert report.whole
    assert len(report.notes) == 1


def test_a_hole_in_load_batch_is_named() -> None:
    """What no load has written down cannot be proved once Kafka has forgotten it."""
    log, store = published(Q0, Q1)
    store.load(log, [], hour=hours(1))
    store.batches[0] = replace(store.batches[0], first_offset=1)
    assert found(run(log, store)) == {"hole": [(None, 0)]}


def test_a_hole_at_the_end_of_load_batch_is_named() -> None:
    """An offset that moved without its batch moved without its data."""
    log, store = published(Q0, Q1, MARKER)
    store.batches[0] = replace(store.batches[0], next_offset=2)
    assert found(run(log, store)) == {"hole": [(None, 2)]}


def test_an_overlap_in_load_batch_is_named() -> None:
    """Two live loads have written the same offsets: the fence was broken."""
    log, store = published(Q0, Q1)
    store.batches.append(replace(store.batches[0], run_id="other", stored=sum_of([])))
    assert found(run(log, store)) == {"overlap": [(None, 0)]}


def lost_and_gone_on() -> tuple[FakeLog, FakeStore]:
    """Retention took Q1 and Q2 unread; a person said so, and the load went on with Q3."""
    log, store = published(Q0)
    log.publish(Q1, Q2, Q3)
    log.low = 3
    store.lose(3)
    store.load(log, [Q3])
    return log, store


def test_a_lost_range_is_named_as_lost_and_is_no_hole() -> None:
    """Who acknowledged it must go on seeing it, and the audit must not stay red for good."""
    report = run(*lost_and_gone_on())
    assert report.whole
    [lost] = report.lost
    assert (lost.store, lost.part, lost.first_offset, lost.next_offset) == ("postgres", 0, 1, 3)


def test_a_lost_range_that_was_restored_is_audited_by_what_was_restored() -> None:
    """The mirror's rows are as good as loaded ones, and can go missing as well."""
    log, store = lost_and_gone_on()
    store.replay(Q1, 1, kind=BatchKind.RESTORE)
    store.replay(Q2, 2, kind=BatchKind.RESTORE)
    report = run(log, store)
    assert report.whole
    assert report.lost == []
    store.drop(Q1.event_id)
    assert found(run(log, store)) == {"sum_differs": [(None, 1)]}


def cut_and_gone_on() -> tuple[FakeLog, FakeStore]:
    """The log lost Q1 and Q2 and holds Q3 and Q1 at their offsets; the old rows stayed."""
    log, store = published(Q0)
    log.publish(Q1, Q2)
    store.load(log, [Q1, Q2])
    store.cut(log, at=1)
    log.publish(Q3, Q1)
    store.load(log, [Q3, Q1])
    return log, store


def test_offsets_that_are_used_again_hold_kafkas_records_and_those_of_the_log_before() -> None:
    """Power loss cut the log: what was stored from it is still true, though Kafka forgot it."""
    log, store = cut_and_gone_on()
    assert [(row.event_id, row.offset) for row in store.rows] == [
        (Q0.event_id, 0),
        (Q1.event_id, 1),
        (Q2.event_id, 2),
        (Q3.event_id, 1),
    ]
    assert run(log, store).whole
    assert run(log, store, deep=True).whole


@pytest.mark.parametrize("lost", [Q1, Q2])
def test_a_row_of_a_log_that_was_cut_is_missed(lost: Record) -> None:
    """Kafka cannot tell any more: only the sums of both loads can."""
    log, store = cut_and_gone_on()
    store.drop(lost.event_id)
    assert "sum_differs" in found(run(log, store))


def test_a_row_nobody_loaded_does_not_hide_behind_a_log_that_was_cut() -> None:
    """What is tolerated there is tolerated by its sum."""
    log, store = cut_and_gone_on()
    store.rows.append(store.row(quote(7), 2))
    assert found(run(log, store)) == {"sum_differs": [(None, 1)]}


def test_kafkas_record_that_is_missing_where_a_log_was_cut_is_named() -> None:
    """The new log is compared id by id like any other."""
    log, store = cut_and_gone_on()
    store.drop(Q3.event_id)
    assert found(run(log, store))["missing"] == [(Q3.event_id, 1)]


def test_rows_of_a_log_that_was_cut_may_lie_beyond_where_the_new_one_has_come() -> None:
    """The new log is shorter at first."""
    log, store = published(Q0)
    log.publish(Q1, Q2)
    store.load(log, [Q1, Q2])
    store.cut(log, at=1)
    assert run(log, store).whole
    store.drop(Q2.event_id)
    assert found(run(log, store)) == {"sum_differs": [(None, 1)]}


def test_a_discarded_record_is_left_out_and_is_nothing_to_release() -> None:
    """A person decided; the audit holds the store to it."""
    log, store = published(Q0, Q1, Q2)
    store.drop(Q1.event_id)
    stored = sum_of([Q0.content_hash, Q2.content_hash])
    store.batches = [replace(store.batches[0], stored=stored)]
    store.refuse(1, Reason.UNKNOWN_SCHEMA, event_id=Q1.event_id, state="discarded")
    report = run(log, store)
    assert (report.whole, report.notes) == (True, [])
    store.replay(Q1, 1)
    assert found(run(log, store))["twice"] == [(Q1.event_id, 1)]


def test_an_entry_of_a_log_that_was_cut_says_nothing_of_todays() -> None:
    """At its offset stands another, good record, which is stored."""
    log, store = published(Q0, Q1)
    store.refuse(1, Reason.UNDECODABLE, value=b"old", state="truncated")
    assert run(log, store).whole


def test_wrong_sums_in_load_batch_are_named_while_kafka_can_still_prove_the_rows() -> None:
    """They would turn into a false alarm two days later, when nobody can tell any more."""
    log, store = published(Q0, Q1)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    assert found(run(log, store)) == {"sum_differs": [(None, 0)]}


def test_a_range_older_than_retention_is_audited_by_its_sums() -> None:
    """Kafka forgets after two days; the proof must not."""
    log, store = published(Q0, Q1)
    log.publish(Q2, hour=hours(1))
    store.load(log, [Q2], hour=hours(1))
    log.low = 2
    report = run(log, store)
    assert report.whole
    assert report.feeds["quotes"].stores["postgres"].older_records == 2
    assert [line.kafka is None for line in report.hours] == [True, False]
    store.drop(Q0.event_id)
    assert found(run(log, store)) == {"sum_differs": [(None, 0)]}


def test_a_range_that_retention_cut_in_the_middle_is_audited_whole() -> None:
    """The sums were written down for the whole range; half of it proves nothing."""
    log, store = published(Q0, Q1, Q2)
    log.publish(Q3)
    store.load(log, [Q3])
    log.low = 1
    report = run(log, store)
    assert report.whole
    total = report.feeds["quotes"].stores["postgres"]
    assert (total.records, total.older_records) == (4, 1)
    store.drop(Q0.event_id)
    assert found(run(log, store)) == {"sum_differs": [(None, 0)]}


def test_a_released_record_is_missed_long_after_kafka_has_forgotten_it() -> None:
    """No live load has counted it, so the sums are right without it."""
    log, store = published(Q0, Q1)
    store.drop(Q1.event_id)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    store.refuse(1, Reason.INVARIANT, value=encode(Q1), state="released")
    store.replay(Q1, 1)
    log.publish(Q2, hour=hours(1))
    store.load(log, [Q2], hour=hours(1))
    log.low = 2
    assert run(log, store).whole
    store.drop(Q1.event_id)
    assert found(run(log, store)) == {"missing": [(Q1.event_id, 1)]}


def test_many_repairs_are_no_false_alarm_while_kafka_can_prove_the_rows() -> None:
    """Half of them stored what was deleted, half what was refused: no one sum can tell."""
    records = [quote(number) for number in range(20)]
    log, store = published(*records)
    refused = records[10:]
    stored = sum_of([record.content_hash for record in records[:10]])
    store.batches[0] = replace(store.batches[0], stored=stored)
    for offset, record in enumerate(records):
        store.drop(record.event_id)
        store.replay(record, offset)
    for offset, record in enumerate(refused, start=10):
        store.refuse(offset, Reason.INVARIANT, event_id=record.event_id, state="released")
    assert run(log, store).whole


def test_a_released_record_is_whole_though_no_live_load_has_stored_it() -> None:
    """The live sums lack it for good; Kafka still proves the rows."""
    log, store = published(Q0, Q1)
    store.drop(Q1.event_id)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    store.refuse(1, Reason.INVARIANT, event_id=Q1.event_id, state="released")
    store.replay(Q1, 1)
    report = run(log, store)
    assert report.whole
    total = report.feeds["quotes"].stores["postgres"]
    assert (total.quarantined, total.open_quarantined) == (1, 0)


def test_a_discarded_entry_that_would_load_today_is_no_note() -> None:
    """A person has decided; a replay would leave it where it is."""
    log, store = published(Q0, Q1)
    store.drop(Q1.event_id)
    store.batches[0] = replace(store.batches[0], stored=sum_of([Q0.content_hash]))
    store.refuse(1, Reason.UNKNOWN_SCHEMA, event_id=Q1.event_id, state="discarded")
    report = run(log, store)
    assert (report.whole, report.notes) == (True, [])


def test_an_old_range_that_was_repaired_is_whole_either_way() -> None:
    """A replay brings back a deleted row (counted before) or a quarantined one (not counted)."""
    log, store = published(Q0, Q1)
    store.replay(store.drop(Q0.event_id).record, 0)
    log.publish(Q2)
    store.load(log, [Q2])
    log.low = 2
    assert run(log, store).whole
    store.batches = [
        replace(batch, stored=sum_of([Q1.content_hash])) if batch.first_offset == 0
        and batch.kind is BatchKind.LIVE else batch
        for batch in store.batches
    ]  # fmt: skip
    assert run(log, store).whole


def test_a_changed_column_in_an_old_range_is_found_by_the_deep_audit() -> None:
    """Its sums say nothing about its columns, and Kafka has forgotten them."""
    log, store = published(Q0, Q1)
    log.low = 2
    store.change(Q0.event_id, record=msgspec.structs.replace(Q0, price="9999"))
    assert run(log, store).whole
    assert found(run(log, store, deep=True)) == {"columns_changed": [(Q0.event_id, 0)]}


def test_a_row_without_any_arrival_is_named() -> None:
    """It lies in no range, so no sum would ever miss or mind it."""
    log, store = published(Q0, Q1)
    store.rows.append(replace(store.row(Q3, -1), partition=TopicPart("", -1)))
    assert found(run(log, store)) == {"extra": [(Q3.event_id, -1)]}


def test_a_row_without_arrival_is_no_proof_that_kafkas_record_was_stored() -> None:
    """Once Kafka has brought it, the load fills in where it lies; else it was not loaded."""
    log, store = published(Q0, Q1)
    store.change(Q1.event_id, offset=-1, partition=TopicPart("", -1))
    assert found(run(log, store)) == {
        "missing": [(Q1.event_id, 1)],
        "extra": [(Q1.event_id, -1)],
    }


def test_a_topic_that_was_made_again_leaves_its_old_rows_audited() -> None:
    """The rows of the old one are there for good, Kafka knows nothing of them."""
    _, store = published(Q0, Q1)
    again = FakeLog(topic_id=OTHER_TOPIC_ID)
    report = run(again, store)
    assert report.whole
    assert report.feeds["quotes"].stores["postgres"].older_records == 2
    store.drop(Q0.event_id)
    assert found(run(again, store)) == {"sum_differs": [(None, 0)]}


def test_what_is_not_loaded_yet_is_lag_and_not_missing() -> None:
    """An audit beside a running load must not call the last second lost."""
    log, store = published(Q0, Q1)
    log.publish(Q2)
    report = run(log, store)
    assert report.whole
    assert report.lag["postgres"].lag_records == 1
    assert report.feeds["quotes"].kafka.records == 2


def test_each_store_is_compared_up_to_where_it_has_come() -> None:
    """A store that lags must not keep the other from being proved."""
    mongo = FakeStore(sink="mongo")
    log, store = published(Q0, stores=[mongo])
    log.publish(Q1, Q2)
    store.load(log, [Q1, Q2])
    store.drop(Q2.event_id)
    report = run(log, store, mongo)
    assert found(report) == {"missing": [(Q2.event_id, 2)]}
    assert report.lag["mongo"].lag_records == 2


def test_nothing_is_expected_beyond_the_last_stable_offset() -> None:
    """What an open transaction holds may still be aborted."""
    log, store = published(Q0)
    log.publish(Q1)
    log.last_stable = 1
    report = run(log, store)
    assert report.whole
    assert report.lag["postgres"].lag_records == 0


def test_a_store_that_is_beyond_kafkas_end_is_named() -> None:
    """The log was cut: what the store holds there has no witness."""
    log, store = published(Q0, Q1)
    log.values.pop()
    assert found(run(log, store)) == {"beyond_end": [(None, 1)]}


def test_a_partition_that_an_incident_stops_is_a_note_and_no_lag() -> None:
    """It waits for a person; waiting for it with --wait would never end."""
    log, store = published(Q0)
    log.publish(Q1)
    store.blocked_by = "incident-1"
    report = run(log, store)
    assert report.whole
    assert (report.lag["postgres"].lag_records, report.lag["postgres"].blocked_partitions) == (0, 1)
    assert len(report.notes) == 1


def test_since_begins_at_the_whole_hour_and_leaves_out_what_is_older() -> None:
    """A quick look at the last hours must not depend on the rest."""
    log, store = published(Q0)
    log.publish(Q1, Q2, hour=hours(1))
    store.load(log, [Q1, Q2], hour=hours(1))
    store.drop(Q0.event_id)
    report = run(log, store, since_us=hours(1) + 1_800_000_000)
    assert report.whole
    assert report.since == "2025-11-22T13:00:00Z"
    assert report.feeds["quotes"].kafka.records == 2


def test_retention_that_strikes_meanwhile_is_no_error() -> None:
    """The first offsets of a long audit may be gone when it comes to read them."""
    log, store = published(Q0, Q1, Q2)
    log.moves_low_to = 1
    report = run(log, store)
    assert report.whole
    assert report.feeds["quotes"].kafka.records == 2
    assert log.reads == 2


def test_retention_that_always_strikes_ends_the_audit() -> None:
    """A log that loses its beginning again and again proves nothing."""

    class Fading(FakeLog):
        def read_range(self, part: object, *, first_offset: int, next_offset: int) -> object:
            self.low = first_offset + 1
            return super().read_range(part, first_offset=first_offset, next_offset=next_offset)

    log, store = Fading(), FakeStore()
    log.publish(*[quote(number) for number in range(9)])
    store.load(log, [quote(number) for number in range(9)])
    with pytest.raises(IncidentError):
        run(log, store)


def test_a_finding_names_twenty_and_counts_all() -> None:
    """A table that was truncated must not fill the terminal, nor look like twenty lost rows."""
    quotes = [quote(number) for number in range(30)]
    log, store = published(*quotes)
    store.rows.clear()
    [finding] = run(log, store).findings
    assert finding.records == 30
    assert [example.offset for example in finding.examples] == list(range(20))


def test_progress_ends_at_all_offsets() -> None:
    """A bar that stops at half looks like a hang."""
    log, store = published(Q0, Q1, Q2)
    told: list[AuditProgress] = []
    audit(SETTINGS, {"postgres": store}, [QUOTES], log=log, progress=told.append)
    assert (told[-1].done_offsets, told[-1].all_offsets) == (3, 3)


def test_waiting_ends_when_the_stores_have_caught_up() -> None:
    """--wait lets the last second settle, and costs nothing where it is settled."""
    log, store = published(Q0)
    log.publish(Q1)

    class CatchingUp(FakeStore):
        looks = 0

        def read_offsets(self) -> list[object]:
            self.looks += 1
            if self.looks == 2:
                self.load(log, [Q1])
            return super().read_offsets()

    late = CatchingUp(**vars(store))
    report = audit(SETTINGS, {"postgres": late}, [QUOTES], log=log, wait_s=30)
    assert report.whole
    assert report.lag["postgres"].lag_records == 0
    assert report.feeds["quotes"].kafka.records == 2


def test_a_store_that_never_catches_up_leaves_nothing_proved() -> None:
    """An emptied store whose loads stand still would else be called whole for ever."""
    log, _ = published(Q0, Q1)
    empty = FakeStore()
    report = audit(SETTINGS, {"postgres": empty}, [QUOTES], log=log, wait_s=0.01)
    assert (report.whole, report.behind, report.is_proved) == (True, ["postgres"], False)
    report = audit(SETTINGS, {"postgres": empty}, [QUOTES], log=log)
    assert (report.behind, report.lag["postgres"].lag_records) == ([], 2)


def test_what_arrives_after_the_beginning_need_not_be_loaded() -> None:
    """Beside traffic some record is always on its way."""
    log, store = published(Q0)
    log.publish(Q1)

    class Following(FakeStore):
        looks = 0

        def read_offsets(self) -> list[object]:
            self.looks += 1
            answer = super().read_offsets()
            self.load(log, [Q1] if self.looks == 1 else [quote(100 + self.looks - 1)])
            log.publish(quote(100 + self.looks))
            return answer

    report = audit(SETTINGS, {"postgres": Following(**vars(store))}, [QUOTES], log=log, wait_s=0.5)
    assert report.is_proved
    assert report.lag["postgres"].lag_records


def test_a_load_that_goes_on_meanwhile_changes_nothing() -> None:
    """Rows and batches beyond where the store had come are not the audit's matter."""
    log, store = published(Q0, Q1)

    class Loading(FakeStore):
        looks = 0

        def read_offsets(self) -> list[object]:
            answer = super().read_offsets()
            self.looks += 1
            log.publish(quote(100 + self.looks))
            self.load(log, [quote(100 + self.looks)])
            return answer

    report = run(log, Loading(**vars(store)))
    assert report.whole


def test_the_document_holds_what_scripts_look_for() -> None:
    """Other people's monitoring reads it."""
    log, store = published(Q0)
    document: Mapping[str, object] = run(log, store).to_document()
    assert document["whole"] is True
    assert {"feeds", "lag", "findings", "hours"} <= set(document)
    assert document["lag"] == {"postgres": {"lag_records": 0, "blocked_partitions": 0}}


def test_a_later_content_under_a_stored_id_in_another_hour_is_named() -> None:
    """Its hour's sums differ, and by id a row is there: it must not pass for a repeat."""
    log, store = published(Q0)
    log.publish(contradict(Q0), hour=hours(1))
    store.load(log, [contradict(Q0)], hour=hours(1))
    assert run(log, store).whole
    store.quarantine.clear()
    assert found(run(log, store)) == {"not_quarantined": [(Q0.event_id, 1)]}


def three_hours(*records: Record) -> tuple[FakeLog, FakeStore]:
    """A log with one record an hour from NOON on, and a store that has loaded them."""
    log, store = FakeLog(), FakeStore()
    for number, record in enumerate(records):
        log.publish(record, hour=hours(number))
        store.load(log, [record], hour=hours(number))
    return log, store


def test_one_hour_is_audited_apart_from_its_neighbours() -> None:
    """An hour's check that fails for another hour's fault sends a person to the wrong place."""
    log, store = three_hours(Q0, Q1, Q2)
    store.rows = [row for row in store.rows if row.event_id != Q2.event_id]
    assert run(log, store, since_us=hours(1), until_us=hours(2)).whole
    [wrong] = run(log, store, since_us=hours(2), until_us=hours(3)).findings
    assert (wrong.kind.value, wrong.hours) == ("missing", ["2025-11-22-14:00"])


def test_an_hour_that_kafka_has_lost_is_audited_by_the_loads_own_sums() -> None:
    """An old hour would otherwise be called whole because nothing was compared."""
    log, store = three_hours(Q0, Q1, Q2)
    log.low = 2
    store.rows = [row for row in store.rows if row.event_id != Q1.event_id]
    assert run(log, store, since_us=hours(0), until_us=hours(1)).whole
    assert list(found(run(log, store, since_us=hours(1), until_us=hours(2)))) == ["sum_differs"]


def test_the_lag_of_an_hour_counts_to_its_end() -> None:
    """Records of the current hour on their way must not make the last one look unfinished."""
    log, store = three_hours(Q0, Q1)
    log.publish(Q2, hour=hours(2))
    behind = {
        hour: run(log, store, since_us=hours(hour), until_us=hours(hour + 1)).lag["postgres"]
        for hour in (1, 2)
    }
    assert {hour: lag.lag_records for hour, lag in behind.items()} == {1: 0, 2: 1}

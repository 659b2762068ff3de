"""What acknowledging an incident moves: decided from values, before anything is written."""

import pytest

from crypto_platform.delivery.incidents import Matter, Target, find_target, split
from crypto_platform.errors import IncidentKind, Reason, StoreRefusedError
from crypto_platform.feeds.incidents import (
    Incident,
    build_acknowledgement,
    build_load_incident,
)
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.watermarks import Bounds
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset
from crypto_platform.stores.sums import sum_of
from tests.audit_fakes import FakeLog, FakeStore
from tests.store_steps import NOON, P0, quote

CUT = (
    "market.quotes/0 was cut below offset 90, which is stored, and written again: Partition log "
    "truncation detected at offset 90 (leader epoch 3): broker end offset is {end} (offset leader "
    "epoch 3)."
)


def incident(kind: IncidentKind, message: str = "found") -> Incident:
    """A load's incident in the middle of a partition."""
    return build_load_incident(
        kind=kind,
        sink="postgres",
        feed="quotes",
        topic="market.quotes",
        topic_id=P0.topic_id,
        part=0,
        first_offset=90,
        next_offset=None,
        message=message,
        next_step="think",
        ts_ingest=NOON,
    )


def stopped(next_offset: int = 90) -> StoredOffset:
    """A partition that an incident stops."""
    return StoredOffset(
        topic="market.quotes",
        partition=P0,
        next_offset=next_offset,
        leader_epoch=3,
        max_ts_append=NOON,
        epoch=4,
        owner_run_id="run",
        claimed_at=None,
        updated_at=None,
        blocked_by="incident",
    )


def bounds(*, low: int = 0, high: int = 200) -> Bounds:
    return Bounds(low=low, high=high, last_stable=high)


BEYOND = "market.quotes/0 ends at 40, but 90 offsets of it are stored: the log was cut or replaced"


@pytest.mark.parametrize(
    ("kind", "message", "now", "target"),
    [
        (IncidentKind.SOURCE_DRIFT, "", bounds(), None),
        (IncidentKind.TOPIC_RECREATED, "", bounds(), None),
        (IncidentKind.RETENTION_GAP, "", bounds(low=120), Target(next_offset=120)),
        (IncidentKind.RETENTION_GAP, "", bounds(low=90), None),
        (
            IncidentKind.LOG_TRUNCATED,
            CUT.format(end=60),
            bounds(),
            Target(next_offset=60, keeps_leader_epoch=True),
        ),
        (IncidentKind.LOG_TRUNCATED, CUT.format(end=-1), bounds(low=5), Target(next_offset=5)),
        (IncidentKind.LOG_TRUNCATED, "in other words", bounds(low=5), Target(next_offset=5)),
        (IncidentKind.LOG_TRUNCATED, "in other words", bounds(low=95), Target(next_offset=90)),
        (
            IncidentKind.OFFSET_BEYOND_END,
            BEYOND,
            bounds(high=40),
            Target(next_offset=40, keeps_leader_epoch=True),
        ),
        (IncidentKind.OFFSET_BEYOND_END, "", None, None),
    ],
)
def test_where_a_partition_goes_on(
    kind: IncidentKind, message: str, now: Bounds | None, target: Target | None
) -> None:
    """One offset too far is a record lost for good; one too low is only read again."""
    assert find_target(incident(kind, message), stopped(), now) == target


def test_a_log_that_has_grown_since_it_was_cut_is_read_from_where_it_ended_then() -> None:
    """What was appended between the incident and the answer was never read."""
    found = find_target(
        incident(IncidentKind.OFFSET_BEYOND_END, BEYOND), stopped(), bounds(high=150)
    )
    assert found == Target(next_offset=40, keeps_leader_epoch=True)


def split_at(store: FakeStore, offset: int) -> tuple[int, int]:
    """How many records of the store's only range lie below and above."""
    [batch] = store.batches
    fake: Store = store  # type: ignore[assignment]
    cut = split(fake, QUOTES, batch, offset)
    assert cut.below is not None
    assert cut.above is not None
    assert cut.below + cut.above == batch.stored
    return cut.below.count, cut.above.count


def loaded(*values: object) -> FakeStore:
    log, store = FakeLog(), FakeStore()
    log.publish(*values)  # type: ignore[arg-type]
    store.load(log, values)  # type: ignore[arg-type]
    return store


def test_a_range_is_split_by_the_rows_that_arrived_in_it() -> None:
    """Its sums are known for the whole only."""
    store = loaded(quote(0), quote(1), quote(0), quote(3), quote(4))
    assert split_at(store, 2) == (2, 2)


def test_a_record_out_of_quarantine_is_no_part_of_what_the_range_stored() -> None:
    """Counted above, it would be missing below, and the audit would name a fault that is none."""
    store = loaded(quote(0), quote(1), b"{poison", quote(3))
    [whole] = store.batches
    store.replay(quote(2), 2)
    store.batches = [whole]
    store.quarantine.clear()
    store.refuse(2, Reason.UNKNOWN_SCHEMA, state="released")
    assert split_at(store, 2) == (2, 1)


def test_a_deleted_row_stays_missed_below_the_cut() -> None:
    """A cut must not hide what was wrong before."""
    store = loaded(quote(0), quote(1), quote(2))
    store.drop(quote(0).event_id)
    fake: Store = store  # type: ignore[assignment]
    cut = split(fake, QUOTES, store.batches[0], 2)
    assert cut.below == sum_of([quote(0).content_hash, quote(1).content_hash])


def test_a_range_with_more_rows_than_it_stored_is_not_split() -> None:
    """Its account is wrong already; a person has to look before it is written on."""
    store = loaded(quote(0), b"{poison", quote(0))
    store.rows.append(store.row(quote(8), 1))
    store.rows.append(store.row(quote(9), 2))
    fake: Store = store  # type: ignore[assignment]
    with pytest.raises(StoreRefusedError, match="more rows from 1 on"):
        split(fake, QUOTES, store.batches[0], 1)


def test_an_answer_says_who_and_why_and_is_the_same_matter() -> None:
    """It is all that is left of the decision a year later."""
    opened = incident(IncidentKind.SOURCE_DRIFT)
    fact = build_acknowledgement(
        opened, who="ada", why="mended\x00", effects=["it goes on"], ts_ingest=NOON + 1
    )
    assert (fact.subject, fact.state) == (opened.subject, "acknowledged")
    assert fact.message == "ada: mended\\0 (it goes on)"
    assert fact.event_id != opened.event_id
    long = build_acknowledgement(opened, who="ada", why="x" * 9000, effects=[], ts_ingest=NOON + 1)
    assert len(long.message) <= 4096


def test_an_incident_has_a_name_that_people_can_type() -> None:
    """Its subject holds a UUID."""
    matter = Matter(incident=incident(IncidentKind.SOURCE_DRIFT), stopped=stopped(), answer=None)
    assert matter.place == "postgres:market.quotes/0"
    names = ("postgres:market.quotes/0", matter.incident.subject, matter.incident.event_id)
    assert [matter.is_called(name) for name in (*names, "postgres:market.quotes/1")] == [
        True, True, True, False,
    ]  # fmt: skip

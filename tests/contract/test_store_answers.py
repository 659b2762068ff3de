"""What a person decides, in every store: incidents acknowledged, entries released or discarded.

One store of STORES after the other, each on an empty database of its own. Not here: how an answer
is planned (tests/unit/test_incidents.py), real Kafka (tests/servers/test_answers.py).
"""

import threading
from collections.abc import Sequence

import pytest

from crypto_platform.errors import IncidentKind, Reason
from crypto_platform.feeds.incidents import Incident, build_acknowledgement, build_load_incident
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import BatchKind, LoadBatch
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.matters import (
    Acknowledgement,
    Cut,
    EntryFilter,
    EntryGroup,
    EntryState,
    Move,
)
from crypto_platform.stores.sums import EMPTY_SUM, sum_of
from tests.store_harness import StoreFactory
from tests.store_steps import (
    HOUR,
    INCIDENTS,
    NOON,
    P0,
    P1,
    QUOTES,
    claim,
    contradict,
    piece,
    quote,
    refusal,
)
from tests.waiting import eventually


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    """A store on an empty database."""
    return store_factory.open()


def states(store: Store, part: TopicPart = P0) -> list[tuple[int, str]]:
    """Offset and state of each entry."""
    return [(entry.offset, str(entry.state)) for entry in store.read_quarantine(part)]


def offsets_in(store: Store, part: TopicPart = P0) -> list[int]:
    """Where the stored quotes first arrived."""
    return [record.offset for record in store.read_range(QUOTES, part, 0, 10**9)]


def stop(store: Store, own: Claim, kind: IncidentKind = IncidentKind.SOURCE_DRIFT) -> Incident:
    """Stop a claimed partition with an incident, as a load does."""
    row = row_of(store, own.partition)
    incident = build_load_incident(
        kind=kind,
        sink=store.sink,
        feed="quotes",
        topic="market.quotes",
        topic_id=own.partition.topic_id,
        part=own.partition.part,
        first_offset=row.next_offset,
        next_offset=None,
        message="all of them were refused",
        next_step="mend it",
        ts_ingest=NOON,
    )
    assert store.block(own, incident)
    return incident


def row_of(store: Store, part: TopicPart = P0) -> StoredOffset:
    """How far the store has come in this partition."""
    [row] = [row for row in store.read_offsets() if row.partition == part]
    return row


def answer_to(
    incident: Incident, stopped: StoredOffset | None, move: Move | None = None, *, why: str = "seen"
) -> Acknowledgement:
    """A person's answer, planned on this row."""
    fact = build_acknowledgement(
        incident, who="ada", why=why, effects=["goes on"], ts_ingest=NOON + 1
    )
    return Acknowledgement(
        fact=fact, incident_id=incident.event_id, stopped=stopped, move=move, run_id="ack-1"
    )


def ranges(store: Store, part: TopicPart = P0) -> list[tuple[str, int, int, int]]:
    """Kind, range and stored records of the account."""
    return [
        (str(batch.kind), batch.first_offset, batch.next_offset, batch.stored.count)
        for batch in store.read_load_batches(part)
    ]


# Discarding


def test_a_discarded_entry_says_why_and_is_discarded_once(store: Store) -> None:
    """Whoever finds it a year later must not have to guess."""
    [own] = claim(store, P0)
    store.commit([piece(own, [], refusals=[refusal(0), refusal(1), refusal(2)])], run_id="run-a")
    assert store.discard(P0, [2, 0, 7], note="ada: test data") == [0, 2]
    assert store.discard(P0, [0, 2], note="somebody else") == []
    assert [(e.offset, e.state, e.note) for e in store.read_quarantine()] == [
        (0, EntryState.DISCARDED, "ada: test data"),
        (1, EntryState.OPEN, None),
        (2, EntryState.DISCARDED, "ada: test data"),
    ]
    assert dict(store.read_open_matters().quarantined) == {"quotes": 1}


def test_a_replay_leaves_out_what_was_discarded(store: Store) -> None:
    """A person decided; a replay is no reason to decide otherwise."""
    [own] = claim(store, P0)
    store.commit([piece(own, [], refusals=[refusal(0), refusal(1), refusal(2)])], run_id="run-a")
    store.discard(P0, [1], note="ada: test data")
    for run_id in ("replay-1", "replay-2"):
        store.commit_replay([piece(own, [quote(0), quote(1), quote(2)])], run_id=run_id)
        assert offsets_in(store) == [0, 2]
        assert states(store) == [(0, "released"), (1, "discarded"), (2, "released")]
    store.commit_replay([piece(own, [], refusals=[refusal(0), refusal(1)])], run_id="replay-3")
    assert states(store) == [(0, "released"), (1, "discarded"), (2, "released")]


def test_a_replay_after_a_repeat_leaves_it_out_too(store: Store) -> None:
    """Stores change their way of writing after a repeat."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(0), quote(0)], refusals=[refusal(2)])], run_id="run-a")
    store.discard(P0, [2], note="ada: test data")
    outcome = store.commit_replay([piece(own, [quote(0), quote(0), quote(5)])], run_id="replay")
    assert dict(outcome.stored_records).get("quotes", 0) == 0
    assert offsets_in(store) == [0]


def test_what_is_being_released_cannot_be_discarded(store_factory: StoreFactory) -> None:
    """Stored and discarded at once, it would be there against a person's will."""
    store, other = store_factory.open(), store_factory.open()
    [own] = claim(store, P0)
    refusals = [refusal(offset) for offset in range(40)]
    store.commit([piece(own, [], refusals=refusals)], run_id="run-a")
    discarded: list[int] = []

    def discard_all() -> None:
        for offset in range(40):
            discarded.extend(other.discard(P0, [offset], note="ada"))

    thread = threading.Thread(target=discard_all)
    thread.start()
    for begin in range(0, 40, 4):
        records = [quote(offset) for offset in range(begin, begin + 4)]
        store.commit_replay([piece(own, records, first_offset=begin)], run_id="replay")
    thread.join()
    released = [offset for offset, state in states(store) if state == "released"]
    assert offsets_in(store) == released
    assert sorted([*discarded, *released]) == list(range(40))


# Releasing


def test_only_what_was_loaded_is_released(store: Store) -> None:
    """A release names some entries of a range; those in between were not looked at."""
    [own] = claim(store, P0)
    refusals = [refusal(offset) for offset in range(5)]
    store.commit([piece(own, [], refusals=refusals)], run_id="run-a")
    slices = [
        piece(own, [quote(0)], next_offset=3),
        piece(own, [quote(3)], first_offset=3, next_offset=5, refusals=[refusal(4)]),
    ]
    outcome = store.commit_replay(slices, run_id="cli-1")
    assert dict(outcome.stored_records) == {"quotes": 2}
    assert states(store) == [
        (0, "released"), (1, "open"), (2, "open"), (3, "released"), (4, "open"),
    ]  # fmt: skip


def test_a_conflict_is_not_released(store: Store) -> None:
    """Other content stands under its id, so its record is not stored."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1)], refusals=[refusal(1), refusal(2)])], run_id="run-a")
    bad = contradict(quote(1))
    outcome = store.commit_replay([piece(own, [bad, quote(1)], first_offset=1)], run_id="cli-1")
    assert (outcome.repeated_records, outcome.quarantined_records) == (1, 1)
    assert states(store) == [(1, "open"), (2, "released")]
    assert next(entry.reason for entry in store.read_quarantine()) is Reason.UNDECODABLE


# Looking


def test_entries_are_counted_by_feed_reason_and_state(store: Store) -> None:
    """The first question of a person is how many there are of what."""
    first, second = claim(store, P0, P1)
    store.commit([piece(first, [], refusals=[refusal(0), refusal(1)])], run_id="run-a")
    store.commit(
        [piece(second, [quote(1), contradict(quote(1))], refusals=[refusal(2)])], run_id="run-a"
    )
    store.discard(P0, [0], note="ada")

    def group(reason: Reason, state: EntryState) -> EntryGroup:
        return EntryGroup("quotes", reason, state)

    undecodable, conflict = Reason.UNDECODABLE, Reason.CONFLICT
    assert dict(store.count_entries(EntryFilter())) == {
        group(undecodable, EntryState.OPEN): 2,
        group(undecodable, EntryState.DISCARDED): 1,
        group(conflict, EntryState.OPEN): 1,
    }
    assert dict(store.count_entries(EntryFilter(part=0, state=EntryState.OPEN))) == {
        group(undecodable, EntryState.OPEN): 1
    }
    assert dict(store.count_entries(EntryFilter(topic="another"))) == {}


def test_the_newest_entries_come_first_and_no_more_than_asked(store: Store) -> None:
    """A million of them must not fill the screen."""
    [own] = claim(store, P0)
    for offset in range(4):
        store.commit(
            [piece(own, [], first_offset=offset, refusals=[refusal(offset)])], run_id="run-a"
        )
    found = store.read_entries(EntryFilter(), entries_max=3)
    assert [entry.offset for entry in found] == [3, 2, 1]
    one = EntryFilter(topic="market.quotes", part=0, offset=2, reason=Reason.UNDECODABLE)
    assert [entry.value for entry in store.read_entries(one, entries_max=9)] == [refusal(2).value]
    assert store.read_entries(EntryFilter(reason=Reason.CONFLICT), entries_max=9) == []


# Acknowledging


def test_an_acknowledged_partition_goes_on_and_waits_for_nobody(store: Store) -> None:
    """The answer is a fact beside the question, and the load needs no more than it."""
    first, second = claim(store, P0, P1)
    store.commit([piece(first, [quote(1)], leader_epoch=7)], run_id="run-a")
    incident = stop(store, first)
    answer = answer_to(incident, row_of(store))
    assert store.acknowledge(answer)
    assert list(store.read_open_matters().incidents) == []
    assert store.read_facts(INCIDENTS, [answer.fact.event_id]) == [answer.fact]
    assert store.read_incidents() == [answer.fact, incident]
    [own] = claim(store, P0)
    assert (own.next_offset, own.leader_epoch, own.max_ts_append) == (1, 7, NOON + 1)
    assert row_of(store, P1).epoch == second.epoch


def test_an_answer_is_given_once(store: Store) -> None:
    """Typed twice, it must not move anything a second time."""
    [own] = claim(store, P0)
    incident = stop(store, own)
    answer = answer_to(incident, row_of(store), Move(next_offset=5, max_ts_append=0, lost=True))
    assert store.acknowledge(answer)
    assert not store.acknowledge(answer)
    assert ranges(store) == [("lost", 0, 5, 0)]
    assert row_of(store).next_offset == 5


def test_whoever_still_writes_is_fenced_by_the_answer(store: Store) -> None:
    """A run that was held up before it noticed the incident would write over the answer."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(0), quote(1)])], run_id="run-a")
    incident = stop(store, own)
    assert store.acknowledge(answer_to(incident, row_of(store)))
    outcome = store.commit([piece(own, [quote(2)], first_offset=2)], run_id="run-a")
    assert outcome.fenced == {P0}
    assert offsets_in(store) == [0, 1]


def test_an_answer_to_what_has_changed_since_writes_nothing(store: Store) -> None:
    """What was shown to the person is not what would happen."""
    [own] = claim(store, P0)
    incident = stop(store, own)
    seen = row_of(store)
    assert store.acknowledge(answer_to(incident, seen))
    [again] = claim(store, P0, run_id="run-b")
    store.commit([piece(again, [quote(1)])], run_id="run-b")
    other = stop(store, again, IncidentKind.RETENTION_GAP)
    late = answer_to(other, seen, Move(next_offset=9, max_ts_append=0, lost=True))
    assert not store.acknowledge(late)
    assert store.read_facts(INCIDENTS, [late.fact.event_id]) == []
    assert (row_of(store).next_offset, row_of(store).blocked_by) == (1, other.event_id)


def test_a_matter_that_comes_back_can_be_answered_again(store: Store) -> None:
    """Its fact is the same, and so is the answer's; only the partition says that it is back."""
    [own] = claim(store, P0)
    incident = stop(store, own)
    assert store.acknowledge(answer_to(incident, row_of(store), why="first"))
    [again] = claim(store, P0)
    assert store.block(again, incident)
    assert list(store.read_open_matters().incidents) == [incident]
    assert store.acknowledge(answer_to(incident, row_of(store), why="second"))
    assert row_of(store).blocked_by is None
    [fact, _] = store.read_incidents()
    assert isinstance(fact, Incident)
    assert "first" in fact.message


def test_an_incident_that_stops_nothing_is_answered_by_a_fact_alone(store: Store) -> None:
    """Somebody unblocked the partition by hand, as was the way before."""
    [own] = claim(store, P0)
    incident = stop(store, own)
    store.acknowledge(answer_to(incident, row_of(store)))
    other = stop(store, claim(store, P0)[0], IncidentKind.RETENTION_GAP)
    before = row_of(store)
    assert store.acknowledge(answer_to(other, None))
    assert row_of(store) == before


def test_a_lost_range_is_in_the_account_and_the_load_goes_on_behind_it(store: Store) -> None:
    """Without a row the cover would have a hole, which nobody could tell from a fault."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(0)], leader_epoch=3)], run_id="run-a")
    incident = stop(store, own, IncidentKind.RETENTION_GAP)
    seen = row_of(store)
    move = Move(next_offset=7, max_ts_append=seen.max_ts_append, lost=True)
    assert store.acknowledge(answer_to(incident, seen, move))
    [again] = claim(store, P0)
    assert (again.next_offset, again.leader_epoch) == (7, None)
    store.commit([piece(again, [quote(7)])], run_id="run-b")
    assert ranges(store) == [("live", 0, 1, 1), ("lost", 1, 7, 0), ("live", 7, 8, 1)]
    lost = list(store.read_load_batches())[1]
    assert lost == LoadBatch(
        run_id="ack-1",
        topic="market.quotes",
        partition=P0,
        epoch=2,
        hour=NOON,
        kind=BatchKind.LOST,
        first_offset=1,
        next_offset=7,
        stored=EMPTY_SUM,
        repeated_records=0,
        quarantined_records=0,
    )


def load_hours(store: Store, own: Claim) -> None:
    """Ten quotes at offsets 0 to 9, five in each of two hours."""
    first, second = [quote(n) for n in range(5)], [quote(n) for n in range(5, 10)]
    store.commit([piece(own, first)], run_id="run-a")
    store.commit([piece(own, second, first_offset=5, hour=NOON + HOUR)], run_id="run-a")


def hashes(numbers: Sequence[int]) -> list[int]:
    return [quote(number).content_hash for number in numbers]


def test_a_cut_log_is_read_again_and_its_account_is_kept_apart(store: Store) -> None:
    """The offsets mean other records now; what was stored stays, and stays proved by its sums."""
    [own] = claim(store, P0)
    load_hours(store, own)
    incident = stop(store, own, IncidentKind.LOG_TRUNCATED)
    cut = Cut(offset=3, below=sum_of(hashes(range(3))), above=sum_of(hashes([3, 4])))
    move = Move(next_offset=3, max_ts_append=NOON, keeps_leader_epoch=True, cut=cut)
    assert store.acknowledge(answer_to(incident, row_of(store), move))
    [again] = claim(store, P0, run_id="run-b")
    assert (again.next_offset, again.max_ts_append) == (3, NOON)
    store.commit([piece(again, [quote(3), quote(20)], hour=NOON + HOUR)], run_id="run-b")
    assert sorted(ranges(store)) == [
        ("live", 0, 3, 3),
        ("live", 3, 5, 1),
        ("truncated", 3, 5, 2),
        ("truncated", 5, 10, 5),
    ]
    batches = list(store.read_load_batches())
    kept = sum((batch.stored for batch in batches), EMPTY_SUM)
    assert kept == sum_of(hashes([*range(10), 20])) == store.sum_range(QUOTES, P0, 0, 10)


def test_a_log_that_is_cut_lower_and_lower_keeps_all_accounts(store: Store) -> None:
    """One run may have loaded all of it in one range of one hour."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(n) for n in range(8)])], run_id="run-a")
    for offset, rest in ((6, [6, 7]), (3, [3, 4, 5]), (0, None)):
        incident = stop(store, claim(store, P0)[0], IncidentKind.LOG_TRUNCATED)
        cut = (
            Cut(offset=0)
            if rest is None
            else Cut(offset=offset, below=sum_of(hashes(range(offset))), above=sum_of(hashes(rest)))
        )
        move = Move(next_offset=offset, max_ts_append=NOON, cut=cut)
        assert store.acknowledge(answer_to(incident, row_of(store), move))
    assert sorted(ranges(store)) == [
        ("truncated", 0, 3, 3),
        ("truncated", 3, 6, 3),
        ("truncated", 6, 8, 2),
    ]


def test_entries_of_a_cut_log_are_kept_and_stand_in_nobodys_way(store: Store) -> None:
    """At their offsets there may be good records now, which must load and may be replayed."""
    [own] = claim(store, P0)
    refusals = [refusal(offset) for offset in range(1, 4)]
    store.commit([piece(own, [quote(0)], refusals=refusals)], run_id="run-a")
    store.discard(P0, [2], note="ada")
    incident = stop(store, own, IncidentKind.LOG_TRUNCATED)
    cut = Cut(offset=2, below=sum_of(hashes([0])), above=EMPTY_SUM)
    move = Move(next_offset=2, max_ts_append=NOON, cut=cut)
    assert store.acknowledge(answer_to(incident, row_of(store), move))
    assert states(store) == [(1, "open"), (2, "truncated"), (3, "truncated")]
    [again] = claim(store, P0)
    fresh = piece(again, [quote(12)], refusals=[refusal(3, value=b"another")])
    store.commit([fresh], run_id="run-b")
    store.commit_replay([fresh], run_id="replay")
    assert offsets_in(store) == [0, 2]
    assert states(store) == [(1, "open"), (2, "truncated"), (3, "open")]
    [entry] = store.read_quarantine(P0, first_offset=3)
    assert (entry.value, entry.note) == (b"another", None)


def test_a_lost_range_above_a_cut_is_no_cover_any_more(store: Store) -> None:
    """A log that begins anew at 0 fills these offsets again."""
    [own] = claim(store, P0)
    incident = stop(store, own, IncidentKind.RETENTION_GAP)
    lost = Move(next_offset=7, max_ts_append=0, lost=True)
    assert store.acknowledge(answer_to(incident, row_of(store), lost))
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(7)])], run_id="run-a")
    incident = stop(store, own, IncidentKind.OFFSET_BEYOND_END)
    cut = Cut(offset=4, below=EMPTY_SUM, above=EMPTY_SUM)
    move = Move(next_offset=4, max_ts_append=0, cut=cut)
    assert store.acknowledge(answer_to(incident, row_of(store), move))
    assert sorted(ranges(store)) == [
        ("lost", 0, 4, 0),
        ("truncated", 4, 7, 0),
        ("truncated", 7, 8, 1),
    ]


def test_a_claim_beside_an_answer_begins_before_or_behind_it(store_factory: StoreFactory) -> None:
    """A run that claims while a person answers must not begin where the partition stopped."""
    store, other = store_factory.open(), store_factory.open()
    for turn in range(1, 6):
        [own] = claim(store, P0, run_id="run-a")
        incident = stop(store, own, IncidentKind.RETENTION_GAP)
        seen = row_of(store)
        move = Move(next_offset=turn * 10, max_ts_append=0, lost=True)
        claimed: list[Claim] = []

        def claim_until_free(claimed: list[Claim] = claimed) -> None:
            eventually(lambda: bool(claimed.extend(claim(other, P0)) or claimed), within_s=20)

        thread = threading.Thread(target=claim_until_free)
        thread.start()
        assert store.acknowledge(answer_to(incident, seen, move))
        thread.join()
        assert [(c.next_offset, c.epoch) for c in claimed] == [(turn * 10, seen.epoch + 2)]

"""What every store must do, whatever it is made of: the suite behind stores/base.py.

One store of STORES after the other, each on an empty database of its own. What only one store can
show (a backend that is ended, a session that is killed) stands in tests/servers/.
"""

import itertools
import signal
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from crypto_platform.errors import IncidentKind, Reason
from crypto_platform.feeds import FEED_BY_NAME, FEEDS, Feed, Record
from crypto_platform.feeds.feed import hash_content
from crypto_platform.feeds.incidents import Incident, build_incident, build_load_incident
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.feeds.rejected import build_rejected
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import BatchKind, LoadBatch
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.contents import StoredRecord
from crypto_platform.stores.sums import EMPTY_SUM, Sum, sum_of
from tests import store_child
from tests.feed_samples import build_record, leave_out_unknown, renamed
from tests.store_harness import StoreFactory
from tests.store_steps import (
    HOUR,
    INCIDENTS,
    NOON,
    OTHER_TOPIC_ID,
    P0,
    P1,
    QUOTES,
    REJECTED,
    TOPIC_ID,
    claim,
    contradict,
    piece,
    quote,
    refusal,
)


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    """A store on an empty database."""
    return store_factory.open()


def ids_in(store: Store, part: TopicPart = P0) -> list[str]:
    """Ids of the quotes that first arrived in this partition, by offset."""
    return [record.event_id for record in store.read_range(QUOTES, part, 0, 10**9)]


def offsets_of(store: Store) -> dict[TopicPart, int]:
    """next_offset of every partition."""
    return {row.partition: row.next_offset for row in store.read_offsets()}


# Claims and fencing


def test_a_partition_never_seen_is_claimed_at_its_first_offset(store: Store) -> None:
    """Anything else would skip what Kafka still has."""
    [own] = claim(store, P0)
    assert (own.epoch, own.next_offset, own.leader_epoch, own.max_ts_append) == (1, 0, None, 0)


def test_each_claim_raises_the_epoch_and_names_its_owner(store: Store) -> None:
    """Two owners with one epoch could both write."""
    claim(store, P0, P1, run_id="run-a")
    [own] = claim(store, P1, run_id="run-b")
    rows = [(row.partition, row.epoch, row.owner_run_id) for row in store.read_offsets()]
    assert own.epoch == 2
    assert rows == [(P0, 1, "run-a"), (P1, 2, "run-b")]


def test_claims_come_back_with_what_the_last_commit_left(store: Store) -> None:
    """A successor that starts elsewhere repeats or skips records."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1), quote(2)], leader_epoch=7)], run_id="run-a")
    [again] = claim(store, P0)
    assert (again.next_offset, again.leader_epoch, again.max_ts_append) == (2, 7, NOON + 2)


def test_an_unknown_leader_epoch_keeps_the_stored_one(store: Store) -> None:
    """Forgetting it would let a cut log pass unnoticed."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1)], leader_epoch=7)], run_id="run-a")
    store.commit([piece(own, [], first_offset=1, next_offset=2)], run_id="run-a")
    assert [row.leader_epoch for row in store.read_offsets()] == [7]


def test_a_fenced_commit_writes_nothing_and_names_the_partition(store: Store) -> None:
    """A writer that woke up late must not store a second copy."""
    [old] = claim(store, P0)
    claim(store, P0, run_id="run-b")
    outcome = store.commit([piece(old, [quote(1)], refusals=[refusal(1)])], run_id="run-a")
    assert outcome.fenced == {P0}
    assert dict(outcome.stored_records) == {}
    assert ids_in(store) == []
    assert list(store.read_quarantine()) == []
    assert list(store.read_load_batches()) == []
    assert offsets_of(store) == {P0: 0}


def test_partitions_that_are_not_fenced_are_committed(store: Store) -> None:
    """One partition handed over must not cost the others their batch."""
    [first, second] = claim(store, P0, P1)
    claim(store, P0, run_id="run-b")
    outcome = store.commit([piece(first, [quote(1)]), piece(second, [quote(2)])], run_id="run-a")
    assert outcome.fenced == {P0}
    assert dict(outcome.stored_records) == {"quotes": 1}
    assert offsets_of(store) == {P0: 0, P1: 1}
    assert ids_in(store, P1) == [quote(2).event_id]


def test_a_batch_that_does_not_start_where_the_store_ends_is_fenced(store: Store) -> None:
    """A gap would lose records for good, and nobody would notice before the audit."""
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, [quote(1)], first_offset=5)], run_id="run-a")
    assert outcome.fenced == {P0}
    assert offsets_of(store) == {P0: 0}


def test_a_re_created_topic_counts_from_its_own_beginning(store: Store) -> None:
    """Its offsets mean other records than those of the topic of the same name before."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1)])], run_id="run-a")
    [other] = claim(store, TopicPart(OTHER_TOPIC_ID, 0))
    assert other.next_offset == 0


# Each record once


def test_a_commit_stores_records_offset_and_account_together(store: Store) -> None:
    """These three are one promise."""
    records = [quote(1), quote(2), quote(3)]
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, records)], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 3}
    assert (outcome.repeated_records, outcome.quarantined_records) == (0, 0)
    assert offsets_of(store) == {P0: 3}
    assert list(store.read_range(QUOTES, P0, 0, 3)) == [
        StoredRecord(records[0].event_id, records[0].content_hash, TOPIC_ID, 0, 0),
        StoredRecord(records[1].event_id, records[1].content_hash, TOPIC_ID, 0, 1),
        StoredRecord(records[2].event_id, records[2].content_hash, TOPIC_ID, 0, 2),
    ]


def test_a_repeat_in_a_later_commit_is_counted_and_not_stored_again(store: Store) -> None:
    """A source that sends a page twice must not double a day's volume."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1), quote(2)])], run_id="run-a")
    outcome = store.commit([piece(own, [quote(2), quote(3)], first_offset=2)], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 1}
    assert outcome.repeated_records == 1
    assert ids_in(store) == [quote(1).event_id, quote(2).event_id, quote(3).event_id]


def test_a_repeat_inside_one_commit_is_stored_once(store: Store) -> None:
    """Two pages of one poll overlap often."""
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, [quote(1), quote(1), quote(2)])], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 2}
    assert outcome.repeated_records == 1
    assert [record.offset for record in store.read_range(QUOTES, P0, 0, 9)] == [0, 2]


def test_many_commits_after_a_repeat_still_store_what_is_new(store: Store) -> None:
    """A store may change its way of writing after a repeat, never its result."""
    [own] = claim(store, P0)
    first = 0
    for number in range(30):
        records = [quote(number), quote(number), quote(1000 + number)]
        store.commit([piece(own, records, first_offset=first)], run_id="run-a")
        first += 3
    assert store.sum_range(QUOTES, P0, 0, 90).count == 60


def test_of_two_contents_under_one_id_the_lowest_offset_wins(store: Store) -> None:
    """Both stores must keep the same one, or they are no mirrors of each other."""
    good, bad = quote(1), contradict(quote(1))
    [own] = claim(store, P0)
    outcome = store.commit([piece(own, [quote(0), good, bad, good])], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 2}
    assert (outcome.repeated_records, outcome.quarantined_records) == (1, 1)
    assert store.read_facts(QUOTES, [good.event_id]) == [good]
    [entry] = store.read_quarantine()
    assert (entry.offset, entry.reason, entry.event_id) == (2, Reason.CONFLICT, good.event_id)
    assert entry.value == msgspec.json.encode(bad)
    assert entry.key == b"simulated:bitcoin"


def test_other_content_than_the_stored_one_is_quarantined(store: Store) -> None:
    """Facts never change: what came first stays, what contradicts it waits for a person."""
    good, bad = quote(1), contradict(quote(1))
    [own] = claim(store, P0)
    store.commit([piece(own, [good])], run_id="run-a")
    outcome = store.commit([piece(own, [bad, good, quote(2)], first_offset=1)], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 1}
    assert (outcome.repeated_records, outcome.quarantined_records) == (1, 1)
    assert store.read_facts(QUOTES, [good.event_id]) == [good]
    assert [entry.offset for entry in store.read_quarantine(P0)] == [1]


def test_one_commit_takes_several_feeds(store: Store) -> None:
    """A load run carries all topics; one transaction a feed would halve its speed."""
    rejected = build_rejected(
        source="simulated",
        feed="quotes",
        reason=Reason.INVARIANT,
        error="price: NaN",
        raw=b"\x00\xff\t\n\\",
        ts_ingest=NOON,
    )
    part = TopicPart(OTHER_TOPIC_ID, 0)
    [quotes] = claim(store, P0)
    [rejects] = claim(store, part, feed=REJECTED)
    outcome = store.commit([piece(quotes, [quote(1)]), piece(rejects, [rejected])], run_id="run-a")
    assert dict(outcome.stored_records) == {"quotes": 1, "rejected": 1}
    assert store.read_facts(REJECTED, [rejected.event_id]) == [rejected]
    assert store.sum_range(REJECTED, part, 0, 1) == sum_of([rejected.content_hash])


# What the deep audit reads


def test_contents_read_back_hash_to_what_was_published(store: Store) -> None:
    """Each store derives it in its own way: one wrong escape calls a whole table changed."""
    awkward = seal_quote(
        msgspec.structs.replace(
            quote(0),
            currency_id='"\\/\b\f\n\r\t\x01\x1f\x7f Ünïcödé € \u2028 \U0001f600',
            price="-0.00000001054",
            market_cap="0.000",
            high_24h="1234567890123456789012345678901234",
            low_24h="18446744073709551616",
            market_cap_rank=0,
            ts_event=NOON + 1,
        )
    )
    incident = build_load_incident(
        kind=IncidentKind.RETENTION_GAP,
        sink="any",
        feed="quotes",
        topic="market.quotes",
        topic_id=TOPIC_ID,
        part=0,
        first_offset=1,
        next_offset=None,
        message="gone \t",
        next_step="-",
        ts_ingest=NOON,
    )
    rejected = build_rejected(
        source="simulated",
        feed="quotes",
        reason=Reason.INVARIANT,
        error="price: NaN",
        raw=bytes(range(256)),
        ts_ingest=NOON,
    )
    parts = [P0, P1, TopicPart(OTHER_TOPIC_ID, 0)]
    feeds = [QUOTES, INCIDENTS, REJECTED]
    records = [awkward, incident, rejected]
    for part, feed, record in zip(parts, feeds, records, strict=True):
        [own] = claim(store, part, feed=feed)
        store.commit([piece(own, [record])], run_id="run-a")
        [content] = store.read_contents(feed, part, 0, 1)
        assert content.record.event_id == record.event_id
        assert (content.derived_hash, content.problem) == (record.content_hash, None)


def test_every_store_reads_in_the_same_order(store: Store) -> None:
    """A comparison of two stores, and what an audit names first, must not depend on which it is."""
    [own] = claim(store, P0)
    slice_ = piece(own, [renamed(quote(number), name) for number, name in enumerate("bCaB")])
    slice_ = replace(slice_, arrivals=replace(slice_.arrivals, offsets=[0, 0, 0, 0]))
    store.commit([slice_], run_id="run-b")
    for run_id in ("run-c", "run-a", "Run-d"):
        store.commit_replay([slice_], run_id=run_id)
    assert ids_in(store) == ["B", "C", "a", "b"]
    contents = [content.record.event_id for content in store.read_contents(QUOTES, P0, 0, 9)]
    assert contents == ["B", "C", "a", "b"]
    batches = [(batch.kind.value, batch.run_id) for batch in store.read_load_batches(P0)]
    assert batches == [
        ("live", "run-b"),
        ("replay", "Run-d"),
        ("replay", "run-a"),
        ("replay", "run-c"),
    ]


def test_contents_of_when_a_symbol_was_content_are_right_too(store: Store) -> None:
    """A data folder of then would have every trade called changed."""
    trades = FEED_BY_NAME["trades"]
    [own] = claim(store, P0, feed=trades)
    now, bare = build_record(trades), build_record(trades, symbol=None)
    facts = {each.name: getattr(now, each.name) for each in trades.fields[3:]}
    then = msgspec.structs.replace(now, event_id="then", content_hash=hash_content(facts))
    wrong = msgspec.structs.replace(now, event_id="wrong", content_hash=7)
    bare = renamed(bare, "bare")
    store.commit([piece(own, [now, bare, then, wrong])], run_id="run-a")
    derived = [content.derived_hash for content in store.read_contents(trades, P0, 0, 4)]
    assert now.content_hash == bare.content_hash != then.content_hash
    assert derived == [now.content_hash, now.content_hash, then.content_hash, now.content_hash]


def test_a_trade_read_again_under_another_mapping_is_a_repeat(store: Store) -> None:
    """Else a currency mapped today would put all of its trades into quarantine."""
    trades = FEED_BY_NAME["trades"]
    first, again = (build_record(trades, symbol=name) for name in (None, "POL/USD"))
    [own] = claim(store, P0, feed=trades)
    outcome = store.commit([piece(own, [first, again])], run_id="run-a")
    assert outcome.repeated_records == 1
    assert outcome.quarantined_records == 0
    assert store.read_facts(trades, [first.event_id]) == [first]


def test_one_id_under_two_event_times_is_never_passed_over(store: Store) -> None:
    """A venue that moves a trade's time: docs/exactly-once.md 2 says what each store answers."""
    trades = FEED_BY_NAME["trades"]
    first = build_record(trades)
    moved = build_record(trades, ts_event=(trades.event_time_of(first) or 0) + 1)
    [own] = claim(store, P0, feed=trades)
    store.commit([piece(own, [first])], run_id="run-a")
    store.commit([piece(own, [moved], first_offset=1)], run_id="run-a")
    rows = sorted(row.offset for row in store.read_records(trades, [first.event_id]))
    repeated = [row.offset for row in store.read_repeated(trades, P0, 0, 9)]
    refused = [(entry.offset, entry.reason) for entry in store.read_quarantine(P0)]
    assert first.event_id == moved.event_id
    assert (rows, repeated, refused) in (
        ([0, 1], [0, 1], []),
        ([0], [], [(1, Reason.CONFLICT)]),
    )


def test_records_that_arrived_elsewhere_are_strays(store: Store) -> None:
    """A row in no range that is audited would be seen by nobody."""
    [first, second] = claim(store, P0, P1)
    store.commit([piece(first, [quote(0)]), piece(second, [quote(1)])], run_id="run-a")
    assert list(store.read_strays(QUOTES, {P0, P1})) == []
    assert [row.event_id for row in store.read_strays(QUOTES, {P1})] == [quote(0).event_id]
    assert len(list(store.read_strays(QUOTES, set()))) == 2
    assert store.read_repeated(QUOTES, P0, 0, 10) == []


# Quarantine


def test_a_value_that_is_no_record_is_kept_with_its_bytes(store: Store) -> None:
    """Poison must not stop the topic, and nothing a source sent may be lost."""
    [own] = claim(store, P0)
    outcome = store.commit(
        [piece(own, [quote(1)], refusals=[refusal(1), refusal(2, value=None)])], run_id="run-a"
    )
    first, second = store.read_quarantine()
    assert outcome.quarantined_records == 2
    assert (first.topic, first.partition, first.offset) == ("market.quotes", P0, 1)
    assert (first.reason, first.state, first.run_id) == (Reason.UNDECODABLE, "open", "run-a")
    assert (first.key, first.value) == (b"simulated:bitcoin", b"\x00\xffnot json")
    assert (first.ts_append, first.event_id) == (NOON + 1, None)
    assert "not JSON" in first.error
    assert second.value is None


def test_quarantine_is_read_by_partition_and_range(store: Store) -> None:
    """The audit asks for one hour of one partition at a time."""
    [first, second] = claim(store, P0, P1)
    refusals = [refusal(offset) for offset in range(250)]
    store.commit(
        [piece(first, [], refusals=refusals), piece(second, [], refusals=[refusal(0)])],
        run_id="run-a",
    )
    ranged = [e.offset for e in store.read_quarantine(P0, first_offset=99, next_offset=102)]
    assert ranged == [99, 100, 101]
    assert [e.offset for e in store.read_quarantine(P0)] == list(range(250))
    assert len(list(store.read_quarantine())) == 251
    assert [e.offset for e in store.read_quarantine(P1)] == [0]


# The account: load_batch


def test_load_batches_cover_the_offsets_and_add_up_to_what_is_stored(store: Store) -> None:
    """The audit of ranges older than Kafka's retention rests on nothing else."""
    [own] = claim(store, P0)
    later = NOON + HOUR
    numbers = itertools.count()
    for first, hour in ((0, NOON), (2, NOON), (4, later)):
        records = [quote(next(numbers)), quote(next(numbers))]
        store.commit([piece(own, records, first_offset=first, hour=hour)], run_id="run-a")
    store.commit(
        [
            piece(own, [quote(1)], first_offset=6, refusals=[refusal(7)], hour=later),
            piece(own, [quote(9)], first_offset=8, hour=later + HOUR),
        ],
        run_id="run-a",
    )
    batches = list(store.read_load_batches(P0))
    ranges = [(b.first_offset, b.next_offset, b.hour) for b in batches]
    assert ranges == [(0, 4, NOON), (4, 8, later), (8, 9, later + HOUR)]
    assert [(b.repeated_records, b.quarantined_records) for b in batches] == [
        (0, 0),
        (1, 1),
        (0, 0),
    ]
    for batch in batches:
        found = store.sum_range(QUOTES, P0, batch.first_offset, batch.next_offset)
        assert found == batch.stored
    assert batches[1] == LoadBatch(
        run_id="run-a",
        topic="market.quotes",
        partition=P0,
        epoch=1,
        hour=later,
        kind=BatchKind.LIVE,
        first_offset=4,
        next_offset=8,
        stored=sum_of([quote(4).content_hash, quote(5).content_hash]),
        repeated_records=1,
        quarantined_records=1,
    )


def test_a_run_that_claims_again_begins_a_row_of_its_own(store: Store) -> None:
    """Stretched over what another run wrote in between, its row would cover offsets twice."""
    [own] = claim(store, P0, run_id="run-a")
    store.commit([piece(own, [quote(1)])], run_id="run-a")
    [other] = claim(store, P0, run_id="run-b")
    store.commit([piece(other, [quote(2)])], run_id="run-b")
    [again] = claim(store, P0, run_id="run-a")
    store.commit([piece(again, [quote(3)])], run_id="run-a")
    rows = [(b.run_id, b.epoch, b.first_offset, b.next_offset) for b in store.read_load_batches()]
    assert rows == [("run-a", 1, 0, 1), ("run-b", 2, 1, 2), ("run-a", 3, 2, 3)]


def test_markers_alone_move_the_offset_and_an_empty_range_leaves_no_row(store: Store) -> None:
    """Without them lag never reaches 0; a row of nothing would say that something was covered."""
    [own] = claim(store, P0)
    store.commit([piece(own, [], next_offset=1)], run_id="run-a")
    store.commit([piece(own, [], first_offset=1, next_offset=1)], run_id="run-a")
    [batch] = store.read_load_batches()
    assert (batch.first_offset, batch.next_offset, batch.stored) == (0, 1, EMPTY_SUM)
    assert offsets_of(store) == {P0: 1}


# Replay


def test_a_replay_stores_nothing_twice_and_leaves_the_live_offset_alone(store: Store) -> None:
    """A replay beside the live load must neither repeat records nor rewind it."""
    [own] = claim(store, P0)
    records = [quote(1), quote(2)]
    store.commit([piece(own, records)], run_id="run-a")
    outcome = store.commit_replay([piece(own, records)], run_id="replay")
    assert (sum(outcome.stored_records.values()), outcome.repeated_records) == (0, 2)
    assert offsets_of(store) == {P0: 2}
    assert len(ids_in(store)) == 2
    assert {(b.kind, b.stored.count) for b in store.read_load_batches()} == {
        (BatchKind.LIVE, 2),
        (BatchKind.REPLAY, 0),
    }


def test_a_replay_needs_no_claim_and_stores_what_is_missing(store: Store) -> None:
    """It heals a store while the live load keeps its claims."""
    [own] = claim(store, P0)
    store.commit([piece(own, [], next_offset=2)], run_id="run-a")
    claim(store, P0, run_id="run-b")
    outcome = store.commit_replay([piece(own, [quote(1), quote(2)])], run_id="replay")
    assert outcome.fenced == frozenset()
    assert dict(outcome.stored_records) == {"quotes": 2}
    assert len(ids_in(store)) == 2


def test_a_replayed_record_that_loads_now_closes_its_quarantine_entry(store: Store) -> None:
    """Else a person would mend what is mended, and the audit would count it twice."""
    [own] = claim(store, P0)
    refusals = [refusal(0), refusal(1)]
    store.commit([piece(own, [], refusals=refusals)], run_id="run-a")
    store.commit_replay(
        [piece(own, [quote(1)], next_offset=2, refusals=[refusal(1)])], run_id="replay"
    )
    assert [(e.offset, e.state) for e in store.read_quarantine()] == [(0, "released"), (1, "open")]
    assert ids_in(store) == [quote(1).event_id]


# Incidents


def incident_at(own: Claim) -> Incident:
    """The load's incident for a claimed partition."""
    return build_load_incident(
        kind=IncidentKind.RETENTION_GAP,
        sink="any",
        feed="quotes",
        topic="market.quotes",
        topic_id=own.partition.topic_id,
        part=own.partition.part,
        first_offset=0,
        next_offset=5,
        message="offsets 0 to 5 are gone",
        next_step="crypto-platform incident ack",
        ts_ingest=NOON,
    )


def test_an_incident_stops_its_partition_and_no_other(store: Store) -> None:
    """Nothing may be skipped while a person decides; the rest has to flow."""
    [first, _] = claim(store, P0, P1)
    incident = incident_at(first)
    store.block(first, incident)
    assert [own.partition for own in claim(store, P0, P1)] == [P1]
    assert [row.blocked_by for row in store.read_offsets()] == [incident.event_id, None]
    assert store.read_facts(INCIDENTS, [incident.event_id]) == [incident]
    assert list(store.read_open_matters().incidents) == [incident]


def test_a_fenced_run_cannot_stop_a_partition(store: Store) -> None:
    """What it saw may be long settled by its successor."""
    [old] = claim(store, P0)
    claim(store, P0, run_id="run-b")
    store.block(old, incident_at(old))
    assert [row.blocked_by for row in store.read_offsets()] == [None]
    assert list(store.read_open_matters().incidents) == []


def test_an_incident_counts_as_stored_when_kafka_brings_it(store: Store) -> None:
    """Its row has no first arrival before; left out, load_batch would not add up to the rows."""
    [own] = claim(store, P0)
    incident = incident_at(own)
    store.block(own, incident)
    part = TopicPart(OTHER_TOPIC_ID, 0)
    [incidents] = claim(store, part, feed=INCIDENTS)
    outcome = store.commit([piece(incidents, [incident, incident])], run_id="run-a")
    assert dict(outcome.stored_records) == {"incidents": 1}
    assert outcome.repeated_records == 1
    [batch] = store.read_load_batches(part)
    assert batch.stored == sum_of([incident.content_hash])
    assert store.sum_range(INCIDENTS, part, 0, 2) == batch.stored
    [record] = store.read_records(INCIDENTS, [incident.event_id])
    assert (record.topic_id, record.part, record.offset) == (OTHER_TOPIC_ID, 0, 0)


def test_a_matter_that_comes_back_in_other_words_is_the_same_fact(store: Store) -> None:
    """Kafka's end has moved since, so the text has another number: no conflict, the first stays."""
    [own] = claim(store, P0)
    first = incident_at(own)
    store.block(own, first)
    again = build_incident(msgspec.structs.replace(first, message="it has moved", next_step="-"))
    [incidents] = claim(store, TopicPart(OTHER_TOPIC_ID, 0), feed=INCIDENTS)
    outcome = store.commit([piece(incidents, [again, first])], run_id="run-a")
    assert (outcome.repeated_records, outcome.quarantined_records) == (1, 0)
    assert store.read_facts(INCIDENTS, [first.event_id]) == [first]


def test_acknowledged_incidents_wait_for_nobody(store: Store) -> None:
    """A list that only grows is a list that nobody reads."""
    [own] = claim(store, P0)
    opened = incident_at(own)
    closed = msgspec.structs.replace(
        opened, event_id=opened.event_id + "/ack", state="acknowledged"
    )
    [incidents] = claim(store, TopicPart(OTHER_TOPIC_ID, 0), feed=INCIDENTS)
    store.commit([piece(incidents, [opened])], run_id="run-a")
    assert list(store.read_open_matters().incidents) == [opened]
    store.commit([piece(incidents, [closed], first_offset=1)], run_id="run-a")
    store.commit([piece(own, [], refusals=[refusal(0)])], run_id="run-a")
    matters = store.read_open_matters()
    assert (list(matters.incidents), matters.quarantined_records) == ([], 1)


# Exactness


def full_quote(**changes: str | int | None) -> Quote:
    """A quote with values that stores like to damage."""
    values: dict[str, str | int | None] = {
        "currency_symbol": "tab\there",
        "currency_name": 'line\nfeed, return\r, back\\slash, \\N, "quotes", ü, 日本, 🪙',
        "market_cap_rank": 2**53,
        "price": "1234567890123456789012345678901234",
        "market_cap": "-0.1234567890123456789012345678901234",
        "fully_diluted_market_cap": "1.10",
        "quote_volume_24h": "1.1000000000000000000000000000000",
        "vwap_24h": "0",
        "high_24h": "0.000",
        "low_24h": "0." + "0" * 66 + "1234567890123456789012345678901234",
        "price_change_24h": "-12345678901234567.89012345678901234",
        "price_change_24h_pct": "100",
        "circulating_supply": None,
        "ts_event": 1_621_094_383_867_123,
    }
    return seal_quote(
        Quote(
            source="simulated",
            currency_id="bitcoin",
            quote_currency="USD",
            ts_ingest=253_402_300_799_999_999,
            **(values | changes),  # pyright: ignore[reportArgumentType]
        )
    )


def test_values_come_back_as_they_were_given(store: Store) -> None:
    """34 digits, their scale, microseconds and odd text: a mirror that rounds is none."""
    record = full_quote()
    [own] = claim(store, P0)
    store.commit([piece(own, [record])], run_id="run-a")
    assert store.read_facts(QUOTES, [record.event_id]) == [record]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_every_feed_comes_back_as_it_was_published(store: Store, feed: Feed[Record]) -> None:
    """By both ways of writing, full and with all unknown; and its bytes say the same again."""
    full, bare = build_record(feed), renamed(leave_out_unknown(feed), "bare")
    [own] = claim(store, P0, feed=feed)
    store.commit([piece(own, [full])], run_id="run-a")
    store.commit([piece(own, [full, bare], first_offset=1)], run_id="run-a")
    by_id = {record.event_id: record for record in store.read_facts(feed, ["bare", full.event_id])}
    assert by_id == {full.event_id: full, "bare": bare}
    found = {each.record.event_id: each for each in store.read_contents(feed, P0, 0, 3)}
    assert {event_id: each.derived_hash for event_id, each in found.items()} == {
        full.event_id: full.content_hash,
        "bare": bare.content_hash,
    }
    assert [each.problem for each in found.values()] == [None, None]


def test_values_come_back_the_same_after_a_repeat(store: Store) -> None:
    """The way a store takes when it looks for repeats must be as exact as the straight one."""
    record = full_quote(ts_event=0, price="-1")
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1)])], run_id="run-a")
    store.commit([piece(own, [quote(1), record], first_offset=1)], run_id="run-a")
    assert store.read_facts(QUOTES, [record.event_id]) == [record]


def test_unknown_stays_unknown(store: Store) -> None:
    """The unknown supply of a currency must not turn into 0."""
    record = seal_quote(
        Quote(source="simulated", currency_id="x", quote_currency="USD", ts_ingest=1)
    )
    [own] = claim(store, P0)
    store.commit([piece(own, [record])], run_id="run-a")
    assert store.read_facts(QUOTES, [record.event_id]) == [record]


def test_hash_sums_add_the_unsigned_halves(store: Store) -> None:
    """A sum that overflows or loses its sign would call different stores equal."""
    hashes = [-1, -(2**63), 2**63 - 1, 1]
    records = [
        msgspec.structs.replace(quote(i), content_hash=value) for i, value in enumerate(hashes)
    ]
    [own] = claim(store, P0)
    store.commit([piece(own, records)], run_id="run-a")
    high = (2**32 - 1) + 2**31 + (2**31 - 1)
    low = (2**32 - 1) + (2**32 - 1) + 1
    assert store.sum_range(QUOTES, P0, 0, 4) == Sum(4, high, low)
    assert store.sum_range(QUOTES, P0, 1, 2) == Sum(1, 2**31, 0)
    assert store.sum_range(QUOTES, P1, 0, 4) == EMPTY_SUM


# Reading


def test_ranges_are_read_in_order_of_offset_and_half_open(store: Store) -> None:
    """The audit walks Kafka and the store side by side."""
    first, second = claim(store, P0, P1)
    store.commit(
        [
            piece(first, [quote(i) for i in (5, 3, 4, 1)]),
            piece(second, [quote(i) for i in (8, 7)]),
        ],
        run_id="run-a",
    )
    records = list(store.read_range(QUOTES, P0, 1, 3))
    assert [(r.event_id, r.offset) for r in records] == [
        (quote(3).event_id, 1),
        (quote(4).event_id, 2),
    ]


def test_a_range_may_be_read_while_other_calls_are_made(store: Store) -> None:
    """The audit looks records up while it walks."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1), quote(2)])], run_id="run-a")
    records: Iterator[StoredRecord] = store.read_range(QUOTES, P0, 0, 2)
    next(records)
    store.commit([piece(own, [quote(3)], first_offset=2)], run_id="run-a")
    assert [record.offset for record in records] == [1]


def test_only_the_asked_records_are_found(store: Store) -> None:
    """A store that answers with more would hide a missing one."""
    [own] = claim(store, P0)
    store.commit([piece(own, [quote(1), quote(2)])], run_id="run-a")
    found = store.read_records(QUOTES, [quote(2).event_id, "unknown"])
    assert found == [StoredRecord(quote(2).event_id, quote(2).content_hash, TOPIC_ID, 0, 1)]


def test_the_latest_quote_of_each_currency_comes_best_rank_first(store: Store) -> None:
    """This is the first table a person sees."""
    [own] = claim(store, P0)
    records = [
        latest(currency_id="ethereum", rank=2, price="10", ts_ingest=NOON + 1),
        latest(currency_id="bitcoin", rank=1, price="20", ts_ingest=NOON + 2),
        latest(currency_id="bitcoin", rank=1, price="19", ts_ingest=NOON + 1),
        latest(currency_id="ethereum", rank=2, price="9", ts_ingest=NOON),
        latest(currency_id="unranked", rank=None, price="1", ts_ingest=NOON),
        latest(currency_id="bitcoin", rank=1, price="21", ts_ingest=NOON, source="other"),
    ]
    store.commit([piece(own, records)], run_id="run-a")

    def prices(*currency_ids: str, records_max: int = 100) -> list[str | None]:
        found = store.read_latest_quotes(currency_ids, records_max=records_max)
        return [record.price for record in found if isinstance(record, Quote)]

    assert sorted(prices(records_max=2), key=str) == ["20", "21"]
    assert prices()[2:] == ["10", "1"]
    assert prices("ethereum", "unknown") == ["10"]


def latest(
    *, currency_id: str, rank: int | None, price: str, ts_ingest: int, source: str = "simulated"
) -> Quote:
    """A quote of which only what decides its place matters."""
    return seal_quote(
        Quote(
            source=source,
            currency_id=currency_id,
            quote_currency="USD",
            market_cap_rank=rank,
            price=price,
            ts_event=ts_ingest,
            ts_ingest=ts_ingest,
        )
    )


def test_an_empty_store_answers_with_nothing(store: Store) -> None:
    """The first page of a new deployment must not be an error."""
    assert store.read_offsets() == []
    assert store.read_latest_quotes() == []
    assert list(store.read_load_batches()) == []
    assert list(store.read_quarantine()) == []
    assert store.read_records(QUOTES, []) == []
    assert store.read_facts(QUOTES, []) == []


def test_asking_for_nothing_does_nothing(store: Store) -> None:
    """A load whose partitions are all blocked has nothing to claim and nothing to commit."""
    assert store.claim([], run_id="run-a") == []
    assert store.commit([], run_id="run-a").fenced == frozenset()
    assert list(store.read_load_batches()) == []


def test_a_closed_store_may_be_used_again(store: Store) -> None:
    """A run that lost its connection goes on with the same store."""
    assert store.ping()
    claim(store, P0)
    store.close()
    assert offsets_of(store) == {P0: 0}


# Kills


@pytest.mark.parametrize(
    ("crash_at", "stored"),
    [("after_offset_update", 0), ("after_copy", 0), ("before_commit", 0), ("after_commit", 20)],
)
def test_a_load_killed_anywhere_leaves_offsets_and_records_together(
    store_factory: StoreFactory, crash_at: str, stored: int
) -> None:
    """Faults 3 and 4: whatever was killed, the next load stores each record once."""
    environment = {**store_factory.environment, "CRYPTO_PLATFORM_CRASH_AT": crash_at}
    child = store_child.start(store_factory.name, records=20, environment=environment)
    assert child.communicate(timeout=60)[0] == "claimed\n"
    assert child.returncode == -signal.SIGKILL
    store = store_factory.open()
    claims = claim(store, P0, P1, run_id="successor")
    assert sum(own.next_offset for own in claims) == stored
    assert len(ids_in(store, P0)) + len(ids_in(store, P1)) == stored
    quotes = [quote(number) for number in range(20)]
    rest = [
        piece(own, quotes[own.partition.part :: 2][own.next_offset :])
        for own in claims
        if own.next_offset < 10
    ]
    store.commit(rest, run_id="successor")
    assert ids_in(store, P0) == [record.event_id for record in quotes[0::2]]
    assert ids_in(store, P1) == [record.event_id for record in quotes[1::2]]
    for batch in store.read_load_batches():
        assert (batch.first_offset, batch.next_offset, batch.stored.count) == (0, 10, 10)

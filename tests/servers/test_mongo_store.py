"""MongoStore on a real replica set: what the contract suite cannot ask of all stores alike."""

import threading
import time
from pathlib import Path

import msgspec
import pymongo
import pytest
from bson.decimal128 import Decimal128
from pymongo.errors import OperationFailure

from crypto_platform.errors import (
    ConfigurationError,
    IncidentKind,
    Reason,
    StoreRefusedError,
    StoreUnavailableError,
)
from crypto_platform.feeds import FEED_BY_NAME, Record
from crypto_platform.feeds.incidents import INCIDENTS, build_load_incident
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.mongo import MongoStore, migrate
from crypto_platform.stores.mongo.markets import build_latest
from crypto_platform.stores.mongo.writer import INVALID_DOCUMENTS_MAX
from crypto_platform.stores.slices import Arrival, Refusal, Slice, build_arrivals
from crypto_platform.stores.sorting import LOOK_UP_COMMITS
from crypto_platform.stores.sums import Sum
from tests.account_steps import build_busy_company
from tests.feed_samples import build_record
from tests.mongo_harness import MongoDatabase, free_port, start_mongod
from tests.mongo_writer import PARTITION, TOPIC, quote

OTHER = TopicPart(PARTITION.topic_id, 1)
HOUR_US = 3_600_000_000


def claim_one(store: MongoStore, partition: TopicPart = PARTITION, run_id: str = "run") -> Claim:
    [claim] = store.claim([(QUOTES, TOPIC, partition)], run_id=run_id)
    return claim


def slice_of(
    claim: Claim,
    *facts: Record,
    first_offset: int = 0,
    next_offset: int | None = None,
    hour: int = 0,
    refusals: tuple[Refusal, ...] = (),
) -> Slice:
    """The facts at consecutive offsets, refusals where they say."""
    return Slice(
        claim=claim,
        hour=hour,
        first_offset=first_offset,
        next_offset=first_offset + len(facts) if next_offset is None else next_offset,
        max_ts_append=hour + 1,
        leader_epoch=5,
        arrivals=build_arrivals(
            [Arrival(fact, first_offset + i, hour + 1) for i, fact in enumerate(facts)],
            feed=claim.feed,
        ),
        refusals=refusals,
    )


def test_a_standalone_server_is_refused(tmp_path: Path) -> None:
    """It would take every write, and none of them in a transaction."""
    port = free_port()
    process = start_mongod(tmp_path, port=port, replica_set=None)
    try:
        with pytest.raises(ConfigurationError, match="--replSet"):
            migrate(f"mongodb://127.0.0.1:{port}/?directConnection=true", "any")
    finally:
        process.kill()
        process.wait()


def test_migrating_again_changes_nothing_and_is_quick(mongo: MongoDatabase) -> None:
    """It runs at every start of the platform."""
    begin = time.monotonic()
    migrate(mongo.server.migrator_url, mongo.name)
    assert time.monotonic() - begin < 1


def test_migrating_brings_back_a_validator_and_an_index(mongo: MongoDatabase) -> None:
    """An upgrade that changes a feed reaches collections that are there already."""
    with mongo.client() as database:
        database.command("collMod", "quotes", validator={})
        database["quotes"].drop_indexes()
        migrate(mongo.server.migrator_url, mongo.name)
        with pytest.raises(OperationFailure, match="validation"):
            database["quotes"].insert_one({"_id": "x", "price": 1.5})
        assert len(database["quotes"].index_information()) == 3


def test_a_missing_collection_is_refused_at_the_claim(mongo: MongoDatabase) -> None:
    """A transaction would make it, without validator and indexes."""
    with mongo.client() as database:
        database.drop_collection("quotes")
    with pytest.raises(StoreRefusedError, match="migrations") as caught:
        claim_one(mongo.open())
    assert caught.value.table == "quotes"


def test_fills_of_an_order_are_read_by_an_index_and_held_in_no_document(
    mongo: MongoDatabase,
) -> None:
    """Eighty thousand of them were more than a document can hold."""
    events = FEED_BY_NAME["account_events"]
    company = build_busy_company()
    store = mongo.open()
    [own] = store.claim([(events, events.topic, PARTITION)], run_id="run")
    store.commit([slice_of(own, *company.events)], run_id="run")
    with mongo.client() as database:
        # as an older version has left it
        database[events.collection].drop_index("order_id_1")
        database["orders"].update_many({}, {"$set": {"fills": [{"trade_id": "1"}]}})
    migrate(mongo.server.migrator_url, mongo.name)
    with mongo.client() as database:
        assert database["orders"].count_documents({"fills": {"$exists": True}}) == 0
        told = [each["trade_id"] for each in database["fills"].find({"order_id": "o-1"})]
        assert sorted(told) == sorted(fill.trade_id for fill in company.fills["o-1"])
        query = {"order_id": {"$in": ["o-1"]}, "trade_id": {"$type": "string"}}
        plan = database[events.collection].find(query).explain()["queryPlanner"]["winningPlan"]
        assert "order_id_1" in str(plan)


def test_a_float_among_the_amounts_is_refused_by_the_server(mongo: MongoDatabase) -> None:
    """The last guard against a program that writes beside the platform."""
    store = mongo.open()
    store.commit([slice_of(claim_one(store), quote(1))], run_id="run")
    with mongo.client() as database, pytest.raises(OperationFailure, match="validation"):
        database["quotes"].update_one({"_id": "quote:1"}, {"$set": {"price": 1.5}})


@pytest.mark.parametrize(
    "prices",
    [[Decimal128("1.10"), 1.5], [None], "1.10", Decimal128("1.10"), None, [[Decimal128("1")], 7]],
    ids=str,
)
def test_a_list_of_amounts_holds_nothing_else(mongo: MongoDatabase, prices: object) -> None:
    """MongoDB calls an array a decimal as soon as any of its values is one."""
    store = mongo.open()
    book = build_record(ORDER_BOOKS)
    [own] = store.claim([(ORDER_BOOKS, ORDER_BOOKS.topic, PARTITION)], run_id="run")
    store.commit([slice_of(own, book)], run_id="run")
    with mongo.client() as database, pytest.raises(OperationFailure, match="validation"):
        database["order_books"].update_one({}, {"$set": {"bid_prices": prices}})
    with mongo.client() as database:
        database["order_books"].update_one({}, {"$set": {"bid_prices": []}})


def test_what_is_stored_is_what_people_expect_to_find(mongo: MongoDatabase) -> None:
    """Names and types are read by others than this program."""
    store = mongo.open()
    store.commit([slice_of(claim_one(store), quote(7))], run_id="run")
    with mongo.client() as database:
        document = database["quotes"].find_one({"_id": "quote:7"}) or {}
    assert document["price"] == Decimal128("7.10")
    assert document["arrival_topic_id"] == PARTITION.topic_id
    assert (document["arrival_part"], document["arrival_offset"]) == (0, 0)
    assert document["ts_ingest_us"] == 1_700_000_000_000_000


def test_a_fenced_commit_writes_nothing_and_names_its_partition(mongo: MongoDatabase) -> None:
    """Two writers of one partition would store its records in two orders."""
    old, new = mongo.open(), mongo.open()
    stale = claim_one(old)
    claim_one(new, run_id="successor")
    outcome = old.commit([slice_of(stale, quote(1))], run_id="run")
    assert outcome.fenced == {PARTITION}
    assert outcome.stored_records == {}
    assert new.read_records(QUOTES, ["quote:1"]) == []
    assert list(new.read_load_batches()) == []


def test_the_partitions_that_were_not_taken_over_are_written(mongo: MongoDatabase) -> None:
    """One hand-over must not stop forty partitions."""
    old, new = mongo.open(), mongo.open()
    stale, held = old.claim([(QUOTES, TOPIC, PARTITION), (QUOTES, TOPIC, OTHER)], run_id="run")
    claim_one(new)
    slices = [slice_of(stale, quote(1)), slice_of(held, quote(2))]
    outcome = old.commit(slices, run_id="run")
    assert outcome.fenced == {PARTITION}
    assert outcome.stored_records == {"quotes": 1}
    offsets = {each.partition: each.next_offset for each in new.read_offsets()}
    assert offsets == {PARTITION: 0, OTHER: 1}


def test_a_slice_that_does_not_continue_the_stored_offset_writes_nothing(
    mongo: MongoDatabase,
) -> None:
    """A gap would lose records, an overlap would count them twice."""
    store = mongo.open()
    claim = claim_one(store)
    outcome = store.commit([slice_of(claim, quote(1), first_offset=3)], run_id="run")
    assert outcome.fenced == {PARTITION}
    assert store.read_records(QUOTES, ["quote:1"]) == []


def test_repeats_and_conflicts_are_told_apart(mongo: MongoDatabase) -> None:
    """A repeat is nothing; another content under the same name is something a person should see."""
    store = mongo.open()
    claim = claim_one(store)
    store.commit([slice_of(claim, quote(1), quote(2))], run_id="run")
    again = slice_of(claim, quote(1), quote(2, content_hash=99), quote(3), first_offset=2)
    outcome = store.commit([again], run_id="run")
    assert outcome.stored_records == {"quotes": 1}
    assert (outcome.repeated_records, outcome.quarantined_records) == (1, 1)
    [entry] = store.read_quarantine()
    assert (entry.offset, entry.reason, entry.event_id) == (3, Reason.CONFLICT, "quote:2")
    assert entry.state == "open"
    [kept] = store.read_records(QUOTES, ["quote:2"])
    assert (kept.content_hash, kept.offset) == (2, 1)


def test_after_a_repeat_ids_are_looked_up_and_later_inserted_again(mongo: MongoDatabase) -> None:
    """Staying on the look-up way for good would halve the speed after one repeat."""
    store = mongo.open()
    claim = claim_one(store)
    store.commit([slice_of(claim, quote(0))], run_id="run")
    for offset in range(1, LOOK_UP_COMMITS + 3):
        facts = quote(0) if offset == 1 else quote(offset)
        outcome = store.commit([slice_of(claim, facts, first_offset=offset)], run_id="run")
        assert outcome.fenced == frozenset()
    assert store.sum_range(QUOTES, PARTITION, 0, 100).count == LOOK_UP_COMMITS + 2


def test_load_batches_cover_the_offsets_and_their_sums_equal_the_records(
    mongo: MongoDatabase,
) -> None:
    """The audit believes these sums once Kafka has forgotten the records."""
    store = mongo.open()
    claim = claim_one(store)
    big, negative = quote(1, content_hash=2**63 - 1), quote(2, content_hash=-1)
    hour = slice_of(claim, big, negative, next_offset=5)
    next_hour = slice_of(claim, quote(3), first_offset=5, hour=HOUR_US)
    store.commit([next_hour, hour], run_id="run")
    store.commit([slice_of(claim, quote(3), first_offset=6, hour=HOUR_US)], run_id="run")
    store.commit([slice_of(claim, first_offset=7, hour=HOUR_US)], run_id="run")
    batches = list(store.read_load_batches(PARTITION))
    ranges = [(each.hour, each.first_offset, each.next_offset) for each in batches]
    assert ranges == [(0, 0, 5), (HOUR_US, 5, 7)]
    assert batches[0].stored == Sum(2, 0x7FFFFFFF + 0xFFFFFFFF, 2 * 0xFFFFFFFF)
    assert batches[1].stored == Sum(1, 0, 3)
    assert (batches[1].repeated_records, batches[1].kind) == (1, BatchKind.LIVE)
    assert store.sum_range(QUOTES, PARTITION, 0, 5) == batches[0].stored
    assert store.sum_range(QUOTES, PARTITION, 5, 7) == batches[1].stored
    assert store.sum_range(QUOTES, PARTITION, 100, 200) == Sum(0, 0, 0)


def test_hash_sums_do_not_overflow_into_doubles(mongo: MongoDatabase) -> None:
    """A double has 53 bits: two different sets of records would have one sum."""
    store = mongo.open()
    claim = claim_one(store)
    hashes = (-(2**63), 2**63 - 1, -1, 0, 2**32, -(2**32), -(2**32) - 1, 2**53 + 1)
    facts = [quote(number, content_hash=digest) for number, digest in enumerate(hashes)]
    store.commit([slice_of(claim, *facts)], run_id="run")
    # by hand, upper and lower halves as unsigned numbers
    high = 0x80000000 + 0x7FFFFFFF + 0xFFFFFFFF + 0 + 1 + 0xFFFFFFFF + 0xFFFFFFFE + 0x200000
    low = 0 + 0xFFFFFFFF + 0xFFFFFFFF + 0 + 0 + 0 + 0xFFFFFFFF + 1
    assert store.sum_range(QUOTES, PARTITION, 0, 8) == Sum(8, high, low)


def test_a_document_that_breaks_a_rule_is_quarantined_and_the_rest_stored(
    mongo: MongoDatabase,
) -> None:
    """One record must not stop its partition for ever."""
    with mongo.client() as database:
        database.command("collMod", "quotes", validator={"currency_id": {"$ne": "currency2"}})
    store = mongo.open()
    slice_ = slice_of(claim_one(store), quote(1), quote(2), quote(3))
    outcome = store.commit([slice_], run_id="run")
    assert outcome.stored_records == {"quotes": 2}
    [entry] = store.read_quarantine()
    assert (entry.offset, entry.reason) == (1, Reason.INVARIANT)
    [batch] = store.read_load_batches()
    assert (batch.stored.count, batch.quarantined_records) == (2, 1)


def test_a_collection_that_refuses_everything_stops_the_load_with_its_name(
    mongo: MongoDatabase,
) -> None:
    """Thousands of good records in quarantine would be worse than a stopped load."""
    with mongo.client() as database:
        database.command("collMod", "quotes", validator={"no_such_field": True})
    store = mongo.open()
    facts = [quote(number) for number in range(INVALID_DOCUMENTS_MAX + 1)]
    with pytest.raises(StoreRefusedError) as caught:
        store.commit([slice_of(claim_one(store), *facts)], run_id="run")
    assert caught.value.table == "quotes"
    assert [each.next_offset for each in store.read_offsets()] == [0]


def test_commits_larger_than_one_command_are_one_transaction(mongo: MongoDatabase) -> None:
    """A command over 16 MB is refused, and a batch of large records would never load."""
    store = mongo.open()
    refusals = tuple(
        Refusal(offset, 1, Reason.TOO_LARGE, "too large", None, b"x" * 900_000)
        for offset in range(20)
    )
    slice_ = slice_of(claim_one(store), next_offset=20, refusals=refusals)
    outcome = store.commit([slice_], run_id="run")
    assert outcome.quarantined_records == 20
    assert [entry.offset for entry in store.read_quarantine()] == list(range(20))


def test_a_replay_releases_what_now_loads_and_leaves_the_offset(mongo: MongoDatabase) -> None:
    """After a fix, the quarantine is emptied by loading its range again."""
    store = mongo.open()
    claim = claim_one(store)
    refusals = tuple(Refusal(o, 1, Reason.INVARIANT, "e", None, b"{}") for o in (0, 1, 2))
    store.commit([slice_of(claim, next_offset=3, refusals=refusals)], run_id="run")
    with mongo.client() as database:
        database["quarantine"].update_one({"record_offset": 1}, {"$set": {"state": "discarded"}})
    still_bad = Refusal(2, 1, Reason.INVARIANT, "e", None, b"{}")
    again = slice_of(claim, quote(0), quote(1), next_offset=3, refusals=(still_bad,))
    outcome = store.commit_replay([again], run_id="replay")
    assert outcome.stored_records == {"quotes": 1}
    states = [entry.state for entry in store.read_quarantine(PARTITION)]
    assert states == ["released", "discarded", "open"]
    assert [each.next_offset for each in store.read_offsets()] == [3]
    kinds = [(each.kind, each.stored.count) for each in store.read_load_batches()]
    assert sorted(kinds) == [(BatchKind.LIVE, 0), (BatchKind.REPLAY, 1)]


def test_an_incident_blocks_its_partition_and_counts_when_kafka_brings_it(
    mongo: MongoDatabase,
) -> None:
    """A load that went on behind a gap would hide it."""
    store = mongo.open()
    claim = claim_one(store)
    incident = build_load_incident(
        kind=IncidentKind.RETENTION_GAP,
        sink="mongo",
        feed="quotes",
        topic=TOPIC,
        topic_id=PARTITION.topic_id,
        part=0,
        first_offset=0,
        next_offset=10,
        message="m",
        next_step="n",
        ts_ingest=1,
    )
    store.block(claim, incident)
    store.block(claim, incident)
    assert store.commit([slice_of(claim, quote(1))], run_id="run").fenced == {PARTITION}
    assert store.claim([(QUOTES, TOPIC, PARTITION)], run_id="run") == []
    assert [each.epoch for each in store.read_offsets()] == [1]
    [own] = store.claim([(INCIDENTS, "platform.incidents", OTHER)], run_id="run")
    assert store.sum_range(INCIDENTS, OTHER, 0, 10) == Sum(0, 0, 0)
    arrived = Slice(
        claim=own,
        hour=0,
        first_offset=0,
        next_offset=1,
        max_ts_append=1,
        leader_epoch=None,
        arrivals=build_arrivals([Arrival(incident, 0, 1)], feed=INCIDENTS),
    )
    outcome = store.commit([arrived], run_id="run")
    assert outcome.stored_records == {"incidents": 1}
    assert store.read_facts(INCIDENTS, [incident.event_id]) == [incident]
    assert store.sum_range(INCIDENTS, OTHER, 0, 10).count == 1


def test_two_transactions_on_one_partition_end_with_one_writer(mongo: MongoDatabase) -> None:
    """Whatever the threads' order: each record once, and the loser is told."""
    stores = [mongo.open(), mongo.open()]
    claim = claim_one(stores[0])
    results: list[bool] = []

    def commit(store: MongoStore) -> None:
        outcome = store.commit([slice_of(claim, quote(1), quote(2))], run_id="run")
        results.append(bool(outcome.fenced))

    threads = [threading.Thread(target=commit, args=[store]) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, True]
    assert stores[0].sum_range(QUOTES, PARTITION, 0, 10).count == 2


def test_a_commit_that_another_transaction_keeps_out_gives_up_and_may_come_again(
    mongo: MongoDatabase,
) -> None:
    """Trying for ever would look alive and load nothing."""
    store = mongo.open(timeout_s=0.5)
    slice_ = slice_of(claim_one(store), quote(1))
    with mongo.client() as database, database.client.start_session() as session:
        session.start_transaction()
        database["kafka_offset"].update_one({}, {"$set": {"note": 1}}, session=session)
        with pytest.raises(StoreUnavailableError):
            store.commit([slice_], run_id="run")
        session.abort_transaction()
    assert store.commit([slice_], run_id="run").stored_records == {"quotes": 1}


def test_a_unique_index_made_by_hand_is_refused_not_tried_for_ever(mongo: MongoDatabase) -> None:
    """Only a repeated _id is a repeat; looking ids up again and again would never end."""
    with mongo.client() as database:
        database["quotes"].create_index("price", unique=True)
    store = mongo.open()
    twin = msgspec.structs.replace(quote(2), price="1.10")
    with pytest.raises(StoreRefusedError) as caught:
        store.commit([slice_of(claim_one(store), quote(1), twin)], run_id="run")
    assert caught.value.table == "quotes"


def test_a_commit_of_nothing_keeps_its_claim_even_when_the_clock_stands_still(
    mongo: MongoDatabase,
) -> None:
    """An update that changes nothing is not written, and only a write fences."""
    store = MongoStore(mongo.server.loader_url, mongo.name, clock_us=lambda: 5)
    mongo.stack.callback(store.close)
    claim = claim_one(store)
    for _ in range(2):
        outcome = store.commit([slice_of(claim)], run_id="run")
        assert outcome.fenced == frozenset()
    assert list(store.read_load_batches()) == []


def test_a_closed_store_goes_on_with_a_new_session_that_a_successor_can_end(
    mongo: MongoDatabase,
) -> None:
    """The lsid at the claim would name a session that is no more."""
    store = mongo.open()
    claim = claim_one(store)
    with mongo.client() as database:
        before = (database["kafka_offset"].find_one() or {})["lsid"]
        store.close()
        store.commit([slice_of(claim, quote(1))], run_id="run")
        assert (database["kafka_offset"].find_one() or {})["lsid"] != before


def test_the_newest_quote_of_each_currency_is_found_by_the_index_alone(
    mongo: MongoDatabase,
) -> None:
    """Reading all quotes for a page of prices would take longer every day."""
    store = mongo.open()
    facts = [
        msgspec.structs.replace(quote(number), currency_id=f"currency{number % 3}")
        for number in range(300)
    ]
    store.commit([slice_of(claim_one(store), *facts)], run_id="run")
    query = {"aggregate": "quotes", "pipeline": build_latest("s", []), "cursor": {}}
    with mongo.client() as database:
        plan = database.command("explain", query, verbosity="executionStats")
    assert "DISTINCT_SCAN" in str(plan)
    assert "'totalDocsExamined': 3," in str(plan)
    assert len(store.read_latest_quotes()) == 3


def test_a_server_that_is_not_there_is_unavailable(mongo: MongoDatabase) -> None:
    """The caller comes again; it must not think that anything was written."""
    store = mongo.open(f"mongodb://127.0.0.1:{free_port()}/", timeout_s=0.5)
    with pytest.raises(StoreUnavailableError):
        store.ping()


def test_a_wrong_password_is_refused_without_showing_it(mongo: MongoDatabase) -> None:
    """Asking again for ever would look like an outage."""
    if mongo.server.process is None:
        pytest.skip("the server given by its URL may have no users")
    parts = pymongo.uri_parser.parse_uri(mongo.server.loader_url)
    [(host, port)] = parts["nodelist"]
    store = mongo.open(f"mongodb://loader:secret1@{host}:{port}/")
    with pytest.raises(StoreRefusedError, match="password") as caught:
        store.read_offsets()
    assert "secret1" not in str(caught.value)

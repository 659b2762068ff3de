"""Retention on real servers: the same goes from both stores, and the audit proves what is left."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

import psycopg
import pytest
from bson.int64 import Int64
from pymongo import MongoClient

from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.delivery.load import load
from crypto_platform.delivery.restore_store import KAFKA
from crypto_platform.delivery.retention import Removal, count_old, plan_cuts, remove_old
from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook, TimedBy, seal_order_book
from crypto_platform.jobs.retention import build_retention_job
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.stores import STORES
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import Removed
from crypto_platform.stores.claims import TopicPart
from tests.platform_harness import Platform, clock
from tests.servers.test_cli_servers import REFUSED
from tests.servers.test_restore import restore, wipe

DAY_US = 24 * 3_600_000_000


def book(number: int, *, days_ago: float) -> OrderBook:
    """A snapshot of one symbol at noon (or so) of a day."""
    noon = clock() // DAY_US * DAY_US + DAY_US // 2
    at_us = noon - int(days_ago * DAY_US) + number
    return seal_order_book(
        OrderBook(
            venue="simulated",
            venue_symbol="BTC-USD",
            depth=2,
            sequence=str(number),
            bid_prices=("1.10", "1.00"),
            bid_quantities=("1", "2.50"),
            ask_prices=("1.20",),
            ask_quantities=("3",),
            ts_event=at_us,
            ts_ingest=at_us,
            timed_by=TimedBy.VENUE,
        )
    )


def forget(platform: Platform) -> Sequence[Removal]:
    """A run of the job, for order books."""
    stores = {name: platform.store(name) for name in STORES}
    cuts = plan_cuts(platform.settings, [ORDER_BOOKS], now_us=clock())
    return remove_old(stores, cuts, run_id=f"run-{time.monotonic_ns()}")


def counts(removals: Sequence[Removal]) -> dict[str, int | None]:
    return {each.store: each.records for each in removals}


def in_both(count: int) -> dict[str, int]:
    return dict.fromkeys(STORES, count)


def ids_in(platform: Platform, store: str) -> set[str]:
    """Ids of all order books that are stored, wherever they arrived."""
    found = platform.store(store, role="analyst").read_strays(ORDER_BOOKS, set())
    return {row.event_id for row in found}


def faults(report: AuditReport) -> list[tuple[str, str, int]]:
    return sorted((f.store, f.kind.value, f.records) for f in report.findings)


def delete_by_hand(platform: Platform, event_id: str, *, stores: Collection[str] = STORES) -> None:
    """As nobody should."""
    if "postgres" in stores:
        with platform.postgres_admin() as connection:
            connection.execute("DELETE FROM market.order_book WHERE event_id = %s", [event_id])
    if "mongo" in stores:
        mongo: MongoClient[dict[str, object]] = MongoClient(platform.servers.mongo_admin_url)
        with mongo:
            mongo[platform.name]["order_books"].delete_one({"_id": event_id})


OLD = [book(number, days_ago=days) for number, days in enumerate((9, 9, 5, 4))]
YOUNG = [book(number, days_ago=days) for number, days in enumerate((2, 1, 0.6), start=10)]


@pytest.fixture
def forgotten(platform: Platform) -> Platform:
    """Old and young books, loaded in two hours of one batch each, and the old ones removed."""
    platform.publish(ORDER_BOOKS, [*OLD[:2], *YOUNG[:2]])
    platform.load_both()
    platform.publish(ORDER_BOOKS, [*OLD[2:], *YOUNG[2:]])
    platform.load_both()
    assert counts(forget(platform)) == in_both(4)
    return platform


def test_both_stores_forget_the_same_and_the_audit_is_whole(forgotten: Platform) -> None:
    """Fast and deep, while Kafka still has what went and when it has not."""
    left = {record.event_id for record in YOUNG}
    assert {name: ids_in(forgotten, name) for name in STORES} == dict.fromkeys(STORES, left)
    for deep in (False, True):
        assert faults(forgotten.audit(deep=deep)) == []
    assert forgotten.delete_records(ORDER_BOOKS, below=5)
    for deep in (False, True):
        assert faults(forgotten.audit(deep=deep)) == []


@pytest.mark.parametrize("store", STORES)
def test_a_store_restored_from_kafka_lacks_what_went(forgotten: Platform, store: str) -> None:
    """Kafka still has it; brought back, it would be in one store and not in the other."""
    late = book(50, days_ago=9)
    forgotten.publish(ORDER_BOOKS, [late])
    forgotten.load_both()
    wipe(forgotten, store)

    assert restore(forgotten, store, KAFKA).is_whole

    left = {record.event_id for record in (*YOUNG, late)}
    assert {name: ids_in(forgotten, name) for name in STORES} == dict.fromkeys(STORES, left)
    assert faults(forgotten.audit()) == []
    assert counts(forget(forgotten)) == in_both(1)
    assert faults(forgotten.audit()) == []
    assert forgotten.delete_records(ORDER_BOOKS, below=5)
    assert faults(forgotten.audit()) == []


@pytest.mark.parametrize("store", STORES)
def test_a_range_repaired_from_kafka_lacks_what_went(forgotten: Platform, store: str) -> None:
    """It would be removed a second time, and the range be said to hold less than nothing."""
    delete_by_hand(forgotten, YOUNG[0].event_id, stores=[store])

    restored = restore(forgotten, store, KAFKA)

    assert restored.report.restored_records == {ORDER_BOOKS.name: 1}
    assert restored.is_whole
    left = {record.event_id for record in YOUNG}
    assert {name: ids_in(forgotten, name) for name in STORES} == dict.fromkeys(STORES, left)
    assert counts(forget(forgotten)) == in_both(0)
    assert faults(forgotten.audit()) == []


def test_whole_partitions_went_and_the_loader_made_them_anew(forgotten: Platform) -> None:
    """A record that comes later than the cut is stored, and goes with the next run."""
    assert [book for book in _partitions(forgotten) if book <= _name(OLD[-1])] == []
    late = book(50, days_ago=9)
    forgotten.publish(ORDER_BOOKS, [late])
    forgotten.load_both()
    assert all(late.event_id in ids_in(forgotten, name) for name in STORES)
    assert faults(forgotten.audit()) == []
    assert counts(forget(forgotten)) == in_both(1)
    assert faults(forgotten.audit()) == []
    assert counts(forget(forgotten)) == in_both(0)


def _partitions(platform: Platform) -> list[str]:
    with platform.postgres_admin() as connection:
        rows = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'market.order_book'::regclass"
        ).fetchall()
    return sorted(str(name).removeprefix("market.") for (name,) in rows)


def _name(record: OrderBook) -> str:
    return f"order_book_{from_time_us(record.ts_event):%Y_%m_%d}"


def test_a_load_that_knew_a_removed_partition_goes_on(platform: Platform) -> None:
    """A lingering run made it minutes ago, and would ask for it no more."""
    store = platform.store("postgres")

    def drain(record: OrderBook) -> int:
        platform.publish(ORDER_BOOKS, [record])
        stop = threading.Event()
        report = load(platform.settings, store, FEEDS, run_id="run", clock=clock, stop=stop)
        return report.progress.stored_records["order_books"]

    assert drain(OLD[0]) == 1
    assert counts(forget(platform))["postgres"] == 1
    assert drain(OLD[1]) == 1
    assert ids_in(platform, "postgres") == {OLD[1].event_id}


def test_a_young_row_deleted_by_hand_is_still_found(forgotten: Platform) -> None:
    """What retention took must not hide what somebody else did."""
    delete_by_hand(forgotten, YOUNG[0].event_id)
    missing = [("mongo", "missing", 1), ("postgres", "missing", 1)]
    for deep in (False, True):
        assert faults(forgotten.audit(deep=deep)) == missing
    assert forgotten.delete_records(ORDER_BOOKS, below=5)
    differs = [("mongo", "sum_differs", 1), ("postgres", "sum_differs", 1)]
    for deep in (False, True):
        assert faults(forgotten.audit(deep=deep)) == differs


def test_what_went_is_written_down_by_range(forgotten: Platform) -> None:
    """By this alone the audit knows what may be gone."""
    for name in STORES:
        store = forgotten.store(name, role="analyst")
        removed = [
            each
            for row in store.read_offsets()
            if row.topic == forgotten.topic(ORDER_BOOKS)
            for each in store.read_removed(TopicPart(*row.partition))
        ]
        assert sum(each.removed.count for each in removed) == 4
        hashes = [record.content_hash & (2**64 - 1) for record in OLD]
        assert sum(each.removed.high for each in removed) == sum(h >> 32 for h in hashes)
        assert sum(each.removed.low for each in removed) == sum(h & (2**32 - 1) for h in hashes)


def test_both_stores_write_down_the_same_range(platform: Platform) -> None:
    """Where Kafka's log was cut and a range restored, a row's offset lies in several ranges."""
    platform.publish(ORDER_BOOKS, OLD[:2])
    platform.load_both()
    platform.publish(ORDER_BOOKS, OLD[2:])
    platform.load_both()
    with platform.postgres_admin() as connection:
        connection.execute(
            "UPDATE platform.load_batch SET kind = 'truncated' WHERE lower(offsets) > 0"
        )
        connection.execute(
            "INSERT INTO platform.load_batch SELECT sink, topic_id, part, hour, epoch, 'restore', "
            "run_id, topic, int8range(0, 99), 0, 0, 0, 0, 0 FROM platform.load_batch "
            "WHERE kind = 'truncated'"
        )
    mongo: MongoClient[dict[str, Any]] = MongoClient(platform.servers.mongo_admin_url)
    with mongo:
        batches = mongo[platform.name]["load_batch"]
        batches.update_many({"first_offset": {"$gt": 0}}, {"$set": {"kind": "truncated"}})
        for batch in list(batches.find({"kind": "truncated"})):
            restore = {"kind": "restore", "first_offset": Int64(0), "next_offset": Int64(99)}
            batches.insert_one(batch | restore | {"_id": f"restore {batch['_id']}"})
    assert counts(forget(platform)) == in_both(4)
    first, second = [
        [(each.partition, each.first_offset, each.removed) for each in removed]
        for removed in map(read_removed, map(platform.store, STORES))
    ]
    assert first == second
    assert [(offset, removed.count) for _, offset, removed in first] == [(0, 2), (3, 2)]


def read_removed(store: Store) -> list[Removed]:
    """Of order books, wherever they arrived."""
    partitions = sorted({row.partition for row in store.read_offsets()})
    return [each for partition in partitions for each in store.read_removed(partition)]


def test_a_dry_run_says_what_would_go_and_removes_nothing(platform: Platform) -> None:
    """Whoever shortens a retention wants to see it first."""
    platform.publish(ORDER_BOOKS, [*OLD, *YOUNG])
    platform.load_both()
    stores = {name: platform.store(name) for name in STORES}
    cuts = plan_cuts(platform.settings, FEEDS, now_us=clock())
    for _ in range(2):
        found = [each for each in count_old(stores, cuts) if each.cut.feed is ORDER_BOOKS]
        assert counts(found) == in_both(4)


def test_the_loader_cannot_remove_the_last_day(platform: Platform) -> None:
    """It may call the function, so the function itself has to say no."""
    url = platform.settings.postgres.loader_url
    assert url is not None
    with (
        psycopg.connect(url.get_secret_value()) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="the last day is never removed"),
    ):
        connection.execute(
            "SELECT platform.remove_partition('market', 'order_book', now(), 'mine')"
        )


def run_command(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    """`crypto-platform retention` in a process of its own."""
    own = process_environment()
    environment = {key: value for key, value in own.items() if not key.startswith(ENV_PREFIX)}
    command = [sys.executable, "-m", "crypto_platform.cli", "retention", *words]
    return subprocess.run(
        [*command, "--data-dir", str(platform.data_dir)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_shows_asks_and_removes(platform: Platform) -> None:
    """Without --yes and without a person to ask, nothing goes."""
    platform.publish(ORDER_BOOKS, [*OLD, *YOUNG])
    platform.load_both()
    shown = run_command(platform, "--feed", "order_books", "--dry-run", "--json")
    removals = json.loads(shown.stdout)["removals"]
    assert [(each["store"], each["records"]) for each in removals] == [
        ("postgres", 4),
        ("mongo", 4),
    ]
    everything = json.loads(run_command(platform, "--dry-run", "--json").stdout)["removals"]
    assert {each["feed"] for each in everything} == {"order_books", "trades", "book_metrics"}
    assert run_command(platform).returncode == 1
    assert len(ids_in(platform, "mongo")) == len(ids_in(platform, "postgres")) == 7
    done = run_command(platform, "--yes")
    assert done.returncode == 0, done.stderr
    assert len(ids_in(platform, "mongo")) == len(ids_in(platform, "postgres")) == 3


def test_nobody_is_asked_to_agree_to_what_could_not_be_counted(platform: Platform) -> None:
    """`?` records for good is no question."""
    platform.publish(ORDER_BOOKS, OLD)
    platform.load_both()
    platform.reload(CRYPTO_PLATFORM_POSTGRES__LOADER_URL=REFUSED)
    ended = run_command(platform, "--feed", "order_books")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "postgres did not say how much would go, so nothing was removed" in ended.stderr
    assert len(ids_in(platform, "mongo")) == 4


def test_the_nightly_job_removes_and_says_how_many(platform: Platform) -> None:
    """What nobody sees running has to say what it did."""
    platform.publish(ORDER_BOOKS, [*OLD, *YOUNG])
    platform.load_both()
    result = build_retention_job(platform.settings).execute_in_process()
    [event] = [e for e in result.all_events if e.is_successful_output]
    metadata = event.step_output_data.metadata
    assert {name: value.value for name, value in metadata.items()} == {
        "postgres/order_books": 4,
        "postgres/trades": 0,
        "mongo/order_books": 4,
        "mongo/trades": 0,
        "analytics/book_metrics": 0,
    }
    assert faults(platform.audit()) == []

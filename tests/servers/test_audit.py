"""The audit on real servers: what spoils a store is found in it, what is ordinary is not.

Each test publishes and loads through the platform, then changes both stores as a superuser would,
and reads the findings of both: one rule, two ways to keep rows.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from bson.int64 import Int64
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient

from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.settings import ENV_PREFIX, load_settings, process_environment
from crypto_platform.stores.claims import TopicPart
from tests.platform_harness import Platform
from tests.store_steps import contradict, quote

STORES = ("mongo", "postgres")


def spoil(
    platform: Platform, statement: str, collection: str, update: Mapping[str, object]
) -> None:
    """Change both stores behind the platform's back.

    Args:
        statement: SQL.
        collection: MongoDB's.
        update: A statement of the update command (q, u), or of delete (q).
    """
    url = urlsplit(platform.servers.postgres_admin_url)._replace(path=f"/{platform.name}")
    with psycopg.connect(urlunsplit(url), autocommit=True) as connection:
        assert connection.execute(statement.encode()).rowcount == 1
    client: MongoClient[dict[str, object]] = MongoClient(platform.servers.mongo_admin_url)
    with client:
        command = "update" if "u" in update else "delete"
        statements = [dict(update) if "u" in update else dict(update) | {"limit": 1}]
        answer = client[platform.name].command(command, collection, **{f"{command}s": statements})
    assert answer["n"] == 1


def found(report: AuditReport) -> list[tuple[str, str, int, str | None]]:
    """(store, kind, records, id of the first example), sorted."""
    return sorted(
        (f.store, f.kind.value, f.records, f.examples[0].event_id) for f in report.findings
    )


def in_both(kind: str, event_id: str | None) -> list[tuple[str, str, int, str | None]]:
    """The same one finding in each store."""
    return [(store, kind, 1, event_id) for store in STORES]


def load_quotes(platform: Platform, count: int = 5) -> list[Quote]:
    """Publish so many quotes and load them into both stores."""
    quotes = [quote(number) for number in range(count)]
    platform.publish(QUOTES, quotes)
    platform.load_both()
    return quotes


def partition_of_bitcoin(platform: Platform) -> TopicPart:
    """Where quotes of bitcoin lie."""
    rows = platform.store("mongo").read_offsets()
    [row] = [r for r in rows if r.topic == platform.topic(QUOTES) and r.next_offset > 0]
    return row.partition


def test_repeats_conflicts_poison_and_aborted_transactions_are_whole(platform: Platform) -> None:
    """All of them are ordinary: an audit that minds them would be red for good."""
    quotes = load_quotes(platform)
    producer = Producer(
        {
            "bootstrap.servers": platform.settings.kafka.bootstrap_servers,
            "transactional.id": f"{platform.name}.aborting",
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(platform.topic(QUOTES), key="simulated:bitcoin", value=encode(quote(99)))
    producer.flush(10)
    producer.abort_transaction(30)
    platform.publish(QUOTES, [quotes[1], contradict(quotes[2]), quote(5), quote(5)])
    platform.publish_raw([(QUOTES, "simulated:bitcoin", b"{poison")])
    platform.load_both()
    report = platform.audit()
    assert report.findings == []
    assert report.whole
    total = report.feeds["quotes"]
    assert (total.kafka.records, total.kafka.refused, total.kafka.read) == (6, 1, 10)
    for store in STORES:
        assert (total.stores[store].records, total.stores[store].quarantined) == (6, 2)
        assert total.stores[store].hash == total.kafka.hash
        assert report.lag[store].lag_records == 0


def test_a_deleted_row_is_named_as_missing(platform: Platform) -> None:
    """The one thing that must never happen."""
    lost = load_quotes(platform)[3].event_id
    spoil(
        platform,
        f"DELETE FROM market.quote WHERE event_id = '{lost}'",
        "quotes",
        {"q": {"_id": lost}},
    )
    assert found(platform.audit(deep=False)) == in_both("missing", lost)


def test_a_changed_hash_is_named(platform: Platform) -> None:
    """Whoever changes a row and its hash changes the sums."""
    changed = load_quotes(platform)[0].event_id
    spoil(
        platform,
        f"UPDATE market.quote SET content_hash = -1 WHERE event_id = '{changed}'",
        "quotes",
        {"q": {"_id": changed}, "u": {"$set": {"content_hash": Int64(-1)}}},
    )
    assert found(platform.audit(deep=False)) == in_both("changed", changed)


def test_a_changed_price_is_found_by_the_deep_audit_alone(platform: Platform) -> None:
    """The hash beside it still says what the price was."""
    changed = load_quotes(platform)[0].event_id
    spoil(
        platform,
        f"UPDATE market.quote SET price = price + 1 WHERE event_id = '{changed}'",
        "quotes",
        {"q": {"_id": changed}, "u": [{"$set": {"price": {"$add": ["$price", 1]}}}]},
    )
    assert platform.audit(deep=False).whole
    assert found(platform.audit(deep=True)) == in_both("columns_changed", changed)


def test_a_row_that_names_another_arrival_is_named(platform: Platform) -> None:
    """A row that Kafka does not know at its place is nobody's fact."""
    moved = load_quotes(platform)[4].event_id
    spoil(
        platform,
        f"UPDATE market.quote SET arrival_offset = 77 WHERE event_id = '{moved}'",
        "quotes",
        {"q": {"_id": moved}, "u": {"$set": {"arrival_offset": Int64(77)}}},
    )
    kinds = {(f.store, f.kind.value) for f in platform.audit(deep=False).findings}
    assert kinds == {(store, "extra") for store in STORES}


def test_poison_that_is_not_in_quarantine_is_named(platform: Platform) -> None:
    """Nobody misses a value that nobody could read, unless somebody counts."""
    platform.publish_raw([(QUOTES, "simulated:bitcoin", b"{poison")])
    platform.load_both()
    spoil(
        platform,
        "DELETE FROM platform.quarantine",
        "quarantine",
        {"q": {"reason": "undecodable"}},
    )
    assert found(platform.audit()) == in_both("not_quarantined", None)


def test_a_hole_in_load_batch_is_named(platform: Platform) -> None:
    """Two days later it is the only witness."""
    load_quotes(platform)
    spoil(
        platform,
        "UPDATE platform.load_batch SET offsets = int8range(2, upper(offsets))"
        " WHERE stored_records = 5",
        "load_batch",
        {"q": {"stored_records": 5}, "u": {"$set": {"first_offset": Int64(2)}}},
    )
    assert found(platform.audit()) == in_both("hole", None)


def test_a_range_that_kafka_has_forgotten_is_audited_by_its_sums(platform: Platform) -> None:
    """Kafka keeps two days; the proof is wanted for good."""
    quotes = load_quotes(platform)
    part = partition_of_bitcoin(platform).part
    topic = platform.topic(QUOTES)
    admin = AdminClient({"bootstrap.servers": platform.settings.kafka.bootstrap_servers})
    [future] = admin.delete_records([TopicPartition(topic, part, 3)]).values()
    future.result(30)
    report = platform.audit()
    assert report.whole
    for store in STORES:
        total = report.feeds["quotes"].stores[store]
        assert (total.records, total.older_records) == (5, 3)
    lost = quotes[0].event_id
    spoil(
        platform,
        f"DELETE FROM market.quote WHERE event_id = '{lost}'",
        "quotes",
        {"q": {"_id": lost}},
    )
    assert found(platform.audit(deep=False)) == in_both("sum_differs", None)


def type_audit(platform: Platform, *options: str) -> "subprocess.CompletedProcess[str]":
    """The command as a person types it."""
    command = (sys.executable, "-m", "crypto_platform.cli", "audit", "--data-dir")
    return subprocess.run(
        [*command, str(platform.data_dir), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={k: v for k, v in process_environment().items() if not k.startswith(ENV_PREFIX)},
    )


def test_the_command_prints_one_document_and_exits_by_its_verdict(platform: Platform) -> None:
    """CI and monitoring look at nothing but the exit code and the document."""
    lost = load_quotes(platform)[0].event_id
    whole = type_audit(platform, "--json", "--wait", "5", "--since", "1h", "--feed", "quotes")
    assert whole.returncode == 0, whole.stderr
    document = json.loads(whole.stdout)
    assert document["whole"] is True
    assert list(document["feeds"]) == ["quotes"]
    assert document["feeds"]["quotes"]["mongo"] == document["feeds"]["quotes"]["postgres"]
    spoil(
        platform,
        f"DELETE FROM market.quote WHERE event_id = '{lost}'",
        "quotes",
        {"q": {"_id": lost}},
    )
    broken = type_audit(platform)
    assert broken.returncode == 1
    assert lost in broken.stdout
    assert "Traceback" not in broken.stderr


def test_a_store_that_is_down_ends_the_audit_with_its_name(platform: Platform) -> None:
    """An audit of one store must not be taken for an audit of both."""
    url = platform.variables["CRYPTO_PLATFORM_POSTGRES__ANALYST_URL"]
    down = urlunsplit(urlsplit(url)._replace(netloc="analyst:x@127.0.0.1:9"))
    platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=down)
    assert load_settings(platform.data_dir, environment={}) == platform.settings
    with pytest.raises(StoreUnavailableError):
        platform.audit()
    ended = type_audit(platform)
    assert ended.returncode == 1
    assert "PostgreSQL" in ended.stderr
    assert "Traceback" not in ended.stderr

"""What goes wrong on a running platform, and what a person does about it (docs/runbook.md).

Here: troubles made as the world makes them, and their mends. Not here: the platform that has them
(crash_harness.py, ui_harness.py), what is expected of it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import psycopg
from pymongo import MongoClient

from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.incidents import INCIDENTS, build_incident, build_load_incident
from crypto_platform.feeds.rejected import REJECTED
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import load_settings
from crypto_platform.stack.embedded import find_admin_urls
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.claims import TopicPart

DRIFT_RECORDS = 1000
"""As many refused records in a row trip the breaker (load.drift_records_max)."""


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """A server that is there and answers nothing; its children, too."""
    server = psutil.Process(pid)
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


@contextmanager
def refusing_quotes(folder: Path) -> Iterator[None]:
    """Somebody has taken from role loader the right to write into PostgreSQL's quotes."""
    with _postgres(folder) as connection:
        connection.execute("REVOKE INSERT ON market.quote FROM loader")
    try:
        yield
    finally:
        with _postgres(folder) as connection:
            connection.execute("GRANT INSERT ON market.quote TO loader")


def make_source_drift(folder: Path) -> None:
    """All that a source sends is what nobody can read; of a feed that is silent otherwise."""
    _publish(folder, [Outgoing(REJECTED.topic, "any", b'{"v":1}')] * DRIFT_RECORDS)


def lose_records(folder: Path, store_name: str, feed: Feed[Record]) -> None:
    """One store's load finds that Kafka has removed what it had not stored, and stops there."""
    settings = load_settings(folder, environment={})
    topic_id, _ = Watermarks(settings).read_topic_ids([feed.topic])[feed.topic]
    store = open_store(store_name, settings)
    try:
        [claim] = store.claim([(feed, feed.topic, TopicPart(topic_id, 0))], run_id="loses")
        incident = build_load_incident(
            kind=IncidentKind.RETENTION_GAP,
            sink=store_name,
            feed=feed.name,
            topic=feed.topic,
            topic_id=topic_id,
            part=0,
            first_offset=claim.next_offset,
            next_offset=claim.next_offset,
            message="Kafka's retention removed offsets before they were stored",
            next_step="restore the range from the other store",
            ts_ingest=time.time_ns() // 1000,
        )
        assert store.block(claim, incident)
    finally:
        store.close()


def count_blocked(folder: Path, store_name: str) -> int:
    """Partitions that an incident stops."""
    store = open_store(store_name, load_settings(folder, environment={}), role="analyst")
    try:
        return sum(row.blocked_by is not None for row in store.read_offsets())
    finally:
        store.close()


def count_quarantined(folder: Path, store_name: str) -> int:
    """Open entries."""
    store = open_store(store_name, load_settings(folder, environment={}), role="analyst")
    try:
        return store.read_open_matters().quarantined_records
    finally:
        store.close()


def settle_incidents(folder: Path) -> None:
    """Let the stopped partitions go on, and acknowledge every open incident."""
    settings = load_settings(folder, environment={})
    incidents: dict[str, Record] = {}
    for name in STORES:
        store = open_store(name, settings, role="analyst")
        try:
            incidents |= {i.event_id: i for i in store.read_open_matters().incidents}
        finally:
            store.close()
    with _postgres(folder) as connection:
        connection.execute("UPDATE platform.kafka_offset SET blocked_by = NULL")
    with _mongo(folder) as mongo:
        offsets = mongo[settings.mongo.database]["kafka_offset"]
        offsets.update_many({"blocked_by": {"$ne": None}}, {"$set": {"blocked_by": None}})
    answers = [
        build_incident(msgspec.structs.replace(incident, state="acknowledged"))  # type: ignore[arg-type]
        for incident in incidents.values()
    ]
    keyed = [(INCIDENTS.key_of(answer), encode(answer)) for answer in answers]
    _publish(folder, [Outgoing(INCIDENTS.topic, key, value) for key, value in keyed])


def is_quarantined_when_settled(folder: Path) -> bool:
    """Settle what is open; True once both stores have quarantined the drift.

    To be asked until it is so: where a load reads the drift in other pieces, it asks again.
    """
    if any(count_blocked(folder, store) for store in STORES):
        settle_incidents(folder)
    return all(count_quarantined(folder, store) == DRIFT_RECORDS for store in STORES)


def discard_quarantine(folder: Path) -> None:
    """Nobody wants these values."""
    with _postgres(folder) as connection:
        connection.execute("UPDATE platform.quarantine SET state = 'discarded'")
    with _mongo(folder) as mongo:
        entries = mongo[load_settings(folder, environment={}).mongo.database]["quarantine"]
        entries.update_many({}, {"$set": {"state": "discarded"}})


def _publish(folder: Path, records: list[Outgoing]) -> None:
    publisher = Publisher(load_settings(folder, environment={}), source="test", feed="any")
    try:
        publisher.open()
        publisher.publish(records)
    finally:
        publisher.close()


def _postgres(folder: Path) -> psycopg.Connection[tuple[object, ...]]:
    url = find_admin_urls(folder).postgres.rpartition("/")[0] + "/crypto_platform"
    return psycopg.connect(url, autocommit=True)


def _mongo(folder: Path) -> MongoClient[dict[str, object]]:
    return MongoClient(find_admin_urls(folder).mongo)

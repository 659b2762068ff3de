"""Trades from the simulated exchange into Kafka, run after run: each once, in order."""

import json

from confluent_kafka import Consumer, TopicPartition

from crypto_platform.feeds.trades import TRADES
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.watermarks import Part
from crypto_platform.sources import build_sources
from tests.platform_harness import Platform
from tests.venue_harness import Venue, run_venue

NAME = "simulated_exchange"


def poll_once(platform: Platform, venue: Venue) -> int:
    """A run of its own, with nothing but Kafka to remember by; returns what it says it sent."""
    changes = {
        f"CRYPTO_PLATFORM_SOURCES__{NAME.upper()}__{field}": value
        for field, value in (
            ("BASE_URL", f"http://127.0.0.1:{venue.port}/exchange"),
            ("SYMBOLS", "BTC-USD"),
            ("FEEDS", "trades"),
        )
    }
    source = build_sources(platform.reload(**changes))[NAME]
    [report] = platform.ingest({NAME: source})
    assert list(report.errors) == []
    return report.records


def read_ids(platform: Platform) -> list[int]:
    """The ids of all committed trades, in the order of their only partition."""
    parts = [Part(platform.topic(TRADES), part) for part in range(TRADES.partitions)]
    bounds = platform.watermarks().read_bounds(parts)
    [filled] = [part for part in parts if bounds[part].high > 0]
    options = {"group.id": "test", "enable.partition.eof": True, "enable.auto.commit": False}
    consumer = Consumer(client_config(platform.settings) | options)
    consumer.assign([TopicPartition(filled.topic, filled.part, 0)])
    ids: list[int] = []
    try:
        while (message := consumer.poll(10)) is not None and message.error() is None:
            ids.append(int(json.loads(message.value())["trade_id"]))
    finally:
        consumer.close()
    return ids


def test_each_run_goes_on_where_the_last_published_poll_ended(platform: Platform) -> None:
    """The cursor is committed with the trades: a run that remembers nothing misses nothing."""
    with run_venue() as venue:
        sent = []
        for pause_s in (0, 60, 0, 700):
            venue.now_ms += 1000 * pause_s
            sent.append(poll_once(platform, venue))
    assert sent == [1000, 120, 0, 1400]
    assert read_ids(platform) == list(range(85_401, 87_921))

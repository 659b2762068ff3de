"""Steps of tests about backfills: the simulated exchange as the source, what Kafka then holds.

Here: settings, runs in this process and as the command, ids read back. Not here: what is asserted.
"""

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from crypto_platform.delivery.history import HistoryReport, backfill
from crypto_platform.delivery.history_plan import Wanted, list_days, list_streams
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.sources import build_history_source
from tests.platform_harness import Platform, clock
from tests.venue_harness import Venue

NAME = "simulated_exchange"
ROOT = Path(__file__).parents[1]
FIRST_DAY_US = 1_767_225_600_000_000
"""2026-01-01, the simulated exchange's first day."""


def read_from(platform: Platform, venue: Venue, *symbols: str, **more: str) -> None:
    """Let the platform's source be this exchange; its budget is no hindrance."""
    values = {
        "BASE_URL": f"http://127.0.0.1:{venue.port}/exchange",
        "SYMBOLS": ",".join(symbols),
        "REQUESTS_PER_MINUTE_MAX": "6000",
    }
    changes = {f"SOURCES__{NAME.upper()}__{k}": v for k, v in (values | more).items()}
    platform.reload(**{f"{ENV_PREFIX}{name}": value for name, value in changes.items()})


def want(platform: Platform, feed: str, *, first: int, last: int, again: bool = False) -> Wanted:
    """These days of January 2026 of all symbols."""
    return Wanted(
        feed=feed,
        streams=list_streams(platform.settings.sources[NAME], feed),
        days=list_days(
            FIRST_DAY_US + (first - 1) * MICROSECONDS_PER_DAY,
            FIRST_DAY_US + (last - 1) * MICROSECONDS_PER_DAY,
        ),
        again=again,
    )


def read_past(
    platform: Platform, wanted: Wanted, *, stop: threading.Event | None = None, now_us: int = 0
) -> HistoryReport:
    """A run of its own, with nothing but Kafka to remember by."""
    stop = stop or threading.Event()
    return backfill(
        platform.settings,
        build_history_source(platform.settings, NAME, wanted.feed, stop=stop),
        wanted,
        clock=(lambda: now_us) if now_us else clock,
        stop=stop,
        run_id=f"test-{uuid.uuid4()}",
    )


@contextmanager
def running_history(platform: Platform, *options: str) -> "Generator[subprocess.Popen[str]]":
    """The command, for trades; ended with the block."""
    inherited = {k: v for k, v in process_environment().items() if not k.startswith(ENV_PREFIX)}
    command = ["-m", "crypto_platform.cli", "history", "--source", NAME, "--feed", "trades"]
    process = subprocess.Popen(
        [sys.executable, *command, *options, "--data-dir", str(platform.data_dir)],
        cwd=ROOT,
        env=inherited,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def count_offsets(platform: Platform, feed: Feed[Record]) -> int:
    """How long a topic is, markers included."""
    parts = [Part(platform.topic(feed), part) for part in range(feed.partitions)]
    return sum(bounds.last_stable for bounds in platform.watermarks().read_bounds(parts).values())


def read_values(platform: Platform, feed: Feed[Record]) -> list[Mapping[str, object]]:
    """All committed values of a topic; those of one partition in their order."""
    options = {"group.id": "test", "enable.partition.eof": True, "enable.auto.commit": False}
    consumer = Consumer(client_config(platform.settings) | options)
    topic = platform.topic(feed)
    values: list[Mapping[str, object]] = []
    ended: set[int | None] = set()
    try:
        consumer.assign([TopicPartition(topic, part, 0) for part in range(feed.partitions)])
        while len(ended) < feed.partitions:
            message = consumer.poll(10)
            assert message is not None
            if message.error() is None:
                values.append(json.loads(message.value() or b""))
            else:
                ended.add(message.partition())
    finally:
        consumer.close()
    return values


def list_trade_ids(values: Sequence[Mapping[str, object]], venue_symbol: str) -> list[int]:
    """The ids of one symbol's trades, in their order in Kafka."""
    own = (value for value in values if value["venue_symbol"] == venue_symbol)
    return [int(str(value["trade_id"])) for value in own]

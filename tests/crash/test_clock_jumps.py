"""A clock jumps by an hour, either way: the broker's, or a loader's.

A broker whose clock jumped has left append times in its log that jump. Here they are written into
it by a producer of the test, whose times such a topic takes over: the log is the same to the last
byte but the flag. (Tried: a broker under libfaketime was not ready after 180 s, where a plain one
took 14 s, and librdkafka under it hung when it was closed.)
"""

import threading
import time
from itertools import pairwise

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from crypto_platform.delivery.load import LoadEnd, load
from crypto_platform.domain.hours import hour_of
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.stores import STORES
from crypto_platform.stores.batches import BatchKind
from tests.fault_steps import assert_whole, numbered_quotes
from tests.platform_harness import Platform
from tests.waiting import eventually

HOUR_US = 3_600_000_000
CURRENCY = "bitcoin"
"""One currency is one partition."""


def take_over_times(platform: Platform) -> None:
    """From now on the topic keeps the times that a producer gives."""
    admin = AdminClient(client_config(platform.settings))
    name = "message.timestamp.type"
    entry = ConfigEntry(name, "CreateTime", incremental_operation=AlterConfigOpType.SET)
    topic = platform.topic(QUOTES)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    [future] = admin.incremental_alter_configs([resource]).values()
    future.result(timeout=30)
    # answered once it is written down, a while before the logs follow it
    eventually(lambda: has_taken_over(platform), within_s=30)


def has_taken_over(platform: Platform) -> bool:
    """Whether the log keeps given times by now: asked by a record that nobody will read."""
    asked = numbered_quotes(0, 0, currency_id=CURRENCY)
    return platform.publish_and_abort(QUOTES, asked) == [TIMESTAMP_CREATE_TIME]


def append_at(platform: Platform, time_us: int, quotes: list[Quote]) -> None:
    """Append these as a broker would whose clock says so."""
    producer = Producer(client_config(platform.settings) | {"partitioner": "murmur2_random"})
    for quote in quotes:
        producer.produce(
            platform.topic(QUOTES),
            key=QUOTES.key_of(quote),
            value=encode(quote),
            timestamp=time_us // 1000,
        )
    assert producer.flush(30) == 0


@pytest.mark.parametrize("how", ["hour by hour", "all at once"])
def test_hours_follow_the_brokers_running_maximum_when_its_clock_jumps(
    platform: Platform, how: str
) -> None:
    """Fault 24: a jump back would reopen an hour that was audited, and leave a hole behind it."""
    take_over_times(platform)
    base = hour_of(time.time_ns() // 1000) - 3 * HOUR_US
    sent: list[Quote] = []
    for number, hours in enumerate((0, 1, 0, -1, 1, 2, 0)):
        quotes = numbered_quotes(number * 10 + 1, number * 10 + 10, currency_id=CURRENCY)
        append_at(platform, base + hours * HOUR_US + number * 1_000_000, quotes)
        sent += quotes
        if how == "hour by hour":
            platform.load_both()
    platform.load_both()

    for store in STORES:
        reader = platform.store(store, role="analyst")
        batches = [b for b in reader.read_load_batches() if b.topic == platform.topic(QUOTES)]
        assert {batch.kind for batch in batches} == {BatchKind.LIVE}
        assert all(a.next_offset == b.first_offset for a, b in pairwise(batches))
        stored = {batch.hour: 0 for batch in batches}
        for batch in batches:
            stored[batch.hour] += batch.stored.count
        # 10; what came an hour ahead and all that fell back from it; two hours ahead and after
        assert stored == {base: 10, base + HOUR_US: 40, base + 2 * HOUR_US: 20}
    assert_whole(platform, sent)


@pytest.mark.parametrize("ahead_us", [HOUR_US, -HOUR_US])
def test_a_loader_whose_clock_is_wrong_writes_the_same_hours(
    platform: Platform, ahead_us: int
) -> None:
    """Fault 24: an hour is the broker's; a loader's own time must decide nothing."""
    sent: list[Quote] = []
    for number, shift_us in enumerate((0, ahead_us, 0)):
        quotes = numbered_quotes(number * 20 + 1, number * 20 + 20)
        platform.publish(QUOTES, quotes)
        sent += quotes
        for store in STORES:
            report = load(
                platform.settings,
                platform.store(store),
                FEEDS,
                run_id=f"{store}-{number}",
                clock=lambda shift_us=shift_us: time.time_ns() // 1000 + shift_us,
                stop=threading.Event(),
            )
            assert report.end is LoadEnd.DRAINED
    hours = {batch.hour for store in STORES for batch in platform.store(store).read_load_batches()}
    now = time.time_ns() // 1000
    # the one before, too, where the test itself crossed an hour
    assert hours <= {hour_of(now), hour_of(now) - HOUR_US}
    assert hours & {hour_of(now), hour_of(now - 120_000_000)}
    assert_whole(platform, sent)

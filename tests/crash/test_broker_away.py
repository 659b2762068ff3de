"""The broker is silent: for longer than a producer waits, or while a poll fills its queue."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

import psutil
import pytest

from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.kafka.cursors import Cursor, read_cursors
from crypto_platform.kafka.producer import Outgoing, Publisher
from tests.fault_steps import assert_whole, numbered_quotes, page, point_at, poll, quotes_on
from tests.platform_harness import Platform
from tests.scripted_source import run_scripted_source
from tests.stack_harness import pid_of
from tests.waiting import eventually

QUEUE_RECORDS = 100_000
"""librdkafka's queue.buffering.max.messages."""


@pytest.fixture
def broker(platform: Platform) -> Iterator[psutil.Process]:
    """The broker's process; goes on after the test, whatever the test did."""
    process = psutil.Process(pid_of(platform.servers.settings.data_dir, "kafka"))
    yield process
    process.resume()


def test_a_poll_that_a_silent_broker_does_not_take_fails_and_the_next_one_catches_up(
    platform: Platform, broker: psutil.Process
) -> None:
    """Fault 10: the run must say so, and neither lose the page nor publish it twice."""
    first, second = page("bitcoin", "ether", second=0), page("bitcoin", "tether", second=5)
    with run_scripted_source() as market:
        point_at(platform, simulated=market.url)
        platform.reload(CRYPTO_PLATFORM_INGEST__TRANSACTION_TIMEOUT_S="1")
        platform.reload(CRYPTO_PLATFORM_KAFKA__REQUEST_TIMEOUT_S="3")
        market.script(first)
        poll(platform, "simulated")
        before = read_cursors(platform.settings, platform.watermarks())
        market.script(second)
        # silent once the poll is asked: the run is there already, its producer is open
        market.on_ask = broker.suspend
        [report] = poll(platform, "simulated")
        market.on_ask = lambda: None
        broker.resume()

        assert (report.polls, report.failures) == (0, 1)
        assert "Kafka" in report.errors[0]
        platform.reload(CRYPTO_PLATFORM_KAFKA__REQUEST_TIMEOUT_S="30")
        assert read_cursors_at_last(platform) == before
        eventually(lambda: is_published(platform), within_s=60)
    platform.load_both()
    assert_whole(platform, quotes_on("simulated", first) + quotes_on("simulated", second))


def read_cursors_at_last(platform: Platform) -> Mapping[str, Cursor]:
    """As soon as the broker answers: it was silent for longer than its session, and has to know."""
    found: list[Mapping[str, Cursor]] = []

    def has_answered() -> bool:
        with suppress(KafkaUnavailableError):
            found.append(read_cursors(platform.settings, platform.watermarks()))
        return bool(found)

    eventually(has_answered, within_s=60)
    return found[0]


def is_published(platform: Platform) -> bool:
    """What the schedule does every minute, until a run has published its poll."""
    with suppress(KafkaUnavailableError):
        [report] = poll(platform, "simulated")
        return report.polls == 1
    return False


class Counted(list[Outgoing]):
    """Records that know how many of them were taken."""

    taken = 0

    def __iter__(self) -> Iterator[Outgoing]:
        for self.taken, record in enumerate(super().__iter__(), start=1):
            yield record


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_producer_queue_holds_the_poll_back_and_drops_nothing(
    platform: Platform, broker: psutil.Process
) -> None:
    """Fault 11: a poll larger than the queue, and a broker that takes none of it for a while."""
    quotes = numbered_quotes(1, QUEUE_RECORDS + 500)
    topic = platform.topic(QUOTES)
    records = Counted([Outgoing(topic, QUOTES.key_of(quote), encode(quote)) for quote in quotes])
    platform.reload(CRYPTO_PLATFORM_INGEST__TRANSACTION_TIMEOUT_S="60")
    publisher = Publisher(platform.settings, source="test", feed="queue")
    publisher.open()
    publisher.publish(records[:1])
    broker.suspend()
    publishing = threading.Thread(target=publisher.publish, args=[records])
    publishing.start()
    # one more than fits was taken, and waits in produce()
    eventually(lambda: records.taken == QUEUE_RECORDS + 1, within_s=60)
    broker.resume()
    eventually(platform.has_leaders, within_s=60)
    publishing.join(timeout=120)
    assert not publishing.is_alive()
    assert records.taken == len(quotes)
    publisher.close()
    platform.load_both()
    assert_whole(platform, quotes)

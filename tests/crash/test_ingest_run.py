"""An ingest run is killed or frozen around its Kafka transaction."""

import signal
import time
from collections.abc import Iterator

import pytest

from crypto_platform.kafka.cursors import read_cursors
from crypto_platform.stores import STORES
from tests.fault_children import running_ingest, wait_until_stopped
from tests.fault_steps import assert_whole, page, point_at, poll, quotes_on, read_topic
from tests.platform_harness import Platform
from tests.scripted_source import ScriptedSource, run_scripted_source
from tests.waiting import eventually

FIRST = page("bitcoin", "ether", second=0)
SECOND = page("bitcoin", "ether", "tether", second=5)


@pytest.fixture
def source() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


def polled_at(platform: Platform) -> int:
    """When the one source was last asked, as its cursor in Kafka says; 0 before its first poll."""
    cursors = read_cursors(platform.settings, platform.watermarks())
    return max((cursor.polled_at for cursor in cursors.values()), default=0)


def test_a_run_killed_before_its_transaction_commits_has_published_nothing(
    platform: Platform, source: ScriptedSource
) -> None:
    """Fault 1: half a poll, or a cursor ahead of its records, would be lost for good."""
    point_at(platform, simulated=source.url)
    source.script(FIRST)
    poll(platform, "simulated")
    before = polled_at(platform)
    source.script(SECOND)
    with running_ingest(platform, "simulated", CRASH_AT="before_kafka_commit") as run:
        assert run.wait(timeout=60) == -signal.SIGKILL
    platform.load_both()
    assert_whole(platform, quotes_on("simulated", FIRST))
    assert polled_at(platform) == before

    poll(platform, "simulated")
    platform.load_both()

    assert_whole(platform, quotes_on("simulated", FIRST) + quotes_on("simulated", SECOND))


def test_a_run_killed_just_after_its_commit_leaves_records_and_cursor_together(
    platform: Platform, source: ScriptedSource
) -> None:
    """Fault 2: a cursor that stayed behind would send the same records again and again."""
    point_at(platform, simulated=source.url)
    source.script(FIRST)
    began_us = time.time_ns() // 1000
    with running_ingest(platform, "simulated", CRASH_AT="after_kafka_commit") as run:
        assert run.wait(timeout=60) == -signal.SIGKILL
    assert polled_at(platform) > began_us
    assert sum(len(ids) for ids in read_topic(platform).values()) == 2

    source.script(SECOND)
    poll(platform, "simulated")
    platform.load_both()

    assert_whole(platform, quotes_on("simulated", FIRST) + quotes_on("simulated", SECOND))
    assert sum(len(ids) for ids in read_topic(platform).values()) == 5


def test_a_run_frozen_inside_its_transaction_holds_others_back_for_seconds_and_wakes_up_fenced(
    platform: Platform, source: ScriptedSource
) -> None:
    """Fault 28: its open transaction hides everybody's records behind it from all loads."""
    point_at(platform, simulated=source.url, coincap=source.url)
    source.script(FIRST)
    with running_ingest(
        platform, "simulated", CRASH_AT="before_kafka_commit", CRASH_BY="stop"
    ) as frozen:
        wait_until_stopped(frozen)
        [polled] = poll(platform, "coincap")
        assert polled.records == 2, polled.errors
        began = time.monotonic()

        def is_loaded() -> bool:
            platform.load_both()
            readers = [platform.store(name, role="analyst") for name in STORES]
            return all(len(reader.read_latest_quotes()) == 2 for reader in readers)

        # the transaction's own limit of 5 s and the broker's look every half second
        eventually(is_loaded, within_s=20)
        assert time.monotonic() - began < 15
        poll(platform, "simulated")
        frozen.send_signal(signal.SIGCONT)
        output, _ = frozen.communicate(timeout=60)
    assert output == "simulated: fenced, 0 polls, 0 records\n"
    platform.load_both()
    assert_whole(platform, quotes_on("coincap", FIRST) + quotes_on("simulated", FIRST))

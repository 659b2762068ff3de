"""A source that answers badly, or again and again: others go on, each thing is stored once."""

from collections.abc import Iterator

import pytest

from crypto_platform.delivery.pacing import due_at
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.kafka.cursors import Cursor, read_cursors
from crypto_platform.stores import STORES
from tests.fault_steps import assert_whole, page, point_at, poll, quotes_on, read_topic
from tests.platform_harness import Platform
from tests.scripted_source import Reply, ScriptedSource, run_scripted_source

GOOD = page("bitcoin", "ether")
BAD = {
    "429": (Reply(status=429, headers={"Retry-After": "70"}), "429", 70),
    "503": (Reply(status=503), "503", 5),
    "slow": (Reply(body=GOOD.body, wait_s=10), "answer", 5),
    "truncated": (Reply(body=GOOD.body, missing_bytes=50), "", 5),
    "half a document": (Reply(body=GOOD.body[:-20]), "", 5),
    "HTML with 200": (Reply(body=b"<html>maintenance</html>"), "", 5),
}


@pytest.fixture
def bad() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        yield running


@pytest.fixture
def good() -> Iterator[ScriptedSource]:
    with run_scripted_source() as running:
        running.script(GOOD)
        yield running


@pytest.mark.parametrize("fault", BAD)
def test_a_source_that_answers_badly_is_asked_again_later_and_the_others_go_on(
    platform: Platform, bad: ScriptedSource, good: ScriptedSource, fault: str
) -> None:
    """Fault 22: half a page must not become half a market, nor one source stop the others."""
    reply, word, pause_s = BAD[fault]
    point_at(platform, simulated=bad.url, coincap=good.url)
    bad.script(reply)

    failed, went_on = poll(platform, "simulated", "coincap")

    assert (failed.polls, failed.failures, failed.records) == (0, 1, 0)
    assert word in failed.errors[0]
    assert (went_on.polls, went_on.failures, went_on.records) == (1, 0, 2)
    cursor = whole_feed_cursor(platform, "simulated")
    assert cursor.failures == 1
    # not before its own pause, and not before it said
    assert due_at(cursor, pace_s=5) - cursor.polled_at == pause_s * 1_000_000
    bad.script(GOOD)
    [again, _] = poll(platform, "simulated", "coincap")
    assert again.records == 2
    assert whole_feed_cursor(platform, "simulated").failures == 0
    platform.load_both()
    assert_whole(platform, quotes_on("simulated", GOOD) + quotes_on("coincap", GOOD))


def whole_feed_cursor(platform: Platform, source: str) -> Cursor:
    return read_cursors(platform.settings, platform.watermarks())[f"{source}/quotes/"]


def test_pages_that_repeat_overlap_and_come_out_of_order_are_stored_once(
    platform: Platform, good: ScriptedSource
) -> None:
    """Fault 23: caches and mirrors answer with what was already told, in any order."""
    first = page("bitcoin", "ether", second=0)
    second = page("ether", "tether", second=5)
    pages = [first, first, second, first, page("tether", "ether", second=5), second]
    point_at(platform, simulated=good.url)
    for reply in pages:
        good.script(reply)
        # a new run each time: it remembers nothing of what the last one published
        assert poll(platform, "simulated")[0].failures == 0
    platform.load_both()
    assert sum(len(ids) for ids in read_topic(platform).values()) == 12
    assert_whole(platform, quotes_on("simulated", first) + quotes_on("simulated", second))


def test_a_late_correction_is_kept_beside_what_it_corrects(
    platform: Platform, good: ScriptedSource
) -> None:
    """Fault 23: the same name and time with another price is a revision; nothing is overwritten."""
    before, after = page("bitcoin", second=0), page("bitcoin", second=0, price="1.75")
    later = page("bitcoin", second=5)
    point_at(platform, simulated=good.url)
    for reply in (before, later, after):
        good.script(reply)
        poll(platform, "simulated")
    platform.load_both()
    sent = [quote for reply in (before, later, after) for quote in quotes_on("simulated", reply)]
    for store in STORES:
        facts = platform.store(store).read_facts(QUOTES, [quote.event_id for quote in sent])
        prices = sorted(fact.price for fact in facts if isinstance(fact, Quote) and fact.price)
        assert prices == ["1.50", "1.50", "1.75"]
    assert_whole(platform, sent)

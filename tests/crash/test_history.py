"""Three days of five symbols with everything a venue and a machine do wrong meanwhile."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crypto_platform.delivery.load import load
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores import STORES, open_store
from tests.history_steps import (
    count_offsets,
    list_trade_ids,
    read_from,
    read_values,
    running_history,
)
from tests.platform_harness import Platform, clock
from tests.venue_harness import NOON_MS, run_venue
from tests.waiting import eventually

SYMBOLS = {"AAVE-USD": 4, "NEAR-USD": 4, "ETC-USD": 4, "DOT-USD": 4, "FIL-USD": 128}
"""Seconds a trade."""
DAY_S = 86_400
OPTIONS = ("--from", "2026-01-02", "--to", "2026-01-04")


@contextmanager
def loading(platform: Platform) -> Iterator[None]:
    """Loads of both stores beside the block, as the sensors would ask for."""
    stop = threading.Event()

    def follow(name: str) -> None:
        store = open_store(name, platform.settings)
        load(
            platform.settings,
            store,
            FEEDS,
            run_id=str(uuid.uuid4()),
            clock=clock,
            stop=stop,
            follow_s=600,
        )
        store.close()

    threads = [threading.Thread(target=follow, args=(name,)) for name in STORES]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)


def run_history(platform: Platform, *options: str) -> tuple[int, dict]:
    """The command to its end; exit code and document."""
    with running_history(platform, *OPTIONS, "--json", *options) as process:
        out, _ = process.communicate(timeout=400)
        return process.returncode, json.loads(out)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_backfill_through_faults_and_a_kill_is_whole(platform: Platform) -> None:
    """Fault 29: no gap and no repeat after all of it, and a second backfill changes nothing."""
    with run_venue() as venue:
        venue.now_ms = NOON_MS + 5 * DAY_S * 1000
        read_from(platform, venue, *SYMBOLS)
        venue.order(kind="429", count=3, retry_after_s=1)
        venue.order(kind="repeated", count=5)
        venue.order(kind="503", count=2)
        with running_history(platform, *OPTIONS, "--no-wait") as process:
            eventually(lambda: count_offsets(platform, TRADES) > 20_000, within_s=120)
            process.kill()
            process.wait()
        venue.order(kind="truncated")
        code, document = run_history(platform, "--no-wait")
        assert code == 1
        assert [p["end"] for p in document["history"]].count("failed") == 1
        code, document = run_history(platform, "--no-wait")
        assert code == 0
        assert {p["end"] for p in document["history"]} == {"complete", "already complete"}
        values = read_values(platform, TRADES)
        for symbol, slot_s in SYMBOLS.items():
            ids = list_trade_ids(values, symbol)
            first, end = DAY_S // slot_s + 1, 4 * DAY_S // slot_s + 1
            assert sorted(ids) == list(range(first, end))
        length = count_offsets(platform, TRADES)
        code, document = run_history(platform, "--no-wait")
        assert (code, document["records"]) == (0, 0)
        assert {p["end"] for p in document["history"]} == {"already complete"}
        assert count_offsets(platform, TRADES) == length
        with loading(platform):
            code, document = run_history(platform, "--again", "--wait")
            assert code == 0
        assert document["records"] == len(values)
        assert document["stores"] == {
            name: {
                "new_records": 0,
                "already_there_records": len(values),
                "lacking_offsets": 0,
            }
            for name in STORES
        }
    assert platform.audit().whole

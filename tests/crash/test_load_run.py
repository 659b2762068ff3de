"""A load run is killed, frozen or cut off around its store transaction."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from crypto_platform.delivery.load import LoadEnd
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stack.mongo import REPLICA_SET
from crypto_platform.stores import STORES
from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.fault_children import running_load, wait_until_stopped
from tests.fault_steps import assert_whole, numbered_quotes
from tests.platform_harness import Platform
from tests.waiting import eventually

POINTS = ("after_offset_update", "after_copy", "before_commit", "after_commit")
TAKE_OVER_S_MAX = 20.0
"""About 2 s on an idle machine; the servers' own limits, which it must not need, begin at 30 s."""
COMMIT_WORDS = {"postgres": b"COMMIT", "mongo": b"commitTransaction"}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("store", STORES)
def test_a_run_killed_anywhere_in_its_commit_stores_every_record_once(
    platform: Platform, store: str, point: str
) -> None:
    """Fault 3: the offset row and the data must fall together, or rows are lost for good."""
    quotes = numbered_quotes(1, 30)
    platform.publish(QUOTES, quotes)
    with running_load(platform, store, CRASH_AT=point) as run:
        assert run.wait(timeout=60) == -signal.SIGKILL

    platform.load_both()

    assert_whole(platform, quotes)


@contextmanager
def behind_proxy(platform: Platform, store: str) -> Iterator[CuttingProxy]:
    """Loads reach their store through a proxy for as long as the block lasts."""
    name = f"CRYPTO_PLATFORM_{store.upper()}__LOADER_URL"
    straight = platform.variables[name]
    url = urlsplit(straight)
    with cutting_proxy(int(url.port or 0)) as proxy:
        netloc = f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
        # a replica set would name its own address, and the driver go there
        query = url.query.replace(f"replicaSet={REPLICA_SET}", "directConnection=true")
        platform.reload(**{name: urlunsplit(url._replace(netloc=netloc, query=query))})
        try:
            yield proxy
        finally:
            platform.reload(**{name: straight})


@pytest.mark.parametrize("store", STORES)
def test_a_run_whose_reply_to_commit_is_lost_believes_the_store(
    platform: Platform, store: str
) -> None:
    """Fault 4: it is done, and doing it again from memory would be a repeat."""
    quotes = numbered_quotes(1, 30)
    platform.publish(QUOTES, quotes)
    with behind_proxy(platform, store) as proxy:
        # the claim is a transaction of its own: its reply is the first to get lost
        proxy.cut_after(COMMIT_WORDS[store])
        assert platform.load(store).end is LoadEnd.DRAINED
        assert proxy.cuts == 1
        platform.publish(QUOTES, numbered_quotes(31, 40))
        # and now that of the data
        proxy.cut_after(COMMIT_WORDS[store], passing=1)
        assert platform.load(store).end is LoadEnd.DRAINED
        assert proxy.cuts == 2

    platform.load_both()

    assert_whole(platform, numbered_quotes(1, 40))


def test_a_run_frozen_inside_copy_is_overtaken_and_writes_nothing_when_it_wakes(
    platform: Platform,
) -> None:
    """Fault 5: its rows stay locked through every time-out of the server."""
    quotes = numbered_quotes(1, 30)
    platform.publish(QUOTES, quotes)
    with running_load(platform, "postgres") as frozen, platform.postgres_admin() as admin:
        with admin.transaction():
            # whoever copies waits here, and that is where it is frozen
            admin.execute("LOCK TABLE market.quote IN SHARE ROW EXCLUSIVE MODE")
            eventually(lambda: is_waiting_to_copy(platform), within_s=60)
            frozen.send_signal(signal.SIGSTOP)
            wait_until_stopped(frozen)
        eventually(lambda: is_copying(admin), within_s=20)
        began = time.monotonic()
        assert platform.load("postgres").end is LoadEnd.DRAINED
        assert time.monotonic() - began < TAKE_OVER_S_MAX
        frozen.send_signal(signal.SIGCONT)
        output, _ = frozen.communicate(timeout=60)

    assert json.loads(output)["end"] == LoadEnd.FENCED
    assert json.loads(output)["stored_records"] == {}
    platform.load_both()
    assert_whole(platform, quotes)


@pytest.mark.parametrize("store", STORES)
def test_a_run_frozen_inside_its_transaction_is_overtaken_and_writes_nothing_when_it_wakes(
    platform: Platform, store: str
) -> None:
    """Fault 5: it holds its locks for as long as the server lets a transaction live."""
    quotes = numbered_quotes(1, 30)
    platform.publish(QUOTES, quotes)
    with running_load(platform, store, CRASH_AT="after_copy", CRASH_BY="stop") as frozen:
        wait_until_stopped(frozen)
        began = time.monotonic()
        assert platform.load(store).end is LoadEnd.DRAINED
        assert time.monotonic() - began < TAKE_OVER_S_MAX
        frozen.send_signal(signal.SIGCONT)
        output, _ = frozen.communicate(timeout=60)

    assert json.loads(output)["end"] == LoadEnd.FENCED
    assert json.loads(output)["stored_records"] == {}
    platform.load_both()
    assert_whole(platform, quotes)


def is_waiting_to_copy(platform: Platform) -> bool:
    """Whether a backend of this database waits for the table it wants to copy into."""
    with platform.postgres_admin() as admin:
        found = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query ILIKE '%COPY%market%quote%'"
        ).fetchone()
    return found is not None and found[0] == 1


def is_copying(admin: "psycopg.Connection[tuple[object, ...]]") -> bool:
    """Whether some backend of this database is inside COPY."""
    found = admin.execute(
        "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()"
    ).fetchone()
    return found is not None and found[0] == 1

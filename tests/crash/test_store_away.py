"""One store's server is gone for a moment: its load waits and goes on, the other notices nothing.

Two loads follow, as on a running platform. The servers' supervisor starts what was killed again.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest
from pymongo import MongoClient

from crypto_platform.delivery.load import LoadEnd
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores import STORES
from tests.fault_steps import assert_whole, numbered_quotes, stored_ids
from tests.platform_harness import Platform
from tests.stack_harness import pid_of
from tests.steady_traffic import Following
from tests.waiting import eventually

BACK_WITHIN_S = 90.0


@pytest.fixture
def following(platform: Platform) -> Iterator[dict[str, Following]]:
    """A load of each store."""
    loads = {store: Following(platform, store) for store in STORES}
    for each in loads.values():
        each.start()
    yield loads
    for each in loads.values():
        each.stop.set()
        each.join(timeout=60)


def send_to(part: str, number: signal.Signals) -> Callable[[Platform], None]:
    """End a server by this signal."""

    def send(platform: Platform) -> None:
        folder = platform.servers.settings.data_dir
        process = psutil.Process(pid_of(folder, part))
        process.send_signal(number)
        # until it is gone, its old self might answer
        eventually(lambda: not process.is_running() or is_zombie(process), within_s=30)

    return send


def is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def step_down(platform: Platform) -> None:
    """The primary is none for some seconds, and drops every connection."""
    with MongoClient[dict[str, object]](platform.servers.mongo_admin_url) as client:
        client.admin.command("replSetStepDown", 3, force=True)


FAULTS = {
    "postgres stopped at once": ("postgres", send_to("postgres", signal.SIGQUIT)),
    "postgres killed": ("postgres", send_to("postgres", signal.SIGKILL)),
    "mongod killed": ("mongo", send_to("mongo", signal.SIGKILL)),
    "mongod stepped down": ("mongo", step_down),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_goes_away_is_caught_up_and_the_other_store_loads_on(
    platform: Platform, following: dict[str, Following], fault: str
) -> None:
    """Faults 17, 18: a run that died of it would wait for the sensor; one that skipped, lose."""
    away, take_away = FAULTS[fault]
    [other] = set(STORES) - {away}
    quotes = numbered_quotes(1, 20)
    platform.publish(QUOTES, quotes)
    for store in STORES:
        wait_until_stored(platform, store, 20)

    take_away(platform)
    for number in range(21, 61):
        quotes += numbered_quotes(number, number)
        platform.publish(QUOTES, quotes[-1:])

    for store in (other, away):
        wait_until_stored(platform, store, 60)
    for each in following.values():
        each.stop.set()
        each.join(timeout=60)
    ends = {store: each.report and each.report.end for store, each in following.items()}
    assert ends == dict.fromkeys(STORES, LoadEnd.STOPPED)
    report = following[other].report
    assert report is not None
    assert report.progress.retries == 0
    platform.load_both()
    assert_whole(platform, quotes)


def wait_until_stored(platform: Platform, store: str, records: int) -> None:
    """Until so many quotes are there; a server that is away has none for the moment."""

    def is_stored() -> bool:
        with suppress(Exception):
            return len(stored_ids(platform, store)) == records
        return False

    eventually(is_stored, within_s=BACK_WITHIN_S)

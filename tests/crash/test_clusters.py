"""Clusters that lose a member: three brokers, three mongod, all on this machine, under traffic.

Each trial loses one member for good, measures how long the stores' newest trades are older than
usual, brings the member back, and ends with the audit. `make test-clusters` prints the times.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto_platform.delivery.load import LoadEnd
from crypto_platform.feeds.trades import TRADES
from crypto_platform.stores import STORES
from tests.cluster_harness import Clusters, Member, running_clusters
from tests.platform_harness import Platform
from tests.steady_traffic import MARKETS, count_trades, steady_traffic
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.timeout(300)]

FRESH_WITHIN_S = 10.0
HANGING_PRIMARY_S = 20.0
"""An answer that it owes is waited for, up to 15 s, where the driver does not give it up before."""
BACK_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """Both clusters, whole at the beginning of each test."""
    with running_clusters() as running:
        yield running


@pytest.fixture
def clustered(clusters: Clusters, tmp_path: Path) -> Iterator[Platform]:
    """A platform on them."""
    platform = Platform(clusters.servers, tmp_path)
    yield platform
    platform.close()


def leader(clusters: Clusters, platform: Platform) -> Member:
    return clusters.kafka.members[clusters.kafka.find_leader(platform.topic(TRADES))]


def controller(clusters: Clusters, platform: Platform) -> Member:
    _ = platform
    return clusters.kafka.members[clusters.kafka.find_controller()]


def primary(clusters: Clusters, platform: Platform) -> Member:
    _ = platform
    return clusters.mongo.members[clusters.mongo.find_primary()]


Choose = Callable[[Clusters, Platform], Member]
FAULTS: dict[str, tuple[Choose, Callable[[Member], None], float]] = {
    "broker killed": (leader, Member.kill, FRESH_WITHIN_S),
    "controller killed": (controller, Member.kill, FRESH_WITHIN_S),
    "broker frozen": (leader, Member.freeze, FRESH_WITHIN_S),
    "primary killed": (primary, Member.kill, FRESH_WITHIN_S),
    "primary frozen": (primary, Member.freeze, HANGING_PRIMARY_S),
}


def test_a_record_is_acknowledged_once_two_of_three_brokers_have_it(clustered: Platform) -> None:
    """Acknowledged by its leader alone, it would be gone with it."""
    assert clustered.topic_setting(TRADES, "min.insync.replicas") == "2"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cluster_that_loses_a_member_goes_on_within_seconds(
    clusters: Clusters, clustered: Platform, fault: str
) -> None:
    """Faults 33, 34: what three servers are for; nothing lost, nothing doubled, nobody called."""
    choose, hit, fresh_within_s = FAULTS[fault]
    with steady_traffic(clustered) as traffic:
        traffic.wait_until_fresh()
        lost = choose(clusters, clustered)

        hit(lost)
        since = time.monotonic()

        traffic.wait_until_fresh(since=since + fresh_within_s, within_s=BACK_WITHIN_S)
        measured = {
            store: w.freshness.describe(since=since) for store, w in traffic.watching.items()
        }
        lost.kill()
        lost.start()
        eventually(lambda: is_whole(clusters, clustered), within_s=BACK_WITHIN_S)
        traffic.wait_until_fresh(since=time.monotonic())
    for store, (back_s, age_s) in measured.items():
        text = f"{store} fresh again after {back_s:.1f} s, newest trade at most {age_s:.1f} s old"
        print(f"\n{fault} ({lost.name}): {text}")  # noqa: T201 - what the trial is for
    assert {name: load.report and load.report.end for name, load in traffic.loads.items()} == (
        dict.fromkeys(STORES, LoadEnd.STOPPED)
    )
    clustered.load_both()
    assert_every_trade_once(clustered)
    assert all(back_s <= fresh_within_s for back_s, _ in measured.values())
    assert clustered.audit().findings == []


def is_whole(clusters: Clusters, platform: Platform) -> bool:
    return clusters.kafka.is_whole([platform.topic(TRADES)]) and clusters.mongo.is_whole()


def assert_every_trade_once(platform: Platform) -> None:
    """The venue numbers its trades without a hole: what is missing or doubled shows."""
    stored = {store: count_trades(platform, store) for store in STORES}
    last = max(stored["postgres"][MARKETS[0]])
    for store in STORES:
        for market in MARKETS:
            assert stored[store][market] == list(range(1, last + 1)), (store, market)

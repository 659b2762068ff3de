"""The order and pace of kills, and when a platform that was hit has settled: with fakes."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from crypto_platform.serving.health import PartStatus, Status
from crypto_platform.serving.judge import build_status
from crypto_platform.stack.kills import Killer, order_targets
from crypto_platform.stack.proof import SETTLE_S_MAX, Proof
from crypto_platform.stack.targets import Target
from tests.status_steps import readings, settings_of

KAFKA = Target(part="kafka")
MONGO = Target(part="mongo")
LOAD = Target(part="mongo", is_run=True)
ABC = (KAFKA, MONGO, LOAD)


class FakeTargets:
    """Processes are numbers; `gone` are those that cannot be killed just now."""

    def __init__(self, *gone: Target) -> None:
        self.gone = set(gone)
        self.back: set[Target] = set()
        self.killed: list[Target] = []

    def kill(self, target: Target) -> int | None:
        if target in self.gone:
            return None
        self.killed.append(target)
        self.back.discard(target)
        return 100 + len(self.killed)

    def is_back(self, target: Target, *, killed: int) -> bool:
        return target in self.back


def killer_of(
    fake: FakeTargets, *, seed: int = 1, every_s: float = 10.0, duration_s: float = 30.0
) -> tuple[Killer, list[str]]:
    said: list[str] = []
    killer = Killer(fake, ABC, seed=seed, every_s=every_s, duration_s=duration_s, say=said.append)
    return killer, said


def status_of(tmp_path: Path, *, lag_records: int | None = 0, lag_s: float | None = 0.0) -> Status:
    """A running stack's status; both stores lag so much, None is down."""
    part = PartStatus(name="kafka", state="ready", pid=1, restarts=0, address=None, is_good=True)
    status = build_status(settings_of(tmp_path), readings(parts=(part,)))
    stores = tuple(
        msgspec.structs.replace(
            store, up=lag_records is not None, lag_records=lag_records, lag_s=lag_s
        )
        for store in status.stores
    )
    return msgspec.structs.replace(status, stores=stores)


def test_the_same_seed_gives_the_same_order_and_another_another_one() -> None:
    """Whoever found a fault repeats it with the seed that was printed."""
    orders = [list(islice(order_targets(ABC, seed=seed), 30)) for seed in (7, 7, 8)]
    assert orders[0] == orders[1] != orders[2]


def test_everything_is_killed_once_before_anything_is_killed_twice() -> None:
    """Six kills out of eleven by plain chance often hit one part three times."""
    order = list(islice(order_targets(ABC, seed=3), 6))
    assert set(order[:3]) == set(order[3:]) == set(ABC)


def test_one_is_killed_at_each_beat_and_none_after_the_end() -> None:
    """A second one in the same beat would leave the user wondering which of them did it."""
    fake = FakeTargets()
    killer, said = killer_of(fake)
    for now_s in (0.0, 0.25, 9.9, 10.1, 20.0, 29.9, 30.0, 40.0):
        killer.step(now_s)
    assert [kill.at_s for kill in killer.kills] == [0.0, 10.1, 20.0]
    assert fake.killed == list(islice(order_targets(ABC, seed=1), 3))
    assert killer.is_done
    assert said[0] == f"killed {fake.killed[0].name} (process 101)"


def test_what_is_not_there_in_its_turn_comes_as_soon_as_it_is() -> None:
    """Between two load runs there is none for some seconds; it must not get away with it."""
    first, second, third = islice(order_targets(ABC, seed=1), 3)
    fake = FakeTargets(first)
    killer, _ = killer_of(fake)
    killer.step(0.0)
    fake.gone.clear()
    killer.step(10.0)
    killer.step(20.0)
    assert fake.killed == [second, first, third]


def test_where_nothing_can_be_killed_it_is_tried_again_and_nothing_is_counted() -> None:
    """All may be starting just then."""
    fake = FakeTargets(*ABC)
    killer, said = killer_of(fake)
    killer.step(0.0)
    assert (killer.kills, said) == ([], [])
    fake.gone.clear()
    killer.step(1.0)
    assert [kill.at_s for kill in killer.kills] == [1.0]


def test_what_is_away_is_not_killed_again_and_its_absence_is_measured() -> None:
    """The second kill would hit what is just being started, and hide how long the first took."""
    fake = FakeTargets()
    killer, said = killer_of(fake, duration_s=100.0)
    for now_s in (0.0, 10.0, 20.0, 30.0):
        killer.step(now_s)
    assert len(fake.killed) == len(killer.away) == 3
    fake.back = {fake.killed[0]}
    killer.step(34.5)
    assert killer.kills[0].away_s == 34.5
    assert f"{fake.killed[0].name} is back after 34.5 s" in said
    assert len(killer.away) == 3  # killed at once again, for its beat was over


def test_it_settles_only_on_a_look_that_began_when_all_was_back(tmp_path: Path) -> None:
    """A status read half before a kill and half after it may show no lag of either."""
    fake = FakeTargets()
    killer, _ = killer_of(fake, duration_s=5.0)
    proof = Proof(killer, duration_s=5.0)
    killer.step(0.0)
    killer.step(6.0)
    proof.see(status_of(tmp_path), now_s=6.0)
    fake.back = set(fake.killed)
    killer.step(7.0)
    proof.see(status_of(tmp_path), now_s=7.0)
    assert not proof.is_over
    proof.see(status_of(tmp_path), now_s=8.0)
    assert proof.is_settled
    assert proof.problem is None


@pytest.mark.parametrize("lag_records", [3, None])
def test_lag_or_a_store_that_is_down_does_not_settle_and_is_named_in_the_end(
    tmp_path: Path, lag_records: int | None
) -> None:
    """`not settled` alone sends the user looking through eleven logs."""
    killer, _ = killer_of(FakeTargets(), duration_s=5.0)
    proof = Proof(killer, duration_s=5.0)
    killer.step(6.0)
    for now_s in (6.0, 7.0, 4.9 + SETTLE_S_MAX):
        proof.see(status_of(tmp_path, lag_records=lag_records), now_s=now_s)
        assert not proof.is_over
    proof.see(status_of(tmp_path, lag_records=lag_records), now_s=5.0 + SETTLE_S_MAX)
    assert not proof.is_settled
    said = "mongo lags 3 records" if lag_records else "mongo does not answer"
    assert said in (proof.problem or "")


def test_what_never_came_back_is_named(tmp_path: Path) -> None:
    """A store without lag proves little while nothing is polled."""
    fake = FakeTargets()
    killer, _ = killer_of(fake, duration_s=5.0)
    proof = Proof(killer, duration_s=5.0)
    killer.step(0.0)
    killer.step(400.0)
    proof.see(status_of(tmp_path), now_s=400.0)
    assert f"{fake.killed[0].name} is not back" in (proof.problem or "")


def test_the_longest_lag_is_kept_by_store(tmp_path: Path) -> None:
    """It is what a user would have felt."""
    killer, _ = killer_of(FakeTargets())
    proof = Proof(killer, duration_s=30.0)
    for lag_s in (0.5, 9.0, None, 2.0):
        proof.see(status_of(tmp_path, lag_records=1, lag_s=lag_s), now_s=1.0)
    assert proof.lag_s_max == {"postgres": 9.0, "mongo": 9.0}


def test_a_stack_that_somebody_stops_ends_it(tmp_path: Path) -> None:
    """Else it waits five minutes for what was told to go."""
    killer, _ = killer_of(FakeTargets())
    proof = Proof(killer, duration_s=30.0)
    proof.see(build_status(settings_of(tmp_path), replace(readings(), parts=None)), now_s=1.0)
    assert "stopped it" in (proof.problem or "")

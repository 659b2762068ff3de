"""What becomes of a store's loads when putting a backup back fails."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crypto_platform.delivery.backup import BackupError, StoreFacts
from crypto_platform.delivery.restore_plan import Place
from crypto_platform.delivery.restore_store import Claims, replace_store
from crypto_platform.errors import OutcomeUnknownError, PlatformError, StoreRefusedError
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import Claim, StoredOffset, TopicPart
from crypto_platform.stores.dump import Dumper
from crypto_platform.stores.sums import Sum
from tests.store_steps import P0, P1, QUOTES

P2 = TopicPart(P0.topic_id, 2)
PLACES = [Place(QUOTES, QUOTES.topic, partition) for partition in (P0, P1, P2)]
FACTS = StoreFacts(server_version="1", revision="", feeds={}, next_offsets={}, files={})


@dataclass
class Offsets:
    """As much of a store as its claims."""

    blocked_by: dict[TopicPart, str | None]

    def read_offsets(self) -> list[StoredOffset]:
        return [
            StoredOffset(
                topic=QUOTES.topic,
                partition=partition,
                next_offset=5,
                leader_epoch=None,
                max_ts_append=0,
                epoch=1,
                owner_run_id=None,
                claimed_at=None,
                updated_at=None,
                blocked_by=blocked_by,
            )
            for partition, blocked_by in self.blocked_by.items()
        ]

    def claim_restore(self, places: Sequence[Place], *, run_id: str) -> list[Claim]:
        del run_id
        for place in places:
            before = self.blocked_by[place.partition] or ""
            is_ours = before.startswith(RESTORING)
            self.blocked_by[place.partition] = before if is_ours else RESTORING + before
        return [
            Claim(
                feed=place.feed,
                topic=place.topic,
                partition=place.partition,
                epoch=2,
                next_offset=5,
                leader_epoch=None,
                max_ts_append=0,
            )
            for place in places
        ]

    def end_restore(self, claim: Claim, *, blocked_by: str | None) -> bool:
        self.blocked_by[claim.partition] = blocked_by
        return True


@dataclass
class Failing:
    """A dumper that cannot put anything back."""

    replaces_at_once: bool
    error: PlatformError = field(default_factory=lambda: StoreRefusedError("disk full"))
    sink: str = "postgres"

    def put_back(
        self, folder: Path, names: Collection[str], progress: Callable[[str], None]
    ) -> None:
        del folder, names, progress
        raise self.error

    def read_sums(self) -> Mapping[str, Sum]:
        return {}


def replace(failing: Failing, tmp_path: Path) -> dict[TopicPart, str | None]:
    """Which partitions are stopped by what, after it was tried."""
    offsets = Offsets({P0: None, P1: "incident-1", P2: RESTORING})
    fake: object = offsets
    store: Store = fake  # pyright: ignore[reportAssignmentType] - as much as claims need
    dumper: Dumper = failing  # pyright: ignore[reportAssignmentType]
    claims = Claims.take(store, PLACES, run_id="run")
    assert set(offsets.blocked_by.values()) == {RESTORING, f"{RESTORING}incident-1"}
    with pytest.raises(PlatformError) as caught:
        replace_store(claims, FACTS, tmp_path, dumper, say=print)
    failing.error = caught.value
    return offsets.blocked_by


def test_where_nothing_was_changed_loads_go_on(tmp_path: Path) -> None:
    """Else every partition stays stopped for a restore that there is none of."""
    stopped = replace(Failing(replaces_at_once=True), tmp_path)
    assert stopped == {P0: None, P1: "incident-1", P2: RESTORING}


def test_where_half_may_be_there_loads_wait_and_the_command_is_named(tmp_path: Path) -> None:
    """A load into half a store would begin at what happens to be there."""
    failing = Failing(replaces_at_once=False)
    stopped = replace(failing, tmp_path)
    assert all((each or "").startswith(RESTORING) for each in stopped.values())
    assert isinstance(failing.error, BackupError)
    assert "the same command again" in str(failing.error)


def test_where_nobody_knows_loads_wait(tmp_path: Path) -> None:
    """An answer to COMMIT that was lost."""
    failing = Failing(replaces_at_once=True, error=OutcomeUnknownError("lost"))
    stopped = replace(failing, tmp_path)
    assert all((each or "").startswith(RESTORING) for each in stopped.values())

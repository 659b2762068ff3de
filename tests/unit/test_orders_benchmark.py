"""The benchmark of orders counts what it sees and says what it missed."""

from benchmarks.orders import Sent, Watch, list_missed
from crypto_platform.stores.accounts import Whole
from tests.account_steps import SmallCompany


class SlowStore:
    """Shows an order when it is asked for the third time."""

    def __init__(self) -> None:
        self.asked = 0
        company = SmallCompany()
        company.accept("bob", "or-1", price="1.00", quantity="0.001")
        self._whole = Whole(company.orders["or-1"], ())

    def read_order(self, user_id: str, order_id: str) -> Whole | None:
        """See Store."""
        del user_id, order_id
        self.asked += 1
        return self._whole if self.asked > 2 else None

    def close(self) -> None:
        """Nothing is open."""


def test_an_order_is_counted_once_and_only_when_it_is_seen() -> None:
    """One counted before the store shows it would make the platform look fresher than it is."""
    watch = Watch(SlowStore())
    watch.expect(Sent("or-1", at_s=0.0))

    for _ in range(2):
        watch.look()
    assert (watch.waits, watch.count_unseen()) == ([], 1)

    for _ in range(2):
        watch.look()
    assert (len(watch.waits), watch.count_unseen()) == (1, 0)


def test_orders_that_no_store_shows_miss_the_target_whatever_the_others_took() -> None:
    """Percentiles of those that arrived say nothing of one that was lost."""
    good = {"counted": 3, "p50_s": 0.6, "p99_s": 1.1, "missing": 0}
    late = {"counted": 3, "p50_s": 0.6, "p99_s": 3.1, "missing": 0}
    lost = {"counted": 2, "p50_s": 0.6, "p99_s": 1.1, "missing": 1}

    assert not list_missed({"in peace": {"postgres": good, "mongo": good}})
    assert list_missed({"in peace": {"postgres": late, "mongo": lost}}) == [
        "postgres in peace: p99_s 3.1 s, the target is 3",
        "mongo in peace: 1 orders not seen",
    ]

"""The reconciliation of accounts: each fault planted alone, in one store, and named.

Not here: real servers (tests/servers/test_reconciliation.py).
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import cast

import dagster as dg
import pytest

from crypto_platform.assets.audits import answer_account_checks
from crypto_platform.cli.reconciliation_text import format_reconciliation
from crypto_platform.delivery.reconciliation import reconcile
from crypto_platform.delivery.reconciliation_merge import merge
from crypto_platform.delivery.reconciliation_report import (
    EXAMPLES_MAX,
    Discrepancy,
    Mismatch,
    Reconciliation,
)
from crypto_platform.delivery.reconciliation_sequences import PAGE_NUMBERS, Sequences
from crypto_platform.feeds.accounts import ORDERS, WALLETS
from crypto_platform.settings import Settings
from crypto_platform.sources.company_accounts import OwnWallet
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset
from tests.account_fakes import AccountsLog, FakeAccounts, FakeCompany
from tests.account_steps import SmallCompany

SETTINGS = Settings(data_dir=Path("/nonexistent"))


def build_company() -> SmallCompany:
    """Every way for an order to end, and both halves of each match side by side."""
    company = SmallCompany()
    company.deposit("house", "BTC", "10")
    company.deposit("ann", "USD", "1000.00")
    company.deposit("bob", "USD", "500")
    company.accept("ann", "o-1", price="100.0", quantity="2")
    company.accept("ann", "o-2", price="50", quantity="1.5")
    company.take(company.fill("o-1", "0.5"), user="house")
    company.accept("bob", "o-3", price="10", quantity="1")
    company.take(company.fill("o-1", "1.5"), user="house")
    company.cancel("o-2")
    company.take(company.fill("o-3", "0.25"), user="house")
    company.deposit("Zoë: 100%", "USD", "0.000000000000000001")
    company.accept("ann", "o-5", price="1", quantity="4")
    company.take(company.fill("o-5", "1"), user="house")
    return company


EVENTS = build_company().events
LAST = len(EVENTS)


class Scene:
    """Two stores and the company, all of which agree."""

    def __init__(self, events: list = EVENTS) -> None:
        self.postgres = FakeAccounts(sink="postgres", events=list(events))
        self.mongo = FakeAccounts(sink="mongo", events=list(events))
        self.company = FakeCompany(events)
        self.log = AccountsLog(len(events))

    def reconcile(self) -> Reconciliation:
        stores = {"postgres": self.postgres, "mongo": self.mongo}
        return reconcile(
            SETTINGS,
            cast("Mapping[str, Store]", stores),
            log=self.log,
            company=self.company,
        )

    def find(self, **expected: int) -> dict[str, Mismatch]:
        """The mismatches by kind; these and no others, each with so many records."""
        found = self.reconcile()
        assert found.whole is (not expected)
        counts: Counter[str] = Counter()
        for each in found.findings:
            counts[each.kind.value] += each.records
        assert counts == expected, found.findings
        return {each.kind.value: each for each in found.findings}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_agrees_is_whole_and_says_of_how_much(scene: Scene) -> None:
    """Wallets, postings, orders, matches, the company: all of it was looked at."""
    found = scene.reconcile()
    assert found.whole
    assert found.findings == found.notes == []
    assert found.through_event == LAST
    assert (found.company.compared, found.company.users) == (True, 4)
    for each in found.stores.values():
        assert (each.newest_event, each.users, each.wallets) == (LAST, 4, 7)
        assert (each.orders, each.matches) == (8, 4)
    assert format_reconciliation(found)[0] == (
        "accounts in postgres: up to event 17: 4 users, 7 wallets, 8 orders, 4 matches"
    )


def test_no_events_are_no_fault() -> None:
    """A platform without a company is whole, and says that there was nothing."""
    found = Scene([]).reconcile()
    assert (found.whole, found.company.compared) == (True, False)
    assert format_reconciliation(found) == ["accounts: no account events"]


def test_a_changed_wallet_is_named_with_its_user_currency_and_amounts(scene: Scene) -> None:
    """A person with a console and good intentions."""
    scene.mongo.change_state(WALLETS, ("bob", "USD"), available="491.00")
    found = scene.find(wallet_differs=1, states_differ=1)
    mismatch = found["wallet_differs"]
    assert (mismatch.store, mismatch.users, mismatch.currencies) == ("mongo", ["bob"], ["USD"])
    [example] = mismatch.examples
    assert example.detail == (
        "491.00 available and 7.50 locked in the wallet, its postings add up to 490 available "
        "and 7.50 locked"
    )
    assert "restore STORE --derived" in mismatch.next_step


def test_a_wallet_that_is_gone_is_missed(scene: Scene) -> None:
    """Both stores may have lost it: the postings still know."""
    for store in (scene.postgres, scene.mongo):
        store.states["wallet", ("house", "BTC")] = None
    assert scene.find(wallet_differs=2)["wallet_differs"].examples[0].currency == "BTC"


def test_a_wallet_nobody_posted_to_is_seen(scene: Scene) -> None:
    """Money out of nowhere."""
    [whole] = [w for w in scene.mongo.read_states(None, WALLETS) if w.state.user_id == "bob"][:1]
    scene.mongo.states["wallet", ("eve", "USD")] = whole
    scene.mongo.change_state(WALLETS, ("eve", "USD"), user_id="eve", currency="USD", sequence=3)
    assert scene.find(wallet_differs=1)["wallet_differs"].users == ["eve"]


def test_an_event_deleted_in_one_store_is_named_and_all_below_it_compared(scene: Scene) -> None:
    """The cut is just below it; that store is not behind, so it has lost it."""
    scene.mongo.drop(11)
    scene.mongo.next_offset = LAST
    found = scene.find(event_missing=1, state_unfounded=1)
    missing, order = found["event_missing"], found["state_unfounded"]
    assert (missing.store, missing.examples[0].detail) == ("mongo", "event 11")
    assert order.examples[0].detail == "order o-2: the store has no event 11 that says so"
    assert scene.reconcile().through_event == 10


def test_an_event_no_store_has_is_missing_in_both(scene: Scene) -> None:
    """The audit of Kafka cannot see what never came to Kafka."""
    for store in (scene.postgres, scene.mongo):
        store.drop(8)
        store.next_offset = LAST
    assert [each.store for each in scene.reconcile().findings] == ["postgres", "mongo"]


def test_a_store_that_lags_has_lost_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its partition is behind: that is said, and not judged."""
    monkeypatch.setattr("crypto_platform.delivery.reconciliation.CATCH_UP_S", 0)
    scene.mongo.events = [event for event in EVENTS if event.sequence != 11]
    stores = cast("Mapping[str, Store]", {"postgres": scene.postgres, "mongo": scene.mongo})
    found = reconcile(SETTINGS, stores, wait_s=0, log=scene.log, company=scene.company)
    assert (found.whole, found.through_event) == (True, 10)
    assert found.notes == [
        "mongo lags: 1 events up to number 17 are not there yet, the first is 11"
    ]


def test_a_store_that_catches_up_meanwhile_has_lost_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its load goes on while the reconciliation looks."""
    scene.mongo.events = [event for event in EVENTS if event.sequence != 11]
    read_offsets = scene.mongo.read_offsets
    looks = 0

    def load_then_read() -> list[StoredOffset]:
        nonlocal looks
        looks += 1
        if looks == 3:
            scene.mongo.events = list(EVENTS)
        return read_offsets()

    monkeypatch.setattr(scene.mongo, "read_offsets", load_then_read)
    found = scene.reconcile()
    assert (found.whole, found.notes, looks) == (True, [], 3)


def test_a_store_ahead_is_compared_with_its_own_events(scene: Scene) -> None:
    """One store has loaded more; what it says beyond the cut comes from its own facts."""
    scene.mongo.events = EVENTS[:13]
    scene.mongo.next_offset = LAST
    found = scene.reconcile()
    assert found.through_event == 13
    assert [(each.kind, each.records) for each in found.findings] == [
        (Discrepancy.EVENT_MISSING, LAST - 13)
    ]
    scene.postgres.change_state(WALLETS, ("ann", "USD"), locked="5")
    scene.postgres.change_state(ORDERS, ("o-5",), filled_quantity="2")
    found = {each.kind: each for each in scene.reconcile().findings}
    ahead = found[Discrepancy.STATE_UNFOUNDED]
    assert (ahead.store, ahead.records) == ("postgres", 2)
    assert [example.detail for example in ahead.examples] == [
        "wallet ann USD: locked is 5 in the state, 3.00 in its event",
        "order o-5: filled_quantity is 2 in the state, 1 in its event",
    ]


def test_a_state_whose_event_is_not_there_is_unfounded(scene: Scene) -> None:
    """A wallet from the future."""
    scene.mongo.change_state(WALLETS, ("bob", "USD"), sequence=LAST + 5)
    found = scene.find(state_unfounded=1)["state_unfounded"]
    assert (
        found.examples[0].detail == f"wallet bob USD: the store has no event {LAST + 5} that "
        "says so"
    )


def test_a_swapped_amount_in_an_event_shows_in_every_sum(scene: Scene) -> None:
    """Both legs of a deposit: it balances, and is not what the wallet and the company say."""
    scene.postgres.change_event(3, posting_amounts=("-600", "600"))
    found = scene.find(wallet_differs=1, company_differs=3)
    assert found["company_differs"].examples[0].detail == (
        "590 available and 7.50 locked here, the company has 490 available and 7.50 locked"
    )


def test_a_posting_that_is_gone_leaves_a_user_unbalanced(scene: Scene) -> None:
    """Half a double entry."""
    scene.postgres.change_event(
        3,
        posting_accounts=("available",),
        posting_currencies=("USD",),
        posting_amounts=("500",),
    )
    found = scene.find(unbalanced=1, company_differs=1)["unbalanced"]
    assert (found.users, found.currencies) == (["bob"], ["USD"])
    assert found.examples[0].detail == "postings to all accounts add up to 500.00, not to zero"


def test_less_than_nothing_is_named(scene: Scene) -> None:
    """In the wallet, and in the postings."""
    for store in (scene.postgres, scene.mongo):
        store.change_state(WALLETS, ("bob", "USD"), locked="-1")
    assert scene.find(wallet_differs=2, negative=2)["negative"].users == ["bob"]


def test_a_missing_half_of_a_match_is_named(scene: Scene) -> None:
    """A buyer without a seller."""
    scene.mongo.change_event(7, trade_id="77")
    found = scene.find(half_missing=2)["half_missing"]
    assert (found.store, found.examples[0].detail) == (
        "mongo",
        "match 6 of BTC-USD has of halves: maker in event 6",
    )


def test_two_makers_are_no_match(scene: Scene) -> None:
    """The same half twice."""
    scene.mongo.change_event(7, liquidity="maker")
    scene.find(half_missing=1)


def test_halves_with_other_quantities_are_named(scene: Scene) -> None:
    """One has bought more than the other has sold."""
    scene.mongo.change_event(7, fill_quantity="0.6")
    found = scene.find(halves_differ=1)["halves_differ"]
    assert found.examples[0].detail == "match 6 of BTC-USD is 0.5 at 100.0 and 0.6 at 100.0"


def test_a_half_at_the_cut_waits_for_its_other() -> None:
    """The maker's event is there, the taker's is the next one."""
    company = SmallCompany()
    company.deposit("ann", "USD", "10")
    company.accept("ann", "o-1", price="1", quantity="2")
    company.fill("o-1", "2")
    Scene(company.events).find()
    company.deposit("ann", "USD", "10")
    Scene(company.events).find(half_missing=2)


def test_an_order_that_differs_between_stores_is_named(scene: Scene) -> None:
    """Also in its fills, and where one store has none."""
    scene.mongo.change_state(ORDERS, ("o-3",), limit_price="11")
    scene.mongo.states["order", ("o-2",)] = None
    whole = next(w for w in scene.mongo.read_states(None, ORDERS) if w.state.order_id == "o-1")
    scene.mongo.states["order", ("o-1",)] = whole._replace(parts=whole.parts[1:])
    found = scene.find(states_differ=3)["states_differ"]
    assert found.store == "postgres and mongo"
    assert [example.detail for example in found.examples] == [
        "order o-1: 2 fills in postgres, 1 in mongo, or others",
        "order o-2: only in postgres",
        "order o-3: limit_price is 10 in postgres, 11 in mongo",
    ]


def test_an_order_that_no_store_has_is_missed(scene: Scene) -> None:
    """Both stores may have lost it: their events still know."""
    for store in (scene.postgres, scene.mongo):
        store.states["order", ("o-2",)] = None
    found = scene.find(order_missing=1)["order_missing"]
    assert (found.store, found.users) == ("postgres and mongo", ["ann"])
    assert found.examples[0].detail == "order o-2: event 11 is the last one of it"
    assert "restore STORE --derived" in found.next_step


def test_an_order_that_is_old_or_made_up_in_all_stores_is_seen(scene: Scene) -> None:
    """They agree with each other, and not with their events."""
    for store in (scene.postgres, scene.mongo):
        store.change_state(ORDERS, ("o-2",), sequence=5)
        whole = next(w for w in store.read_states(None, ORDERS) if w.state.order_id == "o-3")
        store.states["order", ("o-9",)] = whole
        store.change_state(ORDERS, ("o-9",), order_id="o-9", sequence=9)
    found = scene.find(state_unfounded=2)["state_unfounded"]
    assert [example.detail for example in found.examples] == [
        "order o-2: it is as of event 5, and event 11 is its last",
        "order o-9: it is as of event 9, and no event tells of it",
    ]


def test_a_users_own_numbers_have_no_gap(scene: Scene) -> None:
    """An event of somebody else under his name."""
    scene.mongo.change_event(12, user_sequence=7)
    assert scene.find(user_event_missing=1)["user_event_missing"].users == ["bob"]


def test_a_number_of_two_events_is_named(scene: Scene) -> None:
    """Two companies in one topic."""
    scene.mongo.events = [*EVENTS, EVENTS[3]]
    found = scene.reconcile().findings
    twice = next(each for each in found if each.kind is Discrepancy.EVENT_TWICE)
    assert (twice.store, twice.records) == ("mongo", 1)


def test_the_company_says_otherwise(scene: Scene) -> None:
    """Wallet, user or its own accounts: in each store, for both say the same."""
    scene.company.wallets["bob", "USD"] = OwnWallet(Decimal(1), Decimal("7.50"))
    scene.company.totals["fees", "EUR"] = Decimal(3)
    found = scene.reconcile().findings
    assert [(each.kind, each.store, each.records) for each in found] == [
        (Discrepancy.COMPANY_DIFFERS, "postgres", 2),
        (Discrepancy.COMPANY_DIFFERS, "mongo", 2),
    ]
    assert [example.detail for example in found[0].examples] == [
        "490 available and 7.50 locked here, the company has 1 available and 7.50 locked",
        "fees of all users: 0 here, the company has 3",
    ]


def test_the_company_counts_other_events_of_a_user(scene: Scene) -> None:
    """An order that was refused touches no wallet, and is an event all the same."""
    scene.company.counts["bob"] = 4
    found = scene.find(company_differs=2)["company_differs"]
    assert found.examples[0].detail == "3 events here, the company has 4 of them"


def test_a_company_with_fewer_events_is_another_one(scene: Scene) -> None:
    """Put back to yesterday, it would answer for other events under these numbers."""
    del scene.company.events[10:]
    found = scene.find(company_differs=1)["company_differs"]
    assert "the company has 10" in found.examples[0].detail


@pytest.mark.parametrize(("is_away", "users_max"), [(True, None), (False, 2)])
def test_a_company_that_does_not_answer_is_never_good(
    scene: Scene, *, is_away: bool, users_max: int | None
) -> None:
    """Stores are compared all the same; what the company was not asked is said."""
    scene.company.is_away, scene.company.users_max = is_away, users_max
    found = scene.reconcile()
    assert (found.whole, found.company.compared) == (True, False)
    assert found.company.users == (users_max or 0)
    assert (
        "NOT compared with the company: company: gave no answer"
        in (format_reconciliation(found)[-1])
    )
    reconciled, company = answer_account_checks(found)
    assert (reconciled.passed, company.passed) == (True, False)
    assert company.severity is dg.AssetCheckSeverity.WARN
    scene.mongo.change_state(WALLETS, ("bob", "USD"), available="491.00")
    reconciled, company = answer_account_checks(scene.reconcile())
    assert (reconciled.passed, reconciled.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "bob USD (491.00 available" in (reconciled.description or "")


def test_all_is_counted_and_the_first_are_named(scene: Scene) -> None:
    """A million wrong wallets must not be a million lines."""
    company = SmallCompany()
    for number in range(50):
        company.deposit(f"u{number:03}", "USD", "1")
    scene = Scene(company.events)
    for number in range(50):
        scene.mongo.change_state(WALLETS, (f"u{number:03}", "USD"), available="2")
    found = scene.find(wallet_differs=50, states_differ=50)["wallet_differs"]
    assert len(found.users) == len(found.examples) == EXAMPLES_MAX
    lines = format_reconciliation(scene.reconcile())
    assert "  ... and 45 more; --json names the first 20" in lines


def test_gaps_in_numbers_whatever_their_order() -> None:
    """Also across the pages that the numbers are kept in, and far away from all others."""
    far = 5 * PAGE_NUMBERS
    numbers = Sequences([*range(far, 3, -1), 2, 1, far + 3, 2**50, 7])
    assert numbers.find_contiguous() == 2
    gaps = list(numbers.find_gaps(through=2**50 + 1))
    assert gaps == [(3, 3), (far + 1, far + 2), (far + 4, 2**50 - 1), (2**50 + 1, 2**50 + 1)]
    assert (numbers.newest, numbers.repeats) == (2**50, [7])
    assert Sequences().find_contiguous() == 0
    assert list(Sequences([1, 2]).find_gaps(through=2)) == []
    whole = Sequences(range(1, 2 * PAGE_NUMBERS))
    assert whole.find_contiguous() == 2 * PAGE_NUMBERS - 1


def test_streams_side_by_side() -> None:
    """Each key once, in order, with what each stream has."""
    found = list(merge([iter([("a", 1), ("c", 2)]), iter([("b", 3), ("c", 4)]), iter([])]))
    assert found == [("a", [1, None, None]), ("b", [None, 3, None]), ("c", [2, 4, None])]

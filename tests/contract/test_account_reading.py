"""What is read of users' accounts: every store gives the same answer, and the company's truth.

The same events are committed to all stores, in orders that no company would send them in. Not here:
speed (benchmarks/accounts.py), commands (tests/servers/test_cli_accounts.py).
"""

import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import seal_account_event
from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent
from crypto_platform.stores.accounts import Half, StatesAccount, StatesSum, Whole
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.market import Span
from crypto_platform.stores.slices import Slice
from tests.account_steps import SECOND, SmallCompany, build_busy_company
from tests.store_harness import StoreFactory
from tests.store_steps import NOON, TOPIC_ID, claim, piece

EVENTS = FEED_BY_NAME["account_events"]
COMPANY = build_busy_company()


def commit(store: Store, *batches: Sequence[AccountEvent], part: int = 0) -> None:
    """Each batch in a transaction of its own, one behind the other in one partition."""
    for batch in batches:
        [own] = claim(store, TopicPart(TOPIC_ID, part), feed=EVENTS)
        store.commit([piece(own, batch)], run_id="run-a")


def check(store: Store, company: SmallCompany) -> None:
    """All states are the company's."""
    orders = [
        Whole(order, tuple(company.fills.get(order_id, ())))
        for order_id, order in sorted(company.orders.items(), key=lambda item: item[0].encode())
    ]
    assert list(store.read_states(EVENTS, ORDERS)) == orders
    wallets = sorted(company.wallets.items(), key=lambda item: [key.encode() for key in item[0]])
    assert list(store.read_states(EVENTS, WALLETS)) == [Whole(each, ()) for _, each in wallets]
    for projection, states in ((ORDERS, company.orders), (WALLETS, company.wallets)):
        told = StatesSum(len(states), sum(state.sequence for state in states.values()))
        assert store.sum_states(EVENTS, projection) == StatesAccount(there=told, told=told)


@pytest.fixture
def store(store_factory: StoreFactory) -> Store:
    """A store with the company's events in it, in order."""
    opened = store_factory.open()
    commit(opened, COMPANY.events)
    return opened


def shuffle(rng: random.Random, *, batches: int) -> list[list[AccountEvent]]:
    """All events in any order, some of them twice."""
    events = [*COMPANY.events, *rng.sample(COMPANY.events, 5)]
    rng.shuffle(events)
    cuts = sorted(rng.sample(range(1, len(events)), batches - 1))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]


def test_states_are_the_companys_truth(store: Store) -> None:
    """Orders with their fills, and wallets, each once."""
    check(store, COMPANY)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_events_with_repeats_gives_the_same_states(
    store_factory: StoreFactory, seed: int
) -> None:
    """A replay, a restore by partition, two runs: the last sequence wins, no fill is lost."""
    rng = random.Random(seed)
    store = store_factory.open()
    batches = shuffle(rng, batches=5)
    for batch in batches:
        commit(store, batch, part=rng.randrange(3))
    check(store, COMPANY)
    [own] = claim(store, TopicPart(TOPIC_ID, 3), feed=EVENTS)
    store.commit_replay([piece(own, rng.sample(COMPANY.events, 9))], run_id="replay")
    check(store, COMPANY)


@pytest.mark.parametrize("seed", range(4))
def test_one_commit_may_tell_of_a_thing_in_any_of_its_slices(
    store_factory: StoreFactory, seed: int
) -> None:
    """A backlog's hours come in one transaction: each of them names the same wallets."""
    rng = random.Random(seed)
    store = store_factory.open()
    batches = shuffle(rng, batches=6)
    slices: list[Slice] = []
    for part in range(3):
        [own] = claim(store, TopicPart(TOPIC_ID, part), feed=EVENTS)
        first = piece(own, batches[2 * part])
        slices += [first, piece(own, batches[2 * part + 1], first_offset=first.next_offset)]
    store.commit(slices, run_id="run-a")
    check(store, COMPANY)


def test_a_range_without_records_tells_of_nothing(store_factory: StoreFactory) -> None:
    """Markers of a transaction take offsets of their own."""
    store = store_factory.open()
    [own] = claim(store, TopicPart(TOPIC_ID, 0), feed=EVENTS)
    store.commit([piece(own, [], next_offset=5)], run_id="run-a")
    commit(store, COMPANY.events)
    check(store, COMPANY)


def test_a_contradiction_changes_no_state(store_factory: StoreFactory) -> None:
    """What goes to quarantine as a fact must not be current as a state."""
    store = store_factory.open()
    other = SmallCompany()
    other.deposit("ann", "USD", "7")
    first, second = COMPANY.events[:2]
    assert other.events[0].event_id == first.event_id
    commit(store, [first], [other.events[0], second])
    found = {wallet.user_id: wallet.available for wallet in store.read_wallets("ann")}
    assert found == {"ann": "1000.00"}
    assert [wallet.available for wallet in store.read_wallets("bob")] == ["500"]


def test_a_user_sees_his_open_orders_newest_first_and_nobody_elses(store: Store) -> None:
    """One user's rows only, whoever asks."""
    found = [order.order_id for order in store.read_open_orders("ann", records_max=10)]
    assert found == ["o-5", "o: 4%"]
    assert store.read_open_orders("ann", records_max=1) == [COMPANY.orders["o-5"]]
    assert [o.order_id for o in store.read_open_orders("bob", records_max=9)] == ["o-3"]
    assert store.read_open_orders("nobody", records_max=9) == []


def test_an_order_is_read_with_its_fills_by_its_own_user_alone(store: Store) -> None:
    """An order's id is no secret: it stands in logs and mails."""
    whole = Whole(COMPANY.orders["o-1"], tuple(COMPANY.fills["o-1"]))
    assert store.read_order("ann", "o-1") == whole
    assert store.read_order("ann", "o-2") == Whole(COMPANY.orders["o-2"], ())
    assert store.read_order("bob", "o-1") is None
    assert store.read_order("ann", "o-9") is None


def test_a_fill_that_names_another_users_order_is_not_shown(store_factory: StoreFactory) -> None:
    """Whatever a company says of him, it is none of this user's."""
    store = store_factory.open()
    [first, *_] = [event for event in COMPANY.events if event.trade_id and event.order_id == "o-1"]
    foreign = retell(first, event_id="ev-foreign", user_id="bob", trade_id="foreign")
    commit(store, [foreign], COMPANY.events)
    check(store, COMPANY)
    assert store.read_order("ann", "o-1") == Whole(
        COMPANY.orders["o-1"], tuple(COMPANY.fills["o-1"])
    )


@pytest.mark.parametrize("place", [0, 1])
def test_a_fill_that_is_told_again_is_one(store_factory: StoreFactory, place: int) -> None:
    """By its trade id, as its last event tells it, whichever comes first."""
    store = store_factory.open()
    [first, *_] = [event for event in COMPANY.events if event.trade_id and event.order_id == "o-1"]
    earlier = retell(first, event_id="ev-earlier", sequence=first.sequence - 1, fill_price="7")
    batches = [COMPANY.events]
    batches.insert(place, [earlier])
    commit(store, *batches)
    check(store, COMPANY)


def retell(event: AccountEvent, *, event_id: str, **changes: object) -> AccountEvent:
    return seal_account_event(msgspec.structs.replace(event, **changes), event_id=event_id)


def test_wallets_come_by_currency(store: Store) -> None:
    """With every digit, and with names that mean something to a database."""
    odd = store.read_wallets("Zoë: 100%")
    assert [(wallet.currency, wallet.available) for wallet in odd] == [
        ("$gt", "1"),
        ("USD", "0.000000000000000001"),
    ]


@pytest.mark.parametrize(
    ("span", "currency", "before", "records_max", "expected"),
    [
        (Span(), None, None, 99, [14, 13, 12, 8, 7, 5, 4, 3, 1]),
        (Span(), None, None, 2, [14, 13]),
        (Span(), None, 13, 2, [12, 8]),
        (Span(), "BTC", None, 99, [14, 7, 5]),
        (Span(), "BTC", 14, 1, [7]),
        (Span(NOON + 4 * SECOND, NOON + 8 * SECOND), None, None, 99, [7, 5, 4]),
        (Span(NOON + 4 * SECOND, None), "BTC", 8, 99, [7, 5]),
        (Span(), "ETH", None, 99, []),
    ],
)
def test_transactions_are_paged_newest_first_by_time_and_currency(
    store: Store,
    span: Span,
    currency: str | None,
    before: int | None,
    records_max: int,
    expected: list[int],
) -> None:
    """A page that begins one event too late is a payment that nobody ever sees."""
    found = store.read_transactions(
        "ann", span, currency=currency, before_sequence=before, records_max=records_max
    )
    assert found == [COMPANY.events[sequence - 1] for sequence in expected]


def test_sums_of_postings_are_the_wallets(store: Store) -> None:
    """Double entry: what a user has is what was posted to him, at any cut."""
    sums = list(store.sum_postings(through_sequence=99))
    assert [each[:3] for each in sums] == sorted(each[:3] for each in sums)
    own = {(each.user_id, each.account, each.currency): each.amount for each in sums}
    for (user, currency), wallet in COMPANY.wallets.items():
        assert own.get((user, "available", currency), 0) == Decimal(wallet.available)
        assert own.get((user, "locked", currency), 0) == Decimal(wallet.locked)
    assert sum(each.amount for each in sums if each.currency == "USD") == 0
    [cut] = [each for each in store.sum_postings(through_sequence=1) if each.account == "available"]
    assert cut == ("ann", "available", "USD", Decimal("1000.00"))


def test_sequences_are_all_there(store: Store) -> None:
    """A gap in them is a lost event, whatever the offsets say."""
    assert sorted(store.read_sequences()) == list(range(1, len(COMPANY.events) + 1))


def test_sums_of_postings_keep_every_digit(store_factory: StoreFactory) -> None:
    """A server that adds up in 34 digits would lose the smallest coin of the richest user."""
    opened, company = store_factory.open(), SmallCompany()
    for amount in ("9000000000000000", "0.000000000000000000000001", "1"):
        company.deposit("ann", "USD", amount)
    company.deposit("bob", "USD", "0.5")
    commit(opened, company.events)
    found = {
        (each.user_id, each.account): f"{each.amount:f}"
        for each in opened.sum_postings(through_sequence=9)
    }
    assert found == {
        ("ann", "available"): "9000000000000001.000000000000000000000001",
        ("ann", "outside"): "-9000000000000001.000000000000000000000001",
        ("bob", "available"): "0.5",
        ("bob", "outside"): "-0.5",
    }


def test_users_events_are_counted_up_to_a_sequence(store: Store) -> None:
    """Beside the user's own last number: a gap in them shows."""
    assert list(store.count_user_events(through_sequence=9)) == [("ann", 6, 6), ("bob", 3, 3)]
    [_, *others] = store.count_user_events(through_sequence=99)
    assert [each.user_id for each in others] == ["ann", "bob", "house"]


def test_events_tell_of_orders_up_to_a_sequence(store: Store) -> None:
    """An order that both stores have lost is known by them alone."""
    told = list(store.read_told_orders(through_sequence=99))
    last = {event.order_id: event for event in COMPANY.events if event.order_id is not None}
    assert [(each.order_id, each.user_id, each.sequence) for each in told] == [
        (order_id, last[order_id].user_id, last[order_id].sequence) for order_id in sorted(last)
    ]
    assert list(store.read_told_orders(through_sequence=5)) == [
        ("o-1", "ann", 5),
        ("o-2", "ann", 4),
    ]
    assert list(store.read_told_orders(through_sequence=2)) == []


def test_halves_of_a_match_stand_side_by_side(store: Store) -> None:
    """By symbol and trade, whatever the order of their events."""
    found = list(store.read_halves(through_sequence=99))
    assert [(each.trade_id, each.liquidity) for each in found] == [
        (trade, liquidity) for trade in ("14", "5", "7", "9") for liquidity in ("maker", "taker")
    ]
    assert found[2:4] == [
        Half("BTC-USD", "5", 5, "ann", "maker", "100.0", "0.5"),
        Half("BTC-USD", "5", 16, "house", "taker", "100.0", "0.5"),
    ]
    assert [each.sequence for each in store.read_halves(through_sequence=7)] == [5, 7]


def test_events_are_found_by_user_and_sequence(store: Store) -> None:
    """Only those pairs, not each user with each number."""
    wanted = [("ann", 4), ("bob", 2), ("bob", 4), ("ann", 2), ("nobody", 1)]
    found = sorted(store.read_account_events(wanted), key=lambda event: event.sequence)
    assert found == [COMPANY.events[1], COMPANY.events[3]]

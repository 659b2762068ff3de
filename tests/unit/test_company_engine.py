"""What becomes of an order, in figures that can be added up in the head.

One lot of BTC-USD is 0.000001 BTC; 0.1 BTC at 50,000.00 are 5,000 dollars, of which a taker pays
5.00 and a maker 2.00.
"""

import pytest

from crypto_platform.simulation.company.engine import Engine, RefusedError
from crypto_platform.simulation.company.events import Event, Order, OrderRequest, decode_event
from crypto_platform.simulation.company.ledger import Ledger, LedgerError
from tests.company_steps import NOON_US, USD

ANN, BOB, CYD = 1, 2, 3
TENTH = 100_000
AT_50_000 = 5_000_000


@pytest.fixture
def engine() -> Engine:
    """Ann has 100,000 dollars, Bob and Cyd a bitcoin each."""
    engine = Engine()
    engine.deposit(ANN, "USD", 100_000 * USD, time_us=NOON_US)
    engine.deposit(BOB, "BTC", 1_000_000, time_us=NOON_US)
    engine.deposit(CYD, "BTC", 1_000_000, time_us=NOON_US)
    return engine


def place(engine: Engine, user: int, side: str, quantity: int | None, **more: object) -> Order:
    values = {"product_id": "BTC-USD", "side": side, "type": "limit", "price": AT_50_000}
    return engine.place(user, OrderRequest(**values | {"quantity": quantity} | more), time_us=0)


def market(engine: Engine, user: int, side: str, quantity: int | None, **more: object) -> Order:
    return place(
        engine, user, side, quantity, type="market", price=None, time_in_force="ioc", **more
    )


def last_events(engine: Engine, count: int) -> list[Event]:
    return [decode_event(body) for _, _, body in engine.outbox.events[-count:]]


def dollars(amount: float) -> int:
    return round(amount * USD)


def test_an_accepted_order_locks_what_it_may_cost_with_a_takers_fee(engine: Engine) -> None:
    """Less would leave a fill unpaid; more would keep money from its owner."""
    order = place(engine, ANN, "buy", TENTH)
    [event] = last_events(engine, 1)
    assert (event.type, order.status) == ("order_accepted", "accepted")
    assert event.postings == [
        ("available", "USD", -dollars(5005)),
        ("locked", "USD", dollars(5005)),
    ]
    assert event.wallets == [("USD", dollars(94_995), dollars(5005))]


def test_a_match_is_two_events_and_each_balances(engine: Engine) -> None:
    """Maker first; clearing stands between them and is empty after both."""
    place(engine, BOB, "sell", TENTH)
    order = place(engine, ANN, "buy", TENTH, price=AT_50_000 + 100_000)
    maker, taker = last_events(engine, 2)
    assert (maker.user, maker.fill and maker.fill.liquidity) == (BOB, "maker")
    assert maker.postings == [
        ("locked", "BTC", -TENTH),
        ("clearing", "BTC", TENTH),
        ("clearing", "USD", -dollars(5000)),
        ("available", "USD", dollars(4998)),
        ("fees", "USD", dollars(2)),
    ]
    assert maker.wallets == [("BTC", 900_000, 0), ("USD", dollars(4998), 0)]
    # at the maker's price; what the higher limit had locked comes back with the last fill
    assert taker.postings == [
        ("locked", "USD", -dollars(5005)),
        ("clearing", "USD", dollars(5000)),
        ("clearing", "BTC", -TENTH),
        ("available", "BTC", TENTH),
        ("fees", "USD", dollars(5)),
        ("available", "USD", dollars(100.1)),
        ("locked", "USD", -dollars(100.1)),
    ]
    assert taker.wallets == [("USD", dollars(94_995), 0), ("BTC", TENTH, 0)]
    assert (order.status, order.filled_notional, order.fees) == (
        "filled",
        dollars(5000),
        dollars(5),
    )


def test_the_older_of_two_orders_of_one_price_is_met_first_and_keeps_its_place(
    engine: Engine,
) -> None:
    """A partial fill must not send an order to the end of the queue."""
    first = place(engine, BOB, "sell", 2 * TENTH)
    second = place(engine, CYD, "sell", TENTH)
    market(engine, ANN, "buy", TENTH)
    assert (first.filled_quantity, first.status) == (TENTH, "partially_filled")
    market(engine, ANN, "buy", TENTH)
    assert (first.status, second.status) == ("filled", "accepted")


def test_the_better_price_is_met_first_however_young(engine: Engine) -> None:
    """Price before time."""
    old = place(engine, BOB, "sell", TENTH)
    better = place(engine, CYD, "sell", TENTH, price=AT_50_000 - 1)
    market(engine, ANN, "buy", TENTH)
    assert (better.status, old.status) == ("filled", "accepted")


def test_what_is_left_of_a_limit_order_waits(engine: Engine) -> None:
    """And what it still holds stays locked."""
    place(engine, BOB, "sell", TENTH)
    order = place(engine, ANN, "buy", 3 * TENTH)
    assert (order.status, order.left) == ("partially_filled", 2 * TENTH)
    assert engine.books["BTC-USD"].best("buy") == AT_50_000
    assert engine.ledger.wallets[ANN]["USD"] == (dollars(84_985), dollars(10_010))


def test_immediate_or_cancel_never_waits(engine: Engine) -> None:
    """The rest ends in the event that says so, with its money."""
    place(engine, BOB, "sell", TENTH)
    order = place(engine, ANN, "buy", 3 * TENTH, time_in_force="ioc")
    assert (order.status, order.reason) == ("cancelled", "ioc_unfilled")
    assert order.filled_quantity == TENTH
    assert engine.ledger.wallets[ANN]["USD"] == (dollars(94_995), 0)
    assert engine.books["BTC-USD"].best("buy") is None


def test_post_only_is_rejected_where_it_would_take(engine: Engine) -> None:
    """Who asks for it does not want to pay the taker's fee."""
    place(engine, BOB, "sell", TENTH)
    order = place(engine, ANN, "buy", TENTH, post_only=True)
    [event] = last_events(engine, 1)
    assert (order.status, order.reason) == ("rejected", "post_only_would_cross")
    assert (event.postings, event.wallets, event.user_sequence) == ([], [], 2)
    assert (
        place(engine, ANN, "buy", TENTH, price=AT_50_000 - 1, post_only=True).status == "accepted"
    )


def test_a_market_buy_by_funds_spends_no_more_than_they_are(engine: Engine) -> None:
    """Fees included; what buys no further lot comes back."""
    place(engine, BOB, "sell", 10 * TENTH)
    order = market(engine, ANN, "buy", None, funds=dollars(1000))
    # 1,000 / 50,050 bitcoin
    assert (order.status, order.filled_quantity) == ("filled", 19_980)
    assert (order.filled_notional, order.fees) == (dollars(999), dollars(0.999))
    assert engine.ledger.wallets[ANN]["USD"] == (dollars(99_000.001), 0)


def test_a_market_order_without_counterparts_ends_at_once(engine: Engine) -> None:
    """It has no price at which it could wait."""
    for order in (
        market(engine, ANN, "buy", None, funds=dollars(100)),
        market(engine, ANN, "buy", TENTH),
        market(engine, BOB, "sell", TENTH),
    ):
        assert (order.status, order.reason) == ("cancelled", "no_liquidity")
    assert engine.ledger.wallets[ANN]["USD"] == (dollars(100_000), 0)
    assert engine.ledger.wallets[BOB]["BTC"] == (1_000_000, 0)


def test_nobody_trades_with_himself_and_the_waiting_order_stays(engine: Engine) -> None:
    """Cancel newest: filled up to one's own order, then ended."""
    engine.deposit(BOB, "USD", dollars(50_000), time_us=0)
    place(engine, CYD, "sell", TENTH)
    own = place(engine, BOB, "sell", TENTH)
    behind = place(engine, CYD, "sell", TENTH)
    order = place(engine, BOB, "buy", 3 * TENTH)
    assert (order.status, order.reason, order.filled_quantity) == ("cancelled", "self_trade", TENTH)
    assert (own.status, behind.status) == ("accepted", "accepted")


def test_an_order_beyond_what_is_available_is_rejected(engine: Engine) -> None:
    """What is locked for one order cannot pay for another."""
    assert place(engine, BOB, "sell", 900_000).status == "accepted"
    order = place(engine, BOB, "sell", 100_001)
    assert (order.status, order.reason) == ("rejected", "insufficient_funds")
    assert place(engine, BOB, "sell", 100_000).status == "accepted"


def test_orders_of_less_than_a_dollar_or_of_billions_are_rejected(engine: Engine) -> None:
    """Dust fills books; figures beyond what can be counted must never come in."""
    assert place(engine, ANN, "buy", 19).reason == "below_minimum"
    assert place(engine, ANN, "buy", 10**13).reason == "above_maximum"
    assert market(engine, ANN, "buy", None, funds=dollars(0.99)).reason == "below_minimum"
    for side in ("buy", "sell"):
        assert market(engine, BOB, side, 2**40 + 1).reason == "above_maximum"
    assert place(engine, BOB, "sell", 2**40 + 1, price=1).reason == "above_maximum"
    assert place(engine, BOB, "sell", 2**40, price=1).reason == "insufficient_funds"


def test_a_cancelled_order_gives_back_what_it_held(engine: Engine) -> None:
    """In the event that ends it."""
    order = place(engine, ANN, "buy", TENTH)
    engine.cancel(order, reason="user_cancelled", time_us=0)
    [event] = last_events(engine, 1)
    assert (event.type, order.status, order.hold) == ("order_cancelled", "cancelled", 0)
    assert event.wallets == [("USD", dollars(100_000), 0)]
    assert engine.books["BTC-USD"].best("buy") is None


def test_more_than_is_available_cannot_be_withdrawn(engine: Engine) -> None:
    """Nothing happens, and there is no event of it."""
    place(engine, ANN, "buy", TENTH)
    sequence = engine.sequence
    with pytest.raises(RefusedError):
        engine.withdraw(ANN, "USD", dollars(94_995.01), time_us=0)
    assert engine.sequence == sequence
    engine.withdraw(ANN, "USD", dollars(94_995), time_us=0)
    assert engine.ledger.wallets[ANN]["USD"] == (0, dollars(5005))


def test_time_stands_still_where_the_clock_falls_back(engine: Engine) -> None:
    """Times of events never fall with the sequence."""
    place(engine, ANN, "buy", TENTH)  # at 1970
    [event] = last_events(engine, 1)
    assert event.time_us == NOON_US


@pytest.mark.parametrize(
    "postings",
    [
        [("available", "USD", 5), ("outside", "USD", -4)],
        [("available", "USD", 5), ("outside", "BTC", -5)],
        [("available", "USD", -1), ("outside", "USD", 1)],
        [("locked", "USD", -1), ("available", "USD", 1)],
    ],
)
def test_postings_that_do_not_balance_or_overdraw_are_not_booked(postings: list) -> None:
    """The ledger is the last to notice a mistake of the engine."""
    ledger = Ledger()
    with pytest.raises(LedgerError):
        ledger.post(ANN, postings)
    assert (ledger.wallets, ledger.totals) == ({}, {})

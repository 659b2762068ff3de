"""The company's engine beside a naive one, and every event of it proved as it comes.

Here: random actions, a model that sorts all waiting orders anew for each arriving one, what must
hold after every action. Not here: which actions are tried (the tests).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crypto_platform.simulation.company.engine import Engine, Outbox, RefusedError
from crypto_platform.simulation.company.events import (
    OPEN,
    Event,
    Order,
    OrderRequest,
    decode_event,
)
from crypto_platform.simulation.company.journal import Journal
from crypto_platform.simulation.company.products import PRODUCTS, choose_products
from crypto_platform.simulation.company.proof import Proof, check_holds
from crypto_platform.simulation.company.references import OwnPrices
from crypto_platform.simulation.company.traders import Traders

NOON_US = 1_795_435_200_000_000
"""2026-11-23 12:00:00 UTC."""
USD = 10**8
FIVE = choose_products(["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"])

_TAKER_PPM = 1000
_PRODUCT_IDS = ("BTC-USD", "DOGE-USD")
_BASE_PRICES = {"BTC-USD": 9_300_000, "DOGE-USD": 16_000}
_BASE_LOTS = {"BTC-USD": 1000, "DOGE-USD": 150}


@dataclass(frozen=True)
class Action:
    """One thing somebody does; small numbers, so that orders meet often.

    Attributes:
        kind: 0 to 5: a limit order; 6, 7: a market order; 8: cancel; 9: deposit, or withdrawal
            where `size` is even.
        level: Of the price, -6 to 6 ticks.
        size: Of the quantity, the funds or the amount, 1 to 20.
        flags: Bit 0: the side, 1: post-only or by funds, 2: immediate or cancel.
    """

    kind: int
    user: int
    product: int
    level: int
    size: int
    flags: int


def draw_action(dice: random.Random) -> Action:
    return Action(
        kind=dice.randrange(10),
        user=dice.randint(1, 5),
        product=dice.randrange(2),
        level=dice.randint(-6, 6),
        size=dice.randint(1, 20),
        flags=dice.randrange(8),
    )


class Rehearsal:
    """An engine that is watched."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.proof = Proof()
        self.bodies: list[bytes] = []
        self.time_us = NOON_US
        self.kinds: dict[str, int] = {}

    def act(self, action: Action) -> None:
        """Do it, and check everything."""
        # now and then the clock falls back
        self.time_us += 1000 if action.size > 1 else -500
        waiting = {order.number: order.left for order in self.engine.orders.values()}
        expected: list[tuple[int, int, int]] = []
        request = build_request(action)
        if request is not None:
            expected = meet(list(self.engine.orders.values()), request, user=action.user)
            self.engine.place(action.user, request, time_us=self.time_us)
        else:
            self._do_otherwise(action)
        events = self.take_events()
        if not any(event.type == "order_rejected" for event in events):
            assert list_matches(events) == expected
        check_waiting(waiting, events, self.engine)
        for product_id in _PRODUCT_IDS:
            check_book(self.engine, product_id)

    def check_all(self) -> None:
        """What is too slow after every action."""
        check_holds(self.engine)
        for wallets in self.engine.ledger.wallets.values():
            assert min(min(wallet) for wallet in wallets.values()) >= 0
        sums: dict[str, int] = {}
        for (_, currency), amount in self.engine.ledger.totals.items():
            sums[currency] = sums.get(currency, 0) + amount
        assert not any(sums.values())
        assert self.engine.ledger.totals == self.proof.totals
        assert self.engine.orders == self.proof.orders

    def _do_otherwise(self, action: Action) -> None:
        if action.kind == 8:
            open_orders = list(self.engine.orders.values())
            if open_orders:
                order = open_orders[action.size % len(open_orders)]
                self.engine.cancel(order, reason="user_cancelled", time_us=self.time_us)
            return
        currency = (*(PRODUCTS[each].base for each in _PRODUCT_IDS), "USD")[action.level % 3]
        move = self.engine.deposit if action.size % 2 else self.engine.withdraw
        try:
            move(action.user, currency, action.size * 200 * 10**6, time_us=self.time_us)
        except RefusedError:
            assert move == self.engine.withdraw

    def take_events(self) -> list[Event]:
        bodies = [body for _, _, body in self.engine.outbox.events]
        self.engine.outbox = Outbox()
        self.bodies += bodies
        events = [decode_event(body) for body in bodies]
        for event in events:
            self.proof.read(event)
            status = f"{event.order.status} {event.order.reason}" if event.order else ""
            key = f"{event.type} {status}".strip()
            self.kinds[key] = self.kinds.get(key, 0) + 1
        return events


def build_request(action: Action) -> OrderRequest | None:
    """The order of an action; None where it is something else."""
    if action.kind > 7:
        return None
    product_id = _PRODUCT_IDS[action.product]
    side = "buy" if action.flags & 1 else "sell"
    quantity = action.size * _BASE_LOTS[product_id] // 3
    is_ioc = bool(action.flags & 4)
    if action.kind < 6:
        return OrderRequest(
            product_id=product_id,
            side=side,
            type="limit",
            price=_BASE_PRICES[product_id] + action.level,
            quantity=quantity,
            time_in_force="ioc" if is_ioc else "gtc",
            post_only=bool(action.flags & 2) and not is_ioc,
        )
    by_funds = side == "buy" and bool(action.flags & 2)
    return OrderRequest(
        product_id=product_id,
        side=side,
        type="market",
        quantity=None if by_funds else quantity,
        funds=action.size * 37 * USD + action.level if by_funds else None,
        time_in_force="ioc",
    )


def meet(waiting: list[Order], request: OrderRequest, *, user: int) -> list[tuple[int, int, int]]:
    """Whom an order meets: number, price, lots; by sorting all that waits by price, then age."""
    sign = 1 if request.side == "buy" else -1
    others = sorted(
        (
            (sign * (order.request.price or 0), order.number, order)
            for order in waiting
            if order.request.product_id == request.product_id and order.request.side != request.side
        ),
        key=lambda each: each[:2],
    )
    unit = PRODUCTS[request.product_id].notional_unit
    left, funds = request.quantity or 0, request.funds
    met: list[tuple[int, int, int]] = []
    for price, number, order in others:
        if request.price is not None and price > sign * request.price:
            break
        if funds is not None:
            left = search_affordable(funds, abs(price) * unit)
        if left == 0 or order.user == user:
            break
        lots = min(left, order.left)
        met.append((number, abs(price), lots))
        left -= lots
        if funds is not None:
            funds -= cost_of(lots, abs(price) * unit)
    return met


def cost_of(lots: int, unit_price: int) -> int:
    return lots * unit_price + lots * unit_price * _TAKER_PPM // 1_000_000


def search_affordable(funds: int, unit_price: int) -> int:
    """The most lots whose cost is within funds, by halving."""
    low, high = 0, funds // unit_price + 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost_of(middle, unit_price) <= funds else (low, middle - 1)
    return low


def list_matches(events: list[Event]) -> list[tuple[int, int, int]]:
    """The makers' halves: number, price, lots."""
    return [
        (event.order.number, event.fill.price, event.fill.quantity)
        for event in events
        if event.fill and event.order and event.fill.liquidity == "maker"
    ]


def check_waiting(before: dict[int, int], events: list[Event], engine: Engine) -> None:
    """An order that was not named by an event waits as it did."""
    touched = {event.order.number for event in events if event.order}
    after = {order.number: order.left for order in engine.orders.values()}
    for number in before.keys() - touched:
        assert after[number] == before[number]
    assert all(order.status in OPEN and order.left > 0 for order in engine.orders.values())


def check_book(engine: Engine, product_id: str) -> None:
    """Never crossed; sorted; what it shows is what waits."""
    book = engine.books[product_id]
    bids, asks = (book.list_levels(side, 10**6) for side in ("buy", "sell"))
    prices = [level.price for level in (*reversed(bids), *asks)]
    assert prices == sorted(set(prices))
    mine = [order for order in engine.orders.values() if order.request.product_id == product_id]
    assert sum(level.quantity for level in (*bids, *asks)) == sum(order.left for order in mine)
    assert sum(level.orders for level in (*bids, *asks)) == len(mine)


@dataclass
class Trading:
    """Traders and a journal in a folder, without a server; a step has its own time."""

    folder: Path
    users: int = 50
    seed: int = 7
    steps_a_second: int = 20

    def run(self, until: int, *, batch: int = 7) -> None:
        """Open, trade up to a step, close; as if the process had ended there."""
        journal = Journal(self.folder)
        try:
            self.trade(journal, until, batch=batch)
        finally:
            journal.close()

    def trade(self, journal: Journal, until: int, *, batch: int) -> Engine:
        engine = journal.load()
        traders = Traders(engine, OwnPrices(seed=7), seed=self.seed, products=FIVE)
        step = journal.step
        while step < until:
            step += 1
            time_us = NOON_US + step * 1_000_000 // self.steps_a_second
            traders.act(step, users=self.users, time_us=time_us)
            if step % batch == 0 or step == until:
                journal.write(engine, step=step)
        return engine

    def read(self) -> list[bytes]:
        """All events as they are kept."""
        journal = Journal(self.folder)
        try:
            return [body for _, _, body in journal.iterate_rows()]
        finally:
            journal.close()


def iterate_events(journal: Journal) -> Iterator[Event]:
    for _, _, body in journal.iterate_rows():
        yield decode_event(body)

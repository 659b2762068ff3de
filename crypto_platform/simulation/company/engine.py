"""The company's heart: commands become events, and the state that follows from them.

Here: orders, cancels, deposits and withdrawals; what each locks, moves and unlocks. Not here: which
orders meet (matching.py), the rules of posting (ledger.py), durability (journal.py). Pure: the time
is handed in, and the same commands at the same times give the same events, byte for byte.

What came of commands gathers in `outbox` until the journal has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crypto_platform.simulation.company.book import Book
from crypto_platform.simulation.company.events import (
    OPEN,
    Event,
    EventType,
    Fill,
    Order,
    OrderRequest,
    Posting,
    Status,
    Trade,
    encode_event,
)
from crypto_platform.simulation.company.fees import Fees
from crypto_platform.simulation.company.ledger import Ledger
from crypto_platform.simulation.company.matching import Plan, plan_matches, would_cross
from crypto_platform.simulation.company.products import (
    AMOUNT_MAX,
    NOTIONAL_MIN,
    PRODUCTS,
    QUANTITY_MAX,
    QUOTE_CURRENCY,
    Product,
)


class RefusedError(Exception):
    """A command that is none: nothing has happened, and there is no event of it."""


@dataclass(slots=True)
class Outbox:
    """What the journal does not have yet.

    Attributes:
        events: Sequence, user, bytes.
        users: Whose wallets or numbers have changed.
        orders: Open orders that are new or have changed, by number.
        ended: Orders that ended, by number, with the sequence of the event that ended them.
        named: Orders with a name of their caller's, by user and name.
    """

    events: list[tuple[int, int, bytes]] = field(default_factory=list[tuple[int, int, bytes]])
    users: set[int] = field(default_factory=set[int])
    orders: dict[int, Order] = field(default_factory=dict[int, Order])
    ended: dict[int, tuple[int, Order]] = field(default_factory=dict[int, tuple[int, Order]])
    named: dict[tuple[int, str], Order] = field(default_factory=dict[tuple[int, str], Order])
    trades: list[Trade] = field(default_factory=list[Trade])


class Engine:
    """All books, orders and wallets."""

    def __init__(self, fees: Fees | None = None) -> None:
        """Begin empty; journal.py fills it from what was kept."""
        self.fees = fees or Fees()
        self.ledger = Ledger()
        self.books = {product_id: Book() for product_id in PRODUCTS}
        self.orders: dict[int, Order] = {}
        self.orders_of_user: dict[int, dict[int, Order]] = {}
        self.user_sequences: dict[int, int] = {}
        self.trade_ids = dict.fromkeys(PRODUCTS, 0)
        self.sequence = 0
        self.time_us = 0
        self.orders_count = 0
        """Since this process began; so is `fills_count`, which counts matches."""
        self.fills_count = 0
        self.outbox = Outbox()

    def deposit(self, user: int, currency: str, amount: int, *, time_us: int) -> None:
        """Take an amount from outside.

        Raises:
            RefusedError: The company would keep more than it can count.
        """
        kept = -self.ledger.totals.get(("outside", currency), 0)
        if kept + amount > AMOUNT_MAX:
            text = f"the company keeps {kept} units of {currency} and cannot keep {amount} more"
            raise RefusedError(text)
        self._pass(time_us)
        postings: list[Posting] = [
            ("outside", currency, -amount),
            ("available", currency, amount),
        ]
        self._emit("deposit", user, postings)

    def withdraw(self, user: int, currency: str, amount: int, *, time_us: int) -> None:
        """Give an amount back to the outside.

        Raises:
            RefusedError: The user has less available.
        """
        available = self.ledger.available(user, currency)
        if available < amount:
            text = f"{available} units of {currency} are available, {amount} were asked for"
            raise RefusedError(text)
        self._pass(time_us)
        postings: list[Posting] = [
            ("available", currency, -amount),
            ("outside", currency, amount),
        ]
        self._emit("withdrawal", user, postings)

    def place(self, user: int, request: OrderRequest, *, time_us: int) -> Order:
        """Take an order: it is rejected, or accepted, matched, and then rests or ends."""
        self._pass(time_us)
        self.orders_count += 1
        order = Order(number=self.sequence + 1, user=user, request=request, created_us=self.time_us)
        if request.client_order_id is not None:
            self.outbox.named[user, request.client_order_id] = order
        product = PRODUCTS[request.product_id]
        book = self.books[request.product_id]
        reason = _find_fault(request, product, book)
        plan = plan_matches(book, product, request, user=user, fees=self.fees)
        hold = self._find_hold(request, product, plan)
        if reason is None and self.ledger.available(user, _held_currency(order)) < hold:
            reason = "insufficient_funds"
        if reason is not None:
            order.status, order.reason = "rejected", reason
            self._emit("order_rejected", user, [], order)
            self.outbox.ended[order.number] = (self.sequence, order)
            return order
        order.hold = hold
        self._emit("order_accepted", user, _move_hold(order, hold), order)
        for place, (maker, quantity) in enumerate(plan.matches, 1):
            ends = plan.end == "filled" and place == len(plan.matches)
            self._match(maker, order, product, quantity, ends_taker=ends)
        self._settle(order, book, plan)
        return order

    def cancel(self, order: Order, *, reason: str, time_us: int) -> None:
        """End an order that waits, and unlock what is left."""
        self._pass(time_us)
        book = self.books[order.request.product_id]
        book.remove(order)
        self._end(order, "cancelled", reason)
        book.sequence = self.sequence

    def restore(self, order: Order) -> None:
        """Put an open order back, as the journal has it; in rising order of numbers."""
        self._open(order)

    def _settle(self, order: Order, book: Book, plan: Plan) -> None:
        """What becomes of an order after its last match."""
        if order.status == "filled":
            return
        if plan.end == "rests":
            self._open(order)
            self.outbox.orders[order.number] = order
            book.sequence = self.sequence
            return
        # funds that buy no single lot
        self._end(order, "cancelled", "below_minimum" if plan.end == "filled" else plan.end)

    def _find_hold(self, request: OrderRequest, product: Product, plan: Plan) -> int:
        if request.side == "sell":
            return request.quantity or 0
        if request.funds is not None:
            return request.funds
        if request.price is None:
            return plan.cost
        notional = request.price * (request.quantity or 0) * product.notional_unit
        return notional + self.fees.of_taker(notional)

    def _match(
        self, maker: Order, taker: Order, product: Product, quantity: int, *, ends_taker: bool
    ) -> None:
        price = maker.request.price or 0
        trade_id = self.trade_ids[product.product_id] + 1
        self.trade_ids[product.product_id] = trade_id
        self.fills_count += 1
        notional = price * quantity * product.notional_unit
        fee = self.fees.of_maker(notional)
        is_filled = quantity == maker.left
        if is_filled:
            self._close(maker)
        else:
            self.outbox.orders[maker.number] = maker
        fill = Fill(trade_id, price, quantity, "maker", fee)
        self._fill(maker, product, fill, notional, is_filled=is_filled)
        fee = self.fees.of_taker(notional)
        fill = Fill(trade_id, price, quantity, "taker", fee)
        self._fill(taker, product, fill, notional, is_filled=ends_taker)
        self.books[product.product_id].sequence = self.sequence
        self.outbox.trades.append(
            Trade(product.product_id, trade_id, self.time_us, price, quantity, maker.request.side)
        )

    def _fill(
        self, order: Order, product: Product, fill: Fill, notional: int, *, is_filled: bool
    ) -> None:
        base, fee, quantity = product.base, fill.fee, fill.quantity
        order.filled_quantity += quantity
        order.filled_notional += notional
        order.fees += fee
        if order.request.side == "buy":
            order.hold -= notional + fee
            postings: list[Posting] = [
                ("locked", QUOTE_CURRENCY, -notional - fee),
                ("clearing", QUOTE_CURRENCY, notional),
                ("clearing", base, -quantity),
                ("available", base, quantity),
            ]
        else:
            order.hold -= quantity
            postings = [
                ("locked", base, -quantity),
                ("clearing", base, quantity),
                ("clearing", QUOTE_CURRENCY, -notional),
                ("available", QUOTE_CURRENCY, notional - fee),
            ]
        if fee:
            postings.append(("fees", QUOTE_CURRENCY, fee))
        order.status = "filled" if is_filled else "partially_filled"
        if is_filled:
            postings += _move_hold(order, -order.hold)
            order.hold = 0
        self._emit("order_filled", order.user, postings, order, fill)
        if is_filled:
            self.outbox.ended[order.number] = (self.sequence, order)

    def _end(self, order: Order, status: Status, reason: str) -> None:
        """End an order that is not filled: it unlocks what is left."""
        self._forget(order)
        postings = _move_hold(order, -order.hold)
        order.hold = 0
        order.status, order.reason = status, reason
        self._emit("order_cancelled", order.user, postings, order)
        self.outbox.ended[order.number] = (self.sequence, order)

    def _open(self, order: Order) -> None:
        assert order.status in OPEN
        self.books[order.request.product_id].add(order)
        self.orders[order.number] = order
        self.orders_of_user.setdefault(order.user, {})[order.number] = order

    def _close(self, order: Order) -> None:
        self.books[order.request.product_id].remove(order)
        self._forget(order)

    def _forget(self, order: Order) -> None:
        self.outbox.orders.pop(order.number, None)
        if self.orders.pop(order.number, None) is not None:
            del self.orders_of_user[order.user][order.number]

    def _emit(
        self,
        type_: EventType,
        user: int,
        postings: Sequence[Posting],
        order: Order | None = None,
        fill: Fill | None = None,
    ) -> None:
        wallets = self.ledger.post(user, postings)
        self.sequence += 1
        user_sequence = self.user_sequences.get(user, 0) + 1
        self.user_sequences[user] = user_sequence
        event = Event(
            self.sequence,
            user,
            user_sequence,
            type_,
            self.time_us,
            order,
            fill,
            list(postings),
            wallets,
        )
        self.outbox.events.append((self.sequence, user, encode_event(event)))
        self.outbox.users.add(user)

    def _pass(self, time_us: int) -> None:
        """Let time pass; a clock set back stands still until it has caught up."""
        self.time_us = max(self.time_us, time_us)


def _find_fault(request: OrderRequest, product: Product, book: Book) -> str | None:
    """Why an order is not taken, its money apart."""
    quantity, price = request.quantity or 0, request.price
    notional = request.funds if price is None else price * quantity * product.notional_unit
    if notional is not None and notional < NOTIONAL_MIN:
        return "below_minimum"
    if quantity > QUANTITY_MAX or (notional or 0) > AMOUNT_MAX // 2:
        return "above_maximum"
    if request.post_only and would_cross(book, request):
        return "post_only_would_cross"
    return None


def _held_currency(order: Order) -> str:
    request = order.request
    return QUOTE_CURRENCY if request.side == "buy" else PRODUCTS[request.product_id].base


def _move_hold(order: Order, amount: int) -> list[Posting]:
    """Postings that lock an amount for an order, or unlock it where it is negative."""
    if amount == 0:
        return []
    currency = _held_currency(order)
    return [("available", currency, -amount), ("locked", currency, amount)]

"""The company's users: who acts at a step, and what they do.

Here: four kinds of users and their habits. Not here: what becomes of their orders (engine.py), when
a step is due (company.py). A step's acts follow from the seed, the step's number, the time and the
state of the books and wallets: the same again, the same acts.

Of N users the first are market makers, who keep orders waiting on both sides of the reference
price; of the others every tenth is a bot, which moves its one order to the front of a book; two of
five are takers, who trade now in either direction; the rest are investors, who buy for part of what
they earn, and hold. A user joins with a first deposit when first in turn.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from crypto_platform.simulation.company.dice import Dice
from crypto_platform.simulation.company.engine import Engine, RefusedError
from crypto_platform.simulation.company.events import Order, OrderRequest, Side
from crypto_platform.simulation.company.products import QUOTE_CURRENCY, QUOTE_DECIMALS, Product
from crypto_platform.simulation.company.references import References

USERS_MAX = 999_999
"""Ids have six digits."""
MAKERS_MAX = 40
MAKER_ORDERS = 8
"""Of one maker in one product; then each new order replaces the oldest."""

_USD = 10**QUOTE_DECIMALS
_MAKER_FUNDS = 1_000_000 * _USD
_MAKERS_PER_MILLE = 550
_SPREAD_PPM = 150
_DEPTH_PPM = 4000


@dataclass(frozen=True, slots=True)
class _Turn:
    """One user's turn: who, in which product, at which reference price in ticks, by which dice."""

    user: int
    product: Product
    price: int
    dice: Dice
    step: int
    time_us: int


class Traders:
    """All users of one seed."""

    def __init__(
        self, engine: Engine, references: References, *, seed: int, products: Sequence[Product]
    ) -> None:
        """Let users trade products at an engine."""
        self._engine = engine
        self._references = references
        self._seed = seed
        self._products = products

    def act(self, step: int, *, users: int, time_us: int) -> None:
        """Let one of `users` users place one order, and do what belongs to it.

        Args:
            step: Of all time; each once.
            users: At least 2.
            time_us: Now.
        """
        dice = Dice(self._seed, step)
        makers = min(max(users // 50, 2), MAKERS_MAX)
        is_maker = users == makers or dice.chance(_MAKERS_PER_MILLE)
        user = 1 + dice.below(makers) if is_maker else makers + 1 + dice.below(users - makers)
        product = self._products[dice.below(len(self._products))]
        price = self._references.read(product, time_us)
        turn = _Turn(user, product, price, dice, step, time_us)
        if is_maker:
            self._make_market(turn)
        elif user % 10 == 0:
            self._lead(turn)
        elif user % 5 in {1, 2}:
            self._take(turn)
        else:
            self._invest(turn)

    def _make_market(self, turn: _Turn) -> None:
        """Place an order around the reference price, in place of the oldest.

        Waiting orders that the reference has passed would be picked off, so they go; one new order
        in five is not post-only, so that what others left behind it is picked off.
        """
        self._keep(turn, QUOTE_CURRENCY, _MAKER_FUNDS // 10, top_up=_MAKER_FUNDS)
        base = turn.product.base
        lots = _lots_for(turn, _MAKER_FUNDS // 10)
        self._keep(turn, base, lots // 10, top_up=lots)
        mine = self._list_own(turn, turn.product.product_id)
        passed = [order for order in mine if _is_passed(order, turn.price)]
        kept = [order for order in mine if order not in passed]
        self._cancel(turn, passed + kept[: max(len(kept) - MAKER_ORDERS + 1, 0)])
        side: Side = "buy" if turn.dice.below(2) else "sell"
        distance = turn.price * turn.dice.between(_SPREAD_PPM, _DEPTH_PPM) // 1_000_000
        self._place_limit(
            turn,
            side,
            price=turn.price + (-distance if side == "buy" else distance),
            quantity=_lots_for(turn, turn.dice.between(200, 3000) * _USD),
            post_only=turn.dice.below(5) > 0,
        )

    def _lead(self, turn: _Turn) -> None:
        """A bot: its one order goes a tick before the best one of its side."""
        self._keep(turn, QUOTE_CURRENCY, 1000 * _USD, top_up=20_000 * _USD)
        self._cancel(turn, self._list_own(turn))
        side: Side = "buy" if turn.dice.below(2) else "sell"
        quantity = _lots_for(turn, turn.dice.between(20, 400) * _USD)
        if self._available(turn, turn.product.base) < quantity:
            side = "buy"
        best = self._engine.books[turn.product.product_id].best(side)
        step = 1 if side == "buy" else -1
        self._place_limit(
            turn,
            side,
            price=(turn.price if best is None else best) + step,
            quantity=quantity,
            client_order_id=f"bot-{turn.step}",
        )

    def _take(self, turn: _Turn) -> None:
        """Trade now: at the market, or as far as a limit goes; now and then more than there is."""
        dice = turn.dice
        self._keep(turn, QUOTE_CURRENCY, 100 * _USD, top_up=dice.between(1, 10) * 1000 * _USD)
        self._cancel(turn, self._list_own(turn))
        quantity = _lots_for(turn, dice.between(20, 1500) * _USD)
        held = self._available(turn, turn.product.base)
        side: Side = "sell" if held and dice.chance(550) else "buy"
        if side == "sell" and not dice.chance(30):
            quantity = min(quantity, held)
        is_limit = dice.chance(600)
        distance = turn.price * dice.between(0, 3000) // 1_000_000
        self._place(
            turn,
            OrderRequest(
                product_id=turn.product.product_id,
                side=side,
                type="limit" if is_limit else "market",
                price=turn.price + (distance if side == "buy" else -distance) if is_limit else None,
                quantity=quantity,
                time_in_force="gtc" if is_limit and dice.chance(300) else "ioc",
            ),
        )

    def _invest(self, turn: _Turn) -> None:
        """Buy for a part of one's money and hold; seldom sell some, or take money out."""
        dice = turn.dice
        self._keep(turn, QUOTE_CURRENCY, 50 * _USD, top_up=dice.between(2, 50) * 100 * _USD)
        money = self._available(turn, QUOTE_CURRENCY)
        held = self._available(turn, turn.product.base)
        amount = money // 2
        if dice.chance(30) and amount:
            self._engine.withdraw(turn.user, QUOTE_CURRENCY, amount, time_us=turn.time_us)
            money -= amount
        sells = held > 0 and dice.chance(60)
        self._place(
            turn,
            OrderRequest(
                product_id=turn.product.product_id,
                side="sell" if sells else "buy",
                type="market",
                quantity=max(held // 2, 1) if sells else None,
                funds=None if sells else money * dice.between(5, 40) // 100 // 100 * 100,
                time_in_force="ioc",
            ),
        )

    def _available(self, turn: _Turn, currency: str) -> int:
        return self._engine.ledger.available(turn.user, currency)

    def _keep(self, turn: _Turn, currency: str, smallest: int, *, top_up: int) -> None:
        """Bring money where there is less than `smallest`, as long as the company takes it."""
        if self._available(turn, currency) < smallest:
            with contextlib.suppress(RefusedError):
                self._engine.deposit(turn.user, currency, top_up, time_us=turn.time_us)

    def _list_own(self, turn: _Turn, product_id: str | None = None) -> list[Order]:
        """The user's waiting orders, of one product or all, the oldest first."""
        mine = self._engine.orders_of_user.get(turn.user, {})
        return [order for order in mine.values() if product_id in {None, order.request.product_id}]

    def _cancel(self, turn: _Turn, orders: Sequence[Order]) -> None:
        for order in orders:
            self._engine.cancel(order, reason="user_cancelled", time_us=turn.time_us)

    def _place_limit(
        self,
        turn: _Turn,
        side: Side,
        *,
        price: int,
        quantity: int,
        post_only: bool = False,
        client_order_id: str | None = None,
    ) -> None:
        """Place an order that may wait; at a tick, where the price would be none."""
        self._place(
            turn,
            OrderRequest(
                product_id=turn.product.product_id,
                side=side,
                type="limit",
                price=max(price, 1),
                quantity=quantity,
                post_only=post_only,
                client_order_id=client_order_id,
            ),
        )

    def _place(self, turn: _Turn, request: OrderRequest) -> None:
        self._engine.place(turn.user, request, time_us=turn.time_us)


def _lots_for(turn: _Turn, amount: int) -> int:
    """How many lots an amount of money buys at the reference price; at least one."""
    return max(amount // (turn.price * turn.product.notional_unit), 1)


def _is_passed(order: Order, price: int) -> bool:
    """Whether a waiting order is better than the reference price for who takes it."""
    limit = order.request.price or 0
    return limit >= price if order.request.side == "buy" else limit <= price

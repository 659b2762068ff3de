"""Which waiting orders an arriving one meets, and how it ends: a plan that changes nothing.

Price-time priority: the best price first, at one price the oldest first, at the waiting order's
price. Self-trade prevention is "cancel newest": an arriving order that would meet one of its own
user is filled up to there, and what is left of it is cancelled; the waiting one stays.
"""

from dataclasses import dataclass, field
from typing import Literal

from crypto_platform.simulation.company.book import OPPOSITE, Book
from crypto_platform.simulation.company.events import Order, OrderRequest
from crypto_platform.simulation.company.fees import Fees
from crypto_platform.simulation.company.products import Product

End = Literal["filled", "rests", "self_trade", "ioc_unfilled", "no_liquidity"]


@dataclass(slots=True, kw_only=True)
class Plan:
    """What becomes of an arriving order.

    Attributes:
        matches: Waiting order and lots, in the order in which they are met.
        cost: Of all matches as a taker: notional and fees, in units of the quote currency.
        end: What becomes of the rest; "rests" where it stays in the book.
    """

    matches: list[tuple[Order, int]] = field(default_factory=list[tuple[Order, int]])
    cost: int = 0
    end: End = "filled"


def plan_matches(
    book: Book, product: Product, request: OrderRequest, *, user: int, fees: Fees
) -> Plan:
    """Say what an order of `user` would meet in the book as it is."""
    plan = Plan()
    left = request.quantity or 0
    funds = request.funds
    for maker in book.walk(OPPOSITE[request.side]):
        price = maker.request.price or 0
        if not _is_good(request, price):
            break
        if funds is not None:
            left = fees.afford(funds - plan.cost, price * product.notional_unit)
        if left == 0:
            return plan
        if maker.user == user:
            plan.end = "self_trade"
            return plan
        quantity = min(left, maker.left)
        notional = price * quantity * product.notional_unit
        plan.matches.append((maker, quantity))
        plan.cost += notional + fees.of_taker(notional)
        left -= quantity
        if left == 0:
            return plan
    plan.end = _end_of_rest(request)
    return plan


def _is_good(request: OrderRequest, price: int) -> bool:
    limit = request.price
    if limit is None:
        return True
    return price <= limit if request.side == "buy" else price >= limit


def _end_of_rest(request: OrderRequest) -> End:
    if request.type == "market":
        return "no_liquidity"
    return "ioc_unfilled" if request.time_in_force == "ioc" else "rests"


def would_cross(book: Book, request: OrderRequest) -> bool:
    """Whether an order would meet anything at all."""
    best = book.best(OPPOSITE[request.side])
    return best is not None and _is_good(request, best)

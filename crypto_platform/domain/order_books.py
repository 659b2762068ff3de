"""What an order book says at a glance: spread and mid price, exact.

Here: figures of one snapshot, amounts as text in stored form. Not here: books kept up from changes.
"""

from collections.abc import Sequence
from decimal import Decimal

from crypto_platform.domain import exact


def find_spread(bid_prices: Sequence[str], ask_prices: Sequence[str]) -> str | None:
    """Best ask - best bid; None where a side is empty. Negative where the book is crossed."""
    if not bid_prices or not ask_prices:
        return None
    return format(exact.subtract(Decimal(ask_prices[0]), Decimal(bid_prices[0])), "f")


def find_mid_price(bid_prices: Sequence[str], ask_prices: Sequence[str]) -> str | None:
    """Halfway between best bid and best ask; None where a side is empty."""
    if not bid_prices or not ask_prices:
        return None
    both = exact.add(Decimal(ask_prices[0]), Decimal(bid_prices[0]))
    return format(exact.multiply(both, Decimal("0.5")), "f")

"""Double entry, exactly: postings are signed amounts whose sum is zero in every currency.

Here: sums by currency, whatever the scales. Not here: who posts what to which account (feeds/
account_events.py).
"""

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation

from crypto_platform.domain.money import DIGITS_MAX, SCALE_MAX

# digits before and behind the point of any amount, and room for 10^15 of them
_EXACT = Context(prec=DIGITS_MAX + SCALE_MAX + 15, traps=[Inexact, InvalidOperation])
_ZERO = Decimal(0)


def add(one: Decimal, other: Decimal) -> Decimal:
    """Their sum, never rounded."""
    return _EXACT.add(one, other)


def multiply(one: Decimal, other: Decimal) -> Decimal:
    """Their product, never rounded."""
    return _EXACT.multiply(one, other)


def sum_by_currency(postings: Iterable[tuple[str, str]]) -> Mapping[str, Decimal]:
    """The sum of each currency's postings.

    Args:
        postings: Currency and amount in stored form.
    """
    sums: dict[str, Decimal] = {}
    for currency, amount in postings:
        sums[currency] = _EXACT.add(sums.get(currency, _ZERO), Decimal(amount))
    return sums

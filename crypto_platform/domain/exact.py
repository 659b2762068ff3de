"""Arithmetic on amounts that rounds nowhere but where it says so.

Here: sums and products without any rounding, shares that add up, and how a report rounds. All of it
in a context of its own: the thread's is anybody's (a library may change it), and its 28 digits are
fewer than an amount's 34. Not here: what the numbers mean.

What is divided is cut, not rounded, at 50 decimals, and what was cut off a share stays with the
rest: so the shares of a whole add up to it, whatever their number.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import (
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from typing import Generic, NamedTuple, TypeVar

QUOTIENT_DECIMALS = 50
ZERO = Decimal(0)
ONE = Decimal(1)

_DIGITS = 1000
"""More than sums of amounts times a chain of prices have: 34 digits and 100 decimals each."""

EXACT = Context(prec=_DIGITS, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Whatever it would have to round, it refuses."""

_CUTTING = Context(
    prec=_DIGITS, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_GRID = Decimal(1).scaleb(-QUOTIENT_DECIMALS)

Key = TypeVar("Key", bound=Hashable)


def add(first: Decimal, second: Decimal) -> Decimal:
    """The sum."""
    return EXACT.add(first, second)


def subtract(first: Decimal, second: Decimal) -> Decimal:
    """The first without the second."""
    return EXACT.subtract(first, second)


def multiply(first: Decimal, second: Decimal) -> Decimal:
    """The product."""
    return EXACT.multiply(first, second)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of any number; zero of none."""
    whole = ZERO
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return whole


def total_known(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of those that are known; None where there are some and none is known."""
    listed = list(amounts)
    known = [amount for amount in listed if amount is not None]
    return total(known) if known or not listed else None


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """The quotient, cut toward zero at 50 decimals, without zeros behind the last digit.

    Raises:
        DivisionByZero: The divisor is zero.
    """
    quotient = _CUTTING.divide(dividend, divisor)
    return _CUTTING.normalize(_CUTTING.quantize(quotient, _GRID))


def take_share(whole: Decimal, part: Decimal, *, of: Decimal) -> Decimal:
    """What of a whole belongs to a part; all of it where the part is everything.

    Never more than the whole, so that nothing negative is left. Who takes shares one after the
    other takes each from the rest, and then the last takes what is left.
    """
    return whole if part == of else divide(EXACT.multiply(whole, part), of)


def split(whole: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Shares of a whole by weights above zero; they add up to it exactly."""
    shares: list[Decimal] = []
    rest, rest_weight = whole, total(weights)
    for weight in weights:
        share = take_share(rest, weight, of=rest_weight)
        shares.append(share)
        rest, rest_weight = subtract(rest, share), subtract(rest_weight, weight)
    return shares


def round_half_up(amount: Decimal, decimals: int) -> Decimal:
    """The nearest with so many decimals; halves away from zero. Never a negative zero."""
    rounded = amount.quantize(ONE.scaleb(-decimals), rounding=ROUND_HALF_UP, context=_CUTTING)
    return rounded.copy_abs() if rounded.is_zero() else rounded


def apportion(whole: Decimal, parts: Sequence[Decimal], decimals: int) -> list[Decimal]:
    """Round parts so that they add up to their rounded whole: the method of largest remainders.

    Each part is cut down to the decimals, and what is missing goes, one unit of the last decimal
    each, to the parts that lost most; among equals, to the first.

    Args:
        whole: A rounding, up or down, of the sum of the parts.
        parts: Any, negative ones too.
        decimals: Of the whole and of what comes back.

    Returns:
        In the order of the parts, each one of its two neighbours with so many decimals.
    """
    unit = ONE.scaleb(-decimals)
    rounded = [part.quantize(unit, rounding=ROUND_FLOOR, context=_CUTTING) for part in parts]
    missing = int(subtract(whole, total(rounded)).scaleb(decimals, context=EXACT))
    by_loss = sorted(range(len(parts)), key=lambda i: subtract(rounded[i], parts[i]))
    for place in by_loss[:missing]:
        rounded[place] = add(rounded[place], unit)
    return [each.copy_abs() if each.is_zero() else each for each in rounded]


class RoundedGroups(NamedTuple, Generic[Key]):
    """A sum, its groups' sums and their parts, all rounded, and each level adds up to the next."""

    whole: Decimal
    sums: Mapping[Key, Decimal]
    parts: Mapping[Key, Sequence[Decimal]]


def round_groups(groups: Mapping[Key, Sequence[Decimal]], decimals: int) -> RoundedGroups[Key]:
    """Round a sum half up, then its groups, then their parts: the method of largest remainders."""
    sums = {key: total(parts) for key, parts in groups.items()}
    whole = round_half_up(total(sums.values()), decimals)
    rounded = dict(zip(sums, apportion(whole, list(sums.values()), decimals), strict=True))
    parts = {key: apportion(rounded[key], groups[key], decimals) for key in groups}
    return RoundedGroups(whole, rounded, parts)

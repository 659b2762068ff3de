"""Amounts keep the source's digits from its answer to the column.

Here: the one text form an amount has inside the platform, and its limits. An amount is a `str` in
that form (never a float); `Decimal` where somebody calculates. Not here: what an amount means.

Stored form, chosen so that PostgreSQL numeric and MongoDB Decimal128 give back what they were
given: zero is unsigned, a positive exponent is written out, the scale is the source's (1.10 is not
1.1).
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from crypto_platform.errors import Reason, RecordRejectedError

DIGITS_MAX = 34
"""Significant digits of a Decimal128 (IEEE 754-2008); more would be rounded, so it is refused."""

SCALE_MAX = 100
"""Digits behind the point; far above any source's, far below what Decimal128 can hold (6176)."""

Amount = Annotated[str, msgspec.Meta(title="amount")]
"""A decimal in stored form; whoever decodes one checks it by `are_amounts`, `explain_amount`."""

_STORED_FORM = re.compile(r"(?!-0(?:\.0+)?\Z)-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z")
# The usual forms come first: what a source says nearly always has decimals, and a sign only where
# money is moved (measured: half the time).
_LINES_IN_STORED_FORM = re.compile(
    r"(?:-?[1-9][0-9]*+\.[0-9]++\n|0\.[0-9]++\n"
    r"|(?!-0(?:\.0+)?\n)-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?\n)*+\Z"
)
_POSITIVE_LINES = re.compile(
    r"(?:[1-9][0-9]*+\.[0-9]++\n"
    r"|(?:[1-9][0-9]*+|0(?=[.0]++[1-9]))(?:\.[0-9]++)?\n)*+\Z"
)

_SOURCE_FORM = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")


def parse_amount(text: str) -> str:
    """Bring a source's number into stored form, value and scale unchanged.

    Args:
        text: JSON number or the like: `-0`, `1.10`, `1.054e-05`, `1E+3`.

    Returns:
        `0`, `1.10`, `0.00001054`, `1000`.

    Raises:
        RecordRejectedError: invariant. Not a finite decimal, or with more than 34 significant
            digits or 100 decimals: no store could keep it unchanged.
    """
    if not _SOURCE_FORM.fullmatch(text):
        message = f"not a finite decimal number: {text[:60]!r}"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    number = Decimal(text)
    if number.adjusted() >= DIGITS_MAX or -int(number.as_tuple().exponent) > SCALE_MAX:
        message = f"{text[:60]!r}: no more than {DIGITS_MAX} digits and {SCALE_MAX} decimals"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    stored = format(abs(number) if number.is_zero() else number, "f")
    check_amount_digits(stored)
    return stored


def check_amount_digits(amount: str) -> None:
    """Refuse an amount in stored form that a Decimal128 would have to round.

    Raises:
        RecordRejectedError: invariant. More than 34 significant digits or 100 decimals.
    """
    if len(amount) <= DIGITS_MAX:
        return
    digits = amount.lstrip("-").replace(".", "").lstrip("0")
    if len(digits) > DIGITS_MAX or len(amount.partition(".")[2]) > SCALE_MAX:
        message = f"{amount[:60]!r}: no more than {DIGITS_MAX} digits and {SCALE_MAX} decimals"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)


def are_amounts(texts: Sequence[str], *, above_zero: bool = False) -> bool:
    """Whether all are in stored form and keep their digits in both stores.

    A whole column in one search: a pattern in the decoder cost 0.5 us a value, this 0.1.

    Args:
        texts: Any.
        above_zero: Whether zero and what is negative is refused as well.
    """
    form = _POSITIVE_LINES if above_zero else _LINES_IN_STORED_FORM
    # "1\n2" would pass for two amounts
    joined = "\n".join(texts) + "\n" if texts else ""
    if joined.count("\n") != len(texts) or not form.match(joined):
        return False
    return max(map(len, texts), default=0) <= DIGITS_MAX or not any(map(explain_amount, texts))


def explain_amount(text: str, *, above_zero: bool = False) -> str | None:
    """What is wrong with an amount; None where nothing is."""
    if len(text) > DIGITS_MAX + SCALE_MAX or not _STORED_FORM.match(text):
        return f"not a decimal in stored form: {text[:60]!r}"
    if above_zero and (text.startswith("-") or not text.strip("0.")):
        return f"{text} is not above zero"
    try:
        check_amount_digits(text)
    except RecordRejectedError as error:
        return str(error)
    return None

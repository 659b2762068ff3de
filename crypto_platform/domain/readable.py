"""Values as a person reads them, on a terminal or a page: amounts, changes, ages, sizes.

Here: pure functions from values to short text. Unknown is a dash, never 0. Not here: tables
(cli/text.py), pages (serving/dashboard/); exact digits stand beside the short ones there.
"""

from decimal import Decimal

UNKNOWN = "-"
_PRICE_DIGITS = 6
_TENTHS_BELOW_S = 10
_UNIT_STEP = 1000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def format_count(count: int | None) -> str:
    """13,200."""
    return UNKNOWN if count is None else f"{count:,}"


def format_age(seconds: float | None) -> str:
    """0.4 s, 12 s, 3 min, 5 h, 2 d: one number, rounded down."""
    if seconds is None:
        return UNKNOWN
    if seconds < _TENTHS_BELOW_S:
        return f"{seconds:.1f} s"
    for unit_s, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s:.0f} {name}"
    return f"{seconds:.0f} s"


def format_bytes(size_bytes: int) -> str:
    """1.2 GB, decimal units."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < _UNIT_STEP:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _UNIT_STEP
    return f"{size:.1f} TB"


def format_price(amount: str | None) -> str:
    """A price for a table: thousands separated, 2 decimals, below 1 six digits.

    Rounded half to even (as Decimal's own formatting does); the exact digits are in --json.
    """
    if amount is None:
        return UNKNOWN
    price = Decimal(amount)
    decimals = 2 if abs(price) >= 1 or not price else _PRICE_DIGITS - 1 - price.adjusted()
    return f"{price:z,.{decimals}f}"


def format_money(amount: str | None) -> str:
    """A large amount for a table: thousands separated, no decimals."""
    return UNKNOWN if amount is None else f"{Decimal(amount):z,.0f}"


def format_change(percent: str | None) -> str:
    """+1.23 %."""
    return UNKNOWN if percent is None else f"{Decimal(percent):+z,.2f} %"

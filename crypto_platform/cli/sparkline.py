"""A line of prices in a table's cell, and bars.

Here: values in, block characters out; pure. Not here: pictures (assets/charts.py).
"""

from collections.abc import Sequence
from decimal import Decimal

BLOCKS = "▁▂▃▄▅▆▇█"
LOW, MIDDLE = BLOCKS[0], BLOCKS[len(BLOCKS) // 2]
FULL = BLOCKS[-1]


def draw_sparkline(values: Sequence[Decimal | None], *, width: int, flat: str = MIDDLE) -> str:
    """One character a value, the lowest value lowest; the newest last; unknown is a space.

    Args:
        values: Oldest first.
        width: Characters at most; of more values, each character is the last of its share.
        flat: What stands for each value where all are the same.
    """
    if len(values) > width:
        values = [values[(number + 1) * len(values) // width - 1] for number in range(width)]
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    lowest, span = min(known), max(known) - min(known)
    steps = len(BLOCKS) - 1
    return "".join(
        " " if value is None else BLOCKS[int((value - lowest) / span * steps)] if span else flat
        for value in values
    )


def draw_bar(value: Decimal, *, longest: Decimal, width: int) -> str:
    """As long as the value's share of the longest; of anything above zero one character at least.

    Args:
        value: 0 or above.
        longest: Of all bars that stand together.
        width: Characters of the longest.
    """
    return FULL * max(int(value * width / longest), 1) if value > 0 else ""

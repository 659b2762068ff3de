"""A line of prices in a table's cell.

Here: values in, block characters out; pure. Not here: pictures (assets/charts.py).
"""

from collections.abc import Sequence
from decimal import Decimal

BLOCKS = "▁▂▃▄▅▆▇█"


def draw_sparkline(values: Sequence[Decimal | None], *, width: int) -> str:
    """One character a value, the lowest value lowest; the newest last; unknown is a space.

    Args:
        values: Oldest first.
        width: Characters at most; of more values, each character is the last of its share.
    """
    if len(values) > width:
        values = [values[(number + 1) * len(values) // width - 1] for number in range(width)]
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    lowest, highest = min(known), max(known)
    return "".join(" " if value is None else _block(value, lowest, highest) for value in values)


def _block(value: Decimal, lowest: Decimal, highest: Decimal) -> str:
    if lowest == highest:
        return BLOCKS[len(BLOCKS) // 2]
    return BLOCKS[int((value - lowest) / (highest - lowest) * (len(BLOCKS) - 1))]

"""A day of figures as a picture: how a line from the store becomes bars.

Not here: what is read (stores/postgres/analytics_pictures.py), drawing (assets/charts.py).
"""

from collections.abc import Callable, Sequence
from typing import LiteralString

from crypto_platform.analytics.computation import Bar, Picture, split_key
from crypto_platform.domain.hours import TimeUs
from crypto_platform.stores.postgres.analytics_pictures import read_line
from crypto_platform.stores.postgres.analytics_sources import MarketName
from crypto_platform.stores.postgres.session import Connection

Draw = Callable[[Connection, Sequence[str], TimeUs], Picture | None]


def drawing(statement: LiteralString) -> Draw:
    """What Computation.draw takes, of a line: each bar goes from the value before to its own."""

    def draw(connection: Connection, keys: Sequence[str], day_us: TimeUs) -> Picture | None:
        markets = [MarketName(*split_key(key)) for key in keys]
        line = read_line(connection, statement, markets, day_us=day_us)
        if line is None:
            return None
        befores = [line.values[0], *line.values]
        bars = [
            Bar(before, max(before, value), min(before, value), value)
            for before, value in zip(befores, line.values, strict=False)
        ]
        return Picture(line.title, bars)

    return draw

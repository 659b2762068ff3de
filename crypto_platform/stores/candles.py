"""What a store that keeps candles made of trades tells of them.

Here: the protocol; stores/postgres does it. A store without it (MongoDB) has the trades, of which
whoever reads makes the candles himself (serving/analytics.py).
"""

from collections.abc import Sequence
from typing import Protocol

from crypto_platform.domain.candles import BuiltCandle
from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds.candles import Interval


class StoredCandles(Protocol):
    """Of one market. Places of a candle's trades are its open time: minutes do not overlap."""

    def list_stale_hours(self, begins_us: TimeUs, ends_us: TimeUs) -> Sequence[TimeUs]:
        """Hours that have changed since their candles were made, or are not over; in order."""
        ...

    def read(self, interval: Interval, begins_us: TimeUs, ends_us: TimeUs) -> list[BuiltCandle]:
        """The stored candles that open in a stretch of time, in order; closed ones only.

        Args:
            interval: 1m, 5m, 1h or 1d.
        """
        ...

    def build_minutes(self, hours: Sequence[TimeUs]) -> list[BuiltCandle]:
        """The minutes of these hours, made of the trades that are stored now, in order."""
        ...

    def find_first(self, from_us: TimeUs) -> TimeUs | None:
        """Where the first candle at or after a time may be; None where none is."""
        ...

    def find_last(self, before_us: TimeUs) -> TimeUs | None:
        """Where the last candle before a time may be; None where none is."""
        ...

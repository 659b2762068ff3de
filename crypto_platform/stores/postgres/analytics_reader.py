"""Candles made of trades as PostgreSQL keeps them, and hours of them made for a reader.

Here: SELECTs by the keys of analytics.candle and of the notes of what has changed. Not here: how
candles get there (analytics_candles.py), what is put together of them (serving/analytics.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crypto_platform.domain.candles import BuiltCandle, Place
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, TimeUs, from_time_us, to_time_us
from crypto_platform.feeds.candles import Interval
from crypto_platform.stores.market import Market
from crypto_platform.stores.postgres.analytics_candles import MINUTES, MarketSpan, name_spans
from crypto_platform.stores.postgres.session import Session

# Noted by a load or by the queue; an hour of the queue that has not begun waits for its day's end.
_LIST_STALE_HOURS = """
SELECT event_hour FROM platform.touched
WHERE feed = 'trades' AND key = %(key)s
  AND event_hour >= %(begins)s AND event_hour < %(ends)s
UNION
SELECT event_hour FROM analytics.pending
WHERE computation = 'candles' AND feed = 'trades' AND key = %(key)s
  AND event_hour >= %(begins)s AND event_hour < %(ends)s AND event_hour <= clock_timestamp()
ORDER BY event_hour
"""

_READ = """
SELECT open_time, open, high, low, close, base_volume, quote_volume, trade_count
FROM analytics.candle
WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s AND "interval" = %(interval)s
  AND open_time >= %(begins)s AND open_time < %(ends)s
ORDER BY open_time
"""

_BUILD_MINUTES = f"""{MINUTES}
SELECT open_time, open, high, low, close, base_volume, quote_volume, trade_count
FROM candle ORDER BY open_time
"""  # noqa: S608 - of constants

_FIND_FIRST = """
SELECT least(
  (SELECT min(open_time) FROM analytics.candle
   WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s AND "interval" = '1m'
     AND open_time >= %(begins)s),
  (SELECT min(event_hour) FROM platform.touched
   WHERE feed = 'trades' AND key = %(key)s AND event_hour >= %(hour)s),
  (SELECT min(event_hour) FROM analytics.pending
   WHERE computation = 'candles' AND feed = 'trades' AND key = %(key)s
     AND event_hour >= %(hour)s AND event_hour <= clock_timestamp()))
"""

_FIND_LAST = """
SELECT greatest(
  (SELECT max(open_time) FROM analytics.candle
   WHERE venue = %(venue)s AND venue_symbol = %(venue_symbol)s AND "interval" = '1m'
     AND open_time < %(ends)s),
  (SELECT max(event_hour) + interval '59 minutes' FROM platform.touched
   WHERE feed = 'trades' AND key = %(key)s AND event_hour < %(ends)s),
  (SELECT max(event_hour) + interval '59 minutes' FROM analytics.pending
   WHERE computation = 'candles' AND feed = 'trades' AND key = %(key)s
     AND event_hour < %(ends)s AND event_hour <= clock_timestamp()))
"""


class PostgresCandles:
    """See stores.candles.StoredCandles."""

    def __init__(self, session: Session, market: Market) -> None:
        self._session = session
        self._market = market
        self._names = {
            "venue": market.venue,
            "venue_symbol": market.venue_symbol,
            "key": f"{market.venue}:{market.venue_symbol}",
        }

    def list_stale_hours(self, begins_us: TimeUs, ends_us: TimeUs) -> list[TimeUs]:
        """See StoredCandles."""
        rows = self._fetch(_LIST_STALE_HOURS, begins_us=begins_us, ends_us=ends_us)
        return [to_time_us(hour) for (hour,) in rows]

    def read(self, interval: Interval, begins_us: TimeUs, ends_us: TimeUs) -> list[BuiltCandle]:
        """See StoredCandles."""
        rows = self._fetch(
            _READ, begins_us=begins_us, ends_us=ends_us, more={"interval": interval.value}
        )
        return list(map(_build, rows))

    def build_minutes(self, hours: Sequence[TimeUs]) -> list[BuiltCandle]:
        """See StoredCandles."""
        if not hours:
            return []
        spans = [
            MarketSpan(
                self._market.venue, self._market.venue_symbol, hour, hour + MICROSECONDS_PER_HOUR
            )
            for hour in hours
        ]
        with self._session.autocommit() as connection:
            rows = connection.execute(_BUILD_MINUTES, name_spans(spans)).fetchall()
        return list(map(_build, rows))

    def find_first(self, from_us: TimeUs) -> TimeUs | None:
        """See StoredCandles."""
        hour = from_time_us(from_us - from_us % MICROSECONDS_PER_HOUR)
        [(found,)] = self._fetch(_FIND_FIRST, begins_us=from_us, more={"hour": hour})
        return None if found is None else max(to_time_us(found), from_us)

    def find_last(self, before_us: TimeUs) -> TimeUs | None:
        """See StoredCandles."""
        [(found,)] = self._fetch(_FIND_LAST, ends_us=before_us)
        return None if found is None else min(to_time_us(found), before_us - 1)

    def _fetch(
        self,
        statement: str,
        *,
        begins_us: TimeUs = 0,
        ends_us: TimeUs = 0,
        more: Mapping[str, object] | None = None,
    ) -> list[tuple[Any, ...]]:
        times = {"begins": from_time_us(begins_us), "ends": from_time_us(ends_us)}
        with self._session.autocommit() as connection:
            return connection.execute(
                statement.encode(), {**self._names, **times, **(more or {})}
            ).fetchall()


def _build(row: tuple[Any, ...]) -> BuiltCandle:
    """A row as a candle; its trades lie between those of the candles beside it."""
    open_us = to_time_us(row[0])
    place = Place(open_us, 0, "")
    return BuiltCandle._make((open_us, place, place, *row[1:]))

"""Which hours analytics has still to make: taken from the loads' notes, settled with the results.

Loads note in platform.touched which hours of event time they changed, in the data's transaction. A
run moves these notes into analytics.pending, one for each computation that is made of the feed
(`take`); a computation then writes its rows and settles its hours in one transaction, so a run that
is killed leaves hours that the next one makes again. A note is settled only in the version that was
read: what arrives meanwhile stays due. A watermark over versions would not do: they are given out
in another order than their transactions commit.

An hour that is not over stays due, and the last hour of its day waits for the day's end, so that
each interval is made once more after it has closed. Not here: what is made (analytics_candles.py),
in which order (analytics/pipeline.py).
"""

import contextlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from crypto_platform.crash_points import reach
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    TimeUs,
    day_of,
    to_time_us,
)
from crypto_platform.errors import PlatformError
from crypto_platform.stores.postgres.rows import format_texts, format_time
from crypto_platform.stores.postgres.session import Connection, Session

TAKEN_MAX = 10_000
"""Notes moved in one transaction, so that no load waits long behind one."""

_LOCK_KEY = 0x616E616C7974
"""Any constant will do: it names analytics among a database's advisory locks."""

# A note that a load is changing just now is left for the next run: nobody waits, nobody deadlocks.
_TAKE = """
WITH picked AS (
  SELECT t.feed, t.key, t.event_hour FROM platform.touched AS t
  WHERE t.feed = ANY(%(feeds)s::text[])
  ORDER BY t.feed, t.key, t.event_hour LIMIT %(taken_max)s
  FOR UPDATE SKIP LOCKED
), taken AS (
  DELETE FROM platform.touched AS t USING picked AS p
  WHERE t.feed = p.feed AND t.key = p.key AND t.event_hour = p.event_hour
  RETURNING t.feed, t.key, t.event_hour, t.version, t.noted_at
), noted AS (
  INSERT INTO analytics.pending AS n (computation, feed, key, event_hour, version, noted_at)
  SELECT w.computation, t.feed, t.key, t.event_hour, t.version, t.noted_at
  FROM taken AS t JOIN unnest(%(computations)s::text[], %(feeds)s::text[])
    AS w(computation, feed) ON w.feed = t.feed
  ON CONFLICT (computation, feed, key, event_hour) DO UPDATE SET version = excluded.version
)
SELECT count(*) FROM taken
"""

_READ_PENDING = """
SELECT feed, key, event_hour, version FROM analytics.pending
WHERE computation = %s AND event_hour <= %s::timestamptz
ORDER BY event_hour, feed, key
"""

_IS_DUE = """
SELECT EXISTS (SELECT FROM platform.touched WHERE feed = ANY(%s::text[]))
  OR EXISTS (
    SELECT FROM analytics.pending
    WHERE computation = ANY(%s::text[]) AND event_hour + interval '1 hour' <= %s::timestamptz)
"""

# An hour waits from its end, however early it was noted; until then it is made again and again.
_READ_WAITING = """
SELECT computation, count(DISTINCT (feed, key, event_hour)), min(since) FROM (
  SELECT computation, feed, key, event_hour,
    greatest(noted_at, event_hour + interval '1 hour') AS since
  FROM analytics.pending WHERE event_hour + interval '1 hour' <= %(as_of)s::timestamptz
  UNION ALL
  SELECT w.computation, t.feed, t.key, t.event_hour, t.noted_at
  FROM platform.touched AS t JOIN unnest(%(computations)s::text[], %(feeds)s::text[])
    AS w(computation, feed) ON w.feed = t.feed) AS waiting
GROUP BY computation
"""

_IS_BUSY = """
SELECT EXISTS (
  SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
  WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
    AND l.classid::bigint = %s AND l.objid::bigint = %s)
"""

_SETTLE = """
DELETE FROM analytics.pending AS p
USING unnest(%s::text[], %s::text[], %s::timestamptz[], %s::bigint[])
  AS u(feed, key, event_hour, version)
WHERE p.computation = %s AND p.feed = u.feed AND p.key = u.key AND p.event_hour = u.event_hour
  AND p.version = u.version
"""

_NOTE = """
INSERT INTO analytics.pending (computation, feed, key, event_hour, version)
SELECT %s, u.feed, u.key, hour, 0
FROM unnest(%s::text[], %s::text[]) AS u(feed, key),
  generate_series(%s::timestamptz, %s::timestamptz, interval '1 hour') AS hour
ON CONFLICT (computation, feed, key, event_hour) DO NOTHING
"""

_NOTE_AGAIN = """
INSERT INTO analytics.pending (computation, feed, key, event_hour, version)
SELECT %s, u.feed, u.key, u.event_hour, 0
FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS u(feed, key, event_hour)
ON CONFLICT (computation, feed, key, event_hour) DO NOTHING
"""

# Rolling up and counting a day of a busy venue takes longer than a statement of a load may.
_LIMITS = """
SET LOCAL statement_timeout = 0;
SET LOCAL work_mem = '64MB'
"""


class Pending(NamedTuple):
    """An hour that a computation has to make.

    Attributes:
        key: Of the feed: venue:venue_symbol, with an interval behind it for candles.
        version: Of the note as it was read; 0 where nothing changed and only time has passed.
    """

    feed: str
    key: str
    hour_us: TimeUs
    version: int


class Waiting(NamedTuple):
    """Hours that a computation has still to make, and since when the first of them waits."""

    hours: int
    since_us: TimeUs


class AnalyticsStore:
    """The queue of a PostgreSQL store, and transactions for what is made. Not for threads."""

    def __init__(self, url: str, *, application_name: str = "crypto_platform analytics") -> None:
        """Nothing is connected yet; `url` is of the role that loads."""
        self._session = Session(url, application_name=application_name)

    def close(self) -> None:
        """Give the connection back; the store may be used again afterwards."""
        self._session.close()

    @contextlib.contextmanager
    def alone(self) -> Generator[bool]:
        """Whether no other run works while the block lasts.

        Should the connection break, two may: they write the same rows, one after the other.
        """
        with self._session.autocommit() as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_KEY]).fetchone()
        try:
            yield row is not None and bool(row[0])
        finally:
            # With the connection the lock goes too, but a moment after it was closed.
            with contextlib.suppress(PlatformError), self._session.autocommit() as connection:
                connection.execute("SELECT pg_advisory_unlock_all()")
            self._session.close()

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection]:
        """The connection for single statements."""
        with self._session.autocommit() as connection:
            yield connection

    def is_busy(self) -> bool:
        """Whether a run works just now."""
        with self._session.autocommit() as connection:
            row = connection.execute(_IS_BUSY, [_LOCK_KEY >> 32, _LOCK_KEY & 0xFFFFFFFF]).fetchone()
        return row is not None and bool(row[0])

    def is_due(self, feeds_of: Mapping[str, Iterable[str]], *, as_of_us: TimeUs) -> bool:
        """Whether anything changed, or an hour that is due has ended since.

        Args:
            feeds_of: Names of the feeds that each computation is made of.
        """
        feeds = sorted({feed for feeds in feeds_of.values() for feed in feeds})
        with self._session.autocommit() as connection:
            row = connection.execute(
                _IS_DUE, [feeds, sorted(feeds_of), format_time(as_of_us)]
            ).fetchone()
        return row is not None and bool(row[0])

    def read_waiting(
        self, feeds_of: Mapping[str, Iterable[str]], *, as_of_us: TimeUs
    ) -> Mapping[str, Waiting]:
        """What each computation has still to make; one that is up to date is left out."""
        parameters = {**_pair(feeds_of), "as_of": format_time(as_of_us)}
        with self._session.autocommit() as connection:
            rows = connection.execute(_READ_WAITING, parameters).fetchall()
        return {name: Waiting(hours, to_time_us(since)) for name, hours, since in rows}

    def take(self, feeds_of: Mapping[str, Iterable[str]]) -> int:
        """Move the loads' notes to the computations; returns how many there were."""
        parameters = {**_pair(feeds_of), "taken_max": TAKEN_MAX}
        taken = 0
        while True:
            with self._session.transaction() as connection:
                [(count,)] = connection.execute(_TAKE, parameters).fetchall()
            taken += count
            if count < TAKEN_MAX:
                return taken

    def read_pending(self, computation: str, *, as_of_us: TimeUs) -> list[Pending]:
        """The hours that a computation has to make and that have begun, by hour, feed and key."""
        with self._session.autocommit() as connection:
            rows = connection.execute(_READ_PENDING, [computation, format_time(as_of_us)])
            return [
                Pending(feed, key, to_time_us(hour), version) for feed, key, hour, version in rows
            ]

    def note(self, computation: str, keys: Sequence[tuple[str, str]], *, day_us: TimeUs) -> None:
        """Let a computation make a whole day of these keys of feeds, which nothing has changed."""
        if not keys:
            return
        feeds, names = zip(*keys, strict=True)
        day = [format_time(day_us), format_time(_last_hour(day_us))]
        with self._session.autocommit() as connection:
            connection.execute(_NOTE, [computation, format_texts(feeds), format_texts(names), *day])

    @contextlib.contextmanager
    def writing(self) -> Generator[Connection]:
        """A transaction for a computation's rows and their `settle`; committed at its end."""
        with self._session.transaction() as connection:
            connection.execute(_LIMITS)
            yield connection
            reach("before_commit")
        reach("after_commit")


def settle(
    connection: Connection, computation: str, made: Sequence[Pending], *, as_of_us: TimeUs
) -> None:
    """Note that a computation has made these hours as they were read."""
    over = [each for each in made if each.hour_us + MICROSECONDS_PER_HOUR <= as_of_us]
    if over:
        connection.execute(
            _SETTLE,
            [*_columns(over), [each.version for each in over], computation],
        )
    again = {
        each._replace(hour_us=_last_hour(each.hour_us), version=0)
        for each in made
        if day_of(each.hour_us) + MICROSECONDS_PER_DAY > as_of_us
    }
    if again:
        connection.execute(_NOTE_AGAIN, [computation, *_columns(sorted(again))])


def _pair(feeds_of: Mapping[str, Iterable[str]]) -> Mapping[str, list[str]]:
    """Computations and their feeds as two columns."""
    pairs = [(name, feed) for name, feeds in sorted(feeds_of.items()) for feed in feeds]
    return {"computations": [name for name, _ in pairs], "feeds": [feed for _, feed in pairs]}


def _columns(rows: Sequence[Pending]) -> list[str]:
    """feed, key and hour as array literals."""
    return [
        format_texts([each.feed for each in rows]),
        format_texts([each.key for each in rows]),
        format_texts([format_time(each.hour_us) for each in rows]),
    ]


def _last_hour(hour_us: TimeUs) -> TimeUs:
    return day_of(hour_us) + MICROSECONDS_PER_DAY - MICROSECONDS_PER_HOUR

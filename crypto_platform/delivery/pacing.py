"""When a source's feed is asked next.

Here: its pace, and the pause after failures. Pure. Not here: waiting (ingest.py), how many requests
a source may be asked (sources/budget.py).
"""

from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.settings import Settings

BACK_OFF_S_MAX = 600.0

_US = 1_000_000


def find_pace_s(settings: Settings, *, source: str, feed: str) -> float:
    """Seconds between two polls of a feed.

    What the settings say of this feed; else what they say of the source, but not more often than
    the feed changes.
    """
    at = settings.sources[source]
    given = at.paces_s.get(feed)
    return max(at.pace_s, FEED_BY_NAME[feed].pace_s_min) if given is None else given


def back_off_s(failures: int, *, pace_s: float, retry_after_s: float | None) -> float:
    """Seconds until the next try: the pace, doubled by each further failure, at most 10 min."""
    doubled = pace_s * 2 ** min(failures - 1, 20)
    return max(min(doubled, BACK_OFF_S_MAX), retry_after_s or 0.0)


def due_at(cursor: Cursor | None, *, pace_s: float) -> TimeUs:
    """When a feed may be asked next; at once if it never was.

    After a failure that is the end of its back-off: a feed asked once an hour is tried again sooner
    than in an hour.
    """
    if cursor is None:
        return 0
    if cursor.failures:
        return cursor.not_before
    return cursor.polled_at + int(pace_s * _US)

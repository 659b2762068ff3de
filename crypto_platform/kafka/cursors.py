"""How far each source was read: a compacted topic, written in the data's own transactions.

Here: the cursor's form, its key, and the one read a run makes. Not here: writing (a poll publishes
its cursors with its records), what a position means (the dialect knows), how far the past was read
(history_cursors.py).
"""

from collections.abc import Iterable, Mapping

import msgspec

from crypto_platform.kafka.compacted import CompactedTopic
from crypto_platform.kafka.topics import CURSORS_TOPIC
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings


class Cursor(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """Where a source's feed stands. Times are microseconds.

    Attributes:
        polled_at: When the last poll was asked, whether it succeeded or not.
        not_before: Back-off after failures, 0 where there is none.
        failures: Polls failed in a row.
        position: The dialect's own, None where the feed has none.
    """

    polled_at: int
    not_before: int = 0
    failures: int = 0
    position: str | None = None


WHOLE_FEED = ""
"""Stands where a venue symbol would: the cursor that says when the feed as a whole was asked."""

_NO_SOURCE = "/"
"""So begins no cursor of a source, for its name is not empty."""


def cursor_key(source: str, feed: str, venue_symbol: str = WHOLE_FEED) -> str:
    """The Kafka key of a cursor."""
    return f"{source}/{feed}/{venue_symbol}"


def select_cursors(
    cursors: Mapping[str, "Cursor"], *, source: str, feed: str
) -> dict[str, "Cursor"]:
    """One source's cursors of one feed, by venue symbol."""
    prefix = cursor_key(source, feed)
    return {
        key.removeprefix(prefix): cursor
        for key, cursor in cursors.items()
        if key.startswith(prefix)
    }


def begun_key(feed: str) -> str:
    """The key of the mark that a backfill wrote the first records of a feed; it is no source's.

    Its `polled_at` says when.
    """
    return f"{_NO_SOURCE}{feed}"


def find_lost_feeds(cursors: Mapping[str, "Cursor"], feeds: Iterable[str]) -> set[str]:
    """The feeds whose records, if they have any, only a loss of the cursors explains.

    None where any source has a cursor; else those that no backfill began.
    """
    if any(not key.startswith(_NO_SOURCE) for key in cursors):
        return set()
    return {feed for feed in feeds if begun_key(feed) not in cursors}


def encode_cursor(cursor: Cursor) -> bytes:
    """The cursor as a Kafka value."""
    return msgspec.json.encode(cursor)


def read_cursors(settings: Settings, watermarks: Watermarks) -> Mapping[str, Cursor]:
    """All cursors by key, as of now.

    Raises:
        KafkaUnavailableError: Not known; nothing may be polled.
    """
    values = CompactedTopic(settings, watermarks, CURSORS_TOPIC).read()
    return {key: msgspec.json.decode(value, type=Cursor) for key, value in values.items()}

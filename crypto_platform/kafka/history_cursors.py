"""How far the past was read, and which days of it are done: a compacted topic of its own.

Here: the cursor of a day, its key. Not here: writing (a page publishes its cursor with its
records), which days are asked for (delivery/history_plan.py), live cursors (cursors.py).
"""

from collections.abc import Mapping

import msgspec

from crypto_platform.domain.hours import name_day
from crypto_platform.feeds.candles import Interval
from crypto_platform.kafka.compacted import CompactedTopic
from crypto_platform.kafka.topics import HISTORY_CURSORS_TOPIC
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.settings import Settings


class HistoryCursor(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """How far one day of one symbol was read. Times are microseconds.

    Attributes:
        position: Where the next page begins, the dialect's own; where there is none, where the last
            one began; None at the beginning of the day.
        pages, records, rejected_records: Published so far.
        first_us, last_us: Event times of the earliest and the latest record so far.
        asked_at: When the last page was asked for.
        done_at: When the day was complete; None until then.
        empty_by: The run that was given nothing of all the day; until another one is given nothing
            too, it is not done.
        run_id: Of the last page.
    """

    position: str | None = None
    pages: int = 0
    records: int = 0
    rejected_records: int = 0
    first_us: int | None = None
    last_us: int | None = None
    asked_at: int = 0
    done_at: int | None = None
    empty_by: str | None = None
    run_id: str | None = None


def history_key(
    source: str, feed: str, *, venue_symbol: str, interval: Interval | None, day_us: int
) -> str:
    """The Kafka key of a day's cursor."""
    return f"{source}/{feed}/{venue_symbol}/{interval or ''}/{name_day(day_us)}"


def encode_history_cursor(cursor: HistoryCursor) -> bytes:
    """The cursor as a Kafka value."""
    return msgspec.json.encode(cursor)


class HistoryCursors:
    """The cursors of all days. One thread uses it."""

    def __init__(self, settings: Settings, watermarks: Watermarks) -> None:
        """Nothing is read yet."""
        self._topic = CompactedTopic(settings, watermarks, HISTORY_CURSORS_TOPIC)
        self._values: Mapping[str, bytes] = {}

    def refresh(self) -> None:
        """Learn what was written since.

        Raises:
            KafkaUnavailableError: Not known; nothing may be asked for.
        """
        self._values = self._topic.read()

    def find(self, key: str) -> HistoryCursor | None:
        """A day's cursor as of the last `refresh`."""
        value = self._values.get(key)
        return None if value is None else msgspec.json.decode(value, type=HistoryCursor)

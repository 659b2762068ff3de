"""How far each source was read: a compacted topic, written in the data's own transactions.

Here: the cursor's form, its key, and the one read a run makes. Not here: writing (a poll publishes
its cursors with its records) and what a position means (the dialect knows).
"""

import time
from collections.abc import Mapping

import msgspec

from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.kafka.reader import RANGE_FETCH_WAIT_MS, PartitionReader, Start
from crypto_platform.kafka.topics import CURSORS_TOPIC, topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings

READ_DEADLINE_S = 10.0
_READ_RECORDS_MAX = 10_000


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


def encode_cursor(cursor: Cursor) -> bytes:
    """The cursor as a Kafka value."""
    return msgspec.json.encode(cursor)


def read_cursors(settings: Settings, watermarks: Watermarks) -> Mapping[str, Cursor]:
    """All cursors by key, as of now.

    Reads to the high watermark, not to the first end of partition: that one stands at the last
    stable offset and would hide our own committed cursor behind another source's open transaction.

    Raises:
        KafkaUnavailableError: Not reached within READ_DEADLINE_S; nothing may be polled.
    """
    part = Part(topic_name(settings, CURSORS_TOPIC), 0)
    bounds = watermarks.read_bounds([part])[part]
    cursors: dict[str, Cursor] = {}
    if bounds.low >= bounds.high:
        return cursors
    reader = PartitionReader(settings, fetch_wait_ms=RANGE_FETCH_WAIT_MS)
    deadline = time.monotonic() + READ_DEADLINE_S
    try:
        reader.assign({part: Start(bounds.low, None)})
        reached = bounds.low
        while reached < bounds.high:
            if time.monotonic() > deadline:
                message = (
                    f"Kafka: cursors read to offset {reached} of {bounds.high} in "
                    f"{READ_DEADLINE_S} s; nothing is polled until they are known"
                )
                raise KafkaUnavailableError(message)
            read = reader.read(
                records_max=_READ_RECORDS_MAX, first_wait_s=0.2, more_wait_s=0.01
            ).get(part)
            if read is None:
                continue
            if read.lost_position is not None:
                # compaction moved the low watermark between the two questions
                return read_cursors(settings, watermarks)
            for key, value in zip(read.keys, read.values, strict=True):
                _keep(cursors, key, value)
            reached = max(reached, read.next_offset or 0)
    finally:
        reader.close()
    return cursors


def _keep(cursors: dict[str, Cursor], key: bytes | None, value: bytes | None) -> None:
    if key is None:
        return
    name = key.decode()
    if value is None:
        cursors.pop(name, None)
    else:
        cursors[name] = msgspec.json.decode(value, type=Cursor)

"""Whose history a topic holds, found out before a source that has no cursor adds to it.

Here: the first record that the topic still has, and the question put to the source. Not here: what
a source knows its own records by (the dialects), a source with a cursor, which looks itself whether
its history is still the one that was read.

A cursor is missing where a source was renamed, or the cursors were lost. Where records bear their
source's name, that is harmless. Where none does (account events: no event, order or user says of
which company it is), another company's would go in among them and be told apart by nobody.
"""

from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.codec import decode
from crypto_platform.kafka.reader import read_range
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.sources.base import Source, UnnamedSource


def check_ownership(settings: Settings, source: Source, feed_name: str) -> None:
    """Refuse a source whose records would be mixed up with those of another.

    Raises:
        SourceCursorLostError: The topic holds the records of another one; nothing of this one may
            be published.
        SourceError: It could not be asked; so of KafkaUnavailableError: not known, try again.
    """
    if not isinstance(source, UnnamedSource):
        return
    record = _read_first(settings, FEED_BY_NAME[feed_name])
    if record is not None:
        source.check_own(record)


def _read_first(settings: Settings, feed: Feed[Record]) -> Record | None:
    """A record that nothing older of its partition precedes; None where the topic holds none."""
    topic = topic_name(settings, feed.topic)
    parts = [Part(topic, part) for part in range(feed.partitions)]
    bytes_max = settings.load.record_bytes_max
    for part, bounds in Watermarks(settings).read_bounds(parts).items():
        pieces = read_range(
            settings, part, first_offset=bounds.low, next_offset=bounds.last_stable, records_max=1
        )
        for piece in pieces:
            for raw in piece:
                try:
                    return decode(feed, raw.value, record_bytes_max=bytes_max)
                except RecordRejectedError:
                    # somebody else's, and in quarantine
                    continue
    return None

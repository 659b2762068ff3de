"""Whether the cursors of live polls were lost, and the mark that tells history from a loss.

Records without any cursor are records that live polls published and whose cursors are gone, or
records of a backfill that came before the first poll. So a backfill that finds a feed's topic
empty says so first, in the topic of the live cursors itself: what loses those loses the mark as
well, and is noticed. Not here: publishing the incident (ingest.py), a source whose own history is
another now (gaps.py).
"""

from crypto_platform.domain.hours import TimeUs
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.incidents import OPEN, Incident, build_incident
from crypto_platform.kafka.cursors import (
    Cursor,
    begun_key,
    encode_cursor,
    find_lost_feeds,
    read_cursors,
)
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import CURSORS_TOPIC, topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings


def mark_beginning(
    settings: Settings, watermarks: Watermarks, feed: str, *, now_us: TimeUs, run_id: str
) -> None:
    """Say that a backfill begins this feed's topic, where nothing was polled or published yet.

    To be called before the first page. In a transaction of its own: a page that is aborted leaves
    its offsets behind, and the next backfill would not find the topic empty. Two backfills that
    begin at once say the same.

    Raises:
        KafkaUnavailableError: Not known, or not said.
    """
    if holds_records(settings, watermarks, feed):
        return
    if not find_lost_feeds(read_cursors(settings, watermarks), [feed]):
        return
    publisher = Publisher(
        settings, source="history", feed=feed, mode=f"begin.{run_id}", run_id=run_id
    )
    publisher.open()
    try:
        value = encode_cursor(Cursor(polled_at=now_us))
        topic = topic_name(settings, CURSORS_TOPIC)
        publisher.publish([Outgoing(topic, begun_key(feed), value)])
    finally:
        publisher.close()


def holds_records(settings: Settings, watermarks: Watermarks, feed: str) -> bool:
    """Whether anything was written to a feed's topic that retention has not removed."""
    topic = topic_name(settings, FEED_BY_NAME[feed].topic)
    parts = [Part(topic, part) for part in range(FEED_BY_NAME[feed].partitions)]
    bounds = watermarks.read_bounds(parts).values()
    return any(bound.low != bound.high for bound in bounds)


def build_lost_incident(
    settings: Settings, *, source: str, feed: str, ts_ingest: TimeUs
) -> Incident:
    """Records, and nobody knows how far the source was read: nobody must jump silently."""
    kind = IncidentKind.CURSOR_LOST.value
    topic = topic_name(settings, FEED_BY_NAME[feed].topic)
    return build_incident(
        Incident(
            kind=kind,
            state=OPEN,
            subject=f"{source}/{feed}/{kind}/{ts_ingest}",
            source=source,
            feed=feed,
            topic=topic,
            message=f"{topic} holds records, but no cursor says how far {source} was read; "
            "polling goes on from now",
            next_step="nothing is owed for a feed without history (quotes); for others, "
            "fill the gap from the source's history",
            ts_ingest=ts_ingest,
        )
    )

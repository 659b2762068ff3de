"""Tell platform.incidents what happened, one incident a transaction."""

from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.incidents import INCIDENTS, Incident
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import topic_name
from crypto_platform.settings import Settings


def publish_incident(
    settings: Settings, incident: Incident, *, publisher: str, mode: str = "live"
) -> None:
    """Publish an incident, open or acknowledged.

    Args:
        publisher: Who publishes; part of the transactional id, and so is `mode`.

    Raises:
        KafkaUnavailableError, PublisherFencedError: It was not published.
    """
    producer = Publisher(settings, source=publisher, feed=INCIDENTS.name, mode=mode)
    topic = topic_name(settings, INCIDENTS.topic)
    try:
        producer.open()
        producer.publish([Outgoing(topic, INCIDENTS.key_of(incident), encode(incident))])
    finally:
        producer.close()

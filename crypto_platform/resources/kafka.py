"""Kafka, as a Dagster resource."""

from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.incidents import INCIDENTS, Incident
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import CURSORS_TOPIC, topic_name
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.resources.settings import SettingsResource


class KafkaResource(SettingsResource):
    """Watermarks and the way to publish an incident."""

    def ping(self, watermarks: Watermarks) -> str:
        """Reach the broker.

        Args:
            watermarks: Kept by whoever asks again and again, for it holds a client.

        Raises:
            KafkaUnavailableError: With what was tried.
        """
        cursors = topic_name(self.settings, CURSORS_TOPIC)
        found = watermarks.read_topic_ids([cursors])
        return f"{self.settings.kafka.bootstrap_servers}, {cursors} " + (
            "is there" if cursors in found else "is missing"
        )

    def watermarks(self) -> Watermarks:
        """Bounds of partitions."""
        return Watermarks(self.settings)

    def publish_incident(self, incident: Incident, *, publisher: str) -> None:
        """Publish an incident that its store already holds.

        Args:
            publisher: Who publishes; part of the transactional id.

        Raises:
            KafkaUnavailableError, PublisherFencedError: It was not published; the store's copy
                stands.
        """
        producer = Publisher(self.settings, source=publisher, feed=INCIDENTS.name)
        topic = topic_name(self.settings, INCIDENTS.topic)
        try:
            producer.open()
            producer.publish([Outgoing(topic, INCIDENTS.key_of(incident), encode(incident))])
        finally:
            producer.close()

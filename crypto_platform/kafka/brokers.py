"""Which brokers a cluster leads its clients to, and that none is talked to in plain text elsewhere.

A client believes the addresses that the first broker gives out, whatever that one's own is. So each
way to Kafka begins here, before a client is made that follows them by itself. Not here: the address
in the settings, which was judged when they were read (settings.py).
"""

from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from crypto_platform.encryption import KAFKA_ADVICE, KAFKA_ENCRYPTED, find_open_brokers
from crypto_platform.errors import ConfigurationError
from crypto_platform.kafka.connection import client_config, unavailable
from crypto_platform.settings import Settings

_judged: set[tuple[str | None, str, tuple[str, ...]]] = set()
"""Ways to Kafka that lead to no other broker than may be talked to, by the settings' words."""


class Asking(Protocol):
    """Any client of Kafka."""

    def list_topics(self, *, timeout: float) -> ClusterMetadata:
        """The brokers too, by the addresses that they give out."""
        ...


def refuse_open_brokers(
    settings: Settings, client: Asking | None = None, *, within_s: float | None = None
) -> None:
    """Refuse a cluster that leads to another machine in plain text; asked once a process.

    It costs a roundtrip, so a broker that joins later is judged where the brokers are asked for
    anyway (a migration, after an outage) and by the next run.

    Args:
        client: Asks; None makes one for it.
        within_s: Longest wait; None as the settings say.

    Raises:
        ConfigurationError: See `judge_brokers`.
        KafkaUnavailableError: No broker answered: nothing is known.
    """
    kafka = settings.kafka
    way = (kafka.bootstrap_servers, kafka.security_protocol, settings.plain_text_hosts)
    if kafka.security_protocol in KAFKA_ENCRYPTED or way in _judged:
        return
    client = client or AdminClient(client_config(settings))
    try:
        found = client.list_topics(timeout=within_s or kafka.request_timeout_s)
    except KafkaException as error:
        raise unavailable(error, "ask which brokers there are") from error
    judge_brokers(settings, found)
    _judged.add(way)


def judge_brokers(settings: Settings, found: ClusterMetadata) -> None:
    """Refuse brokers of another machine that would be talked to in plain text.

    Raises:
        ConfigurationError: Names the first of them and what to do; nothing was said to it.
    """
    hosts = [str(broker.host) for broker in found.brokers.values()]
    for host in find_open_brokers(hosts, settings.kafka.security_protocol):
        if host not in settings.plain_text_hosts:
            message = (
                f"Kafka at {settings.kafka.bootstrap_servers} says that a broker is reached at "
                f"{host} (its advertised.listeners), and the connection to it would not be "
                f"encrypted and checked: {KAFKA_ADVICE}, or name {host} in plain_text_hosts where "
                "the network between is all your own"
            )
            raise ConfigurationError(message)

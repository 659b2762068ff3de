"""A whole platform for one test: real Kafka, PostgreSQL and MongoDB, own topics and databases.

Here: `servers` (one set a test run, started by the stack itself) and `platform` (a data folder of
its own on them: topic prefix, PostgreSQL database by TEMPLATE, MongoDB database). Tests end with
`platform.audit()`. Markers and the header are conftest.py's.
"""

import gc
import itertools
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from psycopg import sql
from pydantic import SecretStr
from pymongo import MongoClient

from crypto_platform.delivery.audit import AuditReport, audit
from crypto_platform.delivery.ingest import FeedReport, ingest
from crypto_platform.delivery.load import LoadReport, load
from crypto_platform.errors import KafkaUnavailableError
from crypto_platform.feeds import FEEDS, Record
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.feed import Feed
from crypto_platform.kafka.connection import client_config
from crypto_platform.kafka.cursors import read_cursors
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import COMPACTED_TOPICS, CURSORS_TOPIC, create_topics, topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.migrations.run import migrate
from crypto_platform.settings import ENVIRONMENT_FILE, Settings, load_settings
from crypto_platform.sources.base import Source
from crypto_platform.stack.embedded import embedded_servers, find_admin_urls
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.mongo import schema as mongo_schema
from tests.waiting import eventually

ROLES = ("migrator", "loader", "analyst")
POSTGRES_ROLES = (*ROLES, "api")
MONGO_RIGHTS = {
    "migrator": ("dbAdmin", "readWrite"),
    "loader": ("readWrite",),
    "analyst": ("read",),
}

_TOPICS = tuple(feed.topic for feed in FEEDS)
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """One running set of servers and the ways to make databases on it."""

    settings: Settings
    postgres_admin_url: str
    mongo_admin_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Kafka, PostgreSQL and MongoDB, migrated; ended with the test run."""
    with tempfile.TemporaryDirectory(prefix="crypto_platform_test_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "data"
        with embedded_servers(folder, migrate=True) as settings:
            admin = find_admin_urls(folder)
            yield Servers(
                settings=settings, postgres_admin_url=admin.postgres, mongo_admin_url=admin.mongo
            )


def clock() -> int:
    """Microseconds now."""
    return time.time_ns() // 1000


class Platform:
    """One test's platform; see the module's text."""

    def __init__(self, servers: Servers, data_dir: Path) -> None:
        self.servers = servers
        self.data_dir = data_dir
        self.number = next(_numbers)
        self.name = f"t{os.getpid()}_{self.number}_{secrets.token_hex(2)}"
        self.variables = self._make_databases()
        self.reload()
        self._publishers: dict[str, Publisher] = {}
        self._closing = ExitStack()
        self.create_topics()

    def reload(self, **variables: str) -> Settings:
        """Write the data folder's environment (with changes) and read the settings again."""
        self.variables |= variables
        lines = [f"{key}={value}\n" for key, value in self.variables.items()]
        (self.data_dir / ENVIRONMENT_FILE).write_text("".join(lines), "utf-8")
        self.settings = load_settings(self.data_dir, environment={})
        return self.settings

    def create_topics(self) -> None:
        """Make the topics that are missing, and wait until their partitions are led."""
        create_topics(self.settings, progress=lambda text: None)
        eventually(self.has_leaders, within_s=60)

    def has_leaders(self) -> bool:
        """Whether the broker answers for every partition: not at once after their making or its."""
        names = [topic_name(self.settings, name) for name in (*_TOPICS, *COMPACTED_TOPICS)]
        watermarks = self.watermarks()
        try:
            counts = {name: n for name, (_, n) in watermarks.read_topic_ids(names).items()}
            parts = [Part(name, part) for name, count in counts.items() for part in range(count)]
            watermarks.read_bounds(parts)
        except KafkaUnavailableError:
            return False
        return set(counts) == set(names)

    def use(self, settings: Settings, part: str) -> None:
        """From now on use this server in place of the shared one; a store is migrated first."""
        if part == "kafka":
            self.close_publishers()
            self.reload(**_name_kafka(settings))
            self.create_topics()
            return
        section = settings.postgres if part == "postgres" else settings.mongo
        roles = POSTGRES_ROLES if part == "postgres" else ROLES
        urls = {role: getattr(section, f"{role}_url").get_secret_value() for role in roles}
        prefix = f"CRYPTO_PLATFORM_{part.upper()}__"
        self.reload(**{f"{prefix}{role.upper()}_URL": url for role, url in urls.items()})
        if part == "mongo":
            self.reload(CRYPTO_PLATFORM_MONGO__DATABASE=settings.mongo.database)
        migrate(self.settings, progress=lambda text: None)

    def store(self, name: str, role: str = "loader") -> Store:
        """A store of this platform, closed with it."""
        store = open_store(name, self.settings, role=role)
        self._closing.callback(store.close)
        return store

    def topic(self, feed: Feed[Record]) -> str:
        """A feed's topic on this platform."""
        return topic_name(self.settings, feed.topic)

    def topic_setting(self, feed: Feed[Record], name: str) -> str:
        """A setting of a feed's topic, as the broker has it."""
        admin = AdminClient(client_config(self.settings))
        resource = ConfigResource(ResourceType.TOPIC, self.topic(feed))
        [future] = admin.describe_configs([resource]).values()
        return str(future.result(timeout=10)[name].value)

    def publish(self, feed: Feed[Record], records: Sequence[Record]) -> None:
        """Publish records as one transaction, as an ingest run would."""
        self.publish_raw([(feed, feed.key_of(record), encode(record)) for record in records])

    def publish_raw(self, values: Sequence[tuple[Feed[Record], str, bytes | None]]) -> None:
        """Publish any bytes as one transaction."""
        publisher = self._publishers.get("test")
        if publisher is None:
            publisher = Publisher(self.settings, source="test", feed="any")
            publisher.open()
            self._publishers["test"] = publisher
        publisher.publish([Outgoing(self.topic(feed), key, value) for feed, key, value in values])

    def publish_and_abort(self, feed: Feed[Record], records: Sequence[Record]) -> list[int]:
        """Write records into the log in a transaction that is then aborted.

        Returns:
            Whose time the log keeps of each: a TIMESTAMP_… of confluent_kafka.
        """
        kinds: list[int] = []
        producer = Producer(
            client_config(self.settings)
            | {"transactional.id": f"{self.name}.aborted", "partitioner": "murmur2_random"}
        )
        producer.init_transactions(10)
        producer.begin_transaction()
        for record in records:
            producer.produce(
                self.topic(feed),
                key=feed.key_of(record),
                value=encode(record),
                on_delivery=lambda _, message: kinds.append(message.timestamp()[0]),
            )
        assert producer.flush(10) == 0
        producer.abort_transaction(10)
        return kinds

    def delete_records(self, feed: Feed[Record], *, below: int) -> list[int]:
        """Remove what lies below an offset, as retention would; returns which partitions."""
        admin = AdminClient(client_config(self.settings))
        parts = [Part(self.topic(feed), part) for part in range(feed.partitions)]
        bounds = self.watermarks().read_bounds(parts)
        long_enough = [part for part in parts if bounds[part].high > below]
        request = [TopicPartition(part.topic, part.part, below) for part in long_enough]
        for future in admin.delete_records(request).values():
            future.result(timeout=10)
        return [part.part for part in long_enough]

    def forget_cursors(self) -> None:
        """Lose the live cursors, every one, as somebody's mistake would."""
        topic = topic_name(self.settings, CURSORS_TOPIC)
        keys = read_cursors(self.settings, self.watermarks())
        publisher = Publisher(self.settings, source="test", feed="forgetting")
        publisher.open()
        publisher.publish([Outgoing(topic, key, None) for key in keys])
        publisher.close()

    def ingest(self, sources: Mapping[str, Source]) -> list[FeedReport]:
        """Poll each feed of these sources once."""
        selection = [(name, feed) for name, source in sources.items() for feed in source.feeds]
        return ingest(self.settings, sources, selection, clock=clock, stop=threading.Event())

    def load(self, store: str) -> LoadReport:
        """Load everything that waits into one store."""
        run_id = f"00000000-0000-0000-0000-{secrets.token_hex(6)}"
        return load(
            self.settings,
            self.store(store),
            FEEDS,
            run_id=run_id,
            clock=clock,
            stop=threading.Event(),
        )

    def load_both(self) -> None:
        """Load everything into both stores."""
        for name in STORES:
            self.load(name)

    def audit(self, *, deep: bool = True) -> AuditReport:
        """The audit over both stores, as role analyst."""
        stores = {name: self.store(name, role="analyst") for name in STORES}
        return audit(self.settings, stores, FEEDS, deep=deep)

    def delete_quotes(self, store: str, *, currency_id: str) -> None:
        """Delete rows behind the platform's back, as somebody's mistake would."""
        if store == "postgres":
            with self.postgres_admin() as connection:
                connection.execute("DELETE FROM market.quote WHERE currency_id = %s", [currency_id])
            return
        mongo: MongoClient[dict[str, object]] = MongoClient(self.servers.mongo_admin_url)
        with mongo:
            mongo[self.name]["quotes"].delete_many({"currency_id": currency_id})

    def unblock(self, store: str) -> None:
        """What a person does about an incident that needs no more (docs/runbook.md)."""
        assert store == "postgres"
        with self.postgres_admin() as connection:
            connection.execute("UPDATE platform.kafka_offset SET blocked_by = NULL")

    def end_backends(self) -> None:
        """Cut every connection to this platform's PostgreSQL database."""
        with self.postgres_admin() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def postgres_server_admin(self) -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's connection to the server, beside all databases of tests."""
        return psycopg.connect(self.servers.postgres_admin_url, autocommit=True)

    def postgres_admin(self) -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's connection to this platform's database."""
        url = urlsplit(self.servers.postgres_admin_url)._replace(path=f"/{self.name}").geturl()
        return psycopg.connect(url, autocommit=True)

    def watermarks(self) -> Watermarks:
        """Bounds of this platform's partitions."""
        return Watermarks(self.settings)

    def close(self) -> None:
        """Give everything back but the databases: they go with the servers."""
        self._closing.close()
        self.close_publishers()
        # Kafka's clients close when they are collected; hundreds of tests would keep thousands open
        gc.collect()

    def close_publishers(self) -> None:
        """The next publish makes a new one."""
        for publisher in self._publishers.values():
            publisher.close()
        self._publishers.clear()

    def _make_databases(self) -> dict[str, str]:
        base = self.servers.settings
        with psycopg.connect(self.servers.postgres_admin_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE crypto_platform OWNER migrator").format(
                    sql.Identifier(self.name)
                )
            )
        mongo: MongoClient[dict[str, object]] = MongoClient(self.servers.mongo_admin_url)
        with mongo:
            for role in ROLES:
                rights = [{"role": right, "db": self.name} for right in MONGO_RIGHTS[role]]
                mongo.admin.command("grantRolesToUser", role, roles=rights)
        variables = {
            **_name_kafka(base),
            "CRYPTO_PLATFORM_KAFKA__TOPIC_PREFIX": f"{self.name}.",
            "CRYPTO_PLATFORM_DEPLOYMENT": self.name,
            "CRYPTO_PLATFORM_MONGO__DATABASE": self.name,
            "CRYPTO_PLATFORM_INSTALLED_AT": base.installed_at.isoformat(),
        }
        for role in POSTGRES_ROLES:
            postgres = getattr(base.postgres, f"{role}_url").get_secret_value()
            url = urlunsplit(urlsplit(postgres)._replace(path=f"/{self.name}"))
            variables[f"CRYPTO_PLATFORM_POSTGRES__{role.upper()}_URL"] = url
        for role in ROLES:
            mongo_url = getattr(base.mongo, f"{role}_url").get_secret_value()
            variables[f"CRYPTO_PLATFORM_MONGO__{role.upper()}_URL"] = mongo_url
        mongo_schema.migrate(variables["CRYPTO_PLATFORM_MONGO__MIGRATOR_URL"], self.name)
        return variables


def _name_kafka(settings: Settings) -> dict[str, str]:
    """How the brokers are reached, as variables."""
    given = settings.kafka.model_dump(exclude_unset=True, exclude={"topic_prefix"})
    return {
        f"CRYPTO_PLATFORM_KAFKA__{name.upper()}": value.get_secret_value()
        if isinstance(value, SecretStr)
        else str(value)
        for name, value in given.items()
    }


@pytest.fixture
def platform(servers: Servers, tmp_path: Path) -> Iterator[Platform]:
    """A platform of the test's own."""
    made = Platform(servers, tmp_path)
    yield made
    made.close()

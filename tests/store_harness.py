"""Servers and stores for tests: PostgreSQL here, MongoDB from mongo_harness.py.

Here: the fixtures `postgres_server`, `postgres_urls` (a fresh migrated database a test), and
`store_factory` for the contract suite. A server given by TEST_POSTGRES_URL (a superuser's, database
postgres) is used instead of the one started here.
"""

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from crypto_platform.migrations import postgres as migrations
from crypto_platform.settings import load_settings
from crypto_platform.stack.postgres import find_binaries
from crypto_platform.stores import STORES, open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.mongo import schema as mongo_schema
from tests.mongo_harness import MongoServer, free_port
from tests.waiting import eventually

ENV_TEST_POSTGRES_URL = "TEST_POSTGRES_URL"
ROLES = ("migrator", "loader", "analyst", "api")
TEMPLATE = f"crypto_platform_template_{os.getpid()}"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class PostgresUrls:
    """One database as each role reaches it; `admin` is the superuser."""

    admin: str
    migrator: str
    loader: str
    analyst: str
    api: str


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A server with the three roles; `password` is theirs."""

    admin_url: str
    password: str

    def urls(self, database: str) -> PostgresUrls:
        """The URLs of one of its databases."""
        return PostgresUrls(
            admin=_on_database(self.admin_url, database),
            **{role: self._url(role, database) for role in ROLES},
        )

    def execute(self, statement: sql.SQL | sql.Composed, *, database: str | None = None) -> None:
        """Run a statement as the superuser."""
        url = self.admin_url if database is None else _on_database(self.admin_url, database)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    def _url(self, role: str, database: str) -> str:
        parts = urlsplit(_on_database(self.admin_url, database))
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role}:{self.password}@{host}"))


def _on_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@contextlib.contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """The server given by TEST_POSTGRES_URL, else a fresh one that dies with this process."""
    given = os.environ.get(ENV_TEST_POSTGRES_URL)  # noqa: TID251 - a test's own, no setting
    if given:
        yield _with_roles(given)
        return
    with tempfile.TemporaryDirectory(prefix="crypto_platform_pg_") as name:
        port = free_port()
        process = _start_postgres(Path(name), port)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        try:
            eventually(lambda: _answers(url), within_s=20)
            yield _with_roles(url)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)


def _start_postgres(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    binaries, user = find_binaries(), _unprivileged_user()
    data = folder / "data"
    if user:
        shutil.chown(folder, user)
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "60",
        "shared_buffers": "128MB",
    }
    arguments = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale")
    subprocess.run(
        [binaries / "initdb", "-D", data, *arguments, "--no-sync"],
        check=True,
        user=user,
        stdout=subprocess.DEVNULL,
    )
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", data, *options],
            user=user,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - before any thread of a test
        )


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam("nobody").pw_name


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _with_roles(admin_url: str) -> PostgresServer:
    server = PostgresServer(admin_url=admin_url, password=secrets.token_hex(8))
    for role in ROLES:
        name, password = sql.Identifier(role), sql.Literal(server.password)
        with contextlib.suppress(psycopg.errors.DuplicateObject):
            server.execute(sql.SQL("CREATE ROLE {}").format(name))
        server.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, password))
    return server


@contextlib.contextmanager
def empty_database(server: PostgresServer, name: str) -> Iterator[PostgresUrls]:
    """A database as the stack hands it to the migrator: owned, with btree_gist, without tables."""
    database, owner = sql.Identifier(name), sql.Identifier("migrator")
    server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
    try:
        server.execute(sql.SQL("CREATE EXTENSION btree_gist"), database=name)
        yield server.urls(name)
    finally:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def migrate(urls: PostgresUrls) -> str:
    """Bring a database to the newest revision; returns the line for people."""
    return migrations.migrate(
        migrator_url=urls.migrator,
        loader_url=urls.loader,
        analyst_url=urls.analyst,
        api_url=urls.api,
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server with a migrated template database."""
    with run_postgres() as server, empty_database(server, TEMPLATE) as urls:
        migrate(urls)
        yield server


@pytest.fixture
def postgres_urls(postgres_server: PostgresServer) -> Iterator[PostgresUrls]:
    """A migrated database of the test's own."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER migrator").format(
            sql.Identifier(name), sql.Identifier(TEMPLATE)
        )
    )
    yield postgres_server.urls(name)
    postgres_server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True, kw_only=True)
class StoreFactory:
    """Opens stores, all on one empty database.

    Attributes:
        name: As in STORES.
        environment: Settings under which another process opens the same store.
        opened: What was opened so far; closed with the test.
    """

    name: str
    environment: Mapping[str, str]
    opened: list[Store] = field(default_factory=list)

    def open(self) -> Store:
        """A store with a connection of its own."""
        settings = load_settings(Path("/nonexistent"), environment=self.environment)
        store = open_store(self.name, settings)
        self.opened.append(store)
        return store


@pytest.fixture(params=sorted(STORES))
def store_factory(request: pytest.FixtureRequest) -> Iterator[StoreFactory]:
    """Each store of STORES in turn; only the server in question is started."""
    environments = {"postgres": "postgres_environment", "mongo": "mongo_environment"}
    factory = StoreFactory(
        name=request.param, environment=request.getfixturevalue(environments[request.param])
    )
    yield factory
    for store in factory.opened:
        store.close()


@pytest.fixture
def postgres_environment(postgres_urls: PostgresUrls) -> Mapping[str, str]:
    """Settings that name a fresh PostgreSQL database."""
    prefix = "CRYPTO_PLATFORM_POSTGRES__"
    return {f"{prefix}{role.upper()}_URL": getattr(postgres_urls, role) for role in ROLES}


@pytest.fixture
def mongo_environment(mongo_server: MongoServer) -> Iterator[Mapping[str, str]]:
    """Settings that name a fresh MongoDB database."""
    database = f"test_{secrets.token_hex(6)}"
    mongo_schema.migrate(mongo_server.migrator_url, database)
    prefix = "CRYPTO_PLATFORM_MONGO__"
    yield {
        f"{prefix}LOADER_URL": mongo_server.loader_url,
        f"{prefix}MIGRATOR_URL": mongo_server.migrator_url,
        f"{prefix}DATABASE": database,
    }
    mongo_server.drop(database)

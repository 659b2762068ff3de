"""One client, one session, and the way a transaction ends.

Here: connecting (lazily, again after close), timeouts, concerns, the session whose id (lsid) a
successor may kill, and the retries of commitTransaction. Not here: what is written.

The session lives as long as the connection, so that its lsid in kafka_offset stays true; each
transaction has its own number in it, and beginning a new one ends a forgotten one on the server.
"""

import contextlib
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from bson.binary import Binary
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import InvalidURI, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.server_description import ServerDescription
from pymongo.write_concern import WriteConcern

from crypto_platform.encryption import MONGO_ADVICE, find_open_members, list_mongo_hosts
from crypto_platform.errors import ConfigurationError, OutcomeUnknownError
from crypto_platform.stores.mongo.errors import UNKNOWN_COMMIT, is_transient

Document = dict[str, Any]

_READ = ReadConcern("majority")
_SNAPSHOT = ReadConcern("snapshot")


class Retry:
    """Pauses that grow from 2 to 100 ms, until a deadline."""

    def __init__(self, *, within_s: float) -> None:
        self._deadline = time.monotonic() + within_s
        self._pause_s = 0.002

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._deadline

    def pause(self) -> None:
        """Wait before trying again; nobody could end it early, for it is short."""
        threading.Event().wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, 0.1)


class Connection:
    """What the parts of the store share. Not safe for several threads."""

    def __init__(
        self, url: str, database: str, *, timeout_s: float, plain_text_hosts: Sequence[str] = ()
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: mongodb://…; may hold a password, so it is never shown.
            database: Its name.
            timeout_s: Longest wait for an answer; for a server to be found at most 5 s of it.
            plain_text_hosts: As in the settings; see `connect`.
        """
        self._url = url
        self._database_name = database
        self.timeout_s = timeout_s
        self._plain_text_hosts = plain_text_hosts
        self._client: MongoClient[Document] | None = None
        self._session: ClientSession | None = None

    @property
    def client(self) -> MongoClient[Document]:
        """The driver's client, made when first needed."""
        if self._client is None:
            self._client = connect(
                self._url, timeout_s=self.timeout_s, plain_text_hosts=self._plain_text_hosts
            )
        return self._client

    @property
    def database(self) -> Database[Document]:
        """The store's database; reads see what a majority has."""
        return self.client.get_database(
            self._database_name,
            read_concern=_READ,
            write_concern=self._write_concern,
            read_preference=ReadPreference.PRIMARY,
        )

    def collection(self, name: str) -> Collection[Document]:
        """A collection of the store's database."""
        return self.database[name]

    @property
    def session(self) -> ClientSession:
        """The session of all transactions."""
        if self._session is None:
            self._session = self.client.start_session(causal_consistency=False)
        return self._session

    @property
    def lsid(self) -> Binary:
        """The session's id (a BSON UUID), by which a successor ends it."""
        return self.session.session_id["id"]

    def close(self) -> None:
        """End session and client; the next use makes new ones."""
        if self._session is not None:
            self._session.end_session()
            self._session = None
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextlib.contextmanager
    def transaction(self) -> Generator[ClientSession]:
        """A transaction on a snapshot; whoever leaves without `commit` has aborted it."""
        session = self.session
        session.start_transaction(
            read_concern=_SNAPSHOT,
            write_concern=self._write_concern,
            read_preference=ReadPreference.PRIMARY,
        )
        try:
            yield session
        finally:
            if session.in_transaction:
                session.abort_transaction()

    def insert(
        self, session: ClientSession, collection: str, documents: Sequence[RawBSONDocument]
    ) -> None:
        """Insert documents that are encoded already; see `update` for errors."""
        self._write(session, {"insert": collection, "documents": documents})

    def update(
        self, session: ClientSession, collection: str, updates: Sequence[Mapping[str, Any]]
    ) -> Document:
        """Run update statements in order; returns the server's answer.

        Raises:
            OperationFailure: With the refused statement as `details["writeErrors"][0]`.
        """
        return self._write(session, {"update": collection, "updates": updates})

    def delete(
        self, session: ClientSession, collection: str, deletes: Sequence[Mapping[str, Any]]
    ) -> int:
        """Run delete statements; returns how many documents went. See `update` for errors."""
        return int(self._write(session, {"delete": collection, "deletes": deletes})["n"])

    def _write(self, session: ClientSession, command: Document) -> Document:
        """A write command answers ok although it failed, and says so in `writeErrors` only."""
        answer = self.database.command(command, session=session)
        if errors := answer.get("writeErrors"):
            message = f"{next(iter(command.values()))}: {errors[0]['errmsg']}"
            raise OperationFailure(message, errors[0]["code"], answer)
        return answer

    def commit(self, session: ClientSession) -> None:
        """Commit, asking again while the answer stays away.

        Raises:
            OutcomeUnknownError: No answer within the timeout: read the offset row and believe it.
            PyMongoError: Surely not committed.
        """
        retry = Retry(within_s=self.timeout_s)
        is_unknown = False
        while True:
            try:
                session.commit_transaction()
            except PyMongoError as error:
                # once an answer was lost, "no such transaction" may mean committed and forgotten
                is_unknown = is_unknown or error.has_error_label(UNKNOWN_COMMIT)
                if not is_unknown:
                    raise
                if retry.is_over or is_transient(error):
                    message = "MongoDB's answer to commitTransaction was lost; claim again"
                    raise OutcomeUnknownError(message) from error
                retry.pause()
            else:
                return

    @property
    def _write_concern(self) -> WriteConcern:
        return WriteConcern("majority", j=True, wtimeout=int(self.timeout_s * 1000))


def split_by_size(
    documents: Sequence[RawBSONDocument], *, bytes_max: int
) -> Iterator[list[RawBSONDocument]]:
    """Cut documents into commands that stay within the limit; one alone may be larger."""
    chunk: list[RawBSONDocument] = []
    size_bytes = 0
    for document in documents:
        length = len(document.raw)
        if chunk and size_bytes + length > bytes_max:
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(document)
        size_bytes += length
    if chunk:
        yield chunk


def connect(
    url: str, *, timeout_s: float, plain_text_hosts: Sequence[str] = ()
) -> MongoClient[Document]:
    """A client with a limit on every wait; no server is asked yet.

    The servers say who else belongs to their replica set, and whoever is primary then gets password
    and records. So each use asks anew whether all members may be talked to as the URL says.

    Args:
        url: mongodb://…; the hosts that it names were looked at when the settings were read.
        timeout_s: Longest wait for an answer.
        plain_text_hosts: Members beyond this machine that need no encryption.

    Raises:
        ConfigurationError: The URL is none, or names a file that is none. Later, at any use: a
            member of the replica set would be talked to in plain text.
    """
    known = {*plain_text_hosts, *list_mongo_hosts(url)}
    allowed: frozenset[str] = frozenset()

    def refuse_open(servers: list[ServerDescription]) -> list[ServerDescription]:
        nonlocal allowed
        members = client.topology_description.server_descriptions()
        hosts = frozenset(host for host, _ in members)
        if hosts == allowed:
            return servers
        for host in find_open_members(url, hosts):
            if host not in known:
                message = (
                    f"MongoDB's replica set has the member {host}, and the connection to it would "
                    f"not be encrypted and checked: {MONGO_ADVICE}, or name {host} in "
                    "plain_text_hosts where the network between is all your own"
                )
                raise ConfigurationError(message)
        allowed = hosts
        return servers

    try:
        client = MongoClient[Document](
            url,
            appname="crypto_platform",
            serverSelectionTimeoutMS=int(min(timeout_s, 5.0) * 1000),
            connectTimeoutMS=int(min(timeout_s, 3.0) * 1000),
            socketTimeoutMS=int(timeout_s * 1000),
            waitQueueTimeoutMS=int(timeout_s * 1000),
            # a primary that hangs is noticed after this and connectTimeoutMS: 13 s by default
            heartbeatFrequencyMS=2000,
            maxPoolSize=8,
            server_selector=refuse_open,
        )
    except (InvalidURI, DriverConfigurationError) as error:
        message = f"the MongoDB URL cannot be used ({type(error).__name__}); expected mongodb://…"
        raise ConfigurationError(message) from None
    except OSError as error:
        message = f"a file of the MongoDB URL cannot be read ({error.strerror}): look at tlsCAFile"
        raise ConfigurationError(message) from None
    return client

"""A MongoDB store as files, and back: mongodump's folder format, of one snapshot.

Here: documents as raw BSON, options and indexes as extended JSON, the sums of what the snapshot
holds. Views hold nothing: they are left as they are, and made by migrating. Offsets are a
collection like the others, so they are of the same moment; they are put back last, so that a load
that comes too early finds its partitions taken. mongorestore reads the folder, too. Not here: the
manifest (delivery/backup.py).

Source: MongoDB Database Tools, mongodump, "Output"; a snapshot lives for
minSnapshotHistoryWindowInSeconds (300 by default).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from crypto_platform.errors import StoreRefusedError
from crypto_platform.feeds import FEEDS
from crypto_platform.stores.dump import Dumped
from crypto_platform.stores.mongo import claims, reader
from crypto_platform.stores.mongo.connection import Connection, Document, Retry
from crypto_platform.stores.mongo.errors import is_transient, translating
from crypto_platform.stores.mongo.schema import KAFKA_OFFSET
from crypto_platform.stores.sums import Sum

BATCH_DOCUMENTS = 5_000
INSERT_BYTES_MAX = 8 * 1024 * 1024
INSERT_DOCUMENTS_MAX = 10_000
TIMEOUT_S = 600.0
"""Of one answer; building an index may take its time."""

_SNAPSHOT_TOO_OLD = frozenset({239, 246})
_CANONICAL = json_util.CANONICAL_JSON_OPTIONS


class MongoDumper:
    """See stores.dump.Dumper."""

    sink = claims.SINK
    replaces_at_once = False

    def __init__(self, url: str, database: str, *, plain_text_hosts: Sequence[str] = ()) -> None:
        """Nothing is connected yet; `url` is of the role that owns the collections."""
        self._connection = Connection(
            url, database, timeout_s=TIMEOUT_S, plain_text_hosts=plain_text_hosts
        )
        self._database = database

    def close(self) -> None:
        """Give back connections."""
        self._connection.close()

    def read_version(self) -> str:
        """The server's."""
        with translating("ask for its version"):
            return str(self._connection.client.server_info()["version"])

    def estimate_bytes(self) -> int:
        """Of the documents as BSON."""
        with translating("ask for its size"):
            return int(self._connection.database.command("dbStats")["dataSize"])

    def is_empty(self) -> bool:
        """Whether there is nothing that could be overwritten."""
        with translating("look what is there"):
            return not any(row.next_offset for row in claims.read_offsets(self._connection))

    def dump(self, folder: Path, progress: Callable[[str], None]) -> Dumped:
        """Write everything of one moment into a folder that is made for it."""
        place = folder / self._database
        place.mkdir(parents=True)
        with (
            translating("read a snapshot"),
            self._connection.client.start_session(snapshot=True) as session,
        ):
            try:
                # the first read takes the snapshot
                offsets = self._read_offsets(session)
                sums = self._read_sums(session)
                for information in self._list_collections():
                    name = str(information["name"])
                    count = self._dump_collection(session, place, information)
                    progress(f"{self.sink}: {count:,} documents of {name}")
            except OperationFailure as error:
                if error.code in _SNAPSHOT_TOO_OLD:
                    raise _too_old(error) from error
                raise
        return Dumped(
            server_version=self.read_version(), revision="", sums=sums, next_offsets=offsets
        )

    def read_sums(self) -> Mapping[str, Sum]:
        """Of all that is there now, by feed."""
        with translating("add up what is there"):
            return self._read_sums(None)

    def put_back(
        self, folder: Path, names: Collection[str], progress: Callable[[str], None]
    ) -> None:
        """Replace everything by what these files of a folder hold."""
        place, names = find_collections(folder, names)
        with translating("put a backup back"):
            database = self._connection.database
            for information in self._list_collections():
                if information["name"] != KAFKA_OFFSET:
                    database.drop_collection(information["name"])
            for name in names:
                count = self._put_collection_back(place, name)
                progress(f"{self.sink}: {count:,} documents of {name} are back")
            self._put_offsets_back(place)

    def _read_offsets(self, session: ClientSession) -> dict[str, int]:
        found = self._connection.client[self._database][KAFKA_OFFSET].find({}, session=session)
        return {
            f"{each['topic']}/{each['_id']['part']}": int(each["next_offset"]) for each in found
        }

    def _read_sums(self, session: ClientSession | None) -> dict[str, Sum]:
        return {
            feed.name: reader.sum_all(self._connection, feed, session=session) for feed in FEEDS
        }

    def _list_collections(self) -> list[Document]:
        found = self._connection.database.list_collections(filter={"type": "collection"})
        return [dict(each) for each in found if not each["name"].startswith("system.")]

    def _dump_collection(self, session: ClientSession, place: Path, information: Document) -> int:
        name = str(information["name"])
        # of the client's own read concern: the session brings that of its snapshot
        collection = self._connection.client[self._database][name]
        metadata = {
            "options": information.get("options", {}),
            "indexes": [dict(each) for each in self._connection.collection(name).list_indexes()],
            "uuid": information["info"]["uuid"].hex(),
            "collectionName": name,
            "type": "collection",
        }
        text = json_util.dumps(metadata, json_options=_CANONICAL)
        (place / f"{name}.metadata.json").write_text(text, "utf-8")
        count = 0
        with (place / f"{name}.bson").open("wb") as file:
            found = collection.find_raw_batches({}, session=session, batch_size=BATCH_DOCUMENTS)
            for batch in cast("Iterable[bytes]", found):  # the stub calls them documents
                file.write(batch)
                count += sum(1 for _ in _cut(batch))
        return count

    def _put_collection_back(self, place: Path, name: str) -> int:
        database = self._connection.database
        metadata = json_util.loads((place / f"{name}.metadata.json").read_text("utf-8"))
        documents = _read_documents(place / f"{name}.bson")
        database.create_collection(name, check_exists=False, **metadata["options"])
        count = 0
        for chunk in _chunks(documents):
            answer = database.command({"insert": name, "documents": chunk, "ordered": False})
            if errors := answer.get("writeErrors"):
                message = f"{name}: {errors[0]['errmsg']}"
                raise OperationFailure(message, errors[0]["code"], answer)
            count += len(chunk)
        indexes = [each for each in metadata["indexes"] if each["name"] != "_id_"]
        if indexes:
            database[name].create_indexes([_build_index(each) for each in indexes])
        return count

    def _put_offsets_back(self, place: Path) -> None:
        """All at once: between the old and the new ones a load would begin at 0."""
        offsets = list(_read_documents(place / f"{KAFKA_OFFSET}.bson"))
        retry = Retry(within_s=TIMEOUT_S)
        while True:
            try:
                with self._connection.transaction() as session:
                    self._connection.delete(session, KAFKA_OFFSET, [{"q": {}, "limit": 0}])
                    if offsets:
                        self._connection.insert(session, KAFKA_OFFSET, offsets)
                    self._connection.commit(session)
            except OperationFailure as error:
                if retry.is_over or not is_transient(error):
                    raise
            else:
                return
            retry.pause()


def find_collections(folder: Path, files: Collection[str]) -> tuple[Path, list[str]]:
    """Where a dump's files lie and which collections they are, offsets left out.

    Only what the manifest names was verified: another file beside it is none of the backup's.

    Raises:
        StoreRefusedError: They are no dump of one database.
    """
    dumped = [Path(each) for each in files if each.endswith(".bson")]
    places = {each.parent for each in dumped}
    if len(places) != 1:
        message = f"MongoDB: {folder} holds {len(places)} databases, a backup has one"
        raise StoreRefusedError(message)
    names = {each.stem for each in dumped}
    return folder / places.pop(), sorted(names - {KAFKA_OFFSET})


def _build_index(described: Mapping[str, Any]) -> IndexModel:
    """With all that it was made with: which documents it holds is part of it."""
    options = {name: value for name, value in described.items() if name not in {"v", "key"}}
    return IndexModel(list(described["key"].items()), **options)


def _cut(batch: bytes) -> Iterator[bytes]:
    """The documents of a piece of BSON, one behind the other."""
    place = 0
    while place < len(batch):
        length = int.from_bytes(batch[place : place + 4], "little")
        yield batch[place : place + length]
        place += length


def _read_documents(file: Path) -> Iterator[RawBSONDocument]:
    with file.open("rb") as opened:
        while head := opened.read(4):
            body = opened.read(int.from_bytes(head, "little") - 4)
            yield RawBSONDocument(head + body)


def _chunks(documents: Iterable[RawBSONDocument]) -> Iterator[list[RawBSONDocument]]:
    chunk: list[RawBSONDocument] = []
    size_bytes = 0
    for document in documents:
        length = len(document.raw)
        if chunk and (size_bytes + length > INSERT_BYTES_MAX or len(chunk) >= INSERT_DOCUMENTS_MAX):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(document)
        size_bytes += length
    if chunk:
        yield chunk


def _too_old(error: OperationFailure) -> StoreRefusedError:
    message = (
        f"MongoDB: its snapshot is too old to be read to the end ({error}); let it live longer for "
        "the backup: db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: 3600})"
    )
    return StoreRefusedError(message)

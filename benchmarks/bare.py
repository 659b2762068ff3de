"""The fastest bare exactly-once loops we know, as the yardstick of the loads.

Each brings the topic's records into the platform's own table or collection, with all its columns
and indexes, and moves the offsets in the same transaction. They do nothing else: no check of a
value, no fence, no quarantine, no conflict, no bookkeeping. A thread reads and encodes one batch
ahead of the store; rows and BSON are built by hand for each feed (bare_records.py,
bare_documents.py). Also here: the
ways that people write first, row by row and in plain batches.
"""

import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Queue
from typing import Any

import msgspec
import psycopg
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from confluent_kafka import Consumer, Message, TopicPartition
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from benchmarks import bare_documents, bare_records
from benchmarks.bare_records import US, format_time
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.feed import FieldKind

BATCH_RECORDS = 10_000

Batch = tuple[Sequence[Any], dict[int, int]]
"""What is sent for a batch, and the next offset of each partition."""
Encode = Callable[[Sequence[Message], Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """One feed as the bare loops know it.

    Attributes:
        record: The struct that a value is decoded into; its fields are the COPY's columns.
        rows, documents: Made for a topic id.
    """

    schema: str = "market"
    table: str
    collection: str
    record: type[msgspec.Struct]
    rows: Callable[[str], bare_records.Rows]
    documents: Callable[[str], bare_documents.Documents]


YARDSTICKS: Mapping[str, Yardstick] = {
    "trades": Yardstick(
        table="trade",
        collection="trades",
        record=bare_records.Trade,
        rows=bare_records.trade_rows,
        documents=bare_documents.trade_documents,
    ),
    "order_books": Yardstick(
        table="order_book",
        collection="order_books",
        record=bare_records.OrderBook,
        rows=bare_records.order_book_rows,
        documents=bare_documents.order_book_documents,
    ),
    "candles": Yardstick(
        table="candle_revision",
        collection="candles",
        record=bare_records.Candle,
        rows=bare_records.candle_rows,
        documents=bare_documents.candle_documents,
    ),
    "account_events": Yardstick(
        schema="accounts",
        table="event",
        collection="account_events",
        record=bare_records.AccountEvent,
        rows=bare_records.account_event_rows,
        documents=bare_documents.account_event_documents,
    ),
    "instruments": Yardstick(
        table="instrument_revision",
        collection="instruments",
        record=bare_records.Instrument,
        rows=bare_records.instrument_rows,
        documents=bare_documents.instrument_documents,
    ),
}
"""By feed."""


class Topic:
    """A topic read from its beginning to where it ends now."""

    def __init__(
        self, config: dict[str, Any], name: str, topic_id: str, ends: dict[int, int]
    ) -> None:
        self.name, self.topic_id, self.ends = name, topic_id, ends
        self._consumer = Consumer(
            config
            | {
                "group.id": "bare",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "queued.max.messages.kbytes": 32 * 1024,
            }
        )
        self._consumer.assign([TopicPartition(name, part, 0) for part in ends])

    def read(self, batch_records: int) -> Iterator[list[Message]]:
        """Batches until the ends are reached; then the consumer is closed."""
        left = {part for part, end in self.ends.items() if end}
        while left:
            messages = self._consumer.consume(batch_records, timeout=0.1)
            if not messages:
                continue
            yield messages
            # a marker may stand at the very end
            left -= {part for part, at in _nexts(messages).items() if at + 1 >= self.ends[part]}
        self._consumer.close()


def _nexts(messages: Sequence[Message]) -> dict[int, int]:
    """The next offset of each partition."""
    return {message.partition() or 0: (message.offset() or 0) + 1 for message in messages}


def read_ahead(
    topic: Topic, record: type[msgspec.Struct], encode: Encode, *, depth: int = 1
) -> Iterator[Batch]:
    """Encoded batches, `depth` of them made by another thread while the store works."""
    ready: Queue[Batch | None] = Queue(depth)
    gc.freeze()
    gc.disable()
    decode = msgspec.json.Decoder(record).decode

    def run() -> None:
        for messages in topic.read(BATCH_RECORDS):
            records = [decode(message.value() or b"") for message in messages]
            ready.put((encode(messages, records), _nexts(messages)))
        ready.put(None)

    threading.Thread(target=run, daemon=True).start()
    while (batch := ready.get()) is not None:
        yield batch


ARRIVAL = ("arrival_topic_id", "arrival_part", "arrival_offset", "ts_append")
CREATE_OFFSETS = (
    "CREATE TABLE IF NOT EXISTS platform.bare_offset (part int PRIMARY KEY, next bigint)"
)
MOVE_OFFSETS = """INSERT INTO platform.bare_offset SELECT * FROM unnest(%s::int[], %s::bigint[])
  ON CONFLICT (part) DO UPDATE SET next = excluded.next"""


def _into(yardstick: Yardstick) -> str:
    names = ", ".join(f'"{name}"' for name in (*yardstick.record.__struct_fields__, *ARRIVAL))
    return f"{yardstick.schema}.{yardstick.table} ({names})"


def load_postgres(topic: Topic, yardstick: Yardstick, url: str) -> None:
    """COPY text straight into the table, the offsets in the same transaction."""
    rows_of = yardstick.rows(topic.topic_id)
    copy_in = f"COPY {_into(yardstick)} FROM STDIN".encode()

    def encode(messages: Sequence[Message], records: Sequence[Any]) -> Sequence[bytes]:
        return ["".join(rows_of(messages, records)).encode()]

    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        for rows, nexts in read_ahead(topic, yardstick.record, encode):
            with connection.transaction():
                connection.execute(MOVE_OFFSETS, [list(nexts), list(nexts.values())])
                with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
                    for chunk in rows:
                        copy.write(chunk)


def load_postgres_in_batches(
    topic: Topic, yardstick: Yardstick, url: str, *, batch_records: int
) -> None:
    """INSERT .. ON CONFLICT, so many rows a commit; 1 is row by row."""
    decode = msgspec.json.Decoder(yardstick.record).decode
    names = (*yardstick.record.__struct_fields__, *ARRIVAL)
    kinds = _kinds(yardstick)
    places = ", ".join(_PLACES.get(kinds.get(name), "%s") for name in names)
    insert = f"INSERT INTO {_into(yardstick)} VALUES ({places}) ON CONFLICT DO NOTHING".encode()
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        for messages in topic.read(batch_records):
            nexts = _nexts(messages)
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(MOVE_OFFSETS, [list(nexts), list(nexts.values())])
                cursor.executemany(
                    insert, [_row(topic, m, decode(m.value() or b"")) for m in messages]
                )


def _row(topic: Topic, message: Message, record: msgspec.Struct) -> Sequence[object]:
    fields = zip(record.__struct_fields__, msgspec.structs.astuple(record), strict=True)
    return (
        *(_cell(name, value) for name, value in fields),
        topic.topic_id,
        message.partition(),
        message.offset(),
        format_time(message.timestamp()[1] * 1000),
    )


def _cell(name: str, value: Any) -> object:  # noqa: ANN401 - a field's
    if _is_moment(name) and value is not None:
        return format_time(value)
    return list(value) if isinstance(value, tuple) else value


def _is_moment(name: str) -> bool:
    return name.startswith("ts_") and not name.endswith("_text")


def _kinds(yardstick: Yardstick) -> dict[str, FieldKind]:
    [feed] = [f for f in FEED_BY_NAME.values() if f.collection == yardstick.collection]
    return {field.name: field.kind for field in feed.fields}


_PLACES: Mapping[FieldKind | None, str] = {
    FieldKind.AMOUNTS: "%s::numeric[]",
    FieldKind.TEXTS: "%s::text[]",
}


def load_mongo(topic: Topic, yardstick: Yardstick, url: str, database: str) -> None:
    """Insert commands with BSON built by hand, the offsets first in the same transaction."""
    documents_of = yardstick.documents(topic.topic_id)

    def encode(messages: Sequence[Message], records: Sequence[Any]) -> Sequence[RawBSONDocument]:
        return [RawBSONDocument(document) for document in documents_of(messages, records)]

    batches = read_ahead(topic, yardstick.record, encode)
    for transaction, documents, nexts in _in_transactions(batches, url, database):
        transaction.insert(yardstick.collection, documents, nexts)


INSERT_BYTES_MAX = 14 * 1024 * 1024
"""Of one command, which fails over 16 MB."""


class _Transaction:
    """Commands of one transaction."""

    def __init__(self, database: Any, session: Any) -> None:  # noqa: ANN401 - the driver's
        self._database, self._session = database, session

    def insert(self, collection: str, documents: Sequence[Any], nexts: dict[int, int]) -> None:
        """Move the offsets, then insert."""
        updates = [
            {"q": {"_id": part}, "u": {"$set": {"next": Int64(at)}}, "upsert": True}
            for part, at in nexts.items()
        ]
        self._command({"update": "bare_offset", "updates": updates})
        for chunk in _split(documents):
            self._command({"insert": collection, "documents": chunk})

    def _command(self, command: dict[str, Any]) -> None:
        answer = self._database.command(command, session=self._session)
        if answer.get("writeErrors"):
            raise RuntimeError(answer["writeErrors"][0])


def _split(documents: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """In commands of a bounded size; the documents of a feed are about as long as each other."""
    raw = isinstance(documents[0], RawBSONDocument)
    size = len(documents[0].raw) * 5 // 4 if raw else 8_000
    count = max(INSERT_BYTES_MAX // size, 1)
    for first in range(0, len(documents), count):
        yield documents[first : first + count]


def _in_transactions(
    batches: Iterator[Batch], url: str, name: str
) -> Iterator[tuple[_Transaction, Sequence[Any], dict[int, int]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    with client, client.start_session(causal_consistency=False) as session:
        for documents, nexts in batches:
            with session.start_transaction(
                read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority", j=True)
            ):
                yield _Transaction(client[name], session), documents, nexts


def load_mongo_in_batches(
    topic: Topic, yardstick: Yardstick, url: str, database: str, *, batch_records: int
) -> None:
    """Documents as dicts, so many a transaction; 1 is one by one."""
    decode = msgspec.json.Decoder(yardstick.record).decode
    kinds = _kinds(yardstick)

    def batches() -> Iterator[Batch]:
        for messages in topic.read(batch_records):
            yield (
                [_document(topic, kinds, m, decode(m.value() or b"")) for m in messages],
                _nexts(messages),
            )

    for transaction, documents, nexts in _in_transactions(batches(), url, database):
        transaction.insert(yardstick.collection, documents, nexts)


def _document(
    topic: Topic, kinds: dict[str, FieldKind], message: Message, record: msgspec.Struct
) -> dict[str, object]:
    document: dict[str, object] = {}
    for name, value in zip(record.__struct_fields__, msgspec.structs.astuple(record), strict=True):
        document |= _members("_id" if name == "event_id" else name, kinds[name], value)
    return document | {
        "arrival_topic_id": topic.topic_id,
        "arrival_part": Int64(message.partition() or 0),
        "arrival_offset": Int64(message.offset() or 0),
        **_members("ts_append", FieldKind.TIME_US, message.timestamp()[1] * 1000),
    }


def _members(name: str, kind: FieldKind, value: Any) -> dict[str, object]:  # noqa: ANN401 - a field's
    if kind is FieldKind.TIME_US:
        known = value is not None
        return {
            f"{name}_us": Int64(value) if known else None,
            name: datetime.fromtimestamp(value / US, UTC) if known else None,
        }
    if value is None or kind in {FieldKind.TEXT, FieldKind.TEXTS, FieldKind.FLAG}:
        return {name: value}
    if kind is FieldKind.AMOUNTS:
        return {name: [Decimal128(amount) for amount in value]}
    return {name: Decimal128(value) if kind is FieldKind.AMOUNT else Int64(value)}

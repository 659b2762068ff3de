"""The fastest bare exactly-once loops we know, as the yardstick of the loads.

Each brings the topic's trades into the platform's own table or collection, with all its columns and
indexes, and moves the offsets in the same transaction. They do nothing else: no check of a value,
no fence, no quarantine, no conflict, no bookkeeping. A thread reads and encodes one batch ahead of
the store, rows and BSON are bytes built by hand for this one record. Also here: the ways that
people write first, row by row and in plain batches.
"""

import gc
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
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

BATCH_RECORDS = 10_000
US = 1_000_000


class Trade(msgspec.Struct, tag_field="v", tag=1, gc=False):
    """The value's own fields, unchecked."""

    event_id: str
    content_hash: int
    ts_ingest: int
    venue: str
    venue_symbol: str
    trade_id: str
    price: str
    quantity: str
    ts_event: int
    symbol: str | None = None
    taker_side: str | None = None
    ts_event_text: str | None = None


Batch = tuple[Sequence[Any], dict[int, int]]
"""What is sent for a batch, and the next offset of each partition."""
Encode = Callable[[Sequence[Message], Sequence[Trade]], Sequence[Any]]


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


def read_ahead(topic: Topic, encode: Encode, *, depth: int = 1) -> Iterator[Batch]:
    """Encoded batches, `depth` of them made by another thread while the store works."""
    ready: Queue[Batch | None] = Queue(depth)
    gc.freeze()
    gc.disable()
    decode = msgspec.json.Decoder(Trade).decode

    def run() -> None:
        for messages in topic.read(BATCH_RECORDS):
            trades = [decode(message.value() or b"") for message in messages]
            ready.put((encode(messages, trades), _nexts(messages)))
        ready.put(None)

    threading.Thread(target=run, daemon=True).start()
    while (batch := ready.get()) is not None:
        yield batch


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _time(us: int) -> str:
    return f"{_second(us // US)}.{us % US:06d}+00"


COPY = """COPY market.trade (event_id, content_hash, ts_ingest, venue, venue_symbol, symbol,
  trade_id, price, quantity, taker_side, ts_event, ts_event_text, arrival_topic_id, arrival_part,
  arrival_offset, ts_append) FROM STDIN"""
CREATE_OFFSETS = (
    "CREATE TABLE IF NOT EXISTS platform.bare_offset (part int PRIMARY KEY, next bigint)"
)
MOVE_OFFSETS = """INSERT INTO platform.bare_offset SELECT * FROM unnest(%s::int[], %s::bigint[])
  ON CONFLICT (part) DO UPDATE SET next = excluded.next"""


def load_postgres(topic: Topic, url: str) -> None:
    """COPY text straight into the table, the offsets in the same transaction."""
    time_of = lru_cache(maxsize=4096)(_time)

    def encode(messages: Sequence[Message], trades: Sequence[Trade]) -> Sequence[bytes]:
        rows = [
            f"{t.event_id}\t{t.content_hash}\t{time_of(t.ts_ingest)}\t{t.venue}\t{t.venue_symbol}\t"
            f"{t.symbol or NULL}\t{t.trade_id}\t{t.price}\t{t.quantity}\t{t.taker_side or NULL}\t"
            f"{_time(t.ts_event)}\t{t.ts_event_text or NULL}\t{topic.topic_id}\t{m.partition()}\t"
            f"{m.offset()}\t{time_of(m.timestamp()[1] * 1000)}\n"
            for m, t in zip(messages, trades, strict=True)
        ]
        return ["".join(rows).encode()]

    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        for rows, nexts in read_ahead(topic, encode):
            with connection.transaction():
                connection.execute(MOVE_OFFSETS, [list(nexts), list(nexts.values())])
                with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                    for chunk in rows:
                        copy.write(chunk)


NULL = r"\N"
INSERT = """INSERT INTO market.trade VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
  %s, %s) ON CONFLICT DO NOTHING"""


def load_postgres_in_batches(topic: Topic, url: str, *, batch_records: int) -> None:
    """INSERT .. ON CONFLICT, so many rows a commit; 1 is row by row."""
    decode = msgspec.json.Decoder(Trade).decode
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        for messages in topic.read(batch_records):
            nexts = _nexts(messages)
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(MOVE_OFFSETS, [list(nexts), list(nexts.values())])
                cursor.executemany(
                    INSERT, [_row(topic, m, decode(m.value() or b"")) for m in messages]
                )


def _row(topic: Topic, message: Message, trade: Trade) -> Sequence[object]:
    return (
        trade.event_id,
        trade.content_hash,
        _time(trade.ts_ingest),
        trade.venue,
        trade.venue_symbol,
        trade.symbol,
        trade.trade_id,
        trade.price,
        trade.quantity,
        trade.taker_side,
        _time(trade.ts_event),
        trade.ts_event_text,
        topic.topic_id,
        message.partition(),
        message.offset(),
        _time(message.timestamp()[1] * 1000),
    )


_int32 = struct.Struct("<i").pack
_int64 = struct.Struct("<q").pack


def _head(kind: bytes, name: str) -> bytes:
    return kind + name.encode() + b"\0"


def _text(name: str) -> Callable[[str | None], bytes]:
    head, null = _head(b"\x02", name), _head(b"\x0a", name)

    def encode(text: str | None) -> bytes:
        if text is None:
            return null
        raw = text.encode()
        return b"%b%b%b\0" % (head, _int32(len(raw) + 1), raw)

    return encode


def _amount(name: str) -> Callable[[str], bytes]:
    head = _head(b"\x13", name)

    def encode(text: str) -> bytes:
        whole, _, decimals = text.partition(".")
        number = ((6176 - len(decimals)) << 113) | int(whole + decimals)
        return head + number.to_bytes(16, "little")

    return encode


def _moment(name: str) -> Callable[[int], bytes]:
    head, date = _head(b"\x12", f"{name}_us"), _head(b"\x09", name)
    return lambda us: b"%b%b%b%b" % (head, _int64(us), date, _int64(us // 1000))


def load_mongo(topic: Topic, url: str, database: str) -> None:
    """Insert commands with BSON built by hand, the offsets first in the same transaction."""
    event_id, hash_head = _text("_id"), _head(b"\x12", "content_hash")
    often = [_text(name) for name in ("venue", "venue_symbol", "symbol")]
    kinds = lru_cache(maxsize=4096)(
        lambda *texts: b"".join(encode(text) for encode, text in zip(often, texts, strict=True))
    )
    trade_id, price, quantity = _text("trade_id"), _amount("price"), _amount("quantity")
    side = lru_cache(maxsize=16)(_text("taker_side"))
    ingest = lru_cache(maxsize=4096)(_moment("ts_ingest"))
    event, event_text = _moment("ts_event"), _text("ts_event_text")
    arrival = lru_cache(maxsize=64)(
        lambda part: (
            _text("arrival_topic_id")(topic.topic_id)
            + _head(b"\x12", "arrival_part")
            + _int64(part)
            + _head(b"\x12", "arrival_offset")
        )
    )
    append = lru_cache(maxsize=4096)(_moment("ts_append"))

    def encode(messages: Sequence[Message], trades: Sequence[Trade]) -> Sequence[RawBSONDocument]:
        bodies = [
            b"".join(
                (
                    event_id(t.event_id),
                    hash_head,
                    _int64(t.content_hash),
                    ingest(t.ts_ingest),
                    kinds(t.venue, t.venue_symbol, t.symbol),
                    trade_id(t.trade_id),
                    price(t.price),
                    quantity(t.quantity),
                    side(t.taker_side),
                    event(t.ts_event),
                    event_text(t.ts_event_text),
                    arrival(m.partition()),
                    _int64(m.offset()),
                    append(m.timestamp()[1] * 1000),
                    b"\0",
                )
            )
            for m, t in zip(messages, trades, strict=True)
        ]
        return [RawBSONDocument(_int32(len(body) + 4) + body) for body in bodies]

    for client, documents, nexts in _in_transactions(read_ahead(topic, encode), url, database):
        client.command({"insert": "trades", "documents": documents}, nexts)


class _Transaction:
    """Commands of one transaction."""

    def __init__(self, database: Any, session: Any) -> None:  # noqa: ANN401 - the driver's
        self._database, self._session = database, session

    def command(self, command: dict[str, Any], nexts: dict[int, int]) -> None:
        """Move the offsets, then run the command."""
        updates = [
            {"q": {"_id": part}, "u": {"$set": {"next": Int64(at)}}, "upsert": True}
            for part, at in nexts.items()
        ]
        for each in ({"update": "bare_offset", "updates": updates}, command):
            answer = self._database.command(each, session=self._session)
            if answer.get("writeErrors"):
                raise RuntimeError(answer["writeErrors"][0])


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


def load_mongo_in_batches(topic: Topic, url: str, database: str, *, batch_records: int) -> None:
    """Documents as dicts, so many a transaction; 1 is one by one."""
    decode = msgspec.json.Decoder(Trade).decode

    def batches() -> Iterator[Batch]:
        for messages in topic.read(batch_records):
            yield (
                [_document(topic, m, decode(m.value() or b"")) for m in messages],
                _nexts(messages),
            )

    for transaction, documents, nexts in _in_transactions(batches(), url, database):
        transaction.command({"insert": "trades", "documents": documents}, nexts)


def _document(topic: Topic, message: Message, trade: Trade) -> dict[str, object]:
    times = {
        "ts_ingest": trade.ts_ingest,
        "ts_event": trade.ts_event,
        "ts_append": message.timestamp()[1] * 1000,
    }
    return {
        "_id": trade.event_id,
        "content_hash": Int64(trade.content_hash),
        "venue": trade.venue,
        "venue_symbol": trade.venue_symbol,
        "symbol": trade.symbol,
        "trade_id": trade.trade_id,
        "price": Decimal128(trade.price),
        "quantity": Decimal128(trade.quantity),
        "taker_side": trade.taker_side,
        "ts_event_text": trade.ts_event_text,
        "arrival_topic_id": topic.topic_id,
        "arrival_part": Int64(message.partition() or 0),
        "arrival_offset": Int64(message.offset() or 0),
        **dict(
            chain.from_iterable(
                ((f"{name}_us", Int64(us)), (name, datetime.fromtimestamp(us / US, UTC)))
                for name, us in times.items()
            )
        ),
    }

"""What the audit reads from PostgreSQL.

Here: SELECTs and rows -> values, exact both ways. Long answers come a page at a time, each page a
statement of its own that goes on behind the last row: memory stays bounded, no transaction stays
open while the caller works, and other calls may come in between. Not here: writing, what people
read of the market (markets.py).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, LiteralString

from psycopg import sql
from psycopg.types.string import TextLoader

from crypto_platform.domain.hours import from_time_us, to_time_us
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.facts import derive_hash, list_facts
from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.stores.batches import BatchKind, LoadBatch
from crypto_platform.stores.claims import TopicPart
from crypto_platform.stores.contents import StoredContent, StoredRecord
from crypto_platform.stores.matters import EntryState, QuarantineEntry
from crypto_platform.stores.postgres.session import Connection, Session
from crypto_platform.stores.slices import Arrival
from crypto_platform.stores.sums import Sum

RANGE_PAGE_RECORDS = 10_000
QUARANTINE_PAGE_RECORDS = 100
"""An entry may be as large as a Kafka record."""

OFFSET_END = 2**63 - 1

_READ_RECORDS = """
SELECT event_id, content_hash, arrival_topic_id::text, arrival_part, arrival_offset
FROM {table} WHERE event_id = ANY(%s::text[]) AND arrival_topic_id IS NOT NULL
"""

_COUNT_EVENTS = """
SELECT count(*) FROM {table}
WHERE {equal} AND ts_event >= %(start)s AND ts_event < %(end)s
"""

_SUM_RANGE = """
SELECT count(*), coalesce(sum((content_hash >> 32) & 4294967295), 0),
  coalesce(sum(content_hash & 4294967295), 0)
FROM {table}
WHERE arrival_topic_id = %s AND arrival_part = %s AND arrival_offset >= %s AND arrival_offset < %s
"""

_READ_RANGE = """
SELECT event_id, content_hash, arrival_topic_id::text, arrival_part, arrival_offset
FROM {table}
WHERE arrival_topic_id = %s AND arrival_part = %s AND arrival_offset < %s
  AND (arrival_offset, event_id) > (%s, %s)
ORDER BY arrival_offset, event_id LIMIT %s
"""

_READ_CONTENTS = """
SELECT event_id, content_hash, arrival_topic_id::text, arrival_part, arrival_offset, {facts}
FROM {table}
WHERE arrival_topic_id = %s AND arrival_part = %s AND arrival_offset < %s
  AND (arrival_offset, event_id) > (%s, %s)
ORDER BY arrival_offset, event_id LIMIT %s
"""

_READ_ARRIVALS = """
SELECT event_id, content_hash, arrival_topic_id::text, arrival_part, arrival_offset,
  (extract(epoch FROM ts_append) * 1000000)::bigint, {exact_columns}
FROM {table}
WHERE arrival_topic_id = %s AND arrival_part = %s AND arrival_offset < %s
  AND (arrival_offset, event_id) > (%s, %s)
ORDER BY arrival_offset, event_id LIMIT %s
"""

# A row's place in its table tells it from its double, which may be equal in every column.
_READ_REPEATED = """
SELECT event_id, content_hash, arrival_topic_id::text, arrival_part, arrival_offset
FROM {table} AS one
WHERE arrival_topic_id = %s AND arrival_part = %s AND arrival_offset >= %s AND arrival_offset < %s
  AND EXISTS (
    SELECT FROM {table} AS other WHERE other.event_id = one.event_id
      AND (other.tableoid, other.ctid) <> (one.tableoid, one.ctid))
ORDER BY arrival_offset, event_id
"""

# A loose index scan: a probe a partition, whatever the table holds.
_READ_ARRIVAL_PARTS = """
WITH RECURSIVE parts AS (
  (SELECT arrival_topic_id, arrival_part FROM {table} WHERE arrival_topic_id IS NOT NULL
   ORDER BY arrival_topic_id, arrival_part LIMIT 1)
  UNION ALL
  SELECT next.arrival_topic_id, next.arrival_part
  FROM parts CROSS JOIN LATERAL (
    SELECT t.arrival_topic_id, t.arrival_part FROM {table} AS t
    WHERE (t.arrival_topic_id, t.arrival_part) > (parts.arrival_topic_id, parts.arrival_part)
    ORDER BY t.arrival_topic_id, t.arrival_part LIMIT 1) AS next
)
SELECT arrival_topic_id::text, arrival_part FROM parts
"""

_READ_WITHOUT_ARRIVAL = """
SELECT event_id, content_hash, '', -1, -1 FROM {table} WHERE arrival_topic_id IS NULL
"""

_READ_FACTS = "SELECT {columns} FROM {table} WHERE event_id = ANY(%s::text[])"

# A table never analyzed says -1; a partitioned one is the sum of its leaves.
_ESTIMATE_RECORDS = """
SELECT sum(nullif(c.reltuples, -1))::bigint
FROM pg_partition_tree(%s::regclass) AS p JOIN pg_class AS c ON c.oid = p.relid
WHERE p.isleaf
"""

_READ_QUARANTINE = """
SELECT topic, topic_id::text, part, record_offset, ts_append, reason, error, event_id, key, value,
  run_id, state, quarantined_at, note
FROM platform.quarantine
WHERE (topic_id, part, record_offset) > (%s::uuid, %s, %s)
  AND (topic_id, part, record_offset) < (%s::uuid, %s, %s)
ORDER BY topic_id, part, record_offset LIMIT %s
"""

_READ_LOAD_BATCHES = """
SELECT run_id, topic, topic_id::text, part, epoch, hour, kind, lower(offsets), upper(offsets),
  stored_records, stored_high, stored_low, repeated_records, quarantined_records
FROM platform.load_batch
WHERE sink = 'postgres' AND (%(all)s OR (topic_id = %(topic_id)s::uuid AND part = %(part)s))
ORDER BY topic_id, part, lower(offsets), kind, run_id, epoch, hour
"""


def read_records(
    session: Session, feed: Feed[Record], event_ids: Sequence[str]
) -> list[StoredRecord]:
    """See Store.read_records; an incident that Kafka has not brought yet has no first arrival."""
    with session.autocommit() as connection:
        rows = connection.execute(on_table(_READ_RECORDS, feed), [list(event_ids)]).fetchall()
    return [StoredRecord(*row) for row in rows]


def sum_range(
    session: Session,
    feed: Feed[Record],
    partition: TopicPart,
    *,
    first_offset: int,
    next_offset: int,
) -> Sum:
    """See Store.sum_range."""
    with session.autocommit() as connection:
        return sum_arrived(connection, feed, partition, first_offset, next_offset)


def sum_arrived(
    connection: Connection,
    feed: Feed[Record],
    partition: TopicPart,
    first_offset: int,
    next_offset: int,
) -> Sum:
    """See Store.sum_range; inside of a transaction with what that has written."""
    row = connection.execute(
        on_table(_SUM_RANGE, feed), [*partition, first_offset, next_offset]
    ).fetchone()
    count, high, low = row or (0, 0, 0)
    return Sum(count, int(high), int(low))


def read_range(
    session: Session,
    feed: Feed[Record],
    partition: TopicPart,
    *,
    first_offset: int,
    next_offset: int,
) -> Iterator[StoredRecord]:
    """See Store.read_range."""
    statement = on_table(_READ_RANGE, feed)
    for page in _read_pages(session, statement, partition, first_offset, next_offset):
        yield from map(StoredRecord._make, page)


def read_contents(
    session: Session,
    feed: Feed[Record],
    partition: TopicPart,
    *,
    first_offset: int,
    next_offset: int,
) -> Iterator[StoredContent]:
    """See Store.read_contents. The columns' types say that no value has a wrong one.

    The server writes the facts in canonical form: measured on quotes, that costs this process 2.6
    us a record with the hash, columns as values 4.7.
    """
    statement = on_table(_READ_CONTENTS, feed)
    for page in _read_pages(session, statement, partition, first_offset, next_offset):
        for *stored, facts in page:
            record = StoredRecord._make(stored)
            derived = derive_hash(feed, facts.encode(), content_hash=record.content_hash)
            yield StoredContent(record, derived)


def read_arrivals(
    session: Session,
    feed: Feed[Record],
    partition: TopicPart,
    *,
    first_offset: int,
    next_offset: int,
) -> Iterator[Arrival]:
    """See Store.read_arrivals."""
    statement, record = on_table(_READ_ARRIVALS, feed), feed.record
    names = [field.name for field in feed.fields]
    lists = [i for i, field in enumerate(feed.fields) if _VALUE_OF_KIND.get(field.kind) is tuple]
    for page in _read_pages(session, statement, partition, first_offset, next_offset):
        for _, _, _, _, offset, ts_append, *values in page:
            for place in lists:
                values[place] = None if values[place] is None else tuple(values[place])
            yield Arrival(record(**dict(zip(names, values, strict=True))), offset, ts_append)


def _read_pages(
    session: Session, statement: bytes, partition: TopicPart, first_offset: int, next_offset: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Pages in order of (arrival_offset, event_id); rows that are equal there share a page."""
    last = (first_offset, "")
    while True:
        with session.autocommit() as connection, connection.cursor() as cursor:
            # numeric's text is the stored form, with the scale it was given
            cursor.adapters.register_loader("numeric", TextLoader)
            rows = cursor.execute(
                statement, [*partition, next_offset, *last, RANGE_PAGE_RECORDS]
            ).fetchall()
        if len(rows) < RANGE_PAGE_RECORDS:
            yield rows
            return
        end = _place(rows[-1])
        whole = [row for row in rows if _place(row) != end]
        yield whole or rows
        last = _place((whole or rows)[-1])


def _place(row: tuple[Any, ...]) -> tuple[int, str]:
    return row[4], row[0]


def read_repeated(
    session: Session,
    feed: Feed[Record],
    partition: TopicPart,
    *,
    first_offset: int,
    next_offset: int,
) -> list[StoredRecord]:
    """See Store.read_repeated."""
    with session.autocommit() as connection:
        rows = connection.execute(
            on_table(_READ_REPEATED, feed), [*partition, first_offset, next_offset]
        ).fetchall()
    return [StoredRecord(*row) for row in rows]


def read_strays(
    session: Session, feed: Feed[Record], known: Collection[TopicPart]
) -> Iterator[StoredRecord]:
    """See Store.read_strays."""
    with session.autocommit() as connection:
        parts = connection.execute(on_table(_READ_ARRIVAL_PARTS, feed)).fetchall()
    for part in sorted({TopicPart(*row) for row in parts} - set(known)):
        yield from read_range(session, feed, part, first_offset=0, next_offset=OFFSET_END)
    if feed.owned_by_platform:
        return
    with (
        session.autocommit() as connection,
        connection.cursor("without_arrival", withhold=True) as cursor,
    ):
        cursor.execute(on_table(_READ_WITHOUT_ARRIVAL, feed))
        for row in cursor:
            yield StoredRecord(*row)


def read_quarantine(
    session: Session, partition: TopicPart | None, *, first_offset: int, next_offset: int | None
) -> Iterator[QuarantineEntry]:
    """See Store.read_quarantine."""
    lowest, highest = partition or _LOWEST, partition or _HIGHEST
    last: tuple[object, ...] = (*lowest, first_offset - 1)
    end = (*highest, OFFSET_END if next_offset is None else next_offset)
    while True:
        with session.autocommit() as connection:
            rows = connection.execute(
                _READ_QUARANTINE, [*last, *end, QUARANTINE_PAGE_RECORDS]
            ).fetchall()
        for row in rows:
            if partition is not None or _is_between(row[3], first_offset, next_offset):
                yield parse_entry(row)
        if len(rows) < QUARANTINE_PAGE_RECORDS:
            return
        last = rows[-1][1:4]


def _is_between(offset: int, first_offset: int, next_offset: int | None) -> bool:
    return first_offset <= offset and (next_offset is None or offset < next_offset)


_LOWEST = TopicPart("00000000-0000-0000-0000-000000000000", -1)
_HIGHEST = TopicPart("ffffffff-ffff-ffff-ffff-ffffffffffff", 2**31 - 1)


def parse_entry(row: tuple[Any, ...]) -> QuarantineEntry:
    """A row in the order of _READ_QUARANTINE's columns."""
    (
        topic, topic_id, part, offset, ts_append, reason, error, event_id, key, value,
        run_id, state, quarantined_at, note,
    ) = row  # fmt: skip
    return QuarantineEntry(
        topic=topic,
        partition=TopicPart(topic_id, part),
        offset=offset,
        ts_append=to_time_us(ts_append),
        reason=Reason(reason),
        error=error,
        event_id=event_id,
        key=key,
        value=value,
        run_id=run_id,
        state=EntryState(state),
        quarantined_at=to_time_us(quarantined_at),
        note=note,
    )


def read_load_batches(session: Session, partition: TopicPart | None) -> Iterator[LoadBatch]:
    """See Store.read_load_batches.

    Rows are few (one a run, partition and hour); a cursor WITH HOLD keeps the sorted answer on the
    server, so that no transaction stays open between pages.
    """
    topic_id, part = partition or (None, None)
    parameters = {"all": partition is None, "topic_id": topic_id, "part": part}
    with (
        session.autocommit() as connection,
        connection.cursor("load_batches", withhold=True) as cursor,
    ):
        cursor.execute(_READ_LOAD_BATCHES, parameters)
        for row in cursor:
            yield _load_batch(row)


def _load_batch(row: tuple[Any, ...]) -> LoadBatch:
    (
        run_id, topic, topic_id, part, epoch, hour, kind, first_offset, next_offset,
        count, high, low, repeated, quarantined,
    ) = row  # fmt: skip
    return LoadBatch(
        run_id=run_id,
        topic=topic,
        partition=TopicPart(topic_id, part),
        epoch=epoch,
        hour=to_time_us(hour),
        kind=BatchKind(kind),
        first_offset=first_offset,
        next_offset=next_offset,
        stored=Sum(count, int(high), int(low)),
        repeated_records=repeated,
        quarantined_records=quarantined,
    )


def read_facts(session: Session, feed: Feed[Record], event_ids: Sequence[str]) -> list[Record]:
    """See Store.read_facts."""
    return read_structs(session, feed, on_table(_READ_FACTS, feed), [list(event_ids)])


def estimate_records(session: Session, feed: Feed[Record]) -> int | None:
    """See Store.estimate_records: what the last ANALYZE (or autovacuum) counted."""
    with session.autocommit() as connection:
        row = connection.execute(_ESTIMATE_RECORDS, [f"{feed.schema}.{feed.table}"]).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def count_events(
    session: Session, feed: Feed[Record], *, where: Mapping[str, str], start_us: int, end_us: int
) -> int:
    """See Store.count_events."""
    equal = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in where
    ]
    statement = sql.SQL(_COUNT_EVENTS).format(
        table=sql.Identifier(feed.schema, feed.table), equal=sql.SQL(" AND ").join(equal)
    )
    parameters = {
        **where,
        "start": from_time_us(start_us),
        "end": from_time_us(end_us),
    }
    with session.autocommit() as connection:
        [(count,)] = connection.execute(statement, parameters).fetchall()
    return int(count)


def read_structs(
    session: Session,
    feed: Feed[Record],
    statement: bytes,
    parameters: Sequence[object] | Mapping[str, object],
) -> list[Record]:
    """Rows of the feed's columns, in order, as its records."""
    return build_structs(feed, fetch_exact(session, statement, parameters))


def fetch_exact(
    session: Session, statement: bytes, parameters: Sequence[object] | Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """Rows with amounts in stored form."""
    with session.autocommit() as connection:
        return _fetch_exact(connection, statement, parameters)


def _fetch_exact(
    connection: Connection, statement: bytes, parameters: Sequence[object] | Mapping[str, object]
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        # numeric's text is the stored form, with the scale it was given
        cursor.adapters.register_loader("numeric", TextLoader)
        return cursor.execute(statement, parameters).fetchall()


def build_structs(feed: Feed[Record], rows: Sequence[tuple[Any, ...]]) -> list[Record]:
    """Rows that begin with the feed's columns, in order, as its records."""
    return [feed.record(**values) for values in _build_values(feed.fields, rows)]


def read_values(
    session: Session,
    fields: Sequence[Field],
    statement: bytes,
    parameters: Sequence[object] | Mapping[str, object],
) -> list[dict[str, Any]]:
    """Rows of these columns, in order, as what records and states hold, by field."""
    return _build_values(fields, fetch_exact(session, statement, parameters))


def read_values_on(
    connection: Connection,
    fields: Sequence[Field],
    statement: bytes,
    parameters: Sequence[object] | Mapping[str, object],
) -> list[dict[str, Any]]:
    """The same within a transaction."""
    return _build_values(fields, _fetch_exact(connection, statement, parameters))


def _build_values(fields: Sequence[Field], rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    names = [field.name for field in fields]
    convert = [
        field.find_member if field.members else _VALUE_OF_KIND.get(field.kind) for field in fields
    ]
    return [dict(zip(names, map(_convert, convert, row), strict=False)) for row in rows]


def _convert(convert: Callable[[Any], Any] | None, value: Any) -> Any:  # noqa: ANN401 - any kind
    return value if value is None or convert is None else convert(value)


_VALUE_OF_KIND: Mapping[FieldKind, Callable[[Any], Any]] = {
    FieldKind.AMOUNTS: tuple,
    FieldKind.TEXTS: tuple,
    FieldKind.TIME_US: to_time_us,
}
"""What the driver gives -> what the record holds, where they differ."""


@cache
def on_table(statement: LiteralString, feed: Feed[Record]) -> bytes:
    """The statement on the feed's table.

    Args:
        statement: With any of {table}, {columns}, {exact_columns}, {latest_columns}, {facts}, and
            {own_order}: what the feed's first index has behind venue and venue_symbol.
    """
    columns = [field.name for field in feed.fields]
    return (
        sql.SQL(statement)
        .format(
            table=sql.Identifier(feed.schema, feed.table),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            exact_columns=sql.SQL(", ").join(map(_build_exact, feed.fields)),
            latest_columns=sql.SQL(", ").join(sql.Identifier("latest", c) for c in columns),
            own_order=_build_own_order(feed),
            facts=_build_facts(feed),
        )
        .as_bytes(None)
    )


def _build_exact(field: Field) -> sql.Composed:
    """A column as the record holds it: times as integers, which the driver reads far quicker."""
    form = _JSON_OF_KIND[FieldKind.TIME_US] if field.kind is FieldKind.TIME_US else "{}"
    return sql.SQL(form).format(sql.Identifier(field.name))


def _build_own_order(feed: Feed[Record]) -> sql.Composed:
    names = feed.indexes[0].fields[2:] if feed.indexes else ()
    return sql.SQL(", ").join(
        sql.SQL("{} DESC" if name.startswith("-") else "{}").format(
            sql.Identifier(name.removeprefix("-"))
        )
        for name in names
    )


def _build_facts(feed: Feed[Record]) -> sql.Composed:
    """The facts as JSON exactly as feeds/facts.py encodes them: concat_ws leaves out NULL."""
    members = [
        sql.SQL("{name} || {value}").format(
            name=sql.Literal(f'"{field.name}":'),
            value=sql.SQL(_JSON_OF_KIND[field.kind]).format(sql.Identifier(field.name)),
        )
        for field in list_facts(feed)
    ]
    return sql.SQL("'{{' || concat_ws(',', {}) || '}}'").format(sql.SQL(", ").join(members))


_JSON_OF_KIND: Mapping[FieldKind, LiteralString] = {
    FieldKind.TEXT: "to_json({})",
    # numeric's text is the stored form, with the scale it was given
    FieldKind.AMOUNT: "'\"' || {} || '\"'",
    FieldKind.AMOUNTS: "to_json({}::text[])",
    FieldKind.TEXTS: "to_json({})",
    FieldKind.TIME_US: "(extract(epoch FROM {}) * 1000000)::bigint",
    FieldKind.INTEGER: "{}",
    FieldKind.FLAG: "{}::text",
    # encode breaks lines after 76 characters
    FieldKind.BYTES: "'\"' || translate(encode({}, 'base64'), E'\\n', '') || '\"'",
}

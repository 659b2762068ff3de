"""Writing the records of one feed into its fact table, each once.

The straight way is one COPY into the table under a savepoint: nearly every record arrives for the
first time, and an id that is there already makes PostgreSQL refuse the whole COPY (23505). Then
the stage way: COPY into a temporary table, insert what is new, and look at the rest: the same
content is a repeat, other content a conflict. A failed COPY leaves dead rows, so a feed that has
just repeated goes the stage way at once for a while. Values the server refuses (SQLSTATE 22, 23)
are found by halving, and all others are stored.

Here: these ways, inside a transaction of others. Not here: offsets and quarantine (bookkeeping.py).
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import msgspec
import psycopg
from psycopg import sql

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import Reason
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.stores.postgres.errors import describe, is_data_error, is_repeat, translate
from crypto_platform.stores.postgres.rows import (
    ARRIVAL_COLUMNS,
    Placed,
    columns_of,
    copy_chunks,
)
from crypto_platform.stores.postgres.session import Connection

STAGED_COMMITS_AFTER_REPEAT = 20
"""Commits that go the stage way at once after a repeat was seen."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Written:
    """What became of the records of one feed.

    Attributes:
        stored: New in the table, or there without an arrival (an incident) and now with this one.
        repeated: There already with the same content.
        refused: With reason and what is wrong, for the quarantine.
    """

    stored: list[Placed] = field(default_factory=list)
    repeated: list[Placed] = field(default_factory=list)
    refused: list[tuple[Placed, Reason, str]] = field(default_factory=list)

    def add(self, other: "Written") -> None:
        """Take over the other's records."""
        self.stored += other.stored
        self.repeated += other.repeated
        self.refused += other.refused


@dataclass(frozen=True, kw_only=True)
class Statements:
    """One feed's SQL."""

    copy: bytes
    stage: bytes
    empty_stage: bytes
    copy_stage: bytes
    insert: bytes
    look_up: bytes
    adopt: bytes
    insert_unarrived: bytes


def table_name(feed: Feed[Record]) -> str:
    """The fact table as errors name it."""
    return f"{feed.schema}.{feed.table}"


class FactWriter:
    """Writes feeds and remembers which of them have repeated or conflicted lately."""

    def __init__(self) -> None:
        self._staged_commits: dict[str, int] = {}

    def write(
        self, connection: Connection, feed: Feed[Record], placed: Sequence[Placed], *, staged: bool
    ) -> Written:
        """Write records of one feed inside the open transaction.

        Args:
            connection: Inside a transaction; its offset rows are locked already.
            feed: Whose records they are.
            placed: Records with the slices they came in, in any order.
            staged: Go the stage way at once (replays).

        Raises:
            StoreUnavailableError: The transaction has to be rolled back.
            StoreRefusedError: The same, and names the table.
        """
        try:
            if not (staged or self._has_repeated_lately(feed)) and _copy_straight(
                connection, feed, placed
            ):
                return Written(stored=list(placed))
            in_order = sorted(placed, key=lambda item: item[1].offset)
            written = _stage_and_halve(connection, feed, in_order)
        except psycopg.Error as error:
            raise translate(error, table=table_name(feed)) from error
        if written.repeated or written.refused:
            self._staged_commits[feed.name] = STAGED_COMMITS_AFTER_REPEAT
        return written

    def _has_repeated_lately(self, feed: Feed[Record]) -> bool:
        left = self._staged_commits.get(feed.name, 0)
        self._staged_commits[feed.name] = max(left - 1, 0)
        return left > 0


def insert_unarrived(connection: Connection, feed: Feed[Record], record: Record) -> None:
    """Insert a record that Kafka has not brought yet; nothing happens where its id is there."""
    values = [
        None if value is None else from_time_us(value) if kind is FieldKind.TIME_US else value
        for value, kind in zip(
            msgspec.structs.astuple(record), (f.kind for f in feed.fields), strict=True
        )
    ]
    connection.execute(_statements(feed).insert_unarrived, values)


def _copy_straight(connection: Connection, feed: Feed[Record], placed: Sequence[Placed]) -> bool:
    """Whether one COPY took everything; else nothing of it is there."""
    try:
        with connection.transaction():
            _copy(connection, _statements(feed).copy, copy_chunks(feed, placed))
    except psycopg.Error as error:
        if is_repeat(error) or is_data_error(error):
            _log.info("%s goes the stage way: %s", table_name(feed), describe(error))
            return False
        raise
    return True


def _copy(connection: Connection, statement: bytes, chunks: Iterable[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in chunks:
            copy.write(chunk)


def _stage_and_halve(
    connection: Connection, feed: Feed[Record], placed: Sequence[Placed]
) -> Written:
    """The stage way; a piece that the server refuses is halved down to the culprits."""
    try:
        with connection.transaction():
            return _stage(connection, feed, placed)
    except psycopg.Error as error:
        if not is_data_error(error):
            raise
        if len(placed) == 1:
            return Written(refused=[(placed[0], Reason.INVARIANT, describe(error))])
    middle = len(placed) // 2
    written = _stage_and_halve(connection, feed, placed[:middle])
    written.add(_stage_and_halve(connection, feed, placed[middle:]))
    return written


def _stage(connection: Connection, feed: Feed[Record], placed: Sequence[Placed]) -> Written:
    """Insert what is new and compare the rest; of two contents under one id the first wins."""
    firsts: dict[str, Placed] = {}
    for item in placed:
        firsts.setdefault(item[1].record.event_id, item)
    statements = _statements(feed)
    connection.execute(statements.stage)
    connection.execute(statements.empty_stage)
    _copy(connection, statements.copy_stage, copy_chunks(feed, list(firsts.values())))
    new = {event_id for (event_id,) in connection.execute(statements.insert)}
    stored_hashes = _hashes_of(connection, statements, firsts.keys() - new, new)
    return _compare(placed, firsts, new=new, stored_hashes=stored_hashes)


def _hashes_of(
    connection: Connection, statements: Statements, known_ids: set[str], new: set[str]
) -> dict[str, int]:
    """Content hashes of the rows that were there before.

    Rows without an arrival get it now, and their ids join `new`: they count as stored.
    """
    if not known_ids:
        return {}
    hashes: dict[str, int] = {}
    adoptable = False
    for event_id, content_hash, has_arrived in connection.execute(
        statements.look_up, [sorted(known_ids)]
    ):
        hashes[event_id] = content_hash
        adoptable |= not has_arrived
    if adoptable:
        new |= {event_id for (event_id,) in connection.execute(statements.adopt)}
    return hashes


def _compare(
    placed: Sequence[Placed],
    firsts: dict[str, Placed],
    *,
    new: set[str],
    stored_hashes: dict[str, int],
) -> Written:
    written = Written()
    for item in placed:
        record = item[1].record
        first = firsts[record.event_id]
        stored_hash = stored_hashes.get(record.event_id, first[1].record.content_hash)
        if record.content_hash != stored_hash:
            error = (
                f"{record.event_id} is stored with content {stored_hash}, "
                f"this one has {record.content_hash}"
            )
            written.refused.append((item, Reason.CONFLICT, error))
        elif item is first and record.event_id in new:
            written.stored.append(item)
        else:
            written.repeated.append(item)
    return written


_COPY = "COPY {target} ({columns}) FROM STDIN"

# Emptied by every COMMIT; lives as long as the connection, so that catalogues stay small.
_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (LIKE {table}) ON COMMIT DELETE ROWS"

_INSERT = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage}
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
"""

_LOOK_UP = """
SELECT event_id, content_hash, arrival_topic_id IS NOT NULL
FROM {table} WHERE event_id = ANY(%s::text[])
"""

_ADOPT = """
UPDATE {table} AS t SET ({arrival}) = ROW ({staged_arrival})
FROM {stage} AS s
WHERE t.event_id = s.event_id AND t.content_hash = s.content_hash AND t.arrival_topic_id IS NULL
RETURNING t.event_id
"""


_INSERT_UNARRIVED = """
INSERT INTO {table} ({fields}) VALUES ({values}) ON CONFLICT (event_id) DO NOTHING
"""


def _statements(feed: Feed[Record]) -> Statements:
    return _build_statements(feed.schema, feed.table, columns_of(feed))


@cache
def _build_statements(schema: str, table: str, columns: tuple[str, ...]) -> Statements:
    fields = columns[: -len(ARRIVAL_COLUMNS)]
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier(schema, table),
        "stage": sql.Identifier("pg_temp", f"stage_{table}"),
        "columns": _join(columns),
        "fields": _join(fields),
        "values": sql.SQL(", ").join(sql.Placeholder() * len(fields)),
        "arrival": _join(ARRIVAL_COLUMNS),
        "staged_arrival": sql.SQL(", ").join(sql.Identifier("s", c) for c in ARRIVAL_COLUMNS),
    }
    target = {"columns": names["columns"]}
    return Statements(
        copy=_render(sql.SQL(_COPY).format(target=names["table"], **target)),
        copy_stage=_render(sql.SQL(_COPY).format(target=names["stage"], **target)),
        stage=_render(sql.SQL(_STAGE).format(**names)),
        empty_stage=_render(sql.SQL("DELETE FROM {stage}").format(**names)),
        insert=_render(sql.SQL(_INSERT).format(**names)),
        look_up=_render(sql.SQL(_LOOK_UP).format(**names)),
        adopt=_render(sql.SQL(_ADOPT).format(**names)),
        insert_unarrived=_render(sql.SQL(_INSERT_UNARRIVED).format(**names)),
    )


def _join(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _render(statement: sql.Composed) -> bytes:
    return statement.as_bytes(None)

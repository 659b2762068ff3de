"""Writing what is current, in the transaction of the facts that say so.

Here: all states of a commit by COPY into a stage, and from there one INSERT .. ON CONFLICT a
projection, of each thing its last state, which leaves alone what is newer; in the order of their
keys, in which all writers lock. A projection's parts need no table: they are a view of the facts.
Not here: what records say (feeds/projection.py), their text (rows.py), reading (accounts.py).

Measured with account events: half of what an INSERT from arrays costs the server is reading them.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import psycopg
from psycopg import sql

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.projection import Projection
from crypto_platform.stores.postgres.errors import translate
from crypto_platform.stores.postgres.facts import Fate, table_name
from crypto_platform.stores.postgres.session import Connection

# of this session, empty after each commit; what is there stays as it is
_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (LIKE {table}) ON COMMIT DELETE ROWS"

_COPY = "COPY {stage} ({columns}) FROM STDIN"

_WRITE = """
INSERT INTO {table} AS t ({columns})
SELECT DISTINCT ON ({key}) {columns} FROM {stage} ORDER BY {key}, sequence DESC
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})
WHERE t.sequence {older} excluded.sequence
"""


class _Statements(NamedTuple):
    """One projection's SQL."""

    stage: bytes
    copy: bytes
    write: bytes


def write(
    connection: Connection, feed: Feed[Record], fates: Sequence[Fate], *, is_replay: bool
) -> None:
    """Bring the feed's states up to what these records say.

    Args:
        is_replay: A state that is of the same record is written anew: somebody may have changed it.

    Raises:
        StoreUnavailableError: The transaction has to be rolled back.
        StoreRefusedError: The same, and names the feed's table: a fact is not there without its
            states.
    """
    if not feed.projections:
        return
    told = zip(*[fate.states() for fate in fates], strict=True)
    for projection, own in zip(feed.projections, told, strict=True):
        try:
            _write(connection, projection, b"".join(own), is_replay=is_replay)
        except psycopg.Error as error:
            raise translate(error, table=table_name(feed)) from error


def _write(connection: Connection, projection: Projection, rows: bytes, *, is_replay: bool) -> None:
    if not rows:
        return
    names = tuple([field.name for field in projection.fields])
    about = (projection.schema, projection.table, projection.key_names, names)
    statements = _build(*about, is_replay=is_replay)
    connection.execute(statements.stage)
    with connection.cursor() as cursor, cursor.copy(statements.copy) as copy:
        copy.write(rows)
    connection.execute(statements.write)


@cache
def _build(
    schema: str, table: str, keys: tuple[str, ...], columns: tuple[str, ...], *, is_replay: bool
) -> _Statements:
    names = {
        "table": sql.Identifier(schema, table),
        "stage": sql.Identifier("pg_temp", f"{schema}_{table}"),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "key": sql.SQL(", ").join(map(sql.Identifier, keys)),
        "older": sql.SQL("<=" if is_replay else "<"),
        "excluded": sql.SQL(", ").join([sql.Identifier("excluded", name) for name in columns]),
    }
    texts = (_STAGE, _COPY, _WRITE)
    return _Statements(*[sql.SQL(text).format(**names).as_bytes(None) for text in texts])

"""Writing what is current, in the transaction of the facts that say so.

Here: one INSERT .. ON CONFLICT a projection and commit, which leaves alone what is newer; rows in
the order of their keys, in which all writers lock. A projection's parts need no table: they are a
view of the facts. Not here: the fold (feeds/projection.py), reading (accounts.py).
"""

from collections.abc import Sequence
from functools import cache
from typing import LiteralString

import psycopg
from psycopg import sql

from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.projection import Folded, Projection, merge, pick
from crypto_platform.stores.postgres.columns import TYPE_OF_KIND
from crypto_platform.stores.postgres.errors import translate
from crypto_platform.stores.postgres.facts import Fate, table_name
from crypto_platform.stores.postgres.rows import format_array
from crypto_platform.stores.postgres.session import Connection

_WRITE = """
INSERT INTO {table} AS t ({columns}) SELECT * FROM unnest({arrays})
ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded})
WHERE t.sequence < excluded.sequence
"""


def write(connection: Connection, feed: Feed[Record], fates: Sequence[Fate]) -> None:
    """Bring the feed's states up to what these records say.

    Raises:
        StoreUnavailableError: The transaction has to be rolled back.
        StoreRefusedError: The same, and names the feed's table: a fact is not there without its
            states.
    """
    if not feed.projections:
        return
    folds = zip(*[fate.folds() for fate in fates], strict=True)
    for projection, own in zip(feed.projections, folds, strict=True):
        try:
            _write(connection, projection, merge(projection, own))
        except psycopg.Error as error:
            raise translate(error, table=table_name(feed)) from error


def _write(connection: Connection, projection: Projection, folded: Folded) -> None:
    if not folded.keys:
        return
    in_order = sorted(range(len(folded.keys)), key=folded.keys.__getitem__)
    connection.execute(
        _statement(projection.schema, projection.table, projection.key_names, _types(projection)),
        [
            format_array(field, column)
            for field, column in zip(projection.fields, pick(folded.columns, in_order), strict=True)
        ],
    )


def _types(projection: Projection) -> tuple[tuple[str, LiteralString], ...]:
    return tuple((field.name, TYPE_OF_KIND[field.kind]) for field in projection.fields)


@cache
def _statement(
    schema: str, table: str, keys: tuple[str, ...], types: tuple[tuple[str, LiteralString], ...]
) -> bytes:
    names = [sql.Identifier(name) for name, _ in types]
    return (
        sql.SQL(_WRITE)
        .format(
            table=sql.Identifier(schema, table),
            columns=sql.SQL(", ").join(names),
            arrays=sql.SQL(", ").join(
                sql.SQL("%s::{}[]").format(sql.SQL(kind)) for _, kind in types
            ),
            key=sql.SQL(", ").join(map(sql.Identifier, keys)),
            excluded=sql.SQL(", ").join(sql.Identifier("excluded", name) for name, _ in types),
        )
        .as_bytes(None)
    )

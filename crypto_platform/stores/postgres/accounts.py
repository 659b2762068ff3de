"""What is read of users' accounts from PostgreSQL: orders, wallets, transactions, keys, sums.

Here: SELECTs, each of one user but for the reconciliation's. One user's are asked of views that
show the rows of the user whom the transaction names, and no others, whatever a statement says. Not
here: writing (states.py), the views and functions themselves (migrations/).
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent, Order, Wallet
from crypto_platform.feeds.api_keys import API_KEYS, ApiKey
from crypto_platform.feeds.feed import Field, Projection, R, State
from crypto_platform.feeds.projection import Key, Parts, arrange_parts
from crypto_platform.stores.accounts import (
    Half,
    PostingSum,
    StatesAccount,
    StatesSum,
    ToldOrder,
    TransactionsPage,
    UserCount,
    Whole,
)
from crypto_platform.stores.postgres.reader import (
    read_structs,
    read_values,
    read_values_on,
)
from crypto_platform.stores.postgres.rows import format_time
from crypto_platform.stores.postgres.session import Session

STATES_PAGE = 5_000
STREAM_ROWS = 10_000
"""Fetched at a time."""
SEQUENCE_END = 2**63 - 1

_READ_OPEN_ORDERS = """
SELECT {columns} FROM {table} WHERE user_id = %s AND is_open
ORDER BY ts_created DESC, order_id LIMIT %s
"""

_READ_ORDER = "SELECT {columns} FROM {table} WHERE order_id = %s AND user_id = %s"

_READ_WALLETS = "SELECT {columns} FROM {table} WHERE user_id = %s ORDER BY currency"

_READ_PARTS = """
SELECT {owners}, {columns} FROM {table} WHERE {keys} = ANY(%s::text[]) AND {part_key} IS NOT NULL
"""

_READ_STATES = """
SELECT {columns} FROM {table} WHERE ({keys}) > ({last}) ORDER BY {keys} LIMIT %s
"""

_READ_TRANSACTIONS = """
SELECT {columns} FROM {table}
WHERE user_id = %(user_id)s AND sequence < %(before)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
ORDER BY sequence DESC LIMIT %(records_max)s
"""

_READ_TRANSACTIONS_OF_CURRENCY = """
SELECT {columns} FROM {table}
WHERE user_id = %(user_id)s AND sequence < %(before)s
  AND ts_event >= %(begins)s::timestamptz AND ts_event < %(ends)s::timestamptz
  AND %(currency)s = ANY(wallet_currencies)
ORDER BY sequence DESC LIMIT %(records_max)s
"""

_READ_API_KEYS = "SELECT {columns} FROM {table} WHERE user_id = %s"

_ALLOW_AN_HOUR = "SET statement_timeout = '1h'"

_SUM_STATES = """
SELECT there.count, there.sequences, told.count, told.sequences
FROM (SELECT count(*), coalesce(sum(sequence), 0) AS sequences FROM {states}) AS there
CROSS JOIN (
  SELECT count(*), coalesce(sum(sequence), 0) AS sequences
  FROM (SELECT max(sequence) AS sequence FROM {table} {unfolded} WHERE {known} GROUP BY {keys})
) AS told
"""

_READ_SEQUENCES = "SELECT sequence FROM accounts.event"

_SUM_POSTINGS = """
SELECT user_id, account, currency, sum(amount) FROM accounts.ledger_posting WHERE sequence <= %s
GROUP BY user_id, account, currency
ORDER BY user_id COLLATE "C", account COLLATE "C", currency COLLATE "C"
"""

_COUNT_USER_EVENTS = """
SELECT user_id, count(*), max(user_sequence) FROM accounts.event WHERE sequence <= %s
GROUP BY user_id ORDER BY user_id COLLATE "C"
"""

_READ_TOLD_ORDERS = """
SELECT order_id, min(user_id), max(sequence) FROM accounts.event
WHERE order_id IS NOT NULL AND sequence <= %s
GROUP BY order_id ORDER BY order_id COLLATE "C"
"""

_READ_HALVES = """
SELECT venue_symbol, trade_id, sequence, user_id, liquidity, fill_price::text, fill_quantity::text
FROM accounts.event WHERE trade_id IS NOT NULL AND sequence <= %s
ORDER BY venue_symbol COLLATE "C", trade_id COLLATE "C", sequence
"""

_READ_EVENTS = """
SELECT {columns} FROM {table}
JOIN unnest(%s::text[], %s::bigint[]) AS wanted (user_id, sequence) USING (user_id, sequence)
"""


class _Rows(NamedTuple):
    """Where rows come from.

    Attributes:
        read: Columns, statement, parameters -> values by field.
        prefix: Of the tables' names: the views of one's own have one.
    """

    read: Callable[
        [Sequence[Field], bytes, Sequence[object] | Mapping[str, object]], list[dict[str, Any]]
    ]
    prefix: str


@contextmanager
def _own(session: Session, user_id: str) -> Generator[_Rows]:
    """A user's own rows."""
    with session.as_user(user_id) as connection:
        yield _Rows(partial(read_values_on, connection), "own_")


def _all(session: Session) -> _Rows:
    return _Rows(partial(read_values, session), "")


def read_open_orders(session: Session, user_id: str, *, records_max: int) -> list[Order]:
    """See Store.read_open_orders."""
    with _own(session, user_id) as rows:
        found = _read(rows, ORDERS, _READ_OPEN_ORDERS, [user_id, records_max])
    return [state for state in found if isinstance(state, Order)]


def read_order(session: Session, user_id: str, order_id: str) -> Whole | None:
    """See Store.read_order."""
    events = FEED_BY_NAME[ACCOUNT_EVENTS.name]
    with _own(session, user_id) as rows:
        found = _read(rows, ORDERS, _READ_ORDER, [order_id, user_id])
        return next(iter(_complete(rows, events, ORDERS, found)), None)


def read_wallets(session: Session, user_id: str) -> list[Wallet]:
    """See Store.read_wallets."""
    with _own(session, user_id) as rows:
        found = _read(rows, WALLETS, _READ_WALLETS, [user_id])
    return [state for state in found if isinstance(state, Wallet)]


def read_transactions(session: Session, user_id: str, page: TransactionsPage) -> list[AccountEvent]:
    """See Store.read_transactions."""
    begins, ends = page.span
    before = SEQUENCE_END if page.before_sequence is None else page.before_sequence
    parameters: dict[str, object] = {
        "user_id": user_id,
        "before": before,
        "begins": "-infinity" if begins is None else format_time(begins),
        "ends": "infinity" if ends is None else format_time(ends),
        "records_max": page.records_max,
    }
    statement = _READ_TRANSACTIONS
    if page.currency is not None:
        statement = _READ_TRANSACTIONS_OF_CURRENCY
        parameters["currency"] = page.currency
    return _read_own(session, user_id, ACCOUNT_EVENTS, statement, parameters)


def read_api_keys(session: Session, user_id: str) -> list[ApiKey]:
    """See Store.read_api_keys."""
    return _read_own(session, user_id, API_KEYS, _READ_API_KEYS, [user_id])


def _read_own(
    session: Session,
    user_id: str,
    feed: Feed[R],
    statement: LiteralString,
    parameters: Sequence[object] | Mapping[str, object],
) -> list[R]:
    """A user's records."""
    with _own(session, user_id) as rows:
        built = _build(statement, feed.schema, f"{rows.prefix}{feed.table}", feed.fields)
        return [feed.record(**row) for row in rows.read(feed.fields, built, parameters)]


def read_states(session: Session, feed: Feed[Record], projection: Projection) -> Iterator[Whole]:
    """See Store.read_states."""
    keys = projection.key_names
    last = [""] * len(keys)
    rows = _all(session)
    while True:
        found = _read(rows, projection, _READ_STATES, [*last, STATES_PAGE])
        yield from _complete(rows, feed, projection, found)
        if len(found) < STATES_PAGE:
            return
        last = list(projection.key_of(found[-1]))


def sum_states(session: Session, feed: Feed[Record], projection: Projection) -> StatesAccount:
    """See Store.sum_states; one statement, so of one moment."""
    keys = list(map(sql.Identifier, projection.key_names))
    unfolded = [
        sql.SQL("CROSS JOIN LATERAL unnest({}) AS {}({})").format(
            sql.Identifier(listed), sql.Identifier(f"of_{listed}"), sql.Identifier(name)
        )
        for name, listed in projection.list_names.items()
        if name in projection.key_names
    ]
    statement = sql.SQL(_SUM_STATES).format(
        states=sql.Identifier(projection.schema, projection.table),
        table=sql.Identifier(feed.schema, feed.table),
        unfolded=sql.SQL(" ").join(unfolded),
        known=sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(key) for key in keys]),
        keys=sql.SQL(", ").join(keys),
    )
    [found] = _stream(session, "sum_states", statement.as_bytes(None), [])
    there_count, there_sequences, told_count, told_sequences = map(int, found)
    return StatesAccount(
        there=StatesSum(there_count, there_sequences), told=StatesSum(told_count, told_sequences)
    )


def read_sequences(session: Session) -> Iterator[int]:
    """See Store.read_sequences."""
    for (sequence,) in _stream(session, "sequences", _READ_SEQUENCES, []):
        yield sequence


def sum_postings(session: Session, *, through_sequence: int) -> Iterator[PostingSum]:
    """See Store.sum_postings."""
    rows = _stream(session, "posting_sums", _SUM_POSTINGS, [through_sequence])
    return map(PostingSum._make, rows)


def count_user_events(session: Session, *, through_sequence: int) -> Iterator[UserCount]:
    """See Store.count_user_events."""
    rows = _stream(session, "user_counts", _COUNT_USER_EVENTS, [through_sequence])
    return map(UserCount._make, rows)


def read_told_orders(session: Session, *, through_sequence: int) -> Iterator[ToldOrder]:
    """See Store.read_told_orders."""
    rows = _stream(session, "told_orders", _READ_TOLD_ORDERS, [through_sequence])
    return map(ToldOrder._make, rows)


def read_halves(session: Session, *, through_sequence: int) -> Iterator[Half]:
    """See Store.read_halves."""
    return map(Half._make, _stream(session, "halves", _READ_HALVES, [through_sequence]))


def read_account_events(session: Session, wanted: Sequence[tuple[str, int]]) -> list[AccountEvent]:
    """See Store.read_account_events."""
    events = FEED_BY_NAME[ACCOUNT_EVENTS.name]
    built = _build(_READ_EVENTS, events.schema, events.table, events.fields)
    users, sequences = [user for user, _ in wanted], [sequence for _, sequence in wanted]
    found = read_structs(session, events, built, [users, sequences])
    return [event for event in found if isinstance(event, AccountEvent)]


def _stream(
    session: Session, name: str, statement: LiteralString | bytes, parameters: list[object]
) -> Iterator[tuple[Any, ...]]:
    """Rows of a cursor WITH HOLD, so that no transaction stays open.

    The server finds all rows when it is opened, which takes longer than any other statement may.
    """
    with (
        session.autocommit() as connection,
        connection.cursor(name, withhold=True) as cursor,
    ):
        cursor.itersize = STREAM_ROWS
        connection.execute(_ALLOW_AN_HOUR)
        try:
            cursor.execute(statement, parameters)
        finally:
            connection.execute("RESET statement_timeout")
        yield from cursor


def _read(
    rows: _Rows, projection: Projection, statement: LiteralString, parameters: list[object]
) -> list[State]:
    built = _build(
        statement,
        projection.schema,
        f"{rows.prefix}{projection.table}",
        projection.fields,
        projection.key_names,
    )
    return [projection.state(**row) for row in rows.read(projection.fields, built, parameters)]


def _complete(
    rows: _Rows, feed: Feed[Record], projection: Projection, states: Sequence[State]
) -> Iterator[Whole]:
    """The states with their parts, which the facts tell."""
    own = projection.parts
    if own is None or not states:
        yield from (Whole(state, ()) for state in states)
        return
    owner_fields = [next(f for f in feed.fields if f.name == name) for name in own.owner_names]
    table = f"{rows.prefix}{feed.table}"
    statement = _build(_READ_PARTS, feed.schema, table, own.fields, projection.key_names, own)
    keys = [projection.key_of(state)[0] for state in states]
    parts: dict[Key, list[State]] = {}
    for row in rows.read((*owner_fields, *own.fields), statement, [keys]):
        owner = tuple([row.pop(name) for name in own.owner_names])
        parts.setdefault(owner, []).append(own.part(**row))
    for state in states:
        yield Whole(state, arrange_parts(own, state, parts.get(own.owner_of(state), ())))


@cache
def _build(
    statement: LiteralString,
    schema: str,
    table: str,
    fields: tuple[Field, ...],
    key_names: tuple[str, ...] = (),
    parts: Parts | None = None,
) -> bytes:
    return (
        sql.SQL(statement)
        .format(
            table=sql.Identifier(schema, table),
            columns=sql.SQL(", ").join(sql.Identifier(field.name) for field in fields),
            keys=sql.SQL(", ").join(map(sql.Identifier, key_names)),
            last=sql.SQL(", ").join(sql.Placeholder() * len(key_names)),
            part_key=sql.Identifier("" if parts is None else parts.key_name),
            owners=sql.SQL(", ").join(
                map(sql.Identifier, () if parts is None else parts.owner_names)
            ),
        )
        .as_bytes(None)
    )

"""What is read of users' accounts from MongoDB: orders, wallets, transactions, sums.

Here: queries, each of one user but for the reconciliation's. What a person may have typed is
compared by $eq, which takes any value for itself, so nothing can become an operator. Not here:
writing (states.py), the view that people use themselves (views.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any

import pymongo
from pymongo.client_session import ClientSession
from pymongo.command_cursor import CommandCursor
from pymongo.read_concern import ReadConcern

from crypto_platform.domain.exact import EXACT, total
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import ORDERS, WALLETS, AccountEvent, Order, Wallet
from crypto_platform.feeds.api_keys import API_KEYS, ApiKey
from crypto_platform.feeds.feed import Projection, State
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
from crypto_platform.stores.mongo.connection import Connection
from crypto_platform.stores.mongo.documents import decode_amount, stored_name
from crypto_platform.stores.mongo.layout import FieldReader, Layout, iterate_raw
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.schema import build_part_filter
from crypto_platform.stores.mongo.states import states_of

BATCH_DOCUMENTS = 5_000
STATES_PAGE = 1_000
"""Whose parts are asked for at once."""
FIRST_ANSWER_S_MAX = 3600.0
"""Of all events added up; with a million it takes about the 15 s of any other answer."""
_DIGITS = 34
"""Of decimal128."""


def read_open_orders(connection: Connection, user_id: str, *, records_max: int) -> list[Order]:
    """See Store.read_open_orders."""
    found = connection.collection(ORDERS.collection).find(
        {"user_id": {"$eq": user_id}, "is_open": True},
        sort=[("ts_created_us", -1), ("_id", 1)],
        limit=records_max,
    )
    states = map(states_of(ORDERS).decode, found)
    return [state for state in states if isinstance(state, Order)]


def read_order(connection: Connection, user_id: str, order_id: str) -> Whole | None:
    """See Store.read_order."""
    query = {"_id": {"$eq": order_id}, "user_id": {"$eq": user_id}}
    document = connection.collection(ORDERS.collection).find_one(query)
    found = [] if document is None else [states_of(ORDERS).decode(document)]
    return next(_complete(connection, ORDERS, found), None)


def read_wallets(connection: Connection, user_id: str) -> list[Wallet]:
    """See Store.read_wallets."""
    found = connection.collection(WALLETS.collection).find(
        {"user_id": {"$eq": user_id}}, sort=[("currency", 1)]
    )
    states = map(states_of(WALLETS).decode, found)
    return [state for state in states if isinstance(state, Wallet)]


def read_transactions(
    connection: Connection, user_id: str, page: TransactionsPage
) -> list[AccountEvent]:
    """See Store.read_transactions."""
    query: dict[str, Any] = {"user_id": {"$eq": user_id}}
    if page.before_sequence is not None:
        query["sequence"] = {"$lt": page.before_sequence}
    if page.currency is not None:
        query["wallet_currencies"] = {"$eq": page.currency}
    bounds = {
        bound: time_us
        for bound, time_us in zip(("$gte", "$lt"), page.span, strict=True)
        if time_us is not None
    }
    if bounds:
        query["ts_event_us"] = bounds
    found = connection.collection(ACCOUNT_EVENTS.collection).find(
        query, sort=[("sequence", -1)], limit=page.records_max
    )
    records = map(documents_of(ACCOUNT_EVENTS).decode, found)
    return [record for record in records if isinstance(record, AccountEvent)]


def read_api_keys(connection: Connection, user_id: str) -> list[ApiKey]:
    """See Store.read_api_keys."""
    found = connection.collection(API_KEYS.collection).find({"user_id": {"$eq": user_id}})
    records = map(documents_of(API_KEYS).decode, found)
    return [record for record in records if isinstance(record, ApiKey)]


def read_states(connection: Connection, projection: Projection) -> Iterator[Whole]:
    """See Store.read_states."""
    keys = projection.key_names
    order = [("_id", 1)] if len(keys) == 1 else [(name, 1) for name in keys]
    found = connection.collection(projection.collection).find_raw_batches(
        sort=order, batch_size=BATCH_DOCUMENTS
    )
    read, raw = states_of(projection).read, iterate_raw(found)
    with found:
        while page := [read(each) for each in islice(raw, STATES_PAGE)]:
            yield from _complete(connection, projection, page)


def sum_states(connection: Connection, feed: Feed[Record], projection: Projection) -> StatesAccount:
    """See Store.sum_states; on one snapshot."""
    fields = {name: projection.list_names.get(name, name) for name in projection.key_names}
    listed = [field for name, field in fields.items() if name in projection.list_names]
    known = {field: {"$ne": None} for field in fields.values() if field not in listed}
    key = {name: f"${field}" for name, field in fields.items()}
    with connection.client.start_session(snapshot=True) as session:
        there = _sum_sequences(connection, projection.collection, [], session)
        told = _sum_sequences(
            connection,
            feed.collection,
            [
                {"$match": known},
                {"$project": dict.fromkeys(("sequence", *fields.values()), 1)},
                *({"$unwind": f"${field}"} for field in listed),
                {"$group": {"_id": key, "sequence": {"$max": "$sequence"}}},
            ],
            session,
        )
    return StatesAccount(there=there, told=told)


def _sum_sequences(
    connection: Connection,
    collection: str,
    pipeline: Sequence[Mapping[str, Any]],
    session: ClientSession,
) -> StatesSum:
    whole = {"_id": None, "count": {"$sum": 1}, "sequences": {"$sum": "$sequence"}}
    # the snapshot is a read concern of its own
    plain = connection.collection(collection).with_options(read_concern=ReadConcern())
    with pymongo.timeout(FIRST_ANSWER_S_MAX):
        found = plain.aggregate([*pipeline, {"$group": whole}], allowDiskUse=True, session=session)
    for document in found:
        return StatesSum(int(document["count"]), int(document["sequences"]))
    return StatesSum(0, 0)


def read_sequences(connection: Connection) -> Iterator[int]:
    """See Store.read_sequences."""
    found = connection.collection(ACCOUNT_EVENTS.collection).find(
        {}, {"sequence": 1, "_id": 0}, batch_size=100_000
    )
    with found:
        for document in found:
            yield int(document["sequence"])


def sum_postings(connection: Connection, *, through_sequence: int) -> Iterator[PostingSum]:
    """See Store.sum_postings.

    The server adds up in 34 digits and does not say where it rounded: a sum that may have more is
    added up again here.
    """
    legs = {"$range": [0, {"$size": "$posting_amounts"}]}
    names = {"account": "posting_accounts", "currency": "posting_currencies"}
    leg = {
        name: {"$arrayElemAt": [f"${field}", "$$leg"]}
        for name, field in {**names, "amount": "posting_amounts"}.items()
    }
    found = _aggregate(
        connection,
        [
            {"$match": {"sequence": {"$lte": through_sequence}}},
            {"$project": {"user_id": 1, "leg": {"$map": {"input": legs, "as": "leg", "in": leg}}}},
            {"$unwind": "$leg"},
            {
                "$group": {
                    "_id": {
                        "user_id": "$user_id",
                        "account": "$leg.account",
                        "currency": "$leg.currency",
                    },
                    "amount": {"$sum": "$leg.amount"},
                    "legs": {"$sum": 1},
                    "highest": {"$max": "$leg.amount"},
                    "lowest": {"$min": "$leg.amount"},
                }
            },
            {"$sort": {"_id.user_id": 1, "_id.account": 1, "_id.currency": 1}},
        ],
    )
    with found:
        for document in found:
            own: Mapping[str, str] = document["_id"]
            amount: Decimal = document["amount"].to_decimal()
            largest = max(document[name].to_decimal().copy_abs() for name in ("highest", "lowest"))
            if may_be_rounded(amount, largest=largest, legs=document["legs"]):
                amount = _sum_exactly(connection, own, through_sequence)
            yield PostingSum(**own, amount=amount)


def may_be_rounded(amount: Decimal, *, largest: Decimal, legs: int) -> bool:
    """Whether a sum of decimal128 may have lost digits on its way.

    A rounded partial sum has 34 digits, so it is at least 10^33 units of its last digit, and no
    partial sum is above `legs` times the largest amount. Later additions bring the last digit down
    to that of the sum, never below. A factor of ten is left for what rounding itself changes.
    """
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    return EXACT.multiply(largest, Decimal(legs)) >= Decimal(1).scaleb(_DIGITS - 2 + exponent)


def _sum_exactly(
    connection: Connection, wanted: Mapping[str, str], through_sequence: int
) -> Decimal:
    found = connection.collection(ACCOUNT_EVENTS.collection).find(
        {"user_id": wanted["user_id"], "sequence": {"$lte": through_sequence}},
        {"posting_accounts": 1, "posting_currencies": 1, "posting_amounts": 1},
        batch_size=BATCH_DOCUMENTS,
    )
    name = (wanted["account"], wanted["currency"])
    with found:
        return total(
            amount.to_decimal()
            for document in found
            for *leg, amount in zip(
                document["posting_accounts"],
                document["posting_currencies"],
                document["posting_amounts"],
                strict=True,
            )
            if tuple(leg) == name
        )


def count_user_events(connection: Connection, *, through_sequence: int) -> Iterator[UserCount]:
    """See Store.count_user_events."""
    found = _aggregate(
        connection,
        [
            {"$match": {"sequence": {"$lte": through_sequence}}},
            {
                "$group": {
                    "_id": "$user_id",
                    "events": {"$sum": 1},
                    "last": {"$max": "$user_sequence"},
                }
            },
            {"$sort": {"_id": 1}},
        ],
    )
    with found:
        for document in found:
            yield UserCount(document["_id"], int(document["events"]), int(document["last"]))


def read_told_orders(connection: Connection, *, through_sequence: int) -> Iterator[ToldOrder]:
    """See Store.read_told_orders."""
    found = _aggregate(
        connection,
        [
            {"$match": {"order_id": {"$ne": None}, "sequence": {"$lte": through_sequence}}},
            {
                "$group": {
                    "_id": "$order_id",
                    "user_id": {"$min": "$user_id"},
                    "sequence": {"$max": "$sequence"},
                }
            },
            {"$sort": {"_id": 1}},
        ],
    )
    with found:
        for each in found:
            yield ToldOrder(each["_id"], each["user_id"], int(each["sequence"]))


def read_halves(connection: Connection, *, through_sequence: int) -> Iterator[Half]:
    """See Store.read_halves."""
    fields = ("sequence", "user_id", "liquidity", "fill_price", "fill_quantity")
    found = _aggregate(
        connection,
        [
            {"$match": {"trade_id": {"$ne": None}, "sequence": {"$lte": through_sequence}}},
            {"$project": dict.fromkeys(("venue_symbol", "trade_id", *fields), 1)},
            {"$sort": {"venue_symbol": 1, "trade_id": 1, "sequence": 1}},
        ],
    )
    with found:
        for each in found:
            yield Half(
                each["venue_symbol"],
                each["trade_id"],
                int(each["sequence"]),
                each["user_id"],
                each["liquidity"],
                decode_amount(each["fill_price"]),
                decode_amount(each["fill_quantity"]),
            )


def read_account_events(
    connection: Connection, wanted: Sequence[tuple[str, int]]
) -> list[AccountEvent]:
    """See Store.read_account_events."""
    pairs = set(wanted)
    found = connection.collection(ACCOUNT_EVENTS.collection).find(
        {
            "user_id": {"$in": sorted({user for user, _ in pairs})},
            "sequence": {"$in": sorted({sequence for _, sequence in pairs})},
        },
        batch_size=BATCH_DOCUMENTS,
    )
    with found:
        records = [documents_of(ACCOUNT_EVENTS).decode(document) for document in found]
    return [
        record
        for record in records
        if isinstance(record, AccountEvent) and (record.user_id, record.sequence) in pairs
    ]


def _aggregate(
    connection: Connection, pipeline: Sequence[Mapping[str, Any]]
) -> CommandCursor[dict[str, Any]]:
    """Documents that the server groups or sorts before its first answer.

    That takes longer than any other answer may; those behind it come at once.
    """
    with pymongo.timeout(FIRST_ANSWER_S_MAX):
        return connection.collection(ACCOUNT_EVENTS.collection).aggregate(
            pipeline, allowDiskUse=True, batchSize=BATCH_DOCUMENTS
        )


def _complete(
    connection: Connection, projection: Projection, states: Sequence[State]
) -> Iterator[Whole]:
    """The states with their parts, which the facts tell."""
    own = projection.parts
    parts: dict[Key, list[State]] = {}
    if own is not None and states:
        [key_name] = projection.key_names
        keys = [getattr(state, key_name) for state in states]
        reader = _part_reader(own)
        found = connection.collection(ACCOUNT_EVENTS.collection).find_raw_batches(
            {key_name: {"$in": keys}, **build_part_filter(own)},
            dict.fromkeys(map(stored_name, reader.fields), 1),
            batch_size=BATCH_DOCUMENTS,
        )
        with found:
            for raw in iterate_raw(found):
                values = reader.read(raw)
                owner = tuple([values[name] for name in own.owner_names])
                part = own.part(**{field.name: values[field.name] for field in own.fields})
                parts.setdefault(owner, []).append(part)
    for state in states:
        if own is None:
            yield Whole(state, ())
        else:
            yield Whole(state, arrange_parts(own, state, parts.get(own.owner_of(state), ())))


@cache
def _part_reader(parts: Parts) -> FieldReader:
    """Reads what a part and its owner are, of events that hold nothing else."""
    names = {*parts.owner_names, *(field.name for field in parts.fields)}
    fields = [field for field in ACCOUNT_EVENTS.fields if field.name in names]
    own_id = [field for field in ACCOUNT_EVENTS.fields if field.name == "event_id"]
    return FieldReader(Layout([*own_id, *fields], has_dates=False), fields)

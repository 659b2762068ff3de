"""What people read of the market from MongoDB: quotes, trades, order books, candles, instruments.

Here: queries in an order that an index has, for a sort of MongoDB's own would read all of a market.
What the index does not order (facts of one microsecond, revisions) is ordered here. Not here:
documents <-> records (documents.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from typing import Any

from bson.int64 import Int64

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.exchange_rates import EXCHANGE_RATES, ExchangeRates
from crypto_platform.feeds.instruments import INSTRUMENTS
from crypto_platform.feeds.quotes import QUOTES
from crypto_platform.stores.market import AS_OF_MAX, AsOf, Market, Span, market_name
from crypto_platform.stores.mongo.connection import Connection, Document
from crypto_platform.stores.mongo.pieces import documents_of
from crypto_platform.stores.mongo.schema import build_indexes

_RANK_UNKNOWN = 2**62
_NEWEST_FIRST = [("ts_event_us", -1)]


def read_latest_quotes(
    connection: Connection, currency_ids: Sequence[str], *, records_max: int, as_of_us: int | None
) -> list[Record]:
    """The newest quote per source and currency, best rank first, unknown ranks last."""
    collection = connection.collection(QUOTES.collection)
    found: list[Document] = []
    # a source at a time, for then the index alone finds the newest of each currency
    for source in collection.distinct("source"):
        if as_of_us is None:
            found += collection.aggregate(build_latest(source, currency_ids))
        else:
            found += _find_quotes_as_of(connection, source, currency_ids, as_of_us)
    found.sort(key=_rank)
    documents = documents_of(QUOTES)
    return [documents.decode(document) for document in found[:records_max]]


def _find_quotes_as_of(
    connection: Connection, source: str, currency_ids: Sequence[str], as_of_us: int
) -> Iterator[Document]:
    """A probe a currency: a pipeline would walk over all that was received before."""
    collection = connection.collection(QUOTES.collection)
    for currency_id in currency_ids or collection.distinct("currency_id", {"source": source}):
        received: dict[str, Any] = {"source": source, "currency_id": currency_id}
        received["ts_ingest_us"] = {"$lte": as_of_us}
        newest = collection.find_one(received, sort=[("ts_ingest_us", -1)])
        if newest is not None:
            yield newest


def build_latest(source: str, currency_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The pipeline that finds one source's newest quotes, in an order that the index has."""
    match: dict[str, Any] = {"source": source}
    if currency_ids:
        match["currency_id"] = {"$in": list(currency_ids)}
    return [
        {"$match": match},
        {"$sort": {"source": 1, "currency_id": 1, "ts_ingest_us": -1}},
        {"$group": {"_id": "$currency_id", "newest": {"$first": "$$ROOT"}}},
        {"$replaceRoot": {"newRoot": "$newest"}},
    ]


def _rank(document: Mapping[str, Any]) -> tuple[int, str, str]:
    rank = document["market_cap_rank"]
    return (
        _RANK_UNKNOWN if rank is None else int(rank),
        document["source"],
        document["currency_id"],
    )


def list_markets(connection: Connection, feed: Feed[Record]) -> list[Market]:
    """See Store.list_markets; a walk from key to key of the index by market."""
    collection = connection.collection(feed.collection)
    own_order = list(build_indexes(feed)[0].items())[2:]
    found: list[Market] = []
    for venue in collection.distinct("venue"):
        for venue_symbol in collection.distinct("venue_symbol", {"venue": venue}):
            query = {"venue": venue, "venue_symbol": venue_symbol}
            newest = collection.find_one(query, {"symbol": 1}, sort=own_order)
            symbol = None if newest is None else newest.get("symbol")
            found.append(Market(venue, venue_symbol, symbol))
    return sorted(found, key=market_name)


def read_newest(
    connection: Connection, feed: Feed[Record], market: Market, span: Span, *, records_max: int
) -> list[Record]:
    """See Store.read_newest."""
    collection, query = connection.collection(feed.collection), _of(market, span)
    found = list(collection.find(query, sort=_NEWEST_FIRST, limit=records_max))
    if len(found) == records_max:
        # which of the last microsecond belong to it, the index does not tell
        last = found[-1]["ts_event_us"]
        found = [document for document in found if document["ts_event_us"] > last]
        found += collection.find(query | {"ts_event_us": last})
    found.sort(key=_event_order, reverse=True)
    documents = documents_of(feed)
    return [documents.decode(document) for document in found[:records_max]]


def read_market(
    connection: Connection,
    feed: Feed[Record],
    market: Market,
    span: Span,
    *,
    interval: Interval | None,
    newest: int | None,
    page_records: int,
) -> Iterator[Sequence[Record]]:
    """See Store.read_market; one cursor, and what the index does not order a group at a time."""
    query = _of(market, span) | ({} if interval is None else {"interval": interval.value})
    choose = _in_order if interval is None else _only_last_revision
    surplus = 0
    if newest is not None:
        query, surplus = _leave_older_out(connection, feed, query, newest, choose)
    documents = documents_of(feed)
    # one document more than a page tells where its last group ends; by batches of 16 MB, as the
    # server fills them, the first 200 of 60,000 trades took 1 s, by these 5 ms
    found = connection.collection(feed.collection).find(
        query, sort=[("ts_event_us", 1)], batch_size=page_records + 1
    )
    with found as cursor:
        each = chain.from_iterable(choose(group) for _, group in groupby(cursor, key=_event_time))
        wanted = islice(each, surplus, None)
        while page := [documents.decode(one) for one in islice(wanted, page_records)]:
            yield page


def _leave_older_out(
    connection: Connection,
    feed: Feed[Record],
    query: Mapping[str, Any],
    newest: int,
    choose: Callable[[Iterable[Document]], Sequence[Document]],
) -> tuple[Mapping[str, Any], int]:
    """The query from the time on at which so many are reached, and how many it has too many."""
    times = connection.collection(feed.collection).find(
        query, {"ts_event_us": 1, "ts_ingest_us": 1, "arrival_offset": 1}, sort=_NEWEST_FIRST
    )
    reached = 0
    with times as cursor:
        for time_us, group in groupby(cursor, key=_event_time):
            reached += len(choose(group))
            if reached >= newest:
                bounds = {"$gte": time_us} | _upper_bound(query)
                return {**query, "ts_event_us": bounds}, reached - newest
    return query, 0


def _upper_bound(query: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in query.get("ts_event_us", {}).items() if key == "$lt"}


def read_instruments(connection: Connection, source: str | None) -> list[Record]:
    """See Store.read_instruments."""
    instruments = FEED_BY_NAME[INSTRUMENTS.name]
    names = [("source", 1), ("kind", 1), ("native_id", 1), ("ts_ingest_us", -1)]
    query = {} if source is None else {"source": source}
    cursor = connection.collection(INSTRUMENTS.collection).find(query, sort=names)
    documents = documents_of(instruments)
    with cursor:
        return [
            documents.decode(_last_revision(group)) for _, group in groupby(cursor, key=_listed)
        ]


def read_as_of(
    connection: Connection, feed: Feed[Record], wanted: Sequence[AsOf]
) -> list[Record | None]:
    """See Store.read_as_of."""
    found: list[Record | None] = []
    documents = documents_of(feed)
    for start in range(0, len(wanted), AS_OF_MAX):
        page = wanted[start : start + AS_OF_MAX]
        answer = connection.database.aggregate(_build_as_of(feed, page), batchSize=AS_OF_MAX)
        with answer:
            own = {each["_id"]: max(each["found"], key=_arrival) for each in answer}
        found += [
            documents.decode(own[place]) if place in own else None for place in range(len(page))
        ]
    return found


def _build_as_of(feed: Feed[Record], wanted: Sequence[AsOf]) -> list[dict[str, Any]]:
    """The pipeline: for each the time of its last record, then all of that very time.

    By two steps, for the index orders by time alone: one sort by time and arrival would read all
    records of the span.
    """
    names, time = feed.last_by
    stored_time = f"{time}_us"
    asked = [
        {
            "_id": place,
            "first": Int64(each.first_us),
            "last": Int64(each.last_us),
            **dict(zip(names, each.names, strict=True)),
        }
        for place, each in enumerate(wanted)
    ]
    given = {name: f"${name}" for name in (*names, "first", "last")}
    is_wanted = [{"$eq": [f"${name}", f"$${name}"]} for name in names]
    bounds = [{"$gte": [f"${stored_time}", "$$first"]}, {"$lte": [f"${stored_time}", "$$last"]}]
    order = {**dict.fromkeys(names, 1), stored_time: -1}
    return [
        {"$documents": asked},
        {
            "$lookup": {
                "from": feed.collection,
                "let": given,
                "pipeline": [
                    {"$match": {"$expr": {"$and": [*is_wanted, *bounds]}}},
                    {"$sort": order},
                    {"$limit": 1},
                    {"$project": {"_id": 0, "time": f"${stored_time}"}},
                ],
                "as": "newest",
            }
        },
        {"$unwind": "$newest"},
        {
            "$lookup": {
                "from": feed.collection,
                "let": {**given, "time": "$newest.time"},
                "pipeline": [
                    {
                        "$match": {
                            "$expr": {"$and": [*is_wanted, {"$eq": [f"${stored_time}", "$$time"]}]}
                        }
                    }
                ],
                "as": "found",
            }
        },
        {"$project": {"found": 1}},
    ]


def _arrival(document: Document) -> int:
    return document["arrival_offset"]


def read_exchange_rates(connection: Connection, span: Span) -> list[ExchangeRates]:
    """See Store.read_exchange_rates."""
    times = _between(span)
    cursor = connection.collection(EXCHANGE_RATES.collection).find(
        {"ts_event_us": times} if times else {}, sort=[("source", 1), ("ts_event_us", 1)]
    )
    documents = documents_of(EXCHANGE_RATES)
    with cursor:
        found = [documents.decode(_last_revision(group)) for _, group in groupby(cursor, key=_day)]
    return [day for day in found if isinstance(day, ExchangeRates)]


def _day(document: Document) -> tuple[str, int]:
    return document["source"], document["ts_event_us"]


def _of(market: Market, span: Span) -> dict[str, Any]:
    bounds = _between(span)
    query: dict[str, Any] = {"venue": market.venue, "venue_symbol": market.venue_symbol}
    return query | {"ts_event_us": bounds} if bounds else query


def _between(span: Span) -> dict[str, int]:
    return {
        bound: time_us
        for bound, time_us in zip(("$gte", "$lt"), span, strict=True)
        if time_us is not None
    }


def _in_order(group: Iterable[Document]) -> Sequence[Document]:
    return sorted(group, key=_event_order)


def _only_last_revision(group: Iterable[Document]) -> Sequence[Document]:
    return [_last_revision(group)]


def _last_revision(group: Iterable[Document]) -> Document:
    return max(group, key=_revision_order)


def _revision_order(document: Document) -> tuple[int, int]:
    return document["ts_ingest_us"], document["arrival_offset"]


def _event_order(document: Document) -> tuple[int, int, str]:
    # offsets begin anew where a topic was created again
    return document["ts_event_us"], document["arrival_offset"], document["_id"]


def _event_time(document: Document) -> int:
    return document["ts_event_us"]


def _listed(document: Document) -> tuple[str, str, str]:
    return document["source"], document["kind"], document["native_id"]

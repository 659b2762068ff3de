"""What anybody may read: markets, quotes, trades, order books, candles.

Here: parameters -> one question to a store -> rows. Lists are newest first, and `next` goes on to
older ones. Not here: SQL and BSON (stores/), which store answers (serving/failover.py).
"""

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as In
from pydantic import Field

from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook
from crypto_platform.feeds.record import list_fields
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.analytics import (
    MadeCandle,
    MadeOf,
    open_candles,
    read_made,
)
from crypto_platform.serving.api import documents
from crypto_platform.serving.api.answers import build_answer
from crypto_platform.serving.api.paging import (
    Reached,
    count_needed,
    cut,
    narrow,
    open_reached,
    seal_reached,
)
from crypto_platform.serving.api.parameters import (
    Name,
    NoQuery,
    PageQuery,
    PlaceQuery,
    Query,
    TimeUs,
    split_names,
)
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Services, Shared, read_quotes
from crypto_platform.serving.book_metrics import describe_top
from crypto_platform.serving.failover import Source
from crypto_platform.serving.market import give_symbol
from crypto_platform.serving.market_sheets import build_quotes
from crypto_platform.serving.reader import RECORDS_MAX, find_quotes
from crypto_platform.serving.sheets import build_rows, build_sheet, build_struct_sheet, print_time
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

LEVELS_MAX = 500

router = APIRouter(prefix="/v1", tags=["market"])


@router.get("/markets", summary="What is traded where", responses=documents.MARKETS)
def list_markets(services: Shared, request: Request, _: NoQuery) -> Response:
    """Every market that has records, and of which feeds."""
    catalogue = services.catalogue.get()
    rows: list[dict[str, object]] = []
    for market, feeds in catalogue.list_all():
        listed = catalogue.instruments.get((market.venue, market.venue_symbol))
        rows.append(
            {
                **market._asdict(),
                "feeds": feeds,
                "simulated": market.venue in services.simulated,
                "status": listed and listed.status,
                "price_step": listed and listed.price_step,
                "quantity_step": listed and listed.quantity_step,
            }
        )
    return build_answer(request, {"markets": rows}, [catalogue.source])


class QuotesQuery(Query):
    """Which quotes."""

    currency: list[Name] = Field(
        default=[],
        max_length=50,
        description="A code (BTC), a source's id (bitcoin) or a ticker; again, or with commas.",
        examples=[["BTC"]],
    )
    as_of_us: TimeUs | None = Field(None, alias="as_of", description="What was known then.")
    limit: int = Field(250, ge=1, le=RECORDS_MAX, description="The best ranks.", examples=[250])


@router.get(
    "/quotes",
    summary="The newest price of each source and currency",
    responses=documents.QUOTES,
)
def list_quotes(
    services: Shared, request: Request, query: Annotated[QuotesQuery, In()]
) -> Response:
    """Best market_cap_rank first; at most half a second old."""
    if query.as_of_us is None:
        answered = services.quotes.get()
    else:
        answered = read_quotes(services.reads, as_of_us=query.as_of_us)
    found = find_quotes(answered.value, split_names(query.currency), codes=services.codes)
    sheet = build_quotes(found[: query.limit], codes=services.codes, simulated=services.simulated)
    return build_answer(request, {"quotes": build_rows(sheet)}, [answered.source])


class TradesQuery(PlaceQuery, PageQuery):
    """Which trades."""


@router.get("/trades", summary="Trades of a market, newest first", responses=documents.TRADES)
def list_trades(
    services: Shared, request: Request, query: Annotated[TradesQuery, In()]
) -> Response:
    """Those of one microsecond stand in the order in which the venue's feed had them."""
    feed = FEED_BY_NAME[TRADES.name]
    market = services.catalogue.get().find(feed.name, query.place)

    def read(store: Store, span: Span, count: int) -> Sequence[Record]:
        return store.read_newest(feed, market, span, records_max=count)

    return _answer_page(services, request, query, feed, market, read, scope=())


class CandlesQuery(PlaceQuery, PageQuery):
    """Which candles; `from` and `to` are open times."""

    interval: Interval = Field(Interval.MINUTE, description="Length of a candle.", examples=["1m"])
    made_of: MadeOf = Field(
        MadeOf.VENUE,
        description="The venue's own, or made of its trades, the open one too.",
        examples=["trades"],
    )


@router.get("/candles", summary="Candles of a market, newest first", responses=documents.CANDLES)
def list_candles(
    services: Shared, request: Request, query: Annotated[CandlesQuery, In()]
) -> Response:
    """The venue's own, closed ones; of one that it corrected, the last revision."""
    if query.made_of is MadeOf.TRADES:
        return _answer_made(services, request, query)
    feed = FEED_BY_NAME[CANDLES.name]
    market = services.catalogue.get().find(feed.name, query.place)

    def read(store: Store, span: Span, count: int) -> Sequence[Record]:
        pages = store.read_market(feed, market, span, interval=query.interval, newest=count)
        return [record for page in pages for record in page][::-1]

    return _answer_page(services, request, query, feed, market, read, scope=(query.interval,))


def _answer_made(services: Services, request: Request, query: CandlesQuery) -> Response:
    feed, interval, now_us = FEED_BY_NAME[TRADES.name], query.interval, time.time_ns() // 1000
    market = services.catalogue.get().find(feed.name, query.place)
    asked = ("made candles", market.venue, market.venue_symbol, *query.span, interval)
    reached = open_reached(services.cursor_secret, asked, query.cursor)
    # a candle opens at its time alone, so the page begins before the last one that was given
    ends_us = query.ends_us if reached is None else reached.time_us
    span = Span(query.begins_us, ends_us)

    def question(store: Store) -> list[MadeCandle]:
        candles = open_candles(store, market, interval, now_us)
        pages = read_made(candles, market, interval, span, newest=query.limit + 1, now_us=now_us)
        return [candle for page in pages for candle in page]

    answered = services.reads.ask(question, [feed])
    newest = answered.value[::-1]
    page = newest[: query.limit]
    more = Reached(page[-1].ts_event, 1) if len(newest) > query.limit else None
    document = {
        **market._asdict(),
        "candles": build_rows(build_struct_sheet(list_fields(MadeCandle), page)),
        "next": seal_reached(services.cursor_secret, asked, more),
    }
    return build_answer(request, document, [answered.source])


def _answer_page(
    services: Services,
    request: Request,
    query: PageQuery,
    feed: Feed[Record],
    market: Market,
    read: Callable[[Store, Span, int], Sequence[Record]],
    *,
    scope: Sequence[str],
) -> Response:
    asked = (feed.name, market.venue, market.venue_symbol, *query.span, *scope)
    reached = open_reached(services.cursor_secret, asked, query.cursor)
    span, count = narrow(query.span, reached), count_needed(query.limit, reached)
    answered = services.reads.ask(lambda store: read(store, span, count), [feed])
    times_us = [feed.event_time_of(record) or 0 for record in answered.value]
    page = cut(answered.value, times_us, query.limit, reached)
    document = {
        **market._asdict(),
        feed.name: build_rows(build_sheet(feed, give_symbol(page.records, market.symbol))),
        "next": seal_reached(services.cursor_secret, asked, page.reached),
    }
    return build_answer(request, document, [answered.source])


class BookQuery(PlaceQuery):
    """Which order book."""

    as_of_us: TimeUs | None = Field(None, alias="as_of", description="The one that stood then.")


class LevelsQuery(BookQuery):
    """How much of it."""

    levels: int = Field(20, ge=1, le=LEVELS_MAX, description="A side, at most.", examples=[20])


@router.get("/book", summary="The last order book of a market", responses=documents.BOOK)
def show_book(services: Shared, request: Request, query: Annotated[LevelsQuery, In()]) -> Response:
    """Best levels first; 404 where none is stored of that time."""
    market, book, source = read_book(services, query)
    bids, asks = (
        [
            {"price": price, "quantity": quantity}
            for price, quantity in zip(prices, quantities, strict=True)
        ][: query.levels]
        for prices, quantities in (
            (book.bid_prices, book.bid_quantities),
            (book.ask_prices, book.ask_quantities),
        )
    )
    document = {
        **market._asdict(),
        "sequence": book.sequence,
        "ts_event": print_time(book.ts_event),
        "timed_by": f"{book.timed_by}",
        **describe_top(book),
        "bids": bids,
        "asks": asks,
    }
    return build_answer(request, document, [source])


def read_book(services: Services, query: BookQuery) -> tuple[Market, OrderBook, Source]:
    """The last book of a market, at or before a time.

    Raises:
        ApiError: None is stored of that time.
    """
    feed = FEED_BY_NAME[ORDER_BOOKS.name]
    market = services.catalogue.get().find(feed.name, query.place)
    span = Span(None, None if query.as_of_us is None else query.as_of_us + 1)
    answered = services.reads.ask(
        lambda store: store.read_newest(feed, market, span, records_max=1), [feed]
    )
    books = [record for record in answered.value if isinstance(record, OrderBook)]
    if not books:
        message = "no book is stored of that time: order books are kept for a few days"
        raise ApiError(HTTPStatus.NOT_FOUND, message)
    return market, books[0], answered.source

"""Streams (server-sent events): quotes, a market's trades, what happens in one's own account.

Here: which question each asks every second. Not here: how it is sent (streams.py).
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as In
from starlette.concurrency import run_in_threadpool

from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.account_sheets import build_transactions
from crypto_platform.serving.api import documents
from crypto_platform.serving.api.identity import MaybeAsker, OwnAsker
from crypto_platform.serving.api.journal import Journal
from crypto_platform.serving.api.parameters import NoQuery, PlaceQuery
from crypto_platform.serving.api.services import Services, Shared
from crypto_platform.serving.api.streams import Row, Tail
from crypto_platform.serving.api.tokens import Asker
from crypto_platform.serving.failover import Source
from crypto_platform.serving.market import give_symbol
from crypto_platform.serving.market_sheets import build_quotes
from crypto_platform.serving.reader import RECORDS_MAX
from crypto_platform.serving.sheets import build_rows, build_sheet
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

TRADES_MAX = 500
"""Asked for a second; a market with more in a second sends its newest."""
LATE_US = 60_000_000
"""A trade that arrives so late behind the newest is sent; an older one is history."""
EVENTS_MAX = 100
"""Of a page of a user's events."""
KEPT_MAX = 5_000

router = APIRouter(prefix="/v1", tags=["streams"])


@router.get(
    "/stream/quotes",
    summary="Quotes as they change",
    responses=documents.STREAM,
    response_class=Response,
)
async def stream_quotes(
    services: Shared, request: Request, asker: MaybeAsker, _: NoQuery
) -> Response:
    """First all there are, then what changes. Messages `quotes`: `{"quotes": […]}`."""

    def poll(journal: Journal[Row]) -> Source:
        answered = services.quotes.get()
        changed = [
            quote
            for quote in answered.value
            if not journal.knows((quote.source, quote.currency_id), quote.event_id)
        ]
        rows = build_rows(build_quotes(changed, codes=services.codes, simulated=services.simulated))
        journal.note(
            ((quote.source, quote.currency_id), quote.event_id, row)
            for quote, row in zip(changed, rows, strict=True)
        )
        return answered.source

    return await services.streams.open(
        request,
        "quotes",
        ("quotes",),
        lambda: Tail(poll, kept_max=RECORDS_MAX),
        who=_name(request, asker),
        from_start=True,
    )


@router.get(
    "/stream/trades",
    summary="Trades of a market as they come",
    responses=documents.STREAM,
    response_class=Response,
)
async def stream_trades(
    services: Shared, request: Request, asker: MaybeAsker, query: Annotated[PlaceQuery, In()]
) -> Response:
    """Only what comes from now on, oldest first. Messages `trades`: `{"trades": […]}`."""
    catalogue = await run_in_threadpool(services.catalogue.get)
    market = catalogue.find(TRADES.name, query.place)
    return await services.streams.open(
        request,
        "trades",
        ("trades", market.venue, market.venue_symbol),
        lambda: Tail(_TradesPoll(services, market), kept_max=KEPT_MAX),
        who=_name(request, asker),
        from_start=False,
    )


class _TradesPoll:
    """The newest trades of a market, those of the last minute before them included."""

    def __init__(self, services: Services, market: Market) -> None:
        self._services = services
        self._market = market
        self._newest_us: int | None = None

    def __call__(self, journal: Journal[Row]) -> Source:
        feed, market = FEED_BY_NAME[TRADES.name], self._market
        begins_us = None if self._newest_us is None else self._newest_us - LATE_US
        answered = self._services.reads.ask(
            lambda store: store.read_newest(
                feed, market, Span(begins_us, None), records_max=TRADES_MAX
            ),
            [feed],
        )
        found = [record for record in answered.value if isinstance(record, Trade)][::-1]
        if found:
            self._newest_us = max(found[-1].ts_event, self._newest_us or 0)
        changed = [each for each in found if not journal.knows(each.event_id, None)]
        rows = build_rows(build_sheet(feed, give_symbol(changed, market.symbol)))
        journal.note((trade.event_id, None, row) for trade, row in zip(changed, rows, strict=True))
        return answered.source


@router.get(
    "/me/events",
    summary="What happens in one's own account",
    responses=documents.OWN_STREAM,
    response_class=Response,
)
async def stream_events(
    services: Shared, request: Request, asker: OwnAsker, _: NoQuery
) -> Response:
    """Only what comes from now on. Messages `transactions`, rows as of `/v1/me/transactions`."""

    async def may_go_on() -> bool:
        return await run_in_threadpool(services.log_ins.holds, asker)

    return await services.streams.open(
        request,
        "transactions",
        ("events", asker.user_id),
        lambda: Tail(_EventsPoll(services, asker.user_id), kept_max=KEPT_MAX),
        who=_name(request, asker),
        from_start=False,
        may_go_on=may_go_on,
    )


class _EventsPoll:
    """A user's events behind the last one seen."""

    def __init__(self, services: Services, user_id: str) -> None:
        self._services = services
        self._user_id = user_id
        self._last: int | None = None

    def __call__(self, journal: Journal[Row]) -> Source:
        answered = self._services.reads.ask(
            lambda store: list(self._read_new(store)), [ACCOUNT_EVENTS]
        )
        events = answered.value[::-1]
        for event in events:
            rows = build_rows(build_transactions([event], currency=None))
            journal.note(((event.event_id, place), None, row) for place, row in enumerate(rows))
            self._last = event.sequence
        self._last = self._last or 0
        return answered.source

    def _read_new(self, store: Store) -> Iterator[AccountEvent]:
        """The newest first, until one that is known; at the first question a page."""
        before: int | None = None
        while True:
            page = store.read_transactions(
                self._user_id, before_sequence=before, currency=None, records_max=EVENTS_MAX
            )
            for event in page:
                if self._last is not None and event.sequence <= self._last:
                    return
                yield event
            if len(page) < EVENTS_MAX or self._last is None:
                return
            before = page[-1].sequence


def _name(request: Request, asker: Asker | None) -> str:
    """Whose a stream is."""
    if asker is not None:
        return f"user {asker.user_id}"
    return "client " + ("" if request.client is None else request.client.host)

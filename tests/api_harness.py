"""The API over stores of lists: what its endpoints make of what a store says.

Here: a fake store with a market and two users' accounts, a client. Not here: expectations, the API
on real stores (tests/servers/test_api.py).
"""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.accounts import AccountEvent, Order, Wallet
from crypto_platform.feeds.api_keys import ApiKey
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.exchange_rates import ExchangeRates
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.serving.api.app import create_app
from crypto_platform.serving.failover import Reads
from crypto_platform.settings import DEFAULT_SOURCES, ApiSettings, Settings
from crypto_platform.stores.accounts import Whole
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import StoredOffset
from crypto_platform.stores.market import ALWAYS, AsOf, Market, Span
from tests.account_steps import SmallCompany
from tests.store_steps import NOON, P0
from tests.waiting import eventually

with warnings.catch_warnings():
    # it asks for another client, which brings nothing that is needed here
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

SECRET = "0123456789abcdef0123456789abcdef"
SECOND = 1_000_000
VENUE, SYMBOL = "simulated_exchange", "BTC-USD"


def trade(number: int, *, second: int) -> Trade:
    """A trade of the fake market."""
    return Trade(
        event_id=f"t{number}",
        venue=VENUE,
        venue_symbol=SYMBOL,
        trade_id=str(number),
        price="64250.10",
        quantity="0.01",
        taker_side=Side.BUY,
        ts_event=NOON + second * SECOND,
        ts_ingest=NOON,
    )


def candle(minute: int) -> Candle:
    """A candle of the fake market."""
    return Candle(
        event_id=f"c{minute}",
        venue=VENUE,
        venue_symbol=SYMBOL,
        interval=Interval.MINUTE,
        ts_event=NOON + minute * 60 * SECOND,
        open="1.00",
        high="3",
        low="0.5",
        close="2",
        base_volume="7",
        ts_ingest=NOON,
    )


BOOK = OrderBook(
    event_id="b1",
    venue=VENUE,
    venue_symbol=SYMBOL,
    depth=20,
    sequence="7",
    bid_prices=("10.0", "9.5"),
    bid_quantities=("1", "2"),
    ask_prices=("10.5",),
    ask_quantities=("3",),
    ts_event=NOON,
    timed_by=TimedBy.VENUE,
    ts_ingest=NOON,
)


@dataclass(kw_only=True)
class FakeStore:
    """As much of a store as the API reads.

    Attributes:
        market: Records by feed, oldest first.
        is_down: Refuses every question.
        bug: What it raises instead of an answer.
    """

    market: dict[str, list[Record]] = field(default_factory=dict)
    quotes: list[Quote] = field(default_factory=list)
    company: SmallCompany = field(default_factory=SmallCompany)
    keys: list[ApiKey] = field(default_factory=list)
    is_down: bool = False
    bug: Exception | None = None

    def _reach(self) -> None:
        if self.is_down:
            message = "refused by 10.0.0.1 as user secret"
            raise StoreUnavailableError(message)
        if self.bug is not None:
            raise self.bug

    def check_readable(self) -> None:
        pass

    def close(self) -> None:
        pass

    def read_offsets(self) -> list[StoredOffset]:
        if self.is_down:
            self._reach()
        return [
            StoredOffset(
                topic=topic,
                partition=P0,
                next_offset=1,
                leader_epoch=None,
                max_ts_append=NOON,
                epoch=1,
                owner_run_id=None,
                claimed_at=None,
                updated_at=None,
                blocked_by=None,
            )
            for topic in (
                "market.trades",
                "market.quotes",
                "accounts.events",
                "accounts.api_keys",
            )
        ]

    def read_latest_quotes(
        self, currency_ids: Sequence[str] = (), *, records_max: int, as_of_us: int | None = None
    ) -> list[Record]:
        self._reach()
        return [q for q in self.quotes if as_of_us is None or q.ts_ingest <= as_of_us]

    def list_markets(self, feed: Feed[Record]) -> list[Market]:
        self._reach()
        return [Market(VENUE, SYMBOL, "BTC/USD")] if self.market.get(feed.name) else []

    def read_instruments(self, source: str | None = None) -> list[Record]:
        return []

    def read_newest(
        self, feed: Feed[Record], market: Market, span: Span = ALWAYS, *, records_max: int
    ) -> list[Record]:
        self._reach()
        assert market.venue_symbol == SYMBOL
        return self._within(feed, span)[::-1][:records_max]

    def read_market(
        self,
        feed: Feed[Record],
        market: Market,
        span: Span = ALWAYS,
        *,
        interval: Interval | None = None,
        newest: int | None = None,
        page_records: int = 10_000,
    ) -> Iterator[Sequence[Record]]:
        self._reach()
        found = self._within(feed, span)
        yield found if newest is None else found[-newest:]

    def built_candles(self, market: Market) -> None:
        """As MongoDB, which keeps none."""

    def read_exchange_rates(self, span: Span) -> list[ExchangeRates]:
        self._reach()
        return []

    def read_as_of(self, feed: Feed[Record], wanted: Sequence[AsOf]) -> list[Record | None]:
        self._reach()
        return [None for _ in wanted]

    def read_api_keys(self, user_id: str) -> list[ApiKey]:
        self._reach()
        return [key for key in self.keys if key.user_id == user_id]

    def read_open_orders(self, user_id: str, *, records_max: int) -> list[Order]:
        self._reach()
        own = [o for o in self.company.orders.values() if o.user_id == user_id and o.is_open]
        return sorted(own, key=lambda order: -order.ts_created)[:records_max]

    def read_order(self, user_id: str, order_id: str) -> Whole | None:
        order = self.company.orders.get(order_id)
        if order is None or order.user_id != user_id:
            return None
        return Whole(order, self.company.fills.get(order_id, ()))

    def read_wallets(self, user_id: str) -> list[Wallet]:
        self._reach()
        return [own for (user, _), own in sorted(self.company.wallets.items()) if user == user_id]

    def read_transactions(
        self,
        user_id: str,
        span: Span = ALWAYS,
        *,
        currency: str | None = None,
        before_sequence: int | None = None,
        records_max: int,
    ) -> list[AccountEvent]:
        self._reach()
        return [
            event
            for event in reversed(self.company.events)
            if event.user_id == user_id
            and event.sequence < (before_sequence or 2**62)
            and (currency is None or currency in event.wallet_currencies)
            and (span.begins_us or 0) <= event.ts_event < (span.ends_us or 2**62)
        ][:records_max]

    def _within(self, feed: Feed[Record], span: Span) -> list[Record]:
        begins, ends = span
        return [
            record
            for record in self.market.get(feed.name, [])
            if (begins or 0) <= (feed.event_time_of(record) or 0) < (ends or 2**62)
        ]


def build_app(
    postgres: FakeStore,
    mongo: FakeStore | None = None,
    *,
    api: ApiSettings | None = None,
    is_local: bool = True,
) -> FastAPI:
    """The API over these stores; the mirror holds the same where none is given."""
    settings = Settings.model_validate(
        {"sources": DEFAULT_SOURCES, "api": api or ApiSettings.model_validate({"secret": SECRET})}
    )
    stores = {"postgres": postgres, "mongo": mongo or postgres}

    def open_(name: str) -> Store:
        fake: object = stores[name]
        return fake  # pyright: ignore[reportReturnType] - as much of a store as reads need

    return create_app(settings, reads=Reads(settings, open_=open_), is_local=is_local)


@contextmanager
def serving(
    postgres: FakeStore,
    mongo: FakeStore | None = None,
    *,
    api: ApiSettings | None = None,
    is_local: bool = True,
) -> Iterator[TestClient]:
    """A client of that app."""
    app = build_app(postgres, mongo, api=api, is_local=is_local)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def list_routes(app: FastAPI) -> list[APIRoute]:
    """Every endpoint and page of the app; the app keeps its routers, not their routes."""
    routers = [getattr(each, "original_router", None) for each in app.routes]
    return [
        route
        for router in routers
        if isinstance(router, APIRouter)
        for route in router.routes
        if isinstance(route, APIRoute)
    ]


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The app behind a socket of its own, by the server that runs it; gives its address."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, within_s=10)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()

"""The simulated market over HTTP: the dialect of CoinCap's API v3, and the way to order faults.

Here: paths, parameters, CoinCap's field names, the key. Not here: prices (market.py), Coinbase's
dialect (exchange.py), official rates (rates.py), how a fault looks on the wire (answers.py), which
is due (faults.py), process and signals (__main__.py).

    GET    /v3/assets?limit=&offset=&ids=a,b&search=     {"timestamp": ms, "data": [...]}
    GET    /v3/assets/{id}                               {"timestamp": ms, "data": {...}}
    GET    /exchange/...                                 see exchange.py
    GET    /ecb/...                                      see rates.py
    GET    /simulation/health
    GET, POST, DELETE /simulation/faults                 for tests; needs no key, is never faulty

`timestamp` is the answer's own time; prices are those of that time's second. Lists are ordered by
market cap, which moves: a currency can slip over a page's edge between two calls, as at CoinCap.

Source: CoinCap API 3.0, "Assets" (rest.coincap.io/v3).
"""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_platform.simulation.answers import (
    Answers,
    Data,
    Item,
    Place,
    answer_json,
    parse_whole_number,
)
from crypto_platform.simulation.exchange import Exchange, refuse
from crypto_platform.simulation.fault_orders import FaultOrders
from crypto_platform.simulation.faults import FaultQueue
from crypto_platform.simulation.floor import MarketFloor
from crypto_platform.simulation.market import Market, Quote
from crypto_platform.simulation.rates import Bank, Rates
from crypto_platform.simulation.trades import Tape

EXCHANGE_PATH = "/exchange"
BANK_PATH = "/ecb"
PAGE_DEFAULT = 100
PAGE_MAX = 2000
_EVERY_NTH_RANK_IS_INT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Which part of the market a request asks for."""

    limit: int
    offset: int
    ids: frozenset[str]
    search: str

    def select(self, quotes: tuple[Quote, ...]) -> list[Quote]:
        found = [
            quote
            for quote in quotes
            if (not self.ids or quote.currency.currency_id in self.ids)
            and self.search in f"{quote.currency.currency_id} {quote.currency.symbol}".lower()
        ]
        return found[self.offset : self.offset + self.limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What CoinCap is asked, and how it answers.

    Attributes:
        select: The quotes asked for.
        is_list: Whether they are a page, or the one currency of it.
    """

    market: Market
    select: Callable[[tuple[Quote, ...]], list[Quote]]
    is_list: bool
    wants_key: bool = True

    def look_up(self, now_ms: int) -> Data:
        quotes = self.select(self.market.read_quotes(now_ms // 1000))
        items = [_render_quote(quote) for quote in quotes]
        return items if self.is_list else items[0]

    def render(self, data: Data, now_ms: int) -> Response:
        return answer_json({"timestamp": now_ms, "data": data})

    def refuse(self, status: int, text: str, now_ms: int) -> Response:
        return _refuse(status, text, now_ms)

    def find_price(self, data: Data, currency_id: str) -> Place | None:
        items = data if isinstance(data, list) else [data]
        found = (item for item in items if isinstance(item, dict) and item["id"] == currency_id)
        return next(((item, "priceUsd") for item in found), None)


class SimulatedVenue:
    """The market, its faults and its key, as HTTP endpoints."""

    def __init__(
        self,
        market: Market,
        *,
        key: str | None,
        clock_ms: Callable[[], int],
        stopping: asyncio.Event,
    ) -> None:
        """Serve `market`.

        Args:
            market: What is quoted.
            key: The key every /v3 request must bear; None: none is asked for.
            clock_ms: The time, ms since 1970 UTC.
            stopping: Set when the process ends: slow answers then stop waiting.
        """
        self._market = market
        self._currency_ids = {currency.currency_id for currency in market.currencies}
        self._authorization = None if key is None else f"Bearer {key}".encode()
        self._clock_ms = clock_ms
        faults = FaultQueue()
        self._answers = Answers(faults, clock_ms=clock_ms, stopping=stopping)
        self._fault_orders = FaultOrders(faults, clock_ms=clock_ms, currency_ids=self._currency_ids)
        tape = Tape(seed=market.seed, currencies=market.currencies)
        self._exchange = Exchange(MarketFloor(tape), self._answers, path=EXCHANGE_PATH)
        self._bank = Bank(Rates(seed=market.seed), self._answers, path=BANK_PATH)

    def build_app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v3/assets", self.get_assets),
                Route("/v3/assets/{currency_id}", self.get_asset),
                *self._exchange.list_routes(),
                *self._bank.list_routes(),
                Route("/simulation/health", self.get_health),
                *self._fault_orders.list_routes(),
            ],
            exception_handlers={HTTPException: self._answer_error},
        )

    async def get_assets(self, request: Request) -> Response:
        """Answer a page of the market, by falling market cap."""
        self._check_key(request)
        page = _parse_page(request)
        question = _Question(market=self._market, select=page.select, is_list=True)
        return await self._answers.give(request, question)

    async def get_asset(self, request: Request) -> Response:
        """Answer one currency; 404 if it is not listed."""
        self._check_key(request)
        currency_id = request.path_params["currency_id"]
        if currency_id not in self._currency_ids:
            raise HTTPException(404, f"{currency_id} not found")

        def select(quotes: tuple[Quote, ...]) -> list[Quote]:
            return [quote for quote in quotes if quote.currency.currency_id == currency_id]

        question = _Question(market=self._market, select=select, is_list=False)
        return await self._answers.give(request, question)

    async def get_health(self, request: Request) -> Response:
        """Say that the market is open, and how many answers it has given."""
        del request
        return answer_json(
            {
                "status": "ok",
                "timestamp": self._clock_ms(),
                "seed": self._market.seed,
                "currencies": len(self._market.currencies),
                "answers": self._answers.count,
            }
        )

    def _check_key(self, request: Request) -> None:
        if self._authorization is None:
            return
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._authorization):
            raise HTTPException(403, "invalid api key: expected the header Authorization: Bearer")

    async def _answer_error(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if request.url.path.startswith(EXCHANGE_PATH):
            return refuse(error.status_code, error.detail)
        return _refuse(error.status_code, error.detail, self._clock_ms())


def _refuse(status: int, text: str, now_ms: int) -> Response:
    return answer_json({"error": text, "timestamp": now_ms}, status)


def _parse_page(request: Request) -> _Page:
    query = request.query_params
    return _Page(
        limit=parse_whole_number(query.get("limit", PAGE_DEFAULT), "limit", largest=PAGE_MAX),
        offset=parse_whole_number(query.get("offset", 0), "offset", largest=10**9),
        ids=frozenset(filter(None, query.get("ids", "").split(","))),
        search=query.get("search", "").lower(),
    )


def _render_quote(quote: Quote) -> Item:
    """Write a quote as CoinCap does: figures as text, the rank as text or, now and then, not."""
    currency = quote.currency
    supply_max = currency.supply_max
    return {
        "id": currency.currency_id,
        "rank": quote.rank if quote.rank % _EVERY_NTH_RANK_IS_INT == 0 else str(quote.rank),
        "symbol": currency.symbol,
        "name": currency.name,
        "supply": format(currency.supply, ".16f"),
        "maxSupply": None if supply_max is None else format(supply_max, ".16f"),
        "marketCapUsd": quote.market_cap_usd,
        "volumeUsd24Hr": quote.volume_usd,
        "priceUsd": quote.price_usd,
        "changePercent24Hr": quote.change_pct,
        "vwap24Hr": quote.vwap_usd,
        "explorer": currency.explorer,
        "tokens": currency.tokens,
    }

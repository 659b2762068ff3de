"""The simulated market over HTTP, in the dialect of CoinCap's API v3.

Here: paths, parameters, CoinCap's field names, the key, and how each fault looks on the wire.
Not here: prices (market.py), which fault is due (faults.py), process and signals (__main__.py).

    GET    /v3/assets?limit=&offset=&ids=a,b&search=     {"timestamp": ms, "data": [...]}
    GET    /v3/assets/{id}                               {"timestamp": ms, "data": {...}}
    GET    /simulation/health
    GET, POST, DELETE /simulation/faults                 for tests; needs no key, is never faulty

`timestamp` is the answer's own time; prices are those of that time's second. Lists are ordered by
market cap, which moves: a currency can slip over a page's edge between two calls, as at CoinCap.

Source: CoinCap API 3.0, "Assets" (rest.coincap.io/v3).
"""

import asyncio
import contextlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from crypto_platform.simulation.faults import (
    Fault,
    FaultKind,
    FaultQueue,
    FaultRefusedError,
    parse_fault,
)
from crypto_platform.simulation.market import Market, Quote

PAGE_DEFAULT = 100
PAGE_MAX = 2000
ORDER_BYTES_MAX = 10_000
PAGES_REMEMBERED_MAX = 64

Item = dict[str, object]
"""A JSON object, field by field."""
Data = list[Item] | Item
"""What stands under "data": a page, or one currency."""

_ERROR_TEXTS = {
    FaultKind.TOO_MANY_REQUESTS: (429, "too many requests"),
    FaultKind.SERVER_ERROR: (500, "internal server error"),
    FaultKind.BAD_GATEWAY: (502, "bad gateway"),
    FaultKind.UNAVAILABLE: (503, "service unavailable"),
    FaultKind.GATEWAY_TIMEOUT: (504, "gateway timeout"),
    FaultKind.WRONG_KEY: (403, "invalid api key"),
}
_HTML_PAGE = "<!DOCTYPE html><html><body><h1>We'll be right back</h1></body></html>"
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


class _CutShortResponse(Response):
    """Promises the whole body, sends half and hangs up (uvicorn then closes, and logs that)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


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
        self._stopping = stopping
        self._faults = FaultQueue()
        self._answered_ms: dict[str, int] = {}
        self._answers_count = 0

    def build_app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v3/assets", self.get_assets),
                Route("/v3/assets/{currency_id}", self.get_asset),
                Route("/simulation/health", self.get_health),
                Route("/simulation/faults", self.get_faults),
                Route("/simulation/faults", self.post_fault, methods=["POST"]),
                Route("/simulation/faults", self.delete_faults, methods=["DELETE"]),
            ],
            exception_handlers={HTTPException: self._answer_error},
        )

    async def get_assets(self, request: Request) -> Response:
        """Answer a page of the market, by falling market cap."""
        self._check_key(request)
        page = _parse_page(request)

        def build_data(quotes: tuple[Quote, ...]) -> Data:
            return [_render_quote(quote) for quote in page.select(quotes)]

        return await self._answer(request, build_data)

    async def get_asset(self, request: Request) -> Response:
        """Answer one currency; 404 if it is not listed."""
        self._check_key(request)
        currency_id = request.path_params["currency_id"]
        if currency_id not in self._currency_ids:
            raise HTTPException(404, f"{currency_id} not found")

        def build_data(quotes: tuple[Quote, ...]) -> Data:
            [quote] = [q for q in quotes if q.currency.currency_id == currency_id]
            return _render_quote(quote)

        return await self._answer(request, build_data)

    async def get_health(self, request: Request) -> Response:
        """Say that the market is open, and how many /v3 answers it has given."""
        del request
        return _answer_json(
            {
                "status": "ok",
                "timestamp": self._clock_ms(),
                "seed": self._market.seed,
                "currencies": len(self._market.currencies),
                "answers": self._answers_count,
            }
        )

    async def get_faults(self, request: Request) -> Response:
        """List the faults still to come and how often each kind was applied."""
        del request
        waiting = self._faults.list_waiting(now_ms=self._clock_ms())
        return _answer_json(
            {
                "faults": [fault.describe() for fault in waiting],
                "applied": dict(self._faults.applied_count),
            }
        )

    async def post_fault(self, request: Request) -> Response:
        """Order a fault; 400 says what is allowed."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > ORDER_BYTES_MAX:
                raise HTTPException(413, f"an order has at most {ORDER_BYTES_MAX} bytes")
        try:
            order = json.loads(bytes(body))
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"not a JSON object: {error}") from None
        try:
            self._faults.add(
                parse_fault(order, now_ms=self._clock_ms(), currency_ids=self._currency_ids)
            )
        except FaultRefusedError as error:
            raise HTTPException(400, str(error)) from None
        return await self.get_faults(request)

    async def delete_faults(self, request: Request) -> Response:
        """End all faults."""
        self._faults.clear()
        return await self.get_faults(request)

    async def _answer(
        self, request: Request, build_data: Callable[[tuple[Quote, ...]], Data]
    ) -> Response:
        """Give the answer that is due: the data, or the fault that waits for it."""
        asked = f"{request.url.path}?{request.url.query}"
        now_ms = self._clock_ms()
        data = build_data(self._market.read_quotes(now_ms // 1000))
        fault = self._faults.take(now_ms=now_ms, fits=lambda fault: _fits(fault, data))
        self._answers_count += 1
        if fault is None:
            self._remember(asked, now_ms)
            return _answer_json({"timestamp": now_ms, "data": data})
        if fault.kind in _ERROR_TEXTS:
            return self._answer_refusal(fault)
        if fault.kind is FaultKind.HTML:
            return HTMLResponse(_HTML_PAGE)
        if fault.kind is FaultKind.SLOW:
            await self._wait(fault.delay_s)
            now_ms = self._clock_ms()
            data = build_data(self._market.read_quotes(now_ms // 1000))
        elif fault.kind is FaultKind.REPEATED:
            now_ms = self._answered_ms.get(asked, now_ms)
            data = build_data(self._market.read_quotes(now_ms // 1000))
            self._remember(asked, now_ms)
        elif fault.kind is FaultKind.EMPTY:
            data = []
        elif fault.kind is FaultKind.NAN:
            _spoil_price(data, fault.currency_id)
        response = _answer_json({"timestamp": now_ms, "data": data})
        if fault.kind is FaultKind.TRUNCATED:
            return _CutShortResponse(bytes(response.body), media_type="application/json")
        return response

    def _remember(self, asked: str, answered_ms: int) -> None:
        """Keep when a page was last given; a repeated page is the page of that time again."""
        self._answered_ms[asked] = answered_ms
        if len(self._answered_ms) > PAGES_REMEMBERED_MAX:
            del self._answered_ms[next(iter(self._answered_ms))]

    async def _wait(self, delay_s: float) -> None:
        with contextlib.suppress(TimeoutError):  # the delay is over, as ordered
            await asyncio.wait_for(self._stopping.wait(), timeout=delay_s)

    def _check_key(self, request: Request) -> None:
        if self._authorization is None:
            return
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._authorization):
            raise HTTPException(403, "invalid api key: expected the header Authorization: Bearer")

    def _answer_refusal(self, fault: Fault) -> Response:
        status, text = _ERROR_TEXTS[fault.kind]
        response = _answer_json({"error": text, "timestamp": self._clock_ms()}, status)
        if fault.kind is FaultKind.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(fault.retry_after_s)
        return response

    async def _answer_error(self, request: Request, error: Exception) -> Response:
        del request
        if not isinstance(error, HTTPException):
            raise error
        content = {"error": error.detail, "timestamp": self._clock_ms()}
        return _answer_json(content, error.status_code)


def _answer_json(content: Mapping[str, object], status: int = 200) -> Response:
    body = json.dumps(content, separators=(",", ":"))
    return Response(body, status, media_type="application/json")


def _parse_page(request: Request) -> _Page:
    query = request.query_params
    return _Page(
        limit=_parse_whole_number(query.get("limit", PAGE_DEFAULT), "limit", PAGE_MAX),
        offset=_parse_whole_number(query.get("offset", 0), "offset", 10**9),
        ids=frozenset(filter(None, query.get("ids", "").split(","))),
        search=query.get("search", "").lower(),
    )


def _parse_whole_number(text: str | int, name: str, largest: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= largest:
        raise HTTPException(400, f"{name} must be a whole number up to {largest}, found {text}")
    return number


def _fits(fault: Fault, data: Data) -> bool:
    """Tell whether a fault makes sense for this answer; otherwise it waits for the next."""
    if fault.kind is FaultKind.EMPTY:
        return isinstance(data, list)
    if fault.kind is FaultKind.NAN:
        items = data if isinstance(data, list) else [data]
        return any(item["id"] == fault.currency_id for item in items)
    return True


def _spoil_price(data: Data, currency_id: str) -> None:
    for item in data if isinstance(data, list) else [data]:
        if item["id"] == currency_id:
            item["priceUsd"] = "NaN"


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

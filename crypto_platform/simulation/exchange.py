"""A place of trade as an exchange, in the dialect of Coinbase Exchange's REST API.

Here: paths, parameters and headers of Coinbase. Not here: products, trades, books and candles
(floor.py), Coinbase's field names (exchange_fields.py), how a fault looks on the wire (answers.py).
The simulated market has these paths below /exchange, the company at its root.

    GET    /products                                   [{"id": "BTC-USD", ...}, ...]
    GET    /products/{id}                              {"id": "BTC-USD", ...}
    GET    /products/{id}/trades?limit=&before=&after= [{"trade_id": ...}, ...]
    GET    /products/{id}/book?level=                  {"bids": ..., "sequence": ...}
    GET    /products/{id}/candles?granularity=&start=&end=   [[time, low, ...], ...]
    GET    /currencies, /currencies/{id}
    GET    /time                                       {"iso": ..., "epoch": ...}

Trades come newest first. `after` asks for what is older than a trade_id, `before` for what is
newer; the headers CB-AFTER and CB-BEFORE say the last and the first id of a page. Candles come
newest first too, those that open from `start` to `end`, the one of now included; one of both alone
is ignored, and so many that they do not fit in a page are refused. Level 3 of a book is not
simulated. Errors are {"message": "..."}. No key is asked for.

Source: Coinbase Exchange REST API, "Get product book", "Get product candles", "Get product trades",
"Pagination".
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_platform.simulation.answers import (
    Answers,
    Data,
    Place,
    Row,
    answer_json,
    parse_whole_number,
)
from crypto_platform.simulation.books import LEVELS_A_SIDE
from crypto_platform.simulation.candles import CANDLES_MAX, GRANULARITIES_S
from crypto_platform.simulation.exchange_fields import (
    CANDLE_CLOSE,
    render_book,
    render_candle,
    render_clock,
    render_currencies,
    render_product,
    render_trade,
)
from crypto_platform.simulation.floor import Floor, Listed

PAGE_MAX = 1000
ID_MAX = 2**63 - 1
LEVELS_OF = {1: 1, 2: LEVELS_A_SIDE}
"""How many levels a side a book has, by what is asked for."""

_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What Coinbase is asked, and how it answers.

    Attributes:
        look_up: What is so at a time, ms since 1970.
        product: Whose prices the answer has.
        has_edges: Whether the answer is a page whose edges the headers say.
    """

    look_up: Callable[[int], Data]
    product: Listed | None = None
    has_edges: bool = False
    wants_key: bool = field(default=False, init=False)

    def render(self, data: Data, now_ms: int) -> Response:
        del now_ms
        headers: dict[str, str] = {}
        if self.has_edges and isinstance(data, list) and data:
            first, last = data[0], data[-1]
            if isinstance(first, dict) and isinstance(last, dict):
                headers = {"CB-BEFORE": str(first["trade_id"]), "CB-AFTER": str(last["trade_id"])}
        return answer_json(data, headers=headers)

    def refuse(self, status: int, text: str, now_ms: int) -> Response:
        del now_ms
        return refuse(status, text)

    def find_price(self, data: Data, currency_id: str) -> Place | None:
        if self.product is None or currency_id != self.product.currency.currency_id:
            return None
        if isinstance(data, dict):
            bids = cast("list[Row]", data["bids"])
            return (bids[0], 0) if bids else None
        first = next(iter(data), None)
        if isinstance(first, dict):
            return first, "price"
        return None if first is None else (first, CANDLE_CLOSE)


class Exchange:
    """Products, books, candles and trades of a floor as HTTP endpoints."""

    def __init__(self, floor: Floor, answers: Answers, *, path: str) -> None:
        """Serve what `floor` tells, below `path`."""
        self._floor = floor
        self._answers = answers
        self._path = path
        self._currencies = {
            str(item["id"]): item for item in render_currencies(floor.products.values())
        }

    def list_routes(self) -> list[Route]:
        """The endpoints."""
        endpoints: Mapping[str, Callable[[Request], _Question]] = {
            "/products": self._ask_products,
            "/products/{product_id}": self._ask_product,
            "/products/{product_id}/trades": self._ask_trades,
            "/products/{product_id}/book": self._ask_book,
            "/products/{product_id}/candles": self._ask_candles,
            "/currencies": self._ask_currencies,
            "/currencies/{currency_id}": self._ask_currency,
            "/time": self._ask_time,
        }
        return [
            Route(f"{self._path}{path}", self._answer(read)) for path, read in endpoints.items()
        ]

    def _answer(
        self, read: Callable[[Request], _Question]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def give(request: Request) -> Response:
            return await self._answers.give(request, read(request))

        return give

    def _ask_products(self, request: Request) -> _Question:
        del request
        products = self._floor.products.values()
        return _Question(look_up=lambda _: [render_product(product) for product in products])

    def _ask_product(self, request: Request) -> _Question:
        product = self._find_product(request)
        return _Question(look_up=lambda _: render_product(product))

    def _ask_trades(self, request: Request) -> _Question:
        product = self._find_product(request)
        limit = request.query_params.get("limit", PAGE_MAX)
        limit = parse_whole_number(limit, "limit", smallest=1, largest=PAGE_MAX)
        before, after = _parse_id(request, "before"), _parse_id(request, "after")

        def look_up(now_ms: int) -> Data:
            trades = self._floor.read_trades(
                product.product_id, now_us=now_ms * 1000, limit=limit, before=before, after=after
            )
            return [render_trade(product, trade) for trade in trades]

        return _Question(look_up=look_up, product=product, has_edges=True)

    def _ask_book(self, request: Request) -> _Question:
        product = self._find_product(request)
        level = request.query_params.get("level", 1)
        levels = LEVELS_OF[parse_whole_number(level, "level", smallest=1, largest=len(LEVELS_OF))]

        def look_up(now_ms: int) -> Data:
            now_us = now_ms * 1000
            book = self._floor.read_book(product.product_id, now_us=now_us, levels=levels)
            return render_book(product, book, now_us)

        return _Question(look_up=look_up, product=product)

    def _ask_candles(self, request: Request) -> _Question:
        product = self._find_product(request)
        granularity_s = _parse_granularity(request)
        start, end = (request.query_params.get(name) for name in ("start", "end"))
        first_s, last_s = 0, _SECONDS_MAX
        if start and end:
            first_s, last_s = _parse_seconds(start, "start"), _parse_seconds(end, "end")
            if (last_s - first_s) / granularity_s > CANDLES_MAX:
                text = "granularity too small for the requested time range. Count of aggregations "
                raise HTTPException(400, f"{text}requested exceeds {CANDLES_MAX}")

        def look_up(now_ms: int) -> Data:
            candles = self._floor.list_candles(
                product.product_id,
                granularity_s=granularity_s,
                first_s=first_s,
                last_s=last_s,
                now_us=now_ms * 1000,
            )
            return [render_candle(product, candle) for candle in candles]

        return _Question(look_up=look_up, product=product)

    def _ask_currencies(self, request: Request) -> _Question:
        del request
        return _Question(look_up=lambda _: list(self._currencies.values()))

    def _ask_currency(self, request: Request) -> _Question:
        currency = self._currencies.get(request.path_params["currency_id"])
        if currency is None:
            raise HTTPException(404, "NotFound")
        return _Question(look_up=lambda _: currency)

    def _ask_time(self, request: Request) -> _Question:
        del request
        return _Question(look_up=render_clock)

    def _find_product(self, request: Request) -> Listed:
        product = self._floor.products.get(request.path_params["product_id"])
        if product is None:
            raise HTTPException(404, "NotFound")
        return product


def refuse(status: int, text: str) -> Response:
    """Coinbase's answer for an error."""
    return answer_json({"message": text}, status)


def _parse_id(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    return None if text is None else parse_whole_number(text, name, largest=ID_MAX)


def _parse_granularity(request: Request) -> int:
    text = request.query_params.get("granularity", GRANULARITIES_S[0])
    granularity_s = parse_whole_number(text, "granularity", largest=GRANULARITIES_S[-1])
    if granularity_s not in GRANULARITIES_S:
        raise HTTPException(400, "Unsupported granularity")
    return granularity_s


def _parse_seconds(text: str, name: str) -> int:
    """Seconds since 1970, given so or as ISO 8601 (UTC where it names no zone); rounded down."""
    if text.isdecimal():
        return parse_whole_number(text, name, largest=_SECONDS_MAX)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise HTTPException(400, f"{name} must be ISO 8601 or seconds, found {text}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() // 1)

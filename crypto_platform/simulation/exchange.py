"""The simulated market as an exchange, in the dialect of Coinbase Exchange's REST API.

Here: paths, parameters, headers and field names of Coinbase. Not here: the trades themselves
(trades.py), how a fault looks on the wire (answers.py).

    GET    /exchange/products                                      [{"id": "BTC-USD", ...}, ...]
    GET    /exchange/products/{id}/trades?limit=&before=&after=    [{"trade_id": ...}, ...]

Trades come newest first. `after` asks for what is older than a trade_id, `before` for what is
newer; the headers CB-AFTER and CB-BEFORE say the last and the first id of a page. Errors are
{"message": "..."}. No key is asked for.

Source: Coinbase Exchange REST API, "Get product trades", "Get all known trading pairs",
"Pagination".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_platform.simulation.answers import (
    Answers,
    Data,
    Item,
    answer_json,
    parse_whole_number,
)
from crypto_platform.simulation.trades import Product, Tape, Trade

EXCHANGE_PATH = "/exchange"
PAGE_MAX = 1000
ID_MAX = 2**63 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How Coinbase answers, whatever it is asked."""

    price_name: str = "price"
    wants_key: bool = False

    def refuse(self, status: int, text: str, now_ms: int) -> Response:
        del now_ms
        return refuse(status, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TradesQuestion(_Words):
    """What was traded, as seen from a page's edge."""

    tape: Tape
    product: Product
    limit: int
    before: int | None
    after: int | None

    def look_up(self, now_ms: int) -> Data:
        trades = self.tape.read_trades(
            self.product,
            now_us=now_ms * 1000,
            limit=self.limit,
            before=self.before,
            after=self.after,
        )
        return [_render_trade(trade) for trade in trades]

    def render(self, data: Data, now_ms: int) -> Response:
        del now_ms
        headers: dict[str, str] = {}
        if isinstance(data, list) and data:
            headers = {"CB-BEFORE": str(data[0]["trade_id"]), "CB-AFTER": str(data[-1]["trade_id"])}
        return answer_json(data, headers=headers)

    def find_priced(self, data: Data, currency_id: str) -> Item | None:
        if not isinstance(data, list) or currency_id != self.product.currency.currency_id:
            return None
        return next(iter(data), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProductsQuestion(_Words):
    """What is listed."""

    products: Iterable[Product]

    def look_up(self, now_ms: int) -> Data:
        del now_ms
        return [_render_product(product) for product in self.products]

    def render(self, data: Data, now_ms: int) -> Response:
        del now_ms
        return answer_json(data)

    def find_priced(self, data: Data, currency_id: str) -> Item | None:
        del data, currency_id
        return None


class Exchange:
    """The market's trades as HTTP endpoints."""

    def __init__(self, tape: Tape, answers: Answers) -> None:
        """Serve the trades of `tape`."""
        self._tape = tape
        self._answers = answers

    def list_routes(self) -> list[Route]:
        """The endpoints."""
        return [
            Route(f"{EXCHANGE_PATH}/products", self.get_products),
            Route(f"{EXCHANGE_PATH}/products/{{product_id}}/trades", self.get_trades),
        ]

    async def get_products(self, request: Request) -> Response:
        """Answer what is listed."""
        question = _ProductsQuestion(products=self._tape.products.values())
        return await self._answers.give(request, question)

    async def get_trades(self, request: Request) -> Response:
        """Answer a page of a product's trades, newest first; 404 if it is not listed."""
        product = self._tape.products.get(request.path_params["product_id"])
        if product is None:
            raise HTTPException(404, "NotFound")
        limit = request.query_params.get("limit", PAGE_MAX)
        question = _TradesQuestion(
            tape=self._tape,
            product=product,
            limit=parse_whole_number(limit, "limit", smallest=1, largest=PAGE_MAX),
            before=_parse_id(request, "before"),
            after=_parse_id(request, "after"),
        )
        return await self._answers.give(request, question)


def refuse(status: int, text: str) -> Response:
    """Coinbase's answer for an error."""
    return answer_json({"message": text}, status)


def _parse_id(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    return None if text is None else parse_whole_number(text, name, largest=ID_MAX)


def _render_trade(trade: Trade) -> Item:
    moment = _EPOCH + timedelta(microseconds=trade.time_us)
    return {
        "trade_id": trade.trade_id,
        "side": trade.maker_side,
        "size": trade.quantity,
        "price": trade.price,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def _render_product(product: Product) -> Item:
    symbol = product.currency.symbol
    return {
        "id": product.product_id,
        "base_currency": symbol,
        "quote_currency": "USD",
        "quote_increment": _render_step(product.price_decimals),
        "base_increment": _render_step(product.quantity_decimals),
        "display_name": f"{symbol}/USD",
        "status": "online",
        "trading_disabled": False,
    }


def _render_step(decimals: int) -> str:
    """The smallest difference of a figure with so many decimals, 1 or more: 0.01."""
    return f"0.{'1'.rjust(decimals, '0')}"

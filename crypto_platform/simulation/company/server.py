"""The company over HTTP: account events, accounts, orders, drives, and its market feeds.

Here: paths, parameters, keys, which status answers what. Not here: what a body means
(orders_in.py), what an answer looks like (render.py), Coinbase's dialect (../exchange.py).

    GET    /v1/account-events?after=&limit=          {"events": [...], "last_sequence": n}
    GET    /v1/accounts?after=&limit=                {"users": ["u000001", ...]}
    GET    /v1/accounts/{user}?at_sequence=          wallets and open orders
    GET    /v1/wallets?at_sequence=&after=&limit=    many users' wallets
    GET    /v1/totals?at_sequence=                   sums of all postings
    GET    /v1/keys/{user}                           a user's key, for the operator
    POST   /v1/orders, DELETE /v1/orders/{id}        of the key's user
    POST   /v1/deposits, /v1/withdrawals             of the key's user
    GET, POST, DELETE /v1/drive                      trade otherwise for a while
    GET    /products/..., /currencies, /time         see ../exchange.py; no key
    GET    /healthz
    GET, POST, DELETE /simulation/faults             see ../fault_orders.py; faults spoil any GET

The header X-Api-Key bears the operator's or a user's key. Errors are {"error": "..."}, those of
Coinbase's paths {"message": "..."}.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
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
from crypto_platform.simulation.company.company import Company, UnknownOrderError, UnwrittenError
from crypto_platform.simulation.company.engine import RefusedError
from crypto_platform.simulation.company.floor import CompanyFloor
from crypto_platform.simulation.company.journal import AccountState
from crypto_platform.simulation.company.keys import (
    OPERATOR,
    KeyRing,
    parse_user_id,
    print_user_id,
)
from crypto_platform.simulation.company.orders_in import (
    UnreadableError,
    parse_drive,
    parse_order,
    parse_transfer,
)
from crypto_platform.simulation.company.products import PRODUCTS, Product
from crypto_platform.simulation.company.render import (
    parse_order_id,
    print_order_id,
    render_account,
    render_event,
    render_holdings,
    render_order,
    render_totals,
)
from crypto_platform.simulation.exchange import Exchange, refuse
from crypto_platform.simulation.fault_orders import FaultOrders, read_json
from crypto_platform.simulation.faults import FaultQueue

EVENTS_DEFAULT = 1000
EVENTS_MAX = 5000
USERS_PAGE_MAX = 10_000
HOLDINGS_PAGE_MAX = 5000
SEQUENCE_MAX = 2**62

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked of the company, and how it answers.

    Attributes:
        read: What is so.
        dress: What goes around it.
    """

    read: Callable[[], Data]
    dress: Callable[[Data], object] = field(default=lambda data: data)
    wants_key: bool = field(default=True, init=False)

    def look_up(self, now_ms: int) -> Data:
        del now_ms
        return self.read()

    def render(self, data: Data, now_ms: int) -> Response:
        del now_ms
        return Response(_encode(self.dress(data)), media_type="application/json")

    def refuse(self, status: int, text: str, now_ms: int) -> Response:
        del now_ms
        return answer_json({"error": text}, status)

    def find_price(self, data: Data, currency_id: str) -> Place | None:
        """The price of the first fill of a currency."""
        for item in data if isinstance(data, list) else ():
            event = cast("dict[str, Item | None]", item)
            order, fill = event.get("order"), event.get("fill")
            if order and fill:
                product = PRODUCTS[str(order["product_id"])]
                if product.currency.currency_id == currency_id:
                    return fill, "price"
        return None


class CompanyServer:
    """The company, its keys and its faults as HTTP endpoints."""

    def __init__(
        self,
        company: Company,
        keys: KeyRing,
        products: Sequence[Product],
        *,
        clock_ms: Callable[[], int],
        stopping: asyncio.Event,
    ) -> None:
        """Serve `company`.

        Args:
            company: Its loop runs in the same event loop as the server.
            keys: Who may ask.
            products: Those that trade.
            clock_ms: The time, ms since 1970 UTC.
            stopping: Set when the process ends: slow answers then stop waiting.
        """
        self._company = company
        self._keys = keys
        floor = CompanyFloor(company, products)
        self._products = floor.products
        faults = FaultQueue()
        self._answers = Answers(faults, clock_ms=clock_ms, stopping=stopping)
        self._exchange = Exchange(floor, self._answers, path="").list_routes()
        self._fault_orders = FaultOrders(
            faults,
            clock_ms=clock_ms,
            currency_ids={product.currency.currency_id for product in PRODUCTS.values()},
        )

    def build_app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/account-events", self.get_events),
                Route("/v1/accounts", self.get_users),
                Route("/v1/accounts/{user_id}", self.get_account),
                Route("/v1/wallets", self.get_wallets),
                Route("/v1/totals", self.get_totals),
                Route("/v1/keys/{user_id}", self.get_key),
                Route("/v1/orders", self.post_order, methods=["POST"]),
                Route("/v1/orders/{order_id}", self.delete_order, methods=["DELETE"]),
                Route("/v1/deposits", self.post_deposit, methods=["POST"]),
                Route("/v1/withdrawals", self.post_withdrawal, methods=["POST"]),
                Route("/v1/drive", self.get_drive),
                Route("/v1/drive", self.post_drive, methods=["POST"]),
                Route("/v1/drive", self.delete_drive, methods=["DELETE"]),
                Route("/healthz", self.get_health),
                *self._fault_orders.list_routes(),
                *self._exchange,
            ],
            exception_handlers={
                HTTPException: self._answer_error,
                UnwrittenError: self._answer_error,
            },
        )

    async def get_events(self, request: Request) -> Response:
        """Answer what happened after a sequence; 409 where the reader is ahead of all there is."""
        self._check_operator(request)
        query = request.query_params
        after = parse_whole_number(query.get("after", 0), "after", largest=SEQUENCE_MAX)
        limit = query.get("limit", EVENTS_DEFAULT)
        limit = parse_whole_number(limit, "limit", smallest=1, largest=EVENTS_MAX)
        last_sequence = self._company.engine.sequence
        if after > last_sequence:
            text = (
                f"after is {after}, but the newest event is {last_sequence}: what was read there "
                "is the history of another company"
            )
            return answer_json({"error": text, "last_sequence": last_sequence}, 409)

        def read() -> Data:
            events = self._company.journal.read_events(after=after, limit=limit)
            return [render_event(event) for event in events]

        def dress(data: Data) -> object:
            return {"events": data, "last_sequence": self._company.engine.sequence}

        return await self._answers.give(request, _Question(read=read, dress=dress))

    async def get_users(self, request: Request) -> Response:
        """List the users who ever did anything."""
        self._check_operator(request)
        query = request.query_params
        after = 0
        if query.get("after"):
            after = self._parse_user(query["after"])
        limit = query.get("limit", EVENTS_DEFAULT)
        limit = parse_whole_number(limit, "limit", smallest=1, largest=USERS_PAGE_MAX)

        def read() -> Data:
            users = self._company.journal.list_users(after=after, limit=limit)
            return {"users": [print_user_id(user) for user in users]}

        return await self._answers.give(request, _Question(read=read))

    async def get_account(self, request: Request) -> Response:
        """Answer one user's wallets and open orders, now or as of a sequence."""
        user = self._parse_user(request.path_params["user_id"])
        if self._find_holder(request) not in {OPERATOR, print_user_id(user)}:
            raise HTTPException(403, "this key is neither the operator's nor this user's")
        sequence = self._parse_sequence(request)
        if user not in self._company.engine.user_sequences:
            raise HTTPException(404, f"{print_user_id(user)} never did anything here")

        def read() -> Data:
            return render_account(user, self._read_account(user, sequence), sequence)

        return await self._answers.give(request, _Question(read=read))

    async def get_wallets(self, request: Request) -> Response:
        """Answer many users' wallets, now or as of a sequence, by user.

        `next_after` is what the next page is asked with, null at the end: a page is short, or has
        none, where users came later than the sequence.
        """
        self._check_operator(request)
        sequence = self._parse_sequence(request)
        query = request.query_params
        after = self._parse_user(query["after"]) if query.get("after") else 0
        limit = query.get("limit", EVENTS_DEFAULT)
        limit = parse_whole_number(limit, "limit", smallest=1, largest=HOLDINGS_PAGE_MAX)

        def read() -> Data:
            users = self._company.journal.list_users(after=after, limit=limit)
            found = [(user, self._read_account(user, sequence)) for user in users]
            return {
                "sequence": sequence,
                "users": [render_holdings(*each) for each in found if each[1].user_sequence],
                "next_after": print_user_id(users[-1]) if len(users) == limit else None,
            }

        return await self._answers.give(request, _Question(read=read))

    async def get_totals(self, request: Request) -> Response:
        """Answer the sums of all postings, now or as of a sequence."""
        self._check_operator(request)
        sequence = self._parse_sequence(request)

        def read() -> Data:
            totals = self._company.journal.read_totals(at_sequence=sequence)
            return render_totals(totals, sequence)

        return await self._answers.give(request, _Question(read=read))

    async def get_key(self, request: Request) -> Response:
        """Tell the operator a user's key."""
        self._check_operator(request)
        user_id = print_user_id(self._parse_user(request.path_params["user_id"]))
        return answer_json({"user_id": user_id, "key": self._keys.make_key(user_id)})

    async def post_order(self, request: Request) -> Response:
        """Take an order; a refused one is an event too, and answered with 200."""
        user = self._find_user(request)
        try:
            order = parse_order(await read_json(request), self._products)
        except UnreadableError as error:
            raise HTTPException(400, str(error)) from None
        return await self._make(lambda: render_order(self._company.place(user, order)))

    async def delete_order(self, request: Request) -> Response:
        """End an order."""
        user = self._find_user(request)
        number = parse_order_id(request.path_params["order_id"])
        if number is None or number > SEQUENCE_MAX:
            raise HTTPException(404, f"an order's id looks like {print_order_id(17)}")
        return await self._make(lambda: render_order(self._company.cancel(user, number)))

    async def post_deposit(self, request: Request) -> Response:
        """Take money from outside."""
        return await self._transfer(request, self._company.deposit)

    async def post_withdrawal(self, request: Request) -> Response:
        """Give money back."""
        return await self._transfer(request, self._company.withdraw)

    async def get_drive(self, request: Request) -> Response:
        """Say how long the drive goes on and what has come of it."""
        self._check_operator(request)
        left_s, counts = self._company.see_drive()
        return answer_json(
            {
                "is_on": left_s is not None,
                "left_s": round(left_s or 0.0, 3),
                "orders": counts.orders,
                "fills": counts.fills,
                "events": counts.events,
                "last_sequence": counts.last_sequence,
            }
        )

    async def post_drive(self, request: Request) -> Response:
        """Let users trade at another rate for a while."""
        self._check_operator(request)
        try:
            self._company.drive(parse_drive(await read_json(request)))
        except UnreadableError as error:
            raise HTTPException(400, str(error)) from None
        except RefusedError as error:
            raise HTTPException(409, str(error)) from None
        return await self.get_drive(request)

    async def delete_drive(self, request: Request) -> Response:
        """End a drive before its time."""
        self._check_operator(request)
        self._company.end_drive()
        return await self.get_drive(request)

    async def get_health(self, request: Request) -> Response:
        """Say that the company is open, and how far it is."""
        del request
        engine = self._company.engine
        return answer_json(
            {
                "status": "ok",
                "last_sequence": engine.sequence,
                "users": len(engine.user_sequences),
                "open_orders": len(engine.orders),
            }
        )

    async def _transfer(self, request: Request, move: Callable[[int, str, int], None]) -> Response:
        user = self._find_user(request)
        try:
            currency, amount = parse_transfer(await read_json(request))
        except UnreadableError as error:
            raise HTTPException(400, str(error)) from None

        def make() -> Item:
            move(user, currency, amount)
            sequence = self._company.engine.sequence
            return render_account(user, self._read_account(user, sequence), sequence)

        return await self._make(make, name="account")

    async def _make(self, command: Callable[[], Item], *, name: str = "order") -> Response:
        """Have a command made, and answer once it is durable."""

        def make() -> Item:
            # as it is right after it: later commands of the same turn change the order
            return {name: command(), "sequence": self._company.engine.sequence}

        try:
            return answer_json(await self._company.submit(make))
        except UnknownOrderError as error:
            raise HTTPException(404, str(error)) from None
        except RefusedError as error:
            raise HTTPException(409, str(error)) from None

    def _read_account(self, user: int, sequence: int) -> AccountState:
        engine, journal = self._company.engine, self._company.journal
        if sequence < journal.find_last(user):
            return journal.read_account(user, at_sequence=sequence)
        return AccountState(
            engine.user_sequences[user],
            engine.ledger.wallets.get(user, {}),
            engine.orders_of_user.get(user, {}),
        )

    def _find_holder(self, request: Request) -> str:
        holder = self._keys.find_holder(request.headers.get("x-api-key", ""))
        if holder is None:
            raise HTTPException(401, "no valid key: expected the header X-Api-Key")
        return holder

    def _check_operator(self, request: Request) -> None:
        if self._find_holder(request) != OPERATOR:
            raise HTTPException(403, "this needs the operator's key")

    def _find_user(self, request: Request) -> int:
        user = parse_user_id(self._find_holder(request))
        if user is None:
            raise HTTPException(403, "this needs a user's own key; GET /v1/keys/{user} tells it")
        return user

    def _parse_user(self, text: str) -> int:
        user = parse_user_id(text)
        if user is None:
            raise HTTPException(404, f"a user's id looks like u000042, found {text:.60}")
        return user

    def _parse_sequence(self, request: Request) -> int:
        last = self._company.engine.sequence
        text = request.query_params.get("at_sequence", last)
        return parse_whole_number(text, "at_sequence", largest=last)

    async def _answer_error(self, request: Request, error: Exception) -> Response:
        if isinstance(error, UnwrittenError):
            error = HTTPException(503, str(error))
        if not isinstance(error, HTTPException):
            raise error
        if request.url.path.startswith(("/products", "/currencies", "/time")):
            return refuse(error.status_code, error.detail)
        return answer_json({"error": error.detail}, error.status_code)

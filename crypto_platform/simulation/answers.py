"""How an answer leaves: as asked, or with the fault that is due.

Here: taking a fault from the queue, how each looks on the wire, the page given last time, slow
answers. Not here: what is answered and in whose words (server.py: CoinCap's; exchange.py:
Coinbase's), which fault is due (faults.py).
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from crypto_platform.simulation.faults import Fault, FaultKind, FaultQueue

PAGES_REMEMBERED_MAX = 512

Item = dict[str, object]
"""A JSON object, field by field."""
Row = list[object]
"""A JSON list of different things, such as a candle."""
Data = list[Item] | list[Row] | Item
"""What was asked for: a page, or one thing."""
Place = tuple[Item, str] | tuple[Row, int]
"""Where a value stands: in which object or row, under which name or number."""

_ERROR_TEXTS = {
    FaultKind.TOO_MANY_REQUESTS: (429, "too many requests"),
    FaultKind.SERVER_ERROR: (500, "internal server error"),
    FaultKind.BAD_GATEWAY: (502, "bad gateway"),
    FaultKind.UNAVAILABLE: (503, "service unavailable"),
    FaultKind.GATEWAY_TIMEOUT: (504, "gateway timeout"),
    FaultKind.WRONG_KEY: (403, "invalid api key"),
}
_HTML_PAGE = "<!DOCTYPE html><html><body><h1>We'll be right back</h1></body></html>"


class Question(Protocol):
    """One request, understood, and the words in which its API answers."""

    @property
    def wants_key(self) -> bool:
        """Whether the API asks for a key."""
        ...

    def look_up(self, now_ms: int, /) -> Data:
        """What is so at a time, ms since 1970 UTC; the caller may change it."""
        ...

    def render(self, data: Data, now_ms: int) -> Response:
        """The answer that says so."""
        ...

    def refuse(self, status: int, text: str, now_ms: int) -> Response:
        """The API's answer for an error."""
        ...

    def find_price(self, data: Data, currency_id: str) -> Place | None:
        """Where a currency's price stands, the first if there are several."""
        ...


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


class Answers:
    """Gives the answers, right or wrong, and counts them."""

    def __init__(
        self, faults: FaultQueue, *, clock_ms: Callable[[], int], stopping: asyncio.Event
    ) -> None:
        """Spoil answers by `faults`.

        Args:
            faults: Those ordered.
            clock_ms: The time, ms since 1970 UTC.
            stopping: Set when the process ends: slow answers then stop waiting.
        """
        self.count = 0
        self._faults = faults
        self._clock_ms = clock_ms
        self._stopping = stopping
        self._answered_ms: dict[str, int] = {}

    async def give(self, request: Request, question: Question) -> Response:
        """Give the answer that is due: the data, or the fault that waits for it."""
        asked = f"{request.url.path}?{request.url.query}"
        now_ms = self._clock_ms()
        data = question.look_up(now_ms)

        def fits(fault: Fault) -> bool:
            return request.url.path.startswith(fault.path) and _fits(fault, question, data)

        fault = self._faults.take(now_ms=now_ms, fits=fits)
        self.count += 1
        if fault is None:
            self._remember(asked, now_ms)
            return question.render(data, now_ms)
        if fault.kind in _ERROR_TEXTS:
            return self._refuse(fault, question)
        if fault.kind is FaultKind.HTML:
            return HTMLResponse(_HTML_PAGE)
        if fault.kind is FaultKind.SLOW:
            await self._wait(fault.delay_s)
            now_ms = self._clock_ms()
            data = question.look_up(now_ms)
        elif fault.kind is FaultKind.REPEATED:
            now_ms = self._answered_ms.get(asked, now_ms)
            data = question.look_up(now_ms)
            self._remember(asked, now_ms)
        elif fault.kind is FaultKind.EMPTY:
            data = []
        elif fault.kind is FaultKind.NAN:
            _spoil_price(question, data, fault.currency_id)
        response = question.render(data, now_ms)
        if fault.kind is FaultKind.TRUNCATED:
            return _CutShortResponse(bytes(response.body), headers=response.headers)
        return response

    def _refuse(self, fault: Fault, question: Question) -> Response:
        status, text = _ERROR_TEXTS[fault.kind]
        response = question.refuse(status, text, self._clock_ms())
        if fault.kind is FaultKind.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(fault.retry_after_s)
        return response

    def _remember(self, asked: str, answered_ms: int) -> None:
        """Keep when a page was last given; a repeated page is the page of that time again."""
        self._answered_ms[asked] = answered_ms
        if len(self._answered_ms) > PAGES_REMEMBERED_MAX:
            del self._answered_ms[next(iter(self._answered_ms))]

    async def _wait(self, delay_s: float) -> None:
        with contextlib.suppress(TimeoutError):  # the delay is over, as ordered
            await asyncio.wait_for(self._stopping.wait(), timeout=delay_s)


def answer_json(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Write an answer as JSON without blanks."""
    body = json.dumps(content, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")


def parse_whole_number(text: str | int, name: str, *, smallest: int = 0, largest: int) -> int:
    """Read a parameter.

    Raises:
        HTTPException: 400. It is none, or out of bounds.
    """
    try:
        number = int(text)
    except ValueError:
        number = smallest - 1
    if not smallest <= number <= largest:
        bounds = f"up to {largest}" if smallest == 0 else f"from {smallest} to {largest}"
        raise HTTPException(400, f"{name} must be a whole number {bounds}, found {text}")
    return number


def _fits(fault: Fault, question: Question, data: Data) -> bool:
    """Tell whether a fault makes sense for this answer; otherwise it waits for the next."""
    if fault.kind is FaultKind.EMPTY:
        return isinstance(data, list)
    if fault.kind is FaultKind.WRONG_KEY:
        return question.wants_key
    if fault.kind is FaultKind.NAN:
        return question.find_price(data, fault.currency_id) is not None
    return True


def _spoil_price(question: Question, data: Data, currency_id: str) -> None:
    match question.find_price(data, currency_id):
        case (dict() as item, str() as name):
            item[name] = "NaN"
        case (list() as row, int() as number):
            row[number] = "NaN"
        case _:
            pass

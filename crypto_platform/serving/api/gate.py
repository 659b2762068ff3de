"""What every request passes: who asks, how often, how much he sends, how long it took.

Here: one ASGI middleware, so that a stream passes as it comes. Not here: what is answered.
"""

import time
from http import HTTPStatus
from math import ceil

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_platform.serving.api.identity import find_token
from crypto_platform.serving.api.problems import build_problem
from crypto_platform.serving.api.services import Services

UNLIMITED = frozenset({"/health"})
"""Asked by who must know at any time whether the process lives."""


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
            await send(message)

        try:
            await self._pass(scope, receive, send_watched)
        finally:
            self._services.metrics.watch(scope, status, time.perf_counter() - begun)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        services = self._services
        token = find_token(request)
        asker = None if token is None else services.tokens.read(token)
        scope.setdefault("state", {})["asker"] = asker
        client = "" if request.client is None else request.client.host
        name = f"client {client}" if asker is None else f"user {asker.user_id}"
        wait_s = 0.0 if scope["path"] in UNLIMITED else services.requests.take(name)
        if wait_s:
            refusal = build_problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many requests: at most {services.settings.api.requests_per_s:g} a second",
                headers={"Retry-After": str(ceil(wait_s))},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, _limit(receive, services.settings.api.body_bytes_max), send)


def _limit(receive: Receive, bytes_max: int) -> Receive:
    """The same body, refused where it grows too long."""
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > bytes_max:
            detail = f"a body of more than {bytes_max:,} bytes is of no use here"
            # the one exception that whoever reads the body lets pass
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        return message

    return receive_limited

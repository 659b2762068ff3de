"""Ordering faults over HTTP: what the simulated servers share of it.

    GET, POST, DELETE /simulation/faults                 for tests; needs no key, is never faulty

Here: the endpoints, reading a small JSON body. Not here: what may be ordered (faults.py), how a
fault looks on the wire (answers.py).
"""

import json
from collections.abc import Callable, Collection

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_platform.simulation.answers import answer_json
from crypto_platform.simulation.faults import FaultQueue, FaultRefusedError, parse_fault

FAULTS_PATH = "/simulation/faults"
ORDER_BYTES_MAX = 10_000


class FaultOrders:
    """The faults of one server as HTTP endpoints."""

    def __init__(
        self, faults: FaultQueue, *, clock_ms: Callable[[], int], currency_ids: Collection[str]
    ) -> None:
        """Take orders for `faults`; currencies are those whose prices one can spoil."""
        self._faults = faults
        self._clock_ms = clock_ms
        self._currency_ids = currency_ids

    def list_routes(self) -> list[Route]:
        """The endpoints."""
        return [
            Route(FAULTS_PATH, self.get_faults),
            Route(FAULTS_PATH, self.post_fault, methods=["POST"]),
            Route(FAULTS_PATH, self.delete_faults, methods=["DELETE"]),
        ]

    async def get_faults(self, request: Request) -> Response:
        """List the faults still to come and how often each kind was applied."""
        del request
        waiting = self._faults.list_waiting(now_ms=self._clock_ms())
        return answer_json(
            {
                "faults": [fault.describe() for fault in waiting],
                "applied": dict(self._faults.applied_count),
            }
        )

    async def post_fault(self, request: Request) -> Response:
        """Order a fault; 400 says what is allowed."""
        order = await read_json(request)
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


async def read_json(request: Request) -> object:
    """The JSON of a small body.

    Raises:
        HTTPException: 413 longer than ORDER_BYTES_MAX, 400 no JSON.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > ORDER_BYTES_MAX:
            raise HTTPException(413, f"an order has at most {ORDER_BYTES_MAX} bytes")
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"not a JSON object: {error}") from None

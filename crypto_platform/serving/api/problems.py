"""Refusals as `application/problem+json` (RFC 9457): one form for every error there is.

Here: which status an error has, and what its asker is told. What went wrong inside of us is logged,
never told. Not here: who refuses.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from crypto_platform.errors import PlatformError, StoreUnavailableError
from crypto_platform.serving.api.cursors import CursorError
from crypto_platform.serving.market import UnknownMarketError
from crypto_platform.serving.reader import UnknownCurrencyError

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

_log = logging.getLogger(__name__)


class ApiError(PlatformError):
    """A request that is refused; the text is for who asked."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def build_problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Response:
    """An answer that refuses.

    Args:
        detail: For a person; what to do next.
        errors: What is wrong with which parameter.
    """
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        document["errors"] = errors
    return Response(
        msgspec.json.encode(document),
        status_code=status,
        media_type=PROBLEM_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def handle_problems(app: FastAPI) -> None:
    """Give every error of an app this form."""
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(CursorError, _refuse_cursor)
    app.add_exception_handler(PlatformError, _explain)
    app.add_exception_handler(RequestValidationError, _refuse_parameters)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.add_exception_handler(Exception, _hide)


async def _refuse(request: Request, error: Exception) -> Response:
    _ = request
    assert isinstance(error, ApiError)
    return build_problem(error.status, str(error), headers=error.headers)


async def _refuse_cursor(request: Request, error: Exception) -> Response:
    _ = request
    wrong = {"in": "query", "name": "cursor", "problem": str(error)}
    return build_problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"cursor: {error}", errors=[wrong])


async def _explain(request: Request, error: Exception) -> Response:
    """What reading says: nothing of that name, nobody answers; anything else is ours."""
    if isinstance(error, UnknownMarketError | UnknownCurrencyError):
        return build_problem(HTTPStatus.NOT_FOUND, str(error))
    if isinstance(error, StoreUnavailableError):
        _log.warning("%s: %s", request.url.path, error)
        return build_problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "no store answers; try again",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return await _hide(request, error)


async def _refuse_parameters(request: Request, error: Exception) -> Response:
    _ = request
    assert isinstance(error, RequestValidationError)
    errors = [
        {
            "in": str(problem["loc"][0]),
            "name": ".".join(map(str, problem["loc"][1:])),
            "problem": str(problem["msg"]).removeprefix("Value error, "),
        }
        for problem in error.errors()
    ]
    first = errors[0]
    detail = f"{first['name'] or first['in']}: {first['problem']}"
    return build_problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        HTTPStatus.NOT_FOUND: f"nothing is at {request.url.path}; /docs lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not for {request.url.path}",
    }
    detail = details.get(HTTPStatus(error.status_code), str(error.detail))
    return build_problem(error.status_code, detail, headers=error.headers)


async def _hide(request: Request, error: Exception) -> Response:
    """The log has it (the server writes what nobody handled); an asker learns nothing of it."""
    _ = (request, error)
    return build_problem(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed here; the log says why")

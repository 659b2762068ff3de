"""Who asks: the user of a token, from the Bearer header or from the session cookie of the pages.

Here: finding and demanding him, beginning and ending a session. Not here: what a token is
(tokens.py), keys (log_in.py), reading the token of each request (gate.py).
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared
from crypto_platform.serving.api.tokens import Asker, Issued

SESSION_COOKIE = "session"
_BEARER = "bearer "


def find_token(request: Request) -> str | None:
    """The token of a request; a Bearer header goes before the cookie, even a wrong one.

    A browser that has logged in as the operator (operator.py) sends that with everything.
    """
    header = request.headers.get("Authorization", "")
    if header[: len(_BEARER)].lower() == _BEARER:
        return header[len(_BEARER) :].strip()
    return request.cookies.get(SESSION_COOKIE)


def find_asker(request: Request) -> Asker | None:
    """Who asks, as the gate has found; None where nobody is logged in."""
    asker: Asker | None = getattr(request.state, "asker", None)
    return asker


async def _find_at_once(request: Request) -> Asker | None:
    """The same without a thread, which a plain function would be given."""
    return find_asker(request)


MaybeAsker = Annotated[Asker | None, Depends(_find_at_once)]
"""For what anybody may ask, and a user gets more of."""


_BEARER_FOR_DOCS = HTTPBearer(auto_error=False, description="Of POST /v1/tokens.")


def require_asker(
    asker: MaybeAsker, services: Shared, _: Annotated[object, Security(_BEARER_FOR_DOCS)]
) -> Asker:
    """Who asks.

    Raises:
        ApiError: 401: nobody, or by a key that was revoked.
        StoreUnavailableError: No store can tell whether it was.
    """
    if asker is None or not services.log_ins.holds(asker):
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "log in: POST /v1/tokens with user and key gives a token, to be sent as "
            "`Authorization: Bearer TOKEN`",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return asker


OwnAsker = Annotated[Asker, Depends(require_asker)]
"""For what is one user's own."""


def begin_session(request: Request, response: Response, issued: Issued, *, valid_s: float) -> None:
    """Give the browser its token, out of reach of scripts and of other sites."""
    response.set_cookie(
        SESSION_COOKIE,
        issued.token,
        max_age=int(valid_s),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def end_session(response: Response) -> None:
    """Take it back."""
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")

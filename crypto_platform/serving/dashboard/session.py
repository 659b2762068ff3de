"""Logging in and out by a form: the one place where a page changes something.

Here: the form, and what makes sure that it is ours. The session's cookie is SameSite=Strict, so no
other site can use it; the form is refused where its `Origin` is not our own, so no other site can
log a reader in as somebody else either. Not here: keys and how often one may try (api/log_in.py).

Source: OWASP Cross-Site Request Forgery Prevention, "Verifying Origin With Standard Headers".
"""

from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from crypto_platform.errors import StoreUnavailableError
from crypto_platform.serving.api.identity import begin_session, end_session
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared
from crypto_platform.serving.dashboard.frame import show

FIRST_PAGE = "/portfolio"
NOT_OURS = "This form did not come from here. Open the page again, and log in there."

router = APIRouter(include_in_schema=False)


@router.get("/login")
def show_form(request: Request, next: str = FIRST_PAGE) -> Response:  # noqa: A002 - its name in links
    """Who are you?"""
    return _show(request, next_path=next)


@router.post("/login")
async def log_in(request: Request, services: Shared) -> Response:
    """A session for a key, and on to where one wanted to go."""
    if not is_ours(request):
        return _show(request, problem=NOT_OURS, status=HTTPStatus.FORBIDDEN)
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    user, next_path = form.get("user", ""), form.get("next", FIRST_PAGE)
    try:
        issued = await run_in_threadpool(
            services.log_ins.log_in, request, user, form.get("key", "")
        )
    except ApiError as error:
        retry_after = error.headers.get("Retry-After")
        when = f"; try again in {retry_after} s" if retry_after else ""
        problem = f"{error}{when}"
        return _show(
            request, problem=problem, given_user=user, next_path=next_path, status=error.status
        )
    except StoreUnavailableError:
        problem = "No store answers, so nobody can log in: try again in a moment."
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return _show(request, problem=problem, given_user=user, next_path=next_path, status=status)
    response = RedirectResponse(find_own_path(next_path), HTTPStatus.SEE_OTHER)
    begin_session(request, response, issued, valid_s=services.settings.api.token_s)
    return response


@router.post("/logout")
def log_out(request: Request) -> Response:
    """The end of the session in this browser."""
    if not is_ours(request):
        return _show(request, problem=NOT_OURS, status=HTTPStatus.FORBIDDEN)
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    end_session(response)
    return response


def is_ours(request: Request) -> bool:
    """Whether a form was sent by a page of ours; a browser says so with every form it sends."""
    try:
        origin = urlsplit(request.headers.get("Origin", ""))
    except ValueError:
        return False
    return origin.netloc != "" and origin.netloc == request.headers.get("Host")


def find_own_path(path: str) -> str:
    """A path of ours, whatever a link says: nobody is sent elsewhere by our log-in."""
    try:
        parts = urlsplit(path.replace("\\", "/"))
    except ValueError:
        return FIRST_PAGE
    is_own = path.startswith("/") and not (parts.scheme or parts.netloc)
    return path if is_own and path.isprintable() else FIRST_PAGE


def _show(
    request: Request,
    *,
    next_path: str = FIRST_PAGE,
    problem: str = "",
    given_user: str = "",
    status: int = HTTPStatus.OK,
) -> Response:
    return show(
        request,
        "login.html",
        status=status,
        next=find_own_path(next_path),
        problem=problem,
        given_user=given_user,
    )

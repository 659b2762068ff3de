"""What is round every page: where one is, who one is, what else there is.

Here: the navigation, made of what the API offers. Not here: the templates' environment (render.py).
"""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response

from crypto_platform.serving.api.tokens import Asker
from crypto_platform.serving.dashboard.render import render

PAGES = (
    ("/", "Markets", "/v1/quotes"),
    ("/portfolio", "Portfolio", "/v1/me/portfolio"),
    ("/operations", "Operations", "/health"),
)
"""Path, name, and the path of the API without which there is no such page."""


def show(
    request: Request,
    template: str,
    *,
    status: int = HTTPStatus.OK,
    **values: Any,  # noqa: ANN401 - what the template shows
) -> Response:
    """A page with its frame."""
    # as the gate has found
    asker: Asker | None = getattr(request.state, "asker", None)
    offered = find_offered(request)
    frame = {
        "pages": [(path, name) for path, name, needed in PAGES if needed in offered],
        "offered": offered,
        "here": request.url.path,
        "user": None if asker is None else asker.user_id,
    }
    return render(template, status=status, **frame, **values)


def find_offered(request: Request) -> Collection[str]:
    """The API's paths: what it does not offer, no page shows."""
    app: FastAPI = request.app
    return app.openapi()["paths"]

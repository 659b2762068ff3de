"""Templates and static files, and what a browser may load with a page.

Here: the environment of the templates, the headers of every page, the address of the static files,
which names their content and so may be kept for good. Not here: what a page shows (pages.py).

Source: Content-Security-Policy Level 3, https://www.w3.org/TR/CSP3/.
"""

import hashlib
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from crypto_platform.domain.hours import from_time_us
from crypto_platform.domain.readable import (
    format_age,
    format_bytes,
    format_change,
    format_count,
    format_money,
    format_price,
)

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

HEADERS: Mapping[str, str] = {
    # no script and no style in the page itself, nothing from elsewhere
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class KeptFiles(StaticFiles):
    """Files whose address changes with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, to be kept for good."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(STATIC)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


STATIC_URL = f"/static/{_digest()}"


def _age(time_us: int | None) -> str:
    """Of a time in microseconds."""
    if time_us is None:
        return format_age(None)
    return format_age(max(time.time_ns() // 1000 - time_us, 0) / 1e6)


def _digits(decimal: Decimal | None) -> str | None:
    """Every digit of it."""
    return None if decimal is None else f"{decimal:f}"


def _instant(time_us: int) -> str:
    """RFC 3339, as <time> wants it: to the millisecond."""
    return from_time_us(time_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _build_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # jinja2 does not say what these hold
    cast("dict[str, object]", environment.globals)["static"] = STATIC_URL
    cast("dict[str, object]", environment.filters).update(
        age=_age,
        digits=_digits,
        seconds=format_age,
        instant=_instant,
        price=format_price,
        money=format_money,
        change=format_change,
        count=format_count,
        bytes=format_bytes,
    )
    return environment


_ENVIRONMENT = _build_environment()


def render(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401
    """A page, with the headers that every page has."""
    text = _ENVIRONMENT.get_template(template).render(values)
    return HTMLResponse(text, status_code=status, headers=dict(HEADERS))

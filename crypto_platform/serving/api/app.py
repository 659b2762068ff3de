"""The application: where endpoints, refusals, limits and pages meet.

Here: `create_app`. Not here: any of them; the process (__main__.py).
"""

import contextlib
from collections.abc import AsyncGenerator

import anyio.to_thread
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from crypto_platform.serving.api import (
    account,
    figures,
    live,
    market,
    operations,
    reference,
    reports,
)
from crypto_platform.serving.api.gate import Gate
from crypto_platform.serving.api.problems import handle_problems
from crypto_platform.serving.api.services import build_services
from crypto_platform.serving.dashboard.pages import add_dashboard
from crypto_platform.serving.failover import Reads
from crypto_platform.settings import Settings

VERSION = "1"
THREADS_MAX = 16
"""Questions at a time; each has a connection of its own."""
GZIP_BYTES_MIN = 1024

_DESCRIPTION = """Crypto market data and one's own account, from whichever store answers.

Amounts are text with all their digits. Times are RFC 3339, UTC. Lists are newest first; `next` is
the `cursor` of the page of older ones. `X-Data-Source` says which store answered, `X-Data-Stale`
whether it may be behind. A refusal is `application/problem+json`."""


def create_app(settings: Settings, *, reads: Reads | None = None, is_local: bool = True) -> FastAPI:
    """The whole API; connections are made when it is first asked, and given back at its end.

    Args:
        settings: With addresses of stores, and a secret to sign with.
        reads: Stands in for the stores in tests.
        is_local: It listens on an address of this machine only.

    Raises:
        ConfigurationError: A setting is missing.
    """
    services = build_services(settings, reads or Reads(settings, role="api"), is_local=is_local)

    @contextlib.asynccontextmanager
    async def living(_: FastAPI) -> AsyncGenerator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS_MAX
        with contextlib.closing(services.reads), contextlib.closing(services.monitor):
            yield

    app = FastAPI(
        title="crypto_platform",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=living,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    handle_problems(app)
    # the last one added is the first that a request meets
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN, compresslevel=5)
    app.add_middleware(Gate, services=services)
    app.include_router(market.router)
    app.include_router(figures.router)
    app.include_router(reports.router)
    app.include_router(account.router)
    app.include_router(live.router)
    app.include_router(operations.router)
    app.include_router(reference.router)
    add_dashboard(app, services)
    return app

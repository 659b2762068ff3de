"""The pages: which address shows what, to whom.

Here: questions to what the API shares (api/services.py) and a template each; an error is a page,
too. What is one user's own is asked for by his browser, at the API, so that there is one way to it.
Not here: HTML (templates/), the frame (frame.py), logging in (session.py).
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse

from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.errors import StoreUnavailableError
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.quotes import Quote
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.api.identity import MaybeAsker
from crypto_platform.serving.api.operator import require_operator
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Services, Shared
from crypto_platform.serving.dashboard import session
from crypto_platform.serving.dashboard.frame import show
from crypto_platform.serving.dashboard.overview import build_rows
from crypto_platform.serving.dashboard.render import STATIC, STATIC_URL, KeptFiles
from crypto_platform.serving.market import Place, UnknownMarketError, find_market
from crypto_platform.serving.overview import Overview
from crypto_platform.serving.probe import Probe
from crypto_platform.serving.reports import TAX_CURRENCY, TAX_TIME_ZONE

STORE_NAMES: Mapping[str, str] = {"postgres": "PostgreSQL", "mongo": "MongoDB"}

GLANCE_WITHIN_S = 0.5
"""A page does not wait longer for its lines; they are there when it is opened again."""
FIRST_ROWS = 25
"""Currencies until one asks for all, so that the markets are not screens away; dashboard.css."""
STATUS_YOUNG_S = 4.0
INDICATORS: Mapping[str, str] = {
    "sma:20": "SMA 20",
    "ema:50": "EMA 50",
    "bbands:20:2": "Bollinger",
    "vwap": "VWAP",
    "rsi:14": "RSI 14",
    "macd:12:26:9": "MACD",
}
"""What a chart offers, by the names of the API."""
TAX_FORMATS = ("csv", "json", "pdf")
TAX_CURRENCIES = ("EUR", "USD")
STALE_POLLS = 3
"""A price is old when so many polls should have brought a newer one."""
STALE_S_MIN = 15.0


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """What pages share beside the API's services.

    Attributes:
        glance: All markets; a page does not wait for it as long as it takes.
    """

    glance: Probe[Overview]


async def find_dashboard(request: Request) -> Dashboard:
    """The process's."""
    dashboard: Dashboard = request.app.state.dashboard
    return dashboard


Pages = Annotated[Dashboard, Depends(find_dashboard)]


class PageRoute(APIRoute):
    """A route whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request, or the page that says why nothing does."""
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            headers: Mapping[str, str] = {}
            try:
                return await handle(request)
            except ApiError as error:
                status, title, problem = error.status, error.status.phrase, str(error)
                headers = error.headers
            except UnknownMarketError as error:
                status, title, problem = HTTPStatus.NOT_FOUND, "No such market", str(error)
            except StoreUnavailableError:
                status, title = HTTPStatus.SERVICE_UNAVAILABLE, "No store answers"
                problem = (
                    "Neither PostgreSQL nor MongoDB answers. Operations says what is known; "
                    "load this page again in a moment."
                )
            page = show(request, "error.html", status=status, title=title, problem=problem)
            page.headers.update(headers)
            return page

        return handle_page


router = APIRouter(route_class=PageRoute, include_in_schema=False)


def add_dashboard(app: FastAPI, services: Services) -> None:
    """Give the API's application its pages and their files."""
    app.state.dashboard = Dashboard(glance=Probe(services.overview.get))
    app.mount(STATIC_URL, KeptFiles(directory=STATIC))
    app.include_router(router)
    app.include_router(session.router)


@router.get("/")
def show_overview(request: Request, services: Shared, pages: Pages) -> Response:
    """What everything costs, and every market."""
    pages.glance.ask()
    quotes = services.quotes.get()
    catalogue = services.catalogue.get()
    markets = [market for market, _ in catalogue.list_all()]
    answered = pages.glance.answer(within_s=GLANCE_WITHIN_S)
    glance = answered.value
    summaries = {
        (row.market.venue, row.market.venue_symbol): row.summary
        for row in (() if glance is None else glance.rows)
    }
    rows = build_rows(
        quotes.value, markets, summaries, codes=services.codes, simulated=services.simulated
    )
    return show(
        request,
        "overview.html",
        source=quotes.source,
        rows=rows,
        markets={
            venue: [market for market in markets if market.venue == venue]
            for venue in sorted({market.venue for market in markets})
        },
        summaries=summaries,
        has_glance=glance is not None,
        glance_problem=answered.problem,
        first_rows=FIRST_ROWS,
        simulated=services.simulated,
        stale_s={row.quote.source: _find_stale_s(services, row.quote) for row in rows},
    )


def _find_stale_s(services: Services, quoted: Quote) -> float:
    source = services.settings.sources.get(quoted.source)
    pace_s = 60.0 if source is None else source.paces_s.get("quotes", source.pace_s)
    return max(STALE_POLLS * pace_s, STALE_S_MIN)


@router.get("/markets/{venue}/{symbol:path}")
def show_market(request: Request, services: Shared, venue: str, symbol: str) -> Response:
    """One market; its figures come from the API, and go on coming."""
    catalogue = services.catalogue.get()
    markets = catalogue.list_all()
    market = find_market([each for each, _ in markets], Place(venue, symbol), what="markets")
    feeds = dict(markets)[market]
    return show(
        request,
        "market.html",
        market=market,
        source=catalogue.source,
        is_simulated=market.venue in services.simulated,
        intervals=_list_intervals(services, market.venue, feeds),
        indicators=INDICATORS if {TRADES.name, CANDLES.name} & set(feeds) else {},
        has_trades=TRADES.name in feeds,
        has_book=ORDER_BOOKS.name in feeds,
    )


def _list_intervals(services: Services, venue: str, feeds: Sequence[str]) -> dict[str, MadeOf]:
    """Lengths of candles and what they are made of: the venue's own go before those of trades."""
    source = services.settings.sources.get(venue)
    own = ("1m",) if source is None else source.intervals
    found: dict[str, MadeOf] = {}
    for interval in Interval:
        if CANDLES.name in feeds and interval in own:
            found[interval.value] = MadeOf.VENUE
        elif TRADES.name in feeds:
            found[interval.value] = MadeOf.TRADES
    return found


@router.get("/operations", dependencies=[Depends(require_operator)])
def show_operations(request: Request, services: Shared) -> Response:
    """What runs, what lags, what needs a person; the page reads itself again every few seconds."""
    services.audits.ask()
    known = services.monitor.read(young_s=STATUS_YOUNG_S)
    return show(
        request,
        "operations.html",
        known=known,
        audits=services.audits.read(),
        loads={(load.store, load.feed): load for load in known.loads},
        names=STORE_NAMES,
    )


@router.get("/portfolio")
def show_portfolio(request: Request, asker: MaybeAsker) -> Response:
    """One's own: the frame; its content is the browser's own question to the API."""
    if asker is None:
        return RedirectResponse("/login?next=/portfolio", HTTPStatus.SEE_OTHER)
    return show(
        request,
        "portfolio.html",
        year=datetime.now(UTC).year,
        methods={method.value: method.value.replace("_", " ") for method in BookingMethod},
        formats=TAX_FORMATS,
        currencies=TAX_CURRENCIES,
        currency=TAX_CURRENCY,
        time_zone=TAX_TIME_ZONE,
    )

"""What is made of the market: indicators, volatility, what a book is worth, all at a glance.

Here: parameters -> one question -> rows. Not here: arithmetic (domain/), which candles are read
(serving/analytics.py, indicators.py, movements.py, overview.py), what books say (book_metrics.py).
"""

import time
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as In
from pydantic import AfterValidator, Field

from crypto_platform.domain.indicator_catalogue import IndicatorError, parse_indicators
from crypto_platform.domain.money import explain_amount
from crypto_platform.feeds.candles import Interval
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.api import documents
from crypto_platform.serving.api.answers import build_answer
from crypto_platform.serving.api.catalogue import Catalogue
from crypto_platform.serving.api.market import BookQuery, read_book
from crypto_platform.serving.api.parameters import (
    LIMIT_MAX,
    NoQuery,
    PlaceQuery,
    SpanQuery,
)
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared
from crypto_platform.serving.book_metrics import build_metrics, build_orders, measure_stored
from crypto_platform.serving.indicators import (
    FoundBars,
    build_indicators,
    feed_of,
    find_bars,
    open_bars,
    reckon,
)
from crypto_platform.serving.market import UnknownMarketError
from crypto_platform.serving.movements import (
    HOURS_MAX,
    build_correlations,
    build_volatility,
    read_correlations,
    read_volatility,
)
from crypto_platform.serving.overview import build_overview
from crypto_platform.serving.sheets import build_rows, print_time
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market

NAMES_LENGTH_MAX = 500
SIZES_MAX = 10
CORRELATED_HOURS_MAX = 24
"""With 20 markets 0.3 s of a core; a week, as the command gives it, is 2 s."""

router = APIRouter(prefix="/v1", tags=["market"])


@router.get("/overview", summary="All markets at a glance", responses=documents.OVERVIEW)
def show_overview(services: Shared, request: Request, _: NoQuery) -> Response:
    """The largest volume of 24 hours first; at most five seconds old."""
    overview = services.overview.get()
    document = {
        "as_of": print_time(overview.as_of_us),
        "markets": build_rows(build_overview(overview)),
    }
    return build_answer(request, document, [overview.source])


def _refuse_no_size(text: str) -> str:
    problem = explain_amount(text, above_zero=True)
    if problem is not None:
        message = f"no quantity, as 0.5 is one: {problem}"
        raise ValueError(message)
    return text


class DepthQuery(BookQuery):
    """Of which book, and what orders would get."""

    size: list[Annotated[str, AfterValidator(_refuse_no_size)]] = Field(
        default=[],
        max_length=SIZES_MAX,
        description="So much of the base, bought and sold at once; again for another.",
        examples=[["0.5"]],
    )


@router.get(
    "/depth", summary="What the last order book of a market is worth", responses=documents.DEPTH
)
def show_depth(services: Shared, request: Request, query: Annotated[DepthQuery, In()]) -> Response:
    """Spread, depth, imbalance, slippage; 404 where no book is stored of that time."""
    market, book, source = read_book(services, query)
    measured = measure_stored(source, market, book, [Decimal(size) for size in query.size])
    [row] = build_rows(build_metrics(measured))
    return build_answer(request, {**row, "orders": build_rows(build_orders(measured))}, [source])


class HoursQuery(PlaceQuery):
    """Of which market, and how many hours of it."""

    limit: int = Field(
        1, ge=1, le=HOURS_MAX, description="The newest so many full hours.", examples=[24]
    )


@router.get(
    "/volatility", summary="How much a market moves, newest first", responses=documents.VOLATILITY
)
def list_volatility(
    services: Shared, request: Request, query: Annotated[HoursQuery, In()]
) -> Response:
    """Realised, of the 24 hours before each full hour; null where too little was traded."""
    answer = read_volatility(services.reads, services.settings, query.place, hours=query.limit)
    document = {
        **answer.market._asdict(),
        "made_of": f"{answer.made_of}",
        "volatility": build_rows(build_volatility(answer))[::-1],
    }
    return build_answer(request, document, [answer.source])


class CorrelationsQuery(PlaceQuery):
    """Of which market, and how many hours of it; each other market of the venue is beside it."""

    limit: int = Field(
        1, ge=1, le=CORRELATED_HOURS_MAX, description="The newest full hours.", examples=[24]
    )


@router.get(
    "/correlations",
    summary="Which markets of a venue move with one, newest first",
    responses=documents.CORRELATIONS,
)
def list_correlations(
    services: Shared, request: Request, query: Annotated[CorrelationsQuery, In()]
) -> Response:
    """Of five-minute returns of the 24 hours before each full hour; null of too few pairs."""
    answer = read_correlations(services.reads, services.settings, query.place, hours=query.limit)
    document = {
        **answer.market._asdict(),
        "made_of": f"{answer.made_of}",
        "correlations": build_rows(build_correlations(answer))[::-1],
    }
    return build_answer(request, document, [answer.source])


class IndicatorsQuery(PlaceQuery, SpanQuery):
    """Which indicators of which candles; `from` and `to` are open times."""

    interval: Interval = Field(Interval.MINUTE, description="Length of a candle.", examples=["1m"])
    names: str = Field(
        min_length=1,
        max_length=NAMES_LENGTH_MAX,
        description="With commas; numbers behind colons.",
        examples=["sma:20,rsi:14"],
    )
    made_of: MadeOf | None = Field(
        None,
        description="Trades, the open one too, or the venue's own; if not said, trades where there "
        "are any of the market.",
        examples=["trades"],
    )
    limit: int = Field(
        100, ge=1, le=LIMIT_MAX, description="The newest so many candles.", examples=[100]
    )


@router.get(
    "/indicators",
    summary="Indicators of a market's candles, newest first",
    responses=documents.INDICATORS,
)
def list_indicators(
    services: Shared, request: Request, query: Annotated[IndicatorsQuery, In()]
) -> Response:
    """Of candles made of trades or of the venue's own; null where a value is not known."""
    try:
        indicators = parse_indicators(query.names)
    except IndicatorError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"names: {error}") from None
    interval, now_us = query.interval, time.time_ns() // 1000
    market, made_of = _choose_candles(services.catalogue.get(), query)

    def question(store: Store) -> FoundBars:
        bars = open_bars(store, market, interval, made_of, now_us=now_us)
        return find_bars(bars, interval, query.span, indicators, newest=query.limit)

    answered = services.reads.ask(question, [feed_of(made_of)])
    found = reckon(
        answered.source, market, interval, answered.value, indicators, made_of, now_us=now_us
    )
    document = {
        **market._asdict(),
        "interval": f"{interval}",
        "made_of": f"{made_of}",
        "indicators": build_rows(build_indicators(found))[::-1],
    }
    return build_answer(request, document, [answered.source])


def _choose_candles(catalogue: Catalogue, query: IndicatorsQuery) -> tuple[Market, MadeOf]:
    """The market, and what its candles are made of, where the query does not say."""
    if query.made_of is not None:
        return catalogue.find(feed_of(query.made_of).name, query.place), query.made_of
    try:
        return catalogue.find(feed_of(MadeOf.TRADES).name, query.place), MadeOf.TRADES
    except UnknownMarketError:
        return catalogue.find(feed_of(MadeOf.VENUE).name, query.place), MadeOf.VENUE

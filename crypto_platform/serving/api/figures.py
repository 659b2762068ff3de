"""What is made of the market: indicators of a market's candles, all markets at a glance.

Here: parameters -> one question -> rows. Not here: arithmetic (domain/), which candles are read
(serving/analytics.py, indicators.py, overview.py).
"""

import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as In
from pydantic import Field

from crypto_platform.domain.indicator_catalogue import IndicatorError, parse_indicators
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.analytics import open_candles
from crypto_platform.serving.api import documents
from crypto_platform.serving.api.answers import build_answer
from crypto_platform.serving.api.parameters import (
    LIMIT_MAX,
    PlaceQuery,
    SpanQuery,
)
from crypto_platform.serving.api.problems import ApiError
from crypto_platform.serving.api.services import Shared
from crypto_platform.serving.indicators import (
    FoundCandles,
    build_indicators,
    find_candles,
    reckon,
)
from crypto_platform.serving.overview import build_overview
from crypto_platform.serving.sheets import build_rows, print_time
from crypto_platform.stores.base import Store

NAMES_LENGTH_MAX = 500

router = APIRouter(prefix="/v1", tags=["market"])


@router.get("/overview", summary="All markets at a glance", responses=documents.OVERVIEW)
def show_overview(services: Shared, request: Request) -> Response:
    """The largest volume of 24 hours first; at most five seconds old."""
    overview = services.overview.get()
    document = {
        "as_of": print_time(overview.as_of_us),
        "markets": build_rows(build_overview(overview)),
    }
    return build_answer(request, document, [overview.source])


class IndicatorsQuery(PlaceQuery, SpanQuery):
    """Which indicators of which candles; `from` and `to` are open times."""

    interval: Interval = Field(Interval.MINUTE, description="Length of a candle.")
    names: str = Field(
        min_length=1,
        max_length=NAMES_LENGTH_MAX,
        description="With commas; numbers behind colons.",
        examples=["sma:20,rsi:14"],
    )
    limit: int = Field(100, ge=1, le=LIMIT_MAX, description="The newest so many candles.")


@router.get(
    "/indicators",
    summary="Indicators of a market's candles, newest first",
    responses=documents.INDICATORS,
)
def list_indicators(
    services: Shared, request: Request, query: Annotated[IndicatorsQuery, In()]
) -> Response:
    """Of candles made of trades, the open one included; null where a value is not known."""
    try:
        indicators = parse_indicators(query.names)
    except IndicatorError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"names: {error}") from None
    feed, interval, now_us = FEED_BY_NAME[TRADES.name], query.interval, time.time_ns() // 1000
    market = services.catalogue.get().find(feed.name, query.place)

    def question(store: Store) -> FoundCandles:
        candles = open_candles(store, market, interval, now_us)
        return find_candles(candles, interval, query.span, indicators, newest=query.limit)

    answered = services.reads.ask(question, [feed])
    found = reckon(answered.source, market, interval, answered.value, indicators, now_us=now_us)
    document = {
        **market._asdict(),
        "interval": f"{interval}",
        "indicators": build_rows(build_indicators(found))[::-1],
    }
    return build_answer(request, document, [answered.source])

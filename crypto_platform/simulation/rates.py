"""Official exchange rates of the simulated world, in the ECB's files and by its calendar.

Here: a rate a currency and working day since 2016, the same for the same seed, and the three files
that hold them, each with its ETag. Not here: prices of what is traded (market.py).

    GET /ecb/eurofxref-daily.xml       the newest day
    GET /ecb/eurofxref-hist-90d.xml    the days of 90 days
    GET /ecb/eurofxref-hist.xml        all of them, newest first

As at the bank, weekends have no rates, and a day's appear at 16:00 (here 15:00 UTC all year; its
holidays are not simulated). The rates are made up around those of late 2025.

Source: ECB, "Euro foreign exchange reference rates".
"""

import hashlib
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_platform.simulation.answers import Answers, Data, Item, Place, answer_json
from crypto_platform.simulation.market import DAY_S, Walk

FIRST_DAY = date(2016, 1, 4)
PUBLISHED_HOUR = 15
RECENT_DAYS = 90
NOT_MODIFIED = 304
DAILY_VOLATILITY_PCT = 0.45

BASE_RATES = {
    "USD": (1.16, 4), "JPY": (178.0, 2), "CZK": (24.3, 3), "DKK": (7.46, 4), "GBP": (0.88, 5),
    "HUF": (388.0, 2), "PLN": (4.25, 4), "RON": (5.08, 4), "SEK": (10.95, 4), "CHF": (0.93, 4),
    "NOK": (11.7, 4), "TRY": (49.0, 4), "AUD": (1.77, 4), "BRL": (6.2, 4), "CAD": (1.63, 4),
    "CNY": (8.24, 4), "HKD": (9.03, 4), "INR": (103.0, 4), "KRW": (1690.0, 2), "MXN": (21.4, 4),
    "NZD": (2.04, 4), "SGD": (1.51, 4), "THB": (37.6, 3), "ZAR": (20.1, 4),
}  # fmt: skip
"""Currency -> units for one euro around which it walks, and the decimals the bank prints."""

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
    'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
    "<gesmes:subject>Reference rates</gesmes:subject><gesmes:Sender>"
    "<gesmes:name>Simulated market</gesmes:name></gesmes:Sender><Cube>{days}</Cube>"
    "</gesmes:Envelope>\n"
)


class Rates:
    """What the simulated bank publishes; the same seed and day always give the same rates."""

    def __init__(self, *, seed: int) -> None:
        """Set the currencies on walks of their own."""
        self._walk = Walk(seed=seed, width=len(BASE_RATES))
        self.read_day = lru_cache(maxsize=16_384)(self._make_day)

    def _make_day(self, day: date) -> tuple[tuple[str, str], ...]:
        """Currencies and their rates as the bank prints them."""
        second = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        per_second = DAILY_VOLATILITY_PCT / 100 / math.sqrt(DAY_S)
        walks = self._walk.read_point(second)
        return tuple(
            (currency, format(base * math.exp(per_second * walk), f".{decimals}f"))
            for (currency, (base, decimals)), walk in zip(BASE_RATES.items(), walks, strict=True)
        )


def list_days(now: datetime, *, days_back: int | None) -> Iterator[date]:
    """Days of publication, the newest first.

    Args:
        now: A day's rates are there from PUBLISHED_HOUR on.
        days_back: Of the calendar, 0 is the newest day alone; None goes back to FIRST_DAY.
    """
    newest = (now - timedelta(hours=PUBLISHED_HOUR)).date()
    while newest.isoweekday() > 5:  # noqa: PLR2004 (Friday)
        newest -= timedelta(days=1)
    first = FIRST_DAY if days_back is None else newest - timedelta(days=days_back)
    for back in range((newest - first).days + 1):
        day = newest - timedelta(days=back)
        if day.isoweekday() <= 5:  # noqa: PLR2004 (Friday)
            yield day


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Which file is asked for."""

    rates: Rates
    days_back: int | None
    wants_key: bool = False

    def look_up(self, now_ms: int) -> Data:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return [
            cast("Item", {"time": day.isoformat(), **dict(self.rates.read_day(day))})
            for day in list_days(now, days_back=self.days_back)
        ]

    def render(self, data: Data, now_ms: int) -> Response:
        del now_ms
        body = _ENVELOPE.format(days="".join(map(_render_day, cast("list[Item]", data)))).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        return Response(body, headers={"ETag": etag}, media_type="text/xml")

    def refuse(self, status: int, text: str, now_ms: int) -> Response:
        del now_ms
        return answer_json({"error": text}, status)

    def find_price(self, data: Data, currency_id: str) -> Place | None:
        del data, currency_id  # money has no price here
        return None


def _render_day(item: Item) -> str:
    rates = "".join(
        f'<Cube currency="{currency}" rate="{rate}"/>'
        for currency, rate in item.items()
        if currency != "time"
    )
    return f'<Cube time="{item["time"]}">{rates}</Cube>'


class Bank:
    """The files as HTTP endpoints."""

    def __init__(self, rates: Rates, answers: Answers, *, path: str) -> None:
        """Serve the rates, below `path`."""
        self._rates = rates
        self._answers = answers
        self._path = path

    def list_routes(self) -> list[Route]:
        """The endpoints."""
        files = {"daily": 0, "hist-90d": RECENT_DAYS, "hist": None}
        return [
            Route(f"{self._path}/eurofxref-{name}.xml", self._answer(days_back))
            for name, days_back in files.items()
        ]

    def _answer(self, days_back: int | None) -> Callable[[Request], Awaitable[Response]]:
        question = _Question(rates=self._rates, days_back=days_back)

        async def give(request: Request) -> Response:
            response = await self._answers.give(request, question)
            etag = response.headers.get("etag")
            if etag is not None and request.headers.get("if-none-match") == etag:
                return Response(status_code=NOT_MODIFIED, headers={"ETag": etag})
            return response

        return give

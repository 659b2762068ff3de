"""The European Central Bank's euro reference rates, as it publishes them.

Here: which of its files is asked for, and a file turned into days. Not here: what a rate of a day
is used for (domain/exchange_rates.py). The simulated market speaks it too.

A poll asks for the file of the newest day, by its ETag. Where days lie between that day and the
last one published here, or none was published yet, the file of 90 days or the one of all days is
read as well, and what is new of it goes along: weekends, holidays and days without us look alike.
A newest day that is printed again with other figures is published again; that an older one was
corrected is not noticed.

Source: ECB, "Euro foreign exchange reference rates": eurofxref-daily.xml, eurofxref-hist-90d.xml,
eurofxref-hist.xml. One euro in units of the other currency, around 16:00 CET on every TARGET
working day; weekends and closing days are missing, and a currency that is not quoted on a day is
missing.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from xml.etree import ElementTree as ET

import msgspec

from crypto_platform.domain.hours import from_time_us, to_time_us
from crypto_platform.domain.money import explain_amount
from crypto_platform.errors import SourceMalformedError
from crypto_platform.feeds.exchange_rates import (
    EXCHANGE_RATES,
    ExchangeRates,
    seal_exchange_rates,
)
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import LIVE_SHARE
from crypto_platform.sources.http import Answer, Form, HttpClient
from crypto_platform.sources.pages import build_malformed

BASE = "EUR"
DAILY_PATH = "/eurofxref-daily.xml"
RECENT_PATH = "/eurofxref-hist-90d.xml"
WHOLE_PATH = "/eurofxref-hist.xml"
RECENT_DAYS = 80
"""Days that are surely in the file of 90."""
DAYS_MAX = 10_000
"""Of one poll, which is one transaction: 38 years of working days."""

_CURSOR = "days"
"""The one position of the feed."""
_CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
_CURRENCY = re.compile(r"[A-Z]{3}\Z")


class _Position(msgspec.Struct, frozen=True):
    """How far the bank was read.

    Attributes:
        day: The newest that was published.
        content_hash: Of its record.
        etag: Of the daily file that said so.
    """

    day: date
    content_hash: int
    etag: str | None = None


def parse_rates(answer: Answer, *, source: str, ts_ingest: int) -> list[ExchangeRates]:
    """Turn a daily or historical file into records, the oldest day first.

    Args:
        answer: gesmes:Envelope with a Cube that holds one Cube time='2026-11-27' a day, which holds
            one Cube currency='USD' rate='1.0842' a currency.
        source: Name in the settings.
        ts_ingest: When the poll began, microseconds.

    Raises:
        SourceMalformedError: Not such a document, or a day or currency twice. Nothing of it is
            used: half a table would be taken for a bank that did not publish.
    """
    try:
        text = answer.body.decode("utf-8-sig")
        if "<!DOCTYPE" in text:
            raise _malformed(answer, source, "it declares entities")
        # an entity may unfold to gigabytes; those were refused above
        root = ET.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise _malformed(answer, source, f"no XML: {error}") from error
    days: dict[date, ExchangeRates] = {}
    for cube in root.iterfind(f"{_CUBE}/{_CUBE}"):
        day = _read_day(cube.get("time", ""), answer, source)
        rates = _read_rates(cube, answer, source)
        if day in days or len(rates) < len(cube):
            raise _malformed(answer, source, f"{day} or a currency of it is there twice")
        days[day] = seal_exchange_rates(
            ExchangeRates(
                source=source,
                base_currency=BASE,
                ts_event=to_time_us(datetime.combine(day, time(), UTC)),
                currencies=tuple(sorted(rates)),
                rates=tuple(rates[currency] for currency in sorted(rates)),
                ts_ingest=ts_ingest,
            )
        )
    if not days:
        raise _malformed(answer, source, "it holds no day")
    return [days[day] for day in sorted(days)]


def _read_day(text: str, answer: Answer, source: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _malformed(answer, source, f"{text!r} is no day") from error


def _read_rates(cube: Iterable[ET.Element], answer: Answer, source: str) -> dict[str, str]:
    rates: dict[str, str] = {}
    for each in cube:
        currency, rate = each.get("currency", ""), each.get("rate", "")
        problem = explain_amount(rate, above_zero=True)
        if problem is not None or not _CURRENCY.match(currency):
            what = f"{currency!r}: {problem or 'no currency code'}"
            raise _malformed(answer, source, what)
        rates[currency] = rate
    return rates


def _malformed(answer: Answer, source: str, what: str) -> SourceMalformedError:
    return build_malformed(
        f"no reference rates: {what}", source=source, url=answer.url, body=answer.body
    )


class Ecb:
    """One instance of the bank's files."""

    feeds = (EXCHANGE_RATES.name,)

    def __init__(
        self,
        *,
        name: str,
        settings: SourceSettings,
        stop: threading.Event | None = None,
        share: float = LIVE_SHARE,
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            ConfigurationError: base_url cannot work.
        """
        self.name = name
        self._http = HttpClient(source=name, settings=settings, stop=stop, share=share)

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Ask for the newest day, and for those before it that are missing; see Source.poll."""
        _ = feed
        text = positions.get(_CURSOR)
        known = None if text is None else msgspec.json.decode(text, type=_Position)
        etag = None if known is None else known.etag
        answer = self._http.get_changed(DAILY_PATH, etag=etag, form=Form.XML)
        if answer is None:
            return Poll(records=())
        newest = parse_rates(answer, source=self.name, ts_ingest=ts_ingest)[-1]
        records = [newest]
        if known is not None and _day_of(newest) <= known.day:
            is_news = (_day_of(newest), newest.content_hash) != (known.day, known.content_hash)
            records = [newest] if is_news and _day_of(newest) == known.day else []
        elif known is None or _day_of(newest) > known.day + timedelta(days=1):
            records = [*self._read_between(known, newest, ts_ingest), newest]
        records = records[:DAYS_MAX]
        if not records:
            return Poll(records=())
        last = records[-1]
        position = _Position(
            day=_day_of(last),
            content_hash=last.content_hash,
            # with days left to publish, the daily file is asked for again whatever it is
            etag=answer.etag if last is newest else None,
        )
        return Poll(records=records, positions={_CURSOR: msgspec.json.encode(position).decode()})

    def _read_between(
        self, known: _Position | None, newest: ExchangeRates, ts_ingest: int
    ) -> list[ExchangeRates]:
        """The days behind the last one published and before the newest."""
        first = date.min if known is None else known.day + timedelta(days=1)
        is_recent = known is not None and _day_of(newest) - known.day <= timedelta(days=RECENT_DAYS)
        path = RECENT_PATH if is_recent else WHOLE_PATH
        answer = self._http.get_changed(path, etag=None, form=Form.XML)
        assert answer is not None, "without an ETag nothing is unchanged"
        days = parse_rates(answer, source=self.name, ts_ingest=ts_ingest)
        return [day for day in days if first <= _day_of(day) < _day_of(newest)]


def _day_of(record: ExchangeRates) -> date:
    return from_time_us(record.ts_event).date()

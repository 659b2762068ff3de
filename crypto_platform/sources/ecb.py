"""The European Central Bank's euro reference rates, as it publishes them.

Here: its files turned into a table: eurofxref-daily.xml, eurofxref-hist.xml (and -90d), and
eurofxref-hist.csv (the zip's content). Not here: fetching them (no feed reads them yet), what a
rate of a day is used for (domain/exchange_rates.py).

Source: ECB, "Euro foreign exchange reference rates". One euro in units of the other currency,
around 16:00 CET on every TARGET working day; weekends and closing days are missing, and a currency
that is not quoted on a day is missing (XML) or N/A (CSV).
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.money import explain_amount
from crypto_platform.errors import SourceMalformedError

SOURCE = "ECB"
BASE = "EUR"
BODY_BYTES_MAX = 50_000_000
"""Some 7,000 days of 40 currencies are 14 MB of XML; what is much longer is something else."""

_CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_NOT_QUOTED = ("N/A", "")


def parse_rates_xml(body: bytes, *, url: str) -> OfficialRates:
    """Turn a daily or historical XML file into a table.

    Args:
        body: gesmes:Envelope with a Cube that holds one Cube time='2026-11-27' a day, which holds
            one Cube currency='USD' rate='1.0842' a currency.
        url: Where it came from, for the error.

    Raises:
        SourceMalformedError: Not such a document, or a day or currency twice. Nothing of it is
            used.
    """
    try:
        text = body.decode("utf-8-sig")
        if len(body) > BODY_BYTES_MAX or "<!DOCTYPE" in text:
            raise _malformed(body, url, "no reference rates: too long, or it declares entities")
        # an entity may unfold to gigabytes; those were refused above
        root = ET.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise _malformed(body, url, f"no XML: {error}") from error
    rows = (
        (day.get("time", ""), [(rate.get("currency", ""), rate.get("rate", "")) for rate in day])
        for day in root.iterfind(f"{_CUBE}/{_CUBE}")
    )
    return _build(rows, body, url)


def parse_rates_csv(body: bytes, *, url: str) -> OfficialRates:
    """Turn the historical CSV file into a table.

    Args:
        body: Header `Date,USD,JPY,...,` and a row a day; what is not quoted is N/A or empty; every
            line ends with a comma.
        url: Where it came from, for the error.

    Raises:
        SourceMalformedError: See parse_rates_xml.
    """
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig")), skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _malformed(body, url, f"no CSV: {error}") from error
    lines = [line for line in lines if line]
    if not lines or lines[0][0] != "Date":
        raise _malformed(body, url, "the first line does not begin with Date")
    names = lines[0][1:]
    if any(len(line) != len(lines[0]) for line in lines):
        raise _malformed(body, url, "not every line has the header's columns")
    rows = (
        (
            line[0],
            [
                (name, rate)
                for name, rate in zip(names, line[1:], strict=True)
                if (name or rate) and rate not in _NOT_QUOTED
            ],
        )
        for line in lines[1:]
    )
    return _build(rows, body, url)


def _build(
    rows: Iterable[tuple[str, list[tuple[str, str]]]], body: bytes, url: str
) -> OfficialRates:
    days: dict[date, Mapping[str, Decimal]] = {}
    for day_text, quoted in rows:
        try:
            day = date.fromisoformat(day_text)
        except ValueError as error:
            raise _malformed(body, url, f"{day_text!r} is no day") from error
        rates = {currency: _read_rate(currency, rate, body, url) for currency, rate in quoted}
        if day in days or len(rates) < len(quoted):
            raise _malformed(body, url, f"{day} or a currency of it is there twice")
        days[day] = rates
    if not days:
        raise _malformed(body, url, "it holds no day")
    return OfficialRates(base=BASE, source=SOURCE, days=days)


def _read_rate(currency: str, rate: str, body: bytes, url: str) -> Decimal:
    problem = explain_amount(rate, above_zero=True)
    if problem is not None or not _CURRENCY.match(currency):
        raise _malformed(body, url, f"{currency!r}: {problem or 'no currency code'}")
    return Decimal(rate)


def _malformed(body: bytes, url: str, problem: str) -> SourceMalformedError:
    return SourceMalformedError(
        f"{url}: {problem}; it begins with {body[:200]!r}", source=SOURCE, url=url
    )

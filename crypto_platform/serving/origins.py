"""Where deposits come from, as their owner writes it down: a TOML or CSV file.

Here: the file's two forms, checked. Not here: what an origin means for tax (domain/tax_events.py).

    [ev-00000000000000000017]                event_id,acquired,cost,currency
    acquired = 2021-03-04                    ev-00000000000000000017,2021-03-04,1200.50,EUR
    cost = "1200.50"
    currency = "EUR"

`acquired` is when he acquired it, `cost` what he paid for all of it, fees included. A day without a
time begins at midnight, a time without a zone is one of the report's.
"""

import csv
import io
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.money import parse_amount
from crypto_platform.domain.tax_events import Origin
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import ConfigurationError, RecordRejectedError

_FIRST_LINE = "the first line"
COLUMNS = ("event_id", "acquired", "cost", "currency")


def read_origins(file: Path, *, time_zone: ZoneInfo) -> dict[str, Origin]:
    """Where deposits come from, by event_id.

    Args:
        file: TOML if its name ends so, else CSV.
        time_zone: Of times without a zone.

    Raises:
        ConfigurationError: It cannot be read; names the deposit, what was found and what works.
    """
    try:
        text = file.read_text("utf-8-sig")
        rows = _parse_toml(text) if file.suffix.lower() == ".toml" else _parse_csv(text)
        return _build_origins(rows, time_zone)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error, _OriginError) as error:
        message = (
            f"{file}: {error}; each deposit is named with its acquired (2021-03-04), cost "
            '("1200.50", of all of it) and currency ("EUR"), in TOML under [event_id], in CSV in '
            f"a row below {','.join(COLUMNS)}"
        )
        raise ConfigurationError(message) from error


class _OriginError(Exception):
    """What is wrong with one deposit's origin."""

    def __init__(self, event_id: str, what: str) -> None:
        super().__init__(f"{event_id}: {what}")


_Row = tuple[str, object, object, object]


def _build_origins(rows: Iterable[_Row], time_zone: ZoneInfo) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    for event_id, acquired, cost, currency in rows:
        if event_id in origins:
            raise _OriginError(event_id, "it is there twice")
        when = _read_time(event_id, acquired, time_zone)
        origins[event_id] = Origin(when, _read_cost(event_id, cost, currency))
    return origins


def _parse_toml(text: str) -> Iterable[_Row]:
    for event_id, table in tomllib.loads(text).items():
        own: Mapping[str, object] = {}
        if isinstance(table, dict):
            own = cast("dict[str, object]", table)
        if set(own) != set(COLUMNS[1:]):
            raise _OriginError(event_id, f"found {', '.join(sorted(own)) or 'no table'}")
        yield event_id, own["acquired"], own["cost"], own["currency"]


def _parse_csv(text: str) -> Iterable[_Row]:
    lines = [line for line in csv.reader(io.StringIO(text), skipinitialspace=True) if line]
    if not lines or tuple(lines[0]) != COLUMNS:
        found = ",".join(lines[0]) if lines else "nothing"
        raise _OriginError(event_id=_FIRST_LINE, what=f"found {found}")
    for line in lines[1:]:
        if len(line) != len(COLUMNS):
            raise _OriginError(line[0], f"found {len(line)} columns")
        event_id, acquired, cost, currency = (cell.strip() for cell in line)
        yield event_id, acquired, cost, currency


def _read_time(event_id: str, value: object, time_zone: ZoneInfo) -> int:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise _OriginError(event_id, f"acquired is {value!r}, which is no time") from error
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if not isinstance(moment, datetime):
        raise _OriginError(event_id, f"acquired is {value!r}, which is no time")
    found = to_time_us(moment if moment.tzinfo else moment.replace(tzinfo=time_zone))
    if found < 0:
        raise _OriginError(event_id, f"acquired is {value}, before 1970")
    return found


def _read_cost(event_id: str, cost: object, currency: object) -> Money:
    if not isinstance(currency, str) or not currency.isalnum() or currency != currency.upper():
        raise _OriginError(event_id, f"currency is {currency!r}, which is no code")
    if not isinstance(cost, str | int):  # a float has lost digits already
        raise _OriginError(event_id, f"cost is {cost!r}: write it as text, in quotation marks")
    try:
        amount = Decimal(parse_amount(str(cost)))
    except RecordRejectedError as error:
        raise _OriginError(event_id, f"cost: {error}") from error
    if amount < 0:
        raise _OriginError(event_id, f"cost is {cost}, below zero")
    return Money(currency, amount)

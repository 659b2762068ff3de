"""A tax report as files: CSV for tables, JSON for programs, PDF for people and offices.

Here: bytes, the same for the same report: no clock, no font of this machine. Amounts are written
as the report has them, so whoever wants cents rounds first (domain/tax_rounding.py). Not here: who
may see it, where it is stored.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files
from typing import cast
from zoneinfo import ZoneInfo

import msgspec

from crypto_platform.domain import exact
from crypto_platform.domain.hours import from_time_us, to_time_us
from crypto_platform.domain.tax_book import UNKNOWN_ORIGIN
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.serving.origins import COLUMNS
from crypto_platform.serving.sheets import Column, Sheet

TEMPLATE_FILE = "tax_report.typ"
NAMED_MAX = 5
"""So many deposits a note names."""


class TaxTable(StrEnum):
    """What a CSV file may hold."""

    DISPOSALS = "disposals"
    GAINS = "gains"
    FEES = "fees"
    HOLDINGS = "holdings"
    TRANSFERS = "transfers"
    UNVALUED = "unvalued"


Row = Mapping[str, object]


def list_table(report: TaxReport, table: TaxTable) -> tuple[Sequence[str], list[list[object]]]:
    """One table of the report: names of its columns, and rows of JSON's types.

    Disposals are one row a lot consumed, so that each row has one day of acquisition; all rows of
    one event_id, kind and currency are one disposal.
    """
    columns, build_rows = _TABLES[table]
    return columns, [[row[name] for name in columns] for row in build_rows(plain_report(report))]


def build_tax_sheet(report: TaxReport, table: TaxTable) -> Sheet:
    """A table by `list_table` as other reports' tables are; times in microseconds."""
    names, rows = list_table(report, table)
    kinds = [_find_kind(name) for name in names]
    return Sheet(
        list(map(Column, names, kinds)),
        [
            [
                _to_time(value) if kind is FieldKind.TIME_US else value
                for kind, value in zip(kinds, row, strict=True)
            ]
            for row in rows
        ],
    )


def _find_kind(name: str) -> FieldKind | None:
    if name.startswith("ts_"):
        return FieldKind.TIME_US
    if name == "unknown_parts":
        return FieldKind.INTEGER
    return None if name.startswith("is_") else FieldKind.TEXT


def _to_time(value: object) -> int | None:
    return None if value is None else to_time_us(datetime.fromisoformat(str(value)))


def write_csv(report: TaxReport, table: TaxTable) -> bytes:
    """A table by `list_table`: a header and rows; unknown is empty."""
    columns, rows = list_table(report, table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def write_json(report: TaxReport) -> bytes:
    """All of the report: amounts as strings, times as RFC 3339 in its time zone, unknown null."""
    return json.dumps(plain_report(report), indent=2, ensure_ascii=False).encode() + b"\n"


def write_pdf(report: TaxReport) -> bytes:
    """All of the report but how each value came about, on A4.

    Raises:
        ConfigurationError: The PDF writer is not installed.
    """
    try:
        import typst  # noqa: PLC0415 (80 MB that only this function needs)
    except ImportError as error:
        message = "a PDF needs typst, which is not installed: pip install 'crypto-platform[pdf]'"
        raise ConfigurationError(message) from error
    template = files("crypto_platform.serving").joinpath(TEMPLATE_FILE).read_bytes()
    compiler = typst.Compiler(
        template,
        sys_inputs={"report": json.dumps(plain_report(report))},
        ignore_system_fonts=True,
    )
    document = compiler.compile(format="pdf", pdf_tags=False)
    assert isinstance(document, bytes), "one document"
    return document


def list_notes(report: TaxReport) -> list[str]:
    """What somebody has to know who reads the figures alone."""
    notes: list[str] = []
    if report.ts_until != report.ts_end:
        notes.append(f"{report.year} is not over: this is up to the last event of the user")
    deposits = [each.event_id for each in report.unvalued if each.why == UNKNOWN_ORIGIN]
    if deposits:
        more = f" and {len(deposits) - NAMED_MAX} more" if len(deposits) > NAMED_MAX else ""
        notes.append(
            f"{len(deposits)} deposits have an unknown cost, because nobody said where they come "
            "from: name them by `crypto-platform tax-report --origins FILE`, a CSV of "
            f"{','.join(COLUMNS)} ({', '.join(deposits[:NAMED_MAX])}{more})"
        )
    others = len(report.unvalued) - len(deposits)
    if others:
        notes.append(f"{others} values are unknown: table unvalued says which, and what is missing")
    return notes


def plain_report(report: TaxReport) -> dict[str, object]:
    """The report as JSON's types, and what is to be known of it as `notes`.

    Amounts of an exact report lose the zeros behind their last digit, which sums leave there; cents
    keep theirs.
    """
    builtins = msgspec.to_builtins(report, builtin_types=(Decimal,))
    printer = _Printer(ZoneInfo(report.time_zone), is_rounded=report.rounding is not None)
    document = cast("dict[str, object]", printer.print(builtins))
    return {**document, "notes": list_notes(report)}


@dataclass(frozen=True)
class _Printer:
    zone: ZoneInfo
    is_rounded: bool

    def print(self, value: object) -> object:
        if isinstance(value, Decimal):
            return format(value if self.is_rounded else exact.EXACT.normalize(value), "f")
        if isinstance(value, dict):
            pairs = cast("dict[str, object]", value).items()
            return {name: self._print_field(name, item) for name, item in pairs}
        if isinstance(value, list | tuple):
            return [self.print(item) for item in cast("Sequence[object]", value)]
        return value

    def _print_field(self, name: str, value: object) -> object:
        if name.startswith("ts_") and isinstance(value, int):
            return from_time_us(value).astimezone(self.zone).isoformat(timespec="microseconds")
        return self.print(value)


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, bool) else value


def _rows(document: Mapping[str, object], name: str) -> Iterable[Row]:
    return cast("Iterable[Row]", document[name])


def _list_parts(name: str) -> Callable[[Mapping[str, object]], Iterable[Row]]:
    def build(document: Mapping[str, object]) -> Iterable[Row]:
        return (
            {**whole, **part} for whole in _rows(document, name) for part in _rows(whole, "parts")
        )

    return build


def _list_rows(name: str) -> Callable[[Mapping[str, object]], Iterable[Row]]:
    return lambda document: _rows(document, name)


def _list_lots(document: Mapping[str, object]) -> Iterable[Row]:
    for moment in ("opening", "closing"):
        holdings = cast("Mapping[str, object]", document[moment])
        yield from ({"moment": moment, **lot} for lot in _rows(holdings, "lots"))


_TABLES: Mapping[
    TaxTable, tuple[tuple[str, ...], Callable[[Mapping[str, object]], Iterable[Row]]]
] = {
    TaxTable.DISPOSALS: (
        (
            "event_id", "ts_event", "kind", "currency", "quantity", "lot_event_id", "ts_acquired",
            "is_acquired_known", "holding", "proceeds", "cost_basis", "realized_gain", "how",
        ),
        _list_parts("disposals"),
    ),
    TaxTable.GAINS: (
        (
            "currency", "holding", "quantity", "proceeds", "cost_basis", "realized_gain",
            "unknown_parts",
        ),
        _list_rows("gains"),
    ),
    TaxTable.FEES: (
        ("event_id", "ts_event", "currency", "amount", "value", "treatment"),
        _list_rows("fees"),
    ),
    TaxTable.HOLDINGS: (
        (
            "moment", "currency", "event_id", "ts_acquired", "is_acquired_known", "quantity",
            "cost_basis", "market_value", "unrealized_gain", "how",
        ),
        _list_lots,
    ),
    TaxTable.TRANSFERS: (
        (
            "event_id", "ts_event", "currency", "quantity", "lot_event_id", "ts_acquired",
            "is_acquired_known", "cost_basis",
        ),
        _list_parts("transfers"),
    ),
    TaxTable.UNVALUED: (
        ("event_id", "ts_event", "what", "currency", "quantity", "why"),
        _list_rows("unvalued"),
    ),
}  # fmt: skip

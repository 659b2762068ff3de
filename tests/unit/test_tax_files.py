"""A report as CSV, JSON and PDF: the same bytes for the same report, and every digit of it."""

import csv
import io
import json
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crypto_platform.domain.tax_events import TransferIn
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport, build_tax_report
from crypto_platform.domain.tax_rounding import round_report
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import ConfigurationError
from crypto_platform.serving.sheets import build_rows
from crypto_platform.serving.tax_report import (
    TaxTable,
    build_tax_sheet,
    list_table,
    write_csv,
    write_json,
    write_pdf,
)
from tests.tax_histories import (
    FIRST_US,
    NO_RATES,
    USER,
    buy,
    no_prices,
    price_of,
    report_of,
    sell,
)

ROOT = Path(__file__).parents[2]


def sample(method: BookingMethod = BookingMethod.FIFO) -> TaxReport:
    events = [
        buy("b", "3", "100", at=1, fee=Money("USD", Decimal("0.10"))),
        TransferIn(
            event_id="d",
            user=USER,
            sequence=2,
            ts_event=FIRST_US + 2_000_000,
            received=Money("BTC", Decimal(1)),
        ),
        sell("s", "1", "50", at=3),
        sell("t", "2.5", "500", at=4, fee=Money("USD", Decimal("1.5"))),
    ]
    return report_of(events, method, prices=price_of("130"))


def table_of(report: TaxReport, table: TaxTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(write_csv(report, table).decode())))


def test_a_disposal_is_a_row_a_lot() -> None:
    """Forms ask for one day of acquisition a row; the event joins the rows again."""
    rows = table_of(round_report(sample()), TaxTable.DISPOSALS)
    assert [(row["event_id"], row["lot_event_id"], row["quantity"]) for row in rows] == [
        ("s", "b", "1"), ("t", "b", "2"), ("t", "d", "0.5"),
    ]  # fmt: skip
    assert [row["cost_basis"] for row in rows] == ["33.37", "66.73", ""]
    assert [row["realized_gain"] for row in rows] == ["16.63", "332.07", ""]
    assert rows[0]["ts_event"] == "2025-01-01T00:00:03.000000+00:00"
    assert [row["is_acquired_known"] for row in rows] == ["true", "true", "false"]


def test_every_table_has_its_header_and_unknown_is_empty() -> None:
    """A missing header shifts every column of who reads it."""
    report = round_report(sample())
    counted = {table: len(table_of(report, table)) for table in TaxTable}
    assert counted == {
        TaxTable.DISPOSALS: 3,
        TaxTable.GAINS: 2,
        TaxTable.FEES: 2,
        TaxTable.HOLDINGS: 1,
        TaxTable.TRANSFERS: 0,
        TaxTable.UNVALUED: 1,
    }
    header = b"event_id,ts_event,currency,quantity,lot_event_id,ts_acquired,"
    assert write_csv(report, TaxTable.TRANSFERS).startswith(header)
    [held] = table_of(report, TaxTable.HOLDINGS)
    assert (held["moment"], held["market_value"], held["cost_basis"]) == ("closing", "65.00", "")


@pytest.mark.parametrize("table", TaxTable)
def test_a_table_for_parquet_says_what_its_csv_says(table: TaxTable) -> None:
    """One report in two forms must not be two reports; times are moments, whatever their zone."""
    report = sample()
    sheet = build_tax_sheet(report, table)
    rows = table_of(report, table)
    assert [column.name for column in sheet.columns] == list(list_table(report, table)[0])
    assert len(sheet.rows) == len(rows)
    for own, row in zip(build_rows(sheet), rows, strict=True):
        for name, value in own.items():
            if name.startswith("ts_") and row[name]:
                assert datetime.fromisoformat(str(value)) == datetime.fromisoformat(row[name])
            else:
                assert ("" if value is None else str(value).lower()) == row[name].lower(), name


def test_json_has_every_digit_as_text() -> None:
    """A float would turn 33.3666... into another number, and 1E-8 is not what people read."""
    report = report_of([buy("b", "3", "100", at=1), sell("s", "0.00000001", "0.000001", at=2)])
    document = json.loads(write_json(report))
    [part] = document["disposals"][0]["parts"]
    assert part["quantity"] == "0.00000001"
    assert part["cost_basis"] == "0.0000003" + "3" * 43
    assert document["closing"]["lots"][0]["quantity"] == "2.99999999"
    assert document["rounding"] is None
    sales = [sell(f"s{at}", "1", "9", at=at) for at in (2, 3, 4)]
    thirds = report_of([buy("b", "3", "100", at=1), *sales])
    assert json.loads(write_json(thirds))["gains"][0]["cost_basis"] == "100"
    assert document["ts_start"] == "2025-01-01T00:00:00.000000+00:00"
    assert json.loads(write_json(round_report(report)))["rounding"].startswith("half up")


def test_a_pdf_names_the_year_and_grows_with_it() -> None:
    """The one form that people look at; that it is readable, somebody has to look."""
    few, many = sample(), report_of([buy(f"b{n}", "1", "9", at=n) for n in range(400)])
    assert write_pdf(few).startswith(b"%PDF-")
    assert b"Tax report 2025" in write_pdf(few)
    assert len(write_pdf(many)) > 2 * len(write_pdf(few))


def test_text_of_an_event_is_never_markup() -> None:
    """An id like #read("/etc/passwd") would be a program in the template's language."""
    hostile = ['#panic("no")', "*b* $x$ _i_ <l> @r", '"quoted"\\', "= heading", "#{1+1}", ""]
    events = [buy(event_id, "1", "9", at=at) for at, event_id in enumerate(hostile)]
    report = report_of([*events, sell("s", "5", "99", at=9)])
    assert write_pdf(report).startswith(b"%PDF-")
    rows = table_of(report, TaxTable.DISPOSALS)
    assert [row["lot_event_id"] for row in rows] == hostile[:5]


@pytest.mark.parametrize("method", list(BookingMethod))
def test_the_same_report_is_the_same_bytes(method: BookingMethod) -> None:
    """Whoever compares two files wants to see a difference in the facts, not in a clock."""
    for write in (write_json, write_pdf, lambda r: write_csv(r, TaxTable.DISPOSALS)):
        first = write(round_report(sample(method)))
        assert write(round_report(sample(method))) == first


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """Neither the day, nor the folder, nor the order of a hash may be in it."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from tests.unit.test_tax_files import sample, round_report, write_pdf, write_json;"
        "report = round_report(sample());"
        "sys.stdout.buffer.write(write_pdf(report) + write_json(report))"
    )
    command = [sys.executable, "-c", code, ROOT]
    environment = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=True)
    report = round_report(sample())
    assert done.stdout == write_pdf(report) + write_json(report)
    # a date would differ only from one second to the next
    assert b"CreationDate" not in done.stdout


def test_without_typst_a_pdf_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 MB that not everybody wants; who does has to learn the name."""
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'crypto-platform\[pdf\]'"):
        write_pdf(sample())


def test_times_are_those_of_the_reports_zone() -> None:
    """A sale half an hour after midnight in Berlin must not be shown as one of the old year."""
    at = 364 * 86_400 + 23 * 3_600 + 1_800
    report = build_tax_report(
        [buy("b", "1", "100", at=1), sell("s", "1", "150", at=at)],
        no_prices,
        NO_RATES,
        user=USER,
        year=2026,
        time_zone=ZoneInfo("Europe/Berlin"),
        booking_method=BookingMethod.LIFO,
        reporting_currency="USD",
    )
    [row] = table_of(report, TaxTable.DISPOSALS)
    assert row["ts_event"] == "2026-01-01T00:30:00.000000+01:00"
    assert json.loads(write_json(report))["ts_start"] == "2026-01-01T00:00:00.000000+01:00"

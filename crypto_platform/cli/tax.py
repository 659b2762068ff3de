"""`tax-report`: one user's tax year, as text, JSON, CSV, Parquet or PDF.

Here: arguments, tables for people, the file. Not here: what is reported (serving/reports.py), bytes
of its forms (serving/tax_report.py).
"""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import NamedTuple

import click

from crypto_platform.cli.accounts import user_option
from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.origins import COLUMNS, read_origins
from crypto_platform.serving.reports import (
    CENTS,
    NO_ORIGINS,
    TAX_CURRENCY,
    TAX_TIME_ZONE,
    find_time_zone,
    read_tax_report,
)
from crypto_platform.serving.tax_report import (
    TaxTable,
    build_tax_sheet,
    list_notes,
    list_table,
    write_csv,
    write_json,
    write_pdf,
)
from crypto_platform.settings import load_settings

METHODS: Mapping[str, BookingMethod] = {
    "fifo": BookingMethod.FIFO,
    "lifo": BookingMethod.LIFO,
    "hifo": BookingMethod.HIFO,
    "average": BookingMethod.AVERAGE_COST,
}
_AMOUNTS = frozenset(
    {"quantity", "amount", "value", "proceeds", "cost_basis", "realized_gain", "market_value",
     "unrealized_gain", "unknown_parts"}
)  # fmt: skip


class Output(NamedTuple):
    """How the report is asked for.

    Attributes:
        form: JSON has all tables, CSV and Parquet one.
        pdf_file: Asks for a PDF, which has all tables.
        table: This one alone; None is the form's own choice.
        file: Of text, JSON and CSV; None is the terminal.
    """

    form: Form
    pdf_file: Path | None
    table: TaxTable | None
    file: Path | None

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.pdf_file is not None and not self.form.is_for_people:
            message = "--pdf is a form of its own: not with --json, --csv or --parquet"
            raise click.UsageError(message)
        if (self.pdf_file or self.form.as_json) and self.table is not None:
            message = "--table is of tables, --csv and --parquet; JSON and a PDF have all tables"
            raise click.UsageError(message)
        if (self.pdf_file or self.form.parquet_file) and self.file is not None:
            message = "--pdf and --parquet name their file themselves: leave out --to"
            raise click.UsageError(message)


_pdf_option = click.option(
    "--pdf",
    "pdf_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a PDF file, with all tables.",
)
_table_option = click.option(
    "--table",
    type=click.Choice([each.value for each in TaxTable]),
    help="This table alone [default: gains and a summary; of CSV and Parquet: disposals].",
)
_file_option = click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write text, JSON or CSV into this file.",
)


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """--json and others, --pdf, --table, --to: the command gets the `output` they ask for."""

    @wraps(command)
    def run(
        *,
        form: Form,
        pdf_file: Path | None,
        table: str | None,
        file: Path | None,
        **others: object,
    ) -> None:
        output = Output(form, pdf_file, None if table is None else TaxTable(table), file)
        output.check()
        command(output=output, **others)

    return form_options(_pdf_option(_table_option(_file_option(run))))


@click.command()
@user_option
@click.option("--year", type=int, required=True, help="Of the calendar in the time zone.")
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="fifo",
    show_default=True,
    help="Which lots a disposal consumes; the same every year.",
)
@click.option("--currency", default=TAX_CURRENCY, show_default=True, help="What all is valued in.")
@click.option(
    "--time-zone",
    default=TAX_TIME_ZONE,
    show_default=True,
    help="Where the year begins and days are counted.",
)
@click.option(
    "--origins",
    "origins_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"TOML or CSV ({','.join(COLUMNS)}): where deposits come from; others' cost is unknown.",
)
@click.option("--exact", is_flag=True, help="With every digit, not rounded to cents.")
@output_options
@data_dir_option
def tax_report_command(
    *,
    user_id: str,
    year: int,
    method: str,
    currency: str,
    time_zone: str,
    origins_file: Path | None,
    exact: bool,
    output: Output,
    data_dir: Path | None,
) -> None:
    """Report a user's tax year: disposals with the lots they consumed, gains, fees, holdings.

    Every value says in JSON and CSV (`how`) by which rates and prices it came about; what nobody
    knows is unknown, never 0. The same events, rates and prices give the same bytes. A year that is
    not over is reported up to the user's last event. No tax advice.

    Example: crypto-platform tax-report --user u000001 --year 2026 --pdf report.pdf
    """
    settings = load_settings(data_dir)
    origins = NO_ORIGINS
    if origins_file is not None:
        origins = read_origins(origins_file, time_zone=find_time_zone(time_zone))
    with open_reads(settings) as reads:
        source, report = read_tax_report(
            reads,
            settings,
            user_id,
            year,
            METHODS[method],
            currency,
            time_zone,
            origins=origins,
            decimals=None if exact else CENTS,
        )
    echo_source(source)
    for line in list_notes(report):
        click.echo(line, err=True)
    _write(report, output)


def _write(report: TaxReport, output: Output) -> None:
    form, table = output.form, output.table or TaxTable.DISPOSALS
    if output.pdf_file is not None:
        _put(write_pdf(report), output.pdf_file)
    elif form.parquet_file is not None:
        echo_form(form, build_tax_sheet(report, table), {}, name=table.value)
    elif form.as_json:
        _put(write_json(report), output.file)
    elif form.as_csv:
        _put(write_csv(report, table), output.file)
    else:
        _put(_write_text(report, output.table), output.file)


def _put(body: bytes, file: Path | None) -> None:
    if file is None:
        click.echo(body, nl=False)
        return
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(body)
        part.replace(file)
    except OSError as error:
        message = f"{file} cannot be written: {error}"
        raise click.ClickException(message) from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{len(body):,} bytes written to {file}", err=True)


def _write_text(report: TaxReport, table: TaxTable | None) -> bytes:
    lines = format_summary(report) if table is None else format_tax_table(report, table)
    return "".join(f"{line}\n" for line in lines).encode()


def format_summary(report: TaxReport) -> list[str]:
    """The year's gains by currency and holding class, and its sums."""
    rounded = "exact" if report.rounding is None else report.rounding
    gain = "unknown" if report.realized_gain is None else f"{report.realized_gain:f}"
    head = (
        f"user {printable(report.user)}, {report.year} in {report.time_zone}, "
        f"{report.booking_method}, {report.reporting_currency} ({rounded})"
    )
    foot = (
        f"realized gain {gain} {report.reporting_currency}; {len(report.disposals):,} disposals, "
        f"{len(report.fees):,} fees, {len(report.transfers):,} withdrawals, "
        f"{len(report.closing.lots):,} lots held at the end, {report.events:,} events read"
    )
    return [head, "", *format_tax_table(report, TaxTable.GAINS), "", foot]


def format_tax_table(report: TaxReport, table: TaxTable) -> list[str]:
    """Lines of one table; how each value came about stands in CSV and JSON."""
    columns, rows = list_table(report, table)
    shown = [place for place, name in enumerate(columns) if name != "how"]
    right = frozenset(at for at, place in enumerate(shown) if columns[place] in _AMOUNTS)
    cells = [[_cell(row[place]) for place in shown] for row in rows]
    return format_table([columns[place] for place in shown], cells, right=right)


def _cell(value: object) -> str:
    if value is None:
        return UNKNOWN
    return ("yes" if value else "no") if isinstance(value, bool) else printable(str(value))

"""Records as a table for other programs: JSON, CSV, Parquet, every digit kept.

Here: columns and rows of records, and the three forms. An amount is text in all of them, never a
float, and a Parquet column of amounts is a string: sources differ in scale from row to row (1.10
and 0.00000001), and no one decimal type holds 34 digits of any scale. Times are RFC 3339 UTC text,
in Parquet microseconds UTC. Not here: tables for people (text.py).
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from crypto_platform.cli.options import json_option
from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import FieldKind

NOT_SHOWN = frozenset({"v", "content_hash"})
"""What a record says of itself only to the platform."""

_csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
_parquet_option = click.option(
    "--parquet",
    "parquet_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a Parquet file: amounts as strings, times as timestamps (UTC).",
)


def form_options(command: Callable[..., None]) -> Callable[..., None]:
    """--json, --csv, --parquet."""
    return json_option(_csv_option(_parquet_option(command)))


class Column(NamedTuple):
    """What stands in a column; None may stand in any.

    Attributes:
        kind: None is yes or no.
    """

    name: str
    kind: FieldKind | None


class Sheet(NamedTuple):
    """A table of plain values: text, integers, amounts as text, times in microseconds."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]


class Form(NamedTuple):
    """How an answer is asked for; at most one of them."""

    as_json: bool
    as_csv: bool
    parquet_file: Path | None

    @property
    def is_for_people(self) -> bool:
        """Whether a table is."""
        return not (self.as_json or self.as_csv or self.parquet_file)

    def check(self) -> None:
        """Refuse two at once."""
        if sum((self.as_json, self.as_csv, self.parquet_file is not None)) > 1:
            message = "--json, --csv and --parquet are three forms of one answer: choose one"
            raise click.UsageError(message)


def build_sheet(feed: Feed[Record], records: Sequence[Record]) -> Sheet:
    """The records' fields, in the feed's order."""
    fields = [field for field in feed.fields if field.name not in NOT_SHOWN]
    rows = [[_plain(getattr(record, field.name)) for field in fields] for record in records]
    return Sheet([Column(field.name, field.kind) for field in fields], rows)


def _plain(value: object) -> object:
    return f"{value}" if isinstance(value, str) else value


def build_rows(sheet: Sheet) -> list[dict[str, object]]:
    """The rows as JSON objects."""
    names = [column.name for column in sheet.columns]
    printers = [_PRINTERS.get(column.kind, _same) for column in sheet.columns]
    return [
        {
            name: None if value is None else print_(value)
            for name, print_, value in zip(names, printers, row, strict=True)
        }
        for row in sheet.rows
    ]


def echo_form(form: Form, sheet: Sheet, document: Mapping[str, object], *, name: str) -> None:
    """Print or write a sheet as asked; for people nothing is.

    Args:
        document: What stands in JSON beside the rows.
        name: What the rows are called there.
    """
    if form.as_json:
        whole = {**document, name: build_rows(sheet)}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    elif form.as_csv:
        click.echo(print_csv(sheet), nl=False)
    elif form.parquet_file is not None:
        write_parquet(sheet, form.parquet_file)
        click.echo(f"{len(sheet.rows):,} rows written to {form.parquet_file}", err=True)


def print_csv(sheet: Sheet) -> str:
    """Header and rows; unknown is empty, a list is JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in sheet.columns])
    for row in build_rows(sheet):
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | tuple | bool) else value


def write_parquet(sheet: Sheet, file: Path) -> None:
    """Write the file whole, or leave what was there.

    Raises:
        click.ClickException: The library is not installed, or the file cannot be written.
    """
    # a second to import, and only for this
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    columns = zip(*sheet.rows, strict=True) if sheet.rows else ((),) * len(sheet.columns)
    series = {
        column.name: pd.Series(list(values), dtype=_DTYPES.get(column.kind, "string"))
        for column, values in zip(sheet.columns, columns, strict=True)
    }
    part = file.with_name(f".{file.name}.part")
    try:
        frame = pd.DataFrame(series)
        frame.to_parquet(part, engine="pyarrow", index=False)  # pyright: ignore[reportUnknownMemberType]
        part.replace(file)
    except ImportError:
        message = "--parquet needs pyarrow, which is not installed: pip install pyarrow, or --csv"
        raise click.ClickException(message) from None
    except OSError as error:
        part.unlink(missing_ok=True)
        message = f"{file} cannot be written: {error}"
        raise click.ClickException(message) from None


_DTYPES: Mapping[FieldKind | None, str] = {
    None: "boolean",
    FieldKind.TIME_US: "datetime64[us, UTC]",
    FieldKind.INTEGER: "Int64",
}
"""pandas' names of what is no text; each knows a missing value."""


def print_time(time_us: int) -> str:
    """RFC 3339 UTC to the microsecond."""
    return from_time_us(time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _same(value: object) -> object:
    return value


_PRINTERS: Mapping[FieldKind | None, Callable[[Any], object]] = {
    FieldKind.TIME_US: print_time,
    FieldKind.AMOUNTS: list,
}


def echo_problems(problems: Iterable[str], store: str) -> None:
    """Say on stderr which stores did not answer."""
    for problem in problems:
        click.echo(f"{problem}; read from {store} instead", err=True)

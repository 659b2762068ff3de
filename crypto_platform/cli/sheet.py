"""Records as a table for other programs: JSON, CSV, Parquet, every digit kept.

Here: the three forms of a sheet (serving/sheets.py). An amount is text in all of them, never a
float, and a Parquet column of amounts is a string: sources differ in scale from row to row (1.10
and 0.00000001), and no one decimal type holds 34 digits of any scale. Times are RFC 3339 UTC text,
in Parquet microseconds UTC. Not here: tables for people (text.py).
"""

import csv
import io
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from crypto_platform.cli.options import json_option
from crypto_platform.domain.readable import format_age
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.serving.failover import Source
from crypto_platform.serving.sheets import Column, Rows, Sheet, build_rows

_csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
_parquet_option = click.option(
    "--parquet",
    "parquet_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a Parquet file: amounts as strings, times as timestamps (UTC).",
)


def form_options(command: Callable[..., None]) -> Callable[..., None]:
    """--json, --csv, --parquet: the command is given the `form` that they ask for."""

    @wraps(command)
    def run(*, as_json: bool, as_csv: bool, parquet_file: Path | None, **others: object) -> None:
        form = Form(as_json, as_csv, parquet_file)
        form.check()
        command(form=form, **others)

    return json_option(_csv_option(_parquet_option(run)))


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


@contextmanager
def writing(
    form: Form, columns: Sequence[Column], document: Mapping[str, object], *, name: str
) -> Generator[Callable[[Rows], None]]:
    """Print or write rows as asked, page by page; for people nothing is.

    Where it ends by an error, JSON and CSV end in the middle, and a Parquet file is as it was.

    Args:
        document: What stands in JSON beside the rows.
        name: What the rows are called there.

    Raises:
        click.ClickException: The library is not installed, or the file cannot be written.
    """
    if form.as_json:
        with _writing_json(columns, document, name) as write:
            yield write
    elif form.as_csv:
        click.echo(print_csv(Sheet(columns, [])), nl=False)
        yield lambda rows: click.echo(_print_csv_rows(columns, rows), nl=False)
    elif form.parquet_file is not None:
        with _writing_parquet(columns, form.parquet_file) as write:
            yield write
    else:
        yield lambda _: None


def echo_form(form: Form, sheet: Sheet, document: Mapping[str, object], *, name: str) -> None:
    """A whole sheet by `writing`."""
    with writing(form, sheet.columns, document, name=name) as write:
        write(sheet.rows)


@contextmanager
def _writing_json(
    columns: Sequence[Column], document: Mapping[str, object], name: str
) -> Generator[Callable[[Rows], None]]:
    """The text that json.dumps of the whole document would be, with indent 2."""
    end = "]\n}"
    click.echo(_dump({**document, name: []}).removesuffix(end), nl=False)
    margin = "\n    "
    between = [margin]

    def write(rows: Rows) -> None:
        # in a text there is no line feed but an escaped one
        lines = [_dump(row).replace("\n", margin) for row in build_rows(Sheet(columns, rows))]
        if lines:
            click.echo(between[0] + f",{margin}".join(lines), nl=False)
            between[0] = f",{margin}"

    yield write
    click.echo(end if between[0] == margin else f"\n  {end}")


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def print_csv(sheet: Sheet) -> str:
    """Header and rows; unknown is empty, a list is JSON."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow([column.name for column in sheet.columns])
    return header.getvalue() + _print_csv_rows(sheet.columns, sheet.rows)


def _print_csv_rows(columns: Sequence[Column], rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in build_rows(Sheet(columns, rows)):
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | tuple | bool) else value


@contextmanager
def _writing_parquet(columns: Sequence[Column], file: Path) -> Generator[Callable[[Rows], None]]:
    """A row group a page; the file appears whole, or what was there stays."""
    try:
        # a second to import, and only for this
        import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
        from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        message = "--parquet needs pyarrow, which is not installed: pip install pyarrow, or --csv"
        raise click.ClickException(message) from None

    # as any: it has no types
    arrow, writer_of = cast("Any", pa), cast("Any", parquet).ParquetWriter
    schema = arrow.Schema.from_pandas(_build_frame(columns, []), preserve_index=False)
    part = file.with_name(f".{file.name}.part")
    written = 0

    def write(rows: Rows) -> None:
        nonlocal written
        frame = _build_frame(columns, rows)
        writer.write_table(arrow.Table.from_pandas(frame, schema=schema, preserve_index=False))
        written += len(rows)

    try:
        with writer_of(part, schema) as writer:
            yield write
        part.replace(file)
    except OSError as error:
        message = f"{file} cannot be written: {error}"
        raise click.ClickException(message) from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{written:,} rows written to {file}", err=True)


def _build_frame(columns: Sequence[Column], rows: Rows) -> Any:  # noqa: ANN401 - a DataFrame
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pd.DataFrame(
        {
            column.name: pd.Series(
                list(map(_plain_text, own)), dtype=_DTYPES.get(column.kind, "string")
            )
            for column, own in zip(columns, values, strict=True)
        }
    )


def _plain_text(value: object) -> object:
    """As it is; of a list JSON, as in CSV, where pandas would write what Python prints."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


_DTYPES: Mapping[FieldKind | None, str] = {
    None: "boolean",
    FieldKind.TIME_US: "datetime64[us, UTC]",
    FieldKind.INTEGER: "Int64",
    FieldKind.FLAG: "boolean",
}
"""pandas' names of what is no text; each knows a missing value."""


def echo_source(source: Source) -> None:
    """Say on stderr where an answer came from and how old it may be, where that is worth a word."""
    for problem in source.problems:
        click.echo(problem, err=True)
    if source.is_home:
        if source.problems:
            click.echo(f"read from {source.store} all the same, {_describe_age(source)}", err=True)
        elif source.behind_s is None:
            text = f"{source.store} could not be compared with its mirror, which does not answer"
            click.echo(text, err=True)
        return
    click.echo(f"read from {source.store} instead, its mirror, {_describe_age(source)}", err=True)


def _describe_age(source: Source) -> str:
    if source.newest_us is None:
        return "which holds none of these records"
    age_s = max(time.time() - source.newest_us / 1_000_000, 0.0)
    return f"whose newest record is {format_age(age_s)} old"

"""`symbols`: what each source lists, what it is mapped to, and what is not."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from crypto_platform.cli.options import data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.instruments import INSTRUMENTS, Instrument
from crypto_platform.feeds.quotes import QUOTES, Quote
from crypto_platform.serving.currencies import CurrencyCodes, Listed, list_symbols
from crypto_platform.serving.failover import open_reads
from crypto_platform.serving.reader import RECORDS_MAX
from crypto_platform.serving.sheets import Column, Sheet, build_source
from crypto_platform.settings import load_settings

COLUMNS = ("source", "kind", "id", "unified", "name", "status")
SHEET_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("source", "kind", "native_id", "unified")),
    Column("unmapped_ids", FieldKind.TEXTS),
    *(Column(name, FieldKind.TEXT) for name in ("name", "status")),
)


@click.command()
@click.option("--unmapped", is_flag=True, help="Only what is mapped to nothing.")
@click.option("--source", help="Only of this source.")
@form_options
@data_dir_option
def symbols_command(
    *, unmapped: bool, source: str | None, form: Form, data_dir: Path | None
) -> None:
    """Show what each source lists: currencies and instruments, with their unified symbols.

    What is unmapped is mapped by its source's own id, in settings.toml:
    [sources.NAME.currencies] with lines such as "some-id" = "CODE".

    Example: crypto-platform symbols --unmapped --source coingecko
    """
    settings = load_settings(data_dir)
    if source is not None and source not in settings.sources:
        message = f"there is no source {source!r}; there are {', '.join(settings.sources)}"
        raise ConfigurationError(message)
    with open_reads(settings) as reads:
        answered = reads.ask(
            lambda store: (
                store.read_instruments(),
                store.read_latest_quotes(records_max=RECORDS_MAX),
            ),
            [INSTRUMENTS, QUOTES],
        )
    echo_source(answered.source)
    listed, quoted = answered.value
    symbols = list_symbols(
        CurrencyCodes(settings),
        [record for record in listed if isinstance(record, Instrument)],
        [record for record in quoted if isinstance(record, Quote)],
    )
    of_source = [each for each in symbols if source in {None, each.source}]
    shown = [each for each in of_source if each.unified is None or not unmapped]
    echo_form(form, build_symbols(shown), build_source(answered.source), name="symbols")
    if form.is_for_people and shown:
        click.echo("\n".join(format_symbols(shown)))
    without = sum(each.unified is None for each in of_source)
    click.echo(f"{len(of_source):,} listed, {without:,} of them unmapped", err=True)
    if not of_source:
        click.echo("nothing listed is stored yet: `crypto-platform status` says why", err=True)
        sys.exit(1)


def build_symbols(symbols: Sequence[Listed]) -> Sheet:
    """A row a symbol."""
    rows = [
        (
            each.source,
            each.kind,
            each.native_id,
            each.unified,
            each.unmapped_ids,
            each.name,
            each.status,
        )
        for each in symbols
    ]
    return Sheet(SHEET_COLUMNS, rows)


def format_symbols(symbols: list[Listed]) -> list[str]:
    """Lines of a table."""
    rows = [
        (
            each.source,
            each.kind,
            printable(each.native_id),
            _say_unified(each),
            printable(each.name or UNKNOWN)[:40],
            printable(each.status or UNKNOWN),
        )
        for each in symbols
    ]
    return format_table(COLUMNS, rows)


def _say_unified(listed: Listed) -> str:
    if listed.unified is not None:
        return listed.unified
    ids = ", ".join(map(printable, listed.unmapped_ids))
    return f"- ({ids})" if listed.unmapped_ids not in {(), (listed.native_id,)} else UNKNOWN

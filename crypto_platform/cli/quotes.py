"""`quotes`: the newest prices, from whichever store answers."""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from crypto_platform.cli.options import TIME, data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.signals import stop_on
from crypto_platform.cli.text import format_table, printable
from crypto_platform.domain.readable import (
    UNKNOWN,
    format_age,
    format_change,
    format_money,
    format_price,
)
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.market_sheets import build_quotes
from crypto_platform.serving.reader import RECORDS_MAX, QuoteReader, find_quotes, read_quotes
from crypto_platform.serving.sheets import build_source
from crypto_platform.settings import load_settings

COLUMNS = (
    *("rank", "currency", "symbol", "price", "quote", "24 h", "volume 24 h", "market cap"),
    *("source", "age"),
)
NUMBERS = frozenset({0, 3, 5, 6, 7, 9})
WATCH_EVERY_S = 2.0


@click.command()
@click.argument("currencies", metavar="[CURRENCY]...", nargs=-1)
@click.option("--watch", is_flag=True, help="Show them again and again, until Ctrl-C.")
@click.option(
    *("-n", "--top"),
    type=click.IntRange(1, 10_000),
    default=25,
    show_default=True,
    help="How many, where no currency is named.",
)
@click.option("--as-of", "as_of_us", type=TIME, help="What was known at this time (UTC).")
@form_options
@data_dir_option
def quotes_command(
    *,
    currencies: tuple[str, ...],
    watch: bool,
    top: int,
    as_of_us: int | None,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show the newest quote of each CURRENCY (a code: BTC, or a source's id: bitcoin) and source.

    The table shortens amounts; --json, --csv and --parquet keep every digit, as strings. A ticker
    that is no code finds all currencies called so.

    Example: crypto-platform quotes BTC ethereum --json
    """
    if watch and not form.is_for_people:
        message = "--json, --csv and --parquet give one answer: leave out --watch"
        raise click.UsageError(message)
    if watch and as_of_us is not None:
        message = "what was known at a time does not change: leave out --watch"
        raise click.UsageError(message)
    settings = load_settings(data_dir)
    codes = CurrencyCodes(settings)
    records_max = RECORDS_MAX if currencies else top
    answer = read_quotes(settings, records_max=records_max, as_of_us=as_of_us)
    echo_source(answer.source)
    quotes = find_quotes(answer.quotes, currencies, codes=codes)
    simulated = {name for name, source in settings.sources.items() if source.simulated}
    if not form.is_for_people:
        sheet = build_quotes(quotes, codes=codes, simulated=simulated)
        echo_form(form, sheet, build_source(answer.source), name="quotes")
    elif not watch:
        now_us = time.time_ns() // 1000 if as_of_us is None else as_of_us
        _echo_lines(format_quotes(quotes, now_us=now_us))
    else:
        ids = sorted({quote.currency_id for quote in quotes}) if currencies else []
        _watch(QuoteReader(settings, ids, records_max=RECORDS_MAX if ids else top))
    if not quotes:
        click.echo("no quote is stored yet: `crypto-platform status` says why", err=True)
        sys.exit(1)


def _watch(reader: QuoteReader) -> None:
    stop = stop_on(signal.SIGINT)
    store: str | None = None
    try:
        while not stop.is_set():
            answer = reader.read()
            if answer.source.store != store:
                if store is not None and answer.source.is_home:
                    click.echo(f"read from {answer.source.store} again", err=True)
                store = answer.source.store
                echo_source(answer.source)
            if sys.stdout.isatty():
                click.clear()
            _echo_lines(format_quotes(answer.quotes, now_us=time.time_ns() // 1000))
            stop.wait(WATCH_EVERY_S)
    finally:
        reader.close()


def format_quotes(quotes: Sequence[Quote], *, now_us: int) -> list[str]:
    """Lines of a table, amounts shortened."""
    rows = [
        (
            UNKNOWN if quote.market_cap_rank is None else str(quote.market_cap_rank),
            printable(quote.currency_name or quote.currency_id)[:28],
            printable(quote.currency_symbol or UNKNOWN)[:12],
            format_price(quote.price),
            printable(quote.quote_currency),
            format_change(quote.price_change_24h_pct),
            format_money(quote.quote_volume_24h),
            format_money(quote.market_cap),
            quote.source,
            format_age(max(now_us - (quote.ts_event or quote.ts_ingest), 0) / 1_000_000),
        )
        for quote in quotes
    ]
    return format_table(COLUMNS, rows, right=NUMBERS)


def _echo_lines(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))

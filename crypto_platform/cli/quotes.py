"""`quotes`: the newest prices, from whichever store answers."""

import json
import signal
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import click
import msgspec

from crypto_platform.cli.options import data_dir_option, json_option
from crypto_platform.cli.signals import stop_on
from crypto_platform.cli.text import (
    UNKNOWN,
    format_age,
    format_change,
    format_money,
    format_price,
    format_table,
    printable,
)
from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds.quotes import Quote
from crypto_platform.serving.reader import RECORDS_MAX, QuoteReader, find_quotes, read_quotes
from crypto_platform.settings import load_settings

COLUMNS = (
    *("rank", "currency", "symbol", "price", "quote", "24 h", "volume 24 h", "market cap"),
    *("source", "age"),
)
NUMBERS = frozenset({0, 3, 5, 6, 7, 9})
WATCH_EVERY_S = 2.0
_TIMES = ("ts_event", "ts_ingest")
_NOT_SHOWN = ("v", "content_hash")


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
@json_option
@data_dir_option
def quotes_command(
    *, currencies: tuple[str, ...], watch: bool, top: int, as_json: bool, data_dir: Path | None
) -> None:
    """Show the newest quote of each CURRENCY (an id: bitcoin, or a symbol: BTC) and source.

    The table shortens amounts; --json prints every digit, as strings.

    Example: crypto-platform quotes BTC ethereum --json
    """
    if watch and as_json:
        message = "--json prints one document: leave out --watch"
        raise click.UsageError(message)
    settings = load_settings(data_dir)
    answer = read_quotes(settings, records_max=RECORDS_MAX if currencies else top)
    _echo_problems(answer.problems, answer.store)
    quotes = find_quotes(answer.quotes, currencies)
    simulated = {name for name, source in settings.sources.items() if source.simulated}
    if as_json:
        document = {
            "store": answer.store,
            "quotes": [build_row(quote, simulated=simulated) for quote in quotes],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif not watch:
        _echo_lines(format_quotes(quotes, now_us=time.time_ns() // 1000))
    else:
        ids = sorted({quote.currency_id for quote in quotes}) if currencies else []
        _watch(QuoteReader(settings, ids, records_max=RECORDS_MAX if ids else top))
    if not quotes:
        click.echo("no quote is stored yet: `crypto-platform status` says why", err=True)
        sys.exit(1)


def _watch(reader: QuoteReader) -> None:
    stop = stop_on(signal.SIGINT)
    problems: tuple[str, ...] = ()
    try:
        while not stop.is_set():
            answer = reader.read()
            if answer.problems != problems:
                problems = answer.problems
                _echo_problems(problems, answer.store)
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


def build_row(quote: Quote, *, simulated: Collection[str]) -> dict[str, object]:
    """A quote for --json: amounts as strings with all digits, times as RFC 3339 UTC."""
    row: dict[str, object] = {
        name: value for name, value in msgspec.to_builtins(quote).items() if name not in _NOT_SHOWN
    }
    for name in _TIMES:
        time_us = getattr(quote, name)
        row[name] = None if time_us is None else _format_time(time_us)
    return row | {"simulated": quote.source in simulated}


def _format_time(time_us: int) -> str:
    return from_time_us(time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _echo_lines(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))


def _echo_problems(problems: Sequence[str], store: str) -> None:
    for problem in problems:
        click.echo(f"{problem}; read from {store} instead", err=True)

"""`trades`, `book`, `candles`: what a venue's market was and is, from whichever store answers.

Here: arguments, tables for people with exact digits. Not here: which store, which records
(serving/market.py), other forms (sheet.py).
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from crypto_platform.cli.options import TIME, data_dir_option
from crypto_platform.cli.sheet import (
    Column,
    Form,
    Sheet,
    build_sheet,
    echo_form,
    echo_problems,
    form_options,
    print_time,
)
from crypto_platform.cli.text import UNKNOWN, align_points, format_table, printable
from crypto_platform.domain.order_books import find_mid_price, find_spread
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Candle, Interval
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.trades import Trade
from crypto_platform.serving.market import (
    MarketAnswer,
    Place,
    read_candles,
    read_order_book,
    read_trades,
)
from crypto_platform.settings import load_settings
from crypto_platform.stores.base import Span

LAST = 50
"""Records shown where neither a number nor a range is given."""
RECORDS_MAX = 1_000_000
"""They are all held in memory, about 1 kB each."""

venue_argument = click.argument("venue")
symbol_argument = click.argument("symbol")


def range_options(command: Callable[..., None]) -> Callable[..., None]:
    """--last, --from, --to."""
    command = click.option("--to", "ends_us", type=TIME, help="Before this time.")(command)
    command = click.option("--from", "begins_us", type=TIME, help="At or after this time (UTC).")(
        command
    )
    return click.option(
        *("-n", "--last"),
        type=click.IntRange(1, RECORDS_MAX),
        help=f"The newest so many [default: {LAST}, with --from or --to all of them].",
    )(command)


@click.command()
@venue_argument
@symbol_argument
@range_options
@form_options
@data_dir_option
def trades_command(
    *,
    venue: str,
    symbol: str,
    last: int | None,
    begins_us: int | None,
    ends_us: int | None,
    as_json: bool,
    as_csv: bool,
    parquet_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Show the trades of SYMBOL (BTC/USD, or as the venue writes it) at VENUE, newest last.

    Example: crypto-platform trades coinbase BTC/USD --from 2026-01-31T14:00 --to 2026-01-31T15:00
    """
    form = Form(as_json, as_csv, parquet_file)
    form.check()
    span, records_max = _choose_range(begins_us, ends_us, last)
    answer = read_trades(
        load_settings(data_dir), Place(venue, symbol), span, records_max=records_max
    )
    _echo(form, answer, "trades", lambda: format_trades(answer.trades()))
    _end(answer, "trades", records_max=records_max, last=last)


@click.command()
@venue_argument
@symbol_argument
@click.option(
    "--interval",
    type=click.Choice([interval.value for interval in Interval]),
    default=Interval.MINUTE.value,
    show_default=True,
    help="Length of a candle.",
)
@range_options
@form_options
@data_dir_option
def candles_command(
    *,
    venue: str,
    symbol: str,
    interval: str,
    last: int | None,
    begins_us: int | None,
    ends_us: int | None,
    as_json: bool,
    as_csv: bool,
    parquet_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Show the candles of SYMBOL (BTC/USD, or as the venue writes it) at VENUE, newest last.

    --from and --to are open times. Of a candle that the venue corrected, its last revision.

    Example: crypto-platform candles coinbase BTC/USD --interval 1h --from 2026-01-31
    """
    form = Form(as_json, as_csv, parquet_file)
    form.check()
    span, records_max = _choose_range(begins_us, ends_us, last)
    answer = read_candles(
        load_settings(data_dir),
        Place(venue, symbol),
        Interval(interval),
        span,
        records_max=records_max,
    )
    _echo(form, answer, "candles", lambda: format_candles(answer.candles()))
    _end(answer, "candles", records_max=records_max, last=last)


@click.command()
@venue_argument
@symbol_argument
@click.option("--as-of", "as_of_us", type=TIME, help="The book that stood at this time (UTC).")
@form_options
@data_dir_option
def book_command(
    *,
    venue: str,
    symbol: str,
    as_of_us: int | None,
    as_json: bool,
    as_csv: bool,
    parquet_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Show the last order book of SYMBOL (BTC/USD, or as the venue writes it) at VENUE.

    CSV and Parquet have a row a level.

    Example: crypto-platform book coinbase BTC/USD --as-of 2026-01-31T14:30
    """
    form = Form(as_json, as_csv, parquet_file)
    form.check()
    answer = read_order_book(load_settings(data_dir), Place(venue, symbol), as_of_us=as_of_us)
    echo_problems(answer.problems, answer.store)
    books = answer.order_books()
    if form.as_json:
        document = {**_describe(answer), **_figures(books)}
        echo_form(form, build_sheet(FEED_BY_NAME["order_books"], books), document, name="books")
    else:
        echo_form(form, build_levels(books), {}, name="levels")
    if form.is_for_people and books:
        click.echo("\n".join(format_book(books[0])))
    if not books:
        click.echo("no book is stored of that time", err=True)
        sys.exit(1)


def _choose_range(begins_us: int | None, ends_us: int | None, last: int | None) -> tuple[Span, int]:
    if begins_us is not None and ends_us is not None and begins_us >= ends_us:
        message = "--from is not before --to, so nothing lies between them"
        raise click.UsageError(message)
    is_open = begins_us is None and ends_us is None
    return Span(begins_us, ends_us), last or (LAST if is_open else RECORDS_MAX)


def _describe(answer: MarketAnswer) -> dict[str, object]:
    return {"store": answer.store, **answer.market._asdict()}


def _echo(form: Form, answer: MarketAnswer, name: str, lines: Callable[[], Sequence[str]]) -> None:
    echo_problems(answer.problems, answer.store)
    sheet = build_sheet(FEED_BY_NAME[name], answer.records)
    echo_form(form, sheet, _describe(answer), name=name)
    if form.is_for_people and answer.records:
        click.echo("\n".join(lines()))


def _end(answer: MarketAnswer, name: str, *, records_max: int, last: int | None) -> None:
    """Say what is not shown; nothing at all is exit 1."""
    if not answer.records:
        click.echo(f"no {name} of that time are stored", err=True)
        sys.exit(1)
    if last is None and len(answer.records) == RECORDS_MAX == records_max:
        message = f"only the newest {RECORDS_MAX:,} are given; a shorter --from, --to has all"
        raise click.ClickException(message)


def format_trades(trades: Sequence[Trade]) -> list[str]:
    """Lines of a table, amounts with all their digits."""
    prices = align_points([trade.price for trade in trades])
    quantities = align_points([trade.quantity for trade in trades])
    rows = [
        (
            print_time(trade.ts_event),
            price,
            quantity,
            trade.taker_side or UNKNOWN,
            printable(trade.trade_id),
        )
        for trade, price, quantity in zip(trades, prices, quantities, strict=True)
    ]
    return format_table(("time", "price", "quantity", "taker", "trade id"), rows)


def format_candles(candles: Sequence[Candle]) -> list[str]:
    """Lines of a table, amounts with all their digits."""
    names = ("open", "high", "low", "close", "base_volume")
    amounts = [align_points([getattr(candle, name) for candle in candles]) for name in names]
    counts = [
        UNKNOWN if candle.trade_count is None else str(candle.trade_count) for candle in candles
    ]
    times = [print_time(candle.ts_event)[:16].replace("T", " ") for candle in candles]
    rows = list(zip(times, *amounts, counts, strict=True))
    header = ("open time", "open", "high", "low", "close", "volume", "trades")
    return format_table(header, rows, right=frozenset({6}))


def format_book(book: OrderBook) -> list[str]:
    """Both sides beside each other, best first, amounts with all their digits."""
    levels = max(len(book.bid_prices), len(book.ask_prices))
    columns = [
        align_points([*amounts, *[""] * (levels - len(amounts))])
        for amounts in (
            book.bid_quantities,
            book.bid_prices,
            book.ask_prices,
            book.ask_quantities,
        )
    ]
    whose = "the venue's time" if book.timed_by == TimedBy.VENUE else "time of our poll"
    name = printable(book.symbol or book.venue_symbol)
    figures = _figures([book])
    return [
        f"{book.venue} {name}  {print_time(book.ts_event)} ({whose})",
        f"spread {figures['spread'] or UNKNOWN}  mid {figures['mid_price'] or UNKNOWN}",
        "",
        *format_table(
            ("bid quantity", "bid", "ask", "ask quantity"),
            list(zip(*columns, strict=True)),
            right=frozenset({0, 1}),
        ),
    ]


def _figures(books: Sequence[OrderBook]) -> dict[str, str | None]:
    sides = [(book.bid_prices, book.ask_prices) for book in books[:1]] or [((), ())]
    return {"spread": find_spread(*sides[0]), "mid_price": find_mid_price(*sides[0])}


def build_levels(books: Sequence[OrderBook]) -> Sheet:
    """A row a level, the best bid first, then the best ask."""
    columns = [
        *(Column(name, FieldKind.TEXT) for name in ("venue", "venue_symbol", "symbol", "sequence")),
        Column("ts_event", FieldKind.TIME_US),
        Column("side", FieldKind.TEXT),
        Column("level", FieldKind.INTEGER),
        Column("price", FieldKind.AMOUNT),
        Column("quantity", FieldKind.AMOUNT),
    ]
    rows: list[Sequence[Any]] = []
    for book in books:
        whose = (book.venue, book.venue_symbol, book.symbol, book.sequence, book.ts_event)
        for side, prices, quantities in (
            ("bid", book.bid_prices, book.bid_quantities),
            ("ask", book.ask_prices, book.ask_quantities),
        ):
            levels = enumerate(zip(prices, quantities, strict=True), start=1)
            rows += [(*whose, side, number, *level) for number, level in levels]
    return Sheet(columns, rows)

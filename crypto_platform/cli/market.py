"""`trades`, `book`, `candles`: what a venue's market was and is, from whichever store answers.

Here: arguments, tables for people with exact digits. Not here: which store, which records
(serving/market.py), other forms (sheet.py).
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from crypto_platform.cli.options import TIME, data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options, writing
from crypto_platform.cli.sparkline import draw_sparkline
from crypto_platform.cli.text import align_points, format_minute, format_table, printable
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.feeds.record import list_fields
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.analytics import MadeCandle, reading_built_candles
from crypto_platform.serving.book_metrics import describe_top
from crypto_platform.serving.market import (
    MarketAnswer,
    Place,
    reading_candles,
    reading_order_book,
    reading_trades,
)
from crypto_platform.serving.sheets import (
    Column,
    Sheet,
    build_sheet,
    build_source,
    build_struct_sheet,
    print_time,
)
from crypto_platform.settings import load_settings
from crypto_platform.stores.market import Span

LAST = 50
"""Records shown where neither a number nor a range is given."""
SPARKLINE_WIDTH = 60
"""So many closes, the newest, are drawn under candles."""
SPEAK_EVERY_S = 2.0
"""On stderr, of an answer that takes longer."""

Shown = TypeVar("Shown", bound=msgspec.Struct)

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
        type=click.IntRange(min=1),
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
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show the trades of SYMBOL (BTC/USD, or as the venue writes it) at VENUE, newest last.

    Example: crypto-platform trades coinbase BTC/USD --from 2026-01-31T14:00 --to 2026-01-31T15:00
    """
    span, newest = choose_range(begins_us, ends_us, last)
    settings = load_settings(data_dir)
    with reading_trades(settings, Place(venue, symbol), span, newest=newest) as answer:
        _echo(form, answer, "trades", TRADES.fields, format_trades)


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
@click.option(
    "--made-of",
    type=click.Choice(["venue", "trades"]),
    default="venue",
    show_default=True,
    help="Candles as the venue publishes them, or made of its trades here.",
)
@range_options
@form_options
@data_dir_option
def candles_command(
    *,
    venue: str,
    symbol: str,
    interval: str,
    made_of: str,
    last: int | None,
    begins_us: int | None,
    ends_us: int | None,
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show the candles of SYMBOL (BTC/USD, or as the venue writes it) at VENUE, newest last.

    --from and --to are open times. Of a candle that the venue corrected, its last revision. Those
    made of trades are of all that are stored, late ones and those of the open interval too. The
    newest closes stand under the table as a line.

    Example: crypto-platform candles coinbase BTC/USD --interval 1h --from 2026-01-31
    """
    span, newest = choose_range(begins_us, ends_us, last)
    settings, place = load_settings(data_dir), Place(venue, symbol)
    if made_of == "trades":
        with reading_built_candles(
            settings, place, Interval(interval), span, newest=newest
        ) as built:
            _echo(form, built, "candles", list_fields(MadeCandle), format_candles)
        return
    with reading_candles(settings, place, Interval(interval), span, newest=newest) as answer:
        _echo(form, answer, "candles", CANDLES.fields, format_candles)


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
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show the last order book of SYMBOL (BTC/USD, or as the venue writes it) at VENUE.

    CSV and Parquet have a row a level.

    Example: crypto-platform book coinbase BTC/USD --as-of 2026-01-31T14:30
    """
    settings = load_settings(data_dir)
    with reading_order_book(settings, Place(venue, symbol), as_of_us=as_of_us) as answer:
        echo_source(answer.source)
        books = [each for page in answer.pages for each in page if isinstance(each, OrderBook)]
    if form.as_json:
        document = {**_describe(answer), **describe_top(next(iter(books), None))}
        echo_form(form, build_sheet(FEED_BY_NAME["order_books"], books), document, name="books")
    else:
        echo_form(form, build_levels(books), {}, name="levels")
    if form.is_for_people and books:
        click.echo("\n".join(format_book(books[0])))
    if not books:
        click.echo("no book is stored of that time", err=True)
        sys.exit(1)


def choose_range(
    begins_us: int | None, ends_us: int | None, last: int | None
) -> tuple[Span, int | None]:
    """The span, and how many of the newest of it; None is all."""
    if begins_us is not None and ends_us is not None and begins_us >= ends_us:
        message = "--from is not before --to, so nothing lies between them"
        raise click.UsageError(message)
    is_open = begins_us is None and ends_us is None
    return Span(begins_us, ends_us), last or (LAST if is_open else None)


def _describe(answer: MarketAnswer[Shown]) -> dict[str, object]:
    return {**build_source(answer.source), **answer.market._asdict()}


def _echo(
    form: Form,
    answer: MarketAnswer[Shown],
    name: str,
    fields: Sequence[Field],
    format_lines: Callable[[Sequence[Any]], Sequence[str]],
) -> None:
    """Page by page; nothing at all is exit 1."""
    echo_source(answer.source)
    shown, speaker = 0, _Speaker(name)
    closes = deque[Decimal](maxlen=SPARKLINE_WIDTH)
    columns = build_struct_sheet(fields, []).columns
    time_place = [column.name for column in columns].index("ts_event")
    with writing(form, columns, _describe(answer), name=name) as write:
        for page in answer.pages:
            rows = build_struct_sheet(fields, page).rows
            write(rows)
            if form.is_for_people:
                # each page is aligned by itself
                click.echo("\n".join(format_lines(page)[1 if shown else 0 :]))
                closes.extend(map(Decimal, _list_closes(page)))
            shown += len(page)
            speaker.note(shown, rows[-1][time_place])
    if len(closes) > 1:
        line = draw_sparkline(list(closes), width=SPARKLINE_WIDTH)
        click.echo(f"\n{line}  {len(closes)} closes")
    if not shown:
        click.echo(f"no {name} of that time are stored", err=True)
        sys.exit(1)


def _list_closes(page: Sequence[object]) -> list[str]:
    return [each.close for each in page if isinstance(each, Candle | MadeCandle)]


class _Speaker:
    """How far a long answer is, on stderr."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spoken_at = time.monotonic()

    def note(self, shown: int, reached_us: int) -> None:
        """Called after each page."""
        if time.monotonic() - self._spoken_at < SPEAK_EVERY_S:
            return
        self._spoken_at = time.monotonic()
        text = f"{shown:,} {self._name} so far, up to {print_time(reached_us)}"
        click.echo(text, err=True)


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


def format_candles(candles: Sequence[Candle | MadeCandle]) -> list[str]:
    """Lines of a table, amounts with all their digits."""
    names = ("open", "high", "low", "close", "base_volume")
    amounts = [align_points([getattr(candle, name) for candle in candles]) for name in names]
    counts = [
        UNKNOWN if candle.trade_count is None else str(candle.trade_count) for candle in candles
    ]
    times = [format_minute(candle.ts_event) for candle in candles]
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
    figures = describe_top(book)
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

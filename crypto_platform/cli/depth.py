"""`depth`: what a market's order book says, and what an order would cost.

Here: arguments, text. Not here: figures (serving/book_metrics.py), the levels themselves (`book`).
"""

import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click

from crypto_platform.cli.market import symbol_argument, venue_argument
from crypto_platform.cli.options import TIME, data_dir_option
from crypto_platform.cli.sheet import Form, echo_form, echo_source, form_options
from crypto_platform.cli.sparkline import draw_bar
from crypto_platform.cli.text import align_points, format_table, printable
from crypto_platform.domain.book_metrics import BookMetrics, Depth
from crypto_platform.domain.money import explain_amount
from crypto_platform.domain.readable import UNKNOWN
from crypto_platform.feeds.order_books import OrderBook, TimedBy
from crypto_platform.serving.book_metrics import (
    Order,
    build_metrics,
    build_orders,
    read_book_metrics,
)
from crypto_platform.serving.market import Place
from crypto_platform.serving.sheets import build_rows, build_source, print_time
from crypto_platform.settings import load_settings

BAR_WIDTH = 24


class _Size(click.ParamType[Decimal]):
    name = "quantity"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        if isinstance(value, Decimal):
            return value
        problem = explain_amount(str(value), above_zero=True)
        if problem is not None:
            self.fail(f"{value!r} is no quantity, as 0.5 is one: {problem}", param, ctx)
        return Decimal(str(value))


@click.command()
@venue_argument
@symbol_argument
@click.option("--as-of", "as_of_us", type=TIME, help="The book that stood at this time (UTC).")
@click.option(
    "--size",
    "sizes",
    type=_Size(),
    multiple=True,
    help="What buying and selling so much of the base would cost; may be given again.",
)
@form_options
@data_dir_option
def depth_command(
    *,
    venue: str,
    symbol: str,
    as_of_us: int | None,
    sizes: tuple[Decimal, ...],
    form: Form,
    data_dir: Path | None,
) -> None:
    """Show spread, depth and imbalance of the last order book of SYMBOL at VENUE.

    A snapshot ends somewhere: ">=" is before what may be more. CSV and Parquet have one row.

    Example: crypto-platform depth coinbase BTC/USD --size 0.5 --size 10
    """
    settings, place = load_settings(data_dir), Place(venue, symbol)
    measured = read_book_metrics(settings, place, as_of_us=as_of_us, sizes=sizes)
    echo_source(measured.source)
    document = {
        **build_source(measured.source),
        **measured.market._asdict(),
        "orders": build_rows(build_orders(measured)),
    }
    echo_form(form, build_metrics(measured), document, name="metrics")
    if measured.book is None or measured.metrics is None:
        click.echo("no book is stored of that time", err=True)
        sys.exit(1)
    if form.is_for_people:
        lines = format_metrics(measured.book, measured.metrics, symbol=measured.market.symbol)
        click.echo("\n".join([*lines, *format_orders(measured.orders)]))


def format_metrics(book: OrderBook, metrics: BookMetrics, *, symbol: str | None) -> list[str]:
    """Lines for people, amounts with all their digits."""
    whose = "the venue's time" if book.timed_by == TimedBy.VENUE else "time of our poll"
    name = printable(symbol or book.venue_symbol)
    imbalance = UNKNOWN
    if metrics.imbalance_ratio is not None:
        imbalance = f"{metrics.imbalance_ratio:+.3f} over {metrics.imbalance_levels} levels a side"
    spread = f"{_amount(metrics.spread)} ({_bps(metrics.spread_bps)})"
    return [
        f"{book.venue} {name}  {print_time(book.ts_event)} ({whose})",
        f"mid {_amount(metrics.mid_price)}  spread {spread}  imbalance {imbalance}",
        *_format_bands(metrics),
    ]


def _format_bands(metrics: BookMetrics) -> list[str]:
    if not metrics.bands:
        return []
    cells = [[*_depth(band.bid), *_depth(band.ask)] for band in metrics.bands]
    columns = [align_points(column) for column in zip(*cells, strict=True)]
    names = [f"{band.bps} bp" for band in metrics.bands]
    header = ("within", "bids: base", "quote", "asks: base", "quote")
    rows = list(zip(names, *columns, strict=True))
    return ["", *format_table(header, rows, right=frozenset({0})), "", *_draw_bands(metrics)]


def _draw_bands(metrics: BookMetrics) -> list[str]:
    """What waits on both sides in quote currency, the bids to the left, as bars."""
    longest = max(side.quote for band in metrics.bands for side in (band.bid, band.ask))
    names = [f"{band.bps} bp" for band in metrics.bands]
    width = max(map(len, names))
    lines: list[str] = []
    for name, band in zip(names, metrics.bands, strict=True):
        bid, ask = (
            draw_bar(side.quote, longest=longest, width=BAR_WIDTH) for side in (band.bid, band.ask)
        )
        lines.append(f"{name:>{width}}  {bid:>{BAR_WIDTH}} | {ask}".rstrip())
    return lines


def _depth(side: Depth) -> tuple[str, str]:
    more = "" if side.is_whole else ">= "
    return f"{more}{side.base:f}", f"{more}{side.quote:f}"


def format_orders(orders: Sequence[Order]) -> list[str]:
    """Lines of a table; a book too thin says what there was."""
    if not orders:
        return []
    rows = [
        (
            order.side.value,
            f"{order.quantity:f}",
            f"too thin: {order.fill.filled:f} for {order.fill.paid:f}"
            if order.fill.average_price is None
            else _amount(order.fill.average_price),
            _bps(order.fill.slippage_bps),
        )
        for order in orders
    ]
    header = ("order", "quantity", "average price", "slippage")
    return ["", *format_table(header, rows, right=frozenset({1}))]


def _amount(amount: Decimal | None) -> str:
    return UNKNOWN if amount is None else f"{amount:f}"


def _bps(bps: Decimal | None) -> str:
    return UNKNOWN if bps is None else f"{bps:.2f} bp"

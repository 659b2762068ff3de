"""What a market's order book says, from whichever store answers.

Here: the last book of a market measured, and its figures as rows for other programs. Not here: how
they are reckoned (domain/book_metrics.py), a book's levels as they are (market.py), text (cli/).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain.book_metrics import (
    BANDS_BPS,
    ORDER_SIZES,
    BookMetrics,
    Fill,
    fill_buy,
    fill_sell,
    find_mid_price,
    find_spread,
    flatten,
    measure_book,
)
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.order_books import OrderBook, read_levels
from crypto_platform.feeds.trades import Side
from crypto_platform.serving.failover import Source
from crypto_platform.serving.market import Place, reading_order_book
from crypto_platform.serving.sheets import Column, Sheet, print_amount
from crypto_platform.settings import Settings
from crypto_platform.stores.market import Market


class Order(NamedTuple):
    """What somebody would like to trade at once."""

    side: Side
    quantity: Decimal
    fill: Fill


@dataclass(frozen=True, kw_only=True)
class MeasuredBook:
    """A book and what it says; None and nothing where none is stored of that time.

    Attributes:
        orders: For each size asked, buying and selling it.
    """

    source: Source
    market: Market
    book: OrderBook | None
    metrics: BookMetrics | None
    orders: Sequence[Order]


def read_book_metrics(
    settings: Settings,
    place: Place,
    *,
    as_of_us: int | None = None,
    sizes: Sequence[Decimal] = (),
) -> MeasuredBook:
    """Figures of the last order book of a market, at or before a time.

    Args:
        sizes: Quantities of base, above zero, that one would like to buy or sell.

    Raises:
        UnknownMarketError: There are none of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said.
    """
    with reading_order_book(settings, place, as_of_us=as_of_us) as answer:
        books = [each for page in answer.pages for each in page if isinstance(each, OrderBook)]
    return measure_stored(answer.source, answer.market, next(iter(books), None), sizes)


def measure_stored(
    source: Source, market: Market, book: OrderBook | None, sizes: Sequence[Decimal]
) -> MeasuredBook:
    """What a book that was read says; sizes as in read_book_metrics. Pure."""
    levels = None if book is None else read_levels(book)
    orders: list[Order] = []
    if levels is not None:
        for size in sizes:
            orders.append(Order(Side.BUY, size, fill_buy(levels, size)))
            orders.append(Order(Side.SELL, size, fill_sell(levels, size)))
    return MeasuredBook(
        source=source,
        market=market,
        book=book,
        metrics=None if levels is None else measure_book(levels),
        orders=orders,
    )


def describe_top(book: OrderBook | None) -> dict[str, str | None]:
    """Spread and mid price as text, beside a book's levels; unknown where a side is empty."""
    levels = None if book is None else read_levels(book)
    top = (None, None) if levels is None else (find_spread(levels), find_mid_price(levels))
    spread, mid_price = map(print_amount, top)
    return {"spread": spread, "mid_price": mid_price}


METRIC_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("venue", "venue_symbol", "symbol")),
    Column("ts_event", FieldKind.TIME_US),
    *(
        Column(name, FieldKind.AMOUNT)
        for name in ("best_bid", "best_ask", "mid_price", "spread", "spread_bps")
    ),
    *(Column(name, FieldKind.AMOUNT) for name in ("bid_quantity", "ask_quantity")),
    Column("imbalance_ratio", FieldKind.AMOUNT),
    Column("imbalance_levels", FieldKind.INTEGER),
    *(
        column
        for bps in BANDS_BPS
        for side in ("bid", "ask")
        for column in (
            Column(f"{side}_base_{bps}bps", FieldKind.AMOUNT),
            Column(f"{side}_quote_{bps}bps", FieldKind.AMOUNT),
            Column(f"{side}_is_whole_{bps}bps", None),
        )
    ),
    *(
        Column(f"{side}_{size}_slippage_bps", FieldKind.AMOUNT)
        for size in ORDER_SIZES
        for side in ("buy", "sell")
    ),
)
"""Of a book's figures as a row; `is_whole` is false where there is at least so much."""

ORDER_COLUMNS: Sequence[Column] = (
    Column("side", FieldKind.TEXT),
    *(
        Column(name, FieldKind.AMOUNT)
        for name in ("quantity", "filled", "paid", "average_price", "slippage_bps")
    ),
)


def build_metrics(measured: MeasuredBook) -> Sheet:
    """The figures of a book as one row; none where there is no book."""
    book, metrics = measured.book, measured.metrics
    if book is None or metrics is None:
        return Sheet(METRIC_COLUMNS, [])
    row = (book.venue, book.venue_symbol, measured.market.symbol, book.ts_event)
    return Sheet(METRIC_COLUMNS, [(*row, *map(_plain, flatten(metrics)))])


def build_orders(measured: MeasuredBook) -> Sheet:
    """What orders would get, one a row."""
    rows = [
        (order.side.value, *map(_plain, (order.quantity, *order.fill))) for order in measured.orders
    ]
    return Sheet(ORDER_COLUMNS, rows)


def _plain(value: Decimal | int | bool | None) -> object:  # noqa: FBT001 (any of a row)
    return f"{value:f}" if isinstance(value, Decimal) else value

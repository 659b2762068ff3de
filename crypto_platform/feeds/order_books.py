"""order_books: the best levels of a venue's order book at one moment.

A snapshot is a fact of its own, so nothing is kept up between two of them. Not here: keeping a book
from its changes, spread and depth (domain/book_metrics.py).
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from crypto_platform.domain.book_metrics import Book, Level
from crypto_platform.feeds.feed import (
    Amounts,
    Count,
    Feed,
    Index,
    MappedText,
    Record,
    Step,
    Text,
    TimeUs,
    seal,
)


class TimedBy(StrEnum):
    """Whose clock a time is of."""

    VENUE = "venue"
    PLATFORM = "platform"


class OrderBook(Record, frozen=True, kw_only=True, tag=1):
    """A snapshot: a level is a price and the quantity that waits at it.

    Attributes:
        venue: Whose book it is: the source's name in the settings.
        venue_symbol: The venue's own (BTC-USD); part of the id.
        symbol: Unified by ccxt's grammar (BTC/USD), as it was mapped when the book was published;
            None where nobody mapped it. No part of the content.
        depth: Levels a side that were asked for; a side may have fewer.
        sequence: The venue's number of this state of the book, as text; None where it gives none.
        bid_prices: Quote currency for one unit of base, best (highest) first.
        bid_quantities: Units of base that wait at each of these prices.
        ask_prices: Quote currency for one unit of base, best (lowest) first.
        ask_quantities: Units of base that wait at each of these prices.
        ts_event: When the book was so: the venue's time, else that of our poll.
        ts_event_text: The venue's own text where it is finer than microseconds, else None.
        timed_by: Whose time ts_event is.
    """

    venue: Text
    venue_symbol: Text
    symbol: MappedText | None = None
    depth: Count
    sequence: Text | None = None
    bid_prices: Amounts
    bid_quantities: Amounts
    ask_prices: Amounts
    ask_quantities: Amounts
    ts_event: TimeUs
    ts_event_text: Text | None = None
    timed_by: TimedBy


def seal_order_book(draft: OrderBook) -> OrderBook:
    """Give a snapshot its hash and its id: venue, symbol, depth, sequence, time, content."""
    identity = (
        draft.venue,
        draft.venue_symbol,
        draft.depth,
        draft.sequence,
        draft.ts_event,
    )
    return seal(draft, identity=identity, content_in_id=True)


def same_book(book: OrderBook) -> object:
    """What two polls share where the book has not moved between them."""
    return (
        book.sequence,
        book.bid_prices,
        book.bid_quantities,
        book.ask_prices,
        book.ask_quantities,
    )


def read_levels(book: OrderBook) -> Book:
    """Both sides as numbers."""

    def pair(prices: Sequence[str], quantities: Sequence[str]) -> list[Level]:
        levels = zip(prices, quantities, strict=True)
        return [Level(Decimal(price), Decimal(quantity)) for price, quantity in levels]

    return Book(
        bids=pair(book.bid_prices, book.bid_quantities),
        asks=pair(book.ask_prices, book.ask_quantities),
        depth=book.depth,
    )


ORDER_BOOKS = Feed(
    name="order_books",
    topic="market.order_books",
    partitions=6,
    record=OrderBook,
    versions=OrderBook,
    key_of=lambda book: f"{book.venue}:{book.venue_symbol}",
    state_of=same_book,
    schema="market",
    table="order_book",
    partition_step=Step.DAY,
    collection="order_books",
    positive_names=("bid_prices", "ask_prices"),
    paired_names=(("bid_prices", "bid_quantities"), ("ask_prices", "ask_quantities")),
    retention_days=3,
    indexes=(Index(fields=("venue", "venue_symbol", "-ts_event")),),
    notes_hours=True,
    description="The best levels of a venue's order book at one moment.",
)

"""What of a poll is published: what says something new."""

import msgspec

from crypto_platform.delivery.changes import Published
from crypto_platform.errors import Reason
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.quotes import QUOTES, Quote, seal_quote
from crypto_platform.feeds.rejected import build_rejected


def book(
    time_us: int, *, sequence: str = "7", price: str = "99.5", symbol: str = "BTC-USD"
) -> OrderBook:
    return seal_order_book(
        OrderBook(
            venue="coinbase",
            venue_symbol=symbol,
            depth=1,
            sequence=sequence,
            bid_prices=(price,),
            bid_quantities=("1",),
            ask_prices=("100",),
            ask_quantities=("1",),
            ts_event=time_us,
            timed_by=TimedBy.VENUE,
            ts_ingest=time_us,
        )
    )


def quote(price: str, *, ts_ingest: int = 9) -> Quote:
    return seal_quote(
        Quote(
            source="coincap",
            currency_id="bitcoin",
            quote_currency="USD",
            price=price,
            ts_event=5,
            ts_ingest=ts_ingest,
        )
    )


def test_a_book_that_has_not_moved_is_published_once_however_often_it_is_read() -> None:
    """Twenty books a second, each with its own time, would fill a disk with the same levels."""
    published = Published()
    sent = []
    for one in (book(1), book(2), book(3, sequence="8"), book(4, sequence="8"), book(5)):
        changes = published.choose_changed(ORDER_BOOKS, [one])
        published.note(changes)
        sent += changes.records
    assert [one.ts_event for one in sent if isinstance(one, OrderBook)] == [1, 3, 5]


def test_each_symbol_has_a_state_of_its_own() -> None:
    """Else two books in turn would each look new."""
    published = Published()
    both = [book(1), book(1, symbol="ETH-USD")]
    published.note(published.choose_changed(ORDER_BOOKS, both))
    again = [book(2), book(2, symbol="ETH-USD", price="98")]
    assert published.choose_changed(ORDER_BOOKS, again).records == again[1:]


def test_a_feed_without_a_state_is_told_by_its_ids() -> None:
    """A quote under the same time with the same figures is the same fact."""
    published = Published()
    published.note(published.choose_changed(QUOTES, [quote("1.5")]))
    assert published.choose_changed(QUOTES, [quote("1.5", ts_ingest=10)]).records == []
    assert published.choose_changed(QUOTES, [quote("1.6")]).records == [quote("1.6")]


def test_what_was_not_published_after_all_is_new_again() -> None:
    """Kafka may have been away: the next poll must send it."""
    published = Published()
    assert published.choose_changed(QUOTES, [quote("1.5")]).records
    assert published.choose_changed(QUOTES, [quote("1.5")]).records


def test_the_same_again_within_one_poll_is_sent_once() -> None:
    """A page that repeats an item."""
    changes = Published().choose_changed(QUOTES, [quote("1.5"), quote("1.5"), quote("1.6")])
    assert changes.records == [quote("1.5"), quote("1.6")]


def test_a_rejected_piece_is_sent_once_and_hides_no_other() -> None:
    """A source that is broken for hours sends the same bytes every second."""
    rejected = FEED_BY_NAME["rejected"]
    pieces = [
        build_rejected(
            source="coincap",
            feed="quotes",
            reason=Reason.INVARIANT,
            error="NaN",
            raw=raw,
            ts_ingest=1,
        )
        for raw in (b"a", b"b")
    ]
    published = Published()
    published.note(published.choose_changed(rejected, pieces))
    later = [msgspec.structs.replace(piece, ts_ingest=2) for piece in pieces]
    assert published.choose_changed(rejected, later).records == []

"""Whether an order book can be one: levels in order, best bid below best ask.

Pure. Not here: spread and mid price (domain/book_metrics.py), reading (quality_hour.py).
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from crypto_platform.delivery.quality_finding import Findings, Flaw, format_moment
from crypto_platform.domain.hours import TimeUs
from crypto_platform.feeds.order_books import OrderBook, TimedBy


def look_at_book(book: OrderBook, findings: Findings, *, stale_us: TimeUs) -> None:
    """Note what is wrong with a snapshot.

    Args:
        stale_us: A book that the venue calls older than this when we received it is stale.
    """
    at = format_moment(book.ts_event)
    bids, asks = list(map(Decimal, book.bid_prices)), list(map(Decimal, book.ask_prices))
    if bids and asks and bids[0] >= asks[0]:
        text = f"{at} bid {book.bid_prices[0]}, ask {book.ask_prices[0]}"
        findings.note(Flaw.BOOK_CROSSED, book.ts_event, text)
    if not (_is_falling(bids) and _is_falling(asks[::-1])):
        side = "asks" if _is_falling(bids) else "bids"
        findings.note(Flaw.BOOK_UNSORTED, book.ts_event, f"{at} {side}")
    age_us = book.ts_ingest - book.ts_event
    if book.timed_by == TimedBy.VENUE and age_us > stale_us:
        text = f"the venue's book of {at} was {age_us // 1_000_000:,} s old when it came"
        findings.note(Flaw.STALE, book.ts_event, text)


def _is_falling(prices: Sequence[Decimal]) -> bool:
    return all(earlier > later for earlier, later in pairwise(prices))

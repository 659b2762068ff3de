"""A market's records one by one, as what their feed says they are.

Here: the pages of `Store.read_market`, flattened; memory holds one of them. Not here: what is
looked for in them (quality_hour.py, gap_report.py), reading for people (serving/market.py).
"""

from collections.abc import Iterator

from crypto_platform.feeds import Feed
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.feed import R
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import MARKET_PAGE_RECORDS, Market, Span


def read_each(
    store: Store,
    feed: Feed[R],
    market: Market,
    span: Span,
    *,
    interval: Interval | None = None,
    newest: int | None = None,
    page_records: int = MARKET_PAGE_RECORDS,
) -> Iterator[R]:
    """The trades, order books or candles of a market, oldest first; see Store.read_market."""
    pages = store.read_market(
        feed, market, span, interval=interval, newest=newest, page_records=page_records
    )
    for page in pages:
        for record in page:
            if isinstance(record, feed.record):
                yield record

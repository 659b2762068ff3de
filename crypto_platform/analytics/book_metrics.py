"""What the last order book of each minute said; it stays long after retention removed the book.

A minute a row and market, some 12 MB a day for twenty of them: as long as trades are kept.

Not here: the arithmetic (domain/book_metrics.py).
"""

from crypto_platform.analytics.computation import Computation, Work
from crypto_platform.analytics.pictures import drawing
from crypto_platform.domain.book_metrics import flatten, measure_book
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.stores.postgres import analytics_pictures
from crypto_platform.stores.postgres.analytics_figures import BOOK_METRICS as TABLE
from crypto_platform.stores.postgres.analytics_figures import write_figures
from crypto_platform.stores.postgres.analytics_sources import read_books


def compute_book_metrics(work: Work) -> int:
    """See Computation.compute."""
    changed = 0
    for stretch in work.stretches:
        rows = [
            (
                *stretch.market,
                stored.minute,
                stored.symbol,
                stored.ts_event,
                stored.event_id,
                *flatten(measure_book(stored.book)),
            )
            for stored in read_books(work.connection, stretch.span, as_of_us=work.as_of_us)
        ]
        changed += write_figures(work.connection, TABLE, rows)
    return changed


BOOK_METRICS = Computation(
    name="book_metrics",
    description="Spread, depth within 10, 50 and 100 basis points of the mid price, and imbalance "
    "of the last order book of each minute; kept for 90 days, the books for 3.",
    feeds=(ORDER_BOOKS.name,),
    tables=("analytics.book_metrics",),
    kept_days=90,
    compute=compute_book_metrics,
    draw=drawing(analytics_pictures.SPREAD),
)

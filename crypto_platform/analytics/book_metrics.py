"""What the last order book of each minute said; it stays long after retention removed the book.

A minute a row and market, some 12 MB a day for twenty of them: as long as trades are kept.

Not here: the arithmetic (domain/book_metrics.py).
"""

from collections.abc import Mapping

from crypto_platform.analytics.computation import Computation, Origin, Work, name_market
from crypto_platform.analytics.pictures import drawing
from crypto_platform.domain.book_metrics import BANDS_BPS, ORDER_SIZES, flatten, measure_book
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


_TOP = ("order_books.bid_prices", "order_books.ask_prices")


def _describe_depth(side: str, bps: int) -> Mapping[str, Origin]:
    levels = (*_TOP, f"order_books.{side}_quantities")
    within = f"of the {side}s within {bps} basis points of the mid price"
    return {
        f"{side}_base_{bps}bps": Origin(f"Units of base {within}.", levels),
        f"{side}_quote_{bps}bps": Origin(f"Quote currency {within}.", levels),
        f"{side}_is_whole_{bps}bps": Origin(
            f"Whether that is all {within}; else there is at least so much.", levels
        ),
    }


def _describe_slippage(side: str, size: int) -> Origin:
    whose = "asks" if side == "buy" else "bids"
    return Origin(
        f"What a {side} order for {size:,} of quote currency would lose against the mid price; "
        f"unknown where the stored {whose} do not reach.",
        (*_TOP, f"order_books.{whose[:-1]}_quantities"),
    )


COLUMNS: Mapping[str, Origin] = {
    **name_market("order_books"),
    "minute": Origin("Its first moment, UTC.", ("order_books.ts_event",)),
    "ts_event": Origin("When the book stood.", ("order_books.ts_event",)),
    "event_id": Origin("Of the book.", ("order_books.event_id",)),
    "best_bid": Origin("Highest price that is bid.", ("order_books.bid_prices",)),
    "best_ask": Origin("Lowest price that is asked.", ("order_books.ask_prices",)),
    "mid_price": Origin("Half way between both.", _TOP),
    "spread": Origin("Best ask less best bid, in quote currency.", _TOP),
    "spread_bps": Origin("The same in basis points of the mid price.", _TOP),
    "bid_quantity": Origin("Units of base at the best bid.", ("order_books.bid_quantities",)),
    "ask_quantity": Origin("Units of base at the best ask.", ("order_books.ask_quantities",)),
    "imbalance_ratio": Origin(
        "(bids - asks) / (bids + asks) of equally many levels a side, -1 to 1.",
        ("order_books.bid_quantities", "order_books.ask_quantities"),
    ),
    "imbalance_levels": Origin(
        "So many levels a side.", ("order_books.bid_quantities", "order_books.ask_quantities")
    ),
    **{
        name: origin
        for bps in BANDS_BPS
        for side in ("bid", "ask")
        for name, origin in _describe_depth(side, bps).items()
    },
    **{
        f"{side}_{size}_slippage_bps": _describe_slippage(side, size)
        for size in ORDER_SIZES
        for side in ("buy", "sell")
    },
}

BOOK_METRICS = Computation(
    name="book_metrics",
    description="Spread, depth within 10, 50 and 100 basis points of the mid price, imbalance, "
    "and slippage of orders for 1,000, 10,000 and 100,000 of quote currency, of the last order "
    "book of each minute; kept for 90 days, the books for 3.",
    feeds=(ORDER_BOOKS.name,),
    table=TABLE,
    columns=COLUMNS,
    kept_days=90,
    compute=compute_book_metrics,
    draw=drawing(analytics_pictures.SPREAD),
)

"""What an order book says: spread, depth, imbalance, and what an order would cost. Exact.

Here: figures of one snapshot, made of its levels as Decimals. Sums and products keep all their
digits; what is divided is rounded, where it says so. Not here: books as they are stored (feeds/),
books kept up from changes.

A snapshot holds the best levels only. Where its last one is still inside a band, there may be more
behind it: `Depth.is_whole` says so, and an order that eats all there is has no known price
(`Fill.average_price` is None), whatever the rest would have cost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain import exact

BANDS_BPS = (10, 50, 100)
"""Basis points from the mid price: a tenth, a half and one per cent."""
ORDER_SIZES = (1_000, 10_000, 100_000)
"""In quote currency, of the orders whose slippage every book is asked for."""
RATIO_DECIMALS = 10
BPS_DECIMALS = 6
PRICE_DECIMALS = 20
"""At most, of an average price, which is a quotient."""
_BPS = Decimal(10_000)
_HALF = Decimal("0.5")


class Level(NamedTuple):
    """A price and the quantity of base that waits at it."""

    price: Decimal
    quantity: Decimal


class Book(NamedTuple):
    """Both sides, best level first.

    Attributes:
        depth: Levels a side that were asked for: a side that has fewer has no more.
    """

    bids: Sequence[Level]
    asks: Sequence[Level]
    depth: int


class Depth(NamedTuple):
    """What waits within a band on one side.

    Attributes:
        base: Units of base.
        quote: What they cost, in quote currency.
        is_whole: False where the snapshot ends inside the band: there is at least so much.
    """

    base: Decimal
    quote: Decimal
    is_whole: bool


class Band(NamedTuple):
    """Depth on both sides, not further than so many basis points from the mid price."""

    bps: int
    bid: Depth
    ask: Depth


class Slippage(NamedTuple):
    """What orders at once for so much quote currency, at the mid price, would lose against it.

    Attributes:
        size: In quote currency; the order is for what that buys of base at the mid price.
        buy_bps, sell_bps: As Fill.slippage_bps; None where the book is too thin.
    """

    size: int
    buy_bps: Decimal | None
    sell_bps: Decimal | None


class Fill(NamedTuple):
    """What an order for a quantity would get at once.

    Attributes:
        filled: Units of base there are for it.
        paid: Their price together, in quote currency.
        average_price: For one unit; None where the book is too thin for all of it.
        slippage_bps: How much worse than the mid price that is; None where either is unknown.
    """

    filled: Decimal
    paid: Decimal
    average_price: Decimal | None
    slippage_bps: Decimal | None


@dataclass(frozen=True, kw_only=True)
class BookMetrics:
    """Figures of a book; what needs a side that is empty is None.

    Attributes:
        spread: Best ask - best bid; negative where the book is crossed.
        spread_bps: The same in basis points of the mid price.
        bid_quantity, ask_quantity: On the best level.
        imbalance_ratio: (bids - asks) / (bids + asks) in base over equally many levels of each
            side: 1 is nothing but bids, -1 nothing but asks.
        imbalance_levels: How many levels that were, a side.
        bands: As BANDS_BPS says, from the narrowest; none without a mid price.
        slippages: As ORDER_SIZES says, from the smallest; none without a mid price.
    """

    best_bid: Decimal | None
    best_ask: Decimal | None
    mid_price: Decimal | None
    spread: Decimal | None
    spread_bps: Decimal | None
    bid_quantity: Decimal | None
    ask_quantity: Decimal | None
    imbalance_ratio: Decimal | None
    imbalance_levels: int
    bands: Sequence[Band]
    slippages: Sequence[Slippage]


def measure_book(book: Book) -> BookMetrics:
    """All figures that need no question."""
    bid, ask = (next(iter(side), None) for side in (book.bids, book.asks))
    mid, spread = find_mid_price(book), find_spread(book)
    levels = min(len(book.bids), len(book.asks))
    return BookMetrics(
        best_bid=bid.price if bid else None,
        best_ask=ask.price if ask else None,
        mid_price=mid,
        spread=spread,
        spread_bps=None if spread is None or not mid else to_bps(spread, of=mid),
        bid_quantity=bid.quantity if bid else None,
        ask_quantity=ask.quantity if ask else None,
        imbalance_ratio=_find_imbalance(book, levels),
        imbalance_levels=levels,
        bands=[] if not mid else [measure_band(book, mid, bps) for bps in BANDS_BPS],
        slippages=[] if not mid else [measure_slippage(book, mid, size) for size in ORDER_SIZES],
    )


def flatten(metrics: BookMetrics) -> Iterator[Decimal | int | bool | None]:
    """All figures in their order.

    Of each band base, quote and is_whole of bids, then of asks; of each size what a purchase loses,
    then a sale.
    """
    yield from (
        metrics.best_bid,
        metrics.best_ask,
        metrics.mid_price,
        metrics.spread,
        metrics.spread_bps,
        metrics.bid_quantity,
        metrics.ask_quantity,
        metrics.imbalance_ratio,
        metrics.imbalance_levels,
    )
    if not metrics.bands:
        yield from [None] * (2 * len(Depth._fields) * len(BANDS_BPS))
    for band in metrics.bands:
        yield from (*band.bid, *band.ask)
    if not metrics.slippages:
        yield from [None] * (2 * len(ORDER_SIZES))
    for slippage in metrics.slippages:
        yield from (slippage.buy_bps, slippage.sell_bps)


def find_mid_price(book: Book) -> Decimal | None:
    """Halfway between best bid and best ask; None where a side is empty."""
    if not book.bids or not book.asks:
        return None
    return exact.multiply(exact.add(book.bids[0].price, book.asks[0].price), _HALF)


def find_spread(book: Book) -> Decimal | None:
    """Best ask - best bid; None where a side is empty. Negative where the book is crossed."""
    if not book.bids or not book.asks:
        return None
    return exact.subtract(book.asks[0].price, book.bids[0].price)


def to_bps(difference: Decimal, *, of: Decimal) -> Decimal:
    """Basis points of a price above zero, rounded half up to 6 decimals."""
    return exact.round_half_up(exact.divide(exact.multiply(difference, _BPS), of), BPS_DECIMALS)


def measure_band(book: Book, mid: Decimal, bps: int) -> Band:
    """What waits within so many basis points of a mid price, the bounds included."""
    away = exact.multiply(mid, Decimal(bps).scaleb(-4, exact.EXACT))
    lowest, highest = exact.subtract(mid, away), exact.add(mid, away)
    return Band(
        bps,
        _measure_side(book.bids, book.depth, lambda price: price >= lowest),
        _measure_side(book.asks, book.depth, lambda price: price <= highest),
    )


def _measure_side(levels: Sequence[Level], depth: int, is_near: Callable[[Decimal], bool]) -> Depth:
    near = [level for level in levels if is_near(level.price)]
    return Depth(
        exact.total(level.quantity for level in near),
        exact.total(exact.multiply(*level) for level in near),
        is_whole=len(near) < len(levels) or len(levels) < depth,
    )


def _find_imbalance(book: Book, levels: int) -> Decimal | None:
    bids, asks = (
        exact.total(level.quantity for level in side[:levels]) for side in (book.bids, book.asks)
    )
    both = exact.add(bids, asks)
    if not both:
        return None
    return exact.round_half_up(exact.divide(exact.subtract(bids, asks), both), RATIO_DECIMALS)


def fill_buy(book: Book, quantity: Decimal) -> Fill:
    """Buy a quantity of base, above zero, from the asks; slippage is what is paid above mid."""
    return _fill(book.asks, quantity, find_mid_price(book), sign=Decimal(1))


def fill_sell(book: Book, quantity: Decimal) -> Fill:
    """Sell a quantity of base, above zero, to the bids; slippage is what is got below mid."""
    return _fill(book.bids, quantity, find_mid_price(book), sign=Decimal(-1))


def measure_slippage(book: Book, mid: Decimal, size: int) -> Slippage:
    """What buying and selling at once for so much quote currency would lose against a mid price."""
    quantity = exact.divide(Decimal(size), mid)
    return Slippage(
        size, fill_buy(book, quantity).slippage_bps, fill_sell(book, quantity).slippage_bps
    )


def _shorten(price: Decimal) -> Decimal:
    """Rounded only where it is too long."""
    is_long = -int(price.as_tuple().exponent) > PRICE_DECIMALS
    return exact.round_half_up(price, PRICE_DECIMALS) if is_long else price


def _fill(
    levels: Sequence[Level], quantity: Decimal, mid: Decimal | None, *, sign: Decimal
) -> Fill:
    filled, paid = exact.ZERO, exact.ZERO
    for level in levels:
        taken = min(level.quantity, exact.subtract(quantity, filled))
        filled = exact.add(filled, taken)
        paid = exact.add(paid, exact.multiply(taken, level.price))
    if filled < quantity:
        return Fill(filled, paid, None, None)
    average = _shorten(exact.divide(paid, filled))
    if not mid:
        return Fill(filled, paid, average, None)
    # of the sums, not of the rounded average
    worse = exact.multiply(exact.subtract(paid, exact.multiply(mid, filled)), sign)
    return Fill(filled, paid, average, to_bps(worse, of=exact.multiply(mid, filled)))

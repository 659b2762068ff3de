"""Figures of an order book that a reader can check in the head, and what holds for any book."""

from decimal import Decimal, localcontext
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.analytics.book_metrics import COLUMNS
from crypto_platform.domain.book_metrics import (
    Band,
    Book,
    Depth,
    Level,
    Slippage,
    fill_buy,
    fill_sell,
    flatten,
    measure_band,
    measure_book,
    measure_slippage,
)
from crypto_platform.serving.book_metrics import METRIC_COLUMNS
from crypto_platform.stores.postgres.analytics_figures import BOOK_METRICS as TABLE


def level(price: str, quantity: str) -> Level:
    return Level(Decimal(price), Decimal(quantity))


BOOK = Book(
    bids=[level("99.95", "2"), level("99.5", "3"), level("99", "5")],
    asks=[level("100.05", "1"), level("100.5", "4")],
    depth=3,
)
EMPTY = Book(bids=[], asks=[], depth=3)


def test_spread_and_mid_are_exact_and_in_basis_points() -> None:
    """A tenth on a hundred is ten basis points."""
    found = measure_book(BOOK)
    assert (found.best_bid, found.best_ask) == (Decimal("99.95"), Decimal("100.05"))
    assert (found.spread, found.mid_price, found.spread_bps) == (Decimal("0.10"), 100, 10)
    assert (found.bid_quantity, found.ask_quantity) == (2, 1)


def test_no_digit_is_lost() -> None:
    """A float would show 0.00000000999… where the tick is 0.00000001."""
    bid, ask = "93233.36484564474085345901234567", "93233.36484564474085345901234568"
    found = measure_book(Book(bids=[level(bid, "1")], asks=[level(ask, "1")], depth=1))
    assert found.spread == Decimal("0.00000000000000000000000001")
    assert found.mid_price == Decimal("93233.364845644740853459012345675")


def test_depth_is_what_waits_within_the_band_its_bounds_included() -> None:
    """99.9 to 100.1, 99.5 to 100.5, 99 to 101."""
    assert measure_book(BOOK).bands == [
        Band(
            10,
            Depth(Decimal(2), Decimal("199.90"), True),
            Depth(Decimal(1), Decimal("100.05"), True),
        ),
        Band(
            50,
            Depth(Decimal(5), Decimal("498.40"), True),
            Depth(Decimal(5), Decimal("502.05"), True),
        ),
        Band(
            100,
            Depth(Decimal(10), Decimal("993.40"), False),
            Depth(Decimal(5), Decimal("502.05"), True),
        ),
    ]


def test_a_side_cut_off_inside_the_band_holds_at_least_so_much() -> None:
    """Three levels were asked for and came: the fourth may be a whale's. Two of three are all."""
    band = measure_band(BOOK, Decimal(100), 200)
    assert (band.bid.is_whole, band.ask.is_whole) == (False, True)


def test_imbalance_compares_equally_many_levels() -> None:
    """Two bids against two asks, 5 and 5; the third bid has no partner."""
    found = measure_book(BOOK)
    assert (found.imbalance_ratio, found.imbalance_levels) == (0, 2)
    one = measure_book(Book(bids=BOOK.bids[:1], asks=BOOK.asks, depth=1))
    assert (one.imbalance_ratio, one.imbalance_levels) == (Decimal("0.3333333333"), 1)


def test_an_empty_side_leaves_unknown_what_needs_it() -> None:
    """No ask is no spread, not one of nothing."""
    found = measure_book(Book(bids=BOOK.bids, asks=[], depth=3))
    assert (found.best_bid, found.best_ask) == (Decimal("99.95"), None)
    assert (found.spread, found.mid_price, found.spread_bps, found.bands) == (None, None, None, [])
    assert (found.imbalance_ratio, found.imbalance_levels) == (None, 0)
    assert measure_book(EMPTY).bid_quantity is None


def test_a_crossed_book_has_a_negative_spread() -> None:
    """It happens at venues; hiding it as 0 would hide that the book is not to be trusted."""
    found = measure_book(Book(bids=[level("101", "1")], asks=[level("99", "1")], depth=1))
    assert (found.spread, found.spread_bps) == (-2, -200)


def test_a_purchase_walks_up_the_asks() -> None:
    """1 at 100.05 and 2 at 100.5: 301.05 for 3, 35 basis points more than 300."""
    found = fill_buy(BOOK, Decimal(3))
    assert (found.filled, found.paid, found.average_price) == (
        3,
        Decimal("301.05"),
        Decimal("100.35"),
    )
    assert found.slippage_bps == 35


def test_a_sale_walks_down_the_bids() -> None:
    """2 at 99.95, 2 at 99.5: 398.9 for 4, which is 27.5 basis points less than 400."""
    found = fill_sell(BOOK, Decimal(4))
    assert (found.average_price, found.slippage_bps) == (Decimal("99.725"), Decimal("27.5"))


def test_a_book_too_thin_says_what_there_was_and_no_price() -> None:
    """A price made of half an order is a promise that nobody keeps."""
    assert fill_buy(BOOK, Decimal("5.1")) == (5, Decimal("502.05"), None, None)
    assert fill_buy(EMPTY, Decimal(1)) == (0, 0, None, None)
    whole = fill_buy(BOOK, Decimal(5))
    assert (whole.filled, whole.average_price) == (5, Decimal("100.41"))


def test_an_order_of_a_size_loses_what_its_side_costs_beyond_the_mid_price() -> None:
    """300 buys 3 at a mid of 100: 35 basis points above it, and 200 sells 2 five below."""
    assert measure_slippage(BOOK, Decimal(100), 300).buy_bps == 35
    assert measure_slippage(BOOK, Decimal(100), 200).sell_bps == 5


def test_a_size_that_the_stored_levels_do_not_reach_is_unknown() -> None:
    """Asks hold 5, bids 10: 1,000 at 100 is 10, which only a sale gets; 10,000 nobody."""
    assert measure_book(BOOK).slippages == [
        Slippage(1_000, None, Decimal(66)),
        Slippage(10_000, None, None),
        Slippage(100_000, None, None),
    ]
    assert measure_book(EMPTY).slippages == []


def test_a_row_of_figures_is_as_long_as_its_table_whatever_the_book() -> None:
    """A value too few would shift the rest, and the answer to people names them alike."""
    names = [column.name for column in TABLE.figures]
    names = names[names.index("best_bid") :]
    shown = [column.name for column in METRIC_COLUMNS]
    assert shown[shown.index("best_bid") :] == names
    assert set(COLUMNS) == {column.name for column in TABLE.columns}
    for book in (BOOK, EMPTY, Book(bids=BOOK.bids, asks=[], depth=3)):
        assert len(list(flatten(measure_book(book)))) == len(names)
    assert (
        dict(zip(names, flatten(measure_book(BOOK)), strict=True))["sell_1000_slippage_bps"] == 66
    )


def test_without_a_mid_price_there_is_a_price_and_no_slippage() -> None:
    """One side alone still fills an order."""
    found = fill_buy(Book(bids=[], asks=BOOK.asks, depth=3), Decimal(1))
    assert (found.average_price, found.slippage_bps) == (Decimal("100.05"), None)


AMOUNTS = st.decimals(min_value=Decimal("1e-18"), max_value=Decimal("1e15"), places=18)


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Any that is sorted and not crossed."""
    prices = sorted(set(draw(st.lists(AMOUNTS, min_size=2, max_size=12))))
    cut = draw(st.integers(min_value=0, max_value=len(prices)))
    levels = [Level(price, draw(AMOUNTS)) for price in prices]
    return Book(bids=levels[:cut][::-1], asks=levels[cut:], depth=draw(st.integers(1, 12)))


@given(book=books())
def test_a_wider_band_never_holds_less(book: Book) -> None:
    """And no band more than there is."""
    bands = measure_book(book).bands
    for narrow, wide in pairwise(bands):
        assert narrow.bid.base <= wide.bid.base
        assert narrow.ask.quote <= wide.ask.quote
    with localcontext() as context:
        context.prec = 100
        assert all(band.bid.base <= sum(each.quantity for each in book.bids) for band in bands)


@given(book=books(), quantity=AMOUNTS)
def test_an_order_gets_all_or_all_there_is_and_a_larger_one_no_better_price(
    book: Book, quantity: Decimal
) -> None:
    """Slippage is never a gain where the book is in order."""
    with localcontext() as context:
        context.prec = 100
        there = sum((each.quantity for each in book.asks), Decimal(0))
        small, large = fill_buy(book, quantity), fill_buy(book, 2 * quantity)
        assert small.filled == min(quantity, there)
        assert (small.average_price is None) == (there < quantity)
        if large.average_price is not None:
            assert small.average_price is not None
            assert small.average_price <= large.average_price
        sold = fill_sell(book, quantity)
        assert (small.slippage_bps or 0) >= 0
        assert (sold.slippage_bps or 0) >= 0


def test_the_threads_context_changes_nothing() -> None:
    """Another library may have set two digits for itself."""
    wanted = (measure_book(BOOK), fill_buy(BOOK, Decimal(3)), fill_sell(BOOK, Decimal(4)))
    with localcontext() as context:
        context.prec = 2
        found = (measure_book(BOOK), fill_buy(BOOK, Decimal(3)), fill_sell(BOOK, Decimal(4)))
    assert found == wanted

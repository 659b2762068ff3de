"""The simulated market's order books: sorted, never crossed, around the trades of their moment."""

from itertools import pairwise

import pytest

from crypto_platform.simulation.books import LEVELS_A_SIDE, Book, Books
from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.trades import FIRST_SECOND, Product, Tape

NOON_US = 1_767_268_800_000_000
SECOND_US = 1_000_000
PRODUCT_IDS = tuple(Tape(seed=7, currencies=list_currencies(220)).products)


@pytest.fixture
def tape() -> Tape:
    return Tape(seed=7, currencies=list_currencies(220))


@pytest.fixture(params=PRODUCT_IDS)
def product(request: pytest.FixtureRequest, tape: Tape) -> Product:
    return tape.products[request.param]


def read_moments(tape: Tape, product: Product) -> list[tuple[int, Book]]:
    """Books of some three slots, close together."""
    books = Books(tape)
    moments = range(NOON_US, NOON_US + 3 * product.slot_us, product.slot_us // 25)
    return [(now_us, books.read_book(product, now_us=now_us)) for now_us in moments]


def test_a_book_is_deep_sorted_and_not_crossed(tape: Tape, product: Product) -> None:
    """What nobody could trade on is no book."""
    for _, book in read_moments(tape, product):
        assert len(book.bids) == len(book.asks) == LEVELS_A_SIDE
        prices = [level.price for level in (*reversed(book.bids), *book.asks)]
        assert all(lower < higher for lower, higher in pairwise(prices))
        assert prices[0] > 0
        assert all(level.quantity > 0 < level.orders for level in (*book.bids, *book.asks))


def test_each_trade_lies_at_the_best_price_of_its_moment(tape: Tape, product: Product) -> None:
    """Takers buy at the ask, whose quantity falls by what they took."""
    books = Books(tape)
    for trade in tape.read_trades(product, now_us=NOON_US, limit=20):
        before = books.read_book(product, now_us=trade.time_us - 1)
        after = books.read_book(product, now_us=trade.time_us)
        side = "asks" if trade.maker_side == "sell" else "bids"
        taken, left = getattr(before, side)[0], getattr(after, side)[0]
        assert taken.price == left.price == trade.price
        assert taken.quantity - left.quantity == trade.quantity


def test_the_sequence_rises_and_names_the_book(tape: Tape, product: Product) -> None:
    """Who polls twice must see by the number that nothing moved."""
    read = read_moments(tape, product)
    for (_, earlier), (_, later) in pairwise(read):
        assert earlier.sequence <= later.sequence
        assert (earlier.sequence == later.sequence) == (earlier == later)
    assert read[0][1].sequence < read[-1][1].sequence


def test_a_book_is_the_same_for_whoever_asks(tape: Tape) -> None:
    """Nothing is stored, so nothing may hang on what was asked before."""
    fresh = Tape(seed=7, currencies=list_currencies(220))
    bitcoin = tape.products["BTC-USD"]
    walked = dict(read_moments(tape, bitcoin))
    for now_us in sorted(walked, reverse=True)[::10]:
        assert Books(fresh).read_book(fresh.products["BTC-USD"], now_us=now_us) == walked[now_us]


def test_most_levels_outlive_a_slot(tape: Tape) -> None:
    """A book of new prices each second would be like none."""
    books, bitcoin = Books(tape), tape.products["BTC-USD"]
    here = books.read_book(bitcoin, now_us=NOON_US)
    later = books.read_book(bitcoin, now_us=NOON_US + SECOND_US)
    assert len(set(here.asks) & set(later.asks)) > LEVELS_A_SIDE // 2


def test_a_shorter_book_is_the_top_of_the_longer(tape: Tape, product: Product) -> None:
    """Level 1 and level 2 of one moment must not contradict each other."""
    books = Books(tape)
    whole = books.read_book(product, now_us=NOON_US)
    best = books.read_book(product, now_us=NOON_US, levels=1)
    assert best == (whole.sequence, whole.bids[:1], whole.asks[:1])


def test_before_the_first_trade_there_is_no_book(tape: Tape, product: Product) -> None:
    """The market opened with the year."""
    opened_us = FIRST_SECOND * SECOND_US
    assert Books(tape).read_book(product, now_us=opened_us - 1) == (0, [], [])
    assert Books(tape).read_book(product, now_us=opened_us).sequence >= 2

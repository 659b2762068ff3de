"""The simulated market's trades: fixed by seed and number, without gaps, never of the future."""

from decimal import Decimal
from itertools import pairwise

import pytest

from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.market import Market
from crypto_platform.simulation.trades import FIRST_SECOND, Product, Tape, Trade, print_steps

NOON_US = 1_767_268_800_000_000
"""2026-01-01 12:00:00 UTC: 43,200 s after the first trade."""
SECOND_US = 1_000_000
PRODUCTS = Tape(seed=7, currencies=list_currencies(220)).products


def build_tape(*, seed: int = 7, count: int = 220) -> Tape:
    return Tape(seed=seed, currencies=list_currencies(count))


def read(tape: Tape, product_id: str = "BTC-USD", **query: int) -> list[Trade]:
    asked = {"now_us": NOON_US, "limit": 1000} | query
    return tape.read_trades(tape.products[product_id], **asked)


@pytest.fixture(params=PRODUCTS)
def product(request: pytest.FixtureRequest) -> Product:
    return PRODUCTS[request.param]


def test_trades_of_seed_7_are_these_in_every_process() -> None:
    """Anything that differs between processes (hash(), a clock) would change these figures."""
    assert read(build_tape(), limit=2) == [
        Trade(
            trade_id=86_400,
            time_us=1_767_268_799_913_094,
            price=9_907_409,
            quantity=1_308_688,
            maker_side="buy",
        ),
        Trade(
            trade_id=86_399,
            time_us=1_767_268_799_418_327,
            price=9_907_571,
            quantity=803_456,
            maker_side="buy",
        ),
    ]


def test_a_trade_is_the_same_in_whatever_order_trades_are_asked(product: Product) -> None:
    """A page read again after a restart must hold the same facts, or all are conflicts."""
    walked = read(build_tape(), product.product_id, limit=100)
    jumped = build_tape()
    again = [jumped.read_trade(product, trade.trade_id) for trade in reversed(walked)]
    assert again[::-1] == walked


def test_another_seed_is_another_market() -> None:
    """Two stacks with the same trades could not be told apart."""
    here, there = read(build_tape(seed=7)), read(build_tape(seed=8))
    assert sum(a.price == b.price for a, b in zip(here, there, strict=True)) < 10


def test_a_longer_list_leaves_the_trades_of_the_shorter_one_alone() -> None:
    """Listing more currencies must not rewrite what was traded."""
    assert read(build_tape(count=2)) == read(build_tape(count=220))
    assert list(build_tape(count=2).products) == ["BTC-USD", "ETH-USD"]


def test_numbers_rise_by_one_and_times_with_them(product: Product) -> None:
    """Who pages by number must miss nothing, and a trade cannot come before an earlier one."""
    trades = read(build_tape(), product.product_id, limit=100)
    assert all(newer.trade_id == older.trade_id + 1 for newer, older in pairwise(trades))
    assert all(newer.time_us > older.time_us for newer, older in pairwise(trades))


def test_the_number_of_trades_follows_from_the_time_alone() -> None:
    """Two a second of bitcoin, one of dogecoin, one in four of aave, since the year began."""
    tape = build_tape()
    assert read(tape, limit=1)[0].trade_id == 2 * 43_200
    assert read(tape, "DOGE-USD", limit=1)[0].trade_id == 43_200
    assert read(tape, "AAVE-USD", limit=1)[0].trade_id == 43_200 // 4


def test_nothing_is_told_before_it_happened(product: Product) -> None:
    """A trade of the future would be stored before its price exists; seen at any microsecond."""
    tape = build_tape()
    told = read(tape, product.product_id, now_us=NOON_US + 3 * SECOND_US, limit=3)
    assert len(told) == 3
    for trade in told:
        at = read(tape, product.product_id, now_us=trade.time_us, limit=1)
        before = read(tape, product.product_id, now_us=trade.time_us - 1, limit=1)
        assert at == [trade]
        assert before[0].trade_id == trade.trade_id - 1


def test_the_first_trade_is_number_one_and_before_it_there_is_none() -> None:
    """Number 0 would be no number to Coinbase's readers."""
    first_us = FIRST_SECOND * SECOND_US
    assert [trade.trade_id for trade in read(build_tape(), now_us=first_us + SECOND_US - 1)] == [
        2,
        1,
    ]
    assert read(build_tape(), now_us=first_us - 1) == []


def test_before_and_after_narrow_a_page_by_number() -> None:
    """Coinbase's words: after asks for what is older, before for what is newer."""
    tape = build_tape()

    def ids(**query: int) -> list[int]:
        return [trade.trade_id for trade in read(tape, **query)]

    assert ids(after=100, limit=3) == [99, 98, 97]
    assert ids(after=3) == [2, 1]
    assert ids(after=1) == []
    assert ids(before=86_398) == [86_400, 86_399]
    assert ids(before=100, limit=2) == [86_400, 86_399]  # the newest ones, not the next ones
    assert ids(before=86_400) == []
    assert ids(before=5, after=8) == [7, 6]
    assert ids(after=10**15, limit=1) == [86_400]


def test_prices_lie_around_the_markets(product: Product) -> None:
    """A chart of trades beside the quotes of the same currency would else be nonsense."""
    tape, market = build_tape(), Market(seed=7, currencies=list_currencies(220))
    for trade in read(tape, product.product_id, limit=50):
        price = Decimal(print_steps(trade.price, product.price_decimals))
        middle = Decimal(market.read_prices(trade.time_us // SECOND_US)[product.place])
        assert abs(price / middle - 1) < Decimal("0.04")


def test_a_trade_lies_at_the_best_bid_or_ask_of_its_slot(product: Product) -> None:
    """A maker who sells is bought from at the ask: takers pay the spread."""
    tape = build_tape()
    for trade_id in range(1, 200):
        slot = tape.read_slot(product, trade_id)
        at = slot.best_ask if slot.trade.maker_side == "sell" else slot.best_bid
        assert slot.trade.price == at
        assert 0 < slot.best_bid < slot.best_ask <= slot.best_bid + product.spread_max


def test_no_trade_is_of_nothing(product: Product) -> None:
    """A quantity or price of zero is refused by every reader."""
    for trade in read(build_tape(), product.product_id, limit=100):
        assert trade.price > 0
        assert trade.quantity > 0


def test_the_sum_of_quantities_is_that_of_the_trades(product: Product) -> None:
    """Round the end of both tables, too."""
    tape = build_tape()
    for first, last in ((1, 1), (5, 2100)):
        total = sum(tape.read_trade(product, i).quantity for i in range(first, last + 1))
        assert tape.sum_quantities(product, first, last) == total


@pytest.mark.parametrize(
    ("steps", "decimals", "text"),
    [(9_850_173, 2, "98501.73"), (7, 2, "0.07"), (100, 8, "0.00000100"), (40, 0, "40")],
)
def test_figures_are_printed_with_all_their_decimals(steps: int, decimals: int, text: str) -> None:
    """1e-07 is refused by most readers."""
    assert print_steps(steps, decimals) == text


def test_both_sides_trade_about_as_often() -> None:
    """Of 1000 fair coins 400 to 600 heads but for one time in ten thousand million."""
    sells = sum(trade.maker_side == "sell" for trade in read(build_tape()))
    assert 400 < sells < 600

"""The simulated market's trades: fixed by seed and number, without gaps, never of the future."""

from decimal import Decimal
from itertools import pairwise

import pytest

from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.market import Market
from crypto_platform.simulation.trades import FIRST_SECOND, SPREAD_RATIO, Product, Tape, Trade

NOON_US = 1_767_268_800_000_000
"""2026-01-01 12:00:00 UTC: 43,200 s after the first trade."""
SECOND_US = 1_000_000
TRADES_OF_SEED_7 = [
    Trade(
        trade_id=86_400,
        time_us=1_767_268_799_843_491,
        price="98501.73",
        quantity="0.02378593",
        maker_side="buy",
    ),
    Trade(
        trade_id=86_399,
        time_us=1_767_268_799_250_163,
        price="98515.95",
        quantity="0.00592571",
        maker_side="sell",
    ),
]


def build_tape(*, seed: int = 7, count: int = 220) -> Tape:
    return Tape(seed=seed, currencies=list_currencies(count))


def read(tape: Tape, product_id: str = "BTC-USD", **query: int) -> list[Trade]:
    asked = {"now_us": NOON_US, "limit": 1000} | query
    return tape.read_trades(tape.products[product_id], **asked)


@pytest.fixture(params=["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"])
def product(request: pytest.FixtureRequest) -> Product:
    return build_tape().products[request.param]


def test_trades_of_seed_7_are_these_in_every_process() -> None:
    """Anything that differs between processes (hash(), a clock) would change these figures."""
    assert read(build_tape(), limit=2) == TRADES_OF_SEED_7


def test_a_trade_is_the_same_in_whatever_order_trades_are_asked(product: Product) -> None:
    """A page read again after a restart must hold the same facts, or all are conflicts."""
    walked = read(build_tape(), product.product_id)
    jumped = build_tape()
    again = [jumped.read_trade(product, trade.trade_id) for trade in reversed(walked)]
    assert again[::-1] == walked


def test_another_seed_is_another_market() -> None:
    """Two stacks with the same trades could not be told apart."""
    here, there = read(build_tape(seed=7)), read(build_tape(seed=8))
    assert all(a.price != b.price for a, b in zip(here, there, strict=False))


def test_a_longer_list_leaves_the_trades_of_the_shorter_one_alone() -> None:
    """Listing more currencies must not rewrite what was traded."""
    assert read(build_tape(count=2)) == read(build_tape(count=220))
    assert list(build_tape(count=2).products) == ["BTC-USD", "ETH-USD"]


def test_numbers_rise_by_one_and_times_with_them(product: Product) -> None:
    """Who pages by number must miss nothing, and a trade cannot come before an earlier one."""
    trades = read(build_tape(), product.product_id)
    assert all(newer.trade_id == older.trade_id + 1 for newer, older in pairwise(trades))
    assert all(newer.time_us > older.time_us for newer, older in pairwise(trades))


def test_the_number_of_trades_follows_from_the_time_alone() -> None:
    """Two a second of bitcoin, one of dogecoin, since the year began."""
    tape = build_tape()
    assert read(tape, limit=1)[0].trade_id == 2 * 43_200
    assert read(tape, "DOGE-USD", limit=1)[0].trade_id == 43_200


def test_nothing_is_told_before_it_happened(product: Product) -> None:
    """A trade of the future would be stored before its price exists; seen at any microsecond."""
    tape = build_tape()
    told = read(tape, product.product_id, now_us=NOON_US + 3 * SECOND_US, limit=3)
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


def test_prices_lie_around_the_markets_and_takers_pay_the_spread(product: Product) -> None:
    """A maker who sells is bought from above the market's price; else charts would be nonsense."""
    tape, market = build_tape(), Market(seed=7, currencies=list_currencies(220))
    step = Decimal(1).scaleb(-product.price_decimals)
    for trade in read(tape, product.product_id, limit=50):
        middle = Decimal(market.read_prices(trade.time_us // SECOND_US)[product.place])
        distance = Decimal(trade.price) - middle
        away = distance if trade.maker_side == "sell" else -distance
        assert -step <= away <= middle * Decimal(SPREAD_RATIO) + step


def test_figures_are_printed_with_all_their_decimals_and_never_zero(product: Product) -> None:
    """A quantity of zero is refused by every reader, and 1e-07 by most."""
    for trade in read(build_tape(), product.product_id):
        assert len(trade.price.partition(".")[2]) == product.price_decimals
        assert len(trade.quantity.partition(".")[2]) == product.quantity_decimals
        assert Decimal(trade.price) > 0
        assert Decimal(trade.quantity) > 0


def test_both_sides_trade_about_as_often() -> None:
    """Of 1000 fair coins 400 to 600 heads but for one time in ten thousand million."""
    sells = sum(trade.maker_side == "sell" for trade in read(build_tape()))
    assert 400 < sells < 600

"""How much prices move and which move together, against formulas written out."""

import math
import random
import statistics
from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.hours import MICROSECONDS_PER_MINUTE
from crypto_platform.domain.volatility import (
    PAIRS_MIN,
    RETURNS_MIN,
    Close,
    find_correlation,
    find_correlations,
    find_returns,
    find_volatility,
)

MINUTE = MICROSECONDS_PER_MINUTE
MINUTES_OF_A_YEAR = 365 * 24 * 60
PRICES = st.lists(
    st.decimals(min_value="0.000001", max_value=1_000_000, places=6),
    min_size=PAIRS_MIN + 1,
    max_size=PAIRS_MIN + 10,
)


def closes_of(prices: Sequence[Decimal | str | int], *, every_us: int = MINUTE) -> list[Close]:
    return [Close(number * every_us, Decimal(price)) for number, price in enumerate(prices, 1)]


def walk(count: int, *, seed: int) -> list[Decimal]:
    source = random.Random(seed)
    price, prices = Decimal(100), []
    for _ in range(count):
        price += Decimal(source.randint(-50, 50)) / 100
        prices.append(price)
    return prices


def log_returns(prices: Sequence[Decimal]) -> list[float]:
    return [math.log(after / before) for before, after in pairwise(prices)]


def test_volatility_is_the_root_of_the_squared_returns_of_a_year() -> None:
    """The formula, written out."""
    prices = walk(289, seed=1)
    found = find_volatility(closes_of(prices, every_us=5 * MINUTE))
    squares = sum(change**2 for change in log_returns(prices))
    expected = 100 * math.sqrt(squares * MINUTES_OF_A_YEAR / (5 * 288))
    assert found.returns == 288
    assert found.annualised_pct is not None
    assert math.isclose(found.annualised_pct, expected, rel_tol=1e-7)


def test_a_hole_counts_with_its_time() -> None:
    """Who leaves it out makes a market that seldom trades look wilder than it is."""
    prices = [100 + number % 2 for number in range(21)]
    whole = find_volatility(closes_of(prices))
    rare = find_volatility(closes_of(prices, every_us=4 * MINUTE))
    assert whole.annualised_pct is not None
    assert rare.annualised_pct is not None
    assert abs(whole.annualised_pct - 2 * rare.annualised_pct) < Decimal("0.00001")
    closes = closes_of([*prices, 100])
    without = [close for close in closes if close.close_time != 22 * MINUTE]
    holed = find_volatility([*without, Close(60 * MINUTE, Decimal(100))])
    assert holed.annualised_pct is not None
    assert holed.annualised_pct < whole.annualised_pct


def test_a_price_that_does_not_move_has_no_volatility_and_a_short_one_an_unknown() -> None:
    """0 is a figure, None is that there is none."""
    still = find_volatility(closes_of([5] * (RETURNS_MIN + 1)))
    assert still == (0, RETURNS_MIN)
    assert find_volatility(closes_of([5] * RETURNS_MIN)) == (None, RETURNS_MIN - 1)
    assert find_volatility([]) == (None, 0)


def test_correlation_is_pearsons() -> None:
    """The same as the standard library's, of returns."""
    ones, others = walk(100, seed=1), walk(100, seed=2)
    mixed = [one + other for one, other in zip(ones, others, strict=True)]
    found = find_correlation(
        *(find_returns(closes_of(p), interval_us=MINUTE) for p in (ones, mixed))
    )
    expected = statistics.correlation(log_returns(ones), log_returns(mixed))
    assert found.pairs == 99
    assert found.value is not None
    assert math.isclose(found.value, expected, abs_tol=1e-6)


def test_an_interval_that_one_lacks_is_left_out_for_that_pair_only() -> None:
    """Filling the hole with an unmoved price would draw every correlation to 0."""
    prices = walk(60, seed=3)
    whole = find_returns(closes_of(prices), interval_us=MINUTE)
    holed = find_returns(
        [close for close in closes_of(prices) if close.close_time != 30 * MINUTE],
        interval_us=MINUTE,
    )
    found = {
        (one, other): correlation
        for one, other, correlation in find_correlations({"a": whole, "b": holed, "c": whole})
    }
    assert found == {("a", "b"): (1, 57), ("a", "c"): (1, 59), ("b", "c"): (1, 57)}


def test_too_few_pairs_and_unmoved_prices_have_no_correlation() -> None:
    """Two returns always lie on a line."""
    few = find_returns(closes_of(walk(PAIRS_MIN, seed=4)), interval_us=MINUTE)
    assert find_correlation(few, few) == (None, PAIRS_MIN - 1)
    many = find_returns(closes_of(walk(PAIRS_MIN + 1, seed=4)), interval_us=MINUTE)
    still = find_returns(closes_of([5] * (PAIRS_MIN + 1)), interval_us=MINUTE)
    assert find_correlation(many, still) == (None, PAIRS_MIN)
    assert find_correlation(many, many) == (1, PAIRS_MIN)


@given(ones=PRICES, others=PRICES)
def test_correlation_lies_between_opposites_and_does_not_mind_the_order(
    ones: list[Decimal], others: list[Decimal]
) -> None:
    """What is beyond 1 is a mistake of rounding that somebody will see."""
    own, other = (find_returns(closes_of(p), interval_us=MINUTE) for p in (ones, others))
    found = find_correlation(own, other)
    assert found == find_correlation(other, own)
    assert found.value is None or -1 <= found.value <= 1
    mirrored = find_correlation(own, {time: -change for time, change in other.items()})
    assert mirrored.value == (None if found.value is None else -found.value)


@given(prices=PRICES, factor=st.integers(min_value=1, max_value=10**6))
def test_volatility_does_not_mind_the_unit_of_the_price(prices: list[Decimal], factor: int) -> None:
    """In cents or in dollars: the same market."""
    found = find_volatility(closes_of(prices)).annualised_pct
    scaled = find_volatility(closes_of([price * factor for price in prices])).annualised_pct
    assert found is not None
    assert scaled is not None
    assert abs(found - scaled) <= Decimal("0.000001")


def test_the_threads_context_changes_nothing() -> None:
    """Another library may have set two digits for itself."""
    closes = closes_of(walk(50, seed=5))
    returns = find_returns(closes, interval_us=MINUTE)
    wanted = (find_volatility(closes), find_correlation(returns, returns))
    with localcontext() as context:
        context.prec = 2
        again = find_returns(closes, interval_us=MINUTE)
        assert (find_volatility(closes), find_correlation(again, again)) == wanted

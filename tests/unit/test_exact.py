"""Arithmetic that never rounds by itself, and rounding that adds up."""

from decimal import Decimal, Inexact, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain import exact

"""A machine that does other things too is no failure."""

AMOUNTS_34 = st.decimals(
    min_value=Decimal("1e-18"), max_value=Decimal("1e15"), places=18, allow_nan=False
)
WEIGHTS = st.lists(AMOUNTS_34, min_size=1, max_size=20)
CENTS = st.decimals(min_value=-(10**9), max_value=10**9, places=7, allow_nan=False)


def test_a_product_of_two_long_amounts_keeps_all_its_digits() -> None:
    """The thread's own context would cut it to 28 digits, and say nothing."""
    longest = Decimal(1234567890123456789012345678901234)
    product = exact.multiply(longest, longest)
    assert product == Decimal(1234567890123456789012345678901234**2)
    assert longest * longest != product


def test_what_does_not_fit_is_refused_not_rounded() -> None:
    """Rounding that nobody asked for is the one error that no sum shows."""
    with pytest.raises(Inexact):
        exact.add(Decimal(1), Decimal("1e-2000"))


def test_the_threads_context_changes_nothing() -> None:
    """A library that sets two digits for itself (rp2 sets 31) must not set them for the books."""
    before = getcontext().prec
    getcontext().prec = 2
    try:
        third = exact.divide(Decimal(1), Decimal(3))
        shares = exact.split(Decimal("100.01"), [Decimal(1), Decimal(1), Decimal(1)])
        rounded = exact.round_half_up(Decimal("12345.675"), 2)
    finally:
        getcontext().prec = before
    assert third == Decimal("0." + "3" * 50)
    assert exact.total(shares) == Decimal("100.01")
    assert rounded == Decimal("12345.68")


@given(whole=AMOUNTS_34, weights=WEIGHTS)
def test_shares_add_up_to_their_whole(whole: Decimal, weights: list[Decimal]) -> None:
    """A tenth of a cent lost a disposal is a wrong cost basis for whatever is sold last."""
    shares = exact.split(whole, weights)
    assert exact.total(shares) == whole
    assert all(share >= 0 for share in shares)


def test_digits_beyond_the_cut_stay_with_the_last_share() -> None:
    """Prices with 30 decimals times amounts with 30 have more than a quotient keeps."""
    whole = Decimal("1." + "1" * 80)
    shares = exact.split(whole, [Decimal(1), Decimal(2)])
    assert str(shares[0]) == "0." + "370" * 16 + "37"
    assert exact.total(shares) == whole


@given(parts=st.lists(CENTS, max_size=30))
def test_rounded_parts_add_up_to_their_rounded_sum(parts: list[Decimal]) -> None:
    """An office adds the column up by hand, and asks about the missing cent."""
    whole = exact.round_half_up(exact.total(parts), 2)
    rounded = exact.apportion(whole, parts, 2)
    assert exact.total(rounded) == whole
    for before, after in zip(parts, rounded, strict=True):
        assert abs(after - before) < Decimal("0.01")


@given(groups=st.dictionaries(st.integers(), st.lists(CENTS, min_size=1, max_size=9), max_size=6))
def test_both_levels_of_rounded_groups_add_up(groups: dict[int, list[Decimal]]) -> None:
    """Rows to their class, classes to the year: one of the two alone is easy."""
    rounded = exact.round_groups(groups, 2)
    everything = exact.total(exact.total(parts) for parts in groups.values())
    assert rounded.whole == exact.round_half_up(everything, 2)
    assert exact.total(rounded.sums.values()) == rounded.whole
    for key, parts in rounded.parts.items():
        assert exact.total(parts) == rounded.sums[key]


def test_the_largest_remainder_takes_the_cent() -> None:
    """The rule by hand: 3 x 3.333 is 10.00, and the first of equals gets the odd cent."""
    thirds = [Decimal("3.333"), Decimal("3.333"), Decimal("3.334")]
    assert exact.apportion(Decimal("10.00"), thirds, 2) == [
        Decimal("3.33"), Decimal("3.33"), Decimal("3.34"),
    ]  # fmt: skip
    losses = [Decimal("-0.005"), Decimal("-0.005")]
    rounded = exact.apportion(Decimal("-0.01"), losses, 2)
    assert [str(each) for each in rounded] == ["0.00", "-0.01"]


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0.00"), ("-0.001", "0.00"), ("2", "2.00")],
)
def test_halves_go_away_from_zero(amount: str, rounded: str) -> None:
    """As tax offices round; and nobody owes minus nothing."""
    assert str(exact.round_half_up(Decimal(amount), 2)) == rounded


def test_a_sum_of_what_is_known_is_not_zero_where_nothing_is() -> None:
    """None of three known is not "0.00 gained"."""
    assert exact.total_known([None, None]) is None
    assert exact.total_known([None, Decimal(2)]) == 2
    assert exact.total_known([]) == 0

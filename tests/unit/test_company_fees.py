"""What a fill costs, and how far funds go."""

from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.simulation.company.fees import Fees


def cost_of(fees: Fees, lots: int, unit_price: int) -> int:
    return lots * unit_price + fees.of_taker(lots * unit_price)


def test_a_taker_pays_a_thousandth_and_a_maker_less() -> None:
    """9,300 dollars in units of 0.00000001."""
    assert Fees().of_taker(9300_00000000) == 9_30000000
    assert Fees().of_maker(9300_00000000) == 3_72000000


def test_a_fee_is_rounded_down_to_the_smallest_unit() -> None:
    """Rounded up, the fees of many small fills would exceed what was locked for the whole."""
    assert (Fees().of_taker(1999), Fees().of_maker(1999)) == (1, 0)


@given(parts=st.lists(st.integers(1, 10**12), min_size=1, max_size=20), ppm=st.integers(0, 10**6))
def test_fees_of_parts_are_never_more_than_that_of_the_whole(parts: list[int], ppm: int) -> None:
    """Else an order's last fill would take from what was not locked."""
    fees = Fees(taker_ppm=ppm)
    assert sum(fees.of_taker(part) for part in parts) <= fees.of_taker(sum(parts))


def test_funds_buy_all_they_can_and_not_one_lot_more() -> None:
    """Every small case: an off-by-one costs a lot or a refused posting."""
    for fees in (Fees(), Fees(taker_ppm=250_000), Fees(taker_ppm=0)):
        for unit_price in range(1, 12):
            for funds in range(60):
                lots = fees.afford(funds, unit_price)
                assert cost_of(fees, lots, unit_price) <= funds
                assert cost_of(fees, lots + 1, unit_price) > funds

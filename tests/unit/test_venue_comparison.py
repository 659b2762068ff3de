"""One symbol at several venues, in figures that a reader can check in the head."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain.venue_comparison import (
    FRESH_S_MAX,
    Gap,
    PriceOf,
    Timed,
    VenueMarket,
    compare_venues,
    find_median,
)

NOON = 1_763_812_800_000_000
S = 1_000_000


def venue(
    name: str,
    bid: str | None = None,
    ask: str | None = None,
    *,
    trade: str | None = None,
    volume: str | None = None,
    age_s: int = 1,
    trade_age_s: int = 1,
) -> VenueMarket:
    def timed(price: str | None, seconds: int) -> Timed | None:
        return None if price is None else Timed(Decimal(price), NOON - seconds * S)

    return VenueMarket(
        venue=name,
        venue_symbol="BTC-USD",
        best_bid=timed(bid, age_s),
        best_ask=timed(ask, age_s),
        last_trade=timed(trade, trade_age_s),
        base_volume=None if volume is None else Decimal(volume),
    )


def test_each_venue_is_so_far_from_the_middle_one() -> None:
    """One venue gone wrong must not make the others look wrong."""
    found = compare_venues(
        [
            venue("kraken", "100.9", "101.1", volume="3"),
            venue("binance", "99.99", "100.01", volume="1"),
            venue("broken", "499", "501"),
        ],
        as_of_us=NOON,
    )
    assert found.reference_price == 101
    rows = [(row.market.venue, row.price, row.difference_bps) for row in found.rows]
    assert rows == [
        ("binance", 100, Decimal("-99.009901")),
        ("broken", 500, Decimal("39504.950495")),
        ("kraken", 101, 0),
    ]
    assert [row.spread_bps for row in found.rows] == [2, 40, Decimal("19.80198")]
    assert [row.volume_share_ratio for row in found.rows] == [
        Decimal("0.25"),
        None,
        Decimal("0.75"),
    ]
    assert {row.price_of for row in found.rows} == {PriceOf.BOOK}


def test_what_is_old_is_shown_and_does_not_count() -> None:
    """An hour ago the price was another one everywhere."""
    found = compare_venues(
        [
            venue("a", "100", "100"),
            venue("b", "102", "102", age_s=FRESH_S_MAX),
            venue("old", "50", "50", age_s=FRESH_S_MAX + 1),
        ],
        as_of_us=NOON,
    )
    assert found.reference_price == 101
    assert [(row.is_fresh, row.age_us) for row in found.rows] == [
        (True, S),
        (True, FRESH_S_MAX * S),
        (False, (FRESH_S_MAX + 1) * S),
    ]
    assert found.rows[2].difference_bps == Decimal("-5049.504950")
    assert found.gap == Gap("a", Decimal(100), "b", Decimal(102), Decimal(200))


def test_without_a_book_the_last_trade_is_the_price() -> None:
    """And where the book is old and the trade is not."""
    found = compare_venues(
        [
            venue("a", "1", None, trade="100"),
            venue("b", "1", "1", age_s=FRESH_S_MAX + 1, trade="100"),
            venue("c", "1", "1", age_s=FRESH_S_MAX + 1, trade="2", trade_age_s=9999),
            venue("d"),
        ],
        as_of_us=NOON,
    )
    assert [(row.price, row.price_of) for row in found.rows] == [
        (100, PriceOf.TRADE),
        (100, PriceOf.TRADE),
        (1, PriceOf.BOOK),
        (None, None),
    ]
    assert found.reference_price == 100
    assert (found.rows[3].age_us, found.rows[3].is_fresh) == (None, False)


def test_the_gap_is_between_two_venues_and_may_be_a_loss() -> None:
    """Selling where one bought is the spread, not a gap."""
    found = compare_venues([venue("a", "99", "100"), venue("b", "98", "99.5")], as_of_us=NOON)
    assert found.gap == Gap("b", Decimal("99.5"), "a", Decimal(99), Decimal("-50.251256"))
    assert compare_venues([venue("a", "99", "100")], as_of_us=NOON).gap is None
    assert compare_venues([venue("a", "99", "100"), venue("b")], as_of_us=NOON).gap is None


def test_nothing_known_is_nothing_said() -> None:
    """No venue, or none with a price."""
    assert compare_venues([], as_of_us=NOON).reference_price is None
    found = compare_venues([venue("a", volume="0")], as_of_us=NOON)
    assert (found.reference_price, found.rows[0].volume_share_ratio) == (None, None)


def test_a_venue_whose_clock_runs_ahead_is_not_of_the_future() -> None:
    """A negative age would read as a mistake of ours."""
    [row] = compare_venues([venue("a", "1", "1", age_s=-2)], as_of_us=NOON).rows
    assert (row.age_us, row.is_fresh) == (0, True)


@given(
    prices=st.lists(
        st.decimals(min_value="1e-18", max_value="1e15", places=18), min_size=1, max_size=9
    )
)
def test_half_of_the_prices_are_on_each_side_of_the_median(prices: list[Decimal]) -> None:
    """That is what it is."""
    median = find_median(prices)
    assert median is not None
    assert 2 * sum(price <= median for price in prices) >= len(prices)
    assert 2 * sum(price >= median for price in prices) >= len(prices)


@given(volumes=st.lists(st.integers(min_value=1, max_value=10**30), min_size=1, max_size=9))
def test_shares_of_volume_add_up(volumes: list[int]) -> None:
    """To one, but for the tenth decimal."""
    markets = [venue(str(n), volume=str(volume)) for n, volume in enumerate(volumes)]
    shares = [row.volume_share_ratio for row in compare_venues(markets, as_of_us=NOON).rows]
    assert None not in shares
    assert abs(sum(share for share in shares if share is not None) - 1) <= Decimal("1e-9")

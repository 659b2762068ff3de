"""The simulated market's prices: fixed by seed and second, and believable."""

import math
import statistics
from decimal import Decimal
from itertools import pairwise

import pytest

from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.market import DAY_S, Market, Quote

NOON = 1_767_268_800
"""2026-01-01 12:00:00 UTC."""
SIGNIFICANT_DIGITS_MAX = 34
"""What Decimal128 holds: a longer figure could not be stored by anybody."""


def build_market(*, seed: int = 7, count: int = 220) -> Market:
    return Market(seed=seed, currencies=list_currencies(count))


def quote_of(market: Market, currency_id: str, second: int) -> Quote:
    [quote] = [q for q in market.read_quotes(second) if q.currency.currency_id == currency_id]
    return quote


def returns_of(market: Market, currency_id: str, *, step_s: int, count: int) -> list[float]:
    prices = [
        float(quote_of(market, currency_id, NOON + number * step_s).price_usd)
        for number in range(count + 1)
    ]
    return [math.log(after / before) for before, after in pairwise(prices)]


def test_a_second_has_the_same_quotes_in_whatever_order_seconds_are_asked() -> None:
    """A market that remembers its way would give another past after a restart."""
    walked = build_market()
    forward = [walked.read_quotes(NOON + second) for second in range(20)]
    jumped = build_market()
    backward = [jumped.read_quotes(NOON + second) for second in reversed(range(20))]
    assert backward[::-1] == forward
    assert build_market().read_quotes(NOON + 13) == forward[13]


def test_prices_of_seed_7_are_these_in_every_process() -> None:
    """Anything that differs between processes (hash(), a clock) would change these figures."""
    market = build_market()
    assert quote_of(market, "bitcoin", NOON).price_usd.startswith("98528.032391")
    assert quote_of(market, "simcoin-220", NOON).price_usd.startswith("0.00041133899")


def test_another_seed_is_another_market() -> None:
    """Two stacks with the same prices could not be told apart."""
    here, there = build_market(seed=7), build_market(seed=8)
    assert quote_of(here, "bitcoin", NOON).price_usd != quote_of(there, "bitcoin", NOON).price_usd


def test_a_longer_list_leaves_the_prices_of_the_shorter_one_alone() -> None:
    """Listing more currencies must not rewrite the history of the others."""
    short, long = build_market(count=3), build_market(count=220)
    for currency_id in ("bitcoin", "ethereum", "tether"):
        price = quote_of(short, currency_id, NOON).price_usd
        assert quote_of(long, currency_id, NOON).price_usd == price


def test_every_price_moves_every_second() -> None:
    """A price that stands still looks like a repeated page, and is dropped as one."""
    market = build_market()
    for second in range(NOON, NOON + 5):
        now = {q.currency.currency_id: q.price_usd for q in market.read_quotes(second)}
        then = {q.currency.currency_id: q.price_usd for q in market.read_quotes(second - 1)}
        assert [name for name in now if now[name] == then[name]] == []


def test_figures_are_plain_decimals_with_many_digits_that_can_be_stored() -> None:
    """A float printed by repr shows 7.1e-06; CoinCap never does."""
    for quote in build_market().read_quotes(NOON):
        figures = [quote.price_usd, quote.market_cap_usd, quote.change_pct]
        figures += [text for text in (quote.volume_usd, quote.vwap_usd) if text is not None]
        for text in figures:
            whole, decimals = text.removeprefix("-").split(".")
            assert whole.isdigit()
            assert decimals.isdigit()
            assert len(decimals) >= 16
            assert len((whole + decimals).lstrip("0")) <= SIGNIFICANT_DIGITS_MAX


@pytest.mark.parametrize("days", [0, 1, 30, 365, 3650])
def test_prices_stay_positive_and_near_where_they_began_for_years(days: int) -> None:
    """A free random walk ends at nothing or in the sky. Three years of it would do."""
    for quote in build_market().read_quotes(NOON + days * DAY_S):
        ratio = Decimal(quote.price_usd) / quote.currency.price_usd
        assert Decimal("0.05") < ratio < 20
        if quote.currency.beta == 0:
            assert Decimal("0.98") < ratio < Decimal("1.02")


def test_market_cap_is_exactly_supply_times_price() -> None:
    """The default decimal context would round it to 28 digits. Counted here in whole 1e-18."""
    for quote in build_market().read_quotes(NOON):
        product = int(quote.currency.supply) * int(quote.price_usd.replace(".", ""))
        printed = int(quote.market_cap_usd.replace(".", "")) * 100
        assert abs(printed - product) <= 50


def test_ranks_follow_the_market_cap() -> None:
    """A rank that contradicts the market cap is the first thing a reader would notice."""
    quotes = build_market().read_quotes(NOON)
    caps = [Decimal(quote.market_cap_usd) for quote in quotes]
    assert caps == sorted(caps, reverse=True)
    assert [quote.rank for quote in quotes] == list(range(1, 221))


def test_change_and_vwap_agree_with_the_prices_of_the_last_day() -> None:
    """Both are computed by short cuts; here by looking at every tenth minute of the day."""
    market = build_market(count=3)
    day = [
        float(quote_of(market, "bitcoin", NOON - seconds).price_usd)
        for seconds in range(0, DAY_S + 1, 600)
    ]
    quote = quote_of(market, "bitcoin", NOON)
    assert float(quote.change_pct) == pytest.approx((day[0] / day[-1] - 1) * 100, abs=1e-9)
    assert float(quote.vwap_usd or 0) == pytest.approx(statistics.fmean(day), rel=0.002)


def test_bitcoin_and_ethereum_move_together_and_tether_does_not() -> None:
    """Without the market all share, a portfolio of many currencies would look riskless.

    By the volatilities of a day (market 2.2; bitcoin beta 1, own 1.2; ethereum beta 1.25, own
    1.9) the correlation is 6.05 / (2.51 x 3.34) = 0.72. Of 400 returns it is known to about
    0.03, and walks without a common part would give 0 to about 0.05: 0.5 is far from both.
    """
    market = build_market(count=3)
    bitcoin, ethereum, tether = (
        returns_of(market, currency_id, step_s=60, count=400)
        for currency_id in ("bitcoin", "ethereum", "tether")
    )
    assert statistics.correlation(bitcoin, ethereum) > 0.5
    assert abs(statistics.correlation(bitcoin, tether)) < 0.25


def test_an_hour_moves_sixty_times_as_far_as_a_second() -> None:
    """Brownian motion grows with the root of time; noise of one size at every second does not.

    Two spreads of 300 returns each are known to 4 %, their ratio to 6 %: 60 give or take 15.
    """
    market = build_market(count=1)
    second = statistics.pstdev(returns_of(market, "bitcoin", step_s=1, count=300))
    hour = statistics.pstdev(returns_of(market, "bitcoin", step_s=3600, count=300))
    assert 45 < hour / second < 75


def test_the_list_has_unknown_supplies_tiny_prices_and_known_names() -> None:
    """What real lists have and tidy ones lack: nulls, prices below a cent, untraded currencies."""
    currencies = list_currencies(220)
    assert [c.currency_id for c in currencies[:3]] == ["bitcoin", "ethereum", "tether"]
    assert currencies[40].currency_id == "simcoin-041"
    assert len({c.currency_id for c in currencies}) == 220
    assert len({c.symbol for c in currencies}) == 220
    assert sum(c.supply_max is None for c in currencies) > 20
    assert sum(c.price_usd < Decimal("0.00001") for c in currencies) > 10
    assert sum(c.turnover_ratio is None for c in currencies) > 3


@pytest.mark.parametrize("count", [0, -1, 2001])
def test_a_list_of_impossible_length_is_refused(count: int) -> None:
    """0 currencies would make a market that answers nothing and looks healthy."""
    with pytest.raises(ValueError, match="lists 1 to 2000"):
        list_currencies(count)

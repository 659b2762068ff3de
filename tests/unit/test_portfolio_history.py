"""Value, gains and fees at each day's end, in figures that a reader can add up."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from crypto_platform.domain import exact
from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.portfolio_history import (
    Movement,
    PortfolioDay,
    build_portfolio_history,
)
from crypto_platform.domain.tax_events import Exchange, TaxEvent, TransferIn
from crypto_platform.domain.tax_lots import BookingMethod, LotPool, TaxLot
from crypto_platform.domain.valuation import Money, Price, Valuer
from crypto_platform.errors import AccountingError

RATES = OfficialRates(base="EUR", source="ECB", days={date(2026, 1, 1): {"USD": Decimal(2)}})
PRICES = {1: "100", 2: "110", 3: "130"}
"""Of a bitcoin in dollars, by day of January."""


def at(day: int, hour: int = 12) -> int:
    return to_time_us(datetime(2026, 1, day, hour, tzinfo=UTC))


def find_price(currency: str, ts_event: int) -> Price | None:
    day = datetime.fromtimestamp(ts_event / 1e6, UTC).day
    if currency != "BTC" or day not in PRICES:
        return None
    return Price(Decimal(PRICES[day]), "USD", ts_event, "venue")


def valuer(currency: str = "USD", zone: str = "UTC") -> Valuer:
    return Valuer(RATES, find_price, currency, ZoneInfo(zone))


def deposit(currency: str, amount: str, day: int) -> tuple[Movement, TaxEvent]:
    money = Money(currency, Decimal(amount))
    event = TransferIn(
        event_id=f"d{day}{currency}", user="ann", sequence=day, ts_event=at(day), received=money
    )
    return Movement(at(day), *money), event


def trade(given: str, coins: str, day: int, *, fee: str = "0") -> tuple[list[Movement], TaxEvent]:
    """Dollars for coins; negative: the other way round."""
    dollars, bitcoins, paid = Decimal(given), Decimal(coins), Decimal(fee)
    sides = Money("USD", abs(dollars)), Money("BTC", abs(bitcoins))
    sold, bought = sides if dollars > 0 else sides[::-1]
    event = Exchange(
        event_id=f"t{day}",
        user="ann",
        sequence=100 + day,
        ts_event=at(day, 13),
        sold=sold,
        bought=bought,
        fee=Money("USD", paid),
    )
    moved = [
        Movement(event.ts_event, "USD", -dollars - paid),
        Movement(event.ts_event, "BTC", bitcoins),
    ]
    return moved, event


def year(currency: str = "USD", zone: str = "UTC", last: int = 3) -> tuple[PortfolioDay, ...]:
    """1000 dollars; 2 bitcoins for 200 and a fee of 4; the day after, one is sold for 110."""
    deposited, first = deposit("USD", "1000", 1)
    (bought, second), (sold, third) = trade("200", "2", 1, fee="4"), trade("-110", "-1", 2, fee="1")
    return build_portfolio_history(
        [*sold, *bought, deposited],
        [third, second, first],
        valuer(currency, zone),
        first_day=date(2025, 12, 31),
        last_day=date(2026, 1, last),
    )


def figures(day: PortfolioDay) -> tuple[str, ...]:
    return tuple(
        f"{amount.normalize():f}"
        for amount in (day.value, day.realized_gain, day.unrealized_gain, day.fees)
    )


def test_each_day_is_valued_at_its_end_with_what_was_gained_and_paid_by_then() -> None:
    """Two cost 204; one was sold for 109 after its fee; the other is worth 130 at last."""
    before, first, second, third = year()
    assert (before.holdings, before.value) == ((), 0)
    assert figures(first) == ("996", "0", "-4", "4")
    assert figures(second) == ("1015", "7", "8", "5")
    assert figures(third) == ("1035", "7", "28", "5")
    assert [(each.currency, each.quantity, each.value) for each in third.holdings] == [
        ("BTC", Decimal(1), Decimal(130)),
        ("USD", Decimal(905), Decimal(905)),
    ]
    assert third.unvalued == third.gains_without == ()


def test_a_history_in_euros_goes_by_official_rates() -> None:
    """A dollar is half a euro, whatever a coin costs."""
    assert [figures(day) for day in year("EUR")][1:] == [
        ("498", "0", "-2", "2"),
        ("507.5", "3.5", "4", "2.5"),
        ("517.5", "3.5", "14", "2.5"),
    ]


def test_a_day_ends_where_the_time_zone_says() -> None:
    """In Honolulu January 1 ends before noon of January 2 in London, when one is sold."""
    before, first, *_ = year(zone="Pacific/Honolulu")
    assert (before.value, first.value) == (0, Decimal(1000 - 204 + 2 * 110))


def test_what_has_no_price_is_named_and_counts_nowhere() -> None:
    """As zero it would be a loss that nobody had."""
    last = year(last=5)[-1]
    assert last.unvalued == ("BTC",)
    assert last.gains_without == ("BTC",)
    assert (last.value, last.unrealized_gain) == (Decimal(905), 0)


def test_a_deposit_of_unknown_cost_gains_nothing_and_says_so() -> None:
    """Its whole value would be a gain otherwise."""
    moved, event = deposit("BTC", "3", 1)
    [day] = build_portfolio_history(
        [moved], [event], valuer(), first_day=date(2026, 1, 1), last_day=date(2026, 1, 1)
    )
    assert (day.value, day.unrealized_gain, day.gains_without) == (Decimal(300), 0, ("BTC",))


def test_what_never_came_cannot_be_sold() -> None:
    """A hole in the events must not become a curve."""
    moved, event = trade("-1", "-1", 1)
    with pytest.raises(AccountingError):
        build_portfolio_history(
            moved, [event], valuer(), first_day=date(2026, 1, 1), last_day=date(2026, 1, 1)
        )


@pytest.mark.parametrize("method", list(BookingMethod))
@pytest.mark.parametrize("seed", range(5))
def test_known_costs_are_what_the_lots_left_add_up_to(method: BookingMethod, seed: int) -> None:
    """They are kept beside the lots; drifting apart, a curve would end beside its tax report."""
    dice, pool = random.Random(seed), LotPool(method)
    for place in range(60):
        if pool.quantity > 3 and dice.random() < 0.5:
            pool.consume(Decimal(dice.randrange(1, int(pool.quantity) * 10)) / 10)
        else:
            cost = None if dice.random() < 0.1 else Decimal(dice.randrange(100))
            lot = TaxLot(
                event_id=f"{place}",
                currency="BTC",
                quantity=Decimal(dice.randrange(1, 5)),
                cost_basis=cost,
                ts_acquired=place,
            )
            pool.acquire(lot)
        left = [part for part in pool.list_left() if part.cost_basis is not None]
        costs = [part.cost_basis for part in left if part.cost_basis is not None]
        assert pool.known == (exact.total(part.quantity for part in left), exact.total(costs))

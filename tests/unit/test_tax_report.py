"""Which events a year has, what it adds up to, and what it does not know."""

import random
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.holding_periods import HoldingLimit
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.tax_events import Exchange, Origin, TaxEvent, TransferIn
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport, build_tax_report
from crypto_platform.domain.tax_rounding import round_report
from crypto_platform.domain.valuation import Money, Price
from crypto_platform.errors import AccountingError, AccountingKind
from tests.tax_histories import USER, buy, no_prices, price_of, report_of, sell

RATES = OfficialRates(
    base="EUR",
    source="ECB",
    days={
        date(2024, 12, 31): {"USD": Decimal("1.00")},
        date(2025, 12, 31): {"USD": Decimal("1.25")},
        date(2026, 6, 1): {"USD": Decimal("2.00")},
    },
)


def trade(event_id: str, when: str, sold: Money, bought: Money, *, sequence: int = 1) -> Exchange:
    return Exchange(
        event_id=event_id,
        user=USER,
        sequence=sequence,
        ts_event=to_time_us(datetime.fromisoformat(when)),
        sold=sold,
        bought=bought,
    )


def dollars(amount: str) -> Money:
    return Money("USD", Decimal(amount))


def coins(amount: str) -> Money:
    return Money("BTC", Decimal(amount))


def year_of(
    events: Sequence[TaxEvent], year: int, zone: str, *, limit: HoldingLimit | None = None
) -> TaxReport:
    return build_tax_report(
        events,
        no_prices,
        RATES,
        user=USER,
        year=year,
        time_zone=ZoneInfo(zone),
        booking_method=BookingMethod.FIFO,
        holding_limit=limit,
    )


@pytest.mark.parametrize(
    ("zone", "sold_at", "year"),
    [
        ("Europe/Berlin", "2025-12-31T22:59:59.999999Z", 2025),
        ("Europe/Berlin", "2025-12-31T23:00:00Z", 2026),
        ("UTC", "2025-12-31T23:59:59.999999Z", 2025),
        ("UTC", "2026-01-01T00:00:00Z", 2026),
        ("America/New_York", "2026-01-01T04:59:59.999999Z", 2025),
        ("America/New_York", "2026-01-01T05:00:00Z", 2026),
        # summer in the south: 11 hours ahead, not 10
        ("Australia/Sydney", "2025-12-31T12:59:59.999999Z", 2025),
        ("Australia/Sydney", "2025-12-31T13:00:00Z", 2026),
    ],
)
def test_a_year_begins_at_midnight_of_its_time_zone(zone: str, sold_at: str, year: int) -> None:
    """A sale at the border belongs to one year, never to both or none."""
    events = [
        trade("b", "2024-12-31T12:00:00Z", dollars("100"), coins("1")),
        trade("s", sold_at, coins("1"), dollars("150"), sequence=2),
    ]
    found = [each for each in (2025, 2026) if year_of(events, each, zone).disposals]
    assert found == [year]


def test_years_follow_on_without_a_gap() -> None:
    """What one year ends with the next one begins with, to the last lot."""
    events = [
        trade("a", "2024-12-31T12:00:00Z", dollars("100"), coins("1")),
        trade("b", "2025-12-31T12:00:00Z", dollars("200"), coins("1"), sequence=2),
        trade("s", "2026-06-01T12:00:00Z", coins("1.5"), dollars("600"), sequence=3),
    ]
    years = [year_of(events, year, "Europe/Berlin") for year in (2024, 2025, 2026, 2027)]
    for before, after in pairwise(years):
        assert before.closing.lots == after.opening.lots
        assert before.ts_end == after.ts_start
    assert [each.events for each in years] == [1, 2, 3, 3]
    assert years[3].disposals == ()


def test_each_event_is_valued_at_its_own_days_rate() -> None:
    """100 USD at 1.00 are 100 EUR, 600 USD at 2.00 are 300: a gain of 200 EUR, not of 500 USD."""
    events = [
        trade("a", "2024-12-31T12:00:00Z", dollars("100"), coins("1")),
        trade("s", "2026-06-01T12:00:00Z", coins("1"), dollars("600"), sequence=2),
    ]
    report = year_of(events, 2026, "Europe/Berlin", limit=HoldingLimit(years=1))
    [disposal] = report.disposals
    assert (disposal.proceeds, report.realized_gain) == (300, 200)
    assert disposal.how == "ECB: 2.00 USD for 1 EUR of 2026-06-01"
    assert [(each.currency, each.holding) for each in report.gains] == [("BTC", "long")]


def test_without_a_rate_nothing_is_worth_zero() -> None:
    """A table that begins too late: the cost is unknown, listed, and in no sum."""
    events = [
        trade("a", "2024-06-01T12:00:00Z", dollars("100"), coins("1")),
        trade("s", "2026-06-01T12:00:00Z", coins("1"), dollars("600"), sequence=2),
    ]
    report = year_of(events, 2026, "Europe/Berlin")
    [part] = report.disposals[0].parts
    assert (part.proceeds, part.cost_basis, part.realized_gain) == (300, None, None)
    assert report.realized_gain is None
    [unknown] = [each for each in report.unvalued if each.what == "cost_basis"]
    assert (unknown.event_id, unknown.quantity) == ("a", 1)
    assert unknown.why.startswith("no rate of USD in EUR of 2024-06-01 from ECB")


def test_what_is_left_is_valued_at_the_end_of_the_year() -> None:
    """Unrealized: 2 for 100 each, worth 130 each at the last moment of the year."""
    events = [buy("a", "3", "300", at=1), sell("s", "1", "150", at=2)]
    report = report_of(events, prices=price_of("130"))
    [lot] = report.closing.lots
    assert (lot.cost_basis, lot.market_value, lot.unrealized_gain) == (200, 260, 60)
    [total] = report.closing.totals
    assert (total.market_value, total.unrealized_gain, total.unknown_lots) == (260, 60, 0)


def test_the_ends_of_a_year_lie_just_before_midnight() -> None:
    """What is bought at midnight is not held before it; December 31 has December 31's rate."""
    midnight = "2025-12-31T23:00:00Z"
    events = [
        trade("a", "2024-12-31T12:00:00Z", dollars("100"), coins("1")),
        trade("b", midnight, dollars("200"), coins("1"), sequence=2),
    ]
    asked: list[int] = []

    def prices(currency: str, ts_event: int) -> Price | None:
        asked.append(ts_event)
        return Price(Decimal(500), "USD", ts_event, "test")

    rates = {**RATES.days, date(2026, 1, 1): {"USD": Decimal("5.00")}}
    report = build_tax_report(
        events,
        prices,
        OfficialRates(base="EUR", source="ECB", days=rates),
        user=USER,
        year=2026,
        time_zone=ZoneInfo("Europe/Berlin"),
        booking_method=BookingMethod.FIFO,
    )
    [lot] = report.opening.lots
    assert (lot.event_id, lot.market_value) == ("a", 400)
    assert to_time_us(datetime.fromisoformat(midnight)) - 1 in asked
    assert report.ts_start == to_time_us(datetime.fromisoformat(midnight))


def test_a_named_cost_is_valued_on_the_day_it_was_paid() -> None:
    """100 USD of a day at 1.00 are 100 EUR, whatever the dollar was when the coins arrived."""
    paid_at = to_time_us(datetime.fromisoformat("2024-12-31T12:00:00Z"))
    arrived = TransferIn(
        event_id="d",
        user=USER,
        sequence=1,
        ts_event=to_time_us(datetime.fromisoformat("2026-06-01T12:00:00Z")),
        received=coins("1"),
        origin=Origin(paid_at, dollars("100")),
    )
    [lot] = year_of([arrived], 2026, "Europe/Berlin").closing.lots
    assert (lot.cost_basis, lot.ts_acquired, lot.is_acquired_known) == (100, paid_at, True)


def test_another_users_events_are_left_out() -> None:
    """One user's report must not show, or tax, what another did."""
    events = [buy("a", "1", "100", at=1), sell("s", "1", "150", at=2)]
    report = build_tax_report(
        events,
        no_prices,
        RATES,
        user="somebody",
        year=2025,
        time_zone=ZoneInfo("UTC"),
        booking_method=BookingMethod.FIFO,
    )
    assert (report.events, report.disposals, report.realized_gain) == (0, (), 0)


def test_an_event_that_is_there_twice_is_refused() -> None:
    """Read twice it would be bought twice."""
    events = [buy("a", "1", "100", at=1), buy("a", "1", "100", at=1)]
    with pytest.raises(AccountingError) as refused:
        report_of(events)
    assert refused.value.kind is AccountingKind.IMPOSSIBLE_EVENT


def test_equal_times_go_by_the_venues_sequence_in_whatever_order_they_come() -> None:
    """Fills of one order have one time; stores give them back in any order."""
    moment = "2025-12-31T12:00:00Z"
    events = [
        trade("z", moment, dollars("100"), coins("1"), sequence=1),
        trade("m", moment, dollars("300"), coins("1"), sequence=2),
        trade("b", moment, coins("1"), dollars("200"), sequence=3),
        trade("a", moment, coins("1"), dollars("250"), sequence=3),
    ]
    expected = year_of(events, 2025, "Europe/Berlin")
    assert [each.event_id for each in expected.disposals] == ["a", "b"]
    assert [each.parts[0].lot_event_id for each in expected.disposals] == ["z", "m"]
    rng = random.Random(7)
    for _ in range(20):
        rng.shuffle(events)
        assert year_of(events, 2025, "Europe/Berlin") == expected


def test_a_rounded_report_adds_up_on_paper() -> None:
    """Three thirds of 10 are 3.33, 3.33 and 3.34, and never 9.99."""
    events = [buy("a", "3", "10", at=1)]
    events += [sell(f"s{n}", "1", "5.555", at=2 + n) for n in range(3)]
    rounded = round_report(report_of(events))
    parts = [part for each in rounded.disposals for part in each.parts]
    assert [str(part.proceeds) for part in parts] == ["5.56", "5.56", "5.55"]
    assert sorted(str(part.cost_basis) for part in parts) == ["3.33", "3.33", "3.34"]
    [total] = rounded.gains
    assert (total.proceeds, total.cost_basis) == (Decimal("16.67"), Decimal("10.00"))
    assert total.realized_gain == rounded.realized_gain == Decimal("6.67")
    assert sum(part.realized_gain or 0 for part in parts) == Decimal("6.67")
    assert rounded.rounding == "half up to 2 decimals, parts by largest remainder"

"""Which lots a disposal consumes and what they cost; average cost by cases worked by hand."""

from decimal import Decimal

import pytest

from crypto_platform.domain.tax_events import Origin, TransferIn
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_records import DisposalPart
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.domain.valuation import Money
from crypto_platform.errors import AccountingError, AccountingKind
from tests.tax_histories import FIRST_US, USER, buy, report_of, sell

DAY = 86_400


def parts_of(report: TaxReport) -> list[DisposalPart]:
    return [part for disposal in report.disposals for part in disposal.parts]


def lines_of(report: TaxReport) -> list[tuple[str, str, str]]:
    return [
        (part.lot_event_id, f"{part.quantity:f}", f"{part.cost_basis:f}")
        for part in parts_of(report)
    ]


THREE_LOTS = [
    buy("cheap", "1", "100", at=1),
    buy("dear", "1", "300", at=2),
    buy("fair", "1", "200", at=3),
    sell("sale", "1.5", "450", at=4),
]


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        (BookingMethod.FIFO, [("cheap", "1", "100"), ("dear", "0.5", "150")]),
        (BookingMethod.LIFO, [("fair", "1", "200"), ("dear", "0.5", "150")]),
        (BookingMethod.HIFO, [("dear", "1", "300"), ("fair", "0.5", "100")]),
        (BookingMethod.AVERAGE_COST, [("cheap", "1", "200"), ("dear", "0.5", "100")]),
    ],
)
def test_each_method_consumes_its_own_lots(
    method: BookingMethod, lines: list[tuple[str, str, str]]
) -> None:
    """The same sale has four different gains; whoever mixes them up pays for another's."""
    report = report_of(THREE_LOTS, method)
    assert lines_of(report) == lines
    ages = [lot.ts_acquired for lot in report.closing.lots]
    assert ages == sorted(ages)
    left = Decimal(600) - sum(Decimal(cost) for _, _, cost in lines)
    assert sum(lot.cost_basis or 0 for lot in report.closing.lots) == left


def test_hifo_takes_fees_into_account_and_the_older_of_equals() -> None:
    """What a unit cost is what was paid for it, not the price on the ticket."""
    events = [
        buy("first", "2", "200", at=1),
        buy("twin", "2", "200", at=2),
        buy("fee", "2", "199", at=3, fee=Money("USD", Decimal(2))),
        sell("sale", "3", "600", at=4),
    ]
    lines = lines_of(report_of(events, BookingMethod.HIFO))
    assert lines == [("fee", "2", "201"), ("first", "1", "100")]


# HM Revenue & Customs, Cryptoassets Manual, CRYPTO22251 (pounds there, dollars here).
VICTORIA = [
    buy("first", "100", "1000", at=1),
    buy("second", "50", "125000", at=2),
    sell("sale", "50", "300000", at=3),
]


def test_average_cost_of_hmrcs_victoria() -> None:
    """Pool of 150 for 126,000; 50 of it cost 42,000: gain 258,000, and 100 for 84,000 are left."""
    report = report_of(VICTORIA, BookingMethod.AVERAGE_COST)
    assert report.realized_gain == 258_000
    assert [lot.cost_basis for lot in report.closing.lots] == [42_000, 42_000]
    [total] = report.closing.totals
    assert total.quantity == 100


def test_average_cost_of_hmrcs_melanie_without_the_thirty_days() -> None:
    """CRYPTO22255: 3,500 of a pool of 14,000 that cost 200,000 take 50,000 along."""
    events = [buy("pool", "14000", "200000", at=1), sell("sale", "3500", "140000", at=2)]
    report = report_of(events, BookingMethod.AVERAGE_COST)
    [part] = parts_of(report)
    assert (part.cost_basis, part.realized_gain) == (50_000, 90_000)


def test_a_disposal_leaves_the_average_and_a_purchase_changes_it() -> None:
    """Canada Revenue Agency, "Identical properties": dispositions do not affect the average.

    By hand: 10 for 100, 10 for 200: 15 each. Sell 5: 75; 15 for 225 left, still 15 each. Buy 5 for
    175: 20 for 400, 20 each. Sell 20: 400.
    """
    events = [
        buy("a", "10", "100", at=1),
        buy("b", "10", "200", at=2),
        sell("s", "5", "100", at=3),
        buy("c", "5", "175", at=4),
        sell("t", "20", "500", at=5),
    ]
    report = report_of(events, BookingMethod.AVERAGE_COST)
    gains = [sum(part.realized_gain or 0 for part in each.parts) for each in report.disposals]
    assert gains == [25, 100]
    assert report.closing.lots == ()


def test_an_average_that_does_not_end_loses_nothing() -> None:
    """100 / 3 has no last digit; the last to be sold takes what the others left."""
    events = [
        buy("a", "3", "100", at=1),
        sell("s", "1", "50", at=2),
        sell("t", "1", "50", at=3),
        sell("u", "1", "50", at=4),
    ]
    for method in BookingMethod:
        costs = [part.cost_basis or 0 for part in parts_of(report_of(events, method))]
        assert str(costs[0]) == "33." + "3" * 50
        assert report_of(events, method).realized_gain == 50, method


def test_selling_what_never_came_is_an_error_not_a_cost_of_zero() -> None:
    """A gap in the data would make all of the proceeds a gain."""
    events = [buy("a", "1", "100", at=1), sell("s", "1.00000001", "200", at=2)]
    with pytest.raises(AccountingError) as refused:
        report_of(events)
    assert refused.value.kind is AccountingKind.MISSING_ACQUISITION
    assert refused.value.context == {
        "user": USER,
        "currency": "BTC",
        "amount": Decimal("1.00000001"),
        "held": Decimal(1),
        "event_id": "s",
    }
    for word in (USER, "1.00000001 BTC", "event s", "only 1 were there"):
        assert word in str(refused.value)


def test_what_came_after_the_sale_does_not_cover_it() -> None:
    """The sum of the year would be right, and the order impossible."""
    events = [sell("s", "1", "200", at=1), buy("a", "1", "100", at=2)]
    with pytest.raises(AccountingError):
        report_of(events)


def deposit(event_id: str, quantity: str, *, at: int, origin: Origin | None = None) -> TransferIn:
    return TransferIn(
        event_id=event_id,
        user=USER,
        sequence=at,
        ts_event=FIRST_US + at * 1_000_000,
        received=Money("BTC", Decimal(quantity)),
        origin=origin,
    )


def test_a_deposit_of_unknown_origin_has_no_cost_and_its_sale_no_gain() -> None:
    """Zero would tax all of it, the day's price none of it: both would be invented."""
    events = [deposit("d", "2", at=1), sell("s", "1", "500", at=2)]
    report = report_of(events)
    [part] = parts_of(report)
    assert (part.proceeds, part.cost_basis, part.realized_gain) == (500, None, None)
    assert report.realized_gain is None
    [total] = report.gains
    assert (total.proceeds, total.unknown_parts) == (None, 1)
    assert [(each.event_id, each.what) for each in report.unvalued] == [
        ("d", "cost_basis"), ("d", "market_value"),
    ]  # fmt: skip


def test_a_deposit_keeps_the_day_and_cost_its_owner_names() -> None:
    """Moving coins is no sale: they are as old and as dear as before."""
    origin = Origin(FIRST_US - 400 * DAY * 1_000_000, Money("USD", Decimal(80)))
    events = [
        buy("bought", "1", "100", at=1),
        deposit("older", "1", at=2, origin=origin),
        sell("s", "1", "500", at=3),
    ]
    [part] = parts_of(report_of(events))
    assert (part.lot_event_id, part.holding, part.realized_gain) == ("older", "long", 420)


def test_what_arrived_before_it_was_acquired_is_refused() -> None:
    """Days mixed up by their owner would make a short lot of a long one."""
    origin = Origin(FIRST_US + 2 * DAY * 1_000_000, Money("USD", Decimal(80)))
    with pytest.raises(AccountingError) as refused:
        deposit("d", "1", at=DAY, origin=origin)
    assert refused.value.kind is AccountingKind.IMPOSSIBLE_EVENT


def test_one_unknown_cost_makes_the_average_unknown_until_all_is_gone() -> None:
    """An average of 100 and nobody knows what is not 100."""
    events = [
        buy("a", "1", "100", at=1),
        deposit("d", "1", at=2),
        sell("s", "1", "500", at=3),
        sell("t", "1", "500", at=4),
        buy("b", "1", "300", at=5),
        sell("u", "1", "500", at=6),
    ]
    parts = parts_of(report_of(events, BookingMethod.AVERAGE_COST))
    assert [part.cost_basis for part in parts] == [None, None, 300]
    parts = parts_of(report_of(events, BookingMethod.HIFO))
    assert [part.cost_basis for part in parts] == [100, None, 300]

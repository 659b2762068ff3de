"""Where a fee goes: every rule of docs/tax.md once, with numbers to add up in the head."""

from decimal import Decimal

import pytest

from crypto_platform.domain.tax_events import Exchange, TransferOut
from crypto_platform.domain.tax_records import DisposalKind, FeeTreatment
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.domain.valuation import Money, Price
from crypto_platform.errors import AccountingError, AccountingKind
from tests.tax_histories import FIRST_US, USER, buy, report_of, sell

PRICES = {"BTC": Decimal(200), "ETH": Decimal(10), "BNB": Decimal(4)}


def prices(currency: str, ts_event: int) -> Price | None:
    value = PRICES.get(currency)
    return None if value is None else Price(value, "USD", ts_event, "test")


def money(text: str) -> Money:
    amount, currency = text.split()
    return Money(currency, Decimal(amount))


def exchange(event_id: str, sold: str, bought: str, *, at: int, fee: str | None = None) -> Exchange:
    return Exchange(
        event_id=event_id,
        user=USER,
        sequence=at,
        ts_event=FIRST_US + at * 1_000_000,
        sold=money(sold),
        bought=money(bought),
        fee=None if fee is None else money(fee),
    )


def lot_of(report: TaxReport, currency: str) -> tuple[Decimal, Decimal | None]:
    [lot] = [each for each in report.closing.lots if each.currency == currency]
    return lot.quantity, lot.cost_basis


def disposals_of(report: TaxReport) -> list[tuple[str, str, Decimal, Decimal | None]]:
    return [(each.kind, each.currency, each.quantity, each.proceeds) for each in report.disposals]


def treatments_of(report: TaxReport) -> list[tuple[FeeTreatment, Decimal | None]]:
    return [(fee.treatment, fee.value) for fee in report.fees]


def test_a_fee_in_quote_makes_a_purchase_dearer() -> None:
    """Paid 100 and 1 of fee: the coin cost 101."""
    report = report_of([buy("b", "1", "100", at=1, fee=money("1 USD"))])
    assert lot_of(report, "BTC") == (1, 101)
    assert treatments_of(report) == [(FeeTreatment.COST, 1)]


def test_a_fee_in_quote_makes_a_sale_smaller() -> None:
    """Received 150 less 1: 149 of proceeds, 49 of gain."""
    report = report_of(
        [buy("b", "1", "100", at=1), sell("s", "1", "150", at=2, fee=money("1 USD"))]
    )
    assert disposals_of(report) == [(DisposalKind.SALE, "BTC", 1, 149)]
    assert report.realized_gain == 49
    assert treatments_of(report) == [(FeeTreatment.PROCEEDS, 1)]


def test_a_fee_in_base_is_withheld_from_a_purchase() -> None:
    """100 were paid and 0.99 arrived: those 0.99 cost 100, and nothing was disposed of."""
    report = report_of([buy("b", "1", "100", at=1, fee=money("0.01 BTC"))], prices=prices)
    assert lot_of(report, "BTC") == (Decimal("0.99"), 100)
    assert disposals_of(report) == []
    assert treatments_of(report) == [(FeeTreatment.COST, 2)]


def test_a_fee_in_base_leaves_with_what_is_sold() -> None:
    """1 and 0.5 of fee left, 300 came: the proceeds of 1.5 are 300."""
    events = [buy("b", "2", "200", at=1), sell("s", "1", "300", at=2, fee=money("0.5 BTC"))]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [(DisposalKind.SALE, "BTC", Decimal("1.5"), 300)]
    assert report.realized_gain == 150


def test_a_fee_in_a_third_currency_costs_its_value_and_is_itself_disposed_of() -> None:
    """Paying 0.5 BNB (cost 1, worth 2) is a gain of 1, and the bitcoin costs 2 more."""
    events = [
        exchange("n", "2 USD", "1 BNB", at=1),
        exchange("b", "100 USD", "1 BTC", at=2, fee="0.5 BNB"),
        exchange("s", "1 BTC", "150 USD", at=3, fee="0.5 BNB"),
    ]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [
        (DisposalKind.FEE, "BNB", Decimal("0.5"), 2),
        (DisposalKind.SALE, "BTC", 1, 148),
        (DisposalKind.FEE, "BNB", Decimal("0.5"), 2),
    ]
    assert [part.cost_basis for each in report.disposals for part in each.parts] == [1, 102, 1]
    assert treatments_of(report) == [(FeeTreatment.COST, 2), (FeeTreatment.PROCEEDS, 2)]


def test_a_coin_for_a_coin_is_a_disposal_at_what_arrived() -> None:
    """1 BTC for 18 ETH less 1 of fee: 17 ETH worth 170 are proceeds and cost basis."""
    events = [buy("b", "1", "100", at=1), exchange("x", "1 BTC", "18 ETH", at=2, fee="1 ETH")]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [(DisposalKind.EXCHANGE, "BTC", 1, 170)]
    assert lot_of(report, "ETH") == (17, 170)
    assert treatments_of(report) == [(FeeTreatment.PROCEEDS, 10)]


def test_a_third_fee_of_a_coin_for_a_coin_is_the_disposals_alone() -> None:
    """26 CFR 1.1001-7: costs of an exchange reduce what was realized, and raise no basis."""
    events = [
        buy("b", "1", "100", at=1),
        exchange("x", "1 BTC", "18 ETH", at=2, fee="5 USD"),
    ]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [(DisposalKind.EXCHANGE, "BTC", 1, 175)]
    assert lot_of(report, "ETH") == (18, 180)


def test_what_arrived_without_a_price_is_worth_what_was_given() -> None:
    """Both sides are worth the same; only where neither has a price is it unknown."""
    events = [
        buy("b", "2", "100", at=1),
        exchange("x", "1 BTC", "1000 PEPE", at=2),
        exchange("y", "500 PEPE", "3 WIF", at=3),
    ]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [
        (DisposalKind.EXCHANGE, "BTC", 1, 200),
        (DisposalKind.EXCHANGE, "PEPE", 500, None),
    ]
    assert lot_of(report, "WIF") == (3, None)
    assert report.realized_gain == 150
    unknown = [(each.event_id, each.what) for each in report.unvalued if each.event_id == "y"]
    assert unknown[:2] == [("y", "proceeds"), ("y", "cost_basis")]


def test_a_fee_of_unknown_value_makes_the_gain_unknown() -> None:
    """Leaving it out would be a fee of zero."""
    events = [
        exchange("n", "2 USD", "1 PEPE", at=1),
        exchange("b", "100 USD", "1 BTC", at=2, fee="1 PEPE"),
        exchange("s", "1 BTC", "150 USD", at=3),
    ]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [
        (DisposalKind.FEE, "PEPE", 1, None),
        (DisposalKind.SALE, "BTC", 1, 150),
    ]
    assert report.realized_gain is None
    assert {each.what for each in report.unvalued if each.event_id == "b"} == {
        "fee", "proceeds", "cost_basis",
    }  # fmt: skip


def test_a_withdrawal_is_no_disposal_but_its_fee_is() -> None:
    """1 BTC stays the user's with its cost; the 0.1 paid for sending it is gone."""
    events = [
        buy("b", "2", "100", at=1),
        TransferOut(
            event_id="w",
            user=USER,
            sequence=2,
            ts_event=FIRST_US + 2_000_000,
            sent=money("1 BTC"),
            fee=money("0.1 BTC"),
        ),
    ]
    report = report_of(events, prices=prices)
    assert disposals_of(report) == [(DisposalKind.FEE, "BTC", Decimal("0.1"), 20)]
    assert lot_of(report, "BTC") == (Decimal("0.9"), 45)
    [transfer] = report.transfers
    assert [(part.lot_event_id, part.cost_basis) for part in transfer.parts] == [("b", 50)]
    assert treatments_of(report) == [(FeeTreatment.NONE, 20)]


def test_money_for_money_is_neither_lot_nor_disposal() -> None:
    """Gains on foreign money are not what this report is about; it says so."""
    report = report_of([exchange("x", "100 USD", "90 EUR", at=1, fee="1 USD")])
    assert (report.disposals, report.closing.lots) == ((), ())
    assert treatments_of(report) == [(FeeTreatment.NONE, 1)]


@pytest.mark.parametrize(
    ("sold", "bought", "fee"),
    [
        ("0 USD", "1 BTC", None),
        ("100 USD", "-1 BTC", None),
        ("100 USD", "NaN BTC", None),
        ("100 USD", f"1.{'0' * 34} BTC", None),
        ("100 USD", "1 USD", None),
        ("100 USD", "1 BTC", "1 BTC"),
        ("100 USD", "1 BTC", "-1 USD"),
    ],
)
def test_what_no_account_can_have_done_is_refused(sold: str, bought: str, fee: str | None) -> None:
    """A negative fee would be a gain that nobody made."""
    with pytest.raises(AccountingError) as refused:
        exchange("x", sold, bought, at=1, fee=fee)
    assert refused.value.kind is AccountingKind.IMPOSSIBLE_EVENT
    assert "event x of user u000001" in str(refused.value)

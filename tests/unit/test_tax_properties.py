"""What holds for every history: nothing is lost, invented, or dependent on order."""

import random
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from crypto_platform.domain import exact
from crypto_platform.domain.tax_events import Exchange, TransferOut, gross_of, net_of
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport
from crypto_platform.domain.tax_rounding import round_report
from crypto_platform.domain.valuation import Money, Price
from tests.tax_histories import FIRST_US, USER, report_of

"""A machine that does other things too is no failure."""

COINS = ("BTC", "ETH", "BNB")
UNITS_MAX = 10**32
"""With 18 decimals each; 12 purchases stay within 34 digits."""

History = list[Exchange | TransferOut]


def prices(currency: str, ts_event: int) -> Price | None:
    """Every coin has a price at every time, with decimals that do not end in tidy places."""
    if currency not in COINS:
        return None
    second = (ts_event - FIRST_US) // 1_000_000
    cents = 1 + (COINS.index(currency) + 1) * 7919 + second * 104_729 % 15_485_863
    return Price(Decimal(cents).scaleb(-4), "USD", ts_event, "test")


def amount(units: int) -> Decimal:
    return Decimal(units).scaleb(-18, context=exact.EXACT)


@st.composite
def histories(draw: st.DrawFn, *, transfers: bool = False) -> History:
    """Up to 12 events that an account can have done; equal times come up often."""
    held = dict.fromkeys(COINS, 0)
    events: History = []
    second = 0
    for number in range(draw(st.integers(1, 12))):
        second += draw(st.sampled_from((0, 1, 86_400, 40 * 86_400)))
        some = [coin for coin in COINS if held[coin] > 2_000]
        kinds = [
            "buy",
            *(["sell", "swap"] if some else []),
            *(["out"] if some and transfers else []),
        ]
        kind = draw(st.sampled_from(kinds))
        common = {
            "event_id": f"e{number}",
            "user": USER,
            "sequence": number,
            "ts_event": FIRST_US + second * 1_000_000,
        }
        coin = draw(st.sampled_from(COINS if kind == "buy" else some))
        part = draw(st.integers(1, 1000))
        units = draw(st.integers(2_000, UNITS_MAX)) if kind == "buy" else held[coin] * part // 2000
        if kind == "out":
            events.append(TransferOut(**common, sent=Money(coin, amount(units))))
            held[coin] -= units
            continue
        paid = Money("USD", Decimal(draw(st.integers(1, 10**12))).scaleb(-2))
        mine = Money(coin, amount(units))
        other = draw(st.sampled_from([each for each in COINS if each != coin]))
        swapped = Money(other, amount(draw(st.integers(2_000, UNITS_MAX))))
        sold, bought = {"buy": (paid, mine), "sell": (mine, paid), "swap": (mine, swapped)}[kind]
        fee = draw(fees(sold, bought, held))
        event = Exchange(**common, sold=sold, bought=bought, fee=fee)
        events.append(event)
        for currency, change in _changes(event).items():
            if currency in held:
                held[currency] += change
    return events


@st.composite
def fees(draw: st.DrawFn, sold: Money, bought: Money, held: dict[str, int]) -> Money | None:
    kind = draw(st.sampled_from(("none", "dollars", "sold", "bought", "other")))
    [other, *_] = [coin for coin in COINS if coin not in (sold.currency, bought.currency)]
    if kind == "dollars" and "USD" not in (sold.currency, bought.currency):
        return Money("USD", Decimal(draw(st.integers(0, 10_000))).scaleb(-2))
    if kind == "sold" and sold.currency in held:
        return Money(sold.currency, amount(held[sold.currency] // 1000))
    if kind == "bought" and bought.currency in held:
        units = int(bought.amount.scaleb(18, context=exact.EXACT))
        return Money(bought.currency, amount(units // 1000))
    if kind == "other" and held[other]:
        return Money(other, amount(draw(st.integers(0, held[other]))))
    return None


def _changes(event: Exchange) -> dict[str, int]:
    """Units that came and went, counted apart from the code under test."""
    changes: dict[str, int] = {}

    def count(money: Money, sign: int) -> None:
        units = int(money.amount.scaleb(18, context=exact.EXACT))
        changes[money.currency] = changes.get(money.currency, 0) + sign * units

    count(event.sold, -1)
    count(event.bought, 1)
    if event.fee is not None:
        count(event.fee, -1)
    return changes


methods = st.sampled_from(BookingMethod)


@given(events=histories(transfers=True), method=methods)
def test_quantity_is_conserved(events: History, method: BookingMethod) -> None:
    """What came is what was given, what was withdrawn, and what is left: to the last digit."""
    report = report_of(events, method, prices=prices, year=2025)
    later = report_of(events, method, prices=prices, year=2026)
    left = dict.fromkeys(COINS, exact.ZERO)
    for lot in later.closing.lots:
        left[lot.currency] = exact.add(left[lot.currency], lot.quantity)
    expected = dict.fromkeys(COINS, 0)
    for event in events:
        changes = (
            _changes(event)
            if isinstance(event, Exchange)
            else {event.sent.currency: -int(event.sent.amount.scaleb(18, context=exact.EXACT))}
        )
        for coin in COINS:
            expected[coin] += changes.get(coin, 0)
    assert left == {coin: amount(units) for coin, units in expected.items()}
    assert report.closing.lots == later.opening.lots


@given(events=histories(transfers=True), method=methods)
def test_the_lots_consumed_add_up_to_the_disposal(events: History, method: BookingMethod) -> None:
    """Quantity, proceeds and gain of the parts are those of the whole."""
    for disposal in report_of(events, method, prices=prices).disposals:
        parts = disposal.parts
        assert exact.total(part.quantity for part in parts) == disposal.quantity
        assert exact.total_known(part.proceeds for part in parts) == disposal.proceeds
        assert len({part.lot_event_id for part in parts}) == len(parts)


@given(events=histories(), method=methods)
def test_gains_are_what_is_left_and_came_out_less_what_went_in(
    events: History, method: BookingMethod
) -> None:
    """Realized + unrealized = value of what is left - money invested, whatever the method.

    Every fee is in it once: a fee lost or counted twice breaks the equation.
    """
    reports = [report_of(events, method, prices=prices, year=year) for year in (2025, 2026)]
    realized = exact.total_known(each.realized_gain for each in reports)
    unrealized = exact.total_known(each.unrealized_gain for each in reports[1].closing.totals)
    value = exact.total_known(each.market_value for each in reports[1].closing.totals)
    assert realized is not None
    assert unrealized is not None
    assert value is not None
    assert exact.add(realized, unrealized) == exact.subtract(value, _invested(events))


def _invested(events: Sequence[Exchange | TransferOut]) -> Decimal:
    invested = exact.ZERO
    for event in events:
        assert isinstance(event, Exchange)
        legs = [(gross_of(event.sold, event.fee), 1), (net_of(event.bought, event.fee), -1)]
        if event.fee is not None and event.fee.currency not in (
            event.sold.currency, event.bought.currency,
        ):  # fmt: skip
            legs.append((event.fee, 1))
        for money, sign in legs:
            if money.currency == "USD":
                signed = money.amount if sign > 0 else money.amount.copy_negate()
                invested = exact.add(invested, signed)
    return invested


@given(events=histories(transfers=True), method=methods, seed=st.integers())
def test_the_order_of_reading_changes_nothing(
    events: History, method: BookingMethod, seed: int
) -> None:
    """The same facts from PostgreSQL and MongoDB are the same report."""
    shuffled = list(events)
    random.Random(seed).shuffle(shuffled)
    expected = report_of(events, method, prices=prices)
    assert report_of(shuffled, method, prices=prices) == expected


@given(events=histories(transfers=True), method=methods)
def test_a_rounded_report_still_adds_up(events: History, method: BookingMethod) -> None:
    """Parts to their class, classes to the year, lots to their currency, fees to theirs."""
    exactly = report_of(events, method, prices=prices, year=2026)
    rounded = round_report(exactly)
    _check_sums(rounded)
    for before, after in zip(exactly.transfers, rounded.transfers, strict=True):
        cost = exact.total(part.cost_basis or exact.ZERO for part in before.parts)
        parts = exact.total(part.cost_basis or exact.ZERO for part in after.parts)
        assert parts == exact.round_half_up(cost, 2)
    assert rounded.realized_gain is not None
    assert exactly.realized_gain is not None
    difference = exact.subtract(rounded.realized_gain, exactly.realized_gain)
    assert difference.copy_abs() <= Decimal("0.01")


def _check_sums(report: TaxReport) -> None:
    for total in report.gains:
        parts = [
            part
            for each in report.disposals
            for part in each.parts
            if (each.currency, part.holding) == (total.currency, total.holding)
        ]
        assert exact.total_known(part.proceeds for part in parts) == total.proceeds
        assert exact.total_known(part.cost_basis for part in parts) == total.cost_basis
        assert exact.total_known(part.realized_gain for part in parts) == total.realized_gain
    for holdings in (report.opening, report.closing):
        for held in holdings.totals:
            lots = [lot for lot in holdings.lots if lot.currency == held.currency]
            assert exact.total_known(lot.cost_basis for lot in lots) == held.cost_basis
            assert exact.total_known(lot.unrealized_gain for lot in lots) == held.unrealized_gain
    for fees_of in report.fee_totals:
        values = [
            fee.value
            for fee in report.fees
            if (fee.currency, fee.treatment) == (fees_of.currency, fees_of.treatment)
        ]
        assert exact.total_known(values) == fees_of.value

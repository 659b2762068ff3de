"""A user's tax year: every disposal with its lots, sums, fees, and what was held at both ends.

Here: which events belong to a year, and what is known at its ends. Not here: rules (tax_book.py),
sums (tax_totals.py), rounding (tax_rounding.py), files for people (serving/tax_report.py).
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from crypto_platform.domain import exact
from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.holding_periods import ONE_YEAR, HoldingLimit
from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.tax_book import TaxBook
from crypto_platform.domain.tax_events import TaxEvent, refuse
from crypto_platform.domain.tax_lots import BookingMethod, LotPart
from crypto_platform.domain.tax_records import (
    Disposal,
    FeePaid,
    HeldLot,
    Transfer,
    Unvalued,
    find_gain,
)
from crypto_platform.domain.tax_totals import (
    FeeTotal,
    GainTotal,
    Holdings,
    sum_fees,
    sum_gains,
    sum_holdings,
)
from crypto_platform.domain.valuation import Money, Price, PriceFunction, Valuer


class TaxReport(msgspec.Struct, frozen=True, kw_only=True):
    """One user's tax year.

    Attributes:
        user: Whose.
        year: January 1 to December 31 in the time zone.
        time_zone: Name in the IANA database.
        ts_start, ts_end: The year's first moment and the next one's, microseconds since 1970.
        ts_until: How far it goes; before ts_end where the year is not over, and the report is
            preliminary.
        booking_method: Which lots were consumed first.
        holding_limit: What divides short from long; None where nothing does.
        reporting_currency: Of every value.
        rates_source: Who published the official rates of money.
        price_sources: Whose prices were found for anything else, by name.
        rounding: None while exact; else the rule by which all values were rounded.
        realized_gain: Of all disposals whose gain is known; None where none is.
        gains: Sums of disposals, by currency and holding class.
        disposals: Of the year, in the order of events.
        fees, fee_totals: Of the year.
        transfers: Withdrawals of the year.
        opening, closing: At the year's first moment and at ts_until, before that one's events.
        unvalued: What of the year, and of its holdings, could not be valued.
        events: How many of the user's events were read, from the first to ts_until.
    """

    user: str
    year: int
    time_zone: str
    ts_start: int
    ts_end: int
    ts_until: int
    booking_method: BookingMethod
    holding_limit: HoldingLimit | None
    reporting_currency: str
    rates_source: str
    price_sources: tuple[str, ...]
    rounding: str | None
    realized_gain: Decimal | None
    gains: tuple[GainTotal, ...]
    disposals: tuple[Disposal, ...]
    fees: tuple[FeePaid, ...]
    fee_totals: tuple[FeeTotal, ...]
    transfers: tuple[Transfer, ...]
    opening: Holdings
    closing: Holdings
    unvalued: tuple[Unvalued, ...]
    events: int


def build_tax_report(
    events: Iterable[TaxEvent],
    prices: PriceFunction,
    rates: OfficialRates,
    *,
    user: str,
    year: int,
    time_zone: ZoneInfo,
    booking_method: BookingMethod,
    reporting_currency: str = "EUR",
    holding_limit: HoldingLimit | None = ONE_YEAR,
    ts_until: int | None = None,
) -> TaxReport:
    """A user's tax year, exact; round_report brings it to cents.

    Args:
        events: All there are of the user, from his first on, in any order; others' are left out.
        prices: Of what is not money, at a time.
        rates: Of money, by day.
        user: Whose year.
        year: Of the calendar.
        time_zone: Where the year begins, days are counted and a moment has its official rate.
        booking_method: The same every year, or lots are consumed twice.
        reporting_currency: What all is valued in.
        holding_limit: What divides short from long; None where nothing does.
        ts_until: Where the report ends, of a year that is not over; None, or later than the year,
            is its end.

    Raises:
        AccountingError: missing_acquisition: something was given that had never come.
            impossible_event: two events of one name.
    """
    ts_start, ts_end = (_first_moment(each, time_zone) for each in (year, year + 1))
    ends = ts_end if ts_until is None else max(ts_start, min(ts_until, ts_end))
    own = _order(events, user=user, ts_end=ends)
    used: set[str] = set()

    def find_price(currency: str, ts_event: int) -> Price | None:
        price = prices(currency, ts_event)
        used.update([] if price is None else [price.source])
        return price

    valuer = Valuer(rates, find_price, reporting_currency, time_zone)
    book = TaxBook(
        valuer, booking_method=booking_method, holding_limit=holding_limit, time_zone=time_zone
    )
    first_inside = sum(event.ts_event < ts_start for event in own)
    for event in own[:first_inside]:
        book.apply(event)
    opening, opening_unvalued = _hold(book, valuer, ts_start)
    for event in own[first_inside:]:
        book.apply(event)
    closing, closing_unvalued = _hold(book, valuer, ends)
    disposals = tuple(each for each in book.disposals if each.ts_event >= ts_start)
    fees = tuple(each for each in book.fees if each.ts_event >= ts_start)
    gains = sum_gains(disposals)
    return TaxReport(
        user=user,
        year=year,
        time_zone=time_zone.key,
        ts_start=ts_start,
        ts_end=ts_end,
        ts_until=ends,
        booking_method=booking_method,
        holding_limit=holding_limit,
        reporting_currency=reporting_currency,
        rates_source=rates.source,
        price_sources=tuple(sorted(used)),
        rounding=None,
        realized_gain=exact.total_known(each.realized_gain for each in gains),
        gains=gains,
        disposals=disposals,
        fees=fees,
        fee_totals=sum_fees(fees),
        transfers=tuple(each for each in book.transfers if each.ts_event >= ts_start),
        opening=opening,
        closing=closing,
        unvalued=(*_list_unvalued(book, opening, ts_start), *opening_unvalued, *closing_unvalued),
        events=len(own),
    )


def _first_moment(year: int, time_zone: ZoneInfo) -> int:
    return to_time_us(datetime.combine(date(year, 1, 1), datetime.min.time(), time_zone))


def _order(events: Iterable[TaxEvent], *, user: str, ts_end: int) -> list[TaxEvent]:
    """Time, then the venue's sequence, then the name: the same for every order they come in."""
    own = [event for event in events if event.user == user]
    names: set[str] = set()
    for event in own:
        if event.event_id in names:
            raise refuse(event, "it is there twice")
        names.add(event.event_id)
    before_end = [event for event in own if event.ts_event < ts_end]
    return sorted(before_end, key=lambda each: (each.ts_event, each.sequence, each.event_id))


def _hold(book: TaxBook, valuer: Valuer, ts_border: int) -> tuple[Holdings, list[Unvalued]]:
    """What is held, valued at the last moment before the border."""
    ts_event = ts_border - 1
    lots: list[HeldLot] = []
    unvalued: list[Unvalued] = []
    for currency, parts in book.list_lots().items():
        quantities = [part.quantity for part in parts]
        worth = valuer.value(Money(currency, exact.total(quantities)), ts_event)
        if worth.value is None:
            lots += [_build_held(part, None) for part in parts]
            unvalued += [_name_unvalued(part, ts_event, worth.how) for part in parts]
        else:
            shares = exact.split(worth.value, quantities)
            lots += [_build_held(part, share) for part, share in zip(parts, shares, strict=True)]
    return Holdings(lots=tuple(lots), totals=sum_holdings(lots)), unvalued


def _build_held(part: LotPart, value: Decimal | None) -> HeldLot:
    return HeldLot(
        event_id=part.lot.event_id,
        ts_acquired=part.lot.ts_acquired,
        is_acquired_known=part.lot.is_acquired_known,
        currency=part.lot.currency,
        quantity=part.quantity,
        cost_basis=part.cost_basis,
        market_value=value,
        unrealized_gain=find_gain(value, part.cost_basis),
        how=part.lot.how,
    )


def _name_unvalued(part: LotPart, ts_event: int, why: str) -> Unvalued:
    return Unvalued(
        event_id=part.lot.event_id,
        ts_event=ts_event,
        what="market_value",
        currency=part.lot.currency,
        quantity=part.quantity,
        why=why,
    )


def _list_unvalued(book: TaxBook, opening: Holdings, ts_start: int) -> tuple[Unvalued, ...]:
    """The year's own, and costs unknown since before of what it began with."""
    unknown = [lot for lot in opening.lots if lot.cost_basis is None]
    lots = {lot.event_id for lot in unknown}
    pools = {lot.currency for lot in unknown} if book.is_averaged else set[str]()
    return tuple(
        each
        for each in book.unvalued
        if each.ts_event >= ts_start
        or (each.what == "cost_basis" and (each.event_id in lots or each.currency in pools))
    )

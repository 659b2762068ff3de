"""A user's tax year, and what his wallets were worth day by day, from whichever store answers.

Here: the way from a user's stored events, by stored rates and prices, to a report; both stores give
the same one. Not here: what is asked of which store (report_reading.py), the rules (domain/), files
of a report (tax_report.py), who may ask for whom.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.portfolio_history import (
    Movement,
    PortfolioDay,
    build_portfolio_history,
    day_at,
)
from crypto_platform.domain.tax_events import Origin, TaxEvent, TransferIn
from crypto_platform.domain.tax_lots import BookingMethod
from crypto_platform.domain.tax_report import TaxReport, build_tax_report
from crypto_platform.domain.tax_rounding import round_report
from crypto_platform.domain.valuation import PriceFunction, Valuer
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.accounts import AccountEvent
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.report_reading import ReportReading
from crypto_platform.serving.tax_events import build_tax_events, sum_moved
from crypto_platform.settings import Settings

DAYS_MAX = 3_660
"""Of a portfolio's history: ten years."""
CENTS = 2
TAX_CURRENCY = "EUR"
TAX_TIME_ZONE = "Europe/Berlin"
"""Of a tax report where nobody says another, for everybody who asks for one."""
NO_ORIGINS: Mapping[str, Origin] = MappingProxyType({})


class PortfolioHistory(NamedTuple):
    """What a user's wallets were worth.

    Attributes:
        currency: Of all values.
        time_zone: In which days end; name in the IANA database.
        days: From the first to the last, each at its end; the last may still be going on.
    """

    user: str
    currency: str
    time_zone: str
    days: Sequence[PortfolioDay]


def read_tax_report(
    reads: Reads,
    settings: Settings,
    user: str,
    year: int,
    method: BookingMethod,
    currency: str,
    time_zone: str,
    *,
    origins: Mapping[str, Origin] = NO_ORIGINS,
    decimals: int | None = CENTS,
) -> tuple[Source, TaxReport]:
    """A user's tax year; of one that is not over, up to his last event.

    Args:
        user: Whose.
        year: Of the calendar in the time zone.
        method: The same every year, or lots are consumed twice.
        currency: What all is valued in.
        time_zone: Name in the IANA database: Europe/Berlin.
        origins: By event_id, where deposits come from.
        decimals: To which values are rounded; None leaves them exact.

    Returns:
        Where his events come from, with what is to be said of rates and prices; and the report.

    Raises:
        UnknownUserError: Nothing of him is stored.
        ConfigurationError: Year (one before his first event, too), time zone, currency, or an
            origin of no deposit of his.
        NoRatesError: Money would have to be valued, and there is no rate.
        AccountingError: missing_acquisition, impossible_event.
        StoreUnavailableError: No store answered; holds what each said.
    """
    zone = find_time_zone(time_zone)
    ts_now = to_time_us(datetime.now(UTC))
    ts_start, ts_end = (_begin_of(each, zone) for each in (year, year + 1))
    if ts_start > ts_now:
        message = f"the year {year} has not begun: nothing can be reported of it"
        raise ConfigurationError(message)
    reading = ReportReading(settings, reads)
    events = reading.read_events(user)
    _check_year(year, user, events, zone)
    taxed = build_tax_events(events, origins)
    _check_origins(taxed, origins, user)
    rates = reading.read_rates(taxed, currency)

    def build(prices: PriceFunction) -> TaxReport:
        return build_tax_report(
            taxed,
            prices,
            rates,
            user=user,
            year=year,
            time_zone=zone,
            booking_method=method,
            reporting_currency=currency,
            ts_until=None if ts_end <= ts_now else events[-1].ts_event + 1,
        )

    report = reading.build_with_prices(build, preferred=currency)
    source = reading.source
    return source, report if decimals is None else round_report(report, decimals=decimals)


def read_portfolio_history(
    reads: Reads,
    settings: Settings,
    user: str,
    first_day: date | None,
    last_day: date | None,
    currency: str,
    *,
    time_zone: str = "UTC",
    method: BookingMethod = BookingMethod.FIFO,
    origins: Mapping[str, Origin] = NO_ORIGINS,
) -> tuple[Source, PortfolioHistory]:
    """What a user's wallets were worth at each day's end, exact; today's so far.

    Args:
        first_day, last_day: Both inclusive; None is the day of his first event, and today. Of days
            before that event nothing is known, and nothing is told.

    Returns, Raises:
        As read_tax_report.
    """
    zone = find_time_zone(time_zone)
    today = datetime.now(zone).date()
    reading = ReportReading(settings, reads)
    events = reading.read_events(user)
    begins = day_at(events[0].ts_event, zone)
    last = min(last_day or today, today)
    _check_days(first_day or begins, last)
    first = max(first_day or begins, begins)
    taxed = build_tax_events(events, origins)
    _check_origins(taxed, origins, user)
    rates = reading.read_rates(taxed, currency)
    movements = [
        Movement(event.ts_event, moved, amount)
        for event in events
        for moved, amount in sum_moved(event).items()
    ]

    def build(prices: PriceFunction) -> Sequence[PortfolioDay]:
        return build_portfolio_history(
            movements,
            taxed,
            Valuer(rates, prices, currency, zone),
            first_day=first,
            last_day=last,
            booking_method=method,
        )

    days = reading.build_with_prices(build, preferred=currency)
    source = reading.source
    return source, PortfolioHistory(user, currency, time_zone, days)


def find_time_zone(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        message = f"there is no time zone {name!r}: expected a name such as Europe/Berlin or UTC"
        raise ConfigurationError(message) from error


def _begin_of(year: int, zone: ZoneInfo) -> int:
    try:
        return to_time_us(datetime(year, 1, 1, tzinfo=zone))
    except (ValueError, OverflowError) as error:
        message = f"{year} is no year of the calendar that can be reported: expected 1970 to 9998"
        raise ConfigurationError(message) from error


def _check_year(year: int, user: str, events: Sequence[AccountEvent], zone: ZoneInfo) -> None:
    """Refuse what is before the first event; a later year without one still ends with holdings."""
    years = sorted({day_at(event.ts_event, zone).year for event in events})
    if year < years[0]:
        message = (
            f"nothing of {user} is stored of {year}: his events are of "
            f"{', '.join(str(each) for each in years)}"
        )
        raise ConfigurationError(message)


def _check_days(first: date, last: date) -> None:
    number = (last - first).days + 1
    if number < 1:
        message = f"from {first} to {last} there is no day"
        raise ConfigurationError(message)
    if number > DAYS_MAX:
        message = f"{number:,} days are more than {DAYS_MAX:,}: ask for a shorter time"
        raise ConfigurationError(message)


def _check_origins(events: Iterable[TaxEvent], origins: Mapping[str, Origin], user: str) -> None:
    deposits = [event.event_id for event in events if isinstance(event, TransferIn)]
    strange = sorted(set(origins) - set(deposits))
    if strange:
        some = ", ".join(deposits[:5]) or "none"
        message = (
            f"origins are given for {', '.join(strange[:5])}, which are no deposits of {user}; "
            f"his are {some}{' …' if len(deposits) > 5 else ''}"  # noqa: PLR2004 (as above)
        )
        raise ConfigurationError(message)

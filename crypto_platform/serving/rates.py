"""The table of official rates that reports value money by, from what is stored.

Here: whose rates, where several publish. Not here: what is asked of a table
(domain/exchange_rates.py), SQL and BSON (stores/).
"""

from collections.abc import Collection, Sequence
from decimal import Decimal

from crypto_platform.domain.exchange_rates import OfficialRates
from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import ConfigurationError, PlatformError
from crypto_platform.feeds.exchange_rates import ExchangeRates

NO_RATES = OfficialRates(base="EUR", source="no source of rates", days={})


class NoRatesError(PlatformError):
    """Money cannot be valued: no official rate is stored; says which source has them."""


def build_rates(days: Sequence[ExchangeRates], *, simulated: Collection[str]) -> OfficialRates:
    """The table of one publisher: rates of two are never mixed within a report.

    Args:
        days: The last revision of each day and source.
        simulated: Names of simulated sources; a real one goes before them, then the one with more
            days.
    """
    sources: dict[str, list[ExchangeRates]] = {}
    for day in days:
        sources.setdefault(day.source, []).append(day)
    if not sources:
        return NO_RATES
    source = min(sources, key=lambda name: (name in simulated, -len(sources[name]), name))
    own = sources[source]
    return OfficialRates(
        base=own[0].base_currency,
        source=f"{source} (simulated)" if source in simulated else source,
        days={
            from_time_us(day.ts_event).date(): dict(
                zip(day.currencies, map(Decimal, day.rates), strict=True)
            )
            for day in own
        },
    )


def check_rates(rates: OfficialRates, *, reporting: str, money: Collection[str]) -> None:
    """See that there are rates where some are needed.

    Args:
        rates: The table.
        reporting: What is valued in.
        money: Money that occurs.

    Raises:
        NoRatesError: There is none at all, and other money than the reporting one occurs.
        ConfigurationError: The reporting currency is none of the table's.
    """
    others = sorted(set(money) - {reporting})
    if others and not rates.days:
        message = (
            f"no official exchange rates are stored, so {', '.join(others)} cannot be valued in "
            f"{reporting}: their sources (ecb, offline simulated_ecb) are asked once an hour while "
            f"the stack runs; `crypto-platform sources check` says whether they answer, and "
            f"--currency {others[0]} needs none"
        )
        raise NoRatesError(message)
    if others and reporting not in rates.currencies:
        message = (
            f"{rates.source} has no rate of {reporting}, so nothing can be valued in it; there are "
            f"{', '.join(sorted(rates.currencies))}"
        )
        raise ConfigurationError(message)

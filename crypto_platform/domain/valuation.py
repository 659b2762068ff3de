"""What an amount was worth at a time, in one currency, and how one knows.

Here: money by official rates, everything else by a price that is handed in. USDT is not USD: a
stablecoin has a price like any other currency. What has neither is unknown, never zero. Not here:
where prices come from; what the value is used for (tax_book.py).
"""

from collections.abc import Callable
from datetime import date, tzinfo
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain import exact
from crypto_platform.domain.exchange_rates import MONEY, OfficialRates
from crypto_platform.domain.hours import from_time_us

PRICE_STEPS_MAX = 3
"""A price may be in a currency that itself has only a price (BTC in USDT, USDT in USD)."""


class Money(NamedTuple):
    """An amount of one currency."""

    currency: str
    amount: Decimal


class Price(NamedTuple):
    """What one unit of a currency cost.

    Attributes:
        value: In the quote currency, for one unit. Zero is a price (worthless), not "unknown".
        quote_currency: What it is counted in.
        ts_event: When, in microseconds since 1970.
        source: Where it was, as reports name it.
    """

    value: Decimal
    quote_currency: str
    ts_event: int
    source: str


PriceFunction = Callable[[str, int], Price | None]
"""Currency and time (microseconds since 1970) -> its price then; None where nobody knows."""


class Valuation(NamedTuple):
    """What an amount was worth.

    Attributes:
        value: In the valuer's currency; None where it is unknown.
        how: Rates and prices with their sources and times; why not, where it is unknown.
    """

    value: Decimal | None
    how: str


class Valuer(NamedTuple):
    """Values amounts at times.

    Attributes:
        rates: Of money.
        prices: Of everything else.
        currency: What values are counted in; may itself be anything.
        time_zone: Where a moment's day, and with it its official rate, is decided.
        money: What official rates are for; has no price of its own.
    """

    rates: OfficialRates
    prices: PriceFunction
    currency: str
    time_zone: tzinfo
    money: frozenset[str] = MONEY

    def is_money(self, currency: str) -> bool:
        """Whether a currency is valued by official rates, or is what values are counted in."""
        return currency == self.currency or currency in self.money

    def value(self, money: Money, ts_event: int) -> Valuation:
        """What an amount was worth at a time."""
        day = self._day_of(ts_event)
        steps: list[str] = []
        currency, amount = money
        for _ in range(PRICE_STEPS_MAX):
            if self.is_money(currency):
                return self._convert(Money(currency, amount), day, steps)
            price = self.prices(currency, ts_event)
            if price is None:
                when = from_time_us(ts_event).isoformat()
                return Valuation(None, f"no price of {currency} at {when}")
            steps.append(
                f"{price.source}: {price.value:f} {price.quote_currency} for 1 {currency} "
                f"at {from_time_us(price.ts_event).isoformat()}"
            )
            currency, amount = price.quote_currency, exact.multiply(amount, price.value)
        return Valuation(None, f"no price of {money.currency} that leads to money: {steps}")

    def _convert(self, money: Money, day: date, steps: list[str]) -> Valuation:
        found = self.rates.convert(
            money.amount, currency=money.currency, into=self.currency, day=day
        )
        if found is None:
            source = self.rates.source
            how = f"no rate of {money.currency} in {self.currency} of {day} from {source}"
            return Valuation(None, how)
        if not steps or money.currency != self.currency:
            steps = [*steps, found.how]
        return Valuation(found.amount, "; ".join(steps))

    def _day_of(self, ts_event: int) -> date:
        return from_time_us(ts_event).astimezone(self.time_zone).date()

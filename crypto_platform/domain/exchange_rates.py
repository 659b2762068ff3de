"""What money was worth in other money on a day: official rates, one a day and currency.

Here: the table and how it is asked. Not here: who publishes it and in which form (sources/ecb.py),
currencies without an official rate, which have prices (valuation.py).
"""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import msgspec

from crypto_platform.domain import exact

DAYS_BACK_MAX = 7
"""The longest a rate stands in for a later day. Publishers pause for weekends and holidays, five
days at most where Christmas meets a weekend; a wider hole is a table that ended or a currency that
is no longer quoted, and then the rate is unknown."""

MONEY = frozenset({
    "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CNY", "COP", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KRW", "MXN", "MYR", "NGN", "NOK", "NZD",
    "PHP", "PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "UAH", "USD", "VND", "ZAR",
})  # fmt: skip
"""Money of states: what is valued by official rates. A stablecoin is none."""


class Rate(NamedTuple):
    """Units of a currency for one of the table's base.

    Attributes:
        value: Above zero.
        published: The day it was published for: the one asked for, or an earlier one.
    """

    value: Decimal
    published: date


class Conversion(NamedTuple):
    """Money in another currency, and the rates that say so, for people."""

    amount: Decimal
    how: str


class OfficialRates(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Reference rates as somebody publishes them.

    Attributes:
        base: Rates are units of the other currency for one of this (the ECB's: EUR).
        source: Who publishes them, as reports name it.
        days: Day -> currency -> rate above zero; days without publication are missing.
    """

    base: str
    source: str
    days: Mapping[date, Mapping[str, Decimal]]

    @cached_property
    def currencies(self) -> frozenset[str]:
        """All that were ever quoted, and the base."""
        return frozenset({self.base}.union(*self.days.values()))

    def find(self, currency: str, day: date) -> Rate | None:
        """The rate of a day, or the last published before it; None where neither is there."""
        if currency == self.base:
            return Rate(exact.ONE, day)
        for days_back in range(DAYS_BACK_MAX + 1):
            published = day - timedelta(days=days_back)
            value = self.days.get(published, {}).get(currency)
            if value is not None:
                return Rate(value, published)
        return None

    def convert(self, amount: Decimal, *, currency: str, into: str, day: date) -> Conversion | None:
        """Money of a day in another currency; None where a rate is unknown."""
        if currency == into:
            return Conversion(amount, f"amount in {into}")
        rates = {code: self.find(code, day) for code in (currency, into)}
        known = {code: rate for code, rate in rates.items() if rate is not None}
        if len(known) < len(rates):
            return None
        converted = exact.divide(exact.multiply(amount, known[into].value), known[currency].value)
        quoted = [self._describe(code, rate, day) for code, rate in known.items()]
        return Conversion(converted, "; ".join(text for text in quoted if text))

    def _describe(self, currency: str, rate: Rate, day: date) -> str:
        if currency == self.base:
            return ""
        text = f"{self.source}: {rate.value:f} {currency} for 1 {self.base} of {rate.published}"
        return text if rate.published == day else f"{text}, the last before {day}"

"""What a look at the quality of market data finds, and what to type about it.

Here: the kinds of findings, how those of one market add up, the next step of each. Pure. Not here:
looking (quality_trades.py, quality_order_books.py, quality_candles.py, quality_prices.py), which
hours and markets (quality_hour.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from crypto_platform.domain.hours import TimeUs, from_time_us, name_day
from crypto_platform.stores.market import Market

EXAMPLES_MAX = 3


class Flaw(StrEnum):
    """What is wrong, or looks so."""

    TRADES_MISSING = "trades are missing"
    TRADE_REPEATED = "a trade is there twice"
    PRICE_APART = "a price lies apart from other venues"
    BOOK_CROSSED = "a book is crossed"
    BOOK_UNSORTED = "a book's levels are not in order"
    CANDLES_MISSING = "candles are missing"
    CANDLE_OFF_CALENDAR = "a candle opens at no time of its interval"
    CANDLE_DIFFERS = "a candle differs from the trades in it"
    STALE = "nothing new came"


DOUBTFUL = frozenset({Flaw.PRICE_APART, Flaw.STALE})
"""What may be so at the venue: warnings."""

_NEXT_STEPS: Mapping[Flaw, str] = {
    Flaw.TRADES_MISSING: "crypto-platform gaps --venue {venue} --symbol {symbol} --feed trades "
    "--day {day} --repair, once that day is over",
    Flaw.TRADE_REPEATED: "crypto-platform trades {venue} {symbol} --from {first} --to {last}",
    Flaw.PRICE_APART: "crypto-platform trades {venue} {symbol} --from {first} --to {last}",
    Flaw.BOOK_CROSSED: "crypto-platform book {venue} {symbol} --as-of {first}",
    Flaw.BOOK_UNSORTED: "crypto-platform book {venue} {symbol} --as-of {first}",
    Flaw.CANDLES_MISSING: "crypto-platform gaps --venue {venue} --symbol {symbol} --feed candles "
    "--day {day} --repair, once that day is over",
    Flaw.CANDLE_OFF_CALENDAR: "crypto-platform candles {venue} {symbol} --from {first} --to {last}",
    Flaw.CANDLE_DIFFERS: "crypto-platform history --source {venue} --feed candles "
    "--symbol {symbol} --from {day} --to {day} --again",
    Flaw.STALE: "crypto-platform status",
}


@dataclass(kw_only=True)
class Finding:
    """All of one kind in one market and hour.

    Attributes:
        records: How many trades, books or candles.
        first_us, last_us: Of which event times.
        examples: The first few, in words.
    """

    flaw: Flaw
    market: Market
    records: int = 0
    first_us: TimeUs | None = None
    last_us: TimeUs | None = None
    examples: list[str] = field(default_factory=list[str])

    @property
    def next_step(self) -> str:
        """What to type."""
        first = self.first_us or 0
        return _NEXT_STEPS[self.flaw].format(
            venue=self.market.venue,
            symbol=self.market.venue_symbol,
            day=name_day(first),
            first=format_moment(first),
            last=format_moment((self.last_us or first) + 1_000_000),
        )

    def __str__(self) -> str:
        """One line for a person."""
        return (
            f"{self.market.venue} {self.market.venue_symbol}: {self.flaw.value} "
            f"({self.records:,}): {'; '.join(self.examples)} -> {self.next_step}"
        )


class Findings:
    """Those of one market, by kind."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._found: dict[Flaw, Finding] = {}

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def note(self, flaw: Flaw, time_us: TimeUs, example: str, *, records: int = 1) -> None:
        """One more."""
        found = self._found.setdefault(flaw, Finding(flaw=flaw, market=self.market))
        found.records += records
        found.first_us = time_us if found.first_us is None else min(found.first_us, time_us)
        found.last_us = time_us if found.last_us is None else max(found.last_us, time_us)
        if len(found.examples) < EXAMPLES_MAX:
            found.examples.append(example)


def format_moment(time_us: TimeUs) -> str:
    """2026-01-31T14:30:00Z, as commands take it."""
    return f"{from_time_us(time_us):%Y-%m-%dT%H:%M:%SZ}"

"""Which settings a venue can work with: feeds, symbols, intervals, and a budget that is enough.

Here: pure checks, each with an error that says what works. Not here: bounds of single settings
(settings.py).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.sources.budget import Budget

SYMBOL_PAGES_MAX = 10
"""Of one symbol's trades in one poll. Further behind, the oldest part is read first."""
POLL_PAGES_MAX = 50
"""Of all symbols in one poll: 50,000 trades are what one Kafka transaction is asked to hold."""
SYMBOL_PAGES_MIN = 2
"""The newest page, and one that begins at the cursor."""
CANDLE_PAGES_MAX = 5
"""Of one symbol and interval in one poll; further behind, the next poll goes on."""


def choose_feeds(given: Sequence[str], asked: Sequence[str], *, source: str) -> tuple[str, ...]:
    """Those of the dialect's feeds that the settings ask for: all of them where they name none.

    Raises:
        ConfigurationError: The settings ask for one that the dialect does not give.
    """
    unknown = [feed for feed in asked if feed not in given]
    if unknown:
        message = (
            f"sources.{source}.feeds: {', '.join(map(repr, unknown))} is nothing this dialect "
            f"gives; it gives {', '.join(given)}"
        )
        raise ConfigurationError(message)
    return tuple(feed for feed in given if not asked or feed in asked)


def check_symbols(
    symbols: Sequence[str], *, form: re.Pattern[str], example: str, source: str
) -> tuple[str, ...]:
    """The symbols, each once.

    Raises:
        ConfigurationError: There is none, or one that is not of the venue's form.
    """
    wrong = [symbol for symbol in symbols if not form.fullmatch(symbol)]
    if wrong or not symbols:
        message = (
            f"sources.{source}.symbols: {', '.join(map(repr, wrong)) or 'nothing'} is no symbol of "
            f"this venue; give them as it does: {example}"
        )
        raise ConfigurationError(message)
    return tuple(dict.fromkeys(symbols))


def choose_intervals(
    asked: Sequence[str], given: Collection[Interval], *, source: str
) -> tuple[Interval, ...]:
    """The intervals that the settings ask for, each once.

    Raises:
        ConfigurationError: The venue has no candles of that length.
    """
    unknown = [name for name in asked if name not in given]
    if unknown:
        message = (
            f"sources.{source}.intervals: this venue has no candles of {', '.join(unknown)}; it "
            f"has {', '.join(sorted(given, key=_length))}"
        )
        raise ConfigurationError(message)
    return tuple(dict.fromkeys(Interval(name) for name in asked))


def _length(interval: Interval) -> int:
    return interval.length_us


@dataclass(frozen=True, kw_only=True)
class PagesMax:
    """How many pages one poll may ask for at most.

    Attributes:
        trades: Of each symbol.
        candles: Of each symbol and interval.
    """

    trades: int
    candles: int


def find_pages_max(
    symbols: int, feeds: Sequence[str], intervals: int, budget: Budget, *, source: str
) -> PagesMax:
    """So many that a poll of any of the feeds fits into its part of the budget, which all share.

    Args:
        symbols, intervals: How many of each are asked for.
        feeds: Their names.

    Raises:
        ConfigurationError: There is no room for two pages of each symbol's trades, or for a page of
            each interval's candles.
    """
    requests_max = budget.requests_max // max(len(feeds), 1)
    streams = symbols * intervals if CANDLES.name in feeds else symbols
    trades = min(POLL_PAGES_MAX, requests_max) // symbols
    candles = requests_max // streams
    if trades < SYMBOL_PAGES_MIN or not candles:
        message = (
            f"sources.{source}.symbols names {symbols} symbols: a poll of trades takes up to "
            f"{SYMBOL_PAGES_MIN} requests for each, one of candles {streams} (one for each symbol "
            f"and interval). A poll may ask {POLL_PAGES_MAX} times at most, {requests_max} times "
            f"in {budget.window_s:.0f} s by its budget (70 % of requests_per_minute_max, shared "
            f"by {len(feeds)} feeds): name fewer symbols, intervals or feeds, spread them over two "
            f"sources, or raise requests_per_minute_max if the source allows more"
        )
        raise ConfigurationError(message)
    return PagesMax(trades=min(trades, SYMBOL_PAGES_MAX), candles=min(candles, CANDLE_PAGES_MAX))

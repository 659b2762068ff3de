"""How much a market moved, and which others of its venue moved with it, hour by hour.

The figures of tables analytics.volatility and analytics.correlation, made when they are asked for,
so that they are there without PostgreSQL and with what came late: each of the 24 hours before a
full hour, the last one that is over the newest. As in the overview, MongoDB has the venues' own
candles (`made_of`).

Here: what is read, and rows for other programs. Not here: the arithmetic (domain/volatility.py),
text (cli/).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.analytics.volatility import BACK_US, INTERVAL
from crypto_platform.analytics.windows import look_back
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, TimeUs, hour_of
from crypto_platform.domain.market_overview import CandleFigures
from crypto_platform.domain.volatility import (
    Close,
    Correlation,
    Volatility,
    find_correlation,
    find_returns,
    find_volatility,
    look_back_on,
)
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.analytics import MadeOf
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.market import Place, find_market, match_markets
from crypto_platform.serving.overview import list_named_markets, read_five_minutes
from crypto_platform.serving.sheets import Column, Sheet, print_amount
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market

HOURS_MAX = 168
"""A week: so much of all markets of a venue is read in a moment."""
_TRADES = FEED_BY_NAME[TRADES.name]
_CANDLES = FEED_BY_NAME[CANDLES.name]

Returns = Mapping[int, Decimal]


class TimedVolatility(NamedTuple):
    """Of the 24 hours before a time."""

    as_of_us: TimeUs
    volatility: Volatility


class TimedCorrelation(NamedTuple):
    """With another market of the venue, of the 24 hours before a time."""

    as_of_us: TimeUs
    other: Market
    correlation: Correlation


@dataclass(frozen=True, kw_only=True)
class VolatilityAnswer:
    """A market's course, oldest first; an hour before which nothing was traded has no row."""

    source: Source
    market: Market
    made_of: MadeOf
    rows: Sequence[TimedVolatility]


@dataclass(frozen=True, kw_only=True)
class CorrelationAnswer:
    """A market beside each other one of its venue, oldest first, then by name.

    Attributes:
        rows: None of an hour before which either has no return.
    """

    source: Source
    market: Market
    made_of: MadeOf
    rows: Sequence[TimedCorrelation]


class _Read(NamedTuple):
    """What a store says: all markets that have trades, and candles of some."""

    markets: Sequence[Market]
    candles: Mapping[Market, Sequence[CandleFigures]]
    made_of: MadeOf


def read_volatility(
    reads: Reads, settings: Settings, place: Place, *, hours: int
) -> VolatilityAnswer:
    """The newest so many hours of a market.

    Raises:
        UnknownMarketError: There are no trades of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said.
    """
    source, market, read, ends = _read(reads, settings, place, hours, with_others=False)
    windows = look_back(read.candles[market], ends, back_us=BACK_US)
    rows = [
        TimedVolatility(end_us, find_volatility(_to_closes(window)))
        for end_us, window in zip(ends, windows, strict=True)
        if window
    ]
    return VolatilityAnswer(source=source, market=market, made_of=read.made_of, rows=rows)


def read_correlations(
    reads: Reads, settings: Settings, place: Place, *, hours: int
) -> CorrelationAnswer:
    """A market with each other one of its venue, the newest so many hours; see read_volatility."""
    source, market, read, ends = _read(reads, settings, place, hours, with_others=True)
    returns = {
        each: find_returns(_to_closes(own), interval_us=INTERVAL.length_us)
        for each, own in read.candles.items()
    }
    rows: list[TimedCorrelation] = []
    for end_us in ends:
        own = look_back_on(returns[market], end_us)
        for other, all_of_other in returns.items():
            others = look_back_on(all_of_other, end_us)
            if other != market and own and others:
                rows.append(TimedCorrelation(end_us, other, find_correlation(own, others)))
    return CorrelationAnswer(source=source, market=market, made_of=read.made_of, rows=rows)


def _read(
    reads: Reads, settings: Settings, place: Place, hours: int, *, with_others: bool
) -> tuple[Source, Market, _Read, Sequence[TimeUs]]:
    """The candles behind the newest hours, of one market or of all of its venue."""
    now_us, codes = time.time_ns() // 1000, CurrencyCodes(settings)
    last_us = hour_of(now_us)
    ends = [last_us - back * MICROSECONDS_PER_HOUR for back in reversed(range(hours))]
    begins_us = hour_of(ends[0] - BACK_US)

    def question(store: Store) -> _Read:
        markets = list_named_markets(codes, store, [_TRADES])
        wanted = match_markets(markets, place)[:2]
        if with_others and len(wanted) == 1:
            wanted = [each for each in markets if each.venue == wanted[0].venue]
        found, made_of = dict[Market, Sequence[CandleFigures]](), MadeOf.TRADES
        for market in wanted:
            found[market], made_of = read_five_minutes(
                store, market, begins_us=begins_us, ends_us=last_us, now_us=now_us
            )
        return _Read(markets, found, made_of)

    answered = reads.ask(question, [_TRADES, _CANDLES])
    market = find_market(answered.value.markets, place, what=TRADES.name)
    return answered.source, market, answered.value, ends


def _to_closes(candles: Sequence[CandleFigures]) -> list[Close]:
    return [Close(each.open_time_us + INTERVAL.length_us, each.close) for each in candles]


VOLATILITY_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("venue", "venue_symbol", "symbol")),
    Column("as_of", FieldKind.TIME_US),
    Column("annualised_pct", FieldKind.AMOUNT),
    Column("returns", FieldKind.INTEGER),
)
CORRELATION_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("venue", "venue_symbol", "symbol")),
    *(Column(name, FieldKind.TEXT) for name in ("other_venue_symbol", "other_symbol")),
    Column("as_of", FieldKind.TIME_US),
    Column("correlation", FieldKind.AMOUNT),
    Column("pairs", FieldKind.INTEGER),
)
"""Both named as the tables' columns are."""


def build_volatility(answer: VolatilityAnswer) -> Sheet:
    """A row an hour."""
    rows = [
        (*answer.market, as_of_us, print_amount(found.annualised_pct), found.returns)
        for as_of_us, found in answer.rows
    ]
    return Sheet(VOLATILITY_COLUMNS, rows)


def build_correlations(answer: CorrelationAnswer) -> Sheet:
    """A row an hour and other market."""
    rows = [
        (
            *answer.market,
            each.other.venue_symbol,
            each.other.symbol,
            each.as_of_us,
            print_amount(each.correlation.value),
            each.correlation.pairs,
        )
        for each in answer.rows
    ]
    return Sheet(CORRELATION_COLUMNS, rows)

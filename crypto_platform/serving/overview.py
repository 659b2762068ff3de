"""All markets at a glance, as they are now.

Made when it is asked for, from whichever store answers. PostgreSQL keeps candles made of trades; of
MongoDB, which keeps none, the venues' own are taken, for a week of all markets' trades is too much
to read: `made_of` says which. Markets are named as they are mapped now.

Here: what is read, and rows for other programs. Not here: the arithmetic (domain/), what is written
down of every hour (analytics/), text (cli/).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from crypto_platform.domain import exact
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    TimeUs,
    hour_of,
)
from crypto_platform.domain.market_overview import (
    LONG_US,
    READ_BACK_US,
    SHORT_US,
    WEEK_US,
    CandleFigures,
    LastPrice,
    MarketSummary,
    summarize_market,
)
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.analytics import MadeOf, open_candles
from crypto_platform.serving.currencies import CurrencyCodes
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.serving.market import name_markets
from crypto_platform.serving.sheets import Column, Sheet, print_amount
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

_TRADES = FEED_BY_NAME[TRADES.name]
_CANDLES = FEED_BY_NAME[CANDLES.name]


class OverviewRow(NamedTuple):
    """A market and its figures."""

    market: Market
    summary: MarketSummary
    made_of: MadeOf


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All markets as they were at a time; the largest volume of 24 hours, in quote, first."""

    source: Source
    as_of_us: TimeUs
    rows: Sequence[OverviewRow]


class _VenueFigures(NamedTuple):
    """A venue's own candle, or several of them as one, as figures."""

    open_time_us: TimeUs
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal
    quote_volume: Decimal


class MarketCandles(NamedTuple):
    """What a market's figures are made of; the open candle too."""

    short: Sequence[CandleFigures]
    long: Sequence[CandleFigures]
    made_of: MadeOf


def read_overview(reads: Reads, settings: Settings) -> Overview:
    """Every market that has trades.

    Raises:
        StoreUnavailableError: No store answered; holds what each said.
    """
    now_us, codes = time.time_ns() // 1000, CurrencyCodes(settings)

    def question(store: Store) -> list[OverviewRow]:
        markets = list_named_markets(codes, store, [_TRADES])
        return [_summarize(store, market, now_us) for market in markets]

    answered = reads.ask(question, [_TRADES, _CANDLES])
    return Overview(
        source=answered.source,
        as_of_us=now_us,
        rows=sorted(answered.value, key=lambda row: -(row.summary.quote_volume_24h or exact.ZERO)),
    )


def list_named_markets(
    codes: CurrencyCodes, store: Store, feeds: Sequence[Feed[Record]]
) -> list[Market]:
    """What these feeds have records of, each once, by name and as it is mapped now."""
    markets = {
        (market.venue, market.venue_symbol): market
        for feed in feeds
        for market in store.list_markets(feed)
    }
    venues = sorted({venue for venue, _ in markets})
    listed = [record for venue in venues for record in store.read_instruments(venue)]
    return name_markets(codes, listed, [market for _, market in sorted(markets.items())])


def _summarize(store: Store, market: Market, now_us: TimeUs) -> OverviewRow:
    short, long, made_of = read_figures(store, market, now_us)
    last = read_last_price(store, market)
    return OverviewRow(market, summarize_market(last, short, long, as_of_us=now_us), made_of)


def read_last_price(store: Store, market: Market) -> LastPrice | None:
    """Of the newest trade; None where there is none."""
    for record in store.read_newest(_TRADES, market, records_max=1):
        if isinstance(record, Trade):
            return LastPrice(Decimal(record.price), record.ts_event)
    return None


def read_figures(store: Store, market: Market, now_us: TimeUs) -> MarketCandles:
    """Candles of a day in five minutes and of eight days in hours, or a venue's own."""
    if store.built_candles(market) is None:
        return _read_venue_candles(store, market, now_us)
    end_us = hour_of(now_us) + MICROSECONDS_PER_HOUR
    day_us = hour_of(now_us - MICROSECONDS_PER_DAY) - MICROSECONDS_PER_HOUR
    week_us = hour_of(now_us - READ_BACK_US)
    short = open_candles(store, market, Interval.FIVE_MINUTES, now_us).read(day_us, end_us)
    long = open_candles(store, market, Interval.HOUR, now_us).read(week_us, end_us)
    return MarketCandles(
        [short[at] for at in sorted(short)], [long[at] for at in sorted(long)], MadeOf.TRADES
    )


def read_five_minutes(
    store: Store, market: Market, *, begins_us: TimeUs, ends_us: TimeUs, now_us: TimeUs
) -> tuple[Sequence[CandleFigures], MadeOf]:
    """Closed candles of a stretch of whole hours that is over, oldest first, or a venue's own."""
    if store.built_candles(market) is None:
        minutes = _read_minutes(store, market, Span(begins_us, ends_us), newest=None)
        return _roll_up([_to_figures(candle) for candle in minutes]), MadeOf.VENUE
    found = open_candles(store, market, Interval.FIVE_MINUTES, now_us).read(begins_us, ends_us)
    return [found[at] for at in sorted(found)], MadeOf.TRADES


def _read_venue_candles(store: Store, market: Market, now_us: TimeUs) -> MarketCandles:
    """Of its minutes: those of a day, and the last ones before a week and before a day."""
    begins_us = now_us - MICROSECONDS_PER_DAY - SHORT_US
    minutes = [
        _to_figures(candle)
        for candle in _read_minutes(store, market, Span(begins_us, None), newest=None)
    ]
    before = [
        _to_figures(candle, close_time_us=candle.ts_event + candle.interval.length_us)
        for ends_us in (now_us - WEEK_US, begins_us)
        for candle in _read_minutes(store, market, Span(None, ends_us), newest=1)
    ]
    return MarketCandles(_roll_up(minutes), before, MadeOf.VENUE)


def _read_minutes(
    store: Store, market: Market, span: Span, *, newest: int | None
) -> Iterator[Candle]:
    pages = store.read_market(_CANDLES, market, span, interval=Interval.MINUTE, newest=newest)
    return (each for page in pages for each in page if isinstance(each, Candle))


def _to_figures(candle: Candle, *, close_time_us: TimeUs | None = None) -> _VenueFigures:
    """As figures; what a venue does not say of quote volume is base volume at the close."""
    volume, close = Decimal(candle.base_volume), Decimal(candle.close)
    quote = candle.quote_volume
    return _VenueFigures(
        # a long candle closes an hour after it opens
        open_time_us=candle.ts_event if close_time_us is None else close_time_us - LONG_US,
        high=Decimal(candle.high),
        low=Decimal(candle.low),
        close=close,
        base_volume=volume,
        quote_volume=exact.multiply(volume, close) if quote is None else Decimal(quote),
    )


def _roll_up(minutes: Sequence[_VenueFigures]) -> list[_VenueFigures]:
    """Minutes as candles of SHORT_US."""
    groups: dict[TimeUs, list[_VenueFigures]] = {}
    for minute in minutes:
        groups.setdefault(minute.open_time_us - minute.open_time_us % SHORT_US, []).append(minute)
    return [
        _VenueFigures(
            open_time_us=open_us,
            high=max(minute.high for minute in own),
            low=min(minute.low for minute in own),
            close=own[-1].close,
            base_volume=exact.total(minute.base_volume for minute in own),
            quote_volume=exact.total(minute.quote_volume for minute in own),
        )
        for open_us, own in sorted(groups.items())
    ]


OVERVIEW_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("venue", "venue_symbol", "symbol")),
    Column("last_price", FieldKind.AMOUNT),
    Column("last_trade", FieldKind.TIME_US),
    *(
        Column(name, FieldKind.AMOUNT)
        for name in ("change_24h_pct", "change_7d_pct", "high_24h", "low_24h")
    ),
    *(
        Column(name, FieldKind.AMOUNT)
        for name in ("base_volume_24h", "quote_volume_24h", "volatility_24h_pct")
    ),
    Column("sparkline", FieldKind.AMOUNTS),
    Column("made_of", FieldKind.TEXT),
)


def build_overview(overview: Overview) -> Sheet:
    """A row a market."""
    rows = [
        (
            *row.market,
            None if row.summary.last is None else print_amount(row.summary.last.price),
            None if row.summary.last is None else row.summary.last.time_us,
            print_amount(row.summary.change_24h_pct),
            print_amount(row.summary.change_7d_pct),
            print_amount(row.summary.high_24h),
            print_amount(row.summary.low_24h),
            print_amount(row.summary.base_volume_24h),
            print_amount(row.summary.quote_volume_24h),
            print_amount(row.summary.volatility_24h_pct),
            [f"{close:f}" for close in row.summary.sparkline],
            row.made_of.value,
        )
        for row in overview.rows
    ]
    return Sheet(OVERVIEW_COLUMNS, rows)

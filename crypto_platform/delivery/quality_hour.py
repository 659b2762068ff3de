"""Look at the quality of an hour of market data, market by market, as a store holds it.

Here: which markets, what is read of each and handed to the pure looks, the report. Trades and books
are streamed: memory holds the bars of an hour a market, and the holes. Not here: what is wrong with
a trade, a book, a candle or a price (quality_*.py), Dagster (assets/quality.py).

An hour is one of event time. Around it a few seconds more are read, for trades do not come strictly
in the order of their numbers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from crypto_platform.delivery.gaps import KnownGap, read_gaps
from crypto_platform.delivery.quality_candles import (
    Bars,
    compare_candles,
    list_opens,
    look_at_calendar,
)
from crypto_platform.delivery.quality_finding import Finding, Findings, Flaw, format_moment
from crypto_platform.delivery.quality_order_books import look_at_book
from crypto_platform.delivery.quality_prices import compare_prices
from crypto_platform.delivery.quality_trades import TradeIds, read_number
from crypto_platform.delivery.stored_market import read_each
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, TimeUs
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.instruments import TradeNumbering
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.settings import Settings
from crypto_platform.sources import find_numbering, list_feeds
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span, market_name

FEED_NAMES = (TRADES.name, ORDER_BOOKS.name, CANDLES.name)
"""What is looked at."""

MARGIN_US = 10_000_000
SEED_TRADES = 100
"""The newest before the hour, so that a hole at its beginning shows."""

_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class MarketReport:
    """What was found of one market's hour.

    Attributes:
        records: Of the hour: trades, books, candles.
        checked: Trades whose numbers tell of holes, books looked at, candles held against trades.
    """

    market: Market
    records: int
    checked: int
    findings: Sequence[Finding]


@dataclass(kw_only=True)
class _Hour:
    """What is known of one market while its hour is read."""

    findings: Findings
    bars: Bars = field(default_factory=Bars)
    records: int = 0
    checked: int = 0
    first_us: TimeUs | None = None
    last_us: TimeUs | None = None
    holes: list[Span] = field(default_factory=list[Span])


def examine_hour(
    settings: Settings, store: Store, feed_names: Collection[str], *, hour_us: TimeUs
) -> Mapping[str, Sequence[MarketReport]]:
    """Look at an hour of these feeds.

    Args:
        feed_names: Of FEED_NAMES; candles need the trades, which are then read too.
        hour_us: First microsecond, UTC.

    Returns:
        By feed, a report on each market that the store holds anything of.
    """
    look = _Look(settings, store, hour_us)
    trades = look.examine_trades() if {TRADES.name, CANDLES.name} & set(feed_names) else {}
    found: dict[str, Sequence[MarketReport]] = {}
    if TRADES.name in feed_names:
        found[TRADES.name] = look.report(trades, TRADES.name)
    if ORDER_BOOKS.name in feed_names:
        found[ORDER_BOOKS.name] = look.report(look.examine_books(), ORDER_BOOKS.name)
    if CANDLES.name in feed_names:
        found[CANDLES.name] = look.report(look.examine_candles(trades), CANDLES.name)
    return found


class _Look:
    """One hour in one store; see `examine_hour`."""

    def __init__(self, settings: Settings, store: Store, hour_us: TimeUs) -> None:
        self._settings = settings
        self._store = store
        self._hour = Span(hour_us, hour_us + MICROSECONDS_PER_HOUR)
        self._hour_us, self._end_us = hour_us, hour_us + MICROSECONDS_PER_HOUR
        self._stale_us = int(settings.quality.stale_s * _US)
        self._asked = set(list_feeds(settings))
        self._gaps = read_gaps(store)

    def examine_trades(self) -> dict[Market, _Hour]:
        """Numbers, and prices against other venues'."""
        markets = self._store.list_markets(TRADES)
        hours = {market: self._examine_trades_of(market) for market in markets}
        difference_pct = _to_decimal(self._settings.quality.price_difference_pct)
        for group in self._group(markets):
            compare_prices(
                {market: hours[market].bars for market in group},
                {market: hours[market].findings for market in group},
                difference_pct=difference_pct,
            )
        return hours

    def _examine_trades_of(self, market: Market) -> _Hour:
        hour = _Hour(findings=Findings(market))
        numbering = find_numbering(self._settings, market.venue)
        ids = TradeIds() if numbering is TradeNumbering.GAPLESS else None
        for trade in self._read_trades(market):
            hour.first_us = trade.ts_event if hour.first_us is None else hour.first_us
            hour.last_us = max(hour.last_us or 0, trade.ts_event)
            inside = self._hour_us <= trade.ts_event < self._end_us
            if inside:
                hour.records += 1
                hour.bars.add(trade)
            number = None if ids is None else read_number(trade.trade_id)
            if ids is None or number is None:
                continue
            hour.checked += inside
            if not ids.add(number, trade.ts_event) and inside:
                text = f"trade {trade.trade_id} of {format_moment(trade.ts_event)}"
                hour.findings.note(Flaw.TRADE_REPEATED, trade.ts_event, text)
        if ids is not None:
            self._note_holes(ids, hour)
        hour.holes += [gap.span for gap in self._find_gaps(market, None)]
        return hour

    def _read_trades(self, market: Market) -> Iterator[Trade]:
        before = Span(None, self._hour_us - MARGIN_US)
        span = Span(self._hour_us - MARGIN_US, self._end_us + MARGIN_US)
        yield from read_each(self._store, TRADES, market, before, newest=SEED_TRADES)
        yield from read_each(self._store, TRADES, market, span)

    def _note_holes(self, ids: TradeIds, hour: _Hour) -> None:
        """A hole belongs to the hour in which it ends."""
        for hole in ids.list_holes():
            hour.holes.append(Span(hole.after_us, hole.before_us))
            if self._hour_us <= hole.before_us < self._end_us:
                text = (
                    f"{hole.missing:,} between {hole.after_id} ({format_moment(hole.after_us)}) "
                    f"and {hole.before_id} ({format_moment(hole.before_us)})"
                )
                hour.findings.note(Flaw.TRADES_MISSING, hole.before_us, text, records=hole.missing)

    def examine_books(self) -> dict[Market, _Hour]:
        """Order of levels, crossed sides, age."""
        hours: dict[Market, _Hour] = {}
        for market in self._store.list_markets(ORDER_BOOKS):
            hour = hours[market] = _Hour(findings=Findings(market))
            for book in read_each(self._store, ORDER_BOOKS, market, self._hour):
                hour.records += 1
                hour.checked += 1
                look_at_book(book, hour.findings, stale_us=self._stale_us)
        return hours

    def examine_candles(self, trades: Mapping[Market, _Hour]) -> dict[Market, _Hour]:
        """The calendar, and what the trades say."""
        traded = {market_name(market): hour for market, hour in trades.items()}
        hours: dict[Market, _Hour] = {}
        for market in self._store.list_markets(CANDLES):
            hour = hours[market] = _Hour(findings=Findings(market))
            of_trades = traded.get(market_name(market), hour)
            for interval in Interval:
                self._examine_interval(market, interval, hour, of_trades)
        return hours

    def _examine_interval(
        self, market: Market, interval: Interval, hour: _Hour, trades: _Hour
    ) -> None:
        opens = list_opens(interval, hour_us=self._hour_us)
        if not opens:
            return
        span = Span(opens[0], opens[-1] + interval.length_us)
        candles = list(read_each(self._store, CANDLES, market, span, interval=interval))
        hour.records += len(candles)
        source = self._settings.sources.get(market.venue)
        is_asked = source is not None and interval.value in source.intervals
        if candles or is_asked:
            look_at_calendar(
                candles, trades.bars, hour.findings, interval=interval, hour_us=self._hour_us
            )
        if interval.length_us <= MICROSECONDS_PER_HOUR:
            hour.checked += compare_candles(
                candles,
                trades.bars,
                hour.findings,
                interval=interval,
                known=Span(trades.first_us, trades.last_us),
                holes=trades.holes,
                difference_pct=_to_decimal(self._settings.quality.candle_difference_pct),
            )

    def report(self, hours: Mapping[Market, _Hour], feed_name: str) -> list[MarketReport]:
        """What was found, and what is stale."""
        reports: list[MarketReport] = []
        for market, hour in sorted(hours.items(), key=lambda item: market_name(item[0])):
            self._note_staleness(market, feed_name, hour.findings)
            reports.append(
                MarketReport(
                    market=market,
                    records=hour.records,
                    checked=hour.checked,
                    findings=list(hour.findings),
                )
            )
        return reports

    def _note_staleness(self, market: Market, feed_name: str, findings: Findings) -> None:
        """Of markets that are asked for; a day of the past that was read later is none."""
        source = self._settings.sources.get(market.venue)
        if source is None or market.venue_symbol not in source.symbols:
            return
        newest_us = self._find_newest(market, feed_name)
        if (market.venue, feed_name) not in self._asked or newest_us is None:
            return
        if newest_us + self._stale_us < self._end_us:
            text = f"the last of {feed_name.replace('_', ' ')} is of {format_moment(newest_us)}"
            findings.note(Flaw.STALE, newest_us, text)

    def _find_newest(self, market: Market, feed_name: str) -> TimeUs | None:
        until = Span(None, self._end_us)
        if feed_name != CANDLES.name:
            feed = FEED_BY_NAME[feed_name]
            newest = self._store.read_newest(feed, market, until, records_max=1)
            return feed.event_time_of(newest[0]) if newest else None
        intervals = self._settings.sources[market.venue].intervals
        ends = [
            candle.ts_event + interval.length_us
            for interval in map(Interval, intervals)
            for candle in read_each(
                self._store, CANDLES, market, until, interval=interval, newest=1
            )
        ]
        return max(ends, default=None)

    def _find_gaps(self, market: Market, interval: Interval | None) -> list[KnownGap]:
        wanted = (market.venue, market.venue_symbol, interval)
        return [gap for gap in self._gaps if gap[:3] == wanted]

    def _group(self, markets: Sequence[Market]) -> list[list[Market]]:
        """Those of one unified symbol; the simulated market has prices of its own."""
        groups: dict[tuple[str, bool], list[Market]] = {}
        for market in markets:
            source = self._settings.sources.get(market.venue)
            if market.symbol is not None:
                simulated = source is not None and source.simulated
                groups.setdefault((market.symbol, simulated), []).append(market)
        return list(groups.values())


def _to_decimal(percent: float) -> Decimal:
    return Decimal(str(percent))

"""Trades, order books and candles for people and their tools, from whichever store answers.

Here: typed queries by venue and symbol, a symbol being the unified one (BTC/USD) or the venue's own
(BTC-USD), and which names are near where there is none. Not here: SQL and BSON (stores/), text
(cli/).
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME, Record
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.serving.failover import ask_once
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Market, Span, Store

RANGE_S_MAX = 60.0
"""A long range takes its time; whether the store is there at all, its ping has told."""
NEAREST_MAX = 5


class UnknownMarketError(PlatformError):
    """Nothing is stored of a venue and symbol; the text names the nearest there are."""


class Place(NamedTuple):
    """A market as a person names it."""

    venue: str
    symbol: str


@dataclass(frozen=True, kw_only=True)
class MarketAnswer:
    """Records of one market and where they came from.

    Attributes:
        store: Which store answered.
        problems: Why the stores before it did not, one line each.
        market: Whose they are.
        records: Oldest first.
    """

    store: str
    problems: tuple[str, ...]
    market: Market
    records: Sequence[Record]

    def trades(self) -> list[Trade]:
        """The records that are trades."""
        return [record for record in self.records if isinstance(record, Trade)]

    def order_books(self) -> list[OrderBook]:
        """The records that are order books."""
        return [record for record in self.records if isinstance(record, OrderBook)]

    def candles(self) -> list[Candle]:
        """The records that are candles."""
        return [record for record in self.records if isinstance(record, Candle)]


def read_trades(settings: Settings, place: Place, span: Span, *, records_max: int) -> MarketAnswer:
    """The newest trades of a market within a span of event time.

    Raises:
        UnknownMarketError: There are none of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said.
    """
    feed = FEED_BY_NAME[TRADES.name]
    return _read(
        settings,
        feed.name,
        place,
        lambda store, market: store.read_newest(feed, market, span, records_max=records_max),
    )


def read_order_book(settings: Settings, place: Place, *, as_of_us: int | None) -> MarketAnswer:
    """The last order book of a market, at or before a time; see read_trades for errors."""
    feed = FEED_BY_NAME[ORDER_BOOKS.name]
    span = Span(None, None if as_of_us is None else as_of_us + 1)
    return _read(
        settings,
        feed.name,
        place,
        lambda store, market: store.read_newest(feed, market, span, records_max=1),
    )


def read_candles(
    settings: Settings, place: Place, interval: Interval, span: Span, *, records_max: int
) -> MarketAnswer:
    """The newest candles of a market within a span of open times; see read_trades for errors."""
    return _read(
        settings,
        CANDLES.name,
        place,
        lambda store, market: store.read_candles(market, interval, span, records_max=records_max),
    )


def _read(
    settings: Settings,
    feed_name: str,
    place: Place,
    read: Callable[[Store, Market], Sequence[Record]],
) -> MarketAnswer:
    def question(store: Store) -> tuple[Sequence[Market], Sequence[Record]]:
        markets = store.list_markets(FEED_BY_NAME[feed_name])
        named = match_markets(markets, place)
        return markets, read(store, named[0]) if len(named) == 1 else ()

    answered = ask_once(settings, question, answer_s_max=RANGE_S_MAX)
    markets, records = answered.value
    return MarketAnswer(
        store=answered.store,
        problems=answered.problems,
        market=find_market(markets, place, what=feed_name),
        records=records[::-1],
    )


def match_markets(markets: Sequence[Market], place: Place) -> list[Market]:
    """Those a person may mean: of this venue's symbol, else of it in any case, else unified."""
    own = [market for market in markets if market.venue.lower() == place.venue.lower()]
    wanted = place.symbol.lower()
    return (
        [market for market in own if market.venue_symbol == place.symbol]
        or [market for market in own if market.venue_symbol.lower() == wanted]
        or [market for market in own if (market.symbol or "").lower() == wanted]
    )


def find_market(markets: Sequence[Market], place: Place, *, what: str) -> Market:
    """The one a person means.

    Args:
        markets: All there are.
        place: As typed.
        what: What is looked for, for the error's text.

    Raises:
        UnknownMarketError: None is, or several are; the text names those, or the nearest.
    """
    named = match_markets(markets, place)
    if len(named) == 1:
        return named[0]
    raise UnknownMarketError(_explain(markets, place, named, what=what.replace("_", " ")))


def _explain(markets: Sequence[Market], place: Place, named: Sequence[Market], *, what: str) -> str:
    venue, symbol = place
    if named:
        names = ", ".join(market.venue_symbol for market in named)
        return f"{venue} {symbol} may be any of {names}: name the one you mean as the venue does"
    if not markets:
        return f"no {what} are stored yet; `crypto-platform status` says what is going on"
    venues = sorted({market.venue for market in markets})
    if venue.lower() not in {name.lower() for name in venues}:
        return f"no {what} of a venue {venue!r} are stored; there are those of {', '.join(venues)}"
    own = [market for market in markets if market.venue.lower() == venue.lower()]
    return f"no {what} of {symbol} at {venue} are stored; {_hint(markets, own, symbol)}"


def _hint(markets: Sequence[Market], own: Sequence[Market], symbol: str) -> str:
    names = {name.lower(): name for market in own for name in _names(market)}
    near = difflib.get_close_matches(symbol.lower(), names, n=NEAREST_MAX, cutoff=0.5)
    hint = f"the nearest are {', '.join(names[name] for name in near)}"
    if not near:
        some = [market.symbol or market.venue_symbol for market in own[:NEAREST_MAX]]
        hint = f"there are {', '.join(some)}{' …' if len(own) > len(some) else ''}"
    elsewhere = sorted(
        {m.venue for m in markets if symbol.lower() in {name.lower() for name in _names(m)}}
    )
    return f"{hint}; {', '.join(elsewhere)} has it" if elsewhere else hint


def _names(market: Market) -> list[str]:
    return [market.venue_symbol, *([market.symbol] if market.symbol else [])]

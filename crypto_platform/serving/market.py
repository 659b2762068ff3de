"""Trades, order books and candles for people and their tools, from whichever store answers.

An answer comes page by page, so that a year of trades fits into any memory; all of it from the
store that gave the first page.

Here: typed queries by venue and symbol, a symbol being the unified one (BTC/USD) or the venue's own
(BTC-USD), and which names are near where there is none. Not here: SQL and BSON (stores/), text
(cli/).
"""

import difflib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

import msgspec

from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME, Feed, Record
from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.instruments import Instrument, ListedKind
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.serving.currencies import CurrencyCodes, find_symbol
from crypto_platform.serving.failover import Reads, Source
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Market, Span

NEAREST_MAX = 5


class UnknownMarketError(PlatformError):
    """Nothing is stored of a venue and symbol; the text names the nearest there are."""


class Place(NamedTuple):
    """A market as a person names it."""

    venue: str
    symbol: str


Shown = TypeVar("Shown")
Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class MarketAnswer(Generic[Shown]):
    """Records of one market, or what is made of them, and where they come from.

    Attributes:
        source: Which store answers.
        market: Whose they are; its symbol as it is mapped now, which all the records are given.
        pages: Oldest first; the first one is here, the others are read when they are asked for.
    """

    source: Source
    market: Market
    pages: Iterator[Sequence[Shown]]


@contextmanager
def reading_trades(
    settings: Settings, place: Place, span: Span, *, newest: int | None
) -> Generator[MarketAnswer[Record]]:
    """The trades of a market within a span of event time.

    Args:
        newest: Only so many, the newest.

    Raises:
        UnknownMarketError: There are none of this venue and symbol at all.
        StoreUnavailableError: No store answered; holds what each said. Or the one that did has
            stopped in between.
    """
    feed = FEED_BY_NAME[TRADES.name]
    with _reading(
        settings,
        feed,
        place,
        lambda store, market: store.read_market(feed, market, span, newest=newest),
    ) as answer:
        yield answer


@contextmanager
def reading_candles(
    settings: Settings, place: Place, interval: Interval, span: Span, *, newest: int | None
) -> Generator[MarketAnswer[Record]]:
    """The candles of a market within a span of open times; see reading_trades."""
    feed = FEED_BY_NAME[CANDLES.name]
    with _reading(
        settings,
        feed,
        place,
        lambda store, market: store.read_market(
            feed, market, span, interval=interval, newest=newest
        ),
    ) as answer:
        yield answer


@contextmanager
def reading_order_book(
    settings: Settings, place: Place, *, as_of_us: int | None
) -> Generator[MarketAnswer[Record]]:
    """The last order book of a market, at or before a time; see reading_trades."""
    feed = FEED_BY_NAME[ORDER_BOOKS.name]
    span = Span(None, None if as_of_us is None else as_of_us + 1)
    with _reading(
        settings,
        feed,
        place,
        lambda store, market: iter([store.read_newest(feed, market, span, records_max=1)]),
    ) as answer:
        yield answer


@contextmanager
def _reading(
    settings: Settings,
    feed: Feed[Record],
    place: Place,
    read: Callable[[Store, Market], Iterator[Sequence[Record]]],
) -> Generator[MarketAnswer[Record]]:
    def show(market: Market, page: Sequence[Record]) -> Sequence[Record]:
        return give_symbol(page, market.symbol)

    with asking_market(settings, feed, place, read, show) as answer:
        yield answer


@contextmanager
def asking_market(
    settings: Settings,
    feed: Feed[Record],
    place: Place,
    read: Callable[[Store, Market], Iterator[Sequence[Read]]],
    show: Callable[[Market, Sequence[Read]], Sequence[Shown]],
) -> Generator[MarketAnswer[Shown]]:
    """Put a question about one market to the store that should answer; see reading_trades.

    Args:
        feed: Whose records are read; the market is one of those that they are of.
        read: Pages, asked of the store.
        show: A page as it is given out, the market being named as it is mapped now.
    """
    codes = CurrencyCodes(settings)

    def question(store: Store) -> tuple[Sequence[Market], Iterator[Sequence[Read]]]:
        markets = store.list_markets(feed)
        venues = {market.venue for market in markets if market.venue.lower() == place.venue.lower()}
        listed = [record for venue in venues for record in store.read_instruments(venue)]
        markets = name_markets(codes, listed, markets)
        named = match_markets(markets, place)
        pages = read(store, named[0]) if len(named) == 1 else iter(())
        return markets, chain(
            [next(pages, ())], pages
        )  # the first page here, where it is waited for

    reads = Reads(settings)
    try:
        answered = reads.ask(question, [feed])
        markets, pages = answered.value
        market = find_market(markets, place, what=feed.name)
        yield MarketAnswer(
            source=answered.source,
            market=market,
            pages=(show(market, page) for page in pages if page),
        )
    finally:
        reads.close()


def name_markets(
    codes: CurrencyCodes, instruments: Iterable[Record], markets: Sequence[Market]
) -> list[Market]:
    """Markets by today's mapping; what their venue does not list goes by its newest record."""
    symbols = {
        (record.source, record.native_id): find_symbol(codes, record)
        for record in instruments
        if isinstance(record, Instrument) and record.kind == ListedKind.INSTRUMENT
    }
    return [
        market._replace(symbol=symbols.get((market.venue, market.venue_symbol)) or market.symbol)
        for market in markets
    ]


def give_symbol(page: Sequence[Record], symbol: str | None) -> Sequence[Record]:
    """Records of one market by one name, whatever they were mapped to when they were published."""
    return [
        record
        if getattr(record, "symbol", None) == symbol
        else msgspec.structs.replace(record, symbol=symbol)
        for record in page
    ]


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

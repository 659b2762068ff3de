"""Any venue that ccxt reads: newest trades, order books, candles and instruments.

Here: ccxt's structures to records. For a venue without a dialect of its own: ccxt knows a hundred,
but not how each one pages, so a poll asks for one page of the newest trades, and where that does
not reach back to the poll before, what lies between is a gap: choose a pace at which a page is
enough. There is no past to be had. Not here: ccxt itself, kept exact and within our budget
(ccxt_exchange.py), times and what is new (ccxt_readings.py).

Every run asks once what the venue lists: ccxt can ask for nothing without it.

Source: ccxt Manual, "Trade structure", "Order book structure", "OHLCV structure", "Market
structure".
"""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.instruments import INSTRUMENTS, Instrument, ListedKind, seal_instrument
from crypto_platform.feeds.order_books import ORDER_BOOKS, OrderBook
from crypto_platform.feeds.trades import TRADES, Side, Trade
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import LIVE_SHARE
from crypto_platform.sources.candle_pages import CandlesPage
from crypto_platform.sources.ccxt_answers import Item, print_info
from crypto_platform.sources.ccxt_exchange import (
    BookAnswer,
    ExactExchange,
    Market,
    check_ccxt_id,
)
from crypto_platform.sources.ccxt_readings import (
    choose_new_trades,
    decode_cursor,
    find_moment,
    find_step,
    find_trade_moment,
    read_trade_id,
    require_parsed,
    to_raw,
)
from crypto_platform.sources.pages import build_malformed, read_amount, read_items
from crypto_platform.sources.readings import (
    OrderBookPage,
    Subject,
    build_candle,
    build_order_book,
    build_trade,
    require,
)
from crypto_platform.sources.trade_pages import TradesRead
from crypto_platform.sources.venue import Venue

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class Ccxt(Venue):
    """One venue through ccxt."""

    page_candles_max = 1_000_000
    symbol_form = re.compile(r"[^\s,]+")
    symbol_example = "the venue's own ids, such as BTC_USDT,ETH_USDT"

    def __init__(
        self,
        *,
        name: str,
        settings: SourceSettings,
        stop: threading.Event | None = None,
        share: float = LIVE_SHARE,
    ) -> None:
        """Prepare; nothing is sent, and ccxt not yet imported.

        Raises:
            ConfigurationError: ccxt is not installed or does not know the venue; or as any venue.
        """
        self._ccxt_id = check_ccxt_id(settings.ccxt_id, source=name)
        super().__init__(name=name, settings=settings, stop=stop, share=share)
        self._base_url = settings.base_url
        self._loading = threading.Lock()
        self._markets: Sequence[Market] = ()
        # one a feed, for each remembers its last answer
        self._exchanges: dict[str, ExactExchange] = {}
        self._items: dict[str, Mapping[bytes, Item]] = {}

    def unify(self, venue_symbol: str) -> str | None:
        """BASE/QUOTE as ccxt says."""
        symbol = self._open(INSTRUMENTS.name).find_market(venue_symbol)["symbol"]
        return None if symbol is None else str(symbol)

    def _open(self, feed: str) -> ExactExchange:
        """The exchange of a feed, with what the venue lists, for which the first of them asks."""
        with self._loading:
            exchange = self._exchanges.get(feed)
            if exchange is None:
                exchange = ExactExchange(
                    self._ccxt_id, source=self.name, http=self.http, base_url=self._base_url
                )
                if not self._markets:
                    self._markets = exchange.load_markets()
                else:
                    exchange.take_markets(self._markets)
                self._exchanges[feed] = exchange
            return exchange

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """What is new on the newest page."""
        _ = pages_max
        cursor = None
        if position is not None:
            try:
                cursor = decode_cursor(position)
            except msgspec.DecodeError:
                raise self.refuse_position(position, venue_symbol=subject.venue_symbol) from None
        exchange = self._open(TRADES.name)
        items = exchange.fetch_trades(exchange.find_market(subject.venue_symbol))
        if items and all(read_trade_id(item) is None for item in items):
            what, answer = "trades, none of which has an id", exchange.answer
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        self._items[TRADES.name] = {item.raw: item for item in items}
        return choose_new_trades(
            items, cursor=cursor, ccxt_id=self._ccxt_id, venue_symbol=subject.venue_symbol
        )

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One trade to a record; ccxt's `side` of a public trade is the taker's."""
        found = self._items[TRADES.name][item]
        trade = require_parsed(found)
        return build_trade(
            subject,
            trade_id=require(read_trade_id(found), "id"),
            price=to_raw(trade["price"], "price"),
            quantity=to_raw(trade["amount"], "amount"),
            taker_side=_SIDES.get(str(trade["side"])),
            moment=require(find_trade_moment(found, ccxt_id=self._ccxt_id), "time"),
        )

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The book; ccxt hands the depth on, so it must be one that the venue takes."""
        exchange = self._open(ORDER_BOOKS.name)
        market = exchange.find_market(subject.venue_symbol)
        book = exchange.fetch_order_book(market, depth=self.depth)
        return OrderBookPage(
            item=book.answer.body,
            build=partial(build_ccxt_order_book, book, subject=subject, depth=self.depth),
        )

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """The newest candles, as many as the venue gives unasked, the one still open too."""
        _ = (begin_us, end_us)
        exchange = self._open(CANDLES.name)
        items = exchange.fetch_candles(exchange.find_market(subject.venue_symbol), interval)
        self._items[CANDLES.name] = {item.raw: item for item in items}
        opened = [time_us for time_us in map(_read_open_time, items) if time_us is not None]
        return CandlesPage(items=[item.raw for item in items], begins_us=min(opened, default=None))

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle to a record; ccxt keeps the volume in base alone."""
        found = self._items[CANDLES.name][item]
        _, opening, high, low, close, volume = require_parsed(found)[:6]
        return build_candle(
            subject,
            interval,
            open_time_us=require(_read_open_time(found), "time"),
            prices=(
                to_raw(opening, "open"),
                to_raw(high, "high"),
                to_raw(low, "low"),
                to_raw(close, "close"),
            ),
            base_volume=to_raw(volume, "volume"),
        )

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """All spot markets."""
        _ = symbols
        exchange = self._open(INSTRUMENTS.name)
        markets = {
            print_info(market["info"]): market
            for market in exchange.load_markets()
            if market["spot"]
        }
        parse = partial(
            parse_instrument,
            markets=markets,
            exchange=exchange,
            source=self.name,
            ts_ingest=ts_ingest,
        )
        return read_items(markets, parse, source=self.name, feed=INSTRUMENTS, ts_ingest=ts_ingest)


def build_ccxt_order_book(book: BookAnswer, *, subject: Subject, depth: int) -> OrderBook:
    """Turn ccxt's order book structure into a record.

    Its time is the venue's only where the venue's answer says it: for some venues ccxt puts in its
    own.
    """
    sequence = book.book.get("nonce")
    return build_order_book(
        subject,
        depth=depth,
        bids=[_read_level(level) for level in book.book["bids"]],
        asks=[_read_level(level) for level in book.book["asks"]],
        sequence=None if sequence is None else str(sequence),
        moment=find_moment(book.document, book.book.get("timestamp")),
    )


def _read_level(level: Sequence[Any]) -> list[msgspec.Raw]:
    return [to_raw(level[0], "price"), to_raw(level[1], "amount")]


def _read_open_time(item: Item) -> int | None:
    opened = item.parsed[0] if item.parsed else None
    return opened * 1000 if isinstance(opened, int) else None


def parse_instrument(
    item: bytes,
    *,
    markets: Mapping[bytes, Market],
    exchange: ExactExchange,
    source: str,
    ts_ingest: int,
) -> Instrument:
    """Turn one of ccxt's market structures into a record; of the status it keeps active or not."""
    market = markets[item]
    precision, limits = market["precision"], market["limits"]
    active = market.get("active")
    created = market.get("created")
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.INSTRUMENT,
            native_id=require(market["id"], "id"),
            symbol=market["symbol"],
            base_id=market.get("baseId"),
            quote_id=market.get("quoteId"),
            base_currency=market.get("base"),
            quote_currency=market.get("quote"),
            status=None if active is None else "active" if active else "inactive",
            price_step=find_step(precision.get("price"), exchange.precision_mode),
            quantity_step=find_step(precision.get("amount"), exchange.precision_mode),
            quantity_min=_read_limit(limits, "amount"),
            notional_min=_read_limit(limits, "cost"),
            ts_listed=created * 1000 if isinstance(created, int) else None,
            ts_ingest=ts_ingest,
        )
    )


def _read_limit(limits: Mapping[str, Any], name: str) -> str | None:
    limit: Mapping[str, Any] = limits.get(name) or {}
    least: object = limit.get("min")
    return read_amount(to_raw(least, name), name)

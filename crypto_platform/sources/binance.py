"""Binance Spot REST API (/api/v3): public market data, from the host that serves nothing else.

Here: the paths, the field names, and how its trades lie: `trades` gives the newest thousand, what
is older only `historicalTrades` gives, by number. data-api.binance.vision has no historicalTrades:
there, more than a thousand trades between two polls are a gap, which the poll reports with its
bounds; at api.binance.com they are fetched. Trade ids of a symbol rise by one a trade (the ticker's
count is lastId - firstId + 1). Symbols do not say where their base ends: the list does.

Source: Binance Spot API docs, "Market Data endpoints", "Exchange information", "Market Data Only
URLs".
"""

import http.client
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec

from crypto_platform.errors import Reason, RecordRejectedError, SourceRefusedError
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.instruments import (
    INSTRUMENTS,
    Instrument,
    ListedKind,
    TradeNumbering,
    seal_instrument,
)
from crypto_platform.feeds.trades import TRADES, Side, Trade
from crypto_platform.sources.base import Poll
from crypto_platform.sources.candle_pages import CandlesPage
from crypto_platform.sources.pages import (
    NULL,
    build_malformed,
    decode_frame,
    decode_item,
    decode_page,
    list_items,
    read_amount,
    read_items,
    read_text,
)
from crypto_platform.sources.readings import (
    OrderBookPage,
    Subject,
    build_candle,
    build_order_book,
    build_trade,
    join_symbol,
    read_epoch,
)
from crypto_platform.sources.trade_pages import (
    Step,
    TradesPage,
    TradesRead,
    TradesSearch,
    check_highest,
    check_newest,
    has_all,
    number_trades,
    read_numbered,
    walk_forward,
)
from crypto_platform.sources.venue import Venue

DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
"""Of an order book, as the venue takes them."""

_TradeId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_CANDLE_FIELDS = 9
"""Those that are read, of 12."""


class _Numbered(msgspec.Struct):
    """What paging needs of a trade, be the rest good or bad."""

    id: _TradeId


class _Trade(msgspec.Struct, rename="camel"):
    """One trade; Raw keeps the digits."""

    id: _TradeId
    price: msgspec.Raw = NULL
    qty: msgspec.Raw = NULL
    time: msgspec.Raw = NULL
    is_buyer_maker: bool | None = None


class _Aggregate(msgspec.Struct):
    """Trades of one taker at one price: only its first number is wanted."""

    f: _TradeId


class _Book(msgspec.Struct, rename="camel"):
    """Levels are [price, quantity]; the book has a number, but no time."""

    bids: list[list[msgspec.Raw]]
    asks: list[list[msgspec.Raw]]
    last_update_id: msgspec.Raw = NULL


class _Filter(msgspec.Struct, rename="camel"):
    """A rule for orders; each filterType has some of these."""

    filter_type: str
    tick_size: msgspec.Raw = NULL
    step_size: msgspec.Raw = NULL
    min_qty: msgspec.Raw = NULL
    min_notional: msgspec.Raw = NULL


class _Symbol(msgspec.Struct, rename="camel"):
    """An instrument."""

    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    status: str | None = None
    base_asset: str | None = None
    quote_asset: str | None = None
    filters: list[_Filter] = []


class _Listing(msgspec.Struct):
    """The frame of exchangeInfo."""

    symbols: list[msgspec.Raw]


_NUMBERED_DECODER = msgspec.json.Decoder(_Numbered)
_TRADE_DECODER = msgspec.json.Decoder(_Trade)
_AGGREGATE_DECODER = msgspec.json.Decoder(_Aggregate)
_ARRAY_DECODER = msgspec.json.Decoder(list[msgspec.Raw])
_COUNT_DECODER = msgspec.json.Decoder(int)
_SYMBOL_DECODER = msgspec.json.Decoder(_Symbol)


class Binance(Venue):
    """One instance of Binance's spot market data: without a key."""

    keeps = frozenset({TRADES.name, CANDLES.name})
    trade_numbering = TradeNumbering.GAPLESS
    page_candles_max = 1000
    symbol_form = re.compile(r"[A-Z0-9._-]{1,20}")
    symbol_example = "BTCUSDT,ETHUSDT"

    _gives_old_trades = True

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """The newest thousand, and from the cursor on what lies before them, if it is given."""
        symbol = subject.venue_symbol
        cursor = self.read_cursor(position, venue_symbol=symbol)
        newest = self._fetch_trades("/trades", symbol, may_be_empty=cursor is None)
        if cursor is None:
            check_highest(newest, source=self.name)
            return read_numbered([newest], cursor=None, venue_symbol=symbol)
        check_newest(newest, cursor=cursor, source=self.name, subject=symbol)
        pages = [newest]
        if self._gives_old_trades and not has_all(newest, cursor=cursor):
            pages = self._fetch_between(symbol, cursor, newest, pages_max=max(pages_max - 1, 1))
        return read_numbered(pages, cursor=cursor, venue_symbol=symbol)

    def read_trades_after(self, subject: Subject, *, position: str) -> TradesRead:
        """One page of the past, behind a number."""
        cursor = self.read_cursor(position, venue_symbol=subject.venue_symbol) or 0
        try:
            page = self._fetch_after(subject.venue_symbol, str(cursor)).page
        except SourceRefusedError as error:
            message = (
                f"{error}; where historicalTrades is missing, set sources.{self.name}.base_url to "
                f"https://api.binance.com/api/v3"
            )
            raise SourceRefusedError(message, source=self.name, url=error.url) from None
        if not page.known_ids:
            return TradesRead(items=[], position=position)
        read = read_numbered([page], cursor=cursor, venue_symbol=subject.venue_symbol)
        return replace(read, reaches_end=False)

    def find_trades_from(
        self, subject: Subject, *, start_us: int, searched: str | None
    ) -> TradesSearch | None:
        """The first aggregate from this time on names its first trade."""
        _ = searched
        answer = self.http.get(
            "/aggTrades",
            params={"symbol": subject.venue_symbol, "startTime": start_us // 1000, "limit": 1},
        )
        items = list_items(answer.body, source=self.name, url=answer.url)
        if not items:
            return None
        try:
            first = decode_item(_AGGREGATE_DECODER, items[0]).f
        except RecordRejectedError as error:
            raise build_malformed(
                str(error), source=self.name, url=answer.url, body=answer.body
            ) from None
        return TradesSearch(position=str(max(first - 1, 0)))

    def count_search_calls(self, position: str | None) -> int:
        """One, for the aggregate."""
        _ = position
        return 1

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One trade; where the buyer was the maker, the seller crossed."""
        trade = decode_item(_TRADE_DECODER, item)
        sides = {True: Side.SELL, False: Side.BUY, None: None}
        return build_trade(
            subject,
            trade_id=str(trade.id),
            price=trade.price,
            quantity=trade.qty,
            taker_side=sides[trade.is_buyer_maker],
            moment=read_epoch(trade.time, "time", unit="ms"),
        )

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The best levels, numbered by `lastUpdateId` and timed by our poll."""
        answer = self.http.get(
            "/depth", params={"symbol": subject.venue_symbol, "limit": _round_depth(self.depth)}
        )
        book = decode_frame(answer.body, _Book, source=self.name, url=answer.url)
        return OrderBookPage(
            item=answer.body,
            build=lambda: build_order_book(
                subject,
                depth=self.depth,
                bids=book.bids,
                asks=book.asks,
                sequence=read_text(book.last_update_id),
                moment=None,
            ),
        )

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """Candles by open time, both bounds inclusive; Binance's intervals are named as ours."""
        answer = self.http.get(
            "/klines",
            params={
                "symbol": subject.venue_symbol,
                "interval": interval.value,
                "startTime": begin_us // 1000,
                "endTime": end_us // 1000 - 1,
                "limit": self.page_candles_max,
            },
        )
        return CandlesPage(items=list_items(answer.body, source=self.name, url=answer.url))

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle: [open time, open, high, low, close, volume, close time, quote volume, count].

        Behind these stand the takers' volumes and a field to be ignored.
        """
        fields = decode_item(_ARRAY_DECODER, item)
        if len(fields) < _CANDLE_FIELDS:
            message = f"{len(fields)} fields where a candle has 12"
            raise RecordRejectedError(message, reason=Reason.INVARIANT)
        time, opening, high, low, close, volume, _, quote_volume, count, *_ = fields
        return build_candle(
            subject,
            interval,
            open_time_us=read_epoch(time, "open time", unit="ms").time_us,
            prices=(opening, high, low, close),
            base_volume=volume,
            quote_volume=quote_volume,
            trade_count=decode_item(_COUNT_DECODER, bytes(count)),
        )

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """All symbols, or these; without the sets of permissions, which are most of the answer."""
        params = {"showPermissionSets": "false"}
        if symbols is not None:
            params["symbols"] = msgspec.json.encode(list(symbols)).decode()
        answer = self.http.get("/exchangeInfo", params=params)
        _, items = decode_page(
            answer.body, _Listing, lambda page: page.symbols, source=self.name, url=answer.url
        )
        if not items:
            what = "an empty list where there is always something"
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        parse = partial(_parse_symbol, source=self.name, codes=self.currencies, ts_ingest=ts_ingest)
        return read_items(items, parse, source=self.name, feed=INSTRUMENTS, ts_ingest=ts_ingest)

    def _fetch_between(
        self, symbol: str, cursor: int, newest: TradesPage, *, pages_max: int
    ) -> list[TradesPage]:
        """Pages from the cursor on, with the newest one where they reach it."""
        begins = min(trade_id for trade_id in newest.known_ids if trade_id > cursor)
        try:
            steps = walk_forward(
                partial(self._fetch_until, symbol, begins), str(cursor), pages_max=pages_max
            )
        except SourceRefusedError as error:
            if error.context.get("status") != http.client.NOT_FOUND:
                raise
            # this host has no such page at all
            self._gives_old_trades = False
            return [newest]
        pages = [step.page for step in steps]
        return [*pages, newest] if steps[-1].is_last else pages

    def _fetch_until(self, symbol: str, begins: int, position: str) -> Step:
        step = self._fetch_after(symbol, position)
        meets = step.is_last or int(step.position) + 1 >= begins
        return Step(page=step.page, position=step.position, is_last=meets)

    def _fetch_after(self, symbol: str, position: str) -> Step:
        page = self._fetch_trades(
            "/historicalTrades", symbol, from_id=int(position) + 1, may_be_empty=True
        )
        if not page.known_ids:
            return Step(page=page, position=position, is_last=True)
        check_highest(page, source=self.name)
        return Step(page=page, position=str(page.highest), is_last=False)

    def _fetch_trades(
        self, path: str, symbol: str, *, from_id: int | None = None, may_be_empty: bool
    ) -> TradesPage:
        params: dict[str, str | int] = {"symbol": symbol, "limit": self.page_trades_max}
        if from_id is not None:
            params["fromId"] = from_id
        answer = self.http.get(path, params=params)
        return number_trades(
            list_items(answer.body, source=self.name, url=answer.url),
            _read_id,
            source=self.name,
            answer=answer,
            may_be_empty=may_be_empty,
        )


def _read_id(item: bytes) -> int | None:
    try:
        return decode_item(_NUMBERED_DECODER, item).id
    except RecordRejectedError:
        return None


def _round_depth(depth: int) -> int:
    """The least depth the venue takes that is enough; the rest is cut."""
    return next((taken for taken in DEPTHS if taken >= depth), DEPTHS[-1])


def _parse_symbol(
    item: bytes, *, source: str, codes: Mapping[str, str], ts_ingest: int
) -> Instrument:
    listed = decode_item(_SYMBOL_DECODER, item)
    base, quote = listed.base_asset, listed.quote_asset
    base_currency = None if base is None else codes.get(base)
    quote_currency = None if quote is None else codes.get(quote)
    filters = {each.filter_type: each for each in listed.filters}
    nothing = _Filter(filter_type="")
    lot = filters.get("LOT_SIZE", nothing)
    # MIN_NOTIONAL is the older name
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", nothing))
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.INSTRUMENT,
            native_id=listed.symbol,
            symbol=join_symbol(base_currency, quote_currency),
            base_id=base,
            quote_id=quote,
            base_currency=base_currency,
            quote_currency=quote_currency,
            status=listed.status,
            price_step=read_amount(filters.get("PRICE_FILTER", nothing).tick_size, "tickSize"),
            quantity_step=read_amount(lot.step_size, "stepSize"),
            quantity_min=read_amount(lot.min_qty, "minQty"),
            notional_min=read_amount(notional.min_notional, "minNotional"),
            trade_numbering=TradeNumbering.GAPLESS,
            ts_ingest=ts_ingest,
        )
    )

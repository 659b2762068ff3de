"""Bitstamp's REST API v2: trades, order books, candles and instruments, all without a key.

Here: its paths and fields, and what a window of trades proves. Trades cannot be paged: they come
as those of the last minute, hour or day. A poll asks for the shortest window that reaches back to
the poll before it; after more than a day without one, what lies between is a gap. Trade ids rise
over all markets together, so a hole between two of one market says nothing.

Source: Bitstamp HTTP API, "Transactions", "Order book", "OHLC data", "Trading pairs info".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import msgspec

from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.instruments import (
    INSTRUMENTS,
    Instrument,
    ListedKind,
    TradeNumbering,
    seal_instrument,
)
from crypto_platform.feeds.trades import Side, Trade
from crypto_platform.sources.base import Gap, Poll
from crypto_platform.sources.candle_pages import CandlesPage
from crypto_platform.sources.pages import (
    NULL,
    build_malformed,
    decode_frame,
    decode_item,
    decode_page,
    list_items,
    read_items,
)
from crypto_platform.sources.readings import (
    Moment,
    OrderBookPage,
    Subject,
    build_candle,
    build_order_book,
    build_trade,
    find_step,
    join_symbol,
    read_epoch,
    require,
)
from crypto_platform.sources.trade_pages import TradesPage, TradesRead, choose_new, number_trades
from crypto_platform.sources.venue import Venue

WINDOWS_S = {"minute": 60, "hour": 3_600, "day": 86_400}
"""What `time` takes -> how far back its trades go."""
WINDOW_MARGIN_S = 10
"""Of a window's length nothing is expected: answers take time, and may come from a cache."""
FIRST_WINDOW = "hour"

_NAME = re.compile(r"([A-Z0-9]+)/([A-Z0-9]+)")
_POSITION = re.compile(r"([0-9]+)@([0-9]+)")
_MICROSECONDS_PER_SECOND = 1_000_000


class _Numbered(msgspec.Struct):
    tid: int | str


class _Trade(msgspec.Struct):
    """One trade; `type` is the taker's: 0 bought, 1 sold."""

    tid: int | str
    date: msgspec.Raw = NULL
    price: msgspec.Raw = NULL
    amount: msgspec.Raw = NULL
    type: int | str | None = None


class _Book(msgspec.Struct):
    bids: list[list[msgspec.Raw]]
    asks: list[list[msgspec.Raw]]
    timestamp: msgspec.Raw = NULL
    microtimestamp: msgspec.Raw = NULL


class _Candles(msgspec.Struct):
    ohlc: list[msgspec.Raw]


class _CandlesFrame(msgspec.Struct):
    data: _Candles


class _Candle(msgspec.Struct):
    timestamp: msgspec.Raw
    open: msgspec.Raw = NULL
    high: msgspec.Raw = NULL
    low: msgspec.Raw = NULL
    close: msgspec.Raw = NULL
    volume: msgspec.Raw = NULL


class _Pair(msgspec.Struct):
    url_symbol: str
    name: str | None = None
    description: str | None = None
    trading: str | None = None
    base_decimals: int | None = None
    counter_decimals: int | None = None
    minimum_order: str | None = None


_NUMBERED_DECODER = msgspec.json.Decoder(_Numbered, strict=False)
_TRADE_DECODER = msgspec.json.Decoder(_Trade)
_CANDLE_DECODER = msgspec.json.Decoder(_Candle)
_PAIR_DECODER = msgspec.json.Decoder(_Pair)

_TAKER_SIDES = {"0": Side.BUY, "1": Side.SELL}


class Bitstamp(Venue):
    """One instance of Bitstamp's API."""

    keeps = frozenset({CANDLES.name})
    page_candles_max = 1000
    symbol_form = re.compile(r"[a-z0-9]+")
    symbol_example = "btcusd,ethusd"

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """Trades of the shortest window that reaches back to the last poll, above its cursor."""
        _ = pages_max
        now_s = subject.ts_ingest // _MICROSECONDS_PER_SECOND
        if position is None:
            page = self._fetch_trades(subject, FIRST_WINDOW)
            return _read_page(page, cursor=None, now_s=now_s)
        found = _POSITION.fullmatch(position)
        if found is None:
            raise self.refuse_position(position, venue_symbol=subject.venue_symbol)
        # 0 stands for a pair of which no trade was read yet
        cursor, read_s = int(found[1]) or None, int(found[2])
        window = choose_window(now_s - read_s)
        page = self._fetch_trades(subject, window or "day")
        read = _read_page(page, cursor=cursor, now_s=now_s)
        reaches = any(trade_id <= (cursor or 0) for trade_id in page.known_ids)
        if window is not None or reaches:
            return read
        gap = Gap(
            venue_symbol=subject.venue_symbol,
            after_id=None if cursor is None else str(cursor),
            before_id=str(page.lowest) if page.known_ids else None,
            after_us=read_s * _MICROSECONDS_PER_SECOND,
            before_us=(now_s - WINDOWS_S["day"]) * _MICROSECONDS_PER_SECOND,
        )
        return replace(read, gaps=[gap])

    def _fetch_trades(self, subject: Subject, window: str) -> TradesPage:
        answer = self.http.get(f"/transactions/{subject.venue_symbol}/", params={"time": window})
        return number_trades(
            list_items(answer.body, source=self.name, url=answer.url),
            read_trade_id,
            source=self.name,
            answer=answer,
            # nobody may have traded for an hour
            may_be_empty=True,
        )

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One of {"tid", "date": seconds, "price", "amount", "type": 0 | 1}, text or numbers.

        `type` is the taker's side: in recorded streams, which name both orders of a trade, type 0
        is where the buying order is the younger one. Answers of 2013 have none.
        """
        trade = decode_item(_TRADE_DECODER, item)
        side = None
        if trade.type is not None:
            side = require(
                _TAKER_SIDES.get(str(trade.type)), f"type {trade.type!r}: neither 0 nor 1"
            )
        return build_trade(
            subject,
            trade_id=str(trade.tid),
            price=trade.price,
            quantity=trade.amount,
            taker_side=side,
            moment=read_epoch(trade.date, "date", unit="s"),
        )

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The whole book, of thousands of levels: it cannot be asked for less.

        Bitstamp numbers no states.
        """
        answer = self.http.get(f"/order_book/{subject.venue_symbol}/")
        book = decode_frame(answer.body, _Book, source=self.name, url=answer.url)
        return OrderBookPage(
            item=answer.body,
            build=lambda: build_order_book(
                subject,
                depth=self.depth,
                bids=book.bids,
                asks=book.asks,
                sequence=None,
                moment=_read_book_moment(book),
            ),
        )

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """The candles before the end, as many as open in the range.

        Where both `start` and `end` are given, Bitstamp looks at `end` alone, which is inclusive.
        """
        params = {
            "step": interval.length_us // _MICROSECONDS_PER_SECOND,
            "limit": min(-(-(end_us - begin_us) // interval.length_us), self.page_candles_max),
            "end": end_us // _MICROSECONDS_PER_SECOND - 1,
        }
        answer = self.http.get(f"/ohlc/{subject.venue_symbol}/", params=params)
        _, items = decode_page(
            answer.body, _CandlesFrame, _list_candles, source=self.name, url=answer.url
        )
        return CandlesPage(items=items)

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle; its volume is in base."""
        candle = decode_item(_CANDLE_DECODER, item)
        return build_candle(
            subject,
            interval,
            open_time_us=read_epoch(candle.timestamp, "timestamp", unit="s").time_us,
            prices=(candle.open, candle.high, candle.low, candle.close),
            base_volume=candle.volume,
        )

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """All pairs: it cannot be asked for some."""
        _ = symbols
        answer = self.http.get("/trading-pairs-info/")
        items = list_items(answer.body, source=self.name, url=answer.url)
        if not items:
            what = "an empty list where there is always something"
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        parse = partial(
            parse_instrument, source=self.name, codes=self.currencies, ts_ingest=ts_ingest
        )
        return read_items(items, parse, source=self.name, feed=INSTRUMENTS, ts_ingest=ts_ingest)


def _list_candles(frame: _CandlesFrame) -> list[msgspec.Raw]:
    return frame.data.ohlc


def choose_window(age_s: int) -> str | None:
    """The shortest window that holds all trades since a poll of that age; None where none does.

    Both polls are timed by the same clock, so it matters little whether it is the venue's.
    """
    for window, length_s in WINDOWS_S.items():
        if age_s <= length_s - WINDOW_MARGIN_S:
            return window
    return None


def _read_page(page: TradesPage, *, cursor: int | None, now_s: int) -> TradesRead:
    highest = max([cursor or 0, *page.known_ids])
    return TradesRead(items=choose_new([page], cursor=cursor), position=f"{highest}@{now_s}")


def read_trade_id(item: bytes) -> int | None:
    """A trade's number, printed as such or as text; None where it has none."""
    try:
        return int(decode_item(_NUMBERED_DECODER, item).tid)
    except (RecordRejectedError, ValueError):
        return None


def _read_book_moment(book: _Book) -> Moment:
    """Answers of 2013 to 2019 have seconds only, later ones microseconds."""
    if bytes(book.microtimestamp) != bytes(NULL):
        return read_epoch(book.microtimestamp, "microtimestamp", unit="us")
    return read_epoch(book.timestamp, "timestamp", unit="s")


def parse_instrument(
    item: bytes, *, source: str, codes: Mapping[str, str], ts_ingest: int
) -> Instrument:
    """Turn one of Bitstamp's trading pairs into a record.

    Args:
        item: {"url_symbol": "btcusd", "name": "BTC/USD", "base_decimals": 8, "counter_decimals": 2,
            "minimum_order": "20.0 USD", "trading": "Enabled", "description", ...}.
        source: Name in the settings.
        codes: Unified codes by the venue's own.
        ts_ingest: When the poll began, microseconds.
    """
    pair = decode_item(_PAIR_DECODER, item)
    found = _NAME.fullmatch(pair.name or "")
    base, quote = found.groups() if found else (None, None)
    base_currency = None if base is None else codes.get(base)
    quote_currency = None if quote is None else codes.get(quote)
    least, _, least_currency = (pair.minimum_order or "").partition(" ")
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.INSTRUMENT,
            native_id=pair.url_symbol,
            symbol=join_symbol(base_currency, quote_currency),
            name=pair.description,
            base_id=base,
            quote_id=quote,
            base_currency=base_currency,
            quote_currency=quote_currency,
            status=pair.trading,
            price_step=find_step(pair.counter_decimals),
            quantity_step=find_step(pair.base_decimals),
            notional_min=parse_amount(least) if least and least_currency == quote else None,
            trade_numbering=TradeNumbering.RISING,
            ts_ingest=ts_ingest,
        )
    )

"""Gemini's REST API: trades, order books, candles and instruments, all without a key.

Here: its paths and fields, and what a page of trades proves. A page is newest first, holds 500 at
most, and may or may not begin where it was asked to: two questions with different times were
answered by the same 500 trades. So a poll asks from just before its cursor on, and only the
cursor's own trade on the page proves that nothing lies between. Trade ids rise with holes.

There is no past to be had: trades of a few days and the last candles, without a way to page.

Source: Gemini REST API, "List Trades", "Get Current Order Book", "List Candles", "Get Symbol
Details", "Rate Limits".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec

from crypto_platform.errors import RecordRejectedError
from crypto_platform.feeds.candles import Candle, Interval
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
    decode_frame,
    decode_item,
    list_items,
    read_amount,
    read_items,
)
from crypto_platform.sources.readings import (
    OrderBookPage,
    Subject,
    build_candle,
    build_order_book,
    build_trade,
    join_symbol,
    read_epoch,
    require,
)
from crypto_platform.sources.rounds import ask_each
from crypto_platform.sources.trade_pages import (
    Step,
    TradesPage,
    TradesRead,
    choose_new,
    number_trades,
    walk_forward,
)
from crypto_platform.sources.venue import Venue

_FRAMES = {
    Interval.MINUTE: "1m",
    Interval.FIVE_MINUTES: "5m",
    Interval.QUARTER_HOUR: "15m",
    Interval.HOUR: "1hr",
    Interval.SIX_HOURS: "6hr",
    Interval.DAY: "1day",
}

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}

_TradeId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class _Numbered(msgspec.Struct):
    tid: _TradeId


class _Trade(msgspec.Struct):
    """One trade; `type` is the taker's side, or what else the trade was (auction, block)."""

    tid: _TradeId
    timestampms: msgspec.Raw = NULL
    price: msgspec.Raw = NULL
    amount: msgspec.Raw = NULL
    type: str | None = None


class _Level(msgspec.Struct):
    price: msgspec.Raw
    amount: msgspec.Raw


class _Book(msgspec.Struct):
    bids: list[_Level]
    asks: list[_Level]


class _Details(msgspec.Struct):
    symbol: str
    base_currency: str | None = None
    quote_currency: str | None = None
    tick_size: msgspec.Raw = NULL
    quote_increment: msgspec.Raw = NULL
    min_order_size: msgspec.Raw = NULL
    status: str | None = None
    product_type: str | None = None


_Candle = tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw]

_NUMBERED_DECODER = msgspec.json.Decoder(_Numbered)
_TRADE_DECODER = msgspec.json.Decoder(_Trade)
_CANDLE_DECODER = msgspec.json.Decoder(_Candle)
_DETAILS_DECODER = msgspec.json.Decoder(_Details)


class Gemini(Venue):
    """One instance of Gemini's API."""

    page_trades_max = 500
    # it cannot be asked for a range: one page is all there is
    page_candles_max = 1_000_000
    symbol_form = re.compile(r"[a-z0-9]+")
    symbol_example = "btcusd,ethusd"

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """Trades from the cursor on, page by page; the newest page where there is none."""
        cursor = self.read_cursor(position, venue_symbol=subject.venue_symbol)
        if position is None or cursor is None:
            page = self._fetch_trades(subject, since_id=None)
            highest = str(page.highest) if page.known_ids else None
            return TradesRead(items=choose_new([page], cursor=None), position=highest)
        steps = walk_forward(partial(self._step, subject), position, pages_max=pages_max)
        gaps: list[Gap] = []
        reached = cursor
        for step in steps:
            if step.page.known_ids and step.page.lowest > reached:
                gaps.append(
                    Gap(
                        venue_symbol=subject.venue_symbol,
                        after_id=str(reached),
                        before_id=str(step.page.lowest),
                    )
                )
            reached = int(step.position)
        return TradesRead(
            items=choose_new([step.page for step in steps], cursor=cursor),
            position=str(reached),
            gaps=gaps,
            reaches_end=steps[-1].is_last,
        )

    def _step(self, subject: Subject, position: str) -> Step:
        cursor = int(position)
        # the trade before the cursor is excluded, the cursor itself is not: it proves the border
        page = self._fetch_trades(subject, since_id=cursor - 1)
        highest = max([cursor, *page.known_ids])
        is_last = len(page.ids) < self.page_trades_max or highest == cursor
        return Step(page=page, position=str(highest), is_last=is_last)

    def _fetch_trades(self, subject: Subject, *, since_id: int | None) -> TradesPage:
        params = {"limit_trades": self.page_trades_max}
        if since_id is not None:
            params["since_tid"] = since_id
        answer = self.http.get(f"/v1/trades/{subject.venue_symbol}", params=params)
        return number_trades(
            list_items(answer.body, source=self.name, url=answer.url),
            read_trade_id,
            source=self.name,
            answer=answer,
            # nobody has traded yet, or for a week
            may_be_empty=True,
        )

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One of {"tid", "timestampms", "price", "amount", "type"}.

        A type of "buy" means that a waiting ask was taken, so it is the taker's.
        """
        trade = decode_item(_TRADE_DECODER, item)
        return build_trade(
            subject,
            trade_id=str(trade.tid),
            price=trade.price,
            quantity=trade.amount,
            # an auction has no taker
            taker_side=_SIDES.get(trade.type or ""),
            moment=read_epoch(trade.timestampms, "timestampms", unit="ms"),
        )

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The best levels.

        They have times of their own, which say when each last changed: none of them is when the
        book was so. Gemini numbers no states.
        """
        answer = self.http.get(
            f"/v1/book/{subject.venue_symbol}",
            params={"limit_bids": self.depth, "limit_asks": self.depth},
        )
        book = decode_frame(answer.body, _Book, source=self.name, url=answer.url)
        return OrderBookPage(
            item=answer.body,
            build=lambda: build_order_book(
                subject,
                depth=self.depth,
                bids=[(level.price, level.amount) for level in book.bids],
                asks=[(level.price, level.amount) for level in book.asks],
                sequence=None,
                moment=None,
            ),
        )

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """All candles it gives, of any time."""
        _ = (begin_us, end_us)
        answer = self.http.get(f"/v2/candles/{subject.venue_symbol}/{_FRAMES[interval]}")
        items = list_items(answer.body, source=self.name, url=answer.url)
        opened = [time_us for time_us in map(_read_open_time, items) if time_us is not None]
        return CandlesPage(items=items, begins_us=min(opened, default=None))

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle: [time in ms, open, high, low, close, volume in base]."""
        opened, *prices, volume = decode_item(_CANDLE_DECODER, item)
        return build_candle(
            subject,
            interval,
            open_time_us=read_epoch(opened, "time", unit="ms").time_us,
            prices=prices,
            base_volume=volume,
        )

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """Details of these symbols, one request each; those of the settings where none are given.

        Of hundreds of others its list says nothing but the name.
        """
        found = ask_each(list(symbols or self.symbols), self._fetch_details)
        found.check()
        parse = partial(
            parse_instrument, source=self.name, codes=self.currencies, ts_ingest=ts_ingest
        )
        listed = read_items(
            found.answers, parse, source=self.name, feed=INSTRUMENTS, ts_ingest=ts_ingest
        )
        return replace(listed, faults=found.faults, interruption=found.interruption)

    def _fetch_details(self, venue_symbol: str) -> bytes:
        answer = self.http.get(f"/v1/symbols/details/{venue_symbol}")
        decode_frame(answer.body, _Details, source=self.name, url=answer.url)
        return answer.body


def _read_open_time(item: bytes) -> int | None:
    try:
        opened = decode_item(_CANDLE_DECODER, item)[0]
        return read_epoch(opened, "time", unit="ms").time_us
    except RecordRejectedError:
        return None


def read_trade_id(item: bytes) -> int | None:
    """A trade's number; None where it has none."""
    try:
        return decode_item(_NUMBERED_DECODER, item).tid
    except RecordRejectedError:
        return None


def parse_instrument(
    item: bytes, *, source: str, codes: Mapping[str, str], ts_ingest: int
) -> Instrument:
    """Turn the details of a symbol into a record.

    Args:
        item: {"symbol": "BTCUSD", "base_currency", "quote_currency", "tick_size": 1E-8 (of the
            quantity), "quote_increment": 0.01 (of the price), "min_order_size": str, "status"}.
        source: Name in the settings.
        codes: Unified codes by the venue's own.
        ts_ingest: When the poll began, microseconds.
    """
    details = decode_item(_DETAILS_DECODER, item)
    base, quote = details.base_currency, details.quote_currency
    base_currency = None if base is None else codes.get(base)
    quote_currency = None if quote is None else codes.get(quote)
    is_spot = details.product_type in (None, "spot")
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.INSTRUMENT,
            # paths take it in either case, and every list but this one prints it so
            native_id=require(details.symbol, "symbol").lower(),
            symbol=join_symbol(base_currency, quote_currency) if is_spot else None,
            base_id=base,
            quote_id=quote,
            base_currency=base_currency,
            quote_currency=quote_currency,
            status=details.status,
            price_step=read_amount(details.quote_increment, "quote_increment"),
            quantity_step=read_amount(details.tick_size, "tick_size"),
            quantity_min=read_amount(details.min_order_size, "min_order_size"),
            trade_numbering=TradeNumbering.RISING,
            ts_ingest=ts_ingest,
        )
    )

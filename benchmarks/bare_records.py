"""What the bare loops know of each feed: its fields, and its rows as COPY text, by hand.

Here: one expression a record, without any check: the fastest we know. Not here: documents
(bare_documents.py); reading, transactions, offsets (bare.py).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from confluent_kafka import Message

US = 1_000_000
NULL = r"\N"

Rows = Callable[[Sequence[Message], Sequence[Any]], list[str]]
"""Lines of COPY text, one a record."""


class Trade(msgspec.Struct, tag_field="v", tag=1, gc=False):
    """The value's own fields, unchecked; in order of the table's columns, as the others."""

    event_id: str
    content_hash: int
    ts_ingest: int
    venue: str
    venue_symbol: str
    trade_id: str
    price: str
    quantity: str
    ts_event: int
    symbol: str | None = None
    taker_side: str | None = None
    ts_event_text: str | None = None


class OrderBook(msgspec.Struct, tag_field="v", tag=1, gc=False):
    """See Trade."""

    event_id: str
    content_hash: int
    ts_ingest: int
    venue: str
    venue_symbol: str
    depth: int
    bid_prices: tuple[str, ...]
    bid_quantities: tuple[str, ...]
    ask_prices: tuple[str, ...]
    ask_quantities: tuple[str, ...]
    ts_event: int
    timed_by: str
    symbol: str | None = None
    sequence: str | None = None
    ts_event_text: str | None = None


class Candle(msgspec.Struct, tag_field="v", tag=1, gc=False):
    """See Trade."""

    event_id: str
    content_hash: int
    ts_ingest: int
    venue: str
    venue_symbol: str
    interval: str
    ts_event: int
    open: str
    high: str
    low: str
    close: str
    base_volume: str
    symbol: str | None = None
    quote_volume: str | None = None
    vwap: str | None = None
    trade_count: int | None = None


class Instrument(msgspec.Struct, tag_field="v", tag=1, gc=False):
    """See Trade."""

    event_id: str
    content_hash: int
    ts_ingest: int
    source: str
    kind: str
    native_id: str
    symbol: str | None = None
    name: str | None = None
    base_id: str | None = None
    quote_id: str | None = None
    base_currency: str | None = None
    quote_currency: str | None = None
    status: str | None = None
    price_step: str | None = None
    quantity_step: str | None = None
    quantity_min: str | None = None
    notional_min: str | None = None
    trade_numbering: str | None = None
    ts_listed: int | None = None


class AccountEvent(msgspec.Struct, tag_field="v", tag=1, gc=False):
    """See Trade."""

    event_id: str
    content_hash: int
    ts_ingest: int
    user_id: str
    sequence: int
    user_sequence: int
    kind: str
    ts_event: int
    posting_accounts: tuple[str, ...]
    posting_currencies: tuple[str, ...]
    posting_amounts: tuple[str, ...]
    wallet_currencies: tuple[str, ...]
    wallet_available: tuple[str, ...]
    wallet_locked: tuple[str, ...]
    order_id: str | None = None
    client_order_id: str | None = None
    venue_symbol: str | None = None
    side: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    post_only: bool | None = None
    limit_price: str | None = None
    order_quantity: str | None = None
    order_funds: str | None = None
    filled_quantity: str | None = None
    filled_notional: str | None = None
    order_fees: str | None = None
    order_fee_currency: str | None = None
    order_status: str | None = None
    order_reason: str | None = None
    ts_created: int | None = None
    trade_id: str | None = None
    fill_price: str | None = None
    fill_quantity: str | None = None
    liquidity: str | None = None
    fill_fee: str | None = None
    fill_fee_currency: str | None = None


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def format_time(us: int) -> str:
    """As timestamptz reads it."""
    return f"{_second(us // US)}.{us % US:06d}+00"


def trade_rows(topic_id: str) -> Rows:
    """Lines of trades."""
    time_of = lru_cache(maxsize=4096)(format_time)
    return lambda messages, trades: [
        f"{t.event_id}\t{t.content_hash}\t{time_of(t.ts_ingest)}\t{t.venue}\t{t.venue_symbol}\t"
        f"{t.trade_id}\t{t.price}\t{t.quantity}\t{format_time(t.ts_event)}\t{t.symbol or NULL}\t"
        f"{t.taker_side or NULL}\t{t.ts_event_text or NULL}\t{topic_id}\t{m.partition()}\t"
        f"{m.offset()}\t{time_of(m.timestamp()[1] * 1000)}\n"
        for m, t in zip(messages, trades, strict=True)
    ]


def order_book_rows(topic_id: str) -> Rows:
    """Lines of order books."""
    time_of, join = lru_cache(maxsize=4096)(format_time), ",".join
    return lambda messages, books: [
        f"{b.event_id}\t{b.content_hash}\t{time_of(b.ts_ingest)}\t{b.venue}\t{b.venue_symbol}\t"
        f"{b.depth}\t{{{join(b.bid_prices)}}}\t{{{join(b.bid_quantities)}}}\t"
        f"{{{join(b.ask_prices)}}}\t{{{join(b.ask_quantities)}}}\t{time_of(b.ts_event)}\t"
        f"{b.timed_by}\t{b.symbol or NULL}\t{b.sequence or NULL}\t{b.ts_event_text or NULL}\t"
        f"{topic_id}\t{m.partition()}\t{m.offset()}\t{time_of(m.timestamp()[1] * 1000)}\n"
        for m, b in zip(messages, books, strict=True)
    ]


def candle_rows(topic_id: str) -> Rows:
    """Lines of candles."""
    time_of = lru_cache(maxsize=4096)(format_time)
    return lambda messages, candles: [
        f"{c.event_id}\t{c.content_hash}\t{time_of(c.ts_ingest)}\t{c.venue}\t{c.venue_symbol}\t"
        f"{c.interval}\t{time_of(c.ts_event)}\t{c.open}\t{c.high}\t{c.low}\t{c.close}\t"
        f"{c.base_volume}\t{c.symbol or NULL}\t{c.quote_volume or NULL}\t{c.vwap or NULL}\t"
        f"{NULL if c.trade_count is None else c.trade_count}\t{topic_id}\t{m.partition()}\t"
        f"{m.offset()}\t{time_of(m.timestamp()[1] * 1000)}\n"
        for m, c in zip(messages, candles, strict=True)
    ]


def instrument_rows(topic_id: str) -> Rows:
    """Lines of instruments."""
    time_of = lru_cache(maxsize=4096)(format_time)
    return lambda messages, instruments: [
        f"{i.event_id}\t{i.content_hash}\t{time_of(i.ts_ingest)}\t{i.source}\t{i.kind}\t"
        f"{i.native_id}\t{i.symbol or NULL}\t{i.name or NULL}\t{i.base_id or NULL}\t"
        f"{i.quote_id or NULL}\t{i.base_currency or NULL}\t{i.quote_currency or NULL}\t"
        f"{i.status or NULL}\t{i.price_step or NULL}\t{i.quantity_step or NULL}\t"
        f"{i.quantity_min or NULL}\t{i.notional_min or NULL}\t{i.trade_numbering or NULL}\t"
        f"{NULL if i.ts_listed is None else time_of(i.ts_listed)}\t{topic_id}\t{m.partition()}\t"
        f"{m.offset()}\t{time_of(m.timestamp()[1] * 1000)}\n"
        for m, i in zip(messages, instruments, strict=True)
    ]


def account_event_rows(topic_id: str) -> Rows:
    """Lines of account events; no name in them holds what a literal would have to escape."""
    time_of, join = lru_cache(maxsize=4096)(format_time), ",".join
    flag_of = {None: NULL, True: "t", False: "f"}

    @lru_cache(maxsize=4096)
    def names_of(names: tuple[str, ...]) -> str:
        quoted = '","'.join(names)
        return f'{{"{quoted}"}}'

    return lambda messages, events: [
        f"{e.event_id}\t{e.content_hash}\t{time_of(e.ts_ingest)}\t{e.user_id}\t{e.sequence}\t"
        f"{e.user_sequence}\t{e.kind}\t{format_time(e.ts_event)}\t{names_of(e.posting_accounts)}\t"
        f"{names_of(e.posting_currencies)}\t{{{join(e.posting_amounts)}}}\t"
        f"{names_of(e.wallet_currencies)}\t{{{join(e.wallet_available)}}}\t"
        f"{{{join(e.wallet_locked)}}}\t{e.order_id or NULL}\t{e.client_order_id or NULL}\t"
        f"{e.venue_symbol or NULL}\t{e.side or NULL}\t{e.order_type or NULL}\t"
        f"{e.time_in_force or NULL}\t{flag_of[e.post_only]}\t"
        f"{e.limit_price or NULL}\t{e.order_quantity or NULL}\t{e.order_funds or NULL}\t"
        f"{e.filled_quantity or NULL}\t{e.filled_notional or NULL}\t{e.order_fees or NULL}\t"
        f"{e.order_fee_currency or NULL}\t{e.order_status or NULL}\t{e.order_reason or NULL}\t"
        f"{NULL if e.ts_created is None else format_time(e.ts_created)}\t{e.trade_id or NULL}\t"
        f"{e.fill_price or NULL}\t{e.fill_quantity or NULL}\t{e.liquidity or NULL}\t"
        f"{e.fill_fee or NULL}\t{e.fill_fee_currency or NULL}\t{topic_id}\t{m.partition()}\t"
        f"{m.offset()}\t{time_of(m.timestamp()[1] * 1000)}\n"
        for m, e in zip(messages, events, strict=True)
    ]

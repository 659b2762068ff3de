"""The documents of the bare loops as BSON, by hand for each feed.

Here: one expression a record, without any check, each value that repeats encoded once: the fastest
we know. Not here: rows (bare_records.py); reading, transactions, offsets (bare.py).
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from confluent_kafka import Message

from benchmarks.bare_records import OrderBook

Documents = Callable[[Sequence[Message], Sequence[Any]], list[bytes]]
"""BSON documents, one a record."""

_int32 = struct.Struct("<i").pack
_int64 = struct.Struct("<q").pack


def _head(kind: bytes, name: str) -> bytes:
    return kind + name.encode() + b"\0"


def _text(name: str) -> Callable[[str | None], bytes]:
    head, null = _head(b"\x02", name), _head(b"\x0a", name)

    def encode(text: str | None) -> bytes:
        if text is None:
            return null
        raw = text.encode()
        return b"%b%b%b\0" % (head, _int32(len(raw) + 1), raw)

    return encode


def _decimal(text: str) -> bytes:
    whole, _, decimals = text.partition(".")
    digits = int(whole + decimals)
    sign = 1 << 127 if digits < 0 else 0
    number = ((6176 - len(decimals)) << 113) | abs(digits) | sign
    return number.to_bytes(16, "little")


def _amount(name: str) -> Callable[[str | None], bytes]:
    head, null = _head(b"\x13", name), _head(b"\x0a", name)
    return lambda text: null if text is None else head + _decimal(text)


def _amounts(name: str) -> Callable[[Sequence[str], Mapping[str, bytes]], bytes]:
    head = _head(b"\x04", name)

    def encode(texts: Sequence[str], encoded: Mapping[str, bytes]) -> bytes:
        return head + _array(len(texts)) % tuple(map(encoded.__getitem__, texts))

    return encode


@lru_cache(maxsize=64)
def _array(length: int) -> bytes:
    keys = [b"\x13%d\0" % place for place in range(length)]
    size = _int32(5 + sum(len(key) + 16 for key in keys)).replace(b"%", b"%%")
    return b"%b%b\0" % (size, b"".join(key + b"%b" for key in keys))


def _texts(name: str) -> Callable[[Sequence[str]], bytes]:
    head = _head(b"\x04", name)

    def encode(texts: Sequence[str]) -> bytes:
        body = b"".join(_text(str(place))(text) for place, text in enumerate(texts))
        return b"%b%b%b\0" % (head, _int32(len(body) + 5), body)

    return encode


def _few_amounts(name: str) -> Callable[[Sequence[str]], bytes]:
    head = _head(b"\x04", name)
    return lambda texts: head + _array(len(texts)) % tuple(map(_decimal, texts))


def _flag(name: str) -> Callable[[bool | None], bytes]:
    head, null = _head(b"\x08", name), _head(b"\x0a", name)
    return lambda flag: null if flag is None else head + bytes([flag])


def _integer(name: str) -> Callable[[int | None], bytes]:
    head, null = _head(b"\x12", name), _head(b"\x0a", name)
    return lambda number: null if number is None else head + _int64(number)


def _moment(name: str) -> Callable[[int | None], bytes]:
    head, date = _head(b"\x12", f"{name}_us"), _head(b"\x09", name)
    null = _head(b"\x0a", f"{name}_us") + _head(b"\x0a", name)
    return lambda us: (
        null if us is None else b"%b%b%b%b" % (head, _int64(us), date, _int64(us // 1000))
    )


def _often(*encoders: Callable[[Any], bytes]) -> Callable[..., bytes]:
    """Fields that stand side by side and repeat together."""
    return lru_cache(maxsize=4096)(
        lambda *values: b"".join([encode(value) for encode, value in zip(encoders, values)])  # noqa: B905
    )


def _arrivals(topic_id: str) -> Callable[[Message], bytes]:
    part_of = lru_cache(maxsize=64)(
        lambda part: (
            _text("arrival_topic_id")(topic_id)
            + _integer("arrival_part")(part)
            + _head(b"\x12", "arrival_offset")
        )
    )
    append = lru_cache(maxsize=4096)(_moment("ts_append"))
    return lambda m: (
        b"%b%b%b\0"
        % (
            part_of(m.partition()),
            _int64(m.offset() or 0),
            append(m.timestamp()[1] * 1000),
        )
    )


def _finish(bodies: Iterable[bytes]) -> list[bytes]:
    return [_int32(len(body) + 4) + body for body in bodies]


_event_id, _hash = _text("_id"), _integer("content_hash")


def trade_documents(topic_id: str) -> Documents:
    """Documents of trades."""
    arrival, kinds = _arrivals(topic_id), _often(*map(_text, ("venue", "venue_symbol", "symbol")))
    trade_id, price, quantity = _text("trade_id"), _amount("price"), _amount("quantity")
    side, ingest = _often(_text("taker_side")), _often(_moment("ts_ingest"))
    event, event_text = _moment("ts_event"), _text("ts_event_text")
    return lambda messages, trades: _finish(
        b"".join(
            (
                _event_id(t.event_id),
                _hash(t.content_hash),
                ingest(t.ts_ingest),
                kinds(t.venue, t.venue_symbol, t.symbol),
                trade_id(t.trade_id),
                price(t.price),
                quantity(t.quantity),
                side(t.taker_side),
                event(t.ts_event),
                event_text(t.ts_event_text),
                arrival(m),
            )
        )
        for m, t in zip(messages, trades, strict=True)
    )


def order_book_documents(topic_id: str) -> Documents:
    """Documents of order books."""
    arrival, ingest = _arrivals(topic_id), _often(_moment("ts_ingest"))
    names = ("venue", "venue_symbol", "symbol")
    kinds = _often(*map(_text, names), _integer("depth"))
    sequence, event = _text("sequence"), _often(_moment("ts_event"))
    bid_prices, bid_quantities = _amounts("bid_prices"), _amounts("bid_quantities")
    ask_prices, ask_quantities = _amounts("ask_prices"), _amounts("ask_quantities")
    end = _often(_text("ts_event_text"), _text("timed_by"))

    def encode(messages: Sequence[Message], books: Sequence[OrderBook]) -> list[bytes]:
        lists = [(b.bid_prices, b.bid_quantities, b.ask_prices, b.ask_quantities) for b in books]
        distinct = set(chain.from_iterable(chain.from_iterable(lists)))
        encoded = {text: _decimal(text) for text in distinct}
        return _finish(
            b"".join(
                (
                    _event_id(b.event_id),
                    _hash(b.content_hash),
                    ingest(b.ts_ingest),
                    kinds(b.venue, b.venue_symbol, b.symbol, b.depth),
                    sequence(b.sequence),
                    bid_prices(b.bid_prices, encoded),
                    bid_quantities(b.bid_quantities, encoded),
                    ask_prices(b.ask_prices, encoded),
                    ask_quantities(b.ask_quantities, encoded),
                    event(b.ts_event),
                    end(b.ts_event_text, b.timed_by),
                    arrival(m),
                )
            )
            for m, b in zip(messages, books, strict=True)
        )

    return encode


def candle_documents(topic_id: str) -> Documents:
    """Documents of candles."""
    arrival, ingest = _arrivals(topic_id), _often(_moment("ts_ingest"))
    kinds = _often(*map(_text, ("venue", "venue_symbol", "symbol", "interval")))
    event = _often(_moment("ts_event"))
    first, high, low, last = map(_amount, ("open", "high", "low", "close"))
    volume = _amount("base_volume")
    end = _often(_amount("quote_volume"), _amount("vwap"), _integer("trade_count"))
    return lambda messages, candles: _finish(
        b"".join(
            (
                _event_id(c.event_id),
                _hash(c.content_hash),
                ingest(c.ts_ingest),
                kinds(c.venue, c.venue_symbol, c.symbol, c.interval),
                event(c.ts_event),
                first(c.open),
                high(c.high),
                low(c.low),
                last(c.close),
                volume(c.base_volume),
                end(c.quote_volume, c.vwap, c.trade_count),
                arrival(m),
            )
        )
        for m, c in zip(messages, candles, strict=True)
    )


def instrument_documents(topic_id: str) -> Documents:
    """Documents of instruments."""
    arrival, ingest = _arrivals(topic_id), _often(_moment("ts_ingest"))
    texts = ("source", "kind", "native_id", "symbol", "name")
    names = _often(*map(_text, texts))
    texts = ("base_id", "quote_id", "base_currency", "quote_currency", "status")
    currencies = _often(*map(_text, texts))
    steps = _often(_amount("price_step"), _amount("quantity_step"))
    quantity_min = _amount("quantity_min")
    end = _often(_amount("notional_min"), _text("trade_numbering"), _moment("ts_listed"))
    return lambda messages, instruments: _finish(
        b"".join(
            (
                _event_id(i.event_id),
                _hash(i.content_hash),
                ingest(i.ts_ingest),
                names(i.source, i.kind, i.native_id, i.symbol, i.name),
                currencies(i.base_id, i.quote_id, i.base_currency, i.quote_currency, i.status),
                steps(i.price_step, i.quantity_step),
                quantity_min(i.quantity_min),
                end(i.notional_min, i.trade_numbering, i.ts_listed),
                arrival(m),
            )
        )
        for m, i in zip(messages, instruments, strict=True)
    )


def account_event_documents(topic_id: str) -> Documents:
    """Documents of account events."""
    arrival, ingest, event = _arrivals(topic_id), _often(_moment("ts_ingest")), _moment("ts_event")
    user, kind = _text("user_id"), _often(_text("kind"))
    sequence, user_sequence = _integer("sequence"), _integer("user_sequence")
    order, client_order = _text("order_id"), _text("client_order_id")
    names = ("venue_symbol", "side", "order_type", "time_in_force")
    kinds = _often(*map(_text, names), _flag("post_only"))
    amounts = ("limit_price", "order_quantity", "order_funds", "filled_quantity", "filled_notional")
    limit, quantity, funds, filled, notional = map(_amount, amounts)
    fees = _amount("order_fees")
    status = _often(*map(_text, ("order_fee_currency", "order_status", "order_reason")))
    created, trade_id = _moment("ts_created"), _text("trade_id")
    fill_price, fill_quantity = _amount("fill_price"), _amount("fill_quantity")
    liquidity, fee = _often(_text("liquidity")), _amount("fill_fee")
    fee_currency = _often(_text("fill_fee_currency"))
    accounts = _often(_texts("posting_accounts"), _texts("posting_currencies"))
    posted, wallets = _few_amounts("posting_amounts"), _often(_texts("wallet_currencies"))
    available, locked = _few_amounts("wallet_available"), _few_amounts("wallet_locked")
    return lambda messages, events: _finish(
        b"".join(
            (
                _event_id(e.event_id),
                _hash(e.content_hash),
                ingest(e.ts_ingest),
                user(e.user_id),
                sequence(e.sequence),
                user_sequence(e.user_sequence),
                kind(e.kind),
                event(e.ts_event),
                order(e.order_id),
                client_order(e.client_order_id),
                kinds(e.venue_symbol, e.side, e.order_type, e.time_in_force, e.post_only),
                limit(e.limit_price),
                quantity(e.order_quantity),
                funds(e.order_funds),
                filled(e.filled_quantity),
                notional(e.filled_notional),
                fees(e.order_fees),
                status(e.order_fee_currency, e.order_status, e.order_reason),
                created(e.ts_created),
                trade_id(e.trade_id),
                fill_price(e.fill_price),
                fill_quantity(e.fill_quantity),
                liquidity(e.liquidity),
                fee(e.fill_fee),
                fee_currency(e.fill_fee_currency),
                accounts(e.posting_accounts, e.posting_currencies),
                posted(e.posting_amounts),
                wallets(e.wallet_currencies),
                available(e.wallet_available),
                locked(e.wallet_locked),
                arrival(m),
            )
        )
        for m, e in zip(messages, events, strict=True)
    )

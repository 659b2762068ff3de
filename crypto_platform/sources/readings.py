"""From a venue's fields to sealed records: what every venue's dialect does alike, field by field.

Here: one builder a market feed, times in the venues' forms, levels in order, what may not be
missing. Not here: which field of an answer means what (the dialects), when it is asked
(venue_polls.py, venue.py).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple, TypeVar

import msgspec

from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds.candles import Candle, Interval, seal_candle
from crypto_platform.feeds.order_books import OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.trades import Side, Trade, seal_trade
from crypto_platform.sources.pages import NULL, keep_finer_time, read_amount, read_text, read_time

T = TypeVar("T")

Level = Sequence[msgspec.Raw]
"""Price, quantity, and whatever else the venue says of a level."""


class Moment(NamedTuple):
    """A venue's time.

    Attributes:
        time_us: Microseconds since 1970; what is finer is cut off, never rounded up.
        text: The venue's own text where it is finer, else None.
    """

    time_us: int
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What an answer is about: it stands in every record, and the answer does not say it.

    Attributes:
        venue: Name in the settings.
        venue_symbol: The venue's own.
        symbol: Unified; None where unmapped.
        ts_ingest: When the poll began, microseconds.
    """

    venue: str
    venue_symbol: str
    symbol: str | None
    ts_ingest: int


class OrderBookPage(NamedTuple):
    """A book as it came.

    Attributes:
        item: The venue's bytes of it, kept where it cannot be a record.
        build: Makes the record, or raises RecordRejectedError.
    """

    item: bytes
    build: Callable[[], OrderBook]


def build_trade(
    subject: Subject,
    *,
    trade_id: str,
    price: msgspec.Raw,
    quantity: msgspec.Raw,
    taker_side: Side | None,
    moment: Moment,
) -> Trade:
    """A trade with the venue's digits.

    Raises:
        RecordRejectedError: price or quantity is missing, or no decimal that a store can keep.
    """
    return seal_trade(
        Trade(
            venue=subject.venue,
            venue_symbol=subject.venue_symbol,
            symbol=subject.symbol,
            trade_id=trade_id,
            price=require_amount(price, "price"),
            quantity=require_amount(quantity, "quantity"),
            taker_side=taker_side,
            ts_event=moment.time_us,
            ts_event_text=moment.text,
            ts_ingest=subject.ts_ingest,
        )
    )


def build_candle(
    subject: Subject,
    interval: Interval,
    *,
    open_time_us: int,
    prices: Sequence[msgspec.Raw],
    base_volume: msgspec.Raw,
    quote_volume: msgspec.Raw = NULL,
    vwap: msgspec.Raw = NULL,
    trade_count: int | None = None,
) -> Candle:
    """A candle with the venue's digits.

    Args:
        prices: Open, high, low, close, in this order, whatever the venue's own is.

    Raises:
        RecordRejectedError: A price or the base volume is missing, a figure is no decimal, or the
            open time is none of this interval.
    """
    if open_time_us % interval.length_us:
        message = f"open time {open_time_us} us is no multiple of {interval}"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    opening, high, low, close = prices
    return seal_candle(
        Candle(
            venue=subject.venue,
            venue_symbol=subject.venue_symbol,
            symbol=subject.symbol,
            interval=interval,
            ts_event=open_time_us,
            open=require_amount(opening, "open"),
            high=require_amount(high, "high"),
            low=require_amount(low, "low"),
            close=require_amount(close, "close"),
            base_volume=require_amount(base_volume, "base volume"),
            quote_volume=read_amount(quote_volume, "quote volume"),
            vwap=read_amount(vwap, "vwap"),
            trade_count=trade_count,
            ts_ingest=subject.ts_ingest,
        )
    )


def build_order_book(
    subject: Subject,
    *,
    depth: int,
    bids: Iterable[Level],
    asks: Iterable[Level],
    sequence: str | None,
    moment: Moment | None,
) -> OrderBook:
    """The best levels of a book, in order and with the venue's digits.

    Args:
        depth: Levels a side that are kept.
        bids, asks: In any order, as many as the venue sent.
        sequence: The venue's number of this state, if it gives one.
        moment: The venue's time of it, if it gives one; else it is that of our poll.

    Raises:
        RecordRejectedError: A level is no pair of decimals: a book without it would be another.
    """
    best_bids = keep_best(bids, side="bids", depth=depth)
    best_asks = keep_best(asks, side="asks", depth=depth)
    return seal_order_book(
        OrderBook(
            venue=subject.venue,
            venue_symbol=subject.venue_symbol,
            symbol=subject.symbol,
            depth=depth,
            sequence=sequence,
            bid_prices=tuple(price for price, _ in best_bids),
            bid_quantities=tuple(quantity for _, quantity in best_bids),
            ask_prices=tuple(price for price, _ in best_asks),
            ask_quantities=tuple(quantity for _, quantity in best_asks),
            ts_event=subject.ts_ingest if moment is None else moment.time_us,
            ts_event_text=None if moment is None else moment.text,
            timed_by=TimedBy.PLATFORM if moment is None else TimedBy.VENUE,
            ts_ingest=subject.ts_ingest,
        )
    )


def keep_best(
    levels: Iterable[Level], *, side: Literal["bids", "asks"], depth: int
) -> list[tuple[str, str]]:
    """Price and quantity of the best levels of a side, best first.

    Sorted by value, not as text (9 is below 10), and cut only then: no venue promises an order.

    Raises:
        RecordRejectedError: invariant. A level is no pair of finite decimals.
    """
    try:
        priced = [(_to_decimal(level[0]), level) for level in levels]
        priced.sort(key=_price, reverse=side == "bids")
    except (InvalidOperation, IndexError) as error:
        message = f"{side}: a level without a price that is a decimal number"
        raise RecordRejectedError(message, reason=Reason.INVARIANT) from error
    best: list[tuple[str, str]] = []
    for _, level in priced[:depth]:
        quantity = level[1] if len(level) > 1 else NULL
        best.append(
            (require_amount(level[0], f"{side}: price"), require_amount(quantity, f"{side}: size"))
        )
    return best


def _to_decimal(price: msgspec.Raw) -> Decimal:
    return Decimal(bytes(price).strip(b' "').decode("utf-8", "backslashreplace"))


def _price(priced: tuple[Decimal, Level]) -> Decimal:
    return priced[0]


def join_symbol(base: str | None, quote: str | None) -> str | None:
    """BASE/QUOTE; None where a currency is unmapped."""
    return None if base is None or quote is None else f"{base}/{quote}"


def find_step(decimals: int | None) -> str | None:
    """The smallest step of a figure of so many decimals: 2 is 0.01."""
    return None if decimals is None else parse_amount(f"1e-{decimals}")


def require(value: T | None, name: str) -> T:
    """The value.

    Raises:
        RecordRejectedError: invariant. There is none.
    """
    if value is None:
        message = f"{name}: missing"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    return value


def require_amount(value: msgspec.Raw, name: str) -> str:
    """An amount in stored form; see pages.read_amount.

    Raises:
        RecordRejectedError: invariant. Missing, or not a finite decimal.
    """
    return require(read_amount(value, name), name)


def read_moment(text: str | None, name: str) -> Moment:
    """An RFC 3339 time.

    Raises:
        RecordRejectedError: invariant. Missing, or no such time.
    """
    known = require(text, name)
    return Moment(require(read_time(known, name), name), keep_finer_time(known))


_EPOCH_TIME = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?")
_DIGITS_OF_UNIT = {"s": 6, "ms": 3, "us": 0}


def read_epoch(value: msgspec.Raw, name: str, *, unit: Literal["s", "ms", "us"]) -> Moment:
    """A time since 1970 as a JSON number or a string of one, digit by digit: never a float.

    Args:
        value: `1385579841.7774`, `"1628640000"`, `1688669597.827736912`.
        name: The venue's field, for the error's text.
        unit: What 1 means.

    Raises:
        RecordRejectedError: invariant. Missing, or not such a number.
    """
    text = require(read_text(value), name)
    found = _EPOCH_TIME.fullmatch(text)
    if found is None:
        message = f"{name}: not a time in {unit} since 1970: {text[:60]!r}"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    digits = _DIGITS_OF_UNIT[unit]
    whole, fraction = found[1], found[2] or ""
    time_us = int(whole) * 10**digits + int(fraction[:digits].ljust(digits, "0") or "0")
    return Moment(time_us, text if len(fraction) > digits else None)

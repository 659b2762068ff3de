"""Kraken's public REST API (/0/public): trades, order books, candles, pairs.

Here: the paths, the arrays by position, Kraken's names (XXBT is BTC, the pair XXBTZUSD is what its
websocket calls XBT/USD), its errors inside an answer of 200, and how its trades lie: oldest first,
a thousand from `since` on, which is a time in nanoseconds. Times are JSON numbers finer than
microseconds. Trade ids rise; no page promises that none is left out. Trades of the older shape,
without an id, become no records: two of them that look alike could not be told apart.

Source: Kraken REST API, "Get Recent Trades", "Get Order Book", "Get OHLC Data", "Get Tradable Asset
Pairs", and its support page on rate limits.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated

import msgspec

from crypto_platform.errors import (
    Reason,
    RecordRejectedError,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.feeds.candles import Candle, Interval
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
from crypto_platform.sources.http import Answer
from crypto_platform.sources.pages import (
    NULL,
    build_malformed,
    decode_frame,
    decode_item,
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
    find_step,
    join_symbol,
    read_epoch,
    require,
)
from crypto_platform.sources.trade_pages import (
    Step,
    TradesPage,
    TradesRead,
    TradesSearch,
    choose_new,
    walk_forward,
)
from crypto_platform.sources.venue import Venue

MINUTES = {
    Interval.MINUTE: 1,
    Interval.FIVE_MINUTES: 5,
    Interval.QUARTER_HOUR: 15,
    Interval.HOUR: 60,
    Interval.DAY: 1440,
}
CANDLES_KEPT = 720
"""Nothing older is given, whatever is asked for."""

_SIDES = {"b": Side.BUY, "s": Side.SELL}
"""Of the taker, unlike Coinbase's."""
_TRADE_FIELDS = 7
_COME_AGAIN = re.compile(r"EService:|EAPI:Rate limit|EGeneral:(?:Temporary|Internal|Too many)")
_POSITION = re.compile(r"([0-9]+):([0-9]*)")
_NANOSECONDS = 1000


class _Answer(msgspec.Struct):
    """Every answer."""

    error: list[str]
    result: dict[str, msgspec.Raw] | None = None


class _Book(msgspec.Struct):
    """Levels are [price, volume, time of its last change]."""

    bids: list[list[msgspec.Raw]]
    asks: list[list[msgspec.Raw]]


class _Pair(msgspec.Struct):
    """A pair; fields that newer answers have more are unknown in older ones."""

    altname: str | None = None
    wsname: str | None = None
    base: str | None = None
    quote: str | None = None
    status: str | None = None
    pair_decimals: Annotated[int, msgspec.Meta(ge=0, le=30)] | None = None
    lot_decimals: Annotated[int, msgspec.Meta(ge=0, le=30)] | None = None
    tick_size: msgspec.Raw = NULL
    ordermin: msgspec.Raw = NULL
    costmin: msgspec.Raw = NULL


_ARRAY_DECODER = msgspec.json.Decoder(list[msgspec.Raw])
_ID_DECODER = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)])
_COUNT_DECODER = msgspec.json.Decoder(int)
_PAIR_DECODER = msgspec.json.Decoder(dict[str, _Pair])


class Kraken(Venue):
    """One instance of Kraken's REST API, market data only: without a key."""

    keeps = frozenset({TRADES.name})
    trade_numbering = TradeNumbering.RISING
    intervals = frozenset(MINUTES)
    page_candles_max = CANDLES_KEPT
    symbol_form = re.compile(r"[A-Za-z0-9.]+")
    symbol_example = "the keys of AssetPairs: XXBTZUSD,XETHZUSD"

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """Trades behind the position: the time in ns and the id of the last one read."""
        if position is None:
            steps = [self._fetch_trades(subject.venue_symbol, since=None)]
            cursor = None
        else:
            cursor = self._read_position(position, subject.venue_symbol)[1]
            steps = walk_forward(
                partial(self._fetch_after, subject.venue_symbol), position, pages_max=pages_max
            )
        pages = [step.page for step in steps]
        return TradesRead(
            items=choose_new(pages, cursor=cursor),
            position=steps[-1].position,
            reaches_end=steps[-1].is_last,
        )

    def read_trades_after(self, subject: Subject, *, position: str) -> TradesRead:
        """One page of the past; only one without anything new is the end."""
        read = self.read_trades(subject, position=position, pages_max=1)
        return TradesRead(
            items=read.items, position=read.position, reaches_end=read.position == position
        )

    def find_trades_from(
        self, subject: Subject, *, start_us: int, searched: str | None
    ) -> TradesSearch | None:
        """Kraken is asked by time, so the time is the position."""
        _ = (subject, searched)
        return TradesSearch(position=f"{start_us * _NANOSECONDS}:")

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One trade: [price, volume, time, side, type, miscellaneous, trade_id]."""
        fields = decode_item(_ARRAY_DECODER, item)
        if len(fields) < _TRADE_FIELDS:
            message = f"{len(fields)} fields: the shape without a trade_id, which has no identity"
            raise RecordRejectedError(message, reason=Reason.INVARIANT)
        price, volume, time, side, _, _, trade_id, *_ = fields
        taker = require(read_text(side), "side")
        if taker not in _SIDES:
            message = f"side: neither b nor s: {taker[:20]!r}"
            raise RecordRejectedError(message, reason=Reason.INVARIANT)
        return build_trade(
            subject,
            trade_id=str(decode_item(_ID_DECODER, bytes(trade_id))),
            price=price,
            quantity=volume,
            taker_side=_SIDES[taker],
            moment=read_epoch(time, "time", unit="s"),
        )

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The best levels; only levels have times, so the book is timed by our poll."""
        answer, result = self._ask("/Depth", pair=subject.venue_symbol, count=self.depth)
        item = self._find_pair(result, subject.venue_symbol, answer)
        book = decode_frame(item, _Book, source=self.name, url=answer.url)
        return OrderBookPage(
            item=item,
            build=lambda: build_order_book(
                subject,
                depth=self.depth,
                bids=book.bids,
                asks=book.asks,
                sequence=None,
                moment=None,
            ),
        )

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """Candles from `since` on, 720 at most; the last one is still open: it is behind `last`."""
        _ = end_us
        answer, result = self._ask(
            "/OHLC",
            pair=subject.venue_symbol,
            interval=MINUTES[interval],
            # not said whether it is inclusive
            since=(begin_us - interval.length_us) // 1_000_000,
        )
        items = list_items(
            self._find_pair(result, subject.venue_symbol, answer),
            source=self.name,
            url=answer.url,
        )
        closed_us = self._read_last(result, answer, seconds=True) + interval.length_us
        return CandlesPage(
            items=items,
            # one of those kept is the open one
            begins_us=closed_us - (CANDLES_KEPT - 1) * interval.length_us,
            closed_us=closed_us,
        )

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle: [time, open, high, low, close, vwap, volume, count]."""
        fields = decode_item(_ARRAY_DECODER, item)
        if len(fields) < 8:  # noqa: PLR2004 the fields named above
            message = f"{len(fields)} fields where a candle has 8"
            raise RecordRejectedError(message, reason=Reason.INVARIANT)
        time, opening, high, low, close, vwap, volume, count, *_ = fields
        return build_candle(
            subject,
            interval,
            open_time_us=read_epoch(time, "time", unit="s").time_us,
            prices=(opening, high, low, close),
            base_volume=volume,
            vwap=vwap,
            trade_count=decode_item(_COUNT_DECODER, bytes(count)),
        )

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """All pairs, or those of these keys."""
        asked = {} if symbols is None else {"pair": ",".join(symbols)}
        _, result = self._ask("/AssetPairs", **asked)
        return read_items(
            [msgspec.json.encode(key) + b":" + bytes(pair) for key, pair in result.items()],
            partial(_parse_pair, source=self.name, codes=self.currencies, ts_ingest=ts_ingest),
            source=self.name,
            feed=INSTRUMENTS,
            ts_ingest=ts_ingest,
        )

    def _fetch_after(self, pair: str, position: str) -> Step:
        time_ns, trade_id = self._read_position(position, pair)
        # one less, for trades of the same nanosecond may lie on both sides of a page's border; what
        # was read before is known by its id
        step = self._fetch_trades(pair, since=max(time_ns - 1, 0), after_id=trade_id)
        return step if step.page.ids else Step(page=step.page, position=position, is_last=True)

    def _fetch_trades(self, pair: str, *, since: int | None, after_id: int | None = None) -> Step:
        asked: dict[str, str | int] = {"pair": pair}
        if since is not None:
            asked["since"] = since
        answer, result = self._ask("/Trades", **asked)
        trades = self._find_pair(result, pair, answer)
        items = list_items(trades, source=self.name, url=answer.url)
        page = TradesPage(ids={item: _read_id(item) for item in items}, url=answer.url)
        highest = max([*page.known_ids, *([] if after_id is None else [after_id])], default="")
        return Step(
            page=page,
            position=f"{self._read_last(result, answer)}:{highest}",
            is_last=len(items) < self.page_trades_max,
        )

    def _ask(self, path: str, **params: str | int) -> tuple[Answer, dict[str, msgspec.Raw]]:
        answer = self.http.get(path, params=params)
        frame = decode_frame(answer.body, _Answer, source=self.name, url=answer.url)
        errors = [text for text in frame.error if text.startswith("E")]
        if errors:
            raise self._explain(errors, answer.url)
        if not frame.result:
            what = "neither a result nor an error"
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        return answer, frame.result

    def _explain(self, errors: Sequence[str], url: str) -> SourceError:
        """Kraken answers 200 to nearly everything and puts its errors into the answer."""
        said = ", ".join(errors)[:200]
        if any(_COME_AGAIN.match(text) for text in errors):
            message = f"{self.name}: {url} answered {said}"
            return SourceUnavailableError(message, source=self.name, url=url)
        message = (
            f"{self.name}: {url} answered {said}; look at sources.{self.name}.symbols: "
            f"{self.symbol_example}"
        )
        return SourceRefusedError(message, source=self.name, url=url)

    def _find_pair(self, result: dict[str, msgspec.Raw], pair: str, answer: Answer) -> bytes:
        """What a result says of the pair; under another key it would be stored under two names."""
        if pair in result:
            return bytes(result[pair])
        others = ", ".join(key for key in result if key != "last")
        message = (
            f"{self.name}: {answer.url} was asked for {pair} and answered {others or 'nothing'}: "
            f"write that into sources.{self.name}.symbols"
        )
        raise SourceRefusedError(message, source=self.name, url=answer.url)

    def _read_last(
        self, result: dict[str, msgspec.Raw], answer: Answer, *, seconds: bool = False
    ) -> int:
        """`last` as it is (ns), or from seconds to microseconds."""
        text = bytes(result.get("last", NULL)).strip(b'" ').decode("ascii", "replace")
        if not text.isdecimal():
            what = f"no `last` that is a number: {text[:40]!r}"
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        return int(text) * 1_000_000 if seconds else int(text)

    def _read_position(self, position: str, pair: str) -> tuple[int, int | None]:
        found = _POSITION.fullmatch(position)
        if found is None:
            raise self.refuse_position(position, venue_symbol=pair)
        return int(found[1]), int(found[2]) if found[2] else None


def _read_id(item: bytes) -> int | None:
    try:
        fields = decode_item(_ARRAY_DECODER, item)
        return decode_item(_ID_DECODER, bytes(fields[_TRADE_FIELDS - 1]))
    except (RecordRejectedError, IndexError):
        return None


def _parse_pair(
    item: bytes, *, source: str, codes: Mapping[str, str], ts_ingest: int
) -> Instrument:
    [(key, pair)] = decode_item(_PAIR_DECODER, b"{" + item + b"}").items()
    base_currency = codes.get(pair.base or "")
    quote_currency = codes.get(pair.quote or "")
    price_step = read_amount(pair.tick_size, "tick_size") or find_step(pair.pair_decimals)
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.INSTRUMENT,
            native_id=key,
            # a dark pool (XBTEUR.d) has no wsname, and is not the same market
            symbol=join_symbol(base_currency, quote_currency) if pair.wsname else None,
            name=pair.wsname or pair.altname,
            base_id=pair.base,
            quote_id=pair.quote,
            base_currency=base_currency,
            quote_currency=quote_currency,
            status=pair.status,
            price_step=price_step,
            quantity_step=find_step(pair.lot_decimals),
            quantity_min=read_amount(pair.ordermin, "ordermin"),
            notional_min=read_amount(pair.costmin, "costmin"),
            trade_numbering=TradeNumbering.RISING,
            ts_ingest=ts_ingest,
        )
    )

"""Coinbase Exchange REST API: public market data of products. The simulated market speaks it too.

Here: the paths, the field names, and how its pages of trades lie: newest first; what comes before a
page is asked for by `after` = the lowest trade_id of it (which is also what its header CB-AFTER
says). Trade ids of a product rise by one a trade, so what lies between two numbers can be asked for
and is complete: the newest page says how far there is something, and where it does not reach back
to the cursor, stretches of numbers are asked for from there on.

Source: Coinbase Exchange REST API, "Get product trades", "Pagination", "Get product book", "Get
product candles", "Get all known trading pairs", "Get all known currencies".
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

import msgspec

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import RecordRejectedError, SourceUnavailableError
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
    join_symbol,
    read_epoch,
    read_moment,
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
    refuse_page,
    walk_forward,
)
from crypto_platform.sources.venue import Venue
from crypto_platform.sources.venue_polls import unite

NEWEST_TRADES = 100
"""Of the first page of a poll that knows its cursor: at a pace of seconds few trades are new."""
STEP_BACK_TRADES = 100
"""History begins so many trades before the one that a search by time finds: times of neighbours do
not always rise with their ids."""

_PRODUCT_ID = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+)")
_POSITION = re.compile(r"([0-9]+)(?::([0-9]+))?")
_TradeId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class _Numbered(msgspec.Struct):
    """What paging needs of a trade, be the rest good or bad."""

    trade_id: _TradeId


class _Trade(msgspec.Struct):
    """One trade as Coinbase prints it; `side` is the maker's, Raw keeps the digits."""

    trade_id: _TradeId
    side: Side | None = None
    size: msgspec.Raw = NULL
    price: msgspec.Raw = NULL
    time: str | None = None


class _Book(msgspec.Struct):
    """A book of level 2: levels are [price, size, number of orders]."""

    bids: list[list[msgspec.Raw]]
    asks: list[list[msgspec.Raw]]
    sequence: msgspec.Raw = NULL
    time: str | None = None


class _Product(msgspec.Struct):
    """A product; what is gone from newer answers is unknown."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    base_currency: str | None = None
    quote_currency: str | None = None
    display_name: str | None = None
    status: str | None = None
    quote_increment: msgspec.Raw = NULL
    base_increment: msgspec.Raw = NULL
    base_min_size: msgspec.Raw = NULL
    min_market_funds: msgspec.Raw = NULL


class _Currency(msgspec.Struct):
    """A currency, fiat or crypto."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    name: str | None = None
    status: str | None = None
    max_precision: msgspec.Raw = NULL


_NUMBERED_DECODER = msgspec.json.Decoder(_Numbered)
_TRADE_DECODER = msgspec.json.Decoder(_Trade)
_PRODUCT_DECODER = msgspec.json.Decoder(_Product)
_CURRENCY_DECODER = msgspec.json.Decoder(_Currency)
_CANDLE_DECODER = msgspec.json.Decoder(
    tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw]
)


class Coinbase(Venue):
    """One instance of Coinbase Exchange's REST API, market data only: without a key."""

    keeps = frozenset({TRADES.name, CANDLES.name})
    trade_numbering = TradeNumbering.GAPLESS
    symbol_form = _PRODUCT_ID
    symbol_example = "BASE-QUOTE in capitals: BTC-USD,ETH-USD"

    def unify(self, venue_symbol: str) -> str | None:
        """BTC-USD is BTC/USD: Coinbase's ids are BASE-QUOTE. None for anything of another form."""
        found = _PRODUCT_ID.fullmatch(venue_symbol)
        return None if found is None else join_symbol(*map(self.currencies.get, found.groups()))

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """Trades above the cursor, which is the highest trade_id read."""
        product_id = subject.venue_symbol
        if position is None:
            first = self._fetch_trades(product_id, limit=self.page_trades_max, may_be_empty=True)
            check_highest(first, source=self.name)
            return read_numbered([first], cursor=None, venue_symbol=product_id)
        cursor, _ = self._read_position(position, product_id)
        newest = self._fetch_trades(product_id, limit=NEWEST_TRADES)
        check_newest(newest, cursor=cursor, source=self.name, subject=product_id)
        if has_all(newest, cursor=cursor):
            return read_numbered([newest], cursor=cursor, venue_symbol=product_id)
        step = partial(self._step, product_id, newest.highest)
        steps = walk_forward(step, position, pages_max=pages_max - 1)
        read = read_numbered([step.page for step in steps], cursor=cursor, venue_symbol=product_id)
        return replace(read, position=steps[-1].position)

    def _step(self, product_id: str, highest: int, position: str) -> Step:
        """A stretch of numbers behind a position, up to the highest that there is."""
        cursor, asked = self._read_position(position, product_id)
        end = min(asked + self.page_trades_max, highest)
        page = self._fetch_between(product_id, asked, end)
        reached = max([cursor, *page.known_ids])
        is_last = end == highest
        if is_last and reached <= asked:
            what = f"trade {highest} of its newest page is not where it belongs"
            raise refuse_page(page, what, source=self.name)
        # numbers that no trade has are not asked for again, but only a trade is a gap's border
        position = str(reached) if reached > asked else f"{cursor}:{end}"
        return Step(page=page, position=position, is_last=is_last)

    def _fetch_between(
        self, product_id: str, after: int, end: int, *, may_be_empty: bool = False
    ) -> TradesPage:
        """All trades with numbers above `after` up to `end`, at most a page; and some below.

        Raises:
            SourceMalformedError: It holds others, or not all of them.
        """
        page = self._fetch_trades(
            product_id, limit=self.page_trades_max, after=end + 1, may_be_empty=may_be_empty
        )
        if not page.known_ids:
            return page
        if page.highest > end:
            what = f"asked for what is before trade {end + 1}, it begins at {page.highest}"
            raise refuse_page(page, what, source=self.name)
        if page.lowest > after + 1:
            older = self._fetch_trades(product_id, limit=1, after=page.lowest, may_be_empty=True)
            if older.known_ids and older.highest > after:
                what = (
                    f"asked for {self.page_trades_max} trades before {end + 1}, it ends at "
                    f"{page.lowest} though there is {older.highest}: pages shorter than asked"
                )
                raise refuse_page(page, what, source=self.name)
        return page

    def read_trades_after(self, subject: Subject, *, position: str) -> TradesRead:
        """The thousand numbers behind the position, whichever of them there are."""
        product_id = subject.venue_symbol
        cursor = self.read_cursor(position, venue_symbol=product_id) or 0
        end = cursor + self.page_trades_max
        page = self._fetch_between(product_id, cursor, end, may_be_empty=True)
        read = read_numbered([page], cursor=cursor, venue_symbol=product_id)
        if any(trade_id > cursor for trade_id in page.known_ids):
            return replace(read, reaches_end=False)
        newest = self._fetch_trades(product_id, limit=1)
        return replace(read, position=str(end), reaches_end=newest.highest <= end)

    def find_trades_from(
        self, subject: Subject, *, start_us: int, searched: str | None
    ) -> TradesSearch | None:
        """Search the numbers for the time: about 30 requests for a billion trades."""
        product_id = subject.venue_symbol
        if searched is None:
            newest = self._fetch_trades(product_id, limit=1, may_be_empty=True)
            if not newest.known_ids:
                return None
            below, above = 0, newest.highest + 1
        else:
            below, above = self._read_position(searched, product_id)
        while above - below > 1:
            middle = (below + above) // 2
            try:
                page = self._fetch_trades(product_id, limit=1, after=middle + 1, may_be_empty=True)
            except SourceUnavailableError:
                position = f"{below}:{above}"
                if position == searched:
                    raise
                return TradesSearch(position=position, is_over=False)
            times = self.read_trade_times(page.ids, subject)
            if times and max(times) >= start_us:
                above = middle
            else:
                below = middle
        return TradesSearch(position=str(max(below - STEP_BACK_TRADES, 0)), is_over=True)

    def count_search_calls(self, position: str | None) -> int:
        """The newest number, and one for each halving of those below it."""
        return 1 + (0 if position is None else int(position).bit_length())

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One trade; Coinbase prints the maker's side, `taker_side` is its opposite."""
        trade = decode_item(_TRADE_DECODER, item)
        return build_trade(
            subject,
            trade_id=str(trade.trade_id),
            price=trade.price,
            quantity=trade.size,
            taker_side=_find_taker_side(trade.side),
            moment=read_moment(trade.time, "time"),
        )

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The whole book, one level a price; there is no way to ask for fewer levels."""
        answer = self.http.get(f"/products/{subject.venue_symbol}/book", params={"level": 2})
        book = decode_frame(answer.body, _Book, source=self.name, url=answer.url)
        return OrderBookPage(
            item=answer.body,
            build=lambda: build_order_book(
                subject,
                depth=self.depth,
                bids=book.bids,
                asks=book.asks,
                sequence=read_text(book.sequence),
                moment=None if book.time is None else read_moment(book.time, "time"),
            ),
        )

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """Candles newest first; `start` and `end` are open times, both inclusive."""
        answer = self.http.get(
            f"/products/{subject.venue_symbol}/candles",
            params={
                "granularity": interval.length_us // 1_000_000,
                "start": _print_time(begin_us),
                "end": _print_time(end_us - interval.length_us),
            },
        )
        return CandlesPage(items=list_items(answer.body, source=self.name, url=answer.url))

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle: [time, low, high, open, close, volume]."""
        time, low, high, opening, close, volume = decode_item(_CANDLE_DECODER, item)
        return build_candle(
            subject,
            interval,
            open_time_us=read_epoch(time, "time", unit="s").time_us,
            prices=(opening, high, low, close),
            base_volume=volume,
        )

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """All products and all currencies: two requests."""
        _ = symbols
        codes = self.currencies
        products = partial(_parse_product, source=self.name, codes=codes, ts_ingest=ts_ingest)
        currencies = partial(_parse_currency, source=self.name, codes=codes, ts_ingest=ts_ingest)
        return unite(
            (
                self._read_list("/products", products, ts_ingest),
                self._read_list("/currencies", currencies, ts_ingest),
            )
        )

    def _read_list(self, path: str, parse: Callable[[bytes], Instrument], ts_ingest: int) -> Poll:
        answer = self.http.get(path)
        items = list_items(answer.body, source=self.name, url=answer.url)
        if not items:
            what = "an empty list where there is always something"
            raise build_malformed(what, source=self.name, url=answer.url, body=answer.body)
        return read_items(items, parse, source=self.name, feed=INSTRUMENTS, ts_ingest=ts_ingest)

    def _fetch_trades(
        self, product_id: str, *, limit: int, after: int | None = None, may_be_empty: bool = False
    ) -> TradesPage:
        params = {"limit": limit} if after is None else {"limit": limit, "after": after}
        answer = self.http.get(f"/products/{product_id}/trades", params=params)
        return self.cut_trades(answer, may_be_empty=may_be_empty)

    def cut_trades(self, answer: Answer, *, may_be_empty: bool = False) -> TradesPage:
        """The trades of an answer, unread but for their numbers; see number_trades."""
        return number_trades(
            list_items(answer.body, source=self.name, url=answer.url),
            _read_id,
            source=self.name,
            answer=answer,
            may_be_empty=may_be_empty,
        )

    def _read_position(self, position: str, product_id: str) -> tuple[int, int]:
        """Two numbers, the second of which is the first where it is not given."""
        found = _POSITION.fullmatch(position)
        if found is None:
            raise self.refuse_position(position, venue_symbol=product_id)
        return int(found[1]), int(found[2] or found[1])


def _read_id(item: bytes) -> int | None:
    try:
        return decode_item(_NUMBERED_DECODER, item).trade_id
    except RecordRejectedError:
        return None


def _find_taker_side(maker_side: Side | None) -> Side | None:
    if maker_side is None:
        return None
    return Side.SELL if maker_side is Side.BUY else Side.BUY


def _parse_product(
    item: bytes, *, source: str, codes: Mapping[str, str], ts_ingest: int
) -> Instrument:
    product = decode_item(_PRODUCT_DECODER, item)
    base, quote = product.base_currency, product.quote_currency
    base_currency = None if base is None else codes.get(base)
    quote_currency = None if quote is None else codes.get(quote)
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.INSTRUMENT,
            native_id=product.id,
            symbol=join_symbol(base_currency, quote_currency),
            name=product.display_name,
            base_id=base,
            quote_id=quote,
            base_currency=base_currency,
            quote_currency=quote_currency,
            status=product.status,
            price_step=read_amount(product.quote_increment, "quote_increment"),
            quantity_step=read_amount(product.base_increment, "base_increment"),
            quantity_min=read_amount(product.base_min_size, "base_min_size"),
            notional_min=read_amount(product.min_market_funds, "min_market_funds"),
            trade_numbering=TradeNumbering.GAPLESS,
            ts_ingest=ts_ingest,
        )
    )


def _parse_currency(
    item: bytes, *, source: str, codes: Mapping[str, str], ts_ingest: int
) -> Instrument:
    currency = decode_item(_CURRENCY_DECODER, item)
    return seal_instrument(
        Instrument(
            source=source,
            kind=ListedKind.CURRENCY,
            native_id=currency.id,
            symbol=codes.get(currency.id),
            name=currency.name,
            status=currency.status,
            quantity_step=read_amount(currency.max_precision, "max_precision"),
            ts_ingest=ts_ingest,
        )
    )


def _print_time(time_us: int) -> str:
    return from_time_us(time_us).strftime("%Y-%m-%dT%H:%M:%SZ")

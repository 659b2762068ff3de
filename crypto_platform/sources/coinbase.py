"""Coinbase Exchange REST API: public trades of products. The simulated market speaks it too.

Here: the path, the pages, the field names, how far back a poll pages. A page is newest first; what
comes before it is asked for by `after` = the lowest trade_id of the page (which is also what its
header CB-AFTER says). Trade ids of a product rise by one a trade, so between two ids lie at most as
many trades as numbers: that is what makes a bounded walk complete.

Source: Coinbase Exchange REST API, "Get product trades" and "Pagination".
"""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

import msgspec

from crypto_platform.errors import (
    ConfigurationError,
    Reason,
    RecordRejectedError,
    SourceMalformedError,
)
from crypto_platform.feeds import Record
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.feeds.trades import TRADES, Side, Trade, seal_trade
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import Budget
from crypto_platform.sources.http import HttpClient
from crypto_platform.sources.pages import (
    NULL,
    build_malformed,
    decode_item,
    decode_page,
    keep_finer_time,
    read_amount,
    read_items,
    read_time,
)

PAGE_TRADES_MAX = 1000
NEWEST_TRADES = 100
"""Of the first page of a poll that knows its cursor: at a pace of seconds few trades are new."""

PRODUCT_PAGES_MAX = 10
"""Of one product in one poll. Further behind than they reach, the oldest part is read first."""
POLL_PAGES_MAX = 50
"""Of all products in one poll: 50,000 trades are what one Kafka transaction is asked to hold."""
PRODUCT_PAGES_MIN = 2
"""The newest page, and one that reaches back to the cursor."""

_PRODUCT_ID = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+)")

_TradeId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]

T = TypeVar("T")


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


_NUMBERED_DECODER = msgspec.json.Decoder(_Numbered)
_TRADE_DECODER = msgspec.json.Decoder(_Trade)


@dataclass(frozen=True, kw_only=True)
class TradesPage:
    """One page, its trades unread but for their ids.

    Attributes:
        ids: Trade as it came -> its trade_id; None where it has none and can only be rejected.
        lowest, highest: Of the ids.
        url: Where it came from, for errors.
    """

    ids: Mapping[bytes, int | None]
    lowest: int
    highest: int
    url: str


IDS_A_TRADE_MAX = 10
"""Ids of a product rise by one a trade; a page that uses so many times more holds a stray one."""


def cut_trades(body: bytes, *, source: str, url: str) -> TradesPage:
    """Cut a page into its trades.

    Args:
        body: JSON list, newest first, at most 1000 of {"trade_id": int, "side": "buy" | "sell",
            "size": str, "price": str, "time": RFC 3339}.
        source: Name in the settings, for errors.
        url: Where it came from, for errors.

    Raises:
        SourceMalformedError: Not such a list; nothing on it has a trade_id (an empty list says as
            little about what was traded); or their ids lie much too far apart.
    """
    _, items = decode_page(body, list[msgspec.Raw], list, source=source, url=url)
    ids = {item: _read_id(item) for item in items}
    known = [trade_id for trade_id in ids.values() if trade_id is not None]
    if not known:
        what = "no trade with a trade_id where there must be trades"
        raise build_malformed(what, source=source, url=url, body=body)
    span = max(known) - min(known) + 1
    if span > IDS_A_TRADE_MAX * len(items):
        # one stray id would move the cursor over trades that were never read
        what = f"{len(items)} trades with ids from {min(known)} to {max(known)}, which rise by one"
        raise build_malformed(what, source=source, url=url, body=body)
    return TradesPage(ids=ids, lowest=min(known), highest=max(known), url=url)


def _read_id(item: bytes) -> int | None:
    try:
        return decode_item(_NUMBERED_DECODER, item).trade_id
    except RecordRejectedError:
        return None


def parse_trades(items: Iterable[bytes], *, source: str, product_id: str, ts_ingest: int) -> Poll:
    """Turn trades as Coinbase prints them into records.

    Coinbase prints the maker's side; `taker_side` is its opposite.

    Args:
        items: Trades of one product, oldest first.
        source: Name in the settings; `venue` of the records.
        product_id: BASE-QUOTE, such as BTC-USD; the unified symbol is BASE/QUOTE.
        ts_ingest: When the poll began, microseconds.

    Returns:
        Trades in the given order, price and quantity with the venue's digits; one that cannot be a
        record (a price of NaN) is in `rejected`.
    """
    parse = partial(_parse_trade, source=source, product_id=product_id, ts_ingest=ts_ingest)
    return read_items(items, parse, source=source, feed=TRADES, ts_ingest=ts_ingest)


def _parse_trade(item: bytes, *, source: str, product_id: str, ts_ingest: int) -> Trade:
    trade = decode_item(_TRADE_DECODER, item)
    time = _require(trade.time, "time")
    return seal_trade(
        Trade(
            venue=source,
            venue_symbol=product_id,
            symbol=unify_symbol(product_id),
            trade_id=str(trade.trade_id),
            price=_require(read_amount(trade.price, "price"), "price"),
            quantity=_require(read_amount(trade.size, "size"), "size"),
            taker_side=_find_taker_side(trade.side),
            ts_event=_require(read_time(time, "time"), "time"),
            ts_event_text=keep_finer_time(time),
            ts_ingest=ts_ingest,
        )
    )


def _find_taker_side(maker_side: Side | None) -> Side | None:
    if maker_side is None:
        return None
    return Side.SELL if maker_side is Side.BUY else Side.BUY


def _require(value: T | None, name: str) -> T:
    if value is None:
        message = f"{name}: missing, and no trade is without"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    return value


def unify_symbol(product_id: str) -> str | None:
    """BTC-USD is BTC/USD: Coinbase's ids are BASE-QUOTE. None for anything of another form."""
    found = _PRODUCT_ID.fullmatch(product_id)
    return None if found is None else "/".join(found.groups())


def plan_walk(newest: TradesPage, *, cursor: int, pages_max: int) -> int:
    """Where a poll begins to page back to the cursor: the `after` of its second page.

    Usually at the end of the newest page. Where that is further from the cursor than all pages of
    a poll reach, at the highest id from which they do: the oldest trades are then published
    without a hole, and the next poll goes on behind them.
    """
    reach = cursor + 1 + (pages_max - 1) * PAGE_TRADES_MAX
    return min(newest.lowest, reach)


def find_pages_max(symbols: Sequence[str], budget: Budget, *, source: str) -> int:
    """How many pages of a product one poll may ask for: a poll must fit in the budget.

    Raises:
        ConfigurationError: There is no room for two pages of each product.
    """
    pages_max = min(POLL_PAGES_MAX, budget.requests_max) // len(symbols)
    if pages_max < PRODUCT_PAGES_MIN:
        message = (
            f"sources.{source}.symbols names {len(symbols)} products: a poll takes up to "
            f"{PRODUCT_PAGES_MIN} requests for each, and may ask {POLL_PAGES_MAX} times at most, "
            f"{budget.requests_max} times in {budget.window_s:.0f} s by its budget (70 % of "
            f"requests_per_minute_max): name fewer, spread them over two sources, or raise "
            f"requests_per_minute_max if the source allows more"
        )
        raise ConfigurationError(message)
    return min(pages_max, PRODUCT_PAGES_MAX)


class Coinbase:
    """One instance of Coinbase Exchange's REST API, market data only: without a key."""

    feeds = (TRADES.name,)

    def __init__(
        self, *, name: str, settings: SourceSettings, stop: threading.Event | None = None
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            ConfigurationError: base_url, symbols or the budget cannot work.
        """
        self.name = name
        self._products = _check_products(settings.symbols, source=name)
        self._http = HttpClient(source=name, settings=settings, stop=stop)
        self._pages_max = find_pages_max(self._products, self._http.budget, source=name)

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Read every product back to its cursor, the highest trade_id read; see Source.poll.

        Oldest first, each trade once. A product without a cursor begins with its newest page.
        """
        _ = feed
        records: list[Record] = []
        rejected: list[Rejected] = []
        reached: dict[str, str] = {}
        for product_id in self._products:
            cursor = self._find_cursor(product_id, positions)
            pages = self._fetch_back_to(cursor, product_id)
            poll = parse_trades(
                choose_new(pages, cursor=cursor),
                source=self.name,
                product_id=product_id,
                ts_ingest=ts_ingest,
            )
            records += poll.records
            rejected += poll.rejected
            reached[product_id] = str(max(page.highest for page in pages))
        return Poll(records=records, rejected=rejected, positions=reached)

    def _find_cursor(self, product_id: str, positions: Mapping[str, str]) -> int | None:
        position = positions.get(product_id)
        if position is None or position.isdecimal():
            return None if position is None else int(position)
        message = (
            f"sources.{self.name}: {product_id} was read up to {position!r}, which is no trade_id "
            f"of Coinbase: give a source that changed its dialect another name"
        )
        raise SourceMalformedError(message, source=self.name, url=_path(product_id))

    def _fetch_back_to(self, cursor: int | None, product_id: str) -> list[TradesPage]:
        """Pages that together hold every trade between the cursor and the highest of them."""
        if cursor is None:
            return [self._fetch(product_id, limit=PAGE_TRADES_MAX)]
        newest = self._fetch(product_id, limit=NEWEST_TRADES)
        if newest.highest < cursor:
            what = (
                f"its newest trade is {newest.highest}, but {cursor} was read before: an old page. "
                f"If it stays so, {product_id} is numbered anew: read it under another source "
                f"name, or its ids would collide"
            )
            raise self._refuse(newest, what)
        lowest = plan_walk(newest, cursor=cursor, pages_max=self._pages_max)
        pages = [newest] if lowest == newest.lowest else []
        for _ in range(self._pages_max - 1):
            if lowest <= cursor + 1:
                break
            page = self._fetch(product_id, limit=PAGE_TRADES_MAX, after=lowest)
            if page.lowest >= lowest:
                what = f"asked for what is before trade {lowest}, it begins at {page.lowest}"
                raise self._refuse(page, what)
            lowest = page.lowest
            pages.append(page)
        if lowest > cursor + 1:
            what = (
                f"{self._pages_max} pages of at most {PAGE_TRADES_MAX} trades reached back to "
                f"{lowest}, not to {cursor} that was read before: its pages are shorter than asked"
            )
            raise self._refuse(pages[-1], what)
        return pages

    def _fetch(self, product_id: str, *, limit: int, after: int | None = None) -> TradesPage:
        params = {"limit": limit} if after is None else {"limit": limit, "after": after}
        answer = self._http.get(_path(product_id), params=params)
        return cut_trades(answer.body, source=self.name, url=answer.url)

    def _refuse(self, page: TradesPage, what: str) -> SourceMalformedError:
        message = f"{self.name}: {page.url}: {what}"
        return SourceMalformedError(message, source=self.name, url=page.url)


def choose_new(pages: Iterable[TradesPage], *, cursor: int | None) -> list[bytes]:
    """The trades above the cursor, oldest first, each once though two pages hold it.

    Trades without an id come first: they cannot be told from new ones.
    """
    ids = {item: trade_id for page in pages for item, trade_id in page.ids.items()}
    new = (item for item, i in ids.items() if cursor is None or i is None or i > cursor)
    return sorted(new, key=lambda item: ids[item] or 0)


def _check_products(symbols: Sequence[str], *, source: str) -> tuple[str, ...]:
    wrong = [symbol for symbol in symbols if unify_symbol(symbol) is None]
    if wrong or not symbols:
        message = (
            f"sources.{source}.symbols: {', '.join(map(repr, wrong)) or 'nothing'} is no product "
            f"of Coinbase; give them as it does, BASE-QUOTE in capitals: BTC-USD,ETH-USD"
        )
        raise ConfigurationError(message)
    return tuple(dict.fromkeys(symbols))


def _path(product_id: str) -> str:
    return f"/products/{product_id}/trades"

"""One venue as ccxt reads it, made exact and polite: its parsers, our HTTP client.

Here: what is kept from ccxt (its own requests, its floats, its silence about a bad item), and its
errors as ours. Not here: what an answer was before ccxt read it (ccxt_answers.py), records
(ccxt.py). Importing ccxt takes seconds, so it is imported where a venue is first asked.

What ccxt would do by itself:
    - ask with a session of its own, wait and repeat: every request goes through HttpClient, so
      budget, time limits, sizes and repeats are those of the other dialects;
    - read JSON numbers as floats, levels of a book too: numbers stay text;
    - sort a book's levels by what was a float and is text now, filter and cut lists: whoever uses
      the lists sorts them;
    - cut times to milliseconds: ccxt_readings.py looks for the venue's own text.
Only spot markets: quantities of others are contracts, not units of base.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from crypto_platform.errors import (
    ConfigurationError,
    PlatformError,
    SourceError,
    SourceMalformedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from crypto_platform.sources.ccxt_answers import (
    Item,
    as_item,
    cut_list,
    decode_exactly,
    has_list,
    print_info,
)
from crypto_platform.sources.http import Answer, HttpClient
from crypto_platform.sources.pages import build_malformed

Market = Mapping[str, Any]
"""ccxt's "market structure"."""

_PARSER_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What ccxt's parsers raise of a shape they do not know."""


@dataclass(frozen=True, kw_only=True)
class BookAnswer:
    """ccxt's "order book structure", and what the venue said."""

    book: Mapping[str, Any]
    document: Any
    answer: Answer


def check_ccxt_id(ccxt_id: str | None, *, source: str) -> str:
    """The venue's id, if ccxt is installed and knows it; imports nothing.

    Raises:
        ConfigurationError: Says what to set or to install.
    """
    found = importlib.util.find_spec("ccxt")
    if found is None or not found.submodule_search_locations:
        message = (
            f"sources.{source} speaks ccxt, which is not installed: "
            f"pip install 'crypto-platform[ccxt]'"
        )
        raise ConfigurationError(message)
    folder = Path(found.submodule_search_locations[0])
    if not ccxt_id or not ccxt_id.isidentifier() or not (folder / f"{ccxt_id}.py").is_file():
        message = (
            f"sources.{source}.ccxt_id is {ccxt_id!r}, which ccxt does not know; give a venue's "
            f"id as ccxt does: poloniex, bitvavo, okx"
        )
        raise ConfigurationError(message)
    return ccxt_id


class ExactExchange:
    """Asks one venue for one feed; one thread uses it, for it remembers its last answer."""

    def __init__(self, ccxt_id: str, *, source: str, http: HttpClient, base_url: str) -> None:
        """Import ccxt and prepare; nothing is sent."""
        self._source = source
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._ccxt: Any = importlib.import_module("ccxt")
        self._answer = Answer(body=b"", url=self._base_url)
        self._document: Any = None
        self._exchange: Any = getattr(self._ccxt, ccxt_id)({"enableRateLimit": False})
        self._make_exact(self._exchange)

    def _make_exact(self, exchange: Any) -> None:
        exchange.number = str
        exchange.fetch = self._fetch
        base: Any = self._ccxt.Exchange
        own: Any = exchange.__class__
        # a class with its own reads a list in columns, or the like
        if own.parse_trades is base.parse_trades:
            exchange.parse_trades = self._parse_trades
        if own.parse_ohlcvs is base.parse_ohlcvs:
            exchange.parse_ohlcvs = self._parse_candles
        exchange.parse_order_book_bid_ask = _read_level
        exchange.urls["api"] = move_urls(exchange.urls["api"], base_url=self._base_url)
        # currencies take requests, often a key, and say nothing that a record holds
        exchange.has["fetchCurrencies"] = False
        wanted = exchange.options.get("fetchMarkets")
        if isinstance(wanted, dict) and "types" in wanted:
            wanted["types"] = ["spot"]

    def load_markets(self) -> list[Market]:
        """Ask what the venue lists.

        Raises:
            SourceError: As Source.poll.
        """
        markets = self._call(lambda exchange: exchange.load_markets(reload=True))
        if not markets:
            fault = "it lists no market"
            raise self._malformed(fault)
        return list(markets.values())

    def take_markets(self, markets: Sequence[Market]) -> None:
        """Use what was loaded before, instead of asking."""
        self._exchange.set_markets(list(markets))

    def find_market(self, venue_symbol: str) -> Market:
        """The spot market of a venue's own symbol.

        Raises:
            SourceRefusedError: The venue lists none.
        """
        found = self._exchange.markets_by_id.get(venue_symbol, ())
        for market in found:
            if market["spot"]:
                return market
        what = (
            f"{self._exchange.id} lists no spot market {venue_symbol!r}: look at "
            f"sources.{self._source}.symbols, which are the venue's own ids"
        )
        raise self._refused(what)

    def fetch_trades(self, market: Market) -> list[Item]:
        """The newest trades, as many as the venue gives unasked, in its order."""
        return self._list(lambda exchange: exchange.fetch_trades(market["symbol"]))

    def fetch_candles(self, market: Market, interval: str) -> list[Item]:
        """The newest candles, as many as the venue gives unasked, in its order.

        Raises:
            SourceRefusedError: The venue has no candles of this length.
        """
        if interval not in (self._exchange.timeframes or {}):
            known = ", ".join(self._exchange.timeframes or ()) or "none"
            what = (
                f"{self._exchange.id} has no candles of {interval}, it has {known}: look at "
                f"sources.{self._source}.intervals"
            )
            raise self._refused(what)
        return self._list(lambda exchange: exchange.fetch_ohlcv(market["symbol"], interval))

    def _list(self, ask: Callable[[Any], Any]) -> list[Item]:
        items = self._call(ask)
        if not items and not has_list(self._document):
            # of some venues ccxt makes nothing of an error object
            fault = "neither items nor an empty list of them"
            raise self._malformed(fault)
        return [as_item(item) for item in items]

    def fetch_order_book(self, market: Market, *, depth: int) -> BookAnswer:
        """The book, with at least `depth` levels a side where the venue lets itself be asked.

        Raises:
            SourceMalformedError: Nothing in it: what ccxt makes of an answer that is no book.
        """
        book = self._call(lambda exchange: exchange.fetch_order_book(market["symbol"], depth))
        if not any(book.get(name) for name in ("bids", "asks", "timestamp", "nonce")):
            fault = "neither levels nor a time"
            raise self._malformed(fault)
        return BookAnswer(book=book, document=self._document, answer=self._answer)

    @property
    def precision_mode(self) -> int:
        """What the precision of its markets means, one of ccxt's constants."""
        return int(self._exchange.precisionMode)

    @property
    def answer(self) -> Answer:
        """The last one, for errors."""
        return self._answer

    def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """Stands in for ccxt's own request."""
        if method != "GET" or body or not url.startswith(self._base_url):
            what = (
                f"ccxt asks {self._exchange.id} by {method} at {urlsplit(url).hostname}; this "
                f"dialect asks by GET at sources.{self._source}.base_url alone"
            )
            raise self._refused(what)
        parts = urlsplit(url.removeprefix(self._base_url))
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._answer = self._http.get(parts.path, params=params, headers=headers)
        try:
            document = decode_exactly(self._answer.body)
        except (ValueError, RecursionError) as error:
            raise self._malformed(str(error)) from error
        self._document = document
        text = self._answer.body.decode("utf-8", "backslashreplace")
        # what comes with a status of 200 and is an error all the same
        self._exchange.handle_errors(
            200, "OK", url, method, {}, text, document, headers or {}, body
        )
        return document

    def _call(self, ask: Callable[[Any], Any]) -> Any:
        errors = self._ccxt
        try:
            return ask(self._exchange)
        except PlatformError:
            raise
        except errors.OperationFailed as error:
            raise SourceUnavailableError(
                self._describe(error), source=self._source, url=self._answer.url
            ) from error
        except (
            errors.AuthenticationError,
            errors.BadRequest,
            errors.NotSupported,
            errors.ArgumentsRequired,
        ) as error:
            raise self._refused(self._describe(error)) from error
        except (errors.BaseError, *_PARSER_FAULTS) as error:
            raise self._malformed(self._describe(error)) from error

    def _describe(self, error: Exception) -> str:
        return f"{type(error).__name__}: {error}"[:500]

    def _refused(self, what: str) -> SourceError:
        message = f"{self._source}: {what}"
        return SourceRefusedError(message, source=self._source, url=self._answer.url)

    def _malformed(self, fault: str) -> SourceMalformedError:
        what = f"not what ccxt expects of it: {fault}"
        answer = self._answer
        return build_malformed(what, source=self._source, url=answer.url, body=answer.body)

    def _parse_trades(self, trades: Any, market: Any = None, *_: Any, **__: Any) -> list[Item]:
        """Stands in for ccxt's, which gives up a page for one bad trade, sorts and filters."""
        return self._parse_each(trades, lambda item: self._exchange.parse_trade(item, market))

    def _parse_candles(self, candles: Any, market: Any = None, *_: Any, **__: Any) -> list[Item]:
        """Stands in for ccxt's, as above."""
        return self._parse_each(candles, lambda item: self._exchange.parse_ohlcv(item, market))

    def _parse_each(self, items: Any, parse: Callable[[Any], Any]) -> list[Item]:
        if not isinstance(items, list):
            # ccxt would take the values of an error object for items
            message = f"a list of items, not {type(items).__name__}"
            raise TypeError(message)
        values = cast("list[Any]", items)
        raws = cut_list(self._answer.body, self._document, values)
        if len(raws) != len(values):
            raws = [print_info(value) for value in values]
        return [
            self._parse_item(raw, value, parse) for raw, value in zip(raws, values, strict=True)
        ]

    def _parse_item(self, raw: bytes, value: Any, parse: Callable[[Any], Any]) -> Item:
        # ccxt adds to the value: to Kraken's last trade what the page says of its end
        info = decode_exactly(raw)
        try:
            return Item(raw=raw, info=info, parsed=parse(value))
        except (self._ccxt.BaseError, *_PARSER_FAULTS) as error:
            return Item(raw=raw, info=info, parsed=None, error=self._describe(error))


def move_urls(urls: Any, *, base_url: str) -> Any:
    """The addresses that ccxt knows, each with its path but at the configured host."""
    if isinstance(urls, dict):
        known = cast("dict[str, Any]", urls)
        return {name: move_urls(url, base_url=base_url) for name, url in known.items()}
    # a place holder for the host ({hostname}) goes with it
    return base_url + urlsplit(str(urls)).path.rstrip("/")


def _read_level(
    level: Any, price_key: Any = 0, amount_key: Any = 1, _count_key: Any = 2
) -> list[str]:
    """Stands in for ccxt's, which reads floats."""
    return [str(level[price_key]), str(level[amount_key])]

"""What a venue's dialect is: what it says of itself, and the methods it fills in.

Here: those, what settings it can work with, its symbols unified. Not here: how a poll uses them
(venue_polls.py), the past (venue.py), a venue (one file each beside this one).
"""

import re
import threading
from collections.abc import Iterable
from typing import ClassVar

from crypto_platform.domain.currencies import map_currencies
from crypto_platform.errors import SourceMalformedError, SourceRefusedError
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.instruments import INSTRUMENTS, Instrument, ListedKind, TradeNumbering
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.settings import SourceSettings
from crypto_platform.sources.base import Poll
from crypto_platform.sources.budget import LIVE_SHARE, Budget
from crypto_platform.sources.candle_pages import CandlesPage
from crypto_platform.sources.http import HttpClient
from crypto_platform.sources.readings import OrderBookPage, Subject
from crypto_platform.sources.trade_pages import TradesRead, TradesSearch
from crypto_platform.sources.venue_settings import (
    check_symbols,
    choose_feeds,
    choose_intervals,
    find_pages_max,
)


class VenueDialect:
    """One instance of a venue's API; the attributes are what its dialect says of itself.

    Attributes:
        gives: Feeds it has, those of the settings among them are asked for.
        keeps: Feeds whose past can be asked for.
        trade_numbering: What its trade ids tell.
        intervals: Lengths of its candles.
        page_trades_max, page_candles_max: On one page.
        symbol_form: Of its own symbols.
        symbol_example: Two of them, for errors.
    """

    gives: ClassVar[tuple[str, ...]] = (
        TRADES.name,
        ORDER_BOOKS.name,
        CANDLES.name,
        INSTRUMENTS.name,
    )
    keeps: ClassVar[frozenset[str]] = frozenset()
    trade_numbering: ClassVar[TradeNumbering] = TradeNumbering.RISING
    intervals: ClassVar[frozenset[Interval]] = frozenset(Interval)
    page_trades_max: ClassVar[int] = 1000
    page_candles_max: ClassVar[int] = 300
    symbol_form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9._/-]+")
    symbol_example: ClassVar[str] = "BTC-USD,ETH-USD"

    def __init__(
        self,
        *,
        name: str,
        settings: SourceSettings,
        stop: threading.Event | None = None,
        share: float = LIVE_SHARE,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            share: Of the venue's allowance, see budget.py.

        Raises:
            ConfigurationError: base_url, feeds, symbols, intervals or the budget cannot work.
        """
        self.name = name
        self.feeds = choose_feeds(self.gives, settings.feeds, source=name)
        self.depth = settings.depth
        self.http = HttpClient(source=name, settings=settings, stop=stop, share=share)
        self.symbols = check_symbols(
            settings.symbols, form=self.symbol_form, example=self.symbol_example, source=name
        )
        self.currencies = map_currencies(settings.dialect, settings.currencies)
        self.candle_intervals = choose_intervals(settings.intervals, self.intervals, source=name)
        self.pages_max = find_pages_max(
            len(self.symbols),
            self.feeds,
            len(self.candle_intervals),
            Budget(settings.requests_per_minute_max),
            source=name,
        )
        self.first_places: dict[str, int] = {}
        """By feed, which of its symbols the next poll begins with."""
        self._unified: dict[str, str | None] = {}
        self._unifying = threading.Lock()

    def unify(self, venue_symbol: str) -> str | None:
        """BASE/QUOTE by ccxt's grammar; None where unmapped, never guessed.

        This one looks into the venue's list, asked for once: where a symbol does not say by its
        form where its base ends (BTCUSDT), nothing else can tell.

        Raises:
            SourceRefusedError: The venue does not list it.
            SourceError: As `poll`: the list was not given.
        """
        with self._unifying:
            if venue_symbol not in self._unified:
                self._learn(venue_symbol)
            return self._unified[venue_symbol]

    def _learn(self, venue_symbol: str) -> None:
        symbols = [venue_symbol]
        if not self._unified:
            # one question for all of them, where a venue answers it
            symbols = list(dict.fromkeys((*self.symbols, venue_symbol)))
        try:
            listed = self.read_instruments(symbols=symbols, ts_ingest=0)
        except SourceRefusedError:
            if len(symbols) == 1:
                raise
            # it refuses the whole question for one symbol that it does not list
            listed = self.read_instruments(symbols=[venue_symbol], ts_ingest=0)
        self._unified |= {
            instrument.native_id: instrument.symbol
            for instrument in listed.records
            if isinstance(instrument, Instrument) and instrument.kind is ListedKind.INSTRUMENT
        }
        if venue_symbol not in self._unified:
            message = (
                f"{self.name}: its list has no {venue_symbol}; sources.{self.name}.symbols takes "
                f"the names of its list, such as {self.symbol_example}"
            )
            refused = SourceRefusedError(message, source=self.name, url="")
            raise listed.faults.get(venue_symbol) or listed.interruption or refused

    def read_trades(self, subject: Subject, *, position: str | None, pages_max: int) -> TradesRead:
        """Trades behind the position, oldest first; the newest page where there is no position."""
        raise NotImplementedError

    def read_trades_after(self, subject: Subject, *, position: str) -> TradesRead:
        """One page of the past behind the position."""
        return self.read_trades(subject, position=position, pages_max=1)

    def find_trades_from(
        self, subject: Subject, *, start_us: int, searched: str | None
    ) -> TradesSearch | None:
        """The position before the first trade at or after this time; None where there is none.

        Args:
            searched: Where an earlier search stopped, for it may take more requests than a venue
                allows at once; None at its beginning.
        """
        raise NotImplementedError

    def count_search_calls(self, position: str | None) -> int:
        """About how many requests `find_trades_from` takes, by the newest trade's position."""
        _ = position
        return 0

    def parse_trade(self, item: bytes, *, subject: Subject) -> Trade:
        """One trade as the venue prints it to a sealed record, or RecordRejectedError."""
        raise NotImplementedError

    def fetch_order_book(self, subject: Subject) -> OrderBookPage:
        """The book as the venue prints it."""
        raise NotImplementedError

    def fetch_candles(
        self, subject: Subject, *, interval: Interval, begin_us: int, end_us: int
    ) -> CandlesPage:
        """Candles that open in [begin, end), at most `page_candles_max`; more does no harm."""
        raise NotImplementedError

    def parse_candle(self, item: bytes, *, subject: Subject, interval: Interval) -> Candle:
        """One candle as the venue prints it to a sealed record, or RecordRejectedError."""
        raise NotImplementedError

    def read_instruments(self, *, symbols: Iterable[str] | None, ts_ingest: int) -> Poll:
        """What the venue lists; only these symbols, if it can be asked so, where they are given."""
        raise NotImplementedError

    def read_cursor(self, position: str | None, *, venue_symbol: str) -> int | None:
        """A position that is the highest trade id read.

        Raises:
            SourceMalformedError: It is no number.
        """
        if position is None or position.isdecimal():
            return None if position is None else int(position)
        raise self.refuse_position(position, venue_symbol=venue_symbol)

    def refuse_position(self, position: str, *, venue_symbol: str) -> SourceMalformedError:
        """The error of a position that this dialect did not write."""
        message = (
            f"sources.{self.name}: {venue_symbol} was read up to {position!r}, which is no "
            f"position of this dialect: give a source that changed its dialect another name"
        )
        return SourceMalformedError(message, source=self.name, url="")

    def build_subject(self, venue_symbol: str, ts_ingest: int) -> Subject:
        """What the answers about a symbol are about.

        Raises:
            SourceError: Its unified name has to be asked for, and was not given.
        """
        return Subject(
            venue=self.name,
            venue_symbol=venue_symbol,
            symbol=self.unify(venue_symbol),
            ts_ingest=ts_ingest,
        )

"""A venue: a source that trades, with its past. The class that a venue's dialect is made of.

Here: pages of the past. Not here: polls (venue_polls.py), what a dialect fills in
(venue_dialect.py).
"""

from crypto_platform.feeds.candles import CANDLES, Interval
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.sources.base import HistoryPage
from crypto_platform.sources.candle_pages import find_closed, plan_windows
from crypto_platform.sources.readings import Subject
from crypto_platform.sources.venue_polls import VenuePolls

SEARCHED = "searched "
"""Before the position of a page that only goes on searching where the trades begin."""


class Venue(VenuePolls):
    """One instance of a venue's API, market data only; see HistorySource for what is public."""

    @property
    def calls(self) -> int:
        """Requests sent since it was made."""
        return self.http.budget.taken_requests

    def has_history(self, feed: str) -> bool:
        """Whether the venue gives the past of this feed."""
        return feed in self.keeps

    def estimate_history_calls(
        self, feed: str, *, venue_symbol: str, interval: Interval | None, start_us: int, end_us: int
    ) -> int:
        """About how many requests a range takes; see HistorySource."""
        if feed == CANDLES.name and interval is not None:
            return len(self._list_windows(interval, start_us, end_us))
        subject = self.build_subject(venue_symbol, end_us)
        read = self.read_trades(subject, position=None, pages_max=1)
        times = self.read_trade_times(read.items, subject)
        if not times:
            return 1
        span_us = max(max(times) - min(times), 1)
        trades = (end_us - start_us) * len(times) // span_us
        return self.count_search_calls(read.position) + 1 + trades // self.page_trades_max

    def read_history(
        self,
        feed: str,
        *,
        venue_symbol: str,
        interval: Interval | None,
        start_us: int,
        end_us: int,
        position: str | None,
        ts_ingest: int,
    ) -> HistoryPage:
        """Read one page of the past; see HistorySource."""
        subject = self.build_subject(venue_symbol, ts_ingest)
        if feed == TRADES.name:
            return self._read_past_trades(subject, start_us, end_us, position)
        if interval is None:
            message = "candles have an interval"
            raise ValueError(message)
        return self._read_past_candles(subject, interval, start_us, end_us, position)

    def _read_past_trades(
        self, subject: Subject, start_us: int, end_us: int, position: str | None
    ) -> HistoryPage:
        """One page of trades; the last one is the first with no trade from before the end.

        Trades do not come strictly by time: a page is cut by it, and ends nothing by itself.
        """
        begin = position or SEARCHED
        if begin.startswith(SEARCHED):
            searched = begin.removeprefix(SEARCHED) or None
            search = self.find_trades_from(subject, start_us=start_us, searched=searched)
            if search is None:
                return HistoryPage(records=())
            if not search.is_over:
                return HistoryPage(records=(), position=SEARCHED + search.position)
            begin = search.position
        read = self.read_trades_after(subject, position=begin)
        poll = self.read_trade_items(read, subject)
        trades = [record for record in poll.records if isinstance(record, Trade)]
        is_behind = bool(trades) and min(trade.ts_event for trade in trades) >= end_us
        ends = is_behind or read.reaches_end or read.position == begin
        return HistoryPage(
            records=[trade for trade in trades if start_us <= trade.ts_event < end_us],
            rejected=poll.rejected,
            position=None if ends else read.position,
        )

    def _read_past_candles(
        self, subject: Subject, interval: Interval, start_us: int, end_us: int, position: str | None
    ) -> HistoryPage:
        closed_us = find_closed(subject.ts_ingest, interval)
        begin_us = start_us if position is None else int(position)
        windows = self._list_windows(interval, begin_us, min(end_us, closed_us))
        if not windows:
            return HistoryPage(records=())
        [(begin_us, page_end_us), *later] = windows
        page = self.fetch_candles(subject, interval=interval, begin_us=begin_us, end_us=page_end_us)
        poll, candles = self.read_candle_page(
            page, subject=subject, interval=interval, begin_us=begin_us, end_us=page_end_us
        )
        return HistoryPage(
            records=candles, rejected=poll.rejected, position=str(page_end_us) if later else None
        )

    def _list_windows(
        self, interval: Interval, start_us: int, end_us: int
    ) -> list[tuple[int, int]]:
        """Windows of open times at or after the start, which need not be one itself."""
        first_us = -(-start_us // interval.length_us) * interval.length_us
        return plan_windows(
            first_us, end_us, interval=interval, page_candles_max=self.page_candles_max
        )

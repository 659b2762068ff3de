"""One poll of a venue's feed: every symbol, what is new of it, and how far it is read then.

Here: what of a feed is asked for, cursors, what was published before. Not here: one symbol after
another (rounds.py), what a dialect fills in (venue_dialect.py), pages of trades (trade_pages.py)
and of candles (candle_pages.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from crypto_platform.errors import SourceError
from crypto_platform.feeds import Record
from crypto_platform.feeds.candles import CANDLES, Candle, Interval
from crypto_platform.feeds.instruments import INSTRUMENTS, Instrument
from crypto_platform.feeds.order_books import ORDER_BOOKS
from crypto_platform.feeds.rejected import Rejected
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.sources.base import Gap, Poll
from crypto_platform.sources.candle_pages import (
    CandleCursor,
    CandlesPage,
    Stretch,
    advance_cursor,
    break_off,
    choose_between,
    choose_changed,
    decode_cursor,
    encode_cursor,
    find_closed,
    find_unsaid,
    jump,
    plan_poll,
)
from crypto_platform.sources.pages import read_items
from crypto_platform.sources.readings import Subject
from crypto_platform.sources.rounds import ask_each
from crypto_platform.sources.trade_pages import TradesRead
from crypto_platform.sources.venue_dialect import VenueDialect


class VenuePolls(VenueDialect):
    """A dialect that can be polled."""

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Ask once for everything of a feed; see Source.poll."""
        if feed == INSTRUMENTS.name:
            return choose_revisions(
                self.read_instruments(symbols=None, ts_ingest=ts_ingest), positions
            )
        streams = self._list_streams(feed)

        def ask(name: str) -> Poll:
            venue_symbol, interval = streams[name]
            subject = self.build_subject(venue_symbol, ts_ingest)
            if interval is not None:
                return self._poll_candles(subject, interval, name, positions.get(name))
            if feed == ORDER_BOOKS.name:
                return self._poll_order_book(subject)
            return self._poll_trades(subject, positions.get(name))

        found = ask_each(list(streams), ask, first_place=self.first_places.get(feed, 0))
        self.first_places[feed] = found.next_place
        found.check()
        return replace(unite(found.answers), faults=found.faults, interruption=found.interruption)

    def _list_streams(self, feed: str) -> dict[str, tuple[str, Interval | None]]:
        """What of a feed is read by itself, by the name of its position."""
        if feed != CANDLES.name:
            return {venue_symbol: (venue_symbol, None) for venue_symbol in self.symbols}
        return {
            f"{venue_symbol}:{interval}": (venue_symbol, interval)
            for venue_symbol in self.symbols
            for interval in self.candle_intervals
        }

    def read_trade_items(self, read: TradesRead, subject: Subject) -> Poll:
        """The trades as records, in their order."""
        parse = partial(self.parse_trade, subject=subject)
        return read_items(
            read.items, parse, source=self.name, feed=TRADES, ts_ingest=subject.ts_ingest
        )

    def read_trade_times(self, items: Iterable[bytes], subject: Subject) -> list[int]:
        """Event times of those that are trades, in their order."""
        read = TradesRead(items=list(items), position=None)
        trades = self.read_trade_items(read, subject).records
        return [trade.ts_event for trade in trades if isinstance(trade, Trade)]

    def _poll_trades(self, subject: Subject, position: str | None) -> Poll:
        read = self.read_trades(subject, position=position, pages_max=self.pages_max.trades)
        poll = self.read_trade_items(read, subject)
        positions = {} if read.position is None else {subject.venue_symbol: read.position}
        return Poll(
            records=poll.records,
            rejected=poll.rejected,
            positions=positions,
            gaps=add_times(read.gaps, poll.records),
        )

    def _poll_order_book(self, subject: Subject) -> Poll:
        page = self.fetch_order_book(subject)
        return read_items(
            [page.item],
            lambda _: page.build(),
            source=self.name,
            feed=ORDER_BOOKS,
            ts_ingest=subject.ts_ingest,
        )

    def _poll_candles(
        self, subject: Subject, interval: Interval, name: str, position: str | None
    ) -> Poll:
        cursor = self._read_candle_cursor(position, name)
        closed_us = find_closed(subject.ts_ingest, interval)
        asked_us = plan_poll(
            cursor,
            closed_us=closed_us,
            interval=interval,
            page_candles_max=self.page_candles_max,
        )
        polls: list[Poll] = []
        while asked_us < closed_us and len(polls) < self.pages_max.candles:
            begin_us = asked_us
            end_us = min(begin_us + self.page_candles_max * interval.length_us, closed_us)
            try:
                page = self.fetch_candles(
                    subject, interval=interval, begin_us=begin_us, end_us=end_us
                )
            except SourceError:
                if not polls:
                    raise
                break
            asked_us = end_us if page.closed_us is None else min(page.closed_us, closed_us)
            poll, cursor = self._read_window(page, subject, interval, cursor, begin_us, asked_us)
            polls.append(poll)
            if asked_us <= begin_us:
                break
        if cursor is None:
            return unite(polls)
        cursor, silence = break_off(cursor, asked_us=asked_us, interval=interval)
        polls.append(Poll(records=(), gaps=_name_gaps(subject, interval, silence)))
        return replace(unite(polls), positions={name: encode_cursor(cursor)})

    def _read_window(
        self,
        page: CandlesPage,
        subject: Subject,
        interval: Interval,
        cursor: CandleCursor | None,
        begin_us: int,
        end_us: int,
    ) -> tuple[Poll, CandleCursor | None]:
        poll, candles = self.read_candle_page(
            page, subject=subject, interval=interval, begin_us=begin_us, end_us=end_us
        )
        changed = choose_changed(candles, cursor)
        gaps: list[Gap] = []
        if cursor is not None:
            gaps += _name_gaps(subject, interval, find_unsaid(cursor, candles))
            if page.begins_us is not None and page.begins_us > cursor.read_us:
                gaps += _name_gaps(subject, interval, (cursor.read_us, page.begins_us))
                cursor = jump(cursor, to_us=page.begins_us, interval=interval)
        advanced = advance_cursor(cursor, candles, interval=interval)
        return Poll(records=changed, rejected=poll.rejected, gaps=gaps), advanced

    def read_candle_page(
        self, page: CandlesPage, *, subject: Subject, interval: Interval, begin_us: int, end_us: int
    ) -> tuple[Poll, list[Candle]]:
        """Everything on the page, and its candles that opened in [begin, end), oldest first."""
        parse = partial(self.parse_candle, subject=subject, interval=interval)
        poll = read_items(
            page.items, parse, source=self.name, feed=CANDLES, ts_ingest=subject.ts_ingest
        )
        candles = [record for record in poll.records if isinstance(record, Candle)]
        return poll, choose_between(candles, begin_us=begin_us, end_us=end_us)

    def _read_candle_cursor(self, position: str | None, name: str) -> CandleCursor | None:
        if position is None:
            return None
        try:
            return decode_cursor(position)
        except msgspec.DecodeError:
            raise self.refuse_position(position, venue_symbol=name) from None


def _name_gaps(subject: Subject, interval: Interval, stretch: Stretch | None) -> list[Gap]:
    if stretch is None:
        return []
    after_us, before_us = stretch
    return [
        Gap(
            venue_symbol=subject.venue_symbol,
            interval=interval,
            after_us=after_us,
            before_us=before_us,
        )
    ]


def unite(polls: Iterable[Poll]) -> Poll:
    """One poll of those of all symbols, in their order."""
    records: list[Record] = []
    rejected: list[Rejected] = []
    positions: dict[str, str] = {}
    gaps: list[Gap] = []
    for poll in polls:
        records += poll.records
        rejected += poll.rejected
        positions |= poll.positions
        gaps += poll.gaps
    return Poll(records=records, rejected=rejected, positions=positions, gaps=gaps)


def choose_revisions(listed: Poll, positions: Mapping[str, str]) -> Poll:
    """What a list says differently from the last time: positions hold content hashes.

    Args:
        listed: Everything the source lists.
        positions: Kind and the source's own id -> content hash of what was published last.
    """
    hashes = {
        f"{record.kind}:{record.native_id}": str(record.content_hash)
        for record in listed.records
        if isinstance(record, Instrument)
    }
    changed = {name: text for name, text in hashes.items() if positions.get(name) != text}
    records = [
        record
        for record in listed.records
        if isinstance(record, Instrument) and f"{record.kind}:{record.native_id}" in changed
    ]
    return replace(listed, records=records, positions=changed)


def add_times(gaps: Sequence[Gap], records: Iterable[Record]) -> list[Gap]:
    """The gaps with the times of the trades around them, where those are known."""
    trades = (record for record in records if isinstance(record, Trade))
    times = {trade.trade_id: trade.ts_event for trade in trades}
    return [
        replace(
            gap,
            after_us=times.get(gap.after_id or "", gap.after_us),
            before_us=times.get(gap.before_id or "", gap.before_us),
        )
        for gap in gaps
    ]

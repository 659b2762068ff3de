"""What a source is to the rest: something that, asked once, hands over one poll.

Here: the values and the protocol; the dialects stand beside this file, one an API. Not here: when
to ask (delivery/ingest.py), how to publish (kafka/producer.py). A source knows nothing of Kafka,
Dagster or a store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from crypto_platform.errors import SourceError, SourceUnavailableError
from crypto_platform.feeds import Record
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.rejected import Rejected


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A stretch of a feed that a poll had to jump over: its venue does not give it any more.

    Attributes:
        interval: Of the candles that are missing; None for trades.
        after_id, before_id: Trade ids around it; None where no trade is known there, and for
            candles.
        missing_records: How many; None where the venue's numbers do not tell, and perhaps nothing
            is missing at all.
        after_us, before_us: The same bounds in event time; None where the poll does not tell.
    """

    venue_symbol: str
    interval: Interval | None = None
    after_id: str | None = None
    before_id: str | None = None
    missing_records: int | None = None
    after_us: int | None = None
    before_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class Poll:
    """One poll round of one feed: what is in hand is published whole or not at all.

    Attributes:
        records: In the source's order; all with the same ts_ingest.
        rejected: Pieces of the answer that could not become records.
        positions: How far each venue symbol was read, opaque to all but the dialect; a feed without
            history of its own (quotes) has none.
        gaps: What was jumped over; the positions are behind it.
        faults: By symbol, what is wrong with it alone: its source refuses it, or answers something
            that is no page. All others were read.
        interruption: Why the source could not be asked for the rest; None where it was asked for
            everything. The next poll begins with the rest.
    """

    records: Sequence[Record]
    rejected: Sequence[Rejected] = ()
    positions: Mapping[str, str] = field(default_factory=dict[str, str])
    gaps: Sequence[Gap] = ()
    faults: Mapping[str, SourceError] = field(default_factory=dict[str, SourceError])
    interruption: SourceUnavailableError | None = None


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """One page of the past.

    Attributes:
        records: Of the asked range only, oldest first, none that an earlier page had.
        rejected: Pieces of the answer that could not become records.
        position: Where the next page begins, opaque to all but the dialect; None at the end.
    """

    records: Sequence[Record]
    rejected: Sequence[Rejected] = ()
    position: str | None = None


class Source(Protocol):
    """One configured instance of a dialect. One thread a feed uses it."""

    @property
    def name(self) -> str:
        """The instance's name in the settings; `source` in its records."""
        ...

    @property
    def feeds(self) -> tuple[str, ...]:
        """Names of the feeds it can give."""
        ...

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        """Ask once for everything of a feed that is due.

        Args:
            feed: One of `feeds`.
            positions: Those of the last published poll; empty at the first.
            ts_ingest: Microseconds; goes into every record unchanged.

        Raises:
            SourceUnavailableError: Come again later, not before retry_after_s where given.
            SourceRefusedError: A setting has to change first (a wrong key).
            SourceMalformedError: The page is not what it promises; nothing of it is used.
            All three only where nothing at all is in hand: see Poll.faults, Poll.interruption.
        """
        ...


@runtime_checkable
class UnnamedSource(Source, Protocol):
    """A source whose records do not say that they are its own: there may be one of them only."""

    def check_own(self, record: Record) -> None:
        """Ask whether a record is of this source's history.

        Raises:
            SourceCursorLostError: It is another's.
            SourceError: As `poll`; not known.
        """
        ...


@runtime_checkable
class HistorySource(Source, Protocol):
    """A source that can also be asked for the past, page by page."""

    @property
    def calls(self) -> int:
        """Requests sent since it was made."""
        ...

    def has_history(self, feed: str) -> bool:
        """Whether `read_history` can be asked for this feed, whatever `feeds` is cut to."""
        ...

    def estimate_history_calls(
        self, feed: str, *, venue_symbol: str, interval: Interval | None, start_us: int, end_us: int
    ) -> int:
        """About how many requests a range takes: exact for candles, from today's pace for trades.

        Asks the venue at most once.

        Raises:
            SourceError: As `poll`.
        """
        ...

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
        """Read one page of what happened from start_us, inclusive, to end_us, exclusive.

        Args:
            feed: One of which `has_history` is true.
            venue_symbol: As in the settings' symbols, but need not stand there.
            interval: Of candles; None for trades.
            position: That of the page before; None for the first.
            ts_ingest: Goes into every record unchanged.

        Returns:
            Pages may be empty and not the last: `position` says whether to go on.

        Raises:
            SourceError: As `poll`; the same page can be asked for again.
        """
        ...


def find_history(source: Source, feed: str) -> HistorySource | None:
    """The source, where it can be asked for the past of this feed."""
    if isinstance(source, HistorySource) and source.has_history(feed):
        return source
    return None

"""WHERE FROM: the dialects, and the configured sources that speak them.

Here: DIALECTS, which sources are asked and why others are not, and a check that asks each once.
A new dialect is one file here and one line in DIALECTS. Not here: pace (delivery/pacing.py).
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from crypto_platform.domain.hours import to_time_us
from crypto_platform.errors import ConfigurationError, SourceError
from crypto_platform.feeds import FEEDS, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.feeds.instruments import TradeNumbering
from crypto_platform.settings import Settings, SourceSettings
from crypto_platform.sources.base import HistorySource, Poll, Source, find_history
from crypto_platform.sources.binance import Binance
from crypto_platform.sources.bitstamp import Bitstamp
from crypto_platform.sources.budget import HISTORY_SHARE, LIVE_SHARE
from crypto_platform.sources.ccxt import Ccxt
from crypto_platform.sources.coinbase import Coinbase
from crypto_platform.sources.coincap import CoinCap
from crypto_platform.sources.coingecko import CoinGecko
from crypto_platform.sources.company import Company
from crypto_platform.sources.ecb import Ecb
from crypto_platform.sources.gemini import Gemini
from crypto_platform.sources.http import name_key_setting, reveal_key
from crypto_platform.sources.kraken import Kraken
from crypto_platform.sources.shapes import watch_shapes
from crypto_platform.sources.venue_dialect import VenueDialect


class Dialect(Protocol):
    """Makes a source of one instance's settings; sends nothing."""

    def __call__(
        self,
        *,
        name: str,
        settings: SourceSettings,
        stop: threading.Event | None = None,
        share: float = LIVE_SHARE,
    ) -> Source:
        """Prepare the source.

        Args:
            share: Of its allowance, see budget.py.

        Raises:
            ConfigurationError: A setting has a value this dialect cannot work with.
        """
        ...


DIALECTS: Mapping[str, Dialect] = {
    "binance": Binance,
    "bitstamp": Bitstamp,
    "ccxt": Ccxt,
    "coinbase": Coinbase,
    "coincap": CoinCap,
    "coingecko": CoinGecko,
    "company": Company,
    "ecb": Ecb,
    "gemini": Gemini,
    "kraken": Kraken,
}


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """Whether a configured source is asked.

    Attributes:
        enabled: It is.
        reason: One line: why it is not, and what would change that; else where it is asked.
    """

    name: str
    dialect: str
    simulated: bool
    enabled: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class FeedCheck:
    """What one poll of one feed gave.

    Attributes:
        seconds: From asking to records in hand.
        sample: The first record, None where there is none.
        rejected_sample: Why the first rejected piece was rejected.
        error: One line, None if the source answered for everything.
        unread_fields, missing_fields: Of the answers, and in how many objects; see shapes.py.
    """

    feed: str
    seconds: float
    records: int = 0
    rejected: int = 0
    sample: Record | None = None
    rejected_sample: str | None = None
    error: str | None = None
    unread_fields: Mapping[str, int] = field(default_factory=dict[str, int])
    missing_fields: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, kw_only=True)
class SourceCheck:
    """One poll of each feed of a source."""

    name: str
    feeds: tuple[FeedCheck, ...]

    @property
    def is_good(self) -> bool:
        """Every feed answered with records."""
        return all(check.error is None and check.records for check in self.feeds)


def explain_sources(settings: Settings) -> list[SourceState]:
    """Which sources are asked, which are not and why, in the settings' order.

    Raises:
        ConfigurationError: A source names a dialect that does not exist, or has a malformed key.
    """
    return [_explain_source(name, source) for name, source in settings.sources.items()]


def _explain_source(name: str, settings: SourceSettings) -> SourceState:
    if settings.dialect not in DIALECTS:
        message = (
            f"sources.{name}.dialect is {settings.dialect!r}, which nobody here speaks; "
            f"known are {', '.join(sorted(DIALECTS))}"
        )
        raise ConfigurationError(message)
    enabled, reason = True, f"asked at {settings.base_url}"
    if not settings.enabled:
        enabled, reason = False, f"switched off: sources.{name}.enabled is false"
    elif settings.key_required and reveal_key(name, settings) is None:
        enabled, reason = False, f"needs a key: set {name_key_setting(name)}"
    return SourceState(
        name=name,
        dialect=settings.dialect,
        simulated=settings.simulated,
        enabled=enabled,
        reason=reason,
    )


def build_sources(settings: Settings, stop: threading.Event | None = None) -> dict[str, Source]:
    """Make the sources that are asked, by name; nothing is sent.

    Args:
        settings: All of them.
        stop: When set, a source's pauses end at once.

    Raises:
        ConfigurationError: Names the setting, what was found, and what works.
    """
    sources = {
        state.name: build_source(settings, state.name, stop=stop)
        for state in explain_sources(settings)
        if state.enabled
    }
    _refuse_two_companies(sources)
    return sources


def _refuse_two_companies(sources: Mapping[str, Source]) -> None:
    """No event, order or user bears its source's name: two companies' would be one."""
    names = [name for name, source in sources.items() if ACCOUNT_EVENTS.name in source.feeds]
    if len(names) > 1:
        message = (
            f"{' and '.join(names)} both give {ACCOUNT_EVENTS.name}, and their users would be "
            f"mixed up: set sources.{names[1]}.enabled to false, or give that company a "
            "platform with a data folder of its own"
        )
        raise ConfigurationError(message)


def build_source(
    settings: Settings,
    name: str,
    *,
    stop: threading.Event | None = None,
    share: float = LIVE_SHARE,
) -> Source:
    """Make one source, asked or not; nothing is sent.

    Args:
        settings: All of them.
        name: Of the source.
        stop: When set, its pauses end at once.
        share: Of its allowance: HISTORY_SHARE where the past is asked for beside the live polls.

    Raises:
        ConfigurationError: Names the setting, what was found, and what works.
    """
    source = settings.sources[name]
    return DIALECTS[source.dialect](name=name, settings=source, stop=stop, share=share)


def list_feeds(settings: Settings) -> list[tuple[str, str]]:
    """Pairs of source and feed name that are asked, in the settings' order."""
    return [
        (name, feed) for name, source in build_sources(settings).items() for feed in source.feeds
    ]


def list_history(settings: Settings) -> list[tuple[str, str]]:
    """Pairs of source and feed name whose past can be asked for, of sources that are asked."""
    return [
        (name, feed.name)
        for name, source in build_sources(settings).items()
        for feed in FEEDS
        if find_history(source, feed.name) is not None
    ]


def find_numbering(settings: Settings, name: str) -> TradeNumbering:
    """What a source's trade ids tell; of one that is not in the settings, nothing."""
    source = settings.sources.get(name)
    dialect = None if source is None else DIALECTS.get(source.dialect)
    if isinstance(dialect, type) and issubclass(dialect, VenueDialect):
        return dialect.trade_numbering
    return TradeNumbering.NONE


def build_history_source(
    settings: Settings, name: str, feed: str, *, stop: threading.Event | None = None
) -> HistorySource:
    """Make a source for asking for the past, with history's share of its allowance.

    Raises:
        ConfigurationError: It keeps no past of this feed; or as build_source.
    """
    source = find_history(build_source(settings, name, stop=stop, share=HISTORY_SHARE), feed)
    if source is None:
        message = f"{name} gives no past of {feed}: what was not polled then cannot be had from it"
        raise ConfigurationError(message)
    return source


def check_source(source: Source, *, ts_ingest: int | None = None) -> SourceCheck:
    """Ask a source once for each of its feeds; nothing is published.

    Args:
        ts_ingest: Time of the polls, microseconds; now where there is none.
    """
    asked_us = to_time_us(datetime.now(UTC)) if ts_ingest is None else ts_ingest
    checks = tuple(_check_feed(source, feed, asked_us) for feed in source.feeds)
    return SourceCheck(name=source.name, feeds=checks)


def _check_feed(source: Source, feed: str, asked_us: int) -> FeedCheck:
    started_s = time.monotonic()
    poll = Poll(records=())
    with watch_shapes() as shapes:
        try:
            poll = source.poll(feed, positions={}, ts_ingest=asked_us)
            failures = [*poll.faults.values(), *filter(None, [poll.interruption])]
        except SourceError as failure:
            failures = [failure]
    return FeedCheck(
        feed=feed,
        seconds=time.monotonic() - started_s,
        records=len(poll.records),
        rejected=len(poll.rejected),
        sample=next(iter(poll.records), None),
        rejected_sample=next((piece.error for piece in poll.rejected), None),
        error=" ".join("; ".join(map(str, failures)).split()) or None,
        unread_fields=shapes.unread,
        missing_fields=shapes.missing,
    )


__all__ = [
    "DIALECTS",
    "Dialect",
    "FeedCheck",
    "HistorySource",
    "Source",
    "SourceCheck",
    "SourceState",
    "build_history_source",
    "build_source",
    "build_sources",
    "check_source",
    "explain_sources",
    "find_history",
    "find_numbering",
    "list_feeds",
    "list_history",
]

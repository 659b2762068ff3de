"""Ask sources for the days that the gap report calls missing here or not asked, and for no others.

Here: which streams and days, where they stop. Not here: the report (gap_report.py), asking page by
page (history.py): it is what `crypto-platform history` does, with the same marks, the same share of
the budget and the same way through Kafka.
"""

from collections.abc import Mapping, Sequence

from crypto_platform.delivery.gap_days import DayState
from crypto_platform.delivery.gap_report import GapLine, Subject
from crypto_platform.delivery.history_plan import Stream, Wanted, list_days, list_streams
from crypto_platform.delivery.retention import plan_cuts
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, TimeUs, day_of
from crypto_platform.feeds import FEEDS
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.trades import TRADES
from crypto_platform.settings import Settings
from crypto_platform.sources import list_feeds, list_history

GAP_FEEDS = (TRADES.name, CANDLES.name)
"""What has a past: of the others a day is never asked for."""


def list_subjects(
    settings: Settings,
    *,
    days: Sequence[TimeUs],
    now_us: TimeUs,
    sources: Sequence[str] = (),
    feeds: Sequence[str] = (),
    venue_symbols: Sequence[str] = (),
) -> list[Subject]:
    """The streams that a report is about, without the days that retention forgets.

    Args:
        sources: By name; empty takes all that are asked.
        feeds: Of GAP_FEEDS; empty takes both.
        venue_symbols: By the venue's own names; empty takes those of the settings. Of sources that
            are not named, those that have them in the settings.
    """
    pairs = dict.fromkeys([*list_feeds(settings), *list_history(settings)])
    kept_from = {cut.feed.name: cut.before_us for cut in plan_cuts(settings, FEEDS, now_us=now_us)}
    return [
        Subject(
            source=source,
            feed=feed,
            stream=stream,
            days=[day for day in days if day >= kept_from.get(feed, 0)],
        )
        for source, feed in pairs
        if feed in (feeds or GAP_FEEDS) and (not sources or source in sources)
        for stream in _list_streams(settings, source, feed, venue_symbols, is_named=bool(sources))
    ]


def list_recent(settings: Settings, *, now_us: TimeUs, days: int | None = None) -> list[TimeUs]:
    """The last days up to yesterday; `quality.gap_days` of them where no number is given."""
    today_us = day_of(now_us)
    count = settings.quality.gap_days if days is None else days
    return list_days(today_us - count * MICROSECONDS_PER_DAY, today_us - 1)


def _list_streams(
    settings: Settings, source: str, feed: str, venue_symbols: Sequence[str], *, is_named: bool
) -> list[Stream]:
    at = settings.sources[source]
    wanted = venue_symbols if is_named else [s for s in venue_symbols if s in at.symbols]
    if venue_symbols and not wanted:
        return []
    return list_streams(at, feed, venue_symbols=wanted)


def plan_repair(lines: Sequence[GapLine]) -> Mapping[str, Sequence[Wanted]]:
    """What to ask each source for: streams that lack the same days go together."""
    days: dict[tuple[str, str, Stream, bool], list[TimeUs]] = {}
    for line in lines:
        if line.can_ask:
            key = (line.source, line.feed, line.stream, line.again)
            days.setdefault(key, []).append(line.day_us)
    streams: dict[tuple[str, str, bool, tuple[TimeUs, ...]], list[Stream]] = {}
    for (source, feed, stream, again), of_stream in days.items():
        key = (source, feed, again, tuple(sorted(of_stream)))
        streams.setdefault(key, []).append(stream)
    plan: dict[str, list[Wanted]] = {}
    for (source, feed, again, of_group), group in streams.items():
        wanted = Wanted(feed=feed, streams=group, days=of_group, again=again)
        plan.setdefault(source, []).append(wanted)
    return plan


def list_left(lines: Sequence[GapLine]) -> list[GapLine]:
    """Days that are not complete."""
    return [line for line in lines if line.state is not DayState.COMPLETE]


def is_settled(lines: Sequence[GapLine]) -> bool:
    """Whether all that can be had is there."""
    return all(line.state in {DayState.COMPLETE, DayState.AT_SOURCE} for line in lines)

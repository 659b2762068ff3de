"""What a poll had to jump over, or could not go on behind, as an incident.

Here: its words and its name, which is the same whoever notices it, and the gap that a name means.
Not here: finding it (the dialects), publishing (ingest.py). A gap stops nothing: what came after it
is loaded.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from crypto_platform.domain.hours import TimeUs, from_time_us
from crypto_platform.errors import IncidentKind, SourceCursorLostError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.candles import Interval
from crypto_platform.feeds.feed import build_event_id
from crypto_platform.feeds.incidents import OPEN, Incident, build_incident
from crypto_platform.feeds.trades import TRADES, Trade
from crypto_platform.sources.base import Gap
from crypto_platform.stores.base import Store
from crypto_platform.stores.market import Span

FIRST_TIME_US = 10**15
"""Of 2001: what ends a gap is the id of a trade, or a time where there is none beside it."""


def build_gap_incident(
    gap: Gap, *, source: str, feed: str, topic: str, ts_ingest: TimeUs
) -> Incident:
    """The incident of a gap; the same gap gives the same id."""
    kind = IncidentKind.TRADE_GAP if gap.interval is None else IncidentKind.CANDLE_GAP
    stretch = gap.venue_symbol if gap.interval is None else f"{gap.venue_symbol}/{gap.interval}"
    begin = gap.after_us if gap.after_id is None else gap.after_id
    end = gap.before_us if gap.before_id is None else gap.before_id
    return build_incident(
        Incident(
            kind=kind.value,
            state=OPEN,
            subject=f"{source}/{feed}/{kind}/{stretch}/{begin}/{end}",
            source=source,
            feed=feed,
            topic=topic,
            message=_describe(gap, source=source, feed=feed),
            next_step=_advise(gap, source=source, feed=feed),
            ts_ingest=ts_ingest,
        )
    )


def build_cursor_incident(
    error: SourceCursorLostError, *, feed: str, topic: str, ts_ingest: TimeUs
) -> Incident:
    """The incident of a source whose history is another now; the same at every poll until then."""
    kind = IncidentKind.CURSOR_LOST.value
    return build_incident(
        Incident(
            kind=kind,
            state=OPEN,
            subject=f"{error.source}/{feed}/{kind}/{error.position}",
            source=error.source,
            feed=feed,
            topic=topic,
            message=f"what {topic} holds up to {error.position} is not the history of "
            f"{error.source}, or not any more; nothing is read of it until it is",
            next_step=f"is sources.{error.source}.base_url the right one? If it lost data or began "
            "anew, put its old data back; acknowledge this when it is read again",
            ts_ingest=ts_ingest,
        )
    )


class KnownGap(NamedTuple):
    """A stretch that a poll jumped over.

    Attributes:
        interval: Of candles; None for trades.
        span: In event time. Where its end is not known, it is the time of the poll that told of it;
            a begin that is not known is None.
    """

    venue: str
    venue_symbol: str
    interval: Interval | None
    span: Span


def read_gaps(store: Store) -> list[KnownGap]:
    """The gaps that stored incidents tell of, answered ones among them."""
    kinds = {IncidentKind.TRADE_GAP.value, IncidentKind.CANDLE_GAP.value}
    found: list[KnownGap] = []
    for incident in store.read_incidents():
        if isinstance(incident, Incident) and incident.kind in kinds and incident.source:
            prefix = f"{incident.source}/{incident.feed}/{incident.kind}/"
            stretch, begin, end = incident.subject.removeprefix(prefix).rsplit("/", 2)
            symbol, interval = stretch, None
            times: Mapping[str, TimeUs] = {}
            if incident.kind == IncidentKind.CANDLE_GAP:
                symbol, _, length = stretch.rpartition("/")
                interval = Interval(length)
            else:
                times = _find_times(store, incident.source, symbol, (begin, end))
            after_us, before_us = (
                times.get(name, _read_time(name, until_us=incident.ts_ingest))
                for name in (begin, end)
            )
            span = Span(after_us, before_us or incident.ts_ingest)
            found.append(KnownGap(incident.source, symbol, interval, span))
    return found


def _find_times(
    store: Store, venue: str, venue_symbol: str, trade_ids: Sequence[str]
) -> Mapping[str, TimeUs]:
    """When the trades around a gap were, by their ids, where the store has them."""
    event_ids = [build_event_id(venue, venue_symbol, trade_id) for trade_id in trade_ids]
    trades = store.read_facts(FEED_BY_NAME[TRADES.name], event_ids)
    return {trade.trade_id: trade.ts_event for trade in trades if isinstance(trade, Trade)}


def _read_time(text: str, *, until_us: TimeUs) -> TimeUs | None:
    """A time where the text can be one; else it is the id of a trade that is not stored."""
    is_time = text.isdecimal() and FIRST_TIME_US <= int(text) <= until_us
    return int(text) if is_time else None


def _advise(gap: Gap, *, source: str, feed: str) -> str:
    if gap.interval is None:
        who = f"was {source} not asked for longer than it keeps its {feed}? Another source"
    else:
        who = (
            f"was {source} not asked for longer than it keeps its {feed}, was it late with them, "
            "or did nobody trade? Its history or another source"
        )
    return f"{who} may have them; then acknowledge it"


def _describe(gap: Gap, *, source: str, feed: str) -> str:
    if gap.interval is None:
        after, before = (
            _name_end(gap.after_id, gap.after_us),
            _name_end(gap.before_id, gap.before_us),
        )
        between = f"after {after} and before {before} any more"
    else:
        between = f"of {gap.interval} from {_say(gap.after_us)} to {_say(gap.before_us)}"
    count = gap.missing_records
    missing = "it is not known how many" if count is None else f"{count:,} are missing"
    return f"{source} does not give the {feed} of {gap.venue_symbol} {between}: {missing}"


def _name_end(trade_id: str | None, time_us: TimeUs | None) -> str:
    return _say(time_us) if trade_id is None else f"trade {trade_id} ({_say(time_us)})"


def _say(time_us: TimeUs | None) -> str:
    if time_us is None:
        return "time not known"
    moment: datetime = from_time_us(time_us)
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"

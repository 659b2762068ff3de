"""Tell Dagster what a lingering load does.

Here: a materialization per feed and hour it touched, every two minutes and at its end, and the
metadata people want. The load's thread only takes a copy of its counts; asking
Kafka and the store, drawing, and writing to Dagster's database happen in a thread of their own
(events.py), so that none of them can hold a load up. Not here: the load.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg

from crypto_platform.assets import charts
from crypto_platform.assets.events import EventQueue
from crypto_platform.assets.names import load_key
from crypto_platform.delivery.load import LoadEnd
from crypto_platform.delivery.progress import Progress
from crypto_platform.domain.hours import name_hour
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import Feed, Record
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Part, Watermarks
from crypto_platform.settings import Settings
from crypto_platform.stores import open_store
from crypto_platform.stores.base import Store, TopicPart

REPORT_INTERVAL_S = 120.0
POINTS_MAX = 60
"""Of the charts; a run makes about ten."""


@dataclass(frozen=True, kw_only=True)
class _Report:
    """A copy of what one feed's load has done since the last report."""

    feed: Feed[Record]
    hours: Sequence[int]
    stored_records: int
    stored_records_of_run: int
    seconds: float
    freshness_s_max: float
    repeated_records: int
    quarantined_records: int
    commits: int
    taken_over_from: str | None
    next_offsets: Mapping[TopicPart, int]
    latest: Sequence[Record]
    rates: Sequence[float]
    freshness: Sequence[float]
    end: LoadEnd | None


class Reporter:
    """Reports one load run; use as a context manager."""

    def __init__(
        self,
        settings: Settings,
        sink: str,
        feeds: Sequence[Feed[Record]],
        send: Callable[[dg.AssetMaterialization], None],
    ) -> None:
        """`send` writes to Dagster's database; called in another thread."""
        self._settings = settings
        self._sink = sink
        self._feeds = {feed.name: feed for feed in feeds}
        self._send = send
        self._queue = EventQueue(self._write)
        self._reported_at = time.monotonic() - REPORT_INTERVAL_S
        self._began_at = time.monotonic()
        self._stored: Mapping[str, int] = {}
        self._rates: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=POINTS_MAX))
        self._freshness: defaultdict[str, deque[float]] = defaultdict(
            lambda: deque(maxlen=POINTS_MAX)
        )
        self._watermarks: Watermarks | None = None
        self._reader: Store | None = None

    def __enter__(self) -> Self:
        self._queue.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._queue.__exit__(*error)
        if self._reader is not None:
            self._reader.close()

    def note(self, progress: Progress) -> None:
        """Called after each commit."""
        if time.monotonic() - self._reported_at >= REPORT_INTERVAL_S:
            self.report(progress)

    def report(self, progress: Progress, *, end: LoadEnd | None = None) -> None:
        """Send what has come since the last time."""
        now = time.monotonic()
        seconds = now - max(self._reported_at, self._began_at)
        for name, hours in progress.hours.items():
            self._queue.put(self._copy(name, sorted(hours), progress, seconds=seconds, end=end))
        self._stored = dict(progress.stored_records)
        self._reported_at = now
        progress.hours.clear()
        progress.freshness_s_max = 0.0

    def _copy(
        self,
        name: str,
        hours: Sequence[int],
        progress: Progress,
        *,
        seconds: float,
        end: LoadEnd | None,
    ) -> _Report:
        of_run = progress.stored_records.get(name, 0)
        stored = of_run - self._stored.get(name, 0)
        if seconds >= 1:
            self._rates[name].append(round(stored / seconds * 60, 1))
        self._freshness[name].append(round(progress.freshness_s_max, 3))
        return _Report(
            feed=self._feeds[name],
            hours=hours,
            stored_records=stored,
            stored_records_of_run=of_run,
            seconds=seconds,
            freshness_s_max=progress.freshness_s_max,
            repeated_records=progress.repeated_records,
            quarantined_records=progress.quarantined_records,
            commits=progress.commits,
            taken_over_from=progress.taken_over_from,
            next_offsets=dict(progress.next_offsets),
            latest=progress.latest.get(name, ()),
            rates=tuple(self._rates[name]),
            freshness=tuple(self._freshness[name]),
            end=end,
        )

    def _write(self, report: _Report) -> None:
        metadata = self._describe(report)
        for hour in report.hours:
            self._send(
                dg.AssetMaterialization(
                    load_key(self._sink, report.feed), partition=name_hour(hour), metadata=metadata
                )
            )

    def _describe(self, report: _Report) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "stored_records": report.stored_records,
            "stored_records_of_run": report.stored_records_of_run,
            "freshness_s_max": round(report.freshness_s_max, 3),
            "repeated_records_of_run": report.repeated_records,
            "quarantined_records_of_run": report.quarantined_records,
            "commits_of_run": report.commits,
        }
        if report.seconds >= 1:
            metadata["records_per_minute"] = round(report.stored_records / report.seconds * 60, 1)
        metadata |= self._ask(report)
        if report.taken_over_from is not None:
            metadata["took_over_from"] = dg.MetadataValue.dagster_run(report.taken_over_from)
        if report.end is not None:
            metadata["end"] = report.end.value
        preview = charts.tabulate(charts.preview_records(report.latest))
        if preview is not None:
            metadata["preview"] = preview
        if len(report.freshness) > 1:
            metadata["freshness_chart"] = charts.draw_line(
                report.freshness, title="longest wait from Kafka to committed", unit="s"
            )
            metadata["rate_chart"] = charts.draw_line(
                report.rates, title="records a minute", unit="records"
            )
        return metadata

    def _ask(self, report: _Report) -> dict[str, Any]:
        """Lag and size, where Kafka and the store answer."""
        topic = topic_name(self._settings, report.feed.topic)
        try:
            self._watermarks = self._watermarks or Watermarks(self._settings)
            self._reader = self._reader or open_store(self._sink, self._settings, role="analyst")
            rows = self._reader.estimate_records(report.feed)
            topic_id, count = self._watermarks.read_topic_ids([topic])[topic]
            bounds = self._watermarks.read_bounds([Part(topic, part) for part in range(count)])
        except (PlatformError, KeyError):
            return {}
        lags = (
            bound.last_stable - report.next_offsets[TopicPart(topic_id, part.part)]
            for part, bound in bounds.items()
            if TopicPart(topic_id, part.part) in report.next_offsets
        )
        asked: dict[str, Any] = {"lag_records": sum(max(lag, 0) for lag in lags)}
        if rows is not None:
            asked["dagster/row_count"] = rows
        return asked

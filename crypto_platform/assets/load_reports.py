"""Tell Dagster what a lingering load does.

Here: a materialization per feed and hour it touched, every two minutes and at its end, and the
metadata people want. The load's thread only takes a copy of its counts; asking Kafka and the store,
drawing, and writing to Dagster's database happen in a thread of their own (events.py), so that none
of them can hold a load up. Not here: the load.
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
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import TopicPart

REPORT_INTERVAL_S = 120.0
POINTS_MAX = 60
"""Of the charts; a run makes about ten."""
POINT_S_MIN = REPORT_INTERVAL_S / 2
"""A run's first report covers a second or two of catching up: drawn, it would flatten the rest."""


@dataclass(frozen=True, kw_only=True)
class _Report:
    """What one feed's load has done since the last report.

    Attributes:
        progress: A copy of the run's, as of then.
        stored_records: Since the last report, which was so many `seconds` ago.
        rates, freshness: Of this and the reports before.
    """

    feed: Feed[Record]
    progress: Progress
    stored_records: int
    seconds: float
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
        copy = progress.copy()
        for name in copy.hours:
            self._queue.put(self._build_report(name, copy, seconds=seconds, end=end))
        self._stored = copy.stored_records
        self._reported_at = now
        progress.hours.clear()
        progress.freshness_s_max = 0.0

    def _build_report(
        self, name: str, progress: Progress, *, seconds: float, end: LoadEnd | None
    ) -> _Report:
        stored = progress.stored_records.get(name, 0) - self._stored.get(name, 0)
        if seconds >= POINT_S_MIN:
            self._rates[name].append(_per_minute(stored, seconds))
        self._freshness[name].append(round(progress.freshness_s_max, 3))
        return _Report(
            feed=self._feeds[name],
            progress=progress,
            stored_records=stored,
            seconds=seconds,
            rates=tuple(self._rates[name]),
            freshness=tuple(self._freshness[name]),
            end=end,
        )

    def _write(self, report: _Report) -> None:
        metadata = self._describe(report)
        for hour in sorted(report.progress.hours[report.feed.name]):
            self._send(
                dg.AssetMaterialization(
                    load_key(self._sink, report.feed), partition=name_hour(hour), metadata=metadata
                )
            )

    def _describe(self, report: _Report) -> dict[str, Any]:
        progress, name = report.progress, report.feed.name
        metadata: dict[str, Any] = {
            "stored_records": report.stored_records,
            "stored_records_of_run": progress.stored_records.get(name, 0),
            "freshness_s_max": round(progress.freshness_s_max, 3),
            "repeated_records_of_run": progress.repeated_records,
            "quarantined_records_of_run": progress.quarantined_records,
            "commits_of_run": progress.commits,
        }
        if report.seconds >= 1:
            metadata["records_per_minute"] = _per_minute(report.stored_records, report.seconds)
        metadata |= self._ask(report)
        if progress.taken_over_from is not None:
            metadata["took_over_from"] = dg.MetadataValue.dagster_run(progress.taken_over_from)
        if report.end is not None:
            metadata["end"] = report.end.value
        metadata |= charts.describe_preview(progress.latest.get(name, ()))
        if len(report.freshness) > 1:
            metadata["freshness_chart"] = charts.draw_line(
                report.freshness, title="longest wait from Kafka to committed", unit="s"
            )
        if len(report.rates) > 1:
            metadata["rate_chart"] = charts.draw_line(
                report.rates, title="stored a minute", unit="records"
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
        next_offsets = report.progress.next_offsets
        lags = (
            bound.last_stable - next_offsets[TopicPart(topic_id, part.part)]
            for part, bound in bounds.items()
            if TopicPart(topic_id, part.part) in next_offsets
        )
        asked: dict[str, Any] = {"lag_records": sum(max(lag, 0) for lag in lags)}
        if rows is not None:
            asked["dagster/row_count"] = rows
        return asked


def _per_minute(records: int, seconds: float) -> float:
    return round(records / seconds * 60, 1)

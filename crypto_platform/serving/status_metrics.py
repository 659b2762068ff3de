"""A status as Prometheus' metrics: the figures of `crypto-platform status` by name.

Here: METRICS, which docs/metrics.md lists, and a pure function from a Status and the last audits to
families. What is not known has no sample, never 0. Names follow Prometheus: base units last, counts
that only rise end in `_total`, and nothing is given twice: sums are for who asks. Not here: the
endpoint (api/metrics.py), what the figures mean (health.py).

Source: prometheus.io, "Metric and label naming".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crypto_platform.errors import IncidentKind
from crypto_platform.serving.audits import LastAudit
from crypto_platform.serving.health import (
    AnalyticsStatus,
    FeedStatus,
    LoadStatus,
    PartStatus,
    SourceStatus,
    Status,
    StoreStatus,
)

PREFIX = "crypto_platform_"
_S_PER_DAY = 86_400
_US = 1_000_000

Figure = float | None
Samples = Iterable[tuple[Sequence[str], Figure]]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is to tell; `audits` is empty where Dagster did not answer."""

    status: Status
    audits: Sequence[LastAudit]


@dataclass(frozen=True, kw_only=True)
class StatusMetric:
    """One metric.

    Attributes:
        name: Without the prefix; a counter's ends in `_total`.
        read: Label values and figure of each sample.
    """

    name: str
    text: str
    read: Callable[[Seen], Samples]
    labels: Sequence[str] = ()

    @property
    def is_counter(self) -> bool:
        """Whether it only rises, but for a restart."""
        return self.name.endswith("_total")

    def build(self, seen: Seen | None) -> Metric:
        """The family; without samples where nothing was seen yet."""
        kind = CounterMetricFamily if self.is_counter else GaugeMetricFamily
        family = kind(PREFIX + self.name, self.text, labels=self.labels)
        for values, figure in () if seen is None else self.read(seen):
            if figure is not None:
                family.add_metric(values, float(figure))
        return family


def build_families(seen: Seen | None) -> Iterator[Metric]:
    """All of METRICS; their names alone where nothing was seen yet."""
    return (metric.build(seen) for metric in METRICS)


def print_metrics(seen: Seen) -> str:
    """The same in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: seen))
    return generate_latest(registry).decode()


class StatusCollector(Collector):
    """Looks when somebody reads the metrics of a registry."""

    def __init__(self, look: Callable[[], Seen]) -> None:
        """Nobody is asked yet."""
        self._look = look

    def describe(self) -> list[Metric]:
        """What collect gives, so that nobody is asked at the start."""
        return [*build_families(None)]

    def collect(self) -> Iterator[Metric]:
        """What is known now."""
        return build_families(self._look())


def _one(figure: Callable[[Status], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: [((), figure(seen.status))]


def _by_store(figure: Callable[[StoreStatus], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: (((each.name,), figure(each)) for each in seen.status.stores)


def _by_load(figure: Callable[[LoadStatus], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: (((each.store, each.feed), figure(each)) for each in seen.status.loads)


def _by_feed(figure: Callable[[FeedStatus], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: (((each.name,), figure(each)) for each in seen.status.feeds)


def _by_source(figure: Callable[[SourceStatus], Figure]) -> Callable[[Seen], Samples]:
    """Of those that are asked."""
    return lambda seen: (
        ((each.name,), figure(each)) for each in seen.status.sources if each.enabled
    )


def _by_part(figure: Callable[[PartStatus], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: (((each.name,), figure(each)) for each in seen.status.parts or ())


def _by_computation(figure: Callable[[AnalyticsStatus], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: (((each.name,), figure(each)) for each in seen.status.analytics)


def _by_audit(figure: Callable[[LastAudit], Figure]) -> Callable[[Seen], Samples]:
    return lambda seen: (((each.feed,), figure(each)) for each in seen.audits)


def _count_incidents(seen: Seen) -> Samples:
    """Every kind, also those of which none is open: an alert must see them go back to 0.

    Nothing where no store said what waits for a person.
    """
    if all(store.quarantined_records is None for store in seen.status.stores):
        return ()
    found = Counter(incident.kind for incident in seen.status.incidents)
    return (((kind.value,), found[kind.value]) for kind in IncidentKind)


def _age_of_oldest(seen: Seen) -> Samples:
    """Of each kind of which one is open."""
    ages: dict[str, float] = {}
    for incident in seen.status.incidents:
        ages[incident.kind] = max(incident.age_s, ages.get(incident.kind, 0.0))
    return (((kind,), age) for kind, age in ages.items())


def _judged(figure: Callable[[Status], Figure]) -> Callable[[Status], Figure]:
    """A verdict of this process is the platform's only where it knows all that is judged."""

    def find(status: Status) -> Figure:
        knows_all = status.kafka_up is not None and all(
            _store_up(store) is not None for store in status.stores
        )
        return figure(status) if knows_all else None

    return find


def _store_up(store: StoreStatus) -> Figure:
    return None if not store.up and store.address is None else store.up


def _retained(feed: FeedStatus) -> Figure:
    return None if feed.high is None or feed.low is None else feed.high - feed.low


def _kept(feed: FeedStatus) -> Figure:
    return None if feed.kept_days is None else feed.kept_days * _S_PER_DAY


def _seconds_left(status: Status) -> Figure:
    days = None if status.disk is None else status.disk.days_left
    return None if days is None else days * _S_PER_DAY


METRICS: tuple[StatusMetric, ...] = (
    StatusMetric(
        name="good",
        text="1 while `crypto-platform status` finds nothing wrong",
        read=_one(_judged(lambda status: status.is_good)),
    ),
    StatusMetric(
        name="problems",
        text="How many lines `crypto-platform status` has against it",
        read=_one(_judged(lambda status: len(status.problems))),
    ),
    StatusMetric(
        name="status_timestamp_seconds",
        text="When all this was looked at, since 1970",
        read=_one(lambda status: status.at.timestamp()),
    ),
    StatusMetric(
        name="kafka_up",
        text="1 while Kafka answers",
        read=_one(lambda status: status.kafka_up),
    ),
    StatusMetric(
        name="dagster_webserver_up",
        text="1 while Dagster's web server answers",
        read=_one(lambda status: status.webserver_up),
    ),
    StatusMetric(
        name="store_up",
        text="1 while the store answers",
        labels=("store",),
        read=_by_store(_store_up),
    ),
    StatusMetric(
        name="store_paused",
        text="1 while a person has switched its loads off",
        labels=("store",),
        read=_by_store(lambda store: store.is_paused),
    ),
    StatusMetric(
        name="store_offsets_total",
        text="Offsets of Kafka it has passed, markers included; goes back where an incident's "
        "answer reads again",
        labels=("store",),
        read=_by_store(lambda store: store.next_offset),
    ),
    StatusMetric(
        name="store_commit_age_seconds",
        text="Since its last commit",
        labels=("store",),
        read=_by_store(lambda store: store.commit_age_s),
    ),
    StatusMetric(
        name="store_restoring_partitions",
        text="Partitions that a restore has claimed",
        labels=("store",),
        read=_by_store(lambda store: store.restoring_partitions),
    ),
    StatusMetric(
        name="load_lag_records",
        text="Offsets that wait in Kafka, markers included, blocked partitions not",
        labels=("store", "feed"),
        read=_by_load(lambda load: load.lag_records),
    ),
    StatusMetric(
        name="load_lag_seconds",
        text="How long the first of them has waited; 0 where none waits",
        labels=("store", "feed"),
        read=_by_load(lambda load: load.lag_s),
    ),
    StatusMetric(
        name="load_record_age_seconds",
        text="Freshness: since the newest stored record was appended to Kafka",
        labels=("store", "feed"),
        read=_by_load(lambda load: load.record_age_s),
    ),
    StatusMetric(
        name="load_blocked_partitions",
        text="Partitions that an incident or a restore holds",
        labels=("store", "feed"),
        read=_by_load(lambda load: load.blocked_partitions),
    ),
    StatusMetric(
        name="load_quarantined_records",
        text="Records that wait in quarantine",
        labels=("store", "feed"),
        read=_by_load(lambda load: load.quarantined_records),
    ),
    StatusMetric(
        name="topic_offsets_total",
        text="High watermarks of the topic's partitions, added up",
        labels=("feed",),
        read=_by_feed(lambda feed: feed.high),
    ),
    StatusMetric(
        name="topic_retained_offsets",
        text="Offsets that Kafka still keeps",
        labels=("feed",),
        read=_by_feed(_retained),
    ),
    StatusMetric(
        name="topic_append_age_seconds",
        text="Since the newest record was appended",
        labels=("feed",),
        read=_by_feed(lambda feed: feed.append_age_s),
    ),
    StatusMetric(
        name="topic_held_back_seconds",
        text="How long an open transaction has held readers back; 0 where none does",
        labels=("feed",),
        read=_by_feed(lambda feed: feed.blocked_s),
    ),
    StatusMetric(
        name="feed_kept_seconds",
        text="Age at which both stores forget its records; none where they keep them",
        labels=("feed",),
        read=_by_feed(_kept),
    ),
    StatusMetric(
        name="source_enabled",
        text="1 where it is asked at all; the others below are of those that are",
        labels=("source",),
        read=lambda seen: (((each.name,), each.enabled) for each in seen.status.sources),
    ),
    StatusMetric(
        name="source_paused",
        text="1 while a person has switched it off",
        labels=("source",),
        read=_by_source(lambda source: source.is_paused),
    ),
    StatusMetric(
        name="source_poll_age_seconds",
        text="Since it was asked the last time",
        labels=("source",),
        read=_by_source(lambda source: source.poll_age_s),
    ),
    StatusMetric(
        name="source_due_seconds",
        text="Until it is to be asked again; negative where that should have been",
        labels=("source",),
        read=_by_source(lambda source: source.due_in_s),
    ),
    StatusMetric(
        name="source_failures",
        text="Polls of its worst feed that failed in a row",
        labels=("source",),
        read=_by_source(lambda source: source.failures),
    ),
    StatusMetric(
        name="analytics_waiting_hours",
        text="Hours of keys that changed, or ended, since what is derived of them was made",
        labels=("computation",),
        read=_by_computation(lambda each: each.waiting_hours),
    ),
    StatusMetric(
        name="analytics_waiting_seconds",
        text="How long the first of them has waited; 0 where none does",
        labels=("computation",),
        read=_by_computation(lambda each: each.waits_s),
    ),
    StatusMetric(
        name="analytics_busy",
        text="1 while a run is at work on some of them",
        labels=("computation",),
        read=_by_computation(lambda each: each.is_busy),
    ),
    StatusMetric(
        name="open_incidents",
        text="Incidents that wait for a person",
        labels=("kind",),
        read=_count_incidents,
    ),
    StatusMetric(
        name="open_incident_age_seconds",
        text="How long the oldest of them has waited; none where none is open",
        labels=("kind",),
        read=_age_of_oldest,
    ),
    StatusMetric(
        name="audit_timestamp_seconds",
        text="When an hour of the feed was audited the last time, since 1970",
        labels=("feed",),
        read=_by_audit(lambda audit: audit.at_us / _US),
    ),
    StatusMetric(
        name="audit_faults",
        text="Checks of that audit which found the hour not whole",
        labels=("feed",),
        read=_by_audit(lambda audit: len(audit.faults)),
    ),
    StatusMetric(
        name="part_up",
        text="1 while a process of the embedded stack is as it should be",
        labels=("part",),
        read=_by_part(lambda part: part.is_good),
    ),
    StatusMetric(
        name="part_restarts_total",
        text="How often it was started again since `up`",
        labels=("part",),
        read=_by_part(lambda part: part.restarts),
    ),
    StatusMetric(
        name="disk_used_bytes",
        text="Size of the data folder",
        read=_one(lambda status: None if status.disk is None else status.disk.used_bytes),
    ),
    StatusMetric(
        name="disk_free_bytes",
        text="Free space where the data folder is",
        read=_one(lambda status: None if status.disk is None else status.disk.free_bytes),
    ),
    StatusMetric(
        name="disk_left_seconds",
        text="Until the disk is full, if the data folder goes on growing as it did",
        read=_one(_seconds_left),
    ),
    StatusMetric(
        name="memory_size_bytes",
        text="Memory of the machine",
        read=_one(lambda status: None if status.memory is None else status.memory.size_bytes),
    ),
    StatusMetric(
        name="memory_available_bytes",
        text="Memory that programs can have without swapping",
        read=_one(lambda status: None if status.memory is None else status.memory.available_bytes),
    ),
)

"""Load assets: one a feed and store, one multi-asset a store.

Partitioned by hour of append time. A run without a partition is live: it loads what waits (and with
`follow_s` goes on); a run with one, or with a range, is a replay of these hours from Kafka. The
work is delivery/load.py's and delivery/replay.py's.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping

import dagster as dg
from pydantic import Field

from crypto_platform.assets.events import EventQueue
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import load_key, load_op, topic_key
from crypto_platform.delivery.load import Progress, load
from crypto_platform.delivery.replay import Replayed, replay
from crypto_platform.domain.hours import from_time_us, to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store

REPORT_INTERVAL_S = 30.0
PARTITION_FORMAT = "%Y-%m-%d-%H:%M"


class LoadConfig(dg.Config):
    """How long a live run goes on."""

    follow_s: float = Field(
        default=0.0, ge=0, description="0 loads what waits and ends; the sensor asks for more."
    )


def build_load_partitions(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of append time since the platform was installed, the current one included."""
    return dg.HourlyPartitionsDefinition(start_date=settings.installed_at, end_offset=1)


def build_load_assets(settings: Settings, store_name: str) -> dg.AssetsDefinition:
    """The multi-asset of one store, over all feeds."""
    feed_of = {load_key(store_name, feed): feed for feed in FEEDS}
    specs = [_build_spec(store_name, feed) for feed in FEEDS]

    @dg.multi_asset(
        name=load_op(store_name),
        specs=specs,
        can_subset=True,
        partitions_def=build_load_partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"kafka", store_name},
    )
    def load_store(
        context: dg.AssetExecutionContext, config: LoadConfig
    ) -> Iterator[dg.MaterializeResult]:
        feeds = [feed_of[key] for key in sorted(context.selected_asset_keys)]
        store: Store = getattr(context.resources, store_name).open()
        try:
            if context.has_partition_key or context.has_partition_key_range:
                yield from _replay(context, store, feeds)
            else:
                _load(context, config, store, feeds)
        except PlatformError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        finally:
            store.close()

    return load_store


def _build_spec(store_name: str, feed: Feed[Record]) -> dg.AssetSpec:
    return dg.AssetSpec(
        load_key(store_name, feed),
        deps=[topic_key(feed)],
        skippable=True,
        group_name=store_name,
        kinds={"postgresql" if store_name == "postgres" else "mongodb"},
        description=f"{feed.description} Every record of topic {feed.topic}, exactly once.",
        metadata={"topic": feed.topic},
    )


def _load(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    store: Store,
    feeds: list[Feed[Record]],
) -> None:
    kafka = context.resources.kafka
    stop = threading.Event()

    def publish_incident(incident: Incident) -> None:
        try:
            kafka.publish_incident(incident, publisher=f"load_{store.sink}")
        except PlatformError as error:
            context.log.warning("incident not published, %s holds it: %s", store.sink, error)

    with EventQueue(context.log_event) as events, stopping_on_interrupt(stop):
        reporter = _Reporter(store.sink, feeds, events.put)
        report = load(
            kafka.settings,
            store,
            feeds,
            run_id=context.run.run_id,
            clock=lambda: time.time_ns() // 1000,
            stop=stop,
            follow_s=config.follow_s,
            publish_incident=publish_incident,
            on_commit=reporter.note,
        )
        reporter.report(report.progress)
    context.log.info(
        "%s: %s after %s commits, %s stored, %s repeated, %s quarantined",
        store.sink,
        report.end.value,
        report.progress.commits,
        report.progress.stored_records,
        report.progress.repeated_records,
        report.progress.quarantined_records,
    )


class _Reporter:
    """A materialization per feed and hour it touched, now and then and at the end."""

    def __init__(
        self,
        sink: str,
        feeds: list[Feed[Record]],
        put: Callable[[dg.AssetMaterialization], None],
    ) -> None:
        self._sink = sink
        self._feeds = {feed.name: feed for feed in feeds}
        self._put = put
        self._reported_at = time.monotonic() - REPORT_INTERVAL_S
        self._stored: Mapping[str, int] = {}

    def note(self, progress: Progress) -> None:
        """Called after each commit."""
        if time.monotonic() - self._reported_at >= REPORT_INTERVAL_S:
            self.report(progress)

    def report(self, progress: Progress) -> None:
        """Send what has come since the last time."""
        for name, hours in progress.hours.items():
            stored = progress.stored_records.get(name, 0)
            for hour in sorted(hours):
                self._put(
                    dg.AssetMaterialization(
                        load_key(self._sink, self._feeds[name]),
                        partition=from_time_us(hour).strftime(PARTITION_FORMAT),
                        metadata={
                            "stored_records_since_last_report": stored - self._stored.get(name, 0),
                            "stored_records_of_run": stored,
                            "commits_of_run": progress.commits,
                            "freshness_s_max": round(progress.freshness_s_max, 3),
                            "quarantined_records_of_run": progress.quarantined_records,
                        },
                    )
                )
        self._stored = dict(progress.stored_records)
        self._reported_at = time.monotonic()
        progress.hours.clear()
        progress.freshness_s_max = 0.0


def _replay(
    context: dg.AssetExecutionContext, store: Store, feeds: list[Feed[Record]]
) -> Iterator[dg.MaterializeResult]:
    window = context.partition_time_window
    for feed in feeds:
        replayed = replay(
            context.resources.kafka.settings,
            store,
            feed,
            first_hour=to_time_us(window.start),
            end_hour=to_time_us(window.end),
            run_id=context.run.run_id,
            progress=context.log.info,
        )
        yield _describe(store.sink, feed, replayed)


def _describe(sink: str, feed: Feed[Record], replayed: Replayed) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        load_key(sink, feed),
        metadata={
            "read_records": replayed.read_records,
            "restored_records": replayed.stored_records,
            "already_there_records": replayed.repeated_records,
            "quarantined_records": replayed.quarantined_records,
        },
    )

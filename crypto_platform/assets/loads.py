"""Load assets: one a feed and store, one multi-asset a store.

Partitioned by hour of append time. A run without a partition is live: it loads what waits (and with
`follow_s` goes on); a run with one, or with a range, is a replay of these hours from Kafka. The
work is delivery/load.py's and delivery/replay.py's.
"""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from pydantic import Field

from crypto_platform.assets.descriptions import (
    OWNERS,
    describe_columns,
    refer_to,
    tag,
    trace_columns,
)
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.load_reports import Reporter
from crypto_platform.assets.names import audit_key, load_key, load_op, topic_key
from crypto_platform.assets.partitions import build_append_hours
from crypto_platform.assets.switches import PauseWatch
from crypto_platform.delivery.load import load
from crypto_platform.delivery.replay import Replayed, replay
from crypto_platform.delivery.shards import EVERYTHING, parse_shard
from crypto_platform.domain.hours import to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.serving.pauses import load_sensor
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES
from crypto_platform.stores.base import Store

FRESH_WARN_AFTER = timedelta(minutes=5)
FRESH_FAIL_AFTER = timedelta(minutes=15)
"""Of the last materialization; check `fresh` knows it by seconds."""


class LoadConfig(dg.Config):
    """How long a live run goes on, and which partitions it takes."""

    follow_s: float = Field(
        default=0.0, ge=0, description="0 loads what waits and ends; the sensor asks for more."
    )
    shard: str = Field(
        default=str(EVERYTHING), description="0/2 takes every second partition; 0/1 takes all."
    )


def build_load_assets(settings: Settings, store_name: str) -> dg.AssetsDefinition:
    """The multi-asset of one store, over all feeds."""
    feed_of = {load_key(store_name, feed): feed for feed in FEEDS}
    specs = [_build_spec(store_name, feed) for feed in FEEDS]

    @dg.multi_asset(
        name=load_op(store_name),
        specs=specs,
        can_subset=True,
        partitions_def=build_append_hours(settings),
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
    kind = STORES[store_name]
    columns = kind.columns_of(feed)
    place = ".".join(kind.place_of(feed))
    return dg.AssetSpec(
        load_key(store_name, feed),
        deps=[topic_key(feed)],
        skippable=True,
        group_name=store_name,
        owners=OWNERS,
        tags=tag(feed, "load", store=store_name),
        kinds={kind.product},
        freshness_policy=_freshness_policy(feed),
        description=f"{feed.description} Every record of topic {feed.topic}, exactly once. "
        "Selecting past hours replays them from Kafka: what is missing comes back, nothing is "
        f"doubled. Sensor {load_sensor(store_name)} switched off pauses all loads of {store_name}.",
        metadata={
            "dagster/table_name": place,
            "topic": feed.topic,
            "proved_by": audit_key(feed),
            **{f"same_in_{name}": load_key(name, feed) for name in STORES if name != store_name},
            "shell": f"crypto-platform connect {store_name}",
            **describe_columns(feed, columns),
            **trace_columns(columns, topic_key(feed)),
            **refer_to(the_record=feed.record, the_load=load, the_replay=replay),
        },
    )


def _freshness_policy(feed: Feed[Record]) -> dg.FreshnessPolicy | None:
    """None where silence is good: what a feed of the platform's own holds is trouble."""
    if feed.owned_by_platform:
        return None
    return dg.FreshnessPolicy.time_window(
        fail_window=FRESH_FAIL_AFTER, warn_window=FRESH_WARN_AFTER
    )


def _load(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    store: Store,
    feeds: list[Feed[Record]],
) -> None:
    kafka = context.resources.kafka
    stop = threading.Event()

    def end_if_paused(paused: frozenset[str]) -> None:
        # a load that a person asks for by hand is done, paused or not
        if config.follow_s and store.sink in paused:
            stop.set()
            context.log.info(
                "%s is paused: sensor %s is switched off", store.sink, load_sensor(store.sink)
            )

    def publish_incident(incident: Incident) -> None:
        try:
            kafka.publish_incident(incident, publisher=f"load_{store.sink}")
        except PlatformError as error:
            context.log.warning("incident not published, %s holds it: %s", store.sink, error)

    with (
        Reporter(kafka.settings, store.sink, feeds, context.log_event) as reporter,
        PauseWatch(context.instance, end_if_paused),
        stopping_on_interrupt(stop),
    ):
        report = load(
            kafka.settings,
            store,
            feeds,
            run_id=context.run.run_id,
            clock=lambda: time.time_ns() // 1000,
            stop=stop,
            follow_s=config.follow_s,
            shard=parse_shard(config.shard),
            publish_incident=publish_incident,
            on_commit=reporter.note,
        )
        reporter.report(report.progress, end=report.end)
    context.log.info(
        "%s: %s after %s commits, %s stored, %s repeated, %s quarantined",
        store.sink,
        report.end.value,
        report.progress.commits,
        report.progress.stored_records,
        report.progress.repeated_records,
        report.progress.quarantined_records,
    )


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

"""Observe the topics once a minute: watermarks, records a minute, lag of each store."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import msgspec

from crypto_platform.assets.names import topic_key
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEEDS
from crypto_platform.kafka.topics import topic_name
from crypto_platform.kafka.watermarks import Bounds, Part
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES
from crypto_platform.stores.base import TopicPart

INTERVAL_S = 60


class _Seen(msgspec.Struct, frozen=True):
    """High watermarks by topic at the last observation, and when that was (seconds since 1970)."""

    at: float
    highs: Mapping[str, int]


def build_topics_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that gives each topic asset its observations."""

    @dg.sensor(
        name="topics",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"kafka", *STORES},
        description="Observes each topic: watermarks, records a minute, lag of each store.",
    )
    def topics(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        watermarks = context.resources.kafka.watermarks()
        try:
            ids = watermarks.read_topic_ids(topic_name(settings, feed.topic) for feed in FEEDS)
            parts = [Part(topic, n) for topic, (_, count) in ids.items() for n in range(count)]
            bounds = watermarks.read_bounds(parts)
        except PlatformError as error:
            return dg.SkipReason(f"Kafka was not read: {error}")
        stored = {name: _read_next_offsets(context, name) for name in STORES}
        now = time.time()
        seen = _read_seen(context.cursor)
        events: list[dg.AssetObservation] = []
        highs: dict[str, int] = {}
        for feed in FEEDS:
            name = topic_name(settings, feed.topic)
            of_topic = {part: bounds[part] for part in parts if part.topic == name}
            if not of_topic:
                continue
            highs[name] = sum(bound.high for bound in of_topic.values())
            metadata = _describe(of_topic) | _rate(seen, now, name, highs[name])
            for store, offsets in stored.items():
                metadata |= _lag(store, offsets, ids[name][0], of_topic)
            events.append(dg.AssetObservation(topic_key(feed), metadata=metadata))
        cursor = msgspec.json.encode(_Seen(at=now, highs=highs)).decode()
        return dg.SensorResult(asset_events=events, cursor=cursor)

    return topics


def _read_seen(cursor: str | None) -> _Seen | None:
    """The last observation; None where there was none, or an older release wrote it otherwise."""
    try:
        return msgspec.json.decode(cursor, type=_Seen) if cursor else None
    except msgspec.DecodeError:
        return None


def _read_next_offsets(
    context: dg.SensorEvaluationContext, store_name: str
) -> dict[TopicPart, int] | None:
    """None where the store did not answer: unknown is not zero."""
    store = getattr(context.resources, store_name).open()
    try:
        return {row.partition: row.next_offset for row in store.read_offsets()}
    except PlatformError as error:
        context.log.warning("%s was not read: %s", store_name, error)
        return None
    finally:
        store.close()


def _describe(bounds: Mapping[Part, Bounds]) -> dict[str, Any]:
    return {
        "low_watermark": sum(bound.low for bound in bounds.values()),
        "high_watermark": sum(bound.high for bound in bounds.values()),
        "open_transaction_records": sum(b.high - b.last_stable for b in bounds.values()),
        "retained_offsets": sum(bound.high - bound.low for bound in bounds.values()),
    }


def _rate(seen: _Seen | None, now: float, topic: str, high: int) -> dict[str, Any]:
    if seen is None or topic not in seen.highs or now <= seen.at:
        return {}
    return {"offsets_per_minute": round((high - seen.highs[topic]) / (now - seen.at) * 60, 1)}


def _lag(
    store: str,
    offsets: Mapping[TopicPart, int] | None,
    topic_id: str,
    bounds: Mapping[Part, Bounds],
) -> dict[str, Any]:
    if offsets is None:
        return {f"{store}_lag": "unknown: the store did not answer"}
    lag = sum(
        max(bound.last_stable - offsets.get(TopicPart(topic_id, part.part), 0), 0)
        for part, bound in bounds.items()
    )
    return {f"{store}_lag": lag}

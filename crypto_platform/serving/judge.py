"""What the readings mean together, and the reasons why that is not good.

Here: pure functions from Readings to a Status. Not here: asking (readings.py, status.py), the
values' meaning (health.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

from crypto_platform.delivery.pacing import due_at, find_pace_s
from crypto_platform.delivery.retention import find_kept_days
from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import ConfigurationError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.cursors import Cursor, cursor_key
from crypto_platform.serving.derived import build_analytics, judge_analytics
from crypto_platform.serving.health import (
    DiskStatus,
    FeedStatus,
    IncidentStatus,
    LoadStatus,
    PartStatus,
    Readings,
    SourceStatus,
    Status,
    StoreStatus,
)
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import KafkaReading
from crypto_platform.settings import Settings
from crypto_platform.sources import SourceState, explain_sources, list_feeds
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import StoredOffset, TopicPart

LAG_STALLS_MAX = 2.0
"""A first record that waits longer than so many times load.stall_s is a problem: by then the sensor
has had the time to notice it and to start another run."""

RATE_LAG_S_MAX = 60.0
"""What a store that lags more has stored of the last minute says nothing about its speed."""

BLOCKED_S_MAX = 10.0
"""An open transaction that holds readers back so long is a problem; brokers abort them at 5 s."""

SOURCE_FAILURES_MAX = 3
SOURCE_LATE_S = 120.0
"""A source that is due for so long is not polled any more."""

DAYS_LEFT_AFTER_S = 3600.0
"""From a younger data folder no growth can be told."""

PAUSED_LAG_RATIO_MAX = 0.5
"""Of the time for which Kafka keeps records: a paused store that is further behind is a problem."""

_US = 1_000_000
_S_PER_HOUR = 3600.0
_S_PER_DAY = 86_400.0


def build_status(settings: Settings, readings: Readings) -> Status:
    """Put the readings together and judge them."""
    stores = tuple(_build_store(name, readings) for name in readings.stores)
    loads = tuple(
        _build_load(name, feed.name, readings) for name in readings.stores for feed in FEEDS
    )
    feeds = tuple(_build_feed(settings, feed, readings) for feed in FEEDS)
    sources, source_problems = _build_sources(settings, readings)
    incidents = _build_incidents(readings)
    disk = _build_disk(settings, readings)
    analytics = build_analytics(settings, readings.derived.value, at_us=readings.at_us)
    problems = (
        *_judge_kafka(readings.kafka, feeds),
        *_judge_stores(settings, stores),
        *source_problems,
        *_judge_sources(sources),
        *judge_analytics(settings, analytics),
        *(f"incident {i.kind}: {i.message} -> {i.next_step}; {type_answer(i)}" for i in incidents),
        *_judge_parts(readings.parts or ()),
        *judge_disk(settings, disk),
    )
    return Status(
        at=from_time_us(readings.at_us),
        data_dir=str(settings.data_dir),
        deployment=settings.deployment,
        is_good=not problems,
        problems=problems,
        pauses=(*_list_pauses("source", sources), *_list_pauses("store", stores)),
        webserver_url=settings.dagster.webserver_url,
        webserver_up=readings.webserver_up,
        api_url=settings.api.url,
        kafka_address=settings.kafka.bootstrap_servers,
        kafka_up=_is_up(readings.kafka, settings.kafka.bootstrap_servers),
        kafka_problem=readings.kafka.problem,
        stores=stores,
        loads=loads,
        feeds=feeds,
        sources=sources,
        analytics=analytics,
        incidents=incidents,
        parts=None if readings.parts is None else tuple(readings.parts),
        disk=disk,
        memory=readings.memory,
    )


def _is_up(answer: Answer[KafkaReading], address: str | None) -> bool | None:
    """None where this process has no address to ask: others may have one."""
    return None if answer.value is None and address is None else answer.value is not None


def type_answer(incident: IncidentStatus) -> str:
    """What to type once a person has decided."""
    return f"`crypto-platform incident ack {incident.subject} --reason WHY` acknowledges it"


def find_lags(kafka: KafkaReading, offsets: Iterable[StoredOffset]) -> dict[TopicPart, int]:
    """Offsets that wait in each partition that is not blocked; 0 where none does."""
    rows = {row.partition: row for row in offsets}
    lags: dict[TopicPart, int] = {}
    for partition, bound in kafka.bounds.items():
        row = rows.get(partition)
        if row is None:
            lags[partition] = bound.last_stable - bound.low
        elif row.blocked_by is None:
            lags[partition] = max(bound.last_stable - row.next_offset, 0)
    return lags


def _build_store(name: str, readings: Readings) -> StoreStatus:
    answer, details = readings.stores[name], readings.details[name].value
    address, is_paused = readings.addresses.get(name), _find_pause(name, readings)
    if answer.value is None:
        return StoreStatus(
            name=name, up=False, problem=answer.problem, address=address, is_paused=is_paused
        )
    kafka, offsets = readings.kafka.value, answer.value.offsets
    if kafka is not None:
        offsets = [row for row in offsets if row.partition in kafka.bounds]
    lags = None if kafka is None else find_lags(kafka, offsets)
    lag_s = None if lags is None else _find_lag_s(name, lags, readings)
    stored = None if details is None else details.stored_last_minute
    return StoreStatus(
        name=name,
        up=True,
        version=answer.value.version,
        address=address,
        next_offset=sum(row.next_offset for row in offsets),
        lag_records=None if lags is None else sum(lags.values()),
        lag_s=lag_s,
        records_per_minute=stored if lag_s is not None and lag_s < RATE_LAG_S_MAX else None,
        commit_age_s=_age_s(readings, (row.updated_at for row in offsets)),
        record_age_s=_age_s(readings, (row.max_ts_append for row in offsets)),
        blocked_partitions=sum(is_stopped(row) for row in offsets),
        restoring_partitions=sum(is_restoring(row) for row in offsets),
        quarantined_records=None if details is None else details.matters.quarantined_records,
        is_paused=is_paused,
    )


def is_restoring(row: StoredOffset) -> bool:
    """Claimed by a restore."""
    return (row.blocked_by or "").startswith(RESTORING)


def is_stopped(row: StoredOffset) -> bool:
    """By an incident."""
    return row.blocked_by is not None and not is_restoring(row)


def _find_pause(name: str, readings: Readings) -> bool | None:
    return None if readings.paused is None else name in readings.paused


def _build_load(store: str, feed: str, readings: Readings) -> LoadStatus:
    kafka, answer = readings.kafka.value, readings.stores[store].value
    if kafka is None or answer is None:
        return LoadStatus(store=store, feed=feed)
    parts = {partition for partition, name in kafka.feed_of.items() if name == feed}
    lags = {p: lag for p, lag in find_lags(kafka, answer.offsets).items() if p in parts}
    rows = [row for row in answer.offsets if row.partition in parts]
    blocked = [row.blocked_by for row in rows if row.blocked_by is not None]
    details = readings.details[store].value
    return LoadStatus(
        store=store,
        feed=feed,
        lag_records=sum(lags.values()),
        lag_s=_find_lag_s(store, lags, readings),
        record_age_s=_age_s(readings, (row.max_ts_append for row in rows)),
        blocked_partitions=len(blocked),
        blocked_by=blocked[0] if blocked else None,
        quarantined_records=None if details is None else details.matters.quarantined.get(feed, 0),
    )


def _find_lag_s(name: str, lags: Mapping[TopicPart, int], readings: Readings) -> float | None:
    since = readings.waiting_since.get(name, {})
    waiting = [partition for partition, lag in lags.items() if lag]
    known = [since[partition] for partition in waiting if partition in since]
    if not waiting:
        return 0.0
    return _age_s(readings, [min(known)]) if known else None


def _build_feed(settings: Settings, feed: Feed[Record], readings: Readings) -> FeedStatus:
    kept_days = find_kept_days(settings, feed)
    kafka = readings.kafka.value
    parts = [p for p, name in kafka.feed_of.items() if name == feed.name] if kafka else []
    if kafka is None or not parts:
        return FeedStatus(name=feed.name, topic=feed.topic, kept_days=kept_days)
    bounds = [kafka.bounds[partition] for partition in parts]
    first_of_minute = [
        bound.high if (first := kafka.minute_ago[partition]) is None else first
        for partition, bound in zip(parts, bounds, strict=True)
    ]
    blocked = [readings.blocked_since[p] for p in parts if p in readings.blocked_since]
    high = sum(bound.high for bound in bounds)
    return FeedStatus(
        name=feed.name,
        topic=feed.topic,
        partitions=len(parts),
        low=sum(bound.low for bound in bounds),
        high=high,
        last_stable=sum(bound.last_stable for bound in bounds),
        # counted a moment after the bounds, so it may lie past them
        offsets_per_minute=max(high - sum(first_of_minute), 0),
        append_age_s=_age_s(readings, (kafka.last_append[partition] for partition in parts)),
        blocked_s=_age_s(readings, [min(blocked)]) if blocked else 0.0,
        kept_days=kept_days,
    )


def _build_sources(
    settings: Settings, readings: Readings
) -> tuple[tuple[SourceStatus, ...], tuple[str, ...]]:
    try:
        states, pairs = explain_sources(settings), list_feeds(settings)
    except ConfigurationError as error:
        return (), (str(error),)
    feeds = {name: tuple(f for source, f in pairs if source == name) for name, _ in pairs}
    return tuple(_build_source(settings, state, feeds, readings) for state in states), ()


def _build_source(
    settings: Settings,
    state: SourceState,
    feeds: Mapping[str, tuple[str, ...]],
    readings: Readings,
) -> SourceStatus:
    read = readings.cursors.value
    cursors = {} if read is None else _find_cursors(state.name, read.cursors)
    at_us = readings.at_us if read is None else read.at_us
    due = [
        due_at(cursors[feed], pace_s=find_pace_s(settings, source=state.name, feed=feed))
        for feed in feeds.get(state.name, ())
        if feed in cursors
    ]
    polled_at = max((cursor.polled_at for cursor in cursors.values()), default=None)
    return SourceStatus(
        name=state.name,
        dialect=state.dialect,
        simulated=state.simulated,
        enabled=state.enabled,
        reason=state.reason,
        feeds=feeds.get(state.name, ()),
        poll_age_s=None if polled_at is None else max((at_us - polled_at) / _US, 0.0),
        failures=max((cursor.failures for cursor in cursors.values()), default=None),
        due_in_s=(min(due) - at_us) / _US if due and state.enabled else None,
        is_paused=_find_pause(state.name, readings),
    )


def _find_cursors(source: str, cursors: Mapping[str, Cursor]) -> dict[str, Cursor]:
    """When each of its feeds was asked as a whole, by feed."""
    keys = {feed.name: cursor_key(source, feed.name) for feed in FEEDS}
    return {feed: cursors[key] for feed, key in keys.items() if key in cursors}


def _build_incidents(readings: Readings) -> tuple[IncidentStatus, ...]:
    """Each open incident once: those of ingestion stand in both stores."""
    found: dict[str, Incident] = {}
    for answer in readings.details.values():
        for record in answer.value.matters.incidents if answer.value else ():
            if isinstance(record, Incident):
                found[record.event_id] = record
    newest_first = sorted(found.values(), key=lambda incident: incident.ts_ingest, reverse=True)
    return tuple(
        IncidentStatus(
            event_id=incident.event_id,
            kind=incident.kind,
            subject=incident.subject,
            store=incident.sink,
            source=incident.source,
            feed=incident.feed,
            message=incident.message,
            next_step=incident.next_step,
            age_s=_age_s(readings, [incident.ts_ingest]) or 0.0,
        )
        for incident in newest_first
    )


def _build_disk(settings: Settings, readings: Readings) -> DiskStatus | None:
    disk = readings.disk.value
    if disk is None:
        return None
    age_s = (from_time_us(readings.at_us) - settings.installed_at.astimezone(UTC)).total_seconds()
    days_left = None
    is_installed = "installed_at" in settings.model_fields_set
    if is_installed and age_s >= DAYS_LEFT_AFTER_S and disk.used_bytes:
        days_left = round(disk.free_bytes / disk.used_bytes * age_s / _S_PER_DAY, 1)
    return DiskStatus(used_bytes=disk.used_bytes, free_bytes=disk.free_bytes, days_left=days_left)


def _age_s(readings: Readings, times_us: Iterable[int | None]) -> float | None:
    """Seconds since the latest of these times; None where none is known (0 is none)."""
    latest = max((time_us for time_us in times_us if time_us), default=None)
    return None if latest is None else max((readings.at_us - latest) / _US, 0.0)


def _judge_kafka(kafka: Answer[KafkaReading], feeds: Sequence[FeedStatus]) -> Iterable[str]:
    if kafka.value is None:
        yield f"Kafka is down: {kafka.problem}"
        return
    if kafka.value.missing:
        yield (f"no topic for {', '.join(kafka.value.missing)}: `crypto-platform up` creates them")
    for feed in feeds:
        if feed.blocked_s is not None and feed.blocked_s > BLOCKED_S_MAX:
            yield (
                f"an open transaction has held back the readers of {feed.topic} for "
                f"{feed.blocked_s:.0f} s"
            )


def _judge_stores(settings: Settings, stores: Sequence[StoreStatus]) -> Iterable[str]:
    lag_s_max = settings.load.stall_s * LAG_STALLS_MAX
    for store in stores:
        if not store.up:
            yield f"{store.name} is down: {store.problem}"
        elif store.is_paused:
            yield from judge_paused_store(settings, store)
        elif store.lag_s is not None and store.lag_s > lag_s_max:
            yield (
                f"{store.name}: {store.lag_records} records wait, the first of them for "
                f"{store.lag_s:.0f} s (good is up to {lag_s_max:.0f} s)"
            )
        if store.restoring_partitions:
            yield (
                f"{store.name}: {store.restoring_partitions} partitions are being restored, loads "
                f"wait: `crypto-platform restore {store.name}` goes on with it if it was killed"
            )
        if store.blocked_partitions:
            yield (
                f"{store.name}: {store.blocked_partitions} partitions are stopped by an incident: "
                "`crypto-platform incident list` names them"
            )


def judge_paused_store(settings: Settings, store: StoreStatus) -> Iterable[str]:
    """Its lag is meant, until Kafka is about to remove what waits."""
    kept_s = settings.kafka.retention_hours * _S_PER_HOUR
    if store.lag_s is not None and store.lag_s > kept_s * PAUSED_LAG_RATIO_MAX:
        yield (
            f"{store.name} is paused and its first waiting record is "
            f"{store.lag_s / _S_PER_HOUR:.0f} h old; Kafka removes records after "
            f"{settings.kafka.retention_hours} h: `crypto-platform resume {store.name}` loads them"
        )


def _list_pauses(what: str, found: Iterable[SourceStatus | StoreStatus]) -> Iterable[str]:
    return (
        f"{what} {each.name} is paused: `crypto-platform resume {each.name}` goes on"
        for each in found
        if each.is_paused
    )


def _judge_sources(sources: Sequence[SourceStatus]) -> Iterable[str]:
    if sources and not any(source.enabled for source in sources):
        yield "no source is read: `crypto-platform sources` says why"
    for source in sources:
        if not source.enabled or source.is_paused:
            continue
        if source.failures is not None and source.failures >= SOURCE_FAILURES_MAX:
            yield f"source {source.name} failed {source.failures} times in a row"
        elif source.due_in_s is not None and source.due_in_s < -SOURCE_LATE_S:
            yield f"source {source.name} has been due for {-source.due_in_s:.0f} s: nobody polls it"


def _judge_parts(parts: Sequence[PartStatus]) -> Iterable[str]:
    return (f"{part.name} is {part.state}" for part in parts if not part.is_good)


def judge_disk(settings: Settings, disk: DiskStatus | None) -> Iterable[str]:
    """Less is free than `up` wants."""
    if disk is not None and disk.free_bytes < settings.stack.disk_free_bytes_min:
        yield f"only {disk.free_bytes / 1e9:.2f} GB are free where {settings.data_dir} is"

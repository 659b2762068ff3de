"""Prove that every record of Kafka stands in each store once, or in quarantine once.

Here: what is audited in which order, and what it adds up to. Not here: one partition
(audit_partition.py), the comparison of a range (audit_ranges.py) and of a store's own account
(audit_batches.py), the command (cli/audit.py).

Each partition is read once, from the low watermark to where the furthest store has come (capped at
the last stable offset); a store is compared up to where it had come when the audit began, so that
loads may go on meanwhile: what lies below its next_offset does not change any more. What retention
has removed from Kafka is compared with what the loads wrote down when they stored it (load_batch).
Nothing is written anywhere. Memory holds two chunks of Kafka's values, whatever the size. A whole
audit also asks for rows that arrived in no partition the store knows, and reconciles users'
accounts (reconciliation.py); of a part of the time neither can be said.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from crypto_platform.delivery.audit_partition import AuditContext, PartitionAudit, PartitionResult
from crypto_platform.delivery.audit_report import (
    AuditReport,
    Fault,
    FeedTotal,
    Finding,
    Findings,
    Listing,
    Tally,
    format_time,
)
from crypto_platform.delivery.audit_scene import KafkaLog, Log, Place, look_until_loaded
from crypto_platform.delivery.reconciliation import reconcile
from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import IncidentError, IncidentKind
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.account_events import ACCOUNT_EVENTS
from crypto_platform.kafka.topics import topic_name
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store
from crypto_platform.stores.claims import TopicPart

ATTEMPTS_MAX = 3
"""Of one partition, whose beginning retention may remove while it is read."""


@dataclass(frozen=True, kw_only=True)
class AuditProgress:
    """How far an audit has come, in Kafka's offsets.

    Attributes:
        hour: First microsecond of the hour of append time just compared, None where it holds
            nothing but markers.
    """

    feed: str
    part: int
    hour: int | None
    done_offsets: int
    all_offsets: int


def audit(
    settings: Settings,
    stores: Mapping[str, Store],
    feeds: Sequence[Feed[Record]],
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    wait_s: float = 0.0,
    deep: bool = False,
    progress: Callable[[AuditProgress], None] = lambda _: None,
    listing: Listing | None = None,
    log: Log | None = None,
) -> AuditReport:
    """Compare Kafka with every store, both ways.

    Args:
        stores: By sink; only read, each by a thread of its own.
        since_us: Begin at the hour of append time that holds this time (microseconds); what is
            older is left out, load_batch sums included.
        until_us: End before this time, a whole hour (microseconds); lag is then counted to it.
        wait_s: Longest wait for the stores to catch up first; who has not come by then to where
            Kafka ended at the beginning is named as behind.
        deep: Compare every id, decode Kafka's values by all rules, and hash the columns as they
            are read back.
        progress: Called after each chunk.
        listing: Gets every fault; the report names the first ones and counts all.
        log: Stands in for Kafka in tests.

    Raises:
        StoreUnavailableError, StoreRefusedError, KafkaUnavailableError: Something does not answer;
            nothing is proved.
    """
    begun = time.monotonic()
    audited_at_us = time.time_ns() // 1000
    log = log or KafkaLog(settings)
    scene = look_until_loaded(settings, stores, feeds, log, wait_s=wait_s)
    with ExitStack() as closing:
        context = AuditContext(
            stores=stores,
            workers={
                name: closing.enter_context(ThreadPoolExecutor(1, f"audit-{name}"))
                for name in stores
            },
            begun_us=audited_at_us,
            log=log,
            scene=scene,
            since_us=since_us,
            until_us=until_us,
            deep=deep,
            listing=listing,
        )
        results = _audit_places(context, scene.places, progress)
    findings = [finding for result in results for finding in result.findings]
    if context.is_whole:
        findings += _find_strays(settings, stores, feeds, listing)
    accounts = None
    if context.is_whole and any(feed.name == ACCOUNT_EVENTS.name for feed in feeds):
        accounts = reconcile(settings, stores, wait_s=wait_s, log=log)
    return AuditReport(
        whole=not findings and (accounts is None or accounts.whole),
        deep=deep,
        audited_at=format_time(audited_at_us),
        since=None if since_us is None else format_time(hour_of(since_us)),
        seconds=round(time.monotonic() - begun, 3),
        feeds={feed.name: _add_up(feed, stores, results) for feed in feeds},
        lag={name: context.count_lag(name) for name in stores},
        behind=[name for name in stores if wait_s and scene.is_behind(name)],
        findings=findings,
        hours=[line for result in results for line in result.lines],
        lost=[lost for result in results for lost in result.lost],
        notes=[
            *(note for result in results for note in result.notes),
            *_describe_removed(feeds, stores, results),
        ],
        reconciliation=accounts,
    )


def _audit_places(
    context: AuditContext, places: Sequence[Place], progress: Callable[[AuditProgress], None]
) -> list[PartitionResult]:
    """Audit partitions one after another."""
    results: list[PartitionResult] = []
    all_offsets = sum(map(context.count_offsets, places))
    done_offsets = 0
    for place in places:
        before = done_offsets

        def note(
            offsets: int, hour: int | None, place: Place = place, before: int = before
        ) -> None:
            progress(
                AuditProgress(
                    feed=place.feed.name,
                    part=place.partition.part,
                    hour=hour,
                    done_offsets=before + offsets,
                    all_offsets=all_offsets,
                )
            )

        results.append(_audit_place(context, place, note))
        done_offsets += context.count_offsets(place)
    return results


def _audit_place(
    context: AuditContext, place: Place, note: Callable[[int, int | None], None]
) -> PartitionResult:
    """Audit one partition, anew where retention removed something of it meanwhile."""
    listed = context.listing.tell() if context.listing else 0
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            result = PartitionAudit(context, place, note).audit()
            if not result.findings or not result.is_outdated:
                return result
        except IncidentError as error:
            if error.kind is not IncidentKind.RETENTION_GAP:
                raise
            context.finish_asking()
            bounds = context.log.read_bounds([place.part])[place.part]
            place = Place(
                feed=place.feed, topic=place.topic, partition=place.partition, bounds=bounds
            )
        if context.listing:
            context.listing.go_back(listed)
    return PartitionAudit(context, place, note).audit()


def _find_strays(
    settings: Settings,
    stores: Mapping[str, Store],
    feeds: Sequence[Feed[Record]],
    listing: Listing | None,
) -> list[Finding]:
    """Rows that arrived where the store has never been."""
    found: list[Finding] = []
    for store in stores.values():
        for feed in feeds:
            topic = topic_name(settings, feed.topic)
            by_part: dict[int, Findings] = {}
            known = _list_known(store, topic)
            for number, row in enumerate(store.read_strays(feed, known)):
                if number == 0:
                    # a load may have begun with a partition in between
                    known = _list_known(store, topic)
                if (row.topic_id, row.part) in known:
                    continue
                findings = by_part.setdefault(
                    row.part,
                    Findings(feed=feed.name, topic=topic, part=row.part, listing=listing),
                )
                place = f"topic id {row.topic_id}" if row.topic_id else "no topic at all"
                findings.add(
                    Fault.EXTRA,
                    store.sink,
                    event_id=row.event_id,
                    offset=row.offset,
                    detail=f"its arrival is of {place}, which the store has never loaded",
                )
            found += [one for findings in by_part.values() for one in findings.findings()]
    return found


def _list_known(store: Store, topic: str) -> set[TopicPart]:
    return {row.partition for row in store.read_offsets() if row.topic == topic}


def _describe_removed(
    feeds: Sequence[Feed[Record]], stores: Mapping[str, Store], results: Sequence[PartitionResult]
) -> Iterator[str]:
    """What retention has removed, a line a store and feed."""
    for name in stores:
        for feed in feeds:
            own = [
                each
                for result in results
                if result.feed == feed.name
                for each in result.removed[name]
            ]
            if own:
                count = sum(each.removed.count for each in own)
                before = format_time(max(each.events_before for each in own))
                yield (
                    f"{name}: retention has removed {count:,} records of {feed.name}, all with "
                    f"events before {before}"
                )


def _add_up(
    feed: Feed[Record], stores: Mapping[str, Store], results: Sequence[PartitionResult]
) -> FeedTotal:
    total = Tally()
    for name in stores:
        total.store(name)
    for result in results:
        if result.feed == feed.name:
            total.add(result.total)
    return FeedTotal(kafka=total.count_kafka(), stores=total.count_stores())

"""Prove that every record of Kafka stands in each store once, or in quarantine once.

Here: what is audited in which order, and what it adds up to. Not here: one partition
(audit_partition.py), the comparison of a range (audit_ranges.py) and of a store's own account
(audit_batches.py), the command (cli/audit.py).

Each partition is read once, from the low watermark to where the furthest store has come (capped at
the last stable offset); a store is compared up to where it had come when the audit began, so that
loads may go on meanwhile: what lies below its next_offset does not change any more. What retention
has removed from Kafka is compared with what the loads wrote down when they stored it (load_batch).
Nothing is written anywhere. Memory holds one chunk of ids and hashes, whatever the size.

Not seen: a row without an arrival (an incident that its load wrote and Kafka has not brought yet is
one, and rightly so), or with one in a topic or partition that the store's offsets do not know.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crypto_platform.delivery.audit_partition import AuditContext, PartitionAudit, PartitionResult
from crypto_platform.delivery.audit_report import AuditReport, FeedTotal, Tally, format_time
from crypto_platform.delivery.audit_scene import KafkaLog, Log, Place, look_until_settled
from crypto_platform.domain.hours import hour_of
from crypto_platform.errors import IncidentError, IncidentKind
from crypto_platform.feeds import Feed, Record
from crypto_platform.settings import Settings
from crypto_platform.stores.base import Store

ATTEMPTS_MAX = 3
"""Of one partition, whose beginning retention may remove while it is read."""


@dataclass(frozen=True, kw_only=True)
class AuditProgress:
    """How far an audit has come, in Kafka's offsets."""

    feed: str
    part: int
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
    log: Log | None = None,
) -> AuditReport:
    """Compare Kafka with every store, both ways.

    Args:
        stores: By sink; only read.
        since_us: Begin at the hour of append time that holds this time (microseconds); what is
            older is left out, load_batch sums included.
        until_us: End before this time, a whole hour (microseconds); lag is then counted to it.
        wait_s: Longest wait for the stores to catch up first.
        deep: Compare every id and hash the columns as they are read back.
        progress: Called after each chunk.
        log: Stands in for Kafka in tests.

    Raises:
        StoreUnavailableError, StoreRefusedError, KafkaUnavailableError: Something does not answer;
            nothing is proved.
    """
    begun = time.monotonic()
    audited_at_us = time.time_ns() // 1000
    log = log or KafkaLog(settings)
    scene = look_until_settled(settings, stores, feeds, log, wait_s=wait_s)
    context = AuditContext(
        stores=stores, log=log, scene=scene, since_us=since_us, until_us=until_us, deep=deep
    )
    results: list[PartitionResult] = []
    all_offsets = sum(context.count_offsets(place) for place in scene.places)
    done_offsets = 0
    for place in scene.places:
        before = done_offsets

        def note(offsets: int, place: Place = place, before: int = before) -> None:
            progress(
                AuditProgress(
                    feed=place.feed.name,
                    part=place.partition.part,
                    done_offsets=before + offsets,
                    all_offsets=all_offsets,
                )
            )

        results.append(_audit_place(context, place, note))
        done_offsets += context.count_offsets(place)
    findings = [finding for result in results for finding in result.findings]
    return AuditReport(
        whole=not findings,
        deep=deep,
        audited_at=format_time(audited_at_us),
        since=None if since_us is None else format_time(hour_of(since_us)),
        seconds=round(time.monotonic() - begun, 3),
        feeds={feed.name: _add_up(feed, stores, results) for feed in feeds},
        lag={name: context.count_lag(name) for name in stores},
        findings=findings,
        hours=[line for result in results for line in result.lines],
        notes=[note for result in results for note in result.notes],
    )


def _audit_place(
    context: AuditContext, place: Place, note: Callable[[int], None]
) -> PartitionResult:
    """Audit one partition, anew where retention removed its beginning meanwhile."""
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            return PartitionAudit(context, place, note).audit()
        except IncidentError as error:
            if error.kind is not IncidentKind.RETENTION_GAP:
                raise
            bounds = context.log.read_bounds([place.part])[place.part]
            place = Place(
                feed=place.feed, topic=place.topic, partition=place.partition, bounds=bounds
            )
    return PartitionAudit(context, place, note).audit()


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

"""Short words for tests of the status: readings with literal defaults, nothing behind them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.incidents import OPEN, Incident, build_incident
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.kafka.watermarks import Bounds, Part
from crypto_platform.serving.health import PartStatus, Readings
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import (
    CursorsReading,
    DerivedReading,
    DiskReading,
    KafkaReading,
    StoreDetails,
    StoreReading,
)
from crypto_platform.settings import Settings, load_settings
from crypto_platform.stores.claims import StoredOffset, TopicPart
from crypto_platform.stores.matters import OpenMatters

TOPIC_ID = "11111111-2222-3333-4444-555555555555"
P0 = TopicPart(TOPIC_ID, 0)
P1 = TopicPart(TOPIC_ID, 1)
NOON = 1_763_812_800_000_000
"""2025-11-22 12:00:00 UTC."""
SECOND = 1_000_000


def settings_of(data_dir: Path, **variables: str) -> Settings:
    """Settings of an empty folder, with these variables after CRYPTO_PLATFORM_."""
    environment = {f"CRYPTO_PLATFORM_{name}": value for name, value in variables.items()}
    return load_settings(data_dir, environment=environment)


def bounds(*, low: int = 0, last_stable: int = 100, high: int | None = None) -> Bounds:
    """A partition's bounds; no transaction is open unless `high` says so."""
    return Bounds(low=low, last_stable=last_stable, high=last_stable if high is None else high)


def kafka_reading(
    found: Mapping[TopicPart, Bounds], *, minute_ago: Mapping[TopicPart, int | None] | None = None
) -> KafkaReading:
    """Partitions of market.quotes, last appended to a second before noon."""
    return KafkaReading(
        feed_of=dict.fromkeys(found, "quotes"),
        names={partition: Part("market.quotes", partition.part) for partition in found},
        missing=(),
        bounds=found,
        minute_ago=minute_ago or dict.fromkeys(found),
        last_append=dict.fromkeys(found, NOON - SECOND),
    )


def offset(
    partition: TopicPart,
    next_offset: int,
    *,
    blocked_by: str | None = None,
    max_ts_append: int = NOON - SECOND,
) -> StoredOffset:
    """How far a store has come; the last commit was half a second before noon."""
    return StoredOffset(
        topic="market.quotes",
        partition=partition,
        next_offset=next_offset,
        leader_epoch=0,
        max_ts_append=max_ts_append,
        epoch=1,
        owner_run_id="run",
        claimed_at=NOON - 10 * SECOND,
        updated_at=NOON - SECOND // 2,
        blocked_by=blocked_by,
    )


def store_reading(*offsets: StoredOffset) -> StoreReading:
    """A store that answers."""
    return StoreReading(version="18.6", offsets=offsets)


def details(
    *, quarantined: int = 0, incidents: Sequence[str] = (), stored: int | None = 13_200
) -> StoreDetails:
    """What waits for a person: nothing, or records of quotes, or incidents of these subjects."""
    matters = OpenMatters(
        quarantined={"quotes": quarantined} if quarantined else {},
        incidents=tuple(incident(subject) for subject in incidents),
    )
    return StoreDetails(matters=matters, stored_last_minute=stored)


def incident(subject: str) -> Incident:
    """One that stops a partition of quotes in PostgreSQL, by its subject."""
    return build_incident(
        Incident(
            kind=IncidentKind.SOURCE_DRIFT.value,
            state=OPEN,
            subject=subject,
            sink="postgres",
            feed="quotes",
            message="1000 records were refused",
            next_step="look at them",
            ts_ingest=NOON - 60 * SECOND,
        )
    )


def readings(
    *,
    kafka: Answer[KafkaReading] | None = None,
    postgres: Answer[StoreReading] | None = None,
    mongo: Answer[StoreReading] | None = None,
    postgres_details: Answer[StoreDetails] | None = None,
    waiting_since: Mapping[TopicPart, int] | None = None,
    blocked_since: Mapping[TopicPart, int] | None = None,
    cursors: Mapping[str, Cursor] | None = None,
    free_bytes: int = 50 * 1000**3,
    parts: tuple[PartStatus, ...] | None = None,
    paused: frozenset[str] | None = None,
) -> Readings:
    """A good platform at noon, with what a test says otherwise."""
    polled = {"simulated/quotes/": Cursor(polled_at=NOON - SECOND // 2)}
    good = store_reading(offset(P0, 100))
    return Readings(
        at_us=NOON,
        kafka=kafka or Answer(value=kafka_reading({P0: bounds()})),
        stores={"postgres": postgres or Answer(value=good), "mongo": mongo or Answer(value=good)},
        details={
            "postgres": postgres_details or Answer(value=details()),
            "mongo": Answer(value=details()),
        },
        cursors=Answer(
            value=CursorsReading(at_us=NOON, cursors=polled if cursors is None else cursors)
        ),
        disk=Answer(value=DiskReading(used_bytes=1000**3, free_bytes=free_bytes)),
        derived=Answer(value=DerivedReading(waiting={}, is_busy=False)),
        webserver_up=True,
        parts=parts,
        waiting_since={} if waiting_since is None else {"postgres": waiting_since},
        blocked_since=blocked_since or {},
        paused=paused,
    )

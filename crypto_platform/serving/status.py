"""Ask all parts how they are, once (`read_status`) or again and again (`StatusReader`).

Here: which part is asked how often, and what is remembered from one time to the next. A part that
does not answer in time is shown as down, and the others are shown all the same. Connections stay
open between readings, so that a look once a second costs little. Not here: what is asked
(readings.py), what it means (judge.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

from crypto_platform.kafka.cursors import read_cursors
from crypto_platform.kafka.watermarks import Watermarks
from crypto_platform.serving.health import PartStatus, Readings, Status
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.memory import Memory
from crypto_platform.serving.probe import Answer, Probe
from crypto_platform.serving.readings import (
    CursorsReading,
    DerivedReading,
    KafkaReading,
    StoreDetails,
    StoreReading,
    answers,
    count_stored,
    read_derived,
    read_disk,
    read_first_waiting,
    read_kafka,
    read_memory,
    read_store,
)
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, Role, open_analytics, open_store
from crypto_platform.stores.base import Store
from crypto_platform.stores.postgres.analytics import AnalyticsStore

ANSWER_S_MAX = 3.0
"""A part that has not answered by then is down."""

CLIENT_TIMEOUT_S = 1.0
"""Of one request to Kafka: a reading asks a few of them one after another."""

SLOW_EVERY_S = 10.0
"""Between two looks at what changes slowly: cursors, quarantine, incidents, rates, the UI."""

DISK_EVERY_S = 60.0

Clock = Callable[[], int]
ReadParts = Callable[[], Sequence[PartStatus] | None]
ReadPaused = Callable[[], frozenset[str]]


def read_clock_us() -> int:
    """Microseconds since 1970 by this machine's clock."""
    return time.time_ns() // 1000


def read_status(
    settings: Settings,
    *,
    read_parts: ReadParts = lambda: None,
    read_paused: ReadPaused | None = None,
) -> Status:
    """Ask everything once.

    Args:
        settings: Of the data folder, the addresses included.
        read_parts: What the supervisor of an embedded stack says; None where none runs.
        read_paused: What a person has paused. May raise a PlatformError or take its time: then that
            is unknown, as it is without.
    """
    reader = StatusReader(settings, read_parts=read_parts, read_paused=read_paused)
    try:
        return reader.read()
    finally:
        reader.close()


class StatusReader:
    """Reads the status again and again. One thread uses it."""

    def __init__(
        self,
        settings: Settings,
        *,
        read_parts: ReadParts = lambda: None,
        read_paused: ReadPaused | None = None,
        clock_us: Clock = read_clock_us,
    ) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._read_parts = read_parts
        self._clock_us = clock_us
        impatient = settings.kafka.model_copy(update={"request_timeout_s": CLIENT_TIMEOUT_S})
        kafka_settings = settings.model_copy(update={"kafka": impatient})
        watermarks = Watermarks(kafka_settings)
        self._kafka_settings = kafka_settings
        self._kafka = Probe(lambda: read_kafka(kafka_settings, watermarks, now_us=clock_us()))
        self._cursors = Probe(
            lambda: CursorsReading(
                at_us=clock_us(), cursors=read_cursors(kafka_settings, watermarks)
            ),
            every_s=SLOW_EVERY_S,
        )
        self._disk = Probe(lambda: read_disk(settings.data_dir), every_s=DISK_EVERY_S)
        self._analytics: AnalyticsStore | None = None
        self._derived = Probe(self._read_derived, every_s=SLOW_EVERY_S)
        url = settings.dagster.webserver_url
        self._webserver = Probe(lambda: answers(url), every_s=SLOW_EVERY_S) if url else None
        self._paused = Probe(read_paused, every_s=SLOW_EVERY_S) if read_paused else None
        self._stores = {name: _StoreProbes(settings, name) for name in STORES}
        self._memory = Memory()

    def read(self) -> Status:
        """Ask, and wait for answers; what does not answer holds it up once, not every time."""
        at_us = self._clock_us()
        for probe in (self._kafka, self._disk, *(s.offsets for s in self._stores.values())):
            probe.ask()
        for probe in (self._derived, self._webserver, self._paused):
            if probe is not None:
                probe.ask()
        kafka = self._kafka.answer(within_s=ANSWER_S_MAX)
        stores = {
            name: store.offsets.answer(within_s=ANSWER_S_MAX)
            for name, store in self._stores.items()
        }
        self._memory.note(at_us, kafka.value, stores)
        self._ask_details(kafka.value, stores)
        self._look_for_first_waiting(at_us, kafka.value)
        webserver = self._webserver and self._webserver.answer(within_s=ANSWER_S_MAX)
        paused = self._paused and self._paused.answer(within_s=ANSWER_S_MAX)
        details = {n: s.details.answer(within_s=ANSWER_S_MAX) for n, s in self._stores.items()}
        readings = Readings(
            at_us=at_us,
            kafka=kafka,
            stores=stores,
            details=details,
            cursors=self._cursors.answer(within_s=ANSWER_S_MAX),
            disk=self._disk.answer(within_s=ANSWER_S_MAX),
            derived=self._derived.answer(within_s=ANSWER_S_MAX),
            memory=read_memory(),
            webserver_up=None if webserver is None else bool(webserver.value),
            parts=self._read_parts(),
            addresses={name: _find_address(self._settings, name) for name in STORES},
            waiting_since=self._memory.waiting_since(),
            blocked_since=self._memory.blocked_since(),
            paused=None if paused is None else paused.value,
        )
        return build_status(self._settings, readings)

    def close(self) -> None:
        """Give back connections."""
        for store in self._stores.values():
            store.close()
        if self._analytics is not None:
            self._analytics.close()

    def _read_derived(self) -> DerivedReading:
        self._analytics = self._analytics or open_analytics(
            self._settings, role=find_role(self._settings)
        )
        return read_derived(self._analytics, now_us=self._clock_us())

    def _ask_details(
        self, kafka: KafkaReading | None, stores: Mapping[str, Answer[StoreReading]]
    ) -> None:
        """What needs the first answers, and is asked of those that gave one."""
        if kafka is not None:
            self._cursors.ask()
        for name, answer in stores.items():
            if answer.value is not None:
                self._stores[name].ask_details(kafka, answer.value)

    def _look_for_first_waiting(self, at_us: int, kafka: KafkaReading | None) -> None:
        """Look into Kafka for what stands still, for only there is written since when it waits."""
        if kafka is None:
            return
        # a partition may stand at different offsets in different stores: a question each
        for store, offsets in self._memory.unknown.items():
            named = {kafka.names[partition]: offset for partition, offset in offsets.items()}
            if not named:
                continue
            probe = Probe(lambda named=named: read_first_waiting(self._kafka_settings, named))
            probe.ask()
            found = probe.answer(within_s=ANSWER_S_MAX).value or {}
            for partition in offsets:
                part = kafka.names[partition]
                if part in found:
                    self._memory.keep_first_waiting(at_us, store, partition, found[part])


class _StoreProbes:
    """The questions to one store, each over a connection of its own: one may be slow."""

    def __init__(self, settings: Settings, name: str) -> None:
        role = find_role(settings)
        self._open = lambda: open_store(name, settings, role=role)
        self._sees_details = name != "postgres" or role != "api"
        self._offsets_store: Store | None = None
        self._details_store: Store | None = None
        self._kafka: KafkaReading | None = None
        self._reading: StoreReading | None = None
        self.offsets = Probe(self._read_offsets)
        self.details = Probe(self._read_details, every_s=SLOW_EVERY_S)

    def ask_details(self, kafka: KafkaReading | None, reading: StoreReading) -> None:
        """Matters and rate, where the role may see them; once the offsets have been answered."""
        if not self._sees_details:
            return
        self._kafka, self._reading = kafka, reading
        self.details.ask()

    def close(self) -> None:
        """Give back both connections."""
        for store in (self._offsets_store, self._details_store):
            if store is not None:
                store.close()

    def _read_offsets(self) -> StoreReading:
        self._offsets_store = self._offsets_store or self._open()
        return read_store(self._offsets_store)

    def _read_details(self) -> StoreDetails:
        self._details_store = store = self._details_store or self._open()
        kafka, reading = self._kafka, self._reading
        stored = None
        if kafka is not None and reading is not None:
            stored = count_stored(store, kafka, reading.offsets)
        return StoreDetails(matters=store.read_open_matters(), stored_last_minute=stored)


def find_role(settings: Settings) -> Role:
    """As whom PostgreSQL is asked: the HTTP API's role sees how far it is, not what waits there."""
    return "analyst" if settings.postgres.analyst_url or not settings.postgres.api_url else "api"


def _find_address(settings: Settings, store: str) -> str | None:
    """host:port of a store's URL; never its user or password."""
    role = find_role(settings) if store == "postgres" else "analyst"
    url: SecretStr | None = getattr(getattr(settings, store), f"{role}_url")
    if url is None:
        return None
    return urlsplit(url.get_secret_value()).netloc.rpartition("@")[2] or None

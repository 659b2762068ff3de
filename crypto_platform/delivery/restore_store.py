"""A restore as a person asks for it: tables, records, what came since, and the proof.

Here: these four in a row, the records from an origin or from a backup, for the command and for the
Dagster job alike. Not here: what is restored and how (restore.py, backup.py), how migrating is done
(handed in: it lies above this).
"""

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crypto_platform.delivery.audit import audit
from crypto_platform.delivery.audit_report import AuditReport
from crypto_platform.delivery.backup import BackupError, StoreFacts, put_back
from crypto_platform.delivery.load import LoadReport, load
from crypto_platform.delivery.restore import (
    RestoreProgress,
    RestoreReport,
    open_origin,
    plan_into_nothing,
    plan_restore,
    restore,
)
from crypto_platform.delivery.restore_kafka import Topics
from crypto_platform.delivery.restore_plan import Origin, Place, RestorePlan
from crypto_platform.errors import PlatformError, StoreRefusedError, StoreUnavailableError
from crypto_platform.feeds import FEEDS, Feed, Record
from crypto_platform.feeds.incidents import Incident
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES, open_store, open_stores
from crypto_platform.stores.base import Store
from crypto_platform.stores.batches import RESTORING
from crypto_platform.stores.claims import Claim, TopicPart
from crypto_platform.stores.dump import Dumper

KAFKA, MIRROR = "kafka", "mirror"
ORIGINS = (KAFKA, MIRROR)

SETTLE_S_MAX = 60.0
"""How long the proof waits for both stores to have caught up."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came of it.

    Attributes:
        loaded: What Kafka had beyond; None where a person stopped the restore before.
        audit: The same.
    """

    report: RestoreReport
    loaded: LoadReport | None = None
    audit: AuditReport | None = None

    @property
    def is_proved(self) -> bool:
        """The audit was made, and found both stores whole and loaded."""
        return self.audit is not None and self.audit.is_proved

    @property
    def is_whole(self) -> bool:
        """Everything is back, and proved."""
        return self.is_proved and not self.report.changed


def find_mirror(store_name: str) -> str:
    """The other store."""
    return next(name for name in STORES if name != store_name)


@contextmanager
def _opened(
    settings: Settings, store_name: str, origin_name: str, feeds: Sequence[Feed[Record]]
) -> Generator[tuple[Store, Origin]]:
    is_from_kafka = origin_name == KAFKA
    with ExitStack() as closing:
        store = open_store(store_name, settings)
        closing.callback(store.close)
        mirror = _open_mirror(settings, store_name, closing, is_needed=not is_from_kafka)
        yield store, open_origin(settings, store, feeds, mirror=mirror, is_from_kafka=is_from_kafka)


def _open_mirror(
    settings: Settings, store_name: str, closing: ExitStack, *, is_needed: bool
) -> Store | None:
    """The other store; None where it does not answer and is not needed."""
    try:
        mirror = open_store(find_mirror(store_name), settings)
        closing.callback(mirror.close)
        if not is_needed:
            mirror.read_offsets()
    except PlatformError:
        if is_needed:
            raise
        return None
    return mirror


def plan(
    settings: Settings,
    store_name: str,
    origin_name: str,
    *,
    is_derived: bool = False,
    is_gone: bool = False,
) -> RestorePlan:
    """What would be done, also into a store that has no tables any more; nothing is written.

    Args:
        is_derived: See plan_restore.
        is_gone: The store cannot even be asked: its database is missing.
    """
    with _opened(settings, store_name, origin_name, FEEDS) as (store, origin):
        if is_gone:
            return plan_into_nothing(store_name, origin)
        try:
            return plan_restore(store, origin, is_derived=is_derived)
        except StoreRefusedError:
            return plan_into_nothing(store_name, origin)


def carry_out(
    settings: Settings,
    store_name: str,
    origin_name: str,
    *,
    run_id: str,
    is_derived: bool = False,
    migrate: Callable[[], None],
    stop: threading.Event,
    progress: Callable[[RestoreProgress], None],
    say: Callable[[str], None],
    publish_incident: Callable[[Incident], None],
) -> Restored:
    """Restore a store whole; see restore.restore for errors.

    Args:
        origin_name: One of ORIGINS.
        is_derived: See plan_restore.
        migrate: Makes tables and collections that are missing.
        say: Takes a line for people as each of the last steps begins.
        publish_incident: Best effort.
    """
    migrate()
    return _restore_from(
        settings,
        store_name,
        origin_name,
        run_id=run_id,
        is_derived=is_derived,
        stop=stop,
        progress=progress,
        say=say,
        publish_incident=publish_incident,
    )


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What keeps loads off while a store is replaced.

    Attributes:
        before: What stopped each partition until then.
    """

    store: Store
    held: Sequence[Claim] = ()
    before: Mapping[TopicPart, str | None] = field(default_factory=dict[TopicPart, str | None])

    @classmethod
    def take(cls, store: Store, places: Sequence[Place], *, run_id: str) -> "Claims":
        """Of all partitions."""
        before = {row.partition: row.blocked_by for row in store.read_offsets()}
        held = store.claim_restore(places, run_id=run_id)
        return cls(store=store, held=held, before=before)

    def undo(self) -> None:
        """Let loads go on as they did; what a restore that was killed had, it keeps."""
        for claim in self.held:
            blocked_by = self.before.get(claim.partition)
            if not (blocked_by or "").startswith(RESTORING):
                self.store.end_restore(claim, blocked_by=blocked_by)


def replace_store(
    claims: Claims,
    facts: StoreFacts,
    folder: Path,
    dumper: Dumper,
    *,
    say: Callable[[str], None],
) -> None:
    """Put a backup back; where that fails and nothing was changed, loads go on.

    Raises:
        BackupError: It may have been replaced in part; loads wait for the command to be repeated.
        StoreUnavailableError, StoreRefusedError: Nothing was changed.
    """
    try:
        put_back(facts, folder, dumper, progress=say)
    except (StoreRefusedError, StoreUnavailableError) as error:
        if dumper.replaces_at_once:
            claims.undo()
            raise
        message = (
            f"{dumper.sink} is replaced in part, and loads wait; the same command again begins it "
            f"anew: {error}"
        )
        raise BackupError(message) from error


def put_backup_back(
    settings: Settings,
    facts: StoreFacts,
    folder: Path,
    dumper: Dumper,
    *,
    run_id: str,
    migrate: Callable[[], None],
    stop: threading.Event,
    say: Callable[[str], None],
    publish_incident: Callable[[Incident], None],
) -> Restored:
    """Replace a store by a verified backup, then bring it up to date.

    What came after the backup is in Kafka; of what Kafka has removed since, the mirror gives it.
    """
    store = open_store(dumper.sink, settings)
    try:
        try:
            migrate()  # so that loads can be kept off
            claims = Claims.take(store, Topics(settings, FEEDS).places, run_id=run_id)
        except StoreRefusedError as error:  # of half a store nothing can be asked
            say(f"{dumper.sink}: what is there is of no use and is replaced as it is ({error})")
            claims = Claims(store=store)
        replace_store(claims, facts, folder, dumper, say=say)
        say(f"{dumper.sink}: all {facts.records:,} records of the backup are back")
        migrate()  # what is newer than the backup
        topics = Topics(settings, FEEDS)
        rows = {row.partition: row for row in store.read_offsets()}
        gaps = [
            place
            for place in topics.places
            if (bounds := topics.read_bounds(place)) is not None
            and bounds.low > (rows[place.partition].next_offset if place.partition in rows else 0)
        ]
    finally:
        store.close()
    if not gaps:
        report = RestoreReport(run_id=run_id)
        return _finish(
            settings, dumper.sink, report, stop=stop, say=say, publish_incident=publish_incident
        )
    say(f"{dumper.sink}: Kafka begins later in {len(gaps)} partitions; the mirror has the rest")
    return _restore_from(
        settings,
        dumper.sink,
        MIRROR,
        run_id=run_id,
        stop=stop,
        say=say,
        publish_incident=publish_incident,
    )


def _restore_from(
    settings: Settings,
    store_name: str,
    origin_name: str,
    *,
    run_id: str,
    is_derived: bool = False,
    stop: threading.Event,
    progress: Callable[[RestoreProgress], None] = lambda _: None,
    say: Callable[[str], None],
    publish_incident: Callable[[Incident], None],
) -> Restored:
    """Restore a migrated store, and finish it unless that was stopped."""
    with _opened(settings, store_name, origin_name, FEEDS) as (store, origin):
        report = restore(
            store,
            origin,
            run_id=run_id,
            is_derived=is_derived,
            clock=_clock,
            stop=stop,
            progress=progress,
            publish_incident=publish_incident,
        )
    if report.is_stopped:
        return Restored(report=report)
    return _finish(
        settings, store_name, report, stop=stop, say=say, publish_incident=publish_incident
    )


def _finish(
    settings: Settings,
    store_name: str,
    report: RestoreReport,
    *,
    stop: threading.Event,
    say: Callable[[str], None],
    publish_incident: Callable[[Incident], None],
) -> Restored:
    """Load what Kafka has beyond, then prove both stores."""
    say(f"{store_name}: now it loads what Kafka has beyond; then follows the audit of both stores")
    with open_stores(settings, [store_name]) as opened:
        loaded = load(
            settings,
            opened[store_name],
            FEEDS,
            run_id=report.run_id,
            clock=_clock,
            stop=stop,
            publish_incident=publish_incident,
        )
    say(f"{store_name}: all is loaded; the audit compares every record, which takes a while")
    with open_stores(settings, role="analyst") as stores:
        found = audit(settings, stores, FEEDS, wait_s=SETTLE_S_MAX)
    return Restored(report=report, loaded=loaded, audit=found)


def _clock() -> int:
    return time.time_ns() // 1000

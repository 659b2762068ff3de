"""Rebuild a store from the UI: the same as `crypto-platform restore`, as a run with config.

Here: the job; each partition that is complete is an observation of the asset it belongs to. Not
here: what is restored and how (delivery/restore_store.py), migrating (handed in).
"""

import threading
from collections.abc import Callable

import dagster as dg
from pydantic import Field

from crypto_platform.assets.events import EventQueue
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import load_key
from crypto_platform.delivery.restore import RestoreProgress
from crypto_platform.delivery.restore_plan import find_objection
from crypto_platform.delivery.restore_store import MIRROR, ORIGINS, Restored, carry_out, plan
from crypto_platform.errors import PlatformError
from crypto_platform.feeds.incidents import Incident
from crypto_platform.kafka.incidents import publish_incident
from crypto_platform.settings import Settings
from crypto_platform.stores import STORES

RESTORE_JOB = "restore_store"
RESTORE_OP = "restore_records"
RUNTIME_S_MAX = 24 * 3600
"""A run that died with its machine would hold a run's place for good; the next one goes on."""


class RestoreConfig(dg.Config):
    """What to restore, chosen in the launchpad."""

    store: str = Field(description=f"Which store: {' or '.join(STORES)}.")
    source: str = Field(default=MIRROR, description=f"Where from: {' or '.join(ORIGINS)}.")
    derived: bool = Field(
        default=False,
        description="Write all orders and wallets anew from their events: somebody changed one.",
    )
    yes: bool = Field(
        default=False,
        description="Needed where the store is not empty, or something does not come back.",
    )


def build_restore_job(settings: Settings, migrate: Callable[[str], None]) -> dg.JobDefinition:
    """Launched by hand.

    Args:
        migrate: Makes tables or collections that a store lacks, by its name.
    """

    @dg.op(name=RESTORE_OP, description="Write what the store lacks, load what came since, audit.")
    def restore_records(context: dg.OpExecutionContext, config: RestoreConfig) -> None:
        if config.store not in STORES or config.source not in ORIGINS:
            message = (
                f"no such restore: store {config.store!r} is one of {', '.join(STORES)}, source "
                f"{config.source!r} one of {', '.join(ORIGINS)}"
            )
            raise dg.Failure(message, allow_retries=False)
        try:
            restored = _restore(context, settings, config, migrate)
        except PlatformError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        context.add_output_metadata(_describe(restored))
        if not restored.is_whole:
            message = "not whole: `crypto-platform audit` names what is missing"
            if restored.report.is_stopped:
                message = "stopped; launched again it goes on, until then loads wait for it"
            raise dg.Failure(message, allow_retries=False)

    @dg.job(
        name=RESTORE_JOB,
        executor_def=dg.in_process_executor,
        run_tags={"dagster/max_runtime": str(RUNTIME_S_MAX)},
        description="Rebuild a store that lost everything, or parts, from its mirror or from "
        "Kafka; ends with the audit. Ended in between it goes on when launched again.",
    )
    def restore_store() -> None:
        restore_records()

    return restore_store


def _restore(
    context: dg.OpExecutionContext,
    settings: Settings,
    config: RestoreConfig,
    migrate: Callable[[str], None],
) -> Restored:
    planned = plan(settings, config.store, config.source, is_derived=config.derived)
    objection = find_objection(planned)
    context.log.info(
        "%s from %s: %s records to read in %s partitions, %s are there already",
        config.store,
        planned.origin,
        planned.records,
        len(planned.work),
        planned.whole_records,
    )
    if objection is not None and not config.yes:
        message = f"{objection}; this needs `yes: true`"
        raise dg.Failure(message, allow_retries=False)

    def say(progress: RestoreProgress) -> None:
        event = dg.AssetObservation(
            load_key(config.store, progress.place.feed),
            description=f"{progress.place.name} is restored from {planned.origin}",
            metadata={
                "restored_partition": progress.place.partition.part,
                "done_records": progress.done_records,
                "all_records": progress.all_records,
            },
        )
        context.log_event(event)

    def publish(incident: Incident) -> None:
        try:
            publish_incident(settings, incident, publisher=f"load_{config.store}")
        except PlatformError as error:
            context.log.warning("incident not published, %s holds it: %s", config.store, error)

    stop = threading.Event()
    with EventQueue(say) as events, stopping_on_interrupt(stop):
        return carry_out(
            settings,
            config.store,
            config.source,
            run_id=context.run_id,
            is_derived=config.derived,
            migrate=lambda: migrate(config.store),
            stop=stop,
            progress=lambda each: events.put(each) if each.is_part_done else None,
            say=context.log.info,
            publish_incident=publish,
        )


def _describe(restored: Restored) -> dict[str, int | float | bool]:
    report = restored.report
    return {
        "partitions": report.partitions,
        "read_records": report.read_records,
        "restored_records": sum(report.restored_records.values()),
        "already_there_records": report.repeated_records,
        "quarantined_records": report.quarantined_records,
        "changed_records": len(report.changed),
        "seconds": round(report.seconds, 3),
        "audit_whole": restored.is_proved,
    }

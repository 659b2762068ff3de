"""History assets: one a source and feed whose past the source gives, partitioned by day.

A day is one of event time, UTC. Materializing days asks the source for them and publishes what it
gives to the feed's topic, from where the loads bring it into the stores. Days that are done are not
asked for again. A backfill is one run, and the runs of one source wait for each other. The work is
delivery/history.py's.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from crypto_platform.assets.descriptions import OWNERS, describe_record, refer_to, tag
from crypto_platform.assets.interrupts import stopping_on_interrupt
from crypto_platform.assets.names import history_key, history_op, history_pool, topic_key
from crypto_platform.assets.partitions import build_event_days
from crypto_platform.delivery.history import (
    HistoryReport,
    PieceEnd,
    PieceReport,
    backfill,
    join_failures,
)
from crypto_platform.delivery.history_plan import (
    Wanted,
    list_days,
    list_streams,
    warn_of_forgotten,
)
from crypto_platform.domain.hours import from_time_us, name_day, to_time_us
from crypto_platform.errors import PlatformError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.resources.http import HttpResource
from crypto_platform.resources.kafka import KafkaResource
from crypto_platform.settings import Settings
from crypto_platform.sources import DIALECTS, list_history
from crypto_platform.sources.budget import HISTORY_SHARE

LOG_EVERY_S = 15.0


class HistoryConfig(dg.Config):
    """What of the chosen days is read."""

    symbols: list[str] = Field(
        default=[], description="The venue's own names; empty takes those of the settings."
    )
    intervals: list[str] = Field(
        default=[], description="Of candles, as 1m; empty takes those of the settings."
    )
    again: bool = Field(
        default=False,
        description="Read also days that are done: corrections arrive, nothing is doubled.",
    )


def build_history_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """An asset for each source and feed; a feed whose past no source gives has none."""
    return [_build_asset(settings, source, feed) for source, feed in list_history(settings)]


def _build_asset(settings: Settings, source_name: str, feed: str) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=history_op(source_name, feed),
        specs=[_build_spec(settings, source_name, feed)],
        can_subset=True,
        partitions_def=build_event_days(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=history_pool(source_name),
    )
    def read_history(
        context: dg.AssetExecutionContext,
        config: HistoryConfig,
        http: HttpResource,
        kafka: KafkaResource,
    ) -> Iterator[dg.MaterializeResult]:
        window = context.partition_time_window
        wanted = Wanted(
            feed=feed,
            streams=list_streams(
                kafka.settings.sources[source_name],
                feed,
                venue_symbols=config.symbols,
                intervals=config.intervals,
            ),
            days=list_days(to_time_us(window.start), to_time_us(window.end) - 1),
            again=config.again,
        )
        if warning := warn_of_forgotten(kafka.settings, wanted, now_us=time.time_ns() // 1000):
            context.log.warning(warning)
        stop = threading.Event()
        speaker = Speaker(context.log)
        with stopping_on_interrupt(stop):
            try:
                report = backfill(
                    kafka.settings,
                    http.history(source_name, feed, stop),
                    wanted,
                    clock=lambda: time.time_ns() // 1000,
                    stop=stop,
                    run_id=context.run.run_id,
                    on_page=speaker.note_page,
                    on_piece=speaker.note_piece,
                )
            except PlatformError as error:
                raise dg.Failure(str(error), allow_retries=error.retryable) from error
        _report(context, report, wanted.days)
        # a body that returned would materialize every day of the run once more
        yield from ()

    return read_history


def _build_spec(settings: Settings, source: str, feed: str) -> dg.AssetSpec:
    at = settings.sources[source]
    entry = FEED_BY_NAME[feed]
    calls = at.requests_per_minute_max * HISTORY_SHARE
    return dg.AssetSpec(
        history_key(source, feed),
        skippable=True,
        group_name="history",
        owners=OWNERS,
        tags=tag(entry, "history", source=source),
        kinds={"api", "kafka"},
        description=f"{entry.description} The past of {source}, a partition a day of event time "
        f"(UTC): what it gives is published to {entry.topic}, a page as a transaction. A day that "
        "is done is not asked for again (config `again` does). `crypto-platform history --source "
        f"{source} --feed {feed}` does the same.",
        metadata={
            "source": source,
            "dialect": at.dialect,
            "base_url": at.base_url,
            "requests_per_minute_max": calls,
            "simulated": at.simulated,
            "published_to": topic_key(entry),
            **describe_record(entry),
            **refer_to(the_dialect=DIALECTS[at.dialect], the_record=entry.record, reading=backfill),
        },
    )


class Speaker:
    """Lines for the run's log: each day that ended, and now and then how far the current one is."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log
        self._spoke_at = time.monotonic()

    def note_page(self, piece: PieceReport) -> None:
        """Called after each page."""
        now = time.monotonic()
        if now - self._spoke_at >= LOG_EVERY_S:
            self._spoke_at = now
            self._log.info("%s %s: %s", piece.stream, name_day(piece.day_us), _count(piece))

    def note_piece(self, piece: PieceReport) -> None:
        """Called after each day of a stream."""
        if piece.end in {PieceEnd.NOT_ASKED, PieceEnd.ALREADY_COMPLETE}:
            return
        self._spoke_at = time.monotonic()
        error = f": {piece.error}" if piece.error else ""
        self._log.info(
            "%s %s: %s, %s%s",
            piece.stream,
            name_day(piece.day_us),
            piece.end.value,
            _count(piece),
            error,
        )


def _count(piece: PieceReport) -> str:
    return f"{piece.records} records in {piece.pages} pages, {piece.calls} requests"


def _report(context: dg.AssetExecutionContext, report: HistoryReport, days: Sequence[int]) -> None:
    """Materialize the days that have all they can have, then fail for the others."""
    for day_us in days:
        pieces = [piece for piece in report.pieces if piece.day_us == day_us]
        if all(piece.is_complete for piece in pieces):
            context.log_event(
                dg.AssetMaterialization(
                    history_key(report.source, report.feed),
                    partition=name_day(day_us),
                    metadata=_describe(pieces),
                )
            )
    left = [join_failures(report)]
    if report.count(PieceEnd.STOPPED):
        left.append("stopped after a page: materialize the same days, it goes on there")
    if report.count(PieceEnd.NOT_OVER):
        left.append("the last day has hardly ended: materialize it once more for its end")
    if empty := report.count(PieceEnd.EMPTY):
        left.append(
            f"nothing came of {empty} days: materialize them once more, and if nothing comes then "
            "either, they are done"
        )
    if any(left):
        raise dg.Failure("; ".join(filter(None, left)), allow_retries=False)


def _describe(pieces: list[PieceReport]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "calls": sum(piece.calls for piece in pieces),
        "records": sum(piece.records for piece in pieces),
        "rejected_records": sum(piece.rejected_records for piece in pieces),
        "already_complete": sum(piece.end is PieceEnd.ALREADY_COMPLETE for piece in pieces),
        "read": ", ".join(str(piece.stream) for piece in pieces),
        "seconds": round(sum(piece.seconds for piece in pieces), 3),
    }
    times = {
        "first": min((p.first_us for p in pieces if p.first_us is not None), default=None),
        "last": max((p.last_us for p in pieces if p.last_us is not None), default=None),
    }
    for name, time_us in times.items():
        if time_us is not None:
            metadata[name] = dg.MetadataValue.timestamp(from_time_us(time_us))
    return metadata

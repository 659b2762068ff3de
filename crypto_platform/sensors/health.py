"""Once a minute: observe the topics, and answer the checks of every asset.

The sensor only asks and reports; serving/verdicts.py judges. A check is written down when its
answer changes, and now and then while it stays: an answer a minute for each would fill Dagster's
database with repetitions. It is written into the run that materialized the asset last: Dagster
shows an answer only if it belongs to that run or is younger than the materialization, and a
lingering load materializes its assets every minute or two.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import msgspec

from crypto_platform.assets.checks import evaluate, find_key, report_check
from crypto_platform.assets.names import HEALTH_SENSOR, topic_key
from crypto_platform.assets.switches import read_paused
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.jobs.dagster_tables import forget_answer
from crypto_platform.sensors.cursor import read_cursor
from crypto_platform.serving.health import FeedStatus, Status
from crypto_platform.serving.monitor import Monitor
from crypto_platform.serving.verdicts import Grade, Verdict, judge
from crypto_platform.settings import Settings

INTERVAL_S = 60
YOUNG_S = 5.0
REPEAT_GOOD_AFTER_S = 6 * 3600.0
REPEAT_BAD_AFTER_S = 15 * 60.0

_NUMBER = re.compile(r"\d+(\.\d+)?")


class Told(msgspec.Struct, frozen=True):
    """What was last written down of a check, into which run, and when (seconds since 1970)."""

    grade: str
    gist: str
    run_id: str
    at: float


def build_health_sensor(settings: Settings, monitor: Monitor) -> dg.SensorDefinition:
    """The sensor; `monitor` is shared with the others of this process."""

    @dg.sensor(
        name=HEALTH_SENSOR,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Observes each topic (watermarks, rate, lag of each store) and answers the "
        "checks of all assets.",
    )
    def health(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        status = monitor.read(young_s=YOUNG_S)
        answers = [
            (name_verdict(verdict), verdict)
            for verdict in judge(settings, status, paused=read_paused(context.instance))
        ]
        run_ids = _find_runs(context.instance, [verdict for _, verdict in answers])
        told = read_cursor(context.cursor, dict[str, Told], default=dict[str, Told]())
        news, told = select_news(answers, run_ids, told, now=time.time())
        for name, verdict in news:
            _write_down(context.instance, verdict, run_ids[name])
        return dg.SensorResult(
            asset_events=list(observe(status)), cursor=msgspec.json.encode(told).decode()
        )

    return health


def _write_down(instance: dg.DagsterInstance, verdict: Verdict, run_id: str) -> None:
    evaluation = evaluate(verdict)
    if run_id:
        forget_answer(instance, evaluation.asset_check_key, run_id=run_id)
    report_check(instance, evaluation, run_id=run_id)


def name_verdict(verdict: Verdict) -> str:
    """postgres/quotes/fresh."""
    return f"{verdict.place}/{verdict.feed}/{verdict.check}"


def _find_runs(instance: dg.DagsterInstance, verdicts: Sequence[Verdict]) -> Mapping[str, str]:
    """The run that materialized each verdict's asset last; empty where none did."""
    keys = {name_verdict(verdict): find_key(verdict) for verdict in verdicts}
    records = instance.get_asset_records(list(set(keys.values())))
    latest = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization for record in records
    }
    run_of = {key: entry.run_id for key, entry in latest.items() if entry is not None}
    wanted = sorted({run_id for run_id in run_of.values() if run_id})
    # a run may have been purged; into one that is gone nothing is written. Dagster refuses to be
    # asked for no runs, which is what a platform has before its first materialization
    found = instance.get_runs(dg.RunsFilter(run_ids=wanted)) if wanted else ()
    known = {run.run_id for run in found}
    return {name: run_of[key] if run_of.get(key) in known else "" for name, key in keys.items()}


def select_news(
    answers: Sequence[tuple[str, Verdict]],
    run_ids: Mapping[str, str],
    told: Mapping[str, Told],
    *,
    now: float,
) -> tuple[list[tuple[str, Verdict]], Mapping[str, Told]]:
    """The answers that are worth an event, by name, and all that has been told with them."""
    news: list[tuple[str, Verdict]] = []
    all_told: dict[str, Told] = {}
    for name, verdict in answers:
        is_good = verdict.grade is Grade.GOOD
        gist = "" if is_good else _NUMBER.sub("#", verdict.text)
        telling = Told(verdict.grade, gist, run_ids[name], now)
        before = told.get(name)
        repeat_after_s = REPEAT_GOOD_AFTER_S if is_good else REPEAT_BAD_AFTER_S
        is_old = before is not None and now - before.at >= repeat_after_s
        if before is None or is_old or msgspec.structs.replace(before, at=now) != telling:
            news.append((name, verdict))
            all_told[name] = telling
        else:
            all_told[name] = before
    return news, all_told


def observe(status: Status) -> Iterator[dg.AssetObservation]:
    """An observation of each topic that Kafka told of."""
    for feed in status.feeds:
        if feed.high is not None and feed.low is not None:
            yield dg.AssetObservation(
                topic_key(FEED_BY_NAME[feed.name]), metadata=_describe(status, feed)
            )


def _describe(status: Status, feed: FeedStatus) -> dict[str, Any]:
    known = {
        "low_watermark": feed.low,
        "high_watermark": feed.high,
        "retained_offsets": (feed.high or 0) - (feed.low or 0),
        "offsets_per_minute": feed.offsets_per_minute,
        "last_append_age_s": feed.append_age_s,
        "readers_held_back_s": feed.blocked_s,
    }
    for load in status.loads:
        if load.feed == feed.name:
            known[f"{load.store}_lag"] = load.lag_records
            known[f"{load.store}_lag_s"] = load.lag_s
    # unknown is left out, never 0
    return {
        name: round(value, 1) if isinstance(value, float) else value
        for name, value in known.items()
        if value is not None
    }

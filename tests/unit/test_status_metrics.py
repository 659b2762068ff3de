"""A status as Prometheus reads it, and docs/metrics.md against it.

`python -m tests.unit.test_status_metrics` writes the table anew.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from crypto_platform.serving.audits import LastAudit
from crypto_platform.serving.health import (
    AnalyticsStatus,
    DiskStatus,
    FeedStatus,
    IncidentStatus,
    LoadStatus,
    PartStatus,
    SourceStatus,
    Status,
    StoreStatus,
)
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import MemoryReading
from crypto_platform.serving.status import find_role
from crypto_platform.serving.status_metrics import METRICS, PREFIX, Seen, print_metrics
from tests.api_harness import FakeStore, serving
from tests.status_steps import (
    NOON,
    P0,
    P1,
    SECOND,
    bounds,
    details,
    kafka_reading,
    offset,
    readings,
    settings_of,
    store_reading,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
MARKS = re.compile(r"(<!-- written by .* -->\n).*(<!-- end -->)", re.DOTALL)
AUDITED = LastAudit(
    feed="quotes", hour="2025-11-22-11:00", at_us=NOON, failed=["counts"], faults=["counts: 2"]
)

WHOLE = Status(
    at=datetime(2026, 11, 22, tzinfo=UTC),
    data_dir="/data",
    deployment="d",
    is_good=True,
    problems=("one",),
    pauses=("one",),
    webserver_url="http://127.0.0.1:1",
    webserver_up=True,
    api_url="http://127.0.0.1:2",
    kafka_address="127.0.0.1:3",
    kafka_up=True,
    kafka_problem="none",
    stores=(
        StoreStatus(
            name="postgres",
            up=True,
            problem="none",
            version="18",
            address="127.0.0.1:4",
            next_offset=1,
            lag_records=1,
            lag_s=1,
            records_per_minute=1,
            commit_age_s=1,
            record_age_s=1,
            blocked_partitions=1,
            restoring_partitions=1,
            quarantined_records=1,
            is_paused=False,
        ),
    ),
    loads=(
        LoadStatus(
            store="postgres",
            feed="quotes",
            lag_records=1,
            lag_s=1,
            record_age_s=1,
            blocked_partitions=1,
            blocked_by="i1",
            quarantined_records=1,
        ),
    ),
    feeds=(
        FeedStatus(
            name="quotes",
            topic="market.quotes",
            partitions=3,
            low=1,
            high=2,
            last_stable=2,
            offsets_per_minute=1,
            append_age_s=1,
            blocked_s=1,
            kept_days=1,
        ),
    ),
    sources=(
        SourceStatus(
            name="simulated",
            dialect="coincap",
            simulated=True,
            enabled=True,
            reason="asked",
            feeds=("quotes",),
            poll_age_s=1,
            failures=1,
            due_in_s=1,
            is_paused=False,
        ),
    ),
    analytics=(AnalyticsStatus(name="candles", is_busy=False, waiting_hours=1, waits_s=1),),
    incidents=(
        IncidentStatus(
            event_id="i1",
            kind="trade_gap",
            subject="s",
            store="postgres",
            source="simulated",
            feed="quotes",
            message="m",
            next_step="n",
            age_s=1,
        ),
    ),
    parts=(PartStatus(name="kafka", state="ready", pid=1, restarts=1, address="a", is_good=True),),
    disk=DiskStatus(used_bytes=1, free_bytes=1, days_left=1),
    memory=MemoryReading(size_bytes=1, available_bytes=1),
)
"""Everything is known."""
SUM = "of its loads, which have it each: the question adds them up"
RATE = "the question asks for the rate of the offsets"
NO_METRIC = {
    "StoreStatus.lag_records": SUM,
    "StoreStatus.lag_s": SUM,
    "StoreStatus.record_age_s": SUM,
    "StoreStatus.blocked_partitions": SUM,
    "StoreStatus.quarantined_records": SUM,
    "StoreStatus.records_per_minute": RATE,
    "FeedStatus.offsets_per_minute": RATE,
    "FeedStatus.partitions": "changes once in a year, and by hand",
    "FeedStatus.last_stable": "seconds tell of an open transaction: topic_held_back_seconds",
    "SourceStatus.simulated": "a setting: which source it is",
    "PartStatus.pid": "a name, no figure",
}
"""Why nobody needs it."""


def read_samples(text: str) -> dict[str, float]:
    """Every sample by name and the values of its labels, in the order of their names."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {
        ",".join([s.name.removeprefix(PREFIX), *(s.labels[name] for name in sorted(s.labels))]): (
            s.value
        )
        for s in samples
    }


def test_every_figure_of_the_status_has_its_sample(tmp_path: Path) -> None:
    """Who is woken at night looks at a curve first."""
    behind = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(), P1: bounds(low=20)})),
        postgres=Answer(value=store_reading(offset(P0, 90), offset(P1, 100, blocked_by="i1"))),
        postgres_details=Answer(value=details(quarantined=3)),
        waiting_since={P0: NOON - 7 * SECOND},
        paused=frozenset({"mongo"}),
    )
    memory = MemoryReading(size_bytes=8_000, available_bytes=3_000)
    status = build_status(settings_of(tmp_path), replace(behind, memory=memory))
    found = read_samples(print_metrics(Seen(status=status, audits=[AUDITED])))
    expected = {
        "good": 0,
        "kafka_up": 1,
        "store_up,postgres": 1,
        "store_paused,postgres": 0,
        "store_paused,mongo": 1,
        "store_offsets_total,postgres": 190,
        "load_lag_records,quotes,postgres": 10,
        "load_lag_seconds,quotes,postgres": 7,
        "load_blocked_partitions,quotes,postgres": 1,
        "load_quarantined_records,quotes,postgres": 3,
        "load_quarantined_records,quotes,mongo": 0,
        "topic_offsets_total,quotes": 200,
        "topic_retained_offsets,quotes": 180,
        "source_failures,simulated": 0,
        "analytics_waiting_hours,candles": 0,
        "open_incidents,trade_gap": 0,
        "source_enabled,simulated": 1,
        "audit_timestamp_seconds,quotes": NOON / 1_000_000,
        "audit_faults,quotes": 1,
        "disk_used_bytes": 1_000_000_000,
        "memory_available_bytes": 3_000,
        "status_timestamp_seconds": NOON / 1_000_000,
    }
    assert {name: found.get(name) for name in expected} == expected


def list_changed(whole: msgspec.Struct | MemoryReading) -> Iterator[tuple[str, Any]]:
    """Each figure in it by name, and the same with another figure there."""
    for name in get_type_hints(type(whole)):
        value = getattr(whole, name)
        assert value is not None, f"WHOLE says nothing of {name}"
        told: list[tuple[str, Any]] = []
        if isinstance(value, bool):
            told = [(f"{type(whole).__name__}.{name}", not value)]
        elif isinstance(value, int | float):
            told = [(f"{type(whole).__name__}.{name}", value + 1)]
        elif isinstance(value, tuple) and not isinstance(value[0], str):
            told = [(figure, (other,)) for figure, other in list_changed(value[0])]
        elif isinstance(value, msgspec.Struct | MemoryReading):
            told = list(list_changed(value))
        for figure, other in told:
            fields = {each: getattr(whole, each) for each in get_type_hints(type(whole))}
            yield figure, type(whole)(**fields | {name: other})


def test_a_figure_that_has_no_metric_is_named() -> None:
    """A new one would be seen by who types `status`, and by no alert."""
    before = print_metrics(Seen(status=WHOLE, audits=[]))
    unseen = {
        figure
        for figure, other in list_changed(WHOLE)
        if print_metrics(Seen(status=other, audits=[])) == before
    }
    assert unseen == NO_METRIC.keys()


def test_what_is_not_known_has_no_sample(tmp_path: Path) -> None:
    """A lag of 0 while the store is down would keep everybody asleep."""
    nothing = replace(
        readings(kafka=Answer(problem="none")),
        stores={"postgres": Answer(problem="none"), "mongo": Answer(problem="none")},
        details={"postgres": Answer(problem="none"), "mongo": Answer(problem="none")},
    )
    addresses = {"postgres": "127.0.0.1:5432", "mongo": "127.0.0.1:27017"}
    settings = settings_of(tmp_path, KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:9092")
    status = build_status(settings, replace(nothing, addresses=addresses))
    found = read_samples(print_metrics(Seen(status=status, audits=[])))
    assert (found["store_up,postgres"], found["kafka_up"], found["good"]) == (0, 0, 0)
    unknown = ("load_", "topic_", "open_incidents", "store_offsets", "audit_", "part_")
    assert [name for name in found if name.startswith(unknown)] == []


def test_whom_this_process_cannot_ask_is_not_down(tmp_path: Path) -> None:
    """An API without the broker's address told everybody that Kafka was down."""
    deaf = readings(kafka=Answer(problem="kafka.bootstrap_servers is not set"))
    status = build_status(settings_of(tmp_path), deaf)
    found = read_samples(print_metrics(Seen(status=status, audits=[])))
    assert found["store_up,postgres"] == 1
    assert not {"kafka_up", "good", "problems"} & set(found)
    lone = replace(deaf, stores={**deaf.stores, "postgres": Answer(problem="url is not set")})
    status = build_status(settings_of(tmp_path, KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:9"), lone)
    found = read_samples(print_metrics(Seen(status=status, audits=[])))
    assert (found["kafka_up"], found["store_up,mongo"]) == (0, 1)
    assert not {"store_up,postgres", "good", "problems"} & set(found)


def test_the_role_of_the_api_is_asked_where_no_other_is_known(tmp_path: Path) -> None:
    """Its rights do for how far a store is; the analyst's password would open all accounts."""
    own = {"POSTGRES__API_URL": "postgresql://api:pw@127.0.0.1/x"}
    analyst = {"POSTGRES__ANALYST_URL": "postgresql://analyst:pw@127.0.0.1/x"}
    assert find_role(settings_of(tmp_path, **own)) == "api"
    assert find_role(settings_of(tmp_path, **own, **analyst)) == "analyst"
    assert find_role(settings_of(tmp_path)) == "analyst"


def test_names_follow_prometheus() -> None:
    """A counter without its suffix is graphed as a gauge, and a second unit misleads."""
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]*", metric.name)
        unit = metric.name.removesuffix("_total").rpartition("_")[2]
        assert unit not in {"ms", "minutes", "days", "kb", "mb", "s"}, metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_api_serves_the_same() -> None:
    """With no server at all, which is when somebody looks."""
    with serving(FakeStore()) as client:
        answer = client.get("/metrics")
    found = read_samples(answer.text)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "kafka_up" not in found
    assert found["process_resident_memory_bytes"] > 0
    told = set(re.findall(r"^# TYPE (\w+)", answer.text, re.MULTILINE))
    assert {PREFIX + metric.name for metric in METRICS} <= told
    listed = DOCUMENT.read_text("utf-8")
    own = [name for name in told if "_api_" in name and not name.endswith("_created")]
    assert [name for name in own if f"`{name}`" not in listed] == []


def test_the_document_lists_them_all() -> None:
    """An alert is written by who reads the table, not the code."""
    assert write_table(DOCUMENT.read_text("utf-8")) == DOCUMENT.read_text("utf-8")


def write_table(text: str) -> str:
    """The document with today's table."""
    lines = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        kind = "counter" if metric.is_counter else "gauge"
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {kind} | {labels} | {metric.text} |")
    table = "".join(f"{line}\n" for line in lines)
    return MARKS.sub(lambda marks: marks[1] + table + marks[2], text)


if __name__ == "__main__":
    DOCUMENT.write_text(write_table(DOCUMENT.read_text("utf-8")), "utf-8")

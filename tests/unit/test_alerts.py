"""What is told to whom, and when: a status, a clock and what was told before."""

from dataclasses import replace
from pathlib import Path

import msgspec

from crypto_platform.errors import IncidentKind
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.serving.alert_text import write_message
from crypto_platform.serving.alerts import Change, Told, mark_told, plan_news, tell_all
from crypto_platform.serving.audits import LastAudit
from crypto_platform.serving.faults import Fault, Found, Heading, find_faults
from crypto_platform.serving.health import Readings
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.probe import Answer
from crypto_platform.settings import AlertSettings
from crypto_platform.stores.matters import OPEN_INCIDENTS_MAX
from tests.status_steps import (
    NOON,
    P0,
    SECOND,
    bounds,
    details,
    kafka_reading,
    readings,
    settings_of,
)

WAITING = kafka_reading({P0: bounds(last_stable=190)})
FAULT = Fault(title="mongo lags", text="9 records wait", heading=Heading.LAG)
WELL = Found(bad={}, good={"lag/mongo"})
BAD = Found(bad={"lag/mongo": FAULT}, good=())
UNKNOWN = Found(bad={}, good=())
SETTINGS = AlertSettings.model_validate(
    {"receivers": {"team": "json://127.0.0.1:9"}, "after_s": 60, "remind_s": 3600}
)


def find(tmp_path: Path, readings: Readings, *audits: LastAudit, paused: str = "") -> Found:
    settings = settings_of(tmp_path)
    status = build_status(settings, readings)
    # the small Kafka of these readings has the one topic
    feeds = tuple(feed for feed in status.feeds if feed.name == "quotes")
    status = msgspec.structs.replace(status, feeds=feeds)
    return find_faults(settings, status, audits, paused=frozenset(filter(None, [paused])))


def test_a_good_platform_has_nothing_to_tell(tmp_path: Path) -> None:
    """And says so of each thing, or no alert would ever end."""
    audited = LastAudit(feed="quotes", hour="h", at_us=NOON, failed=["quarantine"], faults=[])
    found = find(tmp_path, readings(), audited)
    assert found.bad == {}
    names = {
        "lag/postgres",
        "lag/mongo",
        "down/mongo",
        "kafka",
        "source/simulated",
        "audit/quotes",
        "disk",
    }
    names.add("analytics")
    assert names | {"quarantine/mongo/trades", "incident/postgres/"} <= set(found.good)


def test_each_thing_that_is_bad_is_told_under_its_name(tmp_path: Path) -> None:
    """With the heading that says what to do at three in the morning."""
    audited = LastAudit(feed="quotes", hour="h9", at_us=NOON, failed=["c"], faults=["counts: 2"])
    lags = readings(
        kafka=Answer(value=WAITING),
        waiting_since={P0: NOON - 45 * SECOND},
        postgres_details=Answer(value=details(quarantined=3)),
        cursors={"simulated/quotes/": Cursor(polled_at=NOON - SECOND, failures=3)},
        free_bytes=1000,
    )
    found = find(tmp_path, lags, audited)
    assert {name: fault.heading for name, fault in found.bad.items()} == {
        "lag/postgres": Heading.LAG,
        "quarantine/postgres/quotes": Heading.QUARANTINE,
        "source/simulated": Heading.SOURCE,
        "audit/quotes": Heading.AUDIT,
        "disk": Heading.DISK,
    }
    assert found.bad["audit/quotes"].text == "hour h9: counts: 2"


def test_what_a_store_that_is_down_no_longer_says_is_not_over(tmp_path: Path) -> None:
    """A message that all is well again, while nothing is known, sends people back to bed."""
    down = readings(
        postgres=Answer(problem="refused"), postgres_details=Answer(problem="not asked")
    )
    found = find(tmp_path, down)
    assert found.bad["down/postgres"].heading is Heading.DOWN
    assert not found.is_over("lag/postgres")
    assert found.is_over("lag/mongo")
    assert not found.is_over("quarantine/postgres/quotes")
    assert not found.is_over("incident/postgres/i1")
    assert not found.is_over("incident/ingestion/i2")
    assert found.is_over("quarantine/mongo/quotes")
    assert found.is_over("incident/mongo/i3")


def test_without_kafka_a_lag_is_neither_bad_nor_over(tmp_path: Path) -> None:
    """What waits in it is not known."""
    found = find(tmp_path, replace(readings(), kafka=Answer(problem="no answer")))
    assert set(found.bad) == {"kafka"}
    assert not found.is_over("lag/postgres")


def test_a_pause_is_meant_until_kafka_is_about_to_forget(tmp_path: Path) -> None:
    """Half of what Kafka keeps is left then."""
    lags = readings(kafka=Answer(value=WAITING), waiting_since={P0: NOON - 600 * SECOND})
    paused = replace(lags, paused=frozenset({"postgres"}))
    assert find(tmp_path, paused, paused="postgres").bad == {}
    long_ago = {"postgres": {P0: NOON - 30 * 3600 * SECOND}}
    late = find(tmp_path, replace(paused, waiting_since=long_ago), paused="postgres")
    assert "crypto-platform resume postgres" in late.bad["lag/postgres"].text
    blind = replace(paused, kafka=Answer(problem="no answer"))
    assert not find(tmp_path, blind, paused="postgres").is_over("lag/postgres")


def test_an_audit_that_is_being_made_anew_ends_no_alert(tmp_path: Path) -> None:
    """While its checks are asked again, and where the run ended before their answers."""
    unknown = LastAudit(feed="quotes", hour="h", at_us=NOON, failed=[], is_answered=False)
    assert not find(tmp_path, readings(), unknown).is_over("audit/quotes")
    known = replace(unknown, is_answered=True)
    assert find(tmp_path, readings(), known).is_over("audit/quotes")


def test_more_incidents_than_a_store_names_are_not_over(tmp_path: Path) -> None:
    """Those it no longer names still wait."""
    many = tuple(f"a/{number}" for number in range(OPEN_INCIDENTS_MAX))
    found = find(tmp_path, readings(postgres_details=Answer(value=details(incidents=many))))
    assert not found.is_over("incident/postgres/an-older-one")


def test_each_incident_is_told_by_itself_and_over_once_answered(tmp_path: Path) -> None:
    """A second one that hid behind the first would wait for the first one's answer."""
    both = readings(postgres_details=Answer(value=details(incidents=("a/1", "b/2"))))
    one = readings(postgres_details=Answer(value=details(incidents=("b/2",))))
    found = find(tmp_path, both)
    first, second = found.bad
    assert found.bad[first].title == "incident source_drift of a/1"
    assert found.bad[first].heading == IncidentKind.SOURCE_DRIFT
    assert find(tmp_path, one).is_over(first)
    assert not find(tmp_path, one).is_over(second)


def test_a_fault_is_told_when_it_lasts_again_after_hours_and_once_when_over() -> None:
    """At most one message a change, and none for what mends itself within a minute."""
    told: dict[str, Told] = {}
    ticks = [(0, BAD), (30, BAD), (60, BAD), (90, BAD), (3659, BAD), (3660, BAD), (3700, UNKNOWN)]
    heard: list[tuple[int, str]] = []
    for now, found in [*ticks, (7400, UNKNOWN), (7430, WELL), (7460, WELL)]:
        news, known = plan_news(SETTINGS, found, told, now=now)
        heard += [(now, each.change.value) for each in news]
        told = dict(mark_told(known, news, now=now))
    assert heard == [(60, "begun"), (3660, "still"), (7430, "over")]
    assert told == {}


def test_what_is_over_before_it_was_told_is_never_told() -> None:
    """A store that is restarted is away for some seconds."""
    _, known = plan_news(SETTINGS, BAD, {}, now=0)
    assert plan_news(SETTINGS, WELL, known, now=59) == ([], {})


def test_a_message_that_was_not_taken_is_sent_again_and_holds_up_no_other() -> None:
    """A receiver that is down for an hour must hear of it afterwards, and once."""
    settings = SETTINGS.model_copy(update={"receivers": {"team": "", "desk": ""}})
    sent: list[tuple[str, Change, float]] = []
    problems = {"team": "error=503."}
    ledger = {}
    for now, found in [(0, BAD), (60, BAD), (90, BAD), (120, WELL), (150, WELL), (180, WELL)]:
        if now == 150:
            problems.clear()

        def send(receiver: str, news: object, now: float = now) -> str | None:
            assert isinstance(news, list)
            sent.extend((receiver, each.change, now) for each in news)
            return problems.get(receiver)

        ledger, lines = tell_all(settings, found, ledger, send, now=now)
        if now == 60:
            assert list(lines) == [
                "team did not take mongo lags (begun); tried again: error=503.",
                "desk was told: mongo lags (begun)",
            ]
    assert [(change, now) for receiver, change, now in sent if receiver == "desk"] == [
        (Change.BEGUN, 60),
        (Change.OVER, 120),
    ]
    # never told that it began, so never told that it is over
    assert [(change, now) for receiver, change, now in sent if receiver == "team"] == [
        (Change.BEGUN, 60),
        (Change.BEGUN, 90),
    ]
    assert ledger == {"team": {}, "desk": {}}


def test_an_end_that_was_not_taken_is_sent_again() -> None:
    """Or somebody goes on looking for a fault that is gone."""
    told = {"lag/mongo": Told(title="mongo lags", heading=Heading.LAG, since=0, at=60)}
    news, known = plan_news(SETTINGS, WELL, told, now=100)
    assert [each.change for each in news] == [Change.OVER]
    assert known == told
    again, _ = plan_news(SETTINGS, BAD, known, now=130)
    assert again == []


def test_a_message_names_the_fault_its_age_and_where_to_read_on(tmp_path: Path) -> None:
    """On the locked screen of a phone: first what, then what to do."""
    settings = settings_of(tmp_path, ALERTS__RUNBOOK_URL="https://wiki/ops")
    now = NOON / 1_000_000
    kafka = Told(title="Kafka does not serve", heading=Heading.KAFKA, since=now - 720, at=now)
    found = Found(bad={"lag/mongo": FAULT}, good={"kafka"})
    at_once = SETTINGS.model_copy(update={"after_s": 0})
    news, _ = plan_news(at_once, found, {"kafka": kafka}, now=now)
    message = write_message(settings, news, now=now)
    assert message.title == "crypto_platform local: 1 begun, 1 over"
    first, second = message.body.split("\n\n")
    assert first == (
        "BEGUN, for 0.0 s since 2025-11-22 12:00 UTC: mongo lags\n9 records wait\n"
        "what to do: https://wiki/ops#a-store-lags"
    )
    assert second == "OVER after 12 min: Kafka does not serve"

"""The answers of the checks: what is wrong is named, with what to type."""

from dataclasses import replace
from pathlib import Path

from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.incidents import build_load_incident
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.sensors.health import Told, name_verdict, select_news
from crypto_platform.serving.health import Readings
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import (
    DerivedReading,
    KafkaReading,
    StoreDetails,
    StoreReading,
)
from crypto_platform.serving.verdicts import Check, Grade, Verdict, judge
from crypto_platform.stores.matters import OpenMatters
from crypto_platform.stores.postgres.analytics import Waiting
from tests.status_steps import (
    NOON,
    P0,
    SECOND,
    TOPIC_ID,
    bounds,
    kafka_reading,
    offset,
    readings,
    settings_of,
    store_reading,
)


def answers(
    tmp_path: Path, found: Readings, *, paused: frozenset[str] = frozenset()
) -> dict[str, Verdict]:
    """Verdicts by name."""
    settings = settings_of(tmp_path)
    status = build_status(settings, found)
    return {name_verdict(verdict): verdict for verdict in judge(settings, status, paused=paused)}


def test_a_platform_that_is_well_fails_no_check_of_its_quotes(tmp_path: Path) -> None:
    """A check that is always yellow is not looked at any more."""
    found = answers(tmp_path, readings())
    assert {name: verdict.grade for name, verdict in found.items() if "/quotes/" in name} == {
        "simulated/quotes/polled": Grade.GOOD,
        "coingecko/quotes/polled": Grade.WARNING,
        "kafka/quotes/readable": Grade.GOOD,
        "postgres/quotes/fresh": Grade.GOOD,
        "postgres/quotes/incidents": Grade.GOOD,
        "postgres/quotes/quarantine": Grade.GOOD,
        "mongo/quotes/fresh": Grade.GOOD,
        "mongo/quotes/incidents": Grade.GOOD,
        "mongo/quotes/quarantine": Grade.GOOD,
    }
    assert "nobody has asked coingecko yet" in found["coingecko/quotes/polled"].text


def test_a_store_that_is_down_fails_its_own_checks_and_says_where_to_look(tmp_path: Path) -> None:
    """The other store's assets must stay green, or nobody sees which one it is."""
    down = readings(
        postgres=Answer[StoreReading](problem="no answer for 3 s"),
        postgres_details=Answer[StoreDetails](problem="not asked"),
    )
    found = answers(tmp_path, down)
    fresh = found["postgres/quotes/fresh"]
    assert fresh.grade is Grade.ERROR
    assert "no answer for 3 s" in fresh.text
    assert "`crypto-platform logs postgres`" in fresh.text
    assert found["postgres/quotes/incidents"].grade is Grade.WARNING
    assert found["mongo/quotes/fresh"].grade is Grade.GOOD


def test_records_that_wait_for_longer_than_a_load_takes_are_an_error(tmp_path: Path) -> None:
    """Dagster's own freshness policies count minutes; traders count seconds."""
    late = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=150)})),
        waiting_since={P0: NOON - 40 * SECOND},
    )
    fresh = answers(tmp_path, late)["postgres/quotes/fresh"]
    assert fresh.grade is Grade.ERROR
    assert fresh.text.startswith(
        "50 records wait, the first of them for 40.0 s (good is up to 30 s)"
    )
    assert fresh.facts["lag_records"] == 50


def test_without_kafka_nothing_is_called_fresh(tmp_path: Path) -> None:
    """An unknown lag that shows as green hides an outage."""
    found = answers(tmp_path, readings(kafka=Answer[KafkaReading](problem="refused")))
    assert found["kafka/quotes/readable"].grade is Grade.ERROR
    assert found["postgres/quotes/fresh"].grade is Grade.WARNING


def test_a_stopped_partition_is_an_error_with_the_incidents_own_next_step(tmp_path: Path) -> None:
    """The person who reads the check is the one who has to act."""
    incident = build_load_incident(
        kind=IncidentKind.RETENTION_GAP,
        sink="postgres",
        feed="quotes",
        topic="market.quotes",
        topic_id=TOPIC_ID,
        part=0,
        first_offset=5,
        next_offset=8,
        message="offsets 5 to 7 are gone",
        next_step="restore them",
        ts_ingest=NOON,
    )
    matters = OpenMatters(quarantined={"quotes": 3}, incidents=(incident,))
    blocked = readings(
        postgres=Answer(value=store_reading(offset(P0, 100, blocked_by=incident.event_id))),
        postgres_details=Answer(value=StoreDetails(matters=matters, stored_last_minute=0)),
    )
    found = answers(tmp_path, blocked)
    stopped = found["postgres/quotes/incidents"]
    assert stopped.grade is Grade.ERROR
    assert (
        "1 partitions are stopped: retention_gap: offsets 5 to 7 are gone -> restore them"
        in stopped.text
    )
    assert found["mongo/quotes/incidents"].grade is Grade.GOOD
    assert found["postgres/rejected/incidents"].grade is Grade.GOOD
    assert found["postgres/quotes/quarantine"].facts == {"quarantined_records": 3}


def test_a_pause_is_told_apart_from_a_fault(tmp_path: Path) -> None:
    """Somebody did it on purpose, and somebody else must find out how to undo it."""
    found = answers(tmp_path, readings(), paused=frozenset({"simulated", "mongo"}))
    polled, fresh = found["simulated/quotes/polled"], found["mongo/quotes/fresh"]
    assert (polled.grade, fresh.grade) == (Grade.WARNING, Grade.WARNING)
    assert "`crypto-platform resume simulated`" in polled.text
    assert "`crypto-platform resume mongo`" in fresh.text
    assert found["postgres/quotes/fresh"].grade is Grade.GOOD


def test_a_source_that_fails_is_first_a_warning_then_an_error(tmp_path: Path) -> None:
    """One refused poll an hour is the internet; three in a row are a fault."""
    grades = {}
    for failures in (1, 3):
        cursors = {"simulated/quotes/": Cursor(polled_at=NOON - SECOND, failures=failures)}
        found = answers(tmp_path, readings(cursors=cursors))
        grades[failures] = found["simulated/quotes/polled"].grade
    assert grades == {1: Grade.WARNING, 3: Grade.ERROR}


def verdict(grade: Grade, text: str) -> list[tuple[str, Verdict]]:
    """One answer, by its name."""
    found = Verdict(
        place="postgres", feed="quotes", check=Check.FRESH, grade=grade, text=text, facts={}
    )
    return [(name_verdict(found), found)]


RUNS = {"postgres/quotes/fresh": "run-1"}


def test_an_answer_is_written_down_once_while_only_its_numbers_change() -> None:
    """An event a minute for each check would be all that Dagster's database holds."""
    news, told = select_news(verdict(Grade.ERROR, "5 records wait"), RUNS, {}, now=0)
    assert len(news) == 1
    news, told = select_news(verdict(Grade.ERROR, "9 records wait"), RUNS, told, now=60)
    assert not news
    news, told = select_news(verdict(Grade.ERROR, "postgres is down"), RUNS, told, now=120)
    assert len(news) == 1
    news, told = select_news(verdict(Grade.GOOD, "nothing waits"), RUNS, told, now=180)
    assert len(news) == 1
    assert told["postgres/quotes/fresh"] == Told("good", "", "run-1", 180)


def test_an_answer_is_written_down_again_for_each_run_and_now_and_then() -> None:
    """Dagster hides an answer that is older than the asset's materialization."""
    _, told = select_news(verdict(Grade.GOOD, "nothing waits"), RUNS, {}, now=0)
    successor = {"postgres/quotes/fresh": "run-2"}
    news, told = select_news(verdict(Grade.GOOD, "nothing waits"), successor, told, now=60)
    assert len(news) == 1
    news, _ = select_news(verdict(Grade.GOOD, "nothing waits"), successor, told, now=6 * 3600 + 61)
    assert len(news) == 1


def test_a_table_that_is_behind_fails_its_own_check(tmp_path: Path) -> None:
    """An analyst reads tables, and looks at their box in the graph."""
    waiting = {"candles": Waiting(3, NOON - 1801 * SECOND), "volatility": Waiting(1, NOON)}
    behind = DerivedReading(waiting=waiting, is_busy=False)
    found = answers(tmp_path, replace(readings(), derived=Answer(value=behind)))
    late = found["analytics/candles/current"]
    assert late.grade is Grade.ERROR
    assert "is sensor analytics_due switched on" in late.text
    assert late.facts == {"waiting_hours": 3, "waits_s": 1801.0}
    assert found["analytics/volatility/current"].grade is Grade.GOOD
    away = replace(readings(), derived=Answer[DerivedReading](problem="no answer for 3 s"))
    assert answers(tmp_path, away)["analytics/candles/current"].grade is Grade.WARNING

"""What the readings mean: unknown stays unknown, and what is not good is said."""

from dataclasses import replace
from pathlib import Path

import msgspec

from crypto_platform.cli.status_text import format_status
from crypto_platform.errors import IncidentKind
from crypto_platform.feeds.incidents import build_load_incident
from crypto_platform.kafka.cursors import Cursor
from crypto_platform.serving.health import PartStatus
from crypto_platform.serving.judge import build_status
from crypto_platform.serving.probe import Answer
from crypto_platform.serving.readings import (
    DerivedReading,
    KafkaReading,
    StoreDetails,
    StoreReading,
)
from crypto_platform.stores.matters import OpenMatters
from crypto_platform.stores.postgres.analytics import Waiting
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


def test_a_platform_without_lag_and_incidents_is_good(tmp_path: Path) -> None:
    """A status that always finds something is not looked at any more."""
    status = build_status(settings_of(tmp_path), readings())
    assert status.is_good, status.problems
    [postgres, mongo] = status.stores
    assert (postgres.lag_records, postgres.lag_s, postgres.records_per_minute) == (0, 0.0, 13_200)
    assert (postgres.commit_age_s, postgres.record_age_s) == (0.5, 1.0)
    assert mongo.name == "mongo"


def test_before_any_poll_a_platform_is_starting_and_not_good_already(tmp_path: Path) -> None:
    """Everything is well where nothing has been tried."""
    status = build_status(settings_of(tmp_path), readings())
    asked = [source for source in status.sources if source.feeds]
    assert asked
    never = [msgspec.structs.replace(source, poll_age_s=None) for source in asked]
    once = msgspec.structs.replace(asked[0], poll_age_s=1.0)
    for sources, word in (
        (never, "starting"),
        ([*never[1:], once], "good"),
        ([msgspec.structs.replace(source, is_paused=True) for source in never], "good"),
        ([], "good"),
    ):
        assert msgspec.structs.replace(status, sources=tuple(sources)).word == word
    assert msgspec.structs.replace(status, is_good=False).word == "not good"


def test_a_store_that_is_down_has_no_lag_instead_of_zero(tmp_path: Path) -> None:
    """A zero would say that everything is stored while nothing is known."""
    down = readings(
        postgres=Answer[StoreReading](problem="no answer for 3 s"),
        postgres_details=Answer[StoreDetails](problem="not asked"),
    )
    status = build_status(settings_of(tmp_path), down)
    [postgres, mongo] = status.stores
    assert not postgres.up
    assert postgres.lag_records is None
    assert postgres.lag_s is None
    assert postgres.quarantined_records is None
    assert mongo.up
    assert status.problems == ("postgres is down: no answer for 3 s",)


def test_without_kafka_no_lag_is_known(tmp_path: Path) -> None:
    """Lag counts to Kafka's end, which nobody knows then."""
    status = build_status(
        settings_of(tmp_path), readings(kafka=Answer[KafkaReading](problem="refused"))
    )
    assert status.stores[0].lag_records is None
    assert status.stores[0].next_offset == 100
    assert status.feeds[0].high is None
    assert status.problems == ("Kafka is down: refused",)


def test_lag_is_as_old_as_its_first_waiting_record(tmp_path: Path) -> None:
    """The count alone does not tell a busy minute from a stopped load."""
    waiting = readings(
        kafka=Answer(
            value=kafka_reading({P0: bounds(last_stable=150), P1: bounds(last_stable=30)})
        ),
        postgres=Answer(value=store_reading(offset(P0, 100), offset(P1, 30))),
        waiting_since={P0: NOON - 40 * SECOND},
    )
    status = build_status(settings_of(tmp_path), waiting)
    assert (status.stores[0].lag_records, status.stores[0].lag_s) == (50, 40.0)
    assert status.problems[0] == (
        "postgres: 50 records wait, the first of them for 40 s (good is up to 30 s)"
    )


def test_a_lag_of_seconds_is_good(tmp_path: Path) -> None:
    """Records are always on their way; an alarm for each would be one all day."""
    waiting = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=150)})),
        waiting_since={P0: NOON - 29 * SECOND},
    )
    status = build_status(settings_of(tmp_path), waiting)
    assert status.stores[0].lag_s == 29.0
    assert not any("postgres" in problem for problem in status.problems)


def test_a_partition_never_seen_waits_from_its_first_kept_record(tmp_path: Path) -> None:
    """A store that was never loaded would look as if nothing were left to do."""
    fresh = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(low=20, last_stable=50)})),
        postgres=Answer(value=store_reading()),
    )
    assert build_status(settings_of(tmp_path), fresh).stores[0].lag_records == 30


def test_rows_of_a_topic_that_is_gone_count_for_nothing(tmp_path: Path) -> None:
    """Else a re-created topic leaves a sum that no watermark explains."""
    old = offset(P1, 7_000)
    recreated = readings(postgres=Answer(value=store_reading(offset(P0, 100), old)))
    assert build_status(settings_of(tmp_path), recreated).stores[0].next_offset == 100


def test_a_store_far_behind_has_no_rate(tmp_path: Path) -> None:
    """It has stored nothing of the last minute, but is not idle."""
    behind = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=150)})),
        postgres_details=Answer(value=details(stored=0)),
        waiting_since={P0: NOON - 60 * SECOND},
    )
    assert build_status(settings_of(tmp_path), behind).stores[0].records_per_minute is None


def test_a_blocked_partition_is_told_and_is_not_lag(tmp_path: Path) -> None:
    """It waits for a person; as lag it would ask for load runs for ever."""
    blocked = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=150)})),
        postgres=Answer(value=store_reading(offset(P0, 100, blocked_by="incident"))),
    )
    status = build_status(settings_of(tmp_path), blocked)
    assert (status.stores[0].lag_records, status.stores[0].blocked_partitions) == (0, 1)
    assert (
        "postgres: 1 partitions are stopped by an incident: `crypto-platform incident list` names "
        "them"
    ) in status.problems


def test_an_open_incident_is_a_problem_with_its_next_step(tmp_path: Path) -> None:
    """Somebody has to decide something, and should read here what to type."""
    incident = build_load_incident(
        kind=IncidentKind.RETENTION_GAP,
        sink="postgres",
        feed="quotes",
        topic="market.quotes",
        topic_id=P0.topic_id,
        part=0,
        first_offset=5,
        next_offset=9,
        message="offsets 5 to 8 are gone",
        next_step="restore them",
        ts_ingest=NOON - 60 * SECOND,
    )
    matters = OpenMatters(quarantined={"quotes": 3}, incidents=(incident,))
    found = readings(
        postgres_details=Answer(value=StoreDetails(matters=matters, stored_last_minute=0))
    )
    status = build_status(settings_of(tmp_path), found)
    assert [(i.kind, i.age_s) for i in status.incidents] == [("retention_gap", 60.0)]
    [problem] = status.problems
    assert problem == (
        "incident retention_gap: offsets 5 to 8 are gone -> restore them; `crypto-platform "
        f"incident ack {incident.subject} --reason WHY` acknowledges it"
    )
    assert status.stores[0].quarantined_records == 3


def test_a_transaction_that_stays_open_is_a_problem(tmp_path: Path) -> None:
    """It hides records from every reader, and no lag shows it."""
    found = kafka_reading({P0: bounds(last_stable=100, high=150)})
    held = readings(kafka=Answer(value=found), blocked_since={P0: NOON - 11 * SECOND})
    status = build_status(settings_of(tmp_path), held)
    assert status.feeds[0].blocked_s == 11.0
    assert status.problems == (
        "an open transaction has held back the readers of market.quotes for 11 s",
    )


def test_a_feeds_rate_is_what_the_last_minute_brought(tmp_path: Path) -> None:
    """The rate must not depend on when somebody looked before."""
    found = kafka_reading(
        {P0: bounds(last_stable=100), P1: bounds(last_stable=50)}, minute_ago={P0: 40, P1: None}
    )
    status = build_status(
        settings_of(tmp_path),
        readings(kafka=Answer(value=found), postgres=Answer(value=store_reading())),
    )
    assert status.feeds[0].offsets_per_minute == 60


def test_a_source_that_fails_again_and_again_is_a_problem(tmp_path: Path) -> None:
    """One failure is the weather of the internet, three in a row are not."""
    failing = {"simulated/quotes/": Cursor(polled_at=NOON - SECOND, failures=3)}
    status = build_status(settings_of(tmp_path), readings(cursors=failing))
    assert status.problems == ("source simulated failed 3 times in a row",)


def test_a_source_nobody_polls_is_a_problem(tmp_path: Path) -> None:
    """With ingestion dead there is no lag, and every store looks perfect."""
    late = {"simulated/quotes/": Cursor(polled_at=NOON - 200 * SECOND)}
    status = build_status(settings_of(tmp_path), readings(cursors=late))
    assert status.problems == ("source simulated has been due for 195 s: nobody polls it",)


def test_what_a_person_has_paused_is_said_and_is_no_fault(tmp_path: Path) -> None:
    """A colleague reads `nobody polls it`, and starts to look for what is broken."""
    late = {"simulated/quotes/": Cursor(polled_at=NOON - 200 * SECOND, failures=3)}
    found = readings(
        cursors=late,
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=150)})),
        mongo=Answer(value=store_reading(offset(P0, 150))),
        waiting_since={P0: NOON - 23 * 3600 * SECOND},
        paused=frozenset({"simulated", "postgres"}),
    )
    status = build_status(settings_of(tmp_path), found)
    assert (status.is_good, status.problems) == (True, ())
    assert status.pauses == (
        "source simulated is paused: `crypto-platform resume simulated` goes on",
        "store postgres is paused: `crypto-platform resume postgres` goes on",
    )
    assert [store.is_paused for store in status.stores] == [True, False]


def test_a_pause_that_is_about_to_lose_records_is_a_problem(tmp_path: Path) -> None:
    """Kafka keeps them for 48 hours, whoever forgot the pause."""
    found = readings(
        kafka=Answer(value=kafka_reading({P0: bounds(last_stable=150)})),
        mongo=Answer(value=store_reading(offset(P0, 150))),
        waiting_since={P0: NOON - 25 * 3600 * SECOND},
        paused=frozenset({"postgres"}),
    )
    [problem] = build_status(settings_of(tmp_path), found).problems
    assert problem == (
        "postgres is paused and its first waiting record is 25 h old; Kafka removes records after "
        "48 h: `crypto-platform resume postgres` loads them"
    )


def test_a_paused_store_that_is_down_is_down(tmp_path: Path) -> None:
    """The pause does not explain that."""
    found = readings(
        postgres=Answer[StoreReading](problem="refused"), paused=frozenset({"postgres"})
    )
    status = build_status(settings_of(tmp_path), found)
    assert status.problems == ("postgres is down: refused",)
    assert len(status.pauses) == 1


def test_nothing_is_said_of_pauses_where_dagster_does_not_know(tmp_path: Path) -> None:
    """Unknown is neither paused nor not."""
    status = build_status(settings_of(tmp_path), readings())
    assert status.pauses == ()
    assert [store.is_paused for store in status.stores] == [None, None]


def test_a_source_in_its_back_off_is_not_late(tmp_path: Path) -> None:
    """It waits because it was told to."""
    waiting = Cursor(polled_at=NOON - 500 * SECOND, not_before=NOON + 60 * SECOND, failures=2)
    status = build_status(settings_of(tmp_path), readings(cursors={"simulated/quotes/": waiting}))
    [simulated] = [source for source in status.sources if source.name == "simulated"]
    assert simulated.due_in_s == 60.0
    assert status.is_good


def test_a_part_that_is_not_ready_and_a_full_disk_are_problems(tmp_path: Path) -> None:
    """Both stop the platform soon, before any lag shows."""
    part = PartStatus(
        name="daemon", state="restarting", pid=None, restarts=2, address=None, is_good=False
    )
    status = build_status(settings_of(tmp_path), readings(parts=(part,), free_bytes=5 * 10**8))
    assert status.problems == (
        "daemon is restarting",
        f"only 0.50 GB are free where {tmp_path} is",
    )


def test_days_left_follow_the_growth_since_the_installation(tmp_path: Path) -> None:
    """1 GB in two days with 50 GB free lasts a hundred days; a fresh folder tells nothing."""
    two_days = settings_of(tmp_path, INSTALLED_AT="2025-11-20T12:00:00Z")
    fresh = settings_of(tmp_path, INSTALLED_AT="2025-11-22T11:30:00Z")
    old_disk, fresh_disk = (build_status(s, readings()).disk for s in (two_days, fresh))
    assert old_disk is not None
    assert fresh_disk is not None
    assert (old_disk.days_left, fresh_disk.days_left) == (100.0, None)


def derived(
    *, waits_s: int, is_busy: bool = False, name: str = "candles"
) -> Answer[DerivedReading]:
    """Three hours of one computation wait since so long before noon."""
    waiting = {name: Waiting(3, NOON - waits_s * SECOND)}
    return Answer(value=DerivedReading(waiting=waiting, is_busy=is_busy))


def test_analytics_that_stands_still_is_a_problem_and_one_at_work_is_none(tmp_path: Path) -> None:
    """A chart that ends in the morning looks like a quiet market."""
    settings = settings_of(tmp_path)
    stale = replace(readings(), derived=derived(waits_s=1801))
    status = build_status(settings, stale)
    assert status.problems[0].startswith(
        "analytics (candles): 3 changed market hours wait for a run, the first for 30 min; "
        "tables are behind"
    )
    [line] = [line for line in format_status(status) if line.startswith("analytics ")]
    assert line.endswith("3 changed market hours wait for a run, the first for 30 min")
    for good in (derived(waits_s=1799), derived(waits_s=80_000, is_busy=True)):
        assert build_status(settings, replace(readings(), derived=good)).is_good
    patient = settings_of(tmp_path, ANALYTICS__EVERY_S="3600")
    assert build_status(patient, replace(readings(), derived=derived(waits_s=10_000))).is_good
    woken = settings_of(tmp_path, STACK__STARTED_AT="2025-11-22T11:59:00Z")
    slept = build_status(woken, replace(readings(), derived=derived(waits_s=80_000)))
    assert (slept.is_good, slept.analytics[0].waits_s) == (True, 60.0)


def test_what_analytics_has_to_make_is_unknown_without_its_store(tmp_path: Path) -> None:
    """Not up to date: nobody knows."""
    away = replace(readings(), derived=Answer[DerivedReading](problem="no answer for 3 s"))
    status = build_status(settings_of(tmp_path), away)
    assert {(each.waiting_hours, each.waits_s) for each in status.analytics} == {(None, None)}
    [line] = [line for line in format_status(status) if line.startswith("analytics ")]
    assert line.endswith("not known")

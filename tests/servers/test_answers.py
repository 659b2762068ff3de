"""`incident` and `quarantine` against real servers: stop, look, answer, load on, to the audit."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient

from crypto_platform.cli import main
from crypto_platform.cli.quarantine import SHOWN_ENTRIES_MAX
from crypto_platform.domain.hours import name_hour
from crypto_platform.errors import IncidentKind, KafkaUnavailableError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.codec import encode
from crypto_platform.feeds.incidents import Incident, build_incident, build_load_incident
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.kafka.connection import client_config
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.stores import STORES
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import StoredOffset
from tests.platform_harness import Platform, clock
from tests.waiting import eventually

QUOTES = FEED_BY_NAME["quotes"]
INCIDENTS = FEED_BY_NAME["incidents"]
EVENT = 1_763_812_800_000_000
NARROW = {"CRYPTO_PLATFORM_LOAD__RECORD_BYTES_MAX": "1024"}
"""A limit that a long name breaks; the usual one takes it."""
WIDE = {"CRYPTO_PLATFORM_LOAD__RECORD_BYTES_MAX": "1000000"}


def quote(number: int, *, is_long: bool = False) -> Quote:
    """A quote of currency c<number>."""
    return seal_quote(
        Quote(
            source="simulated",
            currency_id=f"c{number}",
            currency_name="x" * 3000 if is_long else "short",
            quote_currency="USD",
            price=f"{number}.10",
            ts_event=EVENT,
            ts_ingest=EVENT,
        )
    )


def run(platform: Platform, *words: str) -> Result:
    """The command line on this platform's data folder; stdin is no terminal."""
    cleared = {name: None for name in process_environment() if name.startswith(ENV_PREFIX)}
    return CliRunner().invoke(
        main, [*words, "--data-dir", str(platform.data_dir)], env=cleared, catch_exceptions=False
    )


def documents(platform: Platform, *words: str) -> dict[str, Any]:
    """What the command says with --json."""
    ended = run(platform, *words, "--json")
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def stored_quotes(platform: Platform, store: str) -> int:
    reader = platform.store(store, role="analyst")
    offsets = [row for row in reader.read_offsets() if row.topic == platform.topic(QUOTES)]
    return sum(reader.sum_range(QUOTES, row.partition, 0, 10**9).count for row in offsets)


def stopped_rows(platform: Platform, store: str) -> list[StoredOffset]:
    rows = platform.store(store, role="analyst").read_offsets()
    return [row for row in rows if row.blocked_by is not None]


def acknowledge_all(platform: Platform, store: str) -> list[Result]:
    """Answer whatever stops the store, by the name that `incident list` shows."""
    return [
        run(
            platform,
            *("incident", "ack", f"{store}:{row.topic}/{row.partition.part}"),
            *("--reason", "seen", "--yes"),
        )
        for row in stopped_rows(platform, store)
    ]


@pytest.mark.parametrize("store", STORES)
def test_a_drift_stops_and_after_a_mend_and_an_answer_loads_on(
    platform: Platform, store: str
) -> None:
    """Fault 21: nothing was skipped, so what is mended loads whole."""
    platform.reload(**NARROW, CRYPTO_PLATFORM_LOAD__DRIFT_RECORDS_MAX="10")
    values = [(QUOTES, "one-key", encode(quote(n, is_long=True))) for n in range(30)]
    platform.publish_raw(values)
    platform.load(store)
    [row] = stopped_rows(platform, store)
    name = f"{store}:{row.topic}/{row.partition.part}"
    [listed] = documents(platform, "incident", "list")["incidents"]
    assert (listed["kind"], listed["store"], listed["stopped_at_offset"]) == (
        "source_drift", store, 0,
    )  # fmt: skip
    assert name in run(platform, "incident", "list").stdout

    looked = run(platform, "incident", "ack", name, "--reason", "mended")
    assert looked.exit_code == 1
    assert f"{name} goes on at offset 0" in looked.stdout
    assert "--yes does it" in looked.stderr
    assert len(stopped_rows(platform, store)) == 1

    platform.reload(**WIDE)
    assert run(platform, "incident", "ack", name, "--reason", "mended", "--yes").exit_code == 0
    platform.load_both()
    assert stored_quotes(platform, store) == 30
    again = run(platform, "incident", "ack", listed["subject"], "--reason", "mended", "--yes")
    assert again.exit_code == 0
    assert "already acknowledged" in again.stdout
    assert documents(platform, "incident", "list")["incidents"] == []
    [kept] = documents(platform, "incident", "list", "--all")["incidents"]
    assert "mended" in kept["acknowledged"]
    assert platform.audit().whole


@pytest.mark.parametrize("store", STORES)
def test_an_answer_reaches_the_other_store_through_kafka(platform: Platform, store: str) -> None:
    """Both list the incident, so both have to hear of its end."""
    platform.publish(QUOTES, [quote(n) for n in range(30)])
    platform.delete_records(QUOTES, below=3)
    platform.load(store)
    for incident in documents(platform, "incident", "list")["incidents"]:
        fact = build_incident_of(platform, store, incident["id"])
        platform.publish(INCIDENTS, [fact])
    acknowledge_all(platform, store)
    platform.load_both()
    for name in STORES:
        facts = platform.store(name, role="analyst").read_incidents()
        own = [f for f in facts if isinstance(f, Incident) and f.sink == store]
        assert {f.state for f in own} == {"open", "acknowledged"}


def build_incident_of(platform: Platform, store: str, event_id: str) -> Incident:
    [fact] = platform.store(store, role="analyst").read_facts(INCIDENTS, [event_id])
    assert isinstance(fact, Incident)
    return fact


@pytest.mark.parametrize("store", STORES)
def test_what_retention_removed_is_given_up_by_name_and_the_load_goes_on(
    platform: Platform, store: str
) -> None:
    """Fault 13: the rest must load, and every audit says what is lost."""
    platform.publish(QUOTES, [quote(n) for n in range(40)])
    other = next(name for name in STORES if name != store)
    platform.load(other)
    parts = platform.delete_records(QUOTES, below=5)
    platform.load(store)
    ended = acknowledge_all(platform, store)
    assert [each.exit_code for each in ended] == [0] * len(parts)
    assert "offsets 0 to 4 (5) are given up" in ended[0].stdout
    platform.load_both()

    batches = platform.store(store, role="analyst").read_load_batches()
    lost = [(b.first_offset, b.next_offset) for b in batches if b.kind is BatchKind.LOST]
    assert lost == [(0, 5)] * len(parts)
    assert stored_quotes(platform, store) == stored_quotes(platform, other) - 5 * len(parts)
    text = json.dumps(platform.audit().to_document())
    assert "0 to 4" in text or '"next_offset": 5' in text
    assert platform.audit().whole


def test_a_topic_made_again_loads_after_the_answer(platform: Platform) -> None:
    """Fault 12: from its beginning, and the old records stay."""
    platform.publish(QUOTES, [quote(n) for n in range(9)])
    platform.load("postgres")
    admin = AdminClient(client_config(platform.settings))
    [deleted] = admin.delete_topics([platform.topic(QUOTES)]).values()
    deleted.result(timeout=10)
    eventually(
        lambda: platform.topic(QUOTES) not in admin.list_topics(timeout=5).topics, within_s=10
    )
    platform.create_topics()
    platform.load("postgres")
    ended = acknowledge_all(platform, "postgres")
    assert {each.exit_code for each in ended} == {0}
    eventually(lambda: publishes(platform, quote(100)), within_s=20)
    report = platform.load("postgres")
    assert report.progress.incidents == []
    reader = platform.store("postgres", role="analyst")
    assert reader.read_facts(QUOTES, [quote(100).event_id]) == [quote(100)]
    assert len(reader.read_facts(QUOTES, [quote(n).event_id for n in range(9)])) == 9
    platform.load("mongo")
    assert platform.audit().whole


def publishes(platform: Platform, record: Quote) -> bool:
    """A broker answers for a topic it has just made with an error for a moment."""
    try:
        platform.publish(QUOTES, [record])
    except KafkaUnavailableError:
        return False
    return True


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (IncidentKind.LOG_TRUNCATED, "cut: broker end offset is 4 (offset leader epoch 0)"),
        (IncidentKind.LOG_TRUNCATED, "cut, in words that nobody can read"),
        (IncidentKind.OFFSET_BEYOND_END, "it ends at 4, but 30 offsets of it are stored"),
    ],
)
def test_a_log_that_was_cut_is_read_again_and_nothing_is_stored_twice(
    platform: Platform, store: str, kind: IncidentKind, message: str
) -> None:
    """Fault 27: ids absorb what comes again; the account keeps what was stored before."""
    platform.publish_raw([(QUOTES, "one-key", encode(quote(n))) for n in range(30)])
    platform.load(store)
    own = platform.store(store)
    [row] = [r for r in own.read_offsets() if r.topic == platform.topic(QUOTES) and r.next_offset]
    [claim] = own.claim([(QUOTES, row.topic, row.partition)], run_id="finds it")
    topic_id, part = row.partition
    found = build_load_incident(
        kind=kind,
        sink=store,
        feed="quotes",
        topic=row.topic,
        topic_id=topic_id,
        part=part,
        first_offset=row.next_offset,
        next_offset=None,
        message=message,
        next_step="acknowledge it",
        ts_ingest=clock(),
    )
    assert own.block(claim, found)
    back_to = 0 if "nobody" in message else 4
    [ended] = acknowledge_all(platform, store)
    assert ended.exit_code == 0
    assert f"goes on at offset {back_to}, not {row.next_offset}" in ended.stdout

    report = platform.load(store)
    assert report.progress.incidents == []
    assert stored_quotes(platform, store) == 30
    batches = list(own.read_load_batches(row.partition))
    truncated = [b for b in batches if b.kind is BatchKind.TRUNCATED]
    live = [b for b in batches if b.kind is BatchKind.LIVE]
    assert min(b.first_offset for b in truncated) == back_to
    assert sum(b.stored.count for b in truncated) == 30 - back_to
    assert sum(b.stored.count for b in live) == back_to
    assert max(b.next_offset for b in live) == row.next_offset


def test_an_incident_of_ingestion_is_answered_in_kafka_alone(platform: Platform) -> None:
    """It stops nothing in a store, so no store has to write anything."""
    lost = build_incident(
        Incident(
            kind="cursor_lost",
            state="open",
            subject="simulated/quotes/cursor_lost",
            source="simulated",
            feed="quotes",
            message="no cursor",
            next_step="look",
            ts_ingest=EVENT,
        )
    )
    platform.publish(INCIDENTS, [lost])
    platform.load_both()
    words = ("incident", "ack", lost.subject, "--reason", "seen", "--yes")
    ended = run(platform, *words)
    assert ended.exit_code == 0
    assert "published" in ended.stdout
    platform.load_both()
    assert documents(platform, "incident", "list")["incidents"] == []
    assert "already acknowledged" in run(platform, *words).stdout
    assert platform.audit().whole


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_a_mended_limit_takes_is_released_once(platform: Platform, is_gone: bool) -> None:
    """From the bytes that the store kept: Kafka may have lost them."""
    platform.reload(**NARROW)
    platform.publish(QUOTES, [quote(n, is_long=n % 3 == 0) for n in range(30)])
    platform.publish_raw([(QUOTES, "simulated:c1", b"\x00\xff poison")])
    platform.load_both()
    if is_gone:
        for below in (5, 3, 1):
            platform.delete_records(QUOTES, below=below)
    assert platform.audit().whole
    counts = documents(platform, "quarantine", "list")["counts"]
    assert [(c["store"], c["reason"], c["entries"]) for c in counts] == [
        ("mongo", "too_large", 10),
        ("mongo", "undecodable", 1),
        ("postgres", "too_large", 10),
        ("postgres", "undecodable", 1),
    ]

    words = ("quarantine", "release", "--feed", "quotes")
    refused = run(platform, *words)
    assert refused.exit_code == 1
    assert "still refused 11" in refused.stdout
    assert "at most 1024 are taken" in refused.stdout

    platform.reload(**WIDE)
    foreseen = run(platform, *words, "--dry-run")
    assert foreseen.stdout.count("would release 10 (new 10, already there 0)") == 2
    assert stored_quotes(platform, "postgres") == 20

    done = run(platform, *words)
    assert done.stdout.count("released 10 (new 10, already there 0), still refused 1") == 2
    again = run(platform, *words)
    assert again.stdout.count("released 0 (new 0, already there 0), still refused 1") == 2
    for store in STORES:
        assert stored_quotes(platform, store) == 30
    assert platform.audit().whole


def test_an_entry_is_shown_with_its_bytes_and_discarded_for_good(platform: Platform) -> None:
    """Nobody decides on bytes that nobody can see, and a replay must not decide otherwise."""
    platform.reload(**NARROW)
    platform.publish_raw([(QUOTES, "simulated:c1", encode(quote(1, is_long=True)))])
    platform.publish_raw([(QUOTES, "simulated:c1", b"\x00\xff poison")])
    platform.load_both()
    entries = documents(platform, "quarantine", "list", "--store", "mongo")["entries"]
    names = {entry["reason"]: entry["entry"] for entry in entries}
    shown = run(platform, "quarantine", "show", names["undecodable"])
    assert "00 ff 20 70 6f 69 73 6f 6e" in shown.stdout
    [whole] = documents(platform, "quarantine", "show", names["too_large"])["entries"]
    assert whole["value_text"] == encode(quote(1, is_long=True)).decode()
    assert SHOWN_ENTRIES_MAX > 1
    assert run(platform, "quarantine", "show", "mongo:nowhere/0@1").exit_code == 1

    words = ("quarantine", "discard", names["too_large"], "--reason", "a joke of a name")
    assert run(platform, *words).exit_code == 1
    assert run(platform, *words, "--dry-run").exit_code == 0
    assert "mongo: discarded 1" in run(platform, *words, "--yes").stdout
    platform.reload(**WIDE)
    released = run(platform, "quarantine", "release", names["too_large"])
    assert "was discarded and stays so" in released.stderr
    replayed = run(platform, "quarantine", "release", "--all", "--store", "postgres")
    assert "released 1 (new 1" in replayed.stdout
    hours = platform.store("mongo", role="analyst").read_load_batches()
    for name in {name_hour(batch.hour) for batch in hours if batch.hour}:
        ended = run(
            platform,
            *("replay", "--store", "mongo", "--partition", name, "--feed", "quotes"),
        )
        assert ended.exit_code == 0
    assert (stored_quotes(platform, "mongo"), stored_quotes(platform, "postgres")) == (0, 1)
    listed = documents(platform, "quarantine", "list", "--all", "--store", "mongo")["entries"]
    assert {(e["reason"], e["state"]) for e in listed} == {
        ("too_large", "discarded"),
        ("undecodable", "open"),
    }
    assert platform.audit().whole

"""The commands against real servers: what they show is what is there."""

import json
import subprocess
import sys
import time

import msgspec
import pytest

from crypto_platform.errors import IncidentKind
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.incidents import (
    Incident,
    build_incident,
    build_load_incident,
)
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.serving.status import StatusReader, read_status
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.stores.claims import TopicPart
from tests.platform_harness import Platform

QUOTES, INCIDENTS = FEED_BY_NAME["quotes"], FEED_BY_NAME["incidents"]
DIGITS = "93233.364845644740853459012345678"
EARLIER = 1_763_812_800_000_000
REFUSED = "postgresql://analyst:x@127.0.0.1:1/none"


def quote(currency_id: str = "bitcoin", *, number: int = 0) -> Quote:
    """A quote of the simulated source."""
    return seal_quote(
        Quote(
            source="simulated",
            currency_id=currency_id,
            currency_symbol="BTC" if currency_id == "bitcoin" else currency_id.upper(),
            quote_currency="USD",
            price=DIGITS,
            ts_event=EARLIER + number,
            ts_ingest=EARLIER + number,
        )
    )


def run(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, on this platform's data folder."""
    own = process_environment()
    environment = {key: value for key, value in own.items() if not key.startswith(ENV_PREFIX)}
    return subprocess.run(
        [sys.executable, "-m", "crypto_platform.cli", *words, "--data-dir", str(platform.data_dir)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def incident(kind: str) -> Incident:
    """An open incident of ingestion."""
    return build_incident(
        Incident(
            kind=kind,
            state="open",
            subject=f"simulated/{kind}",
            source="simulated",
            message="found",
            next_step="look",
            ts_ingest=EARLIER,
        )
    )


def block(platform: Platform, store_name: str) -> Incident:
    """Stop one partition of the quotes with an incident, as a load would."""
    store = platform.store(store_name)
    topic = platform.topic(QUOTES)
    topic_id, _ = platform.watermarks().read_topic_ids([topic])[topic]
    [claim] = store.claim([(QUOTES, topic, TopicPart(topic_id, 0))], run_id="blocks")
    blocking = build_load_incident(
        kind=IncidentKind.SOURCE_DRIFT,
        sink=store_name,
        feed=QUOTES.name,
        topic=topic,
        topic_id=topic_id,
        part=0,
        first_offset=claim.next_offset,
        next_offset=None,
        message="all of them were refused",
        next_step="mend the source",
        ts_ingest=time.time_ns() // 1000,
    )
    store.block(claim, blocking)
    return blocking


def test_status_without_dagster_says_nothing_of_pauses(platform: Platform) -> None:
    """Dagster only triggers and shows; how the data is has to be known without it."""
    platform.reload(CRYPTO_PLATFORM_DAGSTER__WEBSERVER_URL="http://127.0.0.1:1")
    said = run(platform, "status", "--json")
    document = json.loads(said.stdout)
    assert document["pauses"] == []
    assert [store["is_paused"] for store in document["stores"]] == [None, None]
    assert [store["lag_records"] for store in document["stores"]] == [0, 0]


def test_status_counts_what_waits_and_what_is_stored(platform: Platform) -> None:
    """Lag, rate and bounds come from four servers and have to agree on the same records."""
    platform.publish(QUOTES, [quote(number=number) for number in range(10)])
    platform.load("postgres")
    status = read_status(platform.settings)
    stores = {store.name: store for store in status.stores}
    assert (stores["postgres"].lag_records, stores["postgres"].lag_s) == (0, 0.0)
    assert stores["postgres"].records_per_minute == 10
    mongo = stores["mongo"]
    assert mongo.lag_records is not None
    assert mongo.lag_records >= 10
    assert mongo.lag_s is not None
    assert 0 < mongo.lag_s < 60
    [quotes] = [feed for feed in status.feeds if feed.name == "quotes"]
    assert quotes.offsets_per_minute == quotes.high == mongo.lag_records
    assert quotes.append_age_s is not None
    assert quotes.append_age_s < 60


def test_the_age_of_the_lag_is_the_first_waiting_records(platform: Platform) -> None:
    """The last stored record may be much older than the one that waits, or there may be none."""
    platform.publish(QUOTES, [quote(number=0)])
    platform.load_both()
    reader = StatusReader(platform.settings, clock_us=lambda: time.time_ns() // 1000 + 20_000_000)
    platform.publish(QUOTES, [quote(number=1)])
    began = time.time()
    status = reader.read()
    reader.close()
    for store in status.stores:
        assert store.lag_s is not None
        assert 20 <= store.lag_s <= 20 + (time.time() - began) + 5


def test_an_aborted_transaction_behind_the_offset_is_no_waiting_record(platform: Platform) -> None:
    """Lag counts markers; a record's age that is none would be an alarm for ever."""
    platform.publish(QUOTES, [quote()])
    platform.load_both()
    platform.publish_and_abort(QUOTES, [quote(number=1)])
    reader = StatusReader(platform.settings, clock_us=lambda: time.time_ns() // 1000 + 3600 * 10**6)
    status = reader.read()
    reader.close()
    assert [store.lag_s for store in status.stores] == [0.0, 0.0]
    assert all(store.lag_records for store in status.stores)


@pytest.mark.parametrize("store_name", ["postgres", "mongo"])
def test_a_blocked_partition_and_its_incident_are_shown(
    platform: Platform, store_name: str
) -> None:
    """Nobody else tells a person that something waits for him."""
    block(platform, store_name)
    ended = run(platform, "status", "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert [incident["kind"] for incident in document["incidents"]] == ["source_drift"]
    blocked = {store["name"]: store["blocked_partitions"] for store in document["stores"]}
    assert blocked[store_name] == 1
    assert "all of them were refused -> mend the source" in ended.stderr


def test_quarantined_records_are_counted(platform: Platform) -> None:
    """They are stored nowhere else, and wait for a person."""
    platform.publish_raw([(QUOTES, "k", b"no JSON"), (QUOTES, "k", b"neither")])
    platform.load_both()
    assert [store.quarantined_records for store in read_status(platform.settings).stores] == [2, 2]


def test_status_with_one_store_down_shows_the_other(platform: Platform) -> None:
    """It is asked just then."""
    platform.publish(QUOTES, [quote()])
    platform.load_both()
    settings = platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)
    [postgres, mongo] = read_status(settings).stores
    assert (postgres.up, postgres.lag_records) == (False, None)
    assert (mongo.up, mongo.lag_records) == (True, 0)


def test_quotes_keep_all_digits_from_either_store(platform: Platform) -> None:
    """PostgreSQL answers, and when it does not, MongoDB gives the same digits and says so."""
    platform.publish(QUOTES, [quote(), quote("ethereum")])
    platform.load_both()
    first = run(platform, "quotes", "btc", "--json")
    platform.reload(CRYPTO_PLATFORM_POSTGRES__ANALYST_URL=REFUSED)
    second = run(platform, "quotes", "btc", "--json")
    documents = [json.loads(ended.stdout) for ended in (first, second)]
    assert [document["store"] for document in documents] == ["postgres", "mongo"]
    assert documents[0]["quotes"] == documents[1]["quotes"]
    assert [q["price"] for q in documents[0]["quotes"]] == [DIGITS]
    assert first.stderr == ""
    assert "read from mongo instead" in second.stderr


def test_load_drains_and_reports_one_document(platform: Platform) -> None:
    """Its lines about progress must not get between a program and the document."""
    platform.publish(QUOTES, [quote(number=number) for number in range(5)])
    ended = run(platform, "load", "--store", "mongo", "--drain", "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert (document["end"], document["stored_records"]) == ("drained", {"quotes": 5})
    assert document["run_id"].startswith("cli-")
    platform.load("postgres")
    assert platform.audit().whole


def test_psql_runs_a_statement_and_refuses_to_write(platform: Platform) -> None:
    """The password never shows, the answer does, and a slip deletes nothing."""
    platform.publish(QUOTES, [quote()])
    platform.load("postgres")
    read = run(platform, "connect", "postgres", "-c", "SELECT price FROM market.quote")
    assert read.returncode == 0, read.stderr
    assert DIGITS in read.stdout
    write = run(platform, "connect", "postgres", "-c", "DELETE FROM market.quote")
    assert write.returncode == 1
    assert "read-only" in write.stderr


def test_a_mongo_command_answers_in_extended_json_and_may_not_write(platform: Platform) -> None:
    """As for psql; Decimal128 keeps its digits as text."""
    platform.publish(QUOTES, [quote()])
    platform.load("mongo")
    read = run(platform, "connect", "mongo", "-c", '{"find": "quotes", "limit": 1}')
    assert read.returncode == 0, read.stderr
    [document] = json.loads(read.stdout)["cursor"]["firstBatch"]
    assert document["price"] == {"$numberDecimal": DIGITS}
    write = run(platform, "connect", "mongo", "-c", '{"delete": "quotes", "deletes": []}')
    assert write.returncode == 1
    assert write.stdout == ""


def test_an_acknowledged_incident_is_open_no_longer(platform: Platform) -> None:
    """A list that only grows is read by nobody."""
    lost = incident("cursor_lost")
    kept = incident("source_drift")
    acknowledged = build_incident(msgspec.structs.replace(lost, state="acknowledged"))
    platform.publish(INCIDENTS, [lost, kept, acknowledged])
    platform.load_both()
    for store_name in ("postgres", "mongo"):
        matters = platform.store(store_name, role="analyst").read_open_matters()
        assert list(matters.incidents) == [kept], store_name


@pytest.mark.parametrize("store_name", ["postgres", "mongo"])
def test_an_acknowledgement_of_long_ago_hides_no_partition_that_is_blocked_now(
    platform: Platform, store_name: str
) -> None:
    """A matter that comes back is the same fact: an older acknowledgement stands beside it."""
    blocking = block(platform, store_name)
    platform.publish(
        INCIDENTS, [build_incident(msgspec.structs.replace(blocking, state="acknowledged"))]
    )
    platform.load(store_name)
    matters = platform.store(store_name, role="analyst").read_open_matters()
    assert [found.event_id for found in matters.incidents] == [blocking.event_id]

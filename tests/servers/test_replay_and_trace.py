"""`replay` and `trace` against real servers: what they say is what is there."""

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from crypto_platform.cli import main
from crypto_platform.delivery.ingest import ingest
from crypto_platform.delivery.replay import plan_replay, replay
from crypto_platform.domain.hours import MICROSECONDS_PER_HOUR, hour_of
from crypto_platform.errors import IncidentError, IncidentKind, KafkaUnavailableError
from crypto_platform.feeds import FEED_BY_NAME
from crypto_platform.feeds.quotes import Quote, seal_quote
from crypto_platform.kafka.reader import read_kept_record
from crypto_platform.kafka.watermarks import Part
from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.sources.base import Poll
from crypto_platform.stores import STORES
from crypto_platform.stores.batches import BatchKind
from crypto_platform.stores.claims import TopicPart
from tests.platform_harness import Platform, clock

QUOTES = FEED_BY_NAME["quotes"]
EVENT = 1_763_812_800_000_000
RUN = "11111111-2222-3333-4444-555555555555"
REFUSED = "mongodb://analyst:x@127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=300"


def quote(number: int, *, ts_ingest: int = EVENT) -> Quote:
    """A quote of currency c<number>."""
    return seal_quote(
        Quote(
            source="simulated",
            currency_id=f"c{number}",
            quote_currency="USD",
            price=f"{number}.10",
            ts_event=EVENT,
            ts_ingest=ts_ingest,
        )
    )


class Market:
    """A source that gives the same nine quotes each time."""

    name = "simulated"
    feeds = ("quotes",)

    def poll(self, feed: str, *, positions: Mapping[str, str], ts_ingest: int) -> Poll:
        _ = feed, positions
        return Poll(records=[quote(number, ts_ingest=ts_ingest) for number in range(9)])


def poll_once(platform: Platform) -> None:
    """As the ingest asset does it."""
    ingest(
        *(platform.settings, {"simulated": Market()}, [("simulated", "quotes")]),
        clock=clock,
        stop=threading.Event(),
        run_id=RUN,
    )


def run(platform: Platform, *words: str) -> Result:
    """The command line on this platform's data folder."""
    cleared = {name: None for name in process_environment() if name.startswith(ENV_PREFIX)}
    return CliRunner().invoke(
        main, [*words, "--data-dir", str(platform.data_dir)], env=cleared, catch_exceptions=False
    )


def these_hours() -> tuple[str, ...]:
    """The hour that is, and the one before: a test may begin just before a full hour."""
    now = datetime.now(UTC)
    names = [f"{now - timedelta(hours=ago):%Y-%m-%d-%H}:00" for ago in (1, 0)]
    return ("--partition", names[0], "--to", names[1])


def trace(platform: Platform, *words: str) -> dict[str, Any]:
    """What `trace --json` says."""
    ended = run(platform, "trace", "quotes", *words, "--json")
    document: dict[str, Any] = json.loads(ended.stdout)
    assert ended.exit_code == (0 if document["ts_ingest"] is not None else 1)
    return document


def place_of(platform: Platform, store: str, event_id: str) -> tuple[Part, int]:
    [found] = platform.store(store, role="analyst").read_records(QUOTES, [event_id])
    return Part(platform.topic(QUOTES), found.part), found.offset


def test_each_record_names_the_run_that_polled_it(platform: Platform) -> None:
    """A wrong price leads to a run's log, and from there to what the source said."""
    poll_once(platform)
    platform.load("postgres")
    part, offset = place_of(platform, "postgres", quote(3).event_id)
    kept = read_kept_record(platform.settings, part, offset)
    assert kept is not None
    assert kept.headers == {"run_id": RUN}
    assert abs(kept.ts_append - clock()) < 120_000_000
    last = platform.watermarks().read_bounds([part])[part].high
    assert read_kept_record(platform.settings, part, last) is None


def test_a_broker_that_does_not_answer_has_not_lost_the_record(platform: Platform) -> None:
    """`retention removed it` would send somebody to restore what is there."""
    settings = platform.reload(CRYPTO_PLATFORM_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    with pytest.raises(KafkaUnavailableError):
        read_kept_record(settings, Part(platform.topic(QUOTES), 0), 0)


@pytest.mark.parametrize("store", STORES)
def test_a_replay_by_command_restores_what_was_deleted(platform: Platform, store: str) -> None:
    """Somebody's mistake is undone, and what stayed is neither doubled nor touched."""
    platform.publish(QUOTES, [quote(number) for number in range(30)])
    platform.load_both()
    platform.delete_quotes(store, currency_id="c7")
    words = ("replay", "--store", store, *these_hours(), "--feed", "quotes")

    planned = run(platform, *words, "--dry-run")
    assert planned.exit_code == 0
    assert "nothing was written" in planned.stdout
    assert not platform.audit().whole

    done = run(platform, *words)
    assert done.stdout == f"{store}: read 30, restored 1, already there 29, quarantined 0\n"
    assert f"{store}: replayed {platform.topic(QUOTES)}/0 offsets" in done.stderr
    assert platform.audit().whole

    again = json.loads(run(platform, *words, "--json").stdout)
    assert (again["restored_records"], again["already_there_records"]) == (0, 30)


def test_one_partition_that_retention_has_cut_stops_the_others_too(platform: Platform) -> None:
    """Half of an hour restored, with a message nobody reads, is taken for the whole."""
    platform.publish(QUOTES, [quote(number) for number in range(60)])
    platform.load("postgres")
    parts = [Part(platform.topic(QUOTES), part) for part in range(QUOTES.partitions)]
    highs = [bounds.high for bounds in platform.watermarks().read_bounds(parts).values()]
    below = sorted(highs)[-2]
    [gone] = platform.delete_records(QUOTES, below=below)
    words = ("replay", "--store", "postgres", *these_hours())

    refused = run(platform, *words)
    assert refused.exit_code == 1
    assert f"{platform.topic(QUOTES)}/{gone} below {below}" in refused.stderr
    assert "can be replayed" in refused.stderr
    assert "the mirror to restore from" in refused.stderr
    planned = run(platform, *words, "--dry-run")
    assert planned.exit_code == 1
    assert "gone in part" in planned.stdout
    end_hour = hour_of(clock()) + MICROSECONDS_PER_HOUR
    store = platform.store("postgres")
    with pytest.raises(IncidentError) as from_dagster:
        replay(
            *(platform.settings, store, QUOTES),
            first_hour=end_hour - 2 * MICROSECONDS_PER_HOUR,
            end_hour=end_hour,
            run_id=RUN,
        )
    assert from_dagster.value.kind is IncidentKind.RETENTION_GAP
    kinds = {batch.kind for batch in store.read_load_batches()}
    assert kinds == {BatchKind.LIVE}


def test_hours_before_the_gap_do_not_matter(platform: Platform) -> None:
    """A plan knows the first hour that is whole even where nothing asked for is lost."""
    platform.publish(QUOTES, [quote(number) for number in range(60)])
    platform.load("mongo")
    gone = platform.delete_records(QUOTES, below=5)
    first_hour = hour_of(clock()) + MICROSECONDS_PER_HOUR
    ranges = plan_replay(
        *(platform.settings, platform.store("mongo"), QUOTES),
        first_hour=first_hour,
        end_hour=first_hour + MICROSECONDS_PER_HOUR,
    )
    assert all(found.lost_hours == () for found in ranges)
    assert all(found.first_offset == found.next_offset for found in ranges)
    whole = {found.part.part: found.first_whole_hour for found in ranges}
    assert {part for part, hour in whole.items() if hour is not None} == set(gone)


def test_a_row_leads_to_its_load_its_offset_its_poll_and_back_again(platform: Platform) -> None:
    """Somebody doubts a price and wants to know who brought it."""
    platform.publish(QUOTES, [quote(100)])
    poll_once(platform)
    platform.load_both()
    wanted = quote(4).event_id
    found = trace(platform, wanted)
    assert found["ingest_run_id"] == RUN
    assert found["in_kafka"] is True
    assert found["is_mirrored"] is True
    for name in STORES:
        stored = found["stores"][name]
        part, offset = place_of(platform, name, wanted)
        assert (stored["topic"], stored["part"], stored["offset"]) == (*part, offset)
        [load] = stored["loads"]
        assert load["kind"] == "live"
        assert load["first_offset"] <= offset < load["next_offset"]
        partition = TopicPart(stored["topic_id"], stored["part"])
        near = platform.store(name, role="analyst").read_range(QUOTES, partition, 0, 10_000)
        polled = [one for one in near if ":c100:" not in one.event_id]
        assert stored["poll_records"] == len(polled)
    newest = trace(platform, "--latest", "c4")
    assert newest["event_id"] == wanted
    assert trace(platform, "--latest", "c4", "--store", "mongo")["event_id"] == wanted


def test_the_way_of_a_replayed_row_names_both_loads(platform: Platform) -> None:
    """The row that is there now may have come by either."""
    platform.publish(QUOTES, [quote(1)])
    platform.load("postgres")
    assert run(platform, "replay", "--store", "postgres", *these_hours()).exit_code == 0
    found = trace(platform, quote(1).event_id)
    kinds = [load["kind"] for load in found["stores"]["postgres"]["loads"]]
    assert kinds == ["live", "replay"]
    assert found["is_mirrored"] is False
    assert found["ingest_run_id"] is None


def test_a_record_that_kafka_has_removed_is_traced_without_it(platform: Platform) -> None:
    """The stores outlive the topic's retention by years."""
    platform.publish(QUOTES, [quote(number) for number in range(60)])
    platform.load_both()
    platform.delete_records(QUOTES, below=5)
    store = platform.store("postgres", role="analyst")
    arrivals = store.read_records(QUOTES, [quote(number).event_id for number in range(60)])
    early = next(found for found in arrivals if found.offset < 5)
    found = trace(platform, early.event_id)
    assert (found["in_kafka"], found["ingest_run_id"]) == (False, None)
    assert found["is_mirrored"] is True


def test_a_trace_goes_on_without_the_store_that_is_down(platform: Platform) -> None:
    """It is asked just then."""
    platform.publish(QUOTES, [quote(1)])
    platform.load_both()
    platform.reload(CRYPTO_PLATFORM_MONGO__ANALYST_URL=REFUSED)
    began = time.monotonic()
    found = trace(platform, quote(1).event_id)
    assert time.monotonic() - began < 60
    assert found["in_kafka"] is True
    assert found["stores"]["mongo"]["stored"] is None
    assert found["is_mirrored"] is None


def test_an_id_that_nobody_knows_is_exit_1_with_the_next_steps(platform: Platform) -> None:
    """A script has to notice, and a person has to know how to go on."""
    platform.publish_raw([(QUOTES, "k", b"no JSON")])
    platform.load_both()
    ended = run(platform, "trace", "quotes", "nobody:knows")
    assert ended.exit_code == 1
    assert ended.stdout.startswith("no store holds nobody:knows: is it the whole event_id")
    assert trace(platform, "nobody:knows")["stores"]["mongo"]["stored"] is False


def test_the_refused_twin_of_a_record_is_shown_beside_it(platform: Platform) -> None:
    """One id, two contents: whoever looks at the one has to learn of the other."""
    kept, twin = quote(1), msgspec.structs.replace(quote(1), price="9.9", content_hash=5)
    platform.publish(QUOTES, [kept, twin])
    platform.load("postgres")
    found = trace(platform, kept.event_id, "--store", "postgres")
    [entry] = found["stores"]["postgres"]["quarantined"]
    assert (entry["reason"], entry["state"]) == ("conflict", "open")
    assert entry["offset"] == found["stores"]["postgres"]["offset"] + 1

"""Planted faults in market data are told, and days with a hole are repaired from the exchange.

FIL-USD trades every 128 s: 675 trades a day, one page.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
import msgspec
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from crypto_platform.assets.names import gaps_key, quality_key
from crypto_platform.definitions import build_definitions
from crypto_platform.delivery.history_plan import Wanted, list_streams
from crypto_platform.delivery.load import load
from crypto_platform.delivery.quality_finding import Flaw
from crypto_platform.delivery.quality_hour import FEED_NAMES
from crypto_platform.domain.hours import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    day_of,
    hour_of,
    name_day,
    name_hour,
)
from crypto_platform.feeds import FEED_BY_NAME, FEEDS
from crypto_platform.feeds.candles import Candle, Interval, seal_candle
from crypto_platform.feeds.order_books import OrderBook, TimedBy, seal_order_book
from crypto_platform.feeds.trades import Trade, seal_trade
from crypto_platform.resources.kafka import KafkaResource
from crypto_platform.sensors.gaps import build_gap_sensor
from crypto_platform.serving.quality import read_hour
from crypto_platform.sources import build_history_source
from crypto_platform.stores import STORES, open_store
from tests.history_steps import NAME, count_offsets, read_from, read_past
from tests.platform_harness import Platform, clock
from tests.servers.test_cli_servers import REFUSED, run
from tests.venue_harness import Venue, run_venue
from tests.waiting import eventually

TRADES, CANDLES = FEED_BY_NAME["trades"], FEED_BY_NAME["candles"]
BOOKS = FEED_BY_NAME["order_books"]
SYMBOL = "FIL-USD"
MINUTE = 60_000_000
ANALYST_URL = "CRYPTO_PLATFORM_POSTGRES__ANALYST_URL"
OTHERS = ("COINBASE", "COINGECKO", "KRAKEN", "BINANCE", "BITSTAMP", "GEMINI", "SIMULATED")
SEEN = {"venue": NAME, "venue_symbol": SYMBOL, "symbol": "FIL/USD"}


def leave_others_out(platform: Platform) -> None:
    """Nothing but the simulated exchange is asked."""
    platform.reload(**{f"CRYPTO_PLATFORM_SOURCES__{name}__ENABLED": "false" for name in OTHERS})


def trade(number: int, *, at: int) -> Trade:
    """A trade at the price of its number."""
    draft = Trade(
        **SEEN, trade_id=str(number), price=str(number), quantity="2", ts_event=at, ts_ingest=at
    )
    return seal_trade(draft)


def candle(*, open_us: int, close: str) -> Candle:
    """A candle of the one trade at 10 in it."""
    draft = Candle(
        **SEEN,
        interval=Interval.MINUTE,
        ts_event=open_us,
        open="10",
        high="10",
        low="10",
        close=close,
        base_volume="2",
        ts_ingest=open_us,
    )
    return seal_candle(draft)


def book(*, at: int, bid: str) -> OrderBook:
    """A book whose best ask is 12."""
    draft = OrderBook(
        **SEEN,
        depth=1,
        bid_prices=(bid,),
        bid_quantities=("1",),
        ask_prices=("12",),
        ask_quantities=("1",),
        ts_event=at,
        ts_ingest=at,
        timed_by=TimedBy.VENUE,
    )
    return seal_order_book(draft)


def plant_faults(platform: Platform, hour_us: int) -> None:
    """An hour with trades 9 to 40 of which 20 and 21 are missing, a wrong candle, a crossed book.

    Trades come a minute apart, the first a minute before the hour, so that trade 10 is in the
    first minute and 9 before it.
    """
    numbers = [number for number in range(9, 41) if number not in {20, 21}]
    trades = [trade(n, at=hour_us + (n - 10) * MINUTE + 1) for n in numbers]
    right = [
        msgspec.structs.replace(
            candle(open_us=hour_us + (n - 10) * MINUTE, close="10"),
            **dict.fromkeys(("open", "high", "low", "close"), str(n)),
        )
        for n in numbers
        if n not in {9, 10, 15}
    ]
    wrong = candle(open_us=hour_us, close="11")
    platform.publish(TRADES, trades)
    platform.publish(CANDLES, [wrong, *map(seal_candle, right)])
    books = [
        book(at=hour_us + 59 * MINUTE + second, bid=bid) for second, bid in ((0, "11"), (1, "12.5"))
    ]
    platform.publish(BOOKS, books)
    platform.load_both()


EXPECTED = {
    "trades": [(Flaw.TRADES_MISSING, 2), (Flaw.STALE, 1)],
    "order_books": [(Flaw.BOOK_CROSSED, 1)],
    "candles": [(Flaw.CANDLES_MISSING, 1), (Flaw.CANDLE_DIFFERS, 1), (Flaw.STALE, 1)],
}
"""Missing is the candle of trade 15; the last trade is of 11:30."""


def test_faults_of_an_hour_are_told_whichever_store_answers(platform: Platform) -> None:
    """What nobody looks at stays wrong in every chart that is drawn from it."""
    leave_others_out(platform)
    platform.reload(CRYPTO_PLATFORM_SOURCES__SIMULATED_EXCHANGE__SYMBOLS=SYMBOL)
    hour_us = hour_of(clock()) - MICROSECONDS_PER_HOUR
    plant_faults(platform, hour_us)
    for store in STORES:
        found = read_hour(platform.settings, FEED_NAMES, hour_us=hour_us)
        assert found.source.store == store
        told = {
            name: [(f.flaw, f.records) for report in reports for f in report.findings]
            for name, reports in found.value.items()
        }
        assert told == EXPECTED
        platform.reload(**{ANALYST_URL: REFUSED})


def test_an_hour_in_dagster_says_what_was_found_and_what_to_type(platform: Platform) -> None:
    """A red check that says no more than that it is red costs a person an hour."""
    leave_others_out(platform)
    platform.reload(CRYPTO_PLATFORM_SOURCES__SIMULATED_EXCHANGE__SYMBOLS=SYMBOL)
    hour_us = hour_of(clock()) - MICROSECONDS_PER_HOUR
    plant_faults(platform, hour_us)
    job = build_definitions(platform.settings).resolve_job_def("quality_hour")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, partition_key=name_hour(hour_us))
    evaluations = {(e.asset_key, e.check_name): e for e in result.get_asset_check_evaluations()}
    failed = {(key, name) for (key, name), e in evaluations.items() if not e.passed}
    assert failed == {
        (quality_key("trades"), "numbers"),
        (quality_key("trades"), "recent"),
        (quality_key("order_books"), "levels"),
        (quality_key("candles"), "calendar"),
        (quality_key("candles"), "trades"),
        (quality_key("candles"), "recent"),
    }
    said = evaluations[quality_key("trades"), "numbers"].description or ""
    assert "2 between 19 (" in said
    assert f"gaps --venue {NAME} --symbol {SYMBOL} --feed trades" in said
    assert "close 11, by the trades 10" in (
        evaluations[quality_key("candles"), "trades"].description or ""
    )
    recent = evaluations[quality_key("trades"), "recent"]
    assert recent.severity is dg.AssetCheckSeverity.WARN
    assert platform.audit().whole


@contextmanager
def loading(platform: Platform) -> Iterator[None]:
    """Loads of both stores beside the block, as the sensors would ask for."""
    stop = threading.Event()

    def follow(name: str) -> None:
        store = open_store(name, platform.settings)
        run_id = str(uuid.uuid4())
        load(platform.settings, store, FEEDS, run_id=run_id, clock=clock, stop=stop, follow_s=600)
        store.close()

    threads = [threading.Thread(target=follow, args=(name,)) for name in STORES]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)


def publish_with_a_hole(platform: Platform, feed: str, day_us: int) -> None:
    """A day as the exchange gives it, but for ten records; no mark says that it is done."""
    page = build_history_source(platform.settings, NAME, feed).read_history(
        feed,
        venue_symbol=SYMBOL,
        interval=Interval.HOUR if feed == "candles" else None,
        start_us=day_us,
        end_us=day_us + MICROSECONDS_PER_DAY,
        position=None,
        ts_ingest=clock(),
    )
    platform.publish(FEED_BY_NAME[feed], [*page.records[:10], *page.records[20:]])


def open_exchange(platform: Platform, venue: Venue) -> int:
    """The exchange as of now, one symbol of it; returns the last day that is over.

    Around midnight that day changes, or is believed to be over a minute later only: waits then.
    """
    eventually(lambda: 70 < clock() // 1_000_000 % 86_400 < 86_340, within_s=150)
    venue.now_ms = time.time_ns() // 1_000_000
    leave_others_out(platform)
    read_from(platform, venue, SYMBOL, INTERVALS="1h")
    return day_of(clock()) - MICROSECONDS_PER_DAY


def read_days(document: Mapping[str, list[Mapping[str, object]]], feed: str) -> list[object]:
    """State and number of missing records, in the order of days."""
    return [(d["state"], d["missing"]) for d in document["days"] if d["feed"] == feed]


@pytest.mark.timeout(300)
def test_days_with_a_hole_are_named_and_repaired_from_the_exchange(platform: Platform) -> None:
    """One command finds what is missing, asks for it alone, and says that it is there now."""
    with run_venue() as venue:
        last_us = open_exchange(platform, venue)
        days = [last_us - 2 * MICROSECONDS_PER_DAY, last_us - MICROSECONDS_PER_DAY, last_us]
        options = ("gaps", "--from", name_day(days[0]), "--to", name_day(days[2]), "--json")
        wanted = {feed: want_day(platform, feed, days[1]) for feed in ("trades", "candles")}
        for feed, each in wanted.items():
            read_past(platform, each)
            publish_with_a_hole(platform, feed, last_us)
        platform.load_both()
        said = run(platform, *options)
        assert said.returncode == 1, said.stderr
        document = json.loads(said.stdout)
        not_asked, here = ("not asked", None), "missing here"
        assert read_days(document, "trades") == [not_asked, ("complete", 0), (here, 10)]
        assert read_days(document, "candles") == [not_asked, ("complete", 0), (here, 10)]

        url = platform.variables[ANALYST_URL]
        platform.reload(**{ANALYST_URL: REFUSED})
        other = json.loads(run(platform, *options).stdout)
        assert (other["store"], document["store"]) == ("mongo", "postgres")
        assert other["days"] == document["days"]
        platform.reload(**{ANALYST_URL: url})

        length = count_offsets(platform, TRADES)
        plan = json.loads(run(platform, *options, "--repair", "--dry-run").stdout)
        [repair] = plan["repair"]
        assert [(p["feed"], p["days"]) for p in repair["plan"]] == [("trades", 2), ("candles", 2)]
        assert repair["calls"] > 0
        assert count_offsets(platform, TRADES) == length

        with loading(platform):
            said = run(platform, *options, "--repair", "--yes")
        assert said.returncode == 0, said.stderr
        document = json.loads(said.stdout)
        assert read_days(document, "trades") == [("complete", 0)] * 3
        assert read_days(document, "candles") == [("complete", 0)] * 3
        assert run(platform, *options).returncode == 0
    assert run(platform, "audit", "--deep").returncode == 0
    assert platform.audit().whole


def want_day(platform: Platform, feed: str, day_us: int) -> Wanted:
    """One day of the symbol."""
    streams = list_streams(platform.settings.sources[NAME], feed)
    return Wanted(feed=feed, streams=streams, days=[day_us])


@pytest.mark.timeout(300)
def test_one_click_repairs_and_the_report_is_a_table(platform: Platform) -> None:
    """Who sees a hole in the UI should not have to look for a terminal."""
    with run_venue() as venue, dg.DagsterInstance.ephemeral() as instance:
        last_us = open_exchange(platform, venue)
        publish_with_a_hole(platform, "trades", last_us)
        platform.load_both()
        definitions = build_definitions(platform.settings)
        assert describe_gaps(definitions, instance)["missing_here"] == 1
        before = tick_gaps(platform, instance, None)
        assert before.skip_message == "no day has changed"
        config = {"days": 1, "feeds": ["trades"]}
        repair = definitions.resolve_job_def("repair_gaps")
        with loading(platform):
            result = repair.execute_in_process(
                instance=instance, run_config={"ops": {f"repair_{NAME}": {"config": config}}}
            )
        assert result.success
        first = tick_gaps(platform, instance, before.cursor)
        assert first.skip_message == "history is being read"
        second = tick_gaps(platform, instance, first.cursor)
        assert len(second.run_requests) == 1
        assert describe_gaps(definitions, instance)["missing_here"] == 0
        assert tick_gaps(platform, instance, second.cursor).skip_message == "no day has changed"
    assert platform.audit().whole


def tick_gaps(
    platform: Platform, instance: dg.DagsterInstance, cursor: str | None
) -> SensorExecutionData:
    """One tick of the sensor that asks for the report."""
    kafka = KafkaResource(data_dir=str(platform.data_dir))
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"kafka": kafka})
    return build_gap_sensor(platform.settings).evaluate_tick(context)


def describe_gaps(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> Mapping[str, object]:
    """What quality/gaps shows when it is materialized."""
    job = definitions.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=[gaps_key()]).success
    event = instance.get_latest_materialization_event(gaps_key())
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_what_a_venue_without_a_past_lacks_is_not_ours(platform: Platform) -> None:
    """Nobody should look for a command that could mend it."""
    day = name_day(day_of(clock()) - MICROSECONDS_PER_DAY)
    said = run(platform, "gaps", "--venue", "bitstamp", "--feed", "trades", "--day", day, "--json")
    assert said.returncode == 0, said.stderr
    states = {d["state"] for d in json.loads(said.stdout)["days"]}
    assert states == {"missing at the source"}

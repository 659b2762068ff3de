"""Days of the past from the simulated exchange into Kafka: each page once, whatever happens.

FIL-USD trades every 128 s: 675 trades a day, one page. AAVE-USD every 4 s: 21,600, 22 pages.
"""

import threading

import pytest

from crypto_platform.delivery.history import PieceEnd
from crypto_platform.errors import PublisherFencedError
from crypto_platform.feeds.candles import CANDLES
from crypto_platform.feeds.incidents import INCIDENTS
from crypto_platform.feeds.trades import TRADES
from crypto_platform.kafka.producer import Outgoing, Publisher
from crypto_platform.kafka.topics import HISTORY_CURSORS_TOPIC, topic_name
from crypto_platform.sources import build_sources
from tests.history_steps import (
    FIRST_DAY_US,
    NAME,
    count_offsets,
    list_trade_ids,
    read_from,
    read_past,
    read_values,
    running_history,
    want,
)
from tests.platform_harness import Platform
from tests.venue_harness import NOON_MS, run_venue
from tests.waiting import eventually

DAY_MS = 86_400_000
FOUR_DAYS_LATER_MS = NOON_MS + 4 * DAY_MS


def test_days_of_the_past_are_published_whole_and_asked_for_once(platform: Platform) -> None:
    """A second backfill of the same days costs the venue nothing, and says so."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD", "AAVE-USD")
        report = read_past(platform, want(platform, "trades", first=2, last=3))
        assert {piece.end for piece in report.pieces} == {PieceEnd.COMPLETE}
        values = read_values(platform, TRADES)
        assert list_trade_ids(values, "FIL-USD") == list(range(676, 2026))
        assert list_trade_ids(values, "AAVE-USD") == list(range(21_601, 64_801))
        length = count_offsets(platform, TRADES)
        second = read_past(platform, want(platform, "trades", first=2, last=3))
        assert [(p.end, p.calls, p.records) for p in second.pieces] == [
            (PieceEnd.ALREADY_COMPLETE, 0, 0)
        ] * 4
        assert count_offsets(platform, TRADES) == length


def test_what_is_asked_for_again_changes_nothing_in_the_stores(platform: Platform) -> None:
    """A person who mistrusts a day may read it again without doubling a single row."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD", INTERVALS="1h")
        for feed in ("trades", "candles"):
            read_past(platform, want(platform, feed, first=1, last=2))
            read_past(platform, want(platform, feed, first=1, last=2, again=True))
    assert len(read_values(platform, TRADES)) == 2 * 1350
    assert len(read_values(platform, CANDLES)) == 2 * 48
    platform.load_both()
    for name in ("postgres", "mongo"):
        store = platform.store(name, role="analyst")
        where = {"venue": NAME, "venue_symbol": "FIL-USD"}
        times = {"start_us": FIRST_DAY_US, "end_us": FIRST_DAY_US + 2 * DAY_MS * 1000}
        assert store.count_events(TRADES, where=where, **times) == 1350
        assert store.count_events(CANDLES, where=where | {"interval": "1h"}, **times) == 48
        assert store.count_events(CANDLES, where=where | {"interval": "1m"}, **times) == 0
    assert platform.audit().whole


def test_a_venue_that_says_to_come_again_is_asked_again(platform: Platform) -> None:
    """429 is an everyday answer to a backfill: it must neither fail it nor leave a gap."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD")
        venue.order(kind="429", count=2, retry_after_s=1)
        venue.order(kind="repeated", count=3)
        report = read_past(platform, want(platform, "trades", first=1, last=1))
    assert [(piece.end, piece.records) for piece in report.pieces] == [(PieceEnd.COMPLETE, 675)]
    assert list_trade_ids(read_values(platform, TRADES), "FIL-USD") == list(range(1, 676))


def test_a_page_that_is_cut_short_fails_its_day_alone(platform: Platform) -> None:
    """Half a page must not pass for a whole one, nor one bad answer end a night's work."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD")
        venue.order(kind="truncated")
        report = read_past(platform, want(platform, "trades", first=1, last=2))
        assert [piece.end for piece in report.pieces] == [PieceEnd.FAILED, PieceEnd.COMPLETE]
        assert "hung up before its answer was whole" in (report.pieces[0].error or "")
        report = read_past(platform, want(platform, "trades", first=1, last=2))
    assert [piece.end for piece in report.pieces] == [
        PieceEnd.COMPLETE,
        PieceEnd.ALREADY_COMPLETE,
    ]
    ids = list_trade_ids(read_values(platform, TRADES), "FIL-USD")
    assert sorted(ids) == list(range(1, 1351))


def test_a_symbol_that_the_venue_refuses_leaves_the_others_alone(platform: Platform) -> None:
    """A mistyped symbol is refused once, not once a day of a year."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "NIX-USD", "FIL-USD")
        report = read_past(platform, want(platform, "trades", first=1, last=2))
    assert [(str(piece.stream), piece.end) for piece in report.pieces] == [
        ("NIX-USD", PieceEnd.FAILED),
        ("FIL-USD", PieceEnd.COMPLETE),
        ("NIX-USD", PieceEnd.NOT_ASKED),
        ("FIL-USD", PieceEnd.COMPLETE),
    ]


def test_a_day_that_is_not_over_is_never_done(platform: Platform) -> None:
    """A day taken for whole at noon would have no afternoon, for good."""
    with run_venue() as venue:
        venue.now_ms = NOON_MS
        read_from(platform, venue, "FIL-USD")
        wanted = want(platform, "trades", first=1, last=1)
        report = read_past(platform, wanted, now_us=venue.now_ms * 1000)
        assert [piece.end for piece in report.pieces] == [PieceEnd.NOT_OVER]
        venue.now_ms += DAY_MS
        report = read_past(platform, wanted, now_us=venue.now_ms * 1000)
        assert [piece.end for piece in report.pieces] == [PieceEnd.COMPLETE]
    ids = list_trade_ids(read_values(platform, TRADES), "FIL-USD")
    assert set(ids) == set(range(1, 676))


def test_a_day_of_which_nothing_came_is_asked_for_once_more(platform: Platform) -> None:
    """A venue that answers nothing by mistake must not leave a hole that is called complete."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD", INTERVALS="1h")
        # the exchange has traded since the first of January
        wanted = want(platform, "candles", first=0, last=1)
        ends = [[piece.end for piece in read_past(platform, wanted).pieces] for _ in range(3)]
        again = read_past(platform, want(platform, "candles", first=0, last=0, again=True))
    assert ends == [
        [PieceEnd.EMPTY, PieceEnd.COMPLETE],
        [PieceEnd.COMPLETE, PieceEnd.ALREADY_COMPLETE],
        [PieceEnd.ALREADY_COMPLETE, PieceEnd.ALREADY_COMPLETE],
    ]
    assert [piece.end for piece in again.pieces] == [PieceEnd.COMPLETE]


def test_a_later_run_over_the_same_day_takes_it_over(platform: Platform) -> None:
    """Two backfills of one day at once would publish its pages twice."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD")
        earlier = Publisher(
            platform.settings, source=NAME, feed="trades", mode="history.2026-01-01"
        )
        earlier.open()
        read_past(platform, want(platform, "trades", first=1, last=1))
        with pytest.raises(PublisherFencedError):
            earlier.publish(
                [Outgoing(topic_name(platform.settings, HISTORY_CURSORS_TOPIC), "any", None)]
            )


def test_a_run_killed_in_the_middle_of_a_day_goes_on_there(platform: Platform) -> None:
    """The border is where pages get lost or doubled: between commit and cursor lies nothing."""
    options = ("--from", "2026-01-02", "--to", "2026-01-03", "--no-wait")
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "AAVE-USD")
        with running_history(platform, *options) as process:
            eventually(lambda: count_offsets(platform, TRADES) > 5000, within_s=60)
            process.kill()
            process.wait()
        assert count_offsets(platform, TRADES) < 43_200
        with running_history(platform, *options) as process:
            report, _ = process.communicate(timeout=60)
            assert process.returncode == 0, report
    ids = list_trade_ids(read_values(platform, TRADES), "AAVE-USD")
    assert ids == list(range(21_601, 64_801))


def test_records_of_a_backfill_before_the_first_poll_are_no_lost_cursor(
    platform: Platform,
) -> None:
    """A person who begins with the past would be alarmed for nothing; a real loss must be told."""
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "FIL-USD", FEEDS="trades", INTERVALS="1h")
        source = build_sources(platform.settings)[NAME]
        for day in (1, 2):
            read_past(platform, want(platform, "trades", first=day, last=day))
        platform.ingest({NAME: source})
        assert read_values(platform, INCIDENTS) == []
        platform.forget_cursors()
        # what is read now begins another topic, not that of the trades
        read_past(platform, want(platform, "candles", first=1, last=1))
        platform.ingest({NAME: source})
    [incident] = read_values(platform, INCIDENTS)
    assert (incident["kind"], incident["feed"]) == ("cursor_lost", "trades")


def test_a_stop_ends_after_the_page_in_hand(platform: Platform) -> None:
    """Ctrl-C must cost no page: what was asked for is published, the next run goes on behind it."""
    stop = threading.Event()
    with run_venue() as venue:
        venue.now_ms = FOUR_DAYS_LATER_MS
        read_from(platform, venue, "AAVE-USD")
        wanted = want(platform, "trades", first=1, last=2)
        stop.set()
        stopped = read_past(platform, wanted, stop=stop)
        assert {piece.end for piece in stopped.pieces} == {PieceEnd.STOPPED}
        read_past(platform, wanted)
    ids = list_trade_ids(read_values(platform, TRADES), "AAVE-USD")
    assert ids == list(range(1, 43_201))

"""`history`: which days are meant, and what its plan and its report say."""

from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from crypto_platform.cli.history import Arrived, choose_feeds, choose_source, parse_days
from crypto_platform.cli.history_text import build_document, format_plan, format_report
from crypto_platform.delivery.history import HistoryReport, PieceEnd, PieceReport
from crypto_platform.delivery.history_plan import Estimate, Stream
from crypto_platform.domain.hours import name_day
from crypto_platform.settings import Settings, load_settings

NOW = datetime(2026, 1, 31, 15, 20, tzinfo=UTC)
DAY_US = 1_769_731_200_000_000
"""2026-01-30."""
FILECOIN = Stream(venue_symbol="FIL-USD")
ALL_THERE = {name: Arrived(new_records=0, lacking_offsets=0) for name in ("postgres", "mongo")}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environment={})


def report_of(
    end: PieceEnd, *, records: int = 0, calls: int = 0, error: str | None = None
) -> HistoryReport:
    """One day of one symbol."""
    piece = PieceReport(
        stream=FILECOIN, day_us=DAY_US, end=end, records=records, calls=calls, error=error
    )
    return HistoryReport(source="coinbase", feed="trades", pieces=[piece])


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        (None, None, ["2026-01-30"]),
        ("2026-01-29", None, ["2026-01-29", "2026-01-30"]),
        ("2026-01-31", "2026-01-31", ["2026-01-31"]),
        (None, "2026-01-02", ["2026-01-02"]),
    ],
)
def test_days_end_yesterday_unless_somebody_says_otherwise(
    first: str | None, last: str | None, days: list[str]
) -> None:
    """Today is never whole: who wants it has to name it."""
    assert [name_day(day) for day in parse_days(first, last, now=NOW)] == days


@pytest.mark.parametrize(
    ("first", "last", "advice"),
    [
        ("2026-01-31T14", None, "use 2026-01-31"),
        ("1969-12-31", None, "before 1970"),
        (None, "2026-02-01", "has not begun yet: it is 2026-01-31"),
        ("2026-01-31", None, "give the earlier day as --from"),
    ],
)
def test_days_that_cannot_be_are_refused_with_what_works(
    first: str | None, last: str | None, advice: str
) -> None:
    """A typing error must not start a backfill of something else."""
    with pytest.raises(click.BadParameter, match=advice):
        parse_days(first, last, now=NOW)


def test_a_source_has_to_be_named_where_several_keep_a_past(settings: Settings) -> None:
    """A backfill of the wrong venue costs its whole budget."""
    with pytest.raises(click.UsageError, match="simulated_exchange, coinbase"):
        choose_source(settings, None)
    with pytest.raises(click.UsageError, match="no source coinbse"):
        choose_source(settings, "coinbse")
    assert choose_source(settings, "coinbase") == "coinbase"


def test_a_feed_without_a_past_is_refused_with_those_that_have_one(settings: Settings) -> None:
    """Prices of CoinGecko's list, or order books, are gone once they were not polled."""
    assert choose_feeds(settings, "coinbase", ()) == ["trades", "candles"]
    with pytest.raises(click.UsageError, match="the past of nothing"):
        choose_feeds(settings, "coingecko", ())
    with pytest.raises(click.UsageError, match="no past of order_books"):
        choose_feeds(settings, "coinbase", ("order_books",))


def test_a_plan_says_how_many_requests_and_how_long() -> None:
    """Nobody can know beforehand that a year of bitcoin takes a day."""
    plan = Estimate(feed="trades", stream=FILECOIN, days=2, done_days=1, calls=1080)
    *_, row, summary = format_plan("coinbase", [plan], requests_per_minute_max=600)
    assert row.split() == ["trades", "FIL-USD", "2", "1", "about", "1,080"]
    assert "about 1,080 requests, 6 min at least" in summary
    # it stands before the question of a repair, too
    assert "published" not in summary


def test_a_second_backfill_says_that_nothing_was_asked_for() -> None:
    """Silence would look like a backfill that found nothing."""
    report = report_of(PieceEnd.ALREADY_COMPLETE)
    assert format_report([report], {}, again=False) == [
        "coinbase/trades: 0 records in 0 requests; days: 1 already complete",
        "nothing was asked for: --again asks again",
    ]


def test_what_was_asked_for_again_says_that_nothing_changed() -> None:
    """That is what somebody who mistrusts a day wants to read."""
    report = report_of(PieceEnd.COMPLETE, records=675, calls=2)
    assert format_report([report], ALL_THERE, again=True)[1:] == [
        "postgres: 0 new, 675 already there",
        "mongo: 0 new, 675 already there",
        "nothing changed: the stores had all of it already",
    ]


def test_a_store_that_lags_is_not_said_to_have_all() -> None:
    """What has not arrived yet is neither new nor there."""
    arrived = {"mongo": Arrived(new_records=0, lacking_offsets=9)}
    lines = format_report([report_of(PieceEnd.COMPLETE, records=5)], arrived, again=False)
    assert lines[1:] == [
        "mongo: 0 new, 5 already there; it has not loaded 9 offsets yet: see status"
    ]


def test_a_stopped_backfill_says_how_to_go_on() -> None:
    """With --again the same command would begin anew: it has to name the day."""
    report = report_of(PieceEnd.STOPPED, records=5)
    assert format_report([report], {}, again=False)[-1].endswith("the same command goes on there")
    assert "--from 2026-01-30" in format_report([report], {}, again=True)[-1]


def test_an_empty_day_says_that_it_is_asked_for_once_more() -> None:
    """Else nobody knows why the same command asks again."""
    lines = format_report([report_of(PieceEnd.EMPTY, calls=1)], {}, again=False)
    assert "1 empty so far" in lines[0]
    assert "once more" in lines[-1]


def test_the_document_has_each_day_of_each_symbol() -> None:
    """A script decides by `end`, not by a sentence."""
    report = report_of(PieceEnd.FAILED, error="answered 500")
    document = build_document("coinbase", "cli-1", [report], {})
    assert document["records"] == 0
    [piece] = document["history"]
    assert (piece["day"], piece["end"], piece["error"]) == ("2026-01-30", "failed", "answered 500")

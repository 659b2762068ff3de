"""What a day of a market's past is: complete, missing at the source, missing here, not asked."""

from pathlib import Path

import pytest

from crypto_platform.cli.gaps_text import format_gaps
from crypto_platform.delivery.gap_days import DayState, Held, judge_day
from crypto_platform.delivery.gap_repair import list_recent, list_subjects, plan_repair
from crypto_platform.delivery.gap_report import Border, GapLine, count_missing
from crypto_platform.delivery.history_plan import Stream
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY, name_day
from crypto_platform.feeds.trades import Trade
from crypto_platform.kafka.history_cursors import HistoryCursor
from crypto_platform.settings import Settings, load_settings

DAY = 1_767_225_600_000_000
DONE = HistoryCursor(records=100, done_at=1)
BEGUN = HistoryCursor(records=40)
BTC, ETH = Stream(venue_symbol="BTC-USD"), Stream(venue_symbol="ETH-USD")


@pytest.mark.parametrize(
    ("held", "state"),
    [
        (Held(records=100, missing=0), DayState.COMPLETE),
        (Held(records=100, missing=None, is_live=True), DayState.COMPLETE),
        (Held(records=100, missing=None, asked=DONE), DayState.COMPLETE),
        (Held(records=100, missing=3, asked=DONE), DayState.AT_SOURCE),
        (Held(records=100, missing=3, gives_past=False), DayState.AT_SOURCE),
        (Held(records=0, missing=None, gives_past=False), DayState.AT_SOURCE),
        (Held(records=100, missing=3), DayState.HERE),
        (Held(records=100, missing=3, is_live=True), DayState.HERE),
        (Held(records=100, missing=None), DayState.HERE),
        (Held(records=100, missing=None, is_live=True, in_gap=True), DayState.HERE),
        (Held(records=40, missing=None, asked=BEGUN), DayState.HERE),
        (Held(records=0, missing=None), DayState.NOT_ASKED),
        (Held(records=0, missing=500), DayState.NOT_ASKED),
        (Held(records=0, missing=0), DayState.COMPLETE),
    ],
)
def test_a_day_is_what_counts_and_marks_say(held: Held, state: DayState) -> None:
    """A day called complete is never looked at again."""
    assert judge_day(held).state is state


def test_a_day_that_lost_what_history_published_is_read_again() -> None:
    """Its mark says done: without another word a repair would leave it out for ever."""
    verdict = judge_day(Held(records=99, missing=0, asked=DONE))
    assert (verdict.state, verdict.again) == (DayState.HERE, True)


def test_a_day_of_which_nothing_came_once_is_asked_for_once_more() -> None:
    """An outage that answers with an empty list must not pass for a day without trades."""
    held = Held(records=0, missing=None, asked=HistoryCursor(asked_at=1, empty_by="run-a"))
    state, why, again = judge_day(held)
    assert (state, again) == (DayState.HERE, False)
    assert "gave nothing of it" in why


def line(stream: Stream, day: int, state: DayState, *, again: bool = False) -> GapLine:
    """A day of January 2026."""
    return GapLine(
        source="coinbase",
        feed="trades",
        stream=stream,
        day_us=DAY + (day - 1) * MICROSECONDS_PER_DAY,
        state=state,
        records=5,
        missing=2 if state is DayState.HERE else None,
        why="2 of its trades are missing" if state is DayState.HERE else "",
        can_ask=state in {DayState.HERE, DayState.NOT_ASKED},
        again=again,
    )


def test_a_repair_asks_for_what_is_missing_and_for_nothing_else() -> None:
    """Every day more is a request of the venue's that somebody pays for."""
    lines = [
        line(BTC, 1, DayState.COMPLETE),
        line(BTC, 2, DayState.HERE),
        line(BTC, 3, DayState.AT_SOURCE),
        line(BTC, 4, DayState.NOT_ASKED),
        line(BTC, 5, DayState.HERE, again=True),
        line(ETH, 2, DayState.HERE),
        line(ETH, 4, DayState.HERE),
    ]
    plan = plan_repair(lines)["coinbase"]
    told = [
        ([str(s) for s in wanted.streams], [name_day(day) for day in wanted.days], wanted.again)
        for wanted in plan
    ]
    assert told == [
        (["BTC-USD", "ETH-USD"], ["2026-01-02", "2026-01-04"], False),
        (["BTC-USD"], ["2026-01-05"], True),
    ]


def test_days_that_are_alike_are_one_line() -> None:
    """A year that nobody asked for is no news of 365 lines."""
    lines = [line(BTC, day, DayState.NOT_ASKED) for day in range(1, 21)]
    lines += [line(BTC, 21, DayState.HERE), line(BTC, 22, DayState.HERE)]
    told = format_gaps(lines)
    assert len(told) == 5
    assert "2026-01-01  2026-01-20  not asked" in told[1]
    assert "2 of its trades are missing" in told[2]
    assert told[-1] == "22 days of markets: 2 missing here, 20 not asked"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environment={})


def test_days_that_retention_forgets_are_left_out(settings: Settings) -> None:
    """A day that was removed on purpose is no gap, and asking for it would be for one night."""
    now_us = DAY + 200 * MICROSECONDS_PER_DAY
    days = [DAY, now_us - MICROSECONDS_PER_DAY]
    kept = {
        subject.feed: len(subject.days)
        for subject in list_subjects(settings, days=days, now_us=now_us, sources=["coinbase"])
    }
    assert kept == {"trades": 1, "candles": 2}


def test_the_last_days_end_yesterday(settings: Settings) -> None:
    """A day that goes on has no verdict."""
    days = list_recent(settings, now_us=DAY + 5, days=2)
    assert [name_day(day) for day in days] == ["2025-12-30", "2025-12-31"]


def border(before: list[int], after: list[int]) -> Border:
    """A midnight between trades of these numbers."""
    sides = [
        [
            Trade(
                venue="coinbase",
                venue_symbol="BTC-USD",
                trade_id=str(number),
                price="1",
                quantity="1",
                ts_event=DAY,
                ts_ingest=DAY,
            )
            for number in numbers
        ]
        for numbers in (before, after)
    ]
    return Border(*sides)


BEGIN, END = border([8, 9], [10, 11]), border([18, 19], [20, 21])


@pytest.mark.parametrize(
    ("begin", "end", "records", "is_done", "missing"),
    [
        (BEGIN, END, 10, False, 0),
        (BEGIN, END, 7, False, 3),
        (BEGIN, END, 7, True, 3),
        # 9 comes after midnight, 20 before the next one
        (border([8, 10], [9, 11]), border([18, 20], [19, 21]), 10, False, 0),
        (border([8, 10], [9, 11]), END, 9, False, 1),
        (BEGIN, border([18, 20], [19, 21]), 10, False, 0),
        # 10 and 11 are missing: of this day or of one before
        (border([8, 9], [12, 13]), END, 8, False, 2),
        (border([8, 9], [12, 13]), END, 8, True, 0),
        (BEGIN, border([18, 19], [25]), 10, False, 5),
        (BEGIN, border([18, 19], [25]), 10, True, 0),
        # the first and the last day that are stored
        (border([], [10, 11]), END, 10, False, None),
        (border([], [10, 11]), END, 9, False, 1),
        (border([], [10, 11]), END, 10, True, 0),
        (BEGIN, border([18, 19], []), 10, False, None),
        # the venue's first trade of all
        (border([], [1, 2]), END, 19, False, 0),
        # none of it is stored, and then some is missing; or nobody traded
        (border([8, 9], [30]), border([8, 9], [30]), 0, False, 20),
        (border([8, 9], [10]), border([8, 9], [10]), 0, False, 0),
        (border([], []), border([], []), 0, False, None),
    ],
)
def test_numbers_around_its_midnights_say_what_a_day_lacks(
    begin: Border, end: Border, records: int, is_done: bool, missing: int | None
) -> None:
    """One trade that is late by time is no gap, and a gap of the day before is not this day's."""
    assert count_missing(begin, end, records, is_done=is_done)[0] == missing

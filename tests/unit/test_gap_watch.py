"""When the gap report is made anew."""

from crypto_platform.delivery.gap_watch import ReportPlan, Watched, plan_report
from crypto_platform.domain.hours import MICROSECONDS_PER_DAY

TODAY = 20_000 * MICROSECONDS_PER_DAY
NOON = TODAY + MICROSECONDS_PER_DAY // 2


def look(
    marks: int, memory: Watched | None, *, now_us: int = NOON, is_busy: bool = False
) -> ReportPlan:
    return plan_report(now_us=now_us, marks=marks, is_busy=is_busy, memory=memory)


def test_a_fresh_platform_has_nothing_to_report() -> None:
    """Its first minute belongs to its first quotes."""
    first = look(0, None)
    assert not first.launch
    assert not look(0, first.memory).launch


def test_the_report_waits_until_history_has_been_read_and_is_made_once() -> None:
    """A report a page would read all days again and again, and the last one could be missing."""
    told: list[tuple[bool, str]] = []
    memory = look(0, None).memory
    for marks in (40, 90, 90, 90):
        plan = look(marks, memory)
        told.append((plan.launch, plan.reason))
        memory = plan.memory
    assert told == [
        (False, "history is being read"),
        (False, "history is being read"),
        (True, "history has been read"),
        (False, "no day has changed"),
    ]


def test_what_was_read_while_a_report_was_made_is_in_the_next_one() -> None:
    """The one at work may have looked before."""
    memory = Watched(day_us=TODAY, reported=90, seen=90)
    busy = look(95, memory, is_busy=True)
    assert (busy.launch, busy.reason) == (False, "a report is being made")
    assert look(95, busy.memory).launch


def test_a_platform_that_knows_history_but_has_no_report_makes_one() -> None:
    """After an upgrade, or with Dagster's database lost."""
    assert look(90, None).launch


def test_a_day_that_has_ended_is_in_the_report() -> None:
    """Else yesterday is missing from it until somebody clicks."""
    memory = Watched(day_us=TODAY, reported=90, seen=90)
    plan = look(90, memory, now_us=NOON + MICROSECONDS_PER_DAY)
    assert (plan.launch, plan.reason) == (True, "a day has ended")
    assert not look(90, plan.memory, now_us=NOON + MICROSECONDS_PER_DAY).launch

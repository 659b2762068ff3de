"""Decide whether the gap report is made anew. Pure: values in, a decision out.

What it says changes when history has read something, and when a day has ended. How far history has
read is told by the end of its cursors' topic, whoever read: a backfill, a repair, a command.
"""

from dataclasses import dataclass

import msgspec

from crypto_platform.domain.hours import TimeUs, day_of


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered from one look to the next.

    Attributes:
        day_us: The day of the last report.
        reported: How many marks of history there were at the last report.
        seen: The same at the last look.
    """

    day_us: TimeUs
    reported: int
    seen: int


@dataclass(frozen=True, kw_only=True)
class ReportPlan:
    """What to do, and why in words for the UI."""

    launch: bool
    reason: str
    memory: Watched


def plan_report(*, now_us: TimeUs, marks: int, is_busy: bool, memory: Watched | None) -> ReportPlan:
    """Whether another report is asked for.

    Args:
        marks: The end of the topic of history's cursors.
        is_busy: A report is being made just now.
        memory: As returned last time; None at the first look.
    """
    today_us = day_of(now_us)
    known = memory or Watched(day_us=today_us, reported=0, seen=marks)
    looked = msgspec.structs.replace(known, seen=marks)
    if is_busy:
        return ReportPlan(launch=False, reason="a report is being made", memory=looked)
    if marks != known.seen:
        return ReportPlan(launch=False, reason="history is being read", memory=looked)
    if marks == known.reported and today_us == known.day_us:
        return ReportPlan(launch=False, reason="no day has changed", memory=looked)
    reason = "history has been read" if marks != known.reported else "a day has ended"
    reported = Watched(day_us=today_us, reported=marks, seen=marks)
    return ReportPlan(launch=True, reason=reason, memory=reported)

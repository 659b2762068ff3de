"""Whether a day of a market's past is complete, and who lacks what is not there.

Here: the verdict on one day, from counts and marks. Pure. Not here: counting (gap_report.py),
backfilling (gap_repair.py), gaps that a poll noticed (gaps.py).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from crypto_platform.kafka.history_cursors import HistoryCursor


class DayState(StrEnum):
    """What a day is; a repair asks for the last two."""

    COMPLETE = "complete"
    AT_SOURCE = "missing at the source"
    HERE = "missing here"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, kw_only=True)
class Held:
    """What is known of one day of one stream.

    Attributes:
        records: Stored of it.
        missing: By the venue's numbers or the calendar; None where neither can tell.
        note: What they say, for a person.
        asked: How far the past was asked for; None where it never was.
        gives_past: Whether the source can be asked for it.
        is_live: The records before and after the day came by polls in time, which follow one
            another without jumping over anything unsaid.
        in_gap: An incident says that a poll jumped over some of it.
    """

    records: int
    missing: int | None
    note: str = ""
    asked: HistoryCursor | None = None
    gives_past: bool = True
    is_live: bool = False
    in_gap: bool = False


class Verdict(NamedTuple):
    """What a day is, and why.

    Attributes:
        again: It was asked for to its end, and has to be once more.
    """

    state: DayState
    why: str
    again: bool = False


def judge_day(held: Held) -> Verdict:
    """The verdict on one day."""
    if held.asked is not None and held.asked.done_at is not None:
        return _judge_done(held, published=held.asked.records)
    is_proved = held.missing is None and held.is_live and not held.in_gap
    if held.missing == 0 or is_proved:
        return Verdict(DayState.COMPLETE, held.note)
    if not held.gives_past:
        return Verdict(DayState.AT_SOURCE, f"{_explain(held)}; it gives no past")
    if not held.records and held.asked is None:
        return Verdict(DayState.NOT_ASKED, "")
    return Verdict(DayState.HERE, _explain(held))


def _judge_done(held: Held, *, published: int) -> Verdict:
    """History has asked for all of the day, after its end."""
    if held.records < published:
        why = f"history published {published:,}, {held.records:,} are stored: see audit"
        return Verdict(DayState.HERE, why, again=True)
    if held.missing:
        return Verdict(DayState.AT_SOURCE, f"{held.note}; it was asked for all of the day")
    return Verdict(DayState.COMPLETE, held.note)


def _explain(held: Held) -> str:
    if held.note:
        return held.note
    if held.asked is not None and held.asked.empty_by is not None:
        return "the source gave nothing of it; given nothing once more, that is believed"
    if held.in_gap:
        return "a poll jumped over some of it"
    return "nothing proves that all of it came"

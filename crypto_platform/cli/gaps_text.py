"""How `gaps` reads: the report as a table or its rows. Values to text, no decision."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from crypto_platform.cli.text import format_table, printable
from crypto_platform.delivery.gap_days import DayState
from crypto_platform.delivery.gap_report import GapLine
from crypto_platform.domain.hours import name_day
from crypto_platform.domain.readable import format_count
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.serving.failover import Answered
from crypto_platform.serving.sheets import Column, Sheet, build_rows, build_source

_COLUMNS = ("venue", "feed", "symbol", "day", "to", "state", "records", "missing", "why")
_NUMBERS = frozenset({6, 7})


def format_gaps(lines: Sequence[GapLine]) -> list[str]:
    """A line for each stretch of days that are alike, and how many days are what."""
    if not lines:
        return ["no day to look at: of those named none is kept, or no source is asked for them"]
    rows = [_format_days(list(days)) for _, days in groupby(lines, key=_alike)]
    counts = Counter(line.state for line in lines)
    summary = ", ".join(f"{counts[state]:,} {state}" for state in DayState if counts[state])
    table = format_table(_COLUMNS, rows, right=_NUMBERS)
    return [*map(printable, table), f"{len(lines):,} days of markets: {summary}"]


def _alike(line: GapLine) -> tuple[object, ...]:
    """Days that are complete, or were not asked for, have nothing else to say."""
    own = (line.source, line.feed, str(line.stream), line.state)
    is_plain = line.state in {DayState.COMPLETE, DayState.NOT_ASKED}
    return own if is_plain else (*own, line.day_us)


def _format_days(days: Sequence[GapLine]) -> tuple[str, ...]:
    first, last = days[0], days[-1]
    return (
        first.source,
        first.feed,
        str(first.stream),
        name_day(first.day_us),
        name_day(last.day_us) if len(days) > 1 else "",
        first.state.value,
        format_count(sum(day.records for day in days)),
        format_count(first.missing) if len(days) == 1 else "",
        first.why if len(days) == 1 else "",
    )


DAY_COLUMNS: Sequence[Column] = (
    *(Column(name, FieldKind.TEXT) for name in ("venue", "feed", "venue_symbol", "interval")),
    *(Column(name, FieldKind.TEXT) for name in ("day", "state")),
    *(Column(name, FieldKind.INTEGER) for name in ("records", "missing")),
    Column("why", FieldKind.TEXT),
    Column("can_ask", None),
)


def build_days(lines: Sequence[GapLine]) -> Sheet:
    """A row a day of a market and feed."""
    rows = [
        (
            line.source,
            line.feed,
            line.stream.venue_symbol,
            line.stream.interval,
            name_day(line.day_us),
            line.state.value,
            line.records,
            line.missing,
            line.why or None,
            line.can_ask,
        )
        for line in lines
    ]
    return Sheet(DAY_COLUMNS, rows)


def build_document(found: Answered[list[GapLine]]) -> dict[str, object]:
    """The report for --json; unknown is null."""
    return {**build_source(found.source), "days": build_rows(build_days(found.value))}

"""What a field may hold beyond its type, so that both stores keep it unchanged.

Here: for each kind of field one quick look at a whole column, which nearly always passes, and the
same rule for one value, which says what is wrong. Not here: types and bounds, which the decoder
checks (codec.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Literal, NamedTuple

from crypto_platform.domain.hours import MICROSECONDS_PER_DAY
from crypto_platform.domain.money import are_amounts, explain_amount
from crypto_platform.feeds.feed import (
    EVENT_ID_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Feed,
    Field,
    FieldKind,
    Record,
)

EVENT_TIME_US_MIN = 1_230_940_800_000_000
"""2009-01-03, when the first bitcoin block was made: older market data can only be a mistake."""
EVENT_TIME_US_MAX = 4_102_444_800_000_000
"""2100-01-01."""
EVENT_AHEAD_US_MAX = MICROSECONDS_PER_DAY
"""How far a source's clock may run ahead of our receipt, where event time decides the partition."""


class _Rule(NamedTuple):
    """One rule, twice: `holds` for many values at once, `explain` for one that breaks it."""

    holds: Callable[[Sequence[Any]], bool]
    explain: Callable[[Any], str | None]


def find_unsound(feed: Feed[Record], columns: Sequence[Sequence[Any]]) -> Mapping[int, str]:
    """Which records no store may be given, by their place in the columns, each with the reason.

    Args:
        feed: Whose fields the columns are, in its order.
        columns: Of the same length; none where there is no record.
    """
    if not columns:
        return {}
    by_name = {field.name: column for field, column in zip(feed.fields, columns, strict=True)}
    problems: dict[int, str] = {}
    for field in feed.fields:
        rule = _find_rule(feed, field)
        if rule is None:
            continue
        column = by_name[field.name]
        known = [value for value in column if value is not None] if field.nullable else column
        if rule.holds(known):
            continue
        for place, value in enumerate(column):
            problem = None if value is None else rule.explain(value)
            if problem is not None:
                problems.setdefault(place, f"{field.name}: {problem}")
    for place, problem in _find_odd(feed, by_name):
        problems.setdefault(place, problem)
    if feed.find_odd is not None:
        sound = [place for place in range(len(columns[0])) if place not in problems]
        chosen = by_name
        if problems:
            chosen = {name: [own[place] for place in sound] for name, own in by_name.items()}
        problems |= {sound[number]: problem for number, problem in feed.find_odd(chosen)}
    return problems


def _find_odd(
    feed: Feed[Record], by_name: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[int, str]]:
    """Which records have fields that do not go together."""
    for one, other in feed.paired_names:
        yield from _find_unpaired(by_name, one, other)
    if feed.partition_step is not None:
        for place in _find_ahead(by_name["ts_event"], by_name["ts_ingest"]):
            yield place, "ts_event: more than a day after ts_ingest"


def _find_unpaired(
    by_name: Mapping[str, Sequence[Any]], one: str, other: str
) -> Iterator[tuple[int, str]]:
    counts = zip(map(len, by_name[one]), map(len, by_name[other]), strict=True)
    for place, (ones, others) in enumerate(counts):
        if ones != others:
            yield place, f"{one}, {other}: {ones} and {others}, not equally many"


def _find_rule(feed: Feed[Record], field: Field) -> _Rule | None:
    if field.name in feed.positive_names:
        return _POSITIVE[field.kind]
    if field.name == "ts_event" and feed.partition_step is not None:
        return _EVENT_TIME
    return _RULE_OF_NAME.get(field.name) or _RULE_OF_KIND.get(field.kind)


def _text_rule(*, length_min: Literal[0, 1] = 0, length_max: int) -> _Rule:
    def holds(values: Sequence[str]) -> bool:
        distinct = set(values)  # venues and symbols repeat
        return (
            max(map(len, distinct), default=0) <= length_max
            and (length_min == 0 or "" not in distinct)
            and "\0" not in "".join(distinct)
        )

    def explain(value: str) -> str | None:
        if not length_min <= len(value) <= length_max:
            return f"{len(value)} characters, {length_min} to {length_max} are taken"
        return f"holds a NUL: {value[:60]!r}" if "\0" in value else None

    return _Rule(holds, explain)


def _texts_rule() -> _Rule:
    one = _text_rule(length_max=TEXT_LENGTH_MAX)

    def holds(lists: Sequence[Sequence[str]]) -> bool:
        return one.holds(list(chain.from_iterable(lists)))

    def explain(texts: Sequence[str]) -> str | None:
        return next(filter(None, map(one.explain, texts)), None)

    return _Rule(holds, explain)


def _list_rule(*, above_zero: bool = False) -> _Rule:
    def holds(lists: Sequence[Sequence[str]]) -> bool:
        return are_amounts(list(chain.from_iterable(lists)), above_zero=above_zero)

    def explain(amounts: Sequence[str]) -> str | None:
        problems = (explain_amount(amount, above_zero=above_zero) for amount in amounts)
        return next((problem for problem in problems if problem is not None), None)

    return _Rule(holds, explain)


def _explain_hash(value: int) -> str | None:
    return None if value else "missing"


def _are_event_times(times: Sequence[int]) -> bool:
    return not times or (min(times) >= EVENT_TIME_US_MIN and max(times) < EVENT_TIME_US_MAX)


def _explain_event_time(time_us: int) -> str | None:
    return None if _are_event_times([time_us]) else f"{time_us} is before 2009 or after 2099"


def _find_ahead(events: Sequence[int], ingests: Sequence[int]) -> Sequence[int]:
    if max(events) <= min(ingests) + EVENT_AHEAD_US_MAX:
        return ()
    pairs = zip(events, ingests, strict=True)
    return [
        place for place, (event, ingest) in enumerate(pairs) if event > ingest + EVENT_AHEAD_US_MAX
    ]


_POSITIVE: Mapping[FieldKind, _Rule] = {
    FieldKind.AMOUNT: _Rule(
        partial(are_amounts, above_zero=True), partial(explain_amount, above_zero=True)
    ),
    FieldKind.AMOUNTS: _list_rule(above_zero=True),
}
_EVENT_TIME = _Rule(_are_event_times, _explain_event_time)
_RULE_OF_NAME: Mapping[str, _Rule] = {
    "event_id": _text_rule(length_min=1, length_max=EVENT_ID_LENGTH_MAX),
    "content_hash": _Rule(all, _explain_hash),
}
_RULE_OF_KIND: Mapping[FieldKind, _Rule] = {
    FieldKind.TEXT: _text_rule(length_max=TEXT_LENGTH_MAX),
    FieldKind.AMOUNT: _Rule(are_amounts, explain_amount),
    FieldKind.AMOUNTS: _list_rule(),
    FieldKind.TEXTS: _texts_rule(),
}

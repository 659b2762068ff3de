"""Pages of a list that is newest first: where one ends, and what its cursor says.

Here: cutting records into a page, pure. Records have a time that several may share, and no other
order that a reader sees; so a place is the time of a page's last record and how many of that time
were given. Not here: signing (cursors.py), asking stores.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from crypto_platform.serving.api.cursors import open_cursor, seal_cursor
from crypto_platform.stores.market import Span

T = TypeVar("T")


class Reached(NamedTuple):
    """How far a list was read.

    Attributes:
        time_us: Of its last record.
        given: How many records of that very time were given.
    """

    time_us: int
    given: int


class Page(NamedTuple, Generic[T]):
    """Records, newest first, and how far they reach; None where nothing follows."""

    records: Sequence[T]
    reached: Reached | None


def narrow(span: Span, reached: Reached | None) -> Span:
    """The span that is left to read; what was given of its last microsecond is in it again."""
    if reached is None:
        return span
    ends_us = reached.time_us + 1
    return Span(span.begins_us, ends_us if span.ends_us is None else min(ends_us, span.ends_us))


def count_needed(limit: int, reached: Reached | None) -> int:
    """How many of the newest to ask for, so that it shows whether more follow."""
    return limit + 1 + (0 if reached is None else reached.given)


def cut(
    found: Sequence[T], times_us: Sequence[int], limit: int, reached: Reached | None
) -> Page[T]:
    """The page behind what was reached.

    Args:
        found: The newest of `narrow`, as many as `count_needed` says, newest first.
        times_us: Theirs.
        limit: Of the page.
        reached: As the page before says.
    """
    skipped = 0 if reached is None else reached.given
    end = skipped + limit
    if len(found) <= end:
        return Page(found[skipped:], None)
    last_us = times_us[end - 1]
    given = sum(time_us == last_us for time_us in times_us[:end])
    return Page(found[skipped:end], Reached(last_us, given))


def open_reached(secret: bytes, scope: Sequence[object], cursor: str | None) -> Reached | None:
    """How far the page before has come; None at the beginning.

    Raises:
        CursorError: Another's, another list's, or nothing of ours.
    """
    if cursor is None:
        return None
    time_us, given = open_cursor(secret, scope, cursor)
    return Reached(int(time_us), int(given))


def seal_reached(secret: bytes, scope: Sequence[object], reached: Reached | None) -> str | None:
    """The cursor of the next page; None where there is none."""
    return None if reached is None else seal_cursor(secret, scope, reached)

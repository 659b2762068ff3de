"""Records as tables for other programs: columns of a few kinds, rows of plain values.

Here: columns and rows of records, rows as JSON objects. An amount is text, never a float; a time is
RFC 3339 UTC text. What the API answers, and what a command prints with --json, are these rows. Not
here: CSV and Parquet (cli/sheet.py), tables for people (cli/text.py).
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.serving.failover import Source

NOT_SHOWN = frozenset({"v", "content_hash"})
"""What a record says of itself only to the platform."""


class Column(NamedTuple):
    """What stands in a column; None may stand in any.

    Attributes:
        kind: None is yes or no.
    """

    name: str
    kind: FieldKind | None


Rows = Sequence[Sequence[Any]]
"""Plain values: text, integers, amounts as text, times in microseconds."""


class Sheet(NamedTuple):
    """A table."""

    columns: Sequence[Column]
    rows: Rows


def build_sheet(feed: Feed[Record], records: Sequence[Record]) -> Sheet:
    """The records' fields, in the feed's order."""
    return build_struct_sheet(feed.fields, records)


def build_struct_sheet(fields: Sequence[Field], structs: Sequence[msgspec.Struct]) -> Sheet:
    """The fields of records, or of states, in order."""
    shown = [field for field in fields if field.name not in NOT_SHOWN]
    rows = [[_plain(getattr(struct, field.name)) for field in shown] for struct in structs]
    return Sheet([Column(field.name, field.kind) for field in shown], rows)


def _plain(value: object) -> object:
    return f"{value}" if isinstance(value, str) else value


def build_rows(sheet: Sheet) -> list[dict[str, object]]:
    """The rows as JSON objects."""
    names = [column.name for column in sheet.columns]
    printers = [_PRINTERS.get(column.kind, _same) for column in sheet.columns]
    return [
        {
            name: None if value is None else print_(value)
            for name, print_, value in zip(names, printers, row, strict=True)
        }
        for row in sheet.rows
    ]


def print_time(time_us: int) -> str:
    """RFC 3339 UTC to the microsecond."""
    return from_time_us(time_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def print_amount(amount: Decimal | None) -> str | None:
    """All its digits, without an exponent; None where it is not known."""
    return None if amount is None else f"{amount:f}"


def _same(value: object) -> object:
    return value


_PRINTERS: Mapping[FieldKind | None, Callable[[Any], object]] = {
    FieldKind.TIME_US: print_time,
    FieldKind.AMOUNTS: list,
    FieldKind.TEXTS: list,
}


def build_source(source: Source) -> dict[str, object]:
    """Where an answer came from; `behind_s` is counted to the other store."""
    newest_us = source.newest_us
    how = {
        "home": source.home,
        "is_home": source.is_home,
        "behind_s": None if source.behind_s is None else round(source.behind_s, 3),
        "newest_record": None if newest_us is None else print_time(newest_us),
        "problems": list(source.problems),
    }
    return {"store": source.store, "source": how}

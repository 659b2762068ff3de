"""Writing the records of one feed into its fact table, each once.

The straight way is one COPY into the table under a savepoint: nearly every record arrives for the
first time, and an id that is there already makes PostgreSQL refuse the whole COPY (23505). Then
the look-up way: ask which ids are there, and COPY the others. The same content under an id is a
repeat, other content a conflict. A failed COPY leaves dead rows, so a feed that has just repeated
goes the look-up way at once for a while. Values the server refuses (SQLSTATE 22, 23) are found by
halving, and all others are stored.

Here: these ways, inside a transaction of others. Not here: offsets and quarantine (bookkeeping.py).
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import msgspec
import psycopg
from psycopg import sql

from crypto_platform.domain.hours import from_time_us
from crypto_platform.errors import Reason, StoreUnavailableError
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import FieldKind
from crypto_platform.stores.postgres.encoded import Touched, encode_slice, encoded_of
from crypto_platform.stores.postgres.errors import describe, is_data_error, is_repeat, translate
from crypto_platform.stores.postgres.rows import (
    ARRIVAL_COLUMNS,
    columns_of,
    format_texts,
    format_time,
    pick_lines,
)
from crypto_platform.stores.postgres.session import Connection
from crypto_platform.stores.slices import Slice
from crypto_platform.stores.sorting import LOOK_UP_COMMITS, Known, Sorted, sort_out
from crypto_platform.stores.sums import Sum, sum_of

LOOK_UPS_MAX = 5
"""Others may store an id between our look-up and our COPY: then it is asked again."""

_log = logging.getLogger(__name__)

_Line = tuple[int, int, bytes]
"""Place of the slice, index of the record, its row for COPY."""


@dataclass(kw_only=True)
class Fate:
    """What became of the records of one slice; indexes of its arrivals.

    Attributes:
        stored: New in the table, or there without an arrival (an incident) and now with this one.
        sum: Of the content hashes of what is stored.
        repeated: There already with the same content.
        refused: With reason and what is wrong, for the quarantine.
    """

    slice: Slice
    stored: Sequence[int]
    sum: Sum
    repeated: Sequence[int] = ()
    refused: list[tuple[int, Reason, str]] = field(default_factory=list)

    def states(self) -> Sequence[bytes]:
        """What the records that the table holds now say of each of the feed's projections."""
        if not self.refused:
            return encoded_of(self.slice).states
        kept = self.slice.arrivals.take(sorted({*self.stored, *self.repeated}))
        return encoded_of(encode_slice(replace(self.slice, arrivals=kept, encoded=None))).states

    @property
    def touched(self) -> Touched:
        """Of the whole slice where anything is stored: an hour too many costs a second look."""
        return encoded_of(self.slice).touched if self.stored else frozenset()


@dataclass(frozen=True, kw_only=True)
class Statements:
    """One feed's SQL."""

    copy: bytes
    look_up: bytes
    adopt: bytes
    insert_unarrived: bytes


def table_name(feed: Feed[Record]) -> str:
    """The fact table as errors name it."""
    return f"{feed.schema}.{feed.table}"


class FactWriter:
    """Writes feeds and remembers which of them have repeated or conflicted lately."""

    def __init__(self) -> None:
        self._look_ups_left: dict[str, int] = {}

    def write(
        self,
        connection: Connection,
        feed: Feed[Record],
        slices: Sequence[Slice],
        *,
        look_up: bool,
    ) -> list[Fate]:
        """Write the records of one feed inside the open transaction.

        Args:
            connection: Inside a transaction; its offset rows are locked already.
            feed: Whose records they are.
            slices: By partition and offset.
            look_up: Go the look-up way at once (replays).

        Raises:
            StoreUnavailableError: The transaction has to be rolled back.
            StoreRefusedError: The same, and names the table.
        """
        try:
            if not (look_up or self._has_repeated_lately(feed)) and _copy_under_savepoint(
                connection, feed, [encoded_of(each).rows for each in slices]
            ):
                return [
                    Fate(slice=each, stored=range(len(each.arrivals)), sum=encoded_of(each).sum)
                    for each in slices
                ]
            fates = _look_up_and_copy(connection, feed, slices)
        except psycopg.Error as error:
            raise translate(error, table=table_name(feed)) from error
        if any(fate.repeated or fate.refused for fate in fates):
            self._look_ups_left[feed.name] = LOOK_UP_COMMITS
        return fates

    def _has_repeated_lately(self, feed: Feed[Record]) -> bool:
        left = self._look_ups_left.get(feed.name, 0)
        self._look_ups_left[feed.name] = max(left - 1, 0)
        return left > 0


def insert_unarrived(connection: Connection, feed: Feed[Record], record: Record) -> None:
    """Insert a record that Kafka has not brought yet; nothing happens where its id is there."""
    values = [
        None if value is None else from_time_us(value) if kind is FieldKind.TIME_US else value
        for value, kind in zip(
            msgspec.structs.astuple(record), (f.kind for f in feed.fields), strict=True
        )
    ]
    connection.execute(_statements(feed).insert_unarrived, values)


def _copy_under_savepoint(
    connection: Connection, feed: Feed[Record], rows: Iterable[bytes]
) -> bool:
    """Whether one COPY took everything; else nothing of it is there."""
    try:
        with connection.transaction():
            _copy(connection, feed, rows)
    except psycopg.Error as error:
        if is_repeat(error) or is_data_error(error):
            _log.info("%s goes the look-up way: %s", table_name(feed), describe(error))
            return False
        raise
    return True


def _copy(connection: Connection, feed: Feed[Record], rows: Iterable[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(_statements(feed).copy) as copy:
        for lines in rows:
            copy.write(lines)


def _look_up_and_copy(
    connection: Connection, feed: Feed[Record], slices: Sequence[Slice]
) -> list[Fate]:
    for _ in range(LOOK_UPS_MAX):
        try:
            with connection.transaction():
                return _try_look_up_and_copy(connection, feed, slices)
        except psycopg.Error as error:
            if not is_repeat(error):
                raise
            _log.info("%s is written by others too: %s", table_name(feed), describe(error))
    message = f"PostgreSQL: others keep writing the same ids into {table_name(feed)}"
    raise StoreUnavailableError(message)


def _try_look_up_and_copy(
    connection: Connection, feed: Feed[Record], slices: Sequence[Slice]
) -> list[Fate]:
    known = _read_known(connection, feed, slices)
    sorted_out = [sort_out(each.arrivals, known) for each in slices]
    new = [
        (place, index, line)
        for place, (each, found) in enumerate(zip(slices, sorted_out, strict=True))
        for index, line in zip(found.new, pick_lines(encoded_of(each).rows, found.new), strict=True)
    ]
    problems = _copy_or_halve(connection, feed, new)
    refused = {
        slices[place].arrivals.event_ids[index]: error
        for place, own in problems.items()
        for index, error in own.items()
    }
    fates: list[Fate] = []
    for each, found in zip(slices, sorted_out, strict=True):
        _adopt(connection, feed, each, found.unarrived)
        fates.append(_decide_fate(each, found, refused))
    return fates


def _decide_fate(slice_: Slice, found: Sorted, problems: Mapping[str, str]) -> Fate:
    """What became of a slice; `problems` are what is wrong, by id: also with what repeats it."""
    ids, hashes = slice_.arrivals.event_ids, slice_.arrivals.content_hashes
    stored, repeated, refused = found.new, found.repeated, list[tuple[int, Reason, str]]()
    if problems:
        stored = [index for index in stored if ids[index] not in problems]
        repeated = [index for index in repeated if ids[index] not in problems]
        refused = [
            (index, Reason.INVARIANT, problems[ids[index]])
            for index in (*found.new, *found.repeated)
            if ids[index] in problems
        ]
    if found.unarrived:
        stored = sorted([*stored, *found.unarrived])
    refused = [*((index, Reason.CONFLICT, error) for index, error in found.conflicts), *refused]
    left_out = [hashes[index] for index in (*repeated, *(i for i, _, _ in refused))]
    return Fate(
        slice=slice_,
        stored=stored,
        sum=encoded_of(slice_).sum - sum_of(left_out),
        repeated=repeated,
        refused=refused,
    )


def _copy_or_halve(
    connection: Connection, feed: Feed[Record], lines: Sequence[_Line]
) -> dict[int, dict[int, str]]:
    """COPY these lines; a piece that the server refuses is halved down to the culprits.

    Returns:
        What is wrong, by place of the slice and index of the record.
    """
    if not lines:
        return {}
    try:
        with connection.transaction():
            _copy(connection, feed, [b"".join([line for _, _, line in lines])])
    except psycopg.Error as error:
        if is_repeat(error) or not is_data_error(error):
            raise
        if len(lines) == 1:
            [(place, index, _)] = lines
            return {place: {index: describe(error)}}
    else:
        return {}
    middle = len(lines) // 2
    problems = _copy_or_halve(connection, feed, lines[:middle])
    for place, more in _copy_or_halve(connection, feed, lines[middle:]).items():
        problems.setdefault(place, {}).update(more)
    return problems


def _read_known(
    connection: Connection, feed: Feed[Record], slices: Sequence[Slice]
) -> dict[str, Known]:
    """What the table holds under the slices' ids, within their span of event times."""
    ids = [event_id for each in slices for event_id in each.arrivals.event_ids]
    parameters: list[object] = [format_texts(ids)]
    if feed.partition_step is not None:
        times = [time for each in slices for time in each.arrivals.event_times(feed)]
        parameters += [format_time(min(times)), format_time(max(times))] if times else ["now"] * 2
    return {
        event_id: (content_hash, has_arrived)
        for event_id, content_hash, has_arrived in connection.execute(
            _statements(feed).look_up, parameters
        )
    }


def _adopt(
    connection: Connection, feed: Feed[Record], slice_: Slice, indexes: Sequence[int]
) -> None:
    """Fill in the arrival of rows that a load had written before Kafka had them."""
    if not indexes:
        return
    some, partition = slice_.arrivals.take(indexes), slice_.claim.partition
    connection.execute(
        _statements(feed).adopt,
        [
            partition.topic_id,
            partition.part,
            list(some.event_ids),
            list(some.offsets),
            [format_time(time) for time in some.ts_appends],
        ],
    )


_COPY = "COPY {table} ({columns}) FROM STDIN"

# A join, for one probe of the index an id: `= ANY` of a parameter may be planned as a walk over the
# table that compares each row with each id (seen on a table without statistics: a tenth of
# the speed).
_LOOK_UP = """
SELECT t.event_id, t.content_hash, t.arrival_topic_id IS NOT NULL
FROM unnest(%s::text[]) AS u(event_id) JOIN {table} AS t ON t.event_id = u.event_id
"""

# lets PostgreSQL leave out the partitions of other times
_LOOK_UP_PARTITIONED = f"{_LOOK_UP} AND t.ts_event BETWEEN %s::timestamptz AND %s::timestamptz"

_ADOPT = """
UPDATE {table} AS t SET ({arrival}) = ROW (%s::uuid, %s::integer, u.record_offset, u.ts_append)
FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[]) AS u(event_id, record_offset, ts_append)
WHERE t.event_id = u.event_id AND t.arrival_topic_id IS NULL
"""

_INSERT_UNARRIVED = """
INSERT INTO {table} ({fields}) VALUES ({values}) ON CONFLICT (event_id) DO NOTHING
"""


def _statements(feed: Feed[Record]) -> Statements:
    is_partitioned = feed.partition_step is not None
    return _build_statements(feed.schema, feed.table, columns_of(feed), is_partitioned)


@cache
def _build_statements(
    schema: str,
    table: str,
    columns: tuple[str, ...],
    is_partitioned: bool,  # noqa: FBT001 - part of a cache's key
) -> Statements:
    fields = columns[: -len(ARRIVAL_COLUMNS)]
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier(schema, table),
        "columns": _join(columns),
        "fields": _join(fields),
        "values": sql.SQL(", ").join(sql.Placeholder() * len(fields)),
        "arrival": _join(ARRIVAL_COLUMNS),
    }
    look_up = sql.SQL(_LOOK_UP_PARTITIONED) if is_partitioned else sql.SQL(_LOOK_UP)
    return Statements(
        copy=_render(sql.SQL(_COPY).format(**names)),
        look_up=_render(look_up.format(**names)),
        adopt=_render(sql.SQL(_ADOPT).format(**names)),
        insert_unarrived=_render(sql.SQL(_INSERT_UNARRIVED).format(**names)),
    )


def _join(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _render(statement: sql.Composed) -> bytes:
    return statement.as_bytes(None)

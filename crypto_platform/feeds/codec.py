"""Bytes <-> record, for every schema version ever written.

Here: JSON by msgspec and the reasons a value is refused. The version is the tag `v` inside the
value. Not here: what to do with a refused value (a store quarantines it), what is wrong with a
field (fields.py).

Values are decoded one by one, so that no value can pass for two (joined into one JSON array, the
pieces of a broken one could), and checked a column at a time. Measured on trades: 0.5 us a record
to decode, 0.9 us for columns and checks; a pattern on each field in the decoder cost 2.5 us.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, cast

import msgspec

from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds.feed import Feed, R, R_co
from crypto_platform.feeds.fields import find_unsound

Columns = tuple[tuple[object, ...], ...]
"""Values of many records by field, in the feed's order of fields."""

_ENCODER = msgspec.json.Encoder()
_NO_RECORD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)
"""Of a value that is no record of its feed; a TypeError is None, a tombstone."""


@dataclass(frozen=True, kw_only=True)
class Decoded(Generic[R_co]):
    """What became of many values.

    Attributes:
        records: Those that are records, in order.
        places: Of each record, which value it was.
        columns: The same records' fields; empty where there is no record.
        refused: Which values are none, and why, in order.
    """

    records: Sequence[R_co]
    places: Sequence[int]
    columns: Columns
    refused: Sequence[tuple[int, RecordRejectedError]] = ()


def encode(record: msgspec.Struct) -> bytes:
    """The record as a Kafka value."""
    return _ENCODER.encode(record)


def to_columns(records: Sequence[msgspec.Struct]) -> Columns:
    """The records' fields, a column each."""
    return tuple(zip(*map(msgspec.structs.astuple, records), strict=True))


def decode(feed: Feed[R], value: bytes | None, *, record_bytes_max: int) -> R:
    """One Kafka value as a record that both stores can keep unchanged.

    Args:
        feed: Whose topic it came from.
        value: None is a tombstone, which no feed has.
        record_bytes_max: A longer value is refused unread.

    Raises:
        RecordRejectedError: undecodable, unknown_schema, invariant or too_large.
    """
    decoded = decode_batch(feed, [value], record_bytes_max=record_bytes_max)
    for _, error in decoded.refused:
        raise error
    return decoded.records[0]


def decode_batch(
    feed: Feed[R], values: Sequence[bytes | None], *, record_bytes_max: int
) -> Decoded[R]:
    """Many Kafka values of one feed; what is refused stands beside what is not.

    See `decode` for the arguments and the reasons.
    """
    decoder = _decoder(feed.name, feed.versions)
    try:
        # a None among the values ends this, as anything does that is no record
        known = cast("Sequence[bytes]", values)
        records = cast("list[R]", list(map(decoder.decode, known)))
        longest = max(map(len, known), default=0)
    except _NO_RECORD:
        return _decode_each(feed, values, record_bytes_max=record_bytes_max)
    if longest <= record_bytes_max and set(map(type, records)) <= {feed.record}:
        columns = to_columns(records)
        if not find_unsound(feed, columns):
            return Decoded(records=records, places=range(len(values)), columns=columns)
    return _decode_each(feed, values, record_bytes_max=record_bytes_max)


def _decode_each(
    feed: Feed[R], values: Sequence[bytes | None], *, record_bytes_max: int
) -> Decoded[R]:
    """The same where some are refused: who they are, and why."""
    decoder = _decoder(feed.name, feed.versions)
    records: list[R] = []
    places: list[int] = []
    refused: list[tuple[int, RecordRejectedError]] = []
    for place, value in enumerate(values):
        if value is None or len(value) > record_bytes_max:
            refused.append((place, _refuse_unread(value, record_bytes_max)))
            continue
        try:
            record = decoder.decode(value)
        except _NO_RECORD as error:
            refused.append((place, _explain(error)))
            continue
        if isinstance(record, feed.record):
            records.append(record)
            places.append(place)
        else:
            message = "no schema version"
            error = RecordRejectedError(message, reason=Reason.UNKNOWN_SCHEMA)
            refused.append((place, error))
    problems = find_unsound(feed, to_columns(records))
    if problems:
        refused += [
            (places[number], RecordRejectedError(problem, reason=Reason.INVARIANT))
            for number, problem in problems.items()
        ]
        refused.sort(key=_place)
        kept = [number for number in range(len(records)) if number not in problems]
        records = [records[number] for number in kept]
        places = [places[number] for number in kept]
    return Decoded(records=records, places=places, columns=to_columns(records), refused=refused)


def _place(refused: tuple[int, RecordRejectedError]) -> int:
    return refused[0]


class _Unversioned(msgspec.Struct, tag_field="v", tag=0):
    """Makes msgspec insist on `v`, which it would not for a feed with one version only."""


@cache
def _decoder(feed_name: str, versions: type) -> msgspec.json.Decoder[object]:
    _ = feed_name
    return msgspec.json.Decoder(versions | _Unversioned)


def _refuse_unread(value: bytes | None, record_bytes_max: int) -> RecordRejectedError:
    if value is None:
        message = "no value (a tombstone)"
        return RecordRejectedError(message, reason=Reason.UNDECODABLE)
    message = f"{len(value)} bytes, at most {record_bytes_max} are taken"
    return RecordRejectedError(message, reason=Reason.TOO_LARGE)


def _explain(error: Exception) -> RecordRejectedError:
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return RecordRejectedError(text, reason=Reason.UNDECODABLE)
    versioned = "$.v`" not in text and "field `v`" not in text
    return RecordRejectedError(
        text, reason=Reason.INVARIANT if versioned else Reason.UNKNOWN_SCHEMA
    )

"""Bytes <-> record, for every schema version ever written.

Here: JSON by msgspec and the reasons a value is refused. The version is the tag `v` inside the
value. Not here: what to do with a refused value (delivery/load.py quarantines it).
"""

from functools import cache

import msgspec

from crypto_platform.errors import Reason, RecordRejectedError
from crypto_platform.feeds.feed import Feed, R, check_digits

_ENCODER = msgspec.json.Encoder()


def encode(record: msgspec.Struct) -> bytes:
    """The record as a Kafka value."""
    return _ENCODER.encode(record)


class _Unversioned(msgspec.Struct, tag_field="v", tag=0):
    """Makes msgspec insist on `v`, which it would not for a feed with one version only."""


@cache
def _decoder(feed_name: str, versions: type) -> msgspec.json.Decoder[object]:
    _ = feed_name
    return msgspec.json.Decoder(versions | _Unversioned)


def decode(feed: Feed[R], value: bytes | None, *, record_bytes_max: int) -> R:
    """One Kafka value as a record that both stores can keep unchanged.

    Args:
        feed: Whose topic it came from.
        value: None is a tombstone, which no feed has.
        record_bytes_max: A longer value is refused unread.

    Raises:
        RecordRejectedError: undecodable, unknown_schema, invariant or too_large.
    """
    if value is None:
        message = "no value (a tombstone)"
        raise RecordRejectedError(message, reason=Reason.UNDECODABLE)
    if len(value) > record_bytes_max:
        message = f"{len(value)} bytes, at most {record_bytes_max} are taken"
        raise RecordRejectedError(message, reason=Reason.TOO_LARGE)
    try:
        record = _decoder(feed.name, feed.versions).decode(value)
    except msgspec.ValidationError as error:
        versioned = "$.v`" not in str(error) and "field `v`" not in str(error)
        reason = Reason.INVARIANT if versioned else Reason.UNKNOWN_SCHEMA
        raise RecordRejectedError(str(error), reason=reason) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordRejectedError(str(error), reason=Reason.UNDECODABLE) from None
    if not isinstance(record, feed.record):
        message = "no schema version"
        raise RecordRejectedError(message, reason=Reason.UNKNOWN_SCHEMA)
    if not record.event_id or not record.content_hash:
        message = "no event_id or content_hash"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    check_digits(feed, record)
    return record

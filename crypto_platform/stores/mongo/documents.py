"""Record <-> document, the way there as bytes built by hand.

Here: BSON of records and of where they arrived, and a record from a document read back. Not here:
which collection, which transaction. A document is `_id` (the event_id), every other field of the
record under its own name, a time also as int64 `<name>_us` (a BSON date holds milliseconds only),
then the arrival: arrival_topic_id, arrival_part, arrival_offset, ts_append. The arrival's names
keep clear of the record's (an incident has a topic_id and part of its own).

Bytes, not objects, and a column at a time: measured on quotes with 16 amounts, bson.encode of a
dict took 300 us a document with Decimal128(text), 60 us with Decimal128.from_bid; elements built
here a record at a time 24 us, a column at a time 16 us. Decimal128(text) alone is 17 us an amount,
its 16 bytes from the digits 0.6 us.

Source: bsonspec.org 1.1; IEEE 754-2008 decimal128, binary integer significand.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from bson.decimal128 import Decimal128

from crypto_platform.domain.money import SCALE_MAX
from crypto_platform.feeds import Feed, Record
from crypto_platform.feeds.feed import Field, FieldKind

ARRIVAL_NAMES = ("arrival_topic_id", "arrival_part", "arrival_offset", "ts_append_us", "ts_append")

_pack_int32 = struct.Struct("<i").pack
_pack_int64 = struct.Struct("<q").pack
_unpack_halves = struct.Struct("<QQ").unpack

_EXPONENT_BIAS = 6176
_SIGN = 1 << 127
# the exponent of a number with so many digits behind the point, where it stands in the 128 bits
_EXPONENT = tuple((_EXPONENT_BIAS - scale) << 113 for scale in range(SCALE_MAX + 1))

# The upper half of a decimal128 whose significand fits into the lower one -> sign, decimals.
_SCALE_OF_UPPER = {
    (_EXPONENT_BIAS - scale) << 49 | sign << 63: ("-" if sign else "", scale)
    for scale in range(SCALE_MAX + 1)
    for sign in (0, 1)
}

Encode = Callable[[Any], bytes]
"""One value of a record as a BSON element, name included."""

Decimal = Callable[[str], bytes]
"""An amount in stored form -> the 16 bytes of its Decimal128."""

EncodeColumn = Callable[[Sequence[Any], Decimal], list[bytes]]
"""One field of many records."""

Elements = Mapping[str, Sequence[bytes]]
"""Fields of many records as BSON elements, name included, by field."""

_UNIQUE = frozenset({"event_id", "content_hash"})


def decode_amount(value: Decimal128) -> str:
    """An amount in stored form."""
    return parse_amount(value.bid)


def parse_amount(value: bytes) -> str:
    """The same from the 16 bytes; what has over 19 digits or is no number by the driver's way.

    Measured: 0.8 us an amount, by way of the driver's Decimal 5.6.
    """
    lower, upper = _unpack_halves(value)
    found = _SCALE_OF_UPPER.get(upper)
    if found is None:
        return format(Decimal128.from_bid(value).to_decimal(), "f")
    sign, scale = found
    digits = str(lower)
    if not scale:
        return sign + digits
    if len(digits) <= scale:
        digits = digits.zfill(scale + 1)
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


class Documents:
    """The documents of one feed."""

    def __init__(self, feed: Feed[Record]) -> None:
        """Choose each field's encoder once.

        Raises:
            TypeError: A field would stand where the arrival does.
        """
        taken = {field.name for field in feed.fields} & {*ARRIVAL_NAMES, "_id"}
        if taken:
            message = f"feed {feed.name}: {', '.join(sorted(taken))} name the arrival in documents"
            raise TypeError(message)
        self._feed = feed
        self._encoders = tuple(build_encoder(field) for field in feed.fields)
        self._has_lists = any(field.kind is FieldKind.AMOUNTS for field in feed.fields)

    def encode(self, columns: Sequence[Sequence[Any]], arrivals: Sequence[bytes]) -> list[bytes]:
        """The documents of many records.

        Args:
            columns: The records' fields, in the feed's order.
            arrivals: One a record, as `ArrivalEncoder.encode` gave it, or NO_ARRIVAL.
        """
        return self.build(self.encode_fields(columns), arrivals)

    def encode_fields(self, columns: Sequence[Sequence[Any]]) -> Elements:
        """The fields of many records, a column at a time, in the feed's order."""
        decimal = Decimals().__getitem__ if self._has_lists else encode_decimal
        return {
            field.name: encode(column, decimal)
            for field, encode, column in zip(
                self._feed.fields, self._encoders, columns, strict=True
            )
        }

    def build(self, elements: Elements, arrivals: Sequence[bytes]) -> list[bytes]:
        """The documents of what `encode_fields` gave; see `encode`."""
        bodies = map(b"".join, zip(*elements.values(), arrivals, strict=True))
        return [b"%b%b\0" % (_pack_int32(len(body) + 5), body) for body in bodies]

    def decode(self, document: Mapping[str, Any]) -> Record:
        """The record of a document, as it was published."""
        return self._feed.record(**decode_fields(self._feed.fields, document))


class ArrivalEncoder:
    """Where the records of one partition arrived."""

    def __init__(self, topic_id: str, part: int) -> None:
        self._head = (
            _encode_text("arrival_topic_id")(topic_id)
            + _encode_integer("arrival_part")(part)
            + b"\x12arrival_offset\0"
        )
        self._encode_time = _encode_time("ts_append")

    def encode(self, offsets: Sequence[int], ts_appends: Sequence[int]) -> list[bytes]:
        """The arrivals' elements, one a record; ts_append in microseconds."""
        head, times = self._head, _encode_distinct(self._encode_time, ts_appends)
        pairs = zip(offsets, times, strict=True)
        return [b"%b%b%b" % (head, _pack_int64(offset), time) for offset, time in pairs]


NO_ARRIVAL = b"".join(b"\x0a%b\0" % name.encode() for name in ARRIVAL_NAMES)
"""Of an incident that its load wrote before Kafka had it."""


def stored_name(field: Field) -> str:
    """The key that holds a field's exact value."""
    if field.name == "event_id":
        return "_id"
    return f"{field.name}_us" if field.kind is FieldKind.TIME_US else field.name


def decode_fields(fields: Iterable[Field], document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields' values as a record or state holds them."""
    return {
        field.name: (field.find_member if field.members else _DECODERS[field.kind])(
            document.get(stored_name(field))
        )
        for field in fields
    }


class Decimals(dict[str, bytes]):
    """Amounts as Decimal128, each distinct one encoded once.

    Where a record has lists of amounts, they repeat: levels of an order book stay for a while, and
    an order's amounts are its fill's and its postings'. Elsewhere looking costs more than it saves.
    """

    def __missing__(self, amount: str) -> bytes:
        """Encode it."""
        return self.setdefault(amount, encode_decimal(amount))


def encode_decimal(amount: str) -> bytes:
    """The 16 bytes of an amount in stored form: at most 34 digits, 100 decimals, no negative 0."""
    whole, _, decimals = amount.partition(".")
    digits = int(whole + decimals)
    if digits < 0:
        return (_EXPONENT[len(decimals)] - digits | _SIGN).to_bytes(16, "little")
    return (_EXPONENT[len(decimals)] | digits).to_bytes(16, "little")


def build_encoder(field: Field) -> EncodeColumn:
    """Encodes one field of many records, its name included."""
    if field.kind is FieldKind.AMOUNT:
        return _encode_amounts(field.name)
    if field.kind is FieldKind.AMOUNTS:
        return _encode_amount_lists(field.name)
    if field.kind is FieldKind.TEXTS:
        return _encode_text_lists(field.name)
    encode = _ENCODERS[field.kind]("_id" if field.name == "event_id" else field.name)
    if field.kind is FieldKind.BYTES or field.name in _UNIQUE:
        return lambda column, _: [encode(value) for value in column]
    return lambda column, _: _encode_distinct(encode, column)


def _encode_distinct(encode: Encode, column: Sequence[Any]) -> list[bytes]:
    """Encode each distinct value once: names and times repeat (measured: a third of the time)."""
    distinct = set(column)
    if len(distinct) > len(column) // 2:
        return [encode(value) for value in column]
    encoded = {value: encode(value) for value in distinct}
    return [encoded[value] for value in column]


def _head(kind: bytes, name: str) -> bytes:
    return kind + name.encode() + b"\0"


def _encode_text(name: str) -> Encode:
    head, null = _head(b"\x02", name), _head(b"\x0a", name)

    def encode(value: str | None) -> bytes:
        if value is None:
            return null
        text = value.encode()
        return b"%b%b%b\0" % (head, _pack_int32(len(text) + 1), text)

    return encode


def _encode_amounts(name: str) -> EncodeColumn:
    head, null = _head(b"\x13", name), _head(b"\x0a", name)
    return lambda column, decimal: [
        null if amount is None else head + decimal(amount) for amount in column
    ]


def _encode_amount_lists(name: str) -> EncodeColumn:
    head, null = _head(b"\x04", name), _head(b"\x0a", name)
    return lambda column, decimal: [
        null if amounts is None else head + _array_form(len(amounts)) % tuple(map(decimal, amounts))
        for amounts in column
    ]


class _Lists(dict[tuple[str, ...], bytes]):
    """Arrays of texts, each distinct one encoded once: of lists of names there are few."""

    def __missing__(self, texts: tuple[str, ...]) -> bytes:
        """Encode it."""
        elements = b"".join([_encode_text(str(place))(text) for place, text in enumerate(texts)])
        encoded = b"%b%b\0" % (_pack_int32(len(elements) + 5), elements)
        return self.setdefault(texts, encoded)


def _encode_text_lists(name: str) -> EncodeColumn:
    head, null = _head(b"\x04", name), _head(b"\x0a", name)

    def encode(column: Sequence[tuple[str, ...] | None], _: Decimal) -> list[bytes]:
        lists = _Lists()
        return [null if texts is None else head + lists[texts] for texts in column]

    return encode


@lru_cache(maxsize=1024)
def _array_form(length: int) -> bytes:
    """An array of so many Decimal128, with %b in place of each one's 16 bytes."""
    keys = [b"\x13%d\0" % place for place in range(length)]
    size_bytes = 4 + sum(len(key) + 16 for key in keys) + 1
    head = _pack_int32(size_bytes).replace(b"%", b"%%")
    return b"%b%b\0" % (head, b"".join(key + b"%b" for key in keys))


def _encode_integer(name: str) -> Encode:
    head, null = _head(b"\x12", name), _head(b"\x0a", name)

    def encode(value: int | None) -> bytes:
        return null if value is None else head + _pack_int64(value)

    return encode


def _encode_time(name: str) -> Encode:
    head, date_head = _head(b"\x12", f"{name}_us"), _head(b"\x09", name)
    null = _head(b"\x0a", f"{name}_us") + _head(b"\x0a", name)

    def encode(value: int | None) -> bytes:
        if value is None:
            return null
        return b"%b%b%b%b" % (head, _pack_int64(value), date_head, _pack_int64(value // 1000))

    return encode


def _encode_flag(name: str) -> Encode:
    head, null = _head(b"\x08", name), _head(b"\x0a", name)

    def encode(value: bool | None) -> bytes:  # noqa: FBT001 - a column's value
        return null if value is None else head + bytes([value])

    return encode


def _encode_bytes(name: str) -> Encode:
    head, null = _head(b"\x05", name), _head(b"\x0a", name)

    def encode(value: bytes | None) -> bytes:
        return null if value is None else b"%b%b\0%b" % (head, _pack_int32(len(value)), value)

    return encode


_ENCODERS: Mapping[FieldKind, Callable[[str], Encode]] = {
    FieldKind.TEXT: _encode_text,
    FieldKind.TIME_US: _encode_time,
    FieldKind.INTEGER: _encode_integer,
    FieldKind.FLAG: _encode_flag,
    FieldKind.BYTES: _encode_bytes,
}


def _decode_same(value: object) -> object:
    return value


def _decode_nullable_amount(value: Decimal128 | None) -> str | None:
    return None if value is None else decode_amount(value)


def _decode_nullable_amounts(values: Sequence[Decimal128] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(map(decode_amount, values))


def _decode_nullable_texts(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _decode_nullable_integer(value: int | None) -> int | None:
    # Int64 of the driver is an int that remembers its width; records hold plain ones
    return None if value is None else int(value)


_DECODERS: Mapping[FieldKind, Callable[[Any], Any]] = {
    FieldKind.TEXT: _decode_same,
    FieldKind.AMOUNT: _decode_nullable_amount,
    FieldKind.AMOUNTS: _decode_nullable_amounts,
    FieldKind.TEXTS: _decode_nullable_texts,
    FieldKind.TIME_US: _decode_nullable_integer,
    FieldKind.INTEGER: _decode_nullable_integer,
    FieldKind.FLAG: _decode_same,
    FieldKind.BYTES: _decode_same,
}

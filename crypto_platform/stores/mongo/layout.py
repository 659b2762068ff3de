"""Documents as bytes, read by the layout that they were written in.

Here: the layout of some fields, one regular expression that matches types and names included, and
documents cut out of the server's answers. Nearly every document has it; any other (a field of a
later version, a wrong type, another order) is left to the driver, by whoever asked. Not here: the
layout's making, field by field (documents.py).

Measured on quotes with 14 amounts: 12 us a document; decoded by the driver 95 us, most of it for
Decimal128.

Source: bsonspec.org 1.1; IEEE 754-2008 decimal128, binary integer significand.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

from crypto_platform.feeds.feed import Field, FieldKind
from crypto_platform.stores.mongo.connection import Document
from crypto_platform.stores.mongo.documents import decode_fields, parse_amount, stored_name

_unpack_int32 = struct.Struct("<i").unpack_from
_unpack_int64 = struct.Struct("<q").unpack

_OPTIONS: "CodecOptions[dict[str, Any]]" = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)

Groups = Sequence[Any]
"""The values' bytes of a document that has the layout, None where it says null."""


class Raw(NamedTuple):
    """A document as a place in some bytes."""

    data: bytes
    start: int
    end: int

    def decode(self) -> Document:
        """By the driver."""
        body = self.data[self.start : self.end]
        return bson.decode(body, _OPTIONS)  # pyright: ignore[reportUnknownMemberType] - its stub


def iterate_raw(batches: object) -> Iterator[Raw]:
    """The documents of `find_raw_batches`."""
    for batch in cast("Iterable[bytes]", batches):  # the stub calls them documents
        place = 0
        while place < len(batch):
            (length,) = _unpack_int32(batch, place)
            yield Raw(batch, place, place + length)
            place += length


class Layout:
    """Documents of these fields, in this order, and of no others.

    Attributes:
        places: Where in the groups each key's value stands.
    """

    def __init__(self, fields: Sequence[Field], *, has_dates: bool = True) -> None:
        """Build the expression.

        Args:
            has_dates: Behind each time its date stands as well; a projection may leave that out.
        """
        names: list[str] = []
        for field in fields:
            names.append(stored_name(field))
            if has_dates and field.kind is FieldKind.TIME_US:
                names.append(field.name)
        self.places = {name: place for place, name in enumerate(names)}
        elements = b"".join(_build_element(field, has_date=has_dates) for field in fields)
        self._match = re.compile(b".{4}%b\0" % elements, re.DOTALL).match

    def match(self, raw: Raw) -> Groups | None:
        """The values' bytes; None where the document has another layout."""
        match = self._match(*raw)
        return None if match is None or match.end() != raw.end else match.groups()


class FieldReader:
    """Some fields of documents that have, as a rule, a layout.

    Attributes:
        fields: Those that are read.
    """

    def __init__(self, layout: Layout, fields: Sequence[Field]) -> None:
        """Choose each field's parser once.

        Args:
            layout: Of all that the documents hold.
            fields: Those that are wanted.
        """
        self._layout = layout
        self.fields = tuple(fields)
        self._parsers = tuple(
            (
                field.name,
                layout.places[stored_name(field)],
                PARSERS[field.kind],
                field.find_member if field.members else None,
            )
            for field in fields
        )

    def read(self, raw: Raw) -> dict[str, Any]:
        """The values as a record or a state holds them."""
        groups = self._layout.match(raw)
        if groups is None:
            return decode_fields(self.fields, raw.decode())
        return {
            name: parse(groups[place]) if find is None else find(parse(groups[place]))
            for name, place, parse, find in self._parsers
        }


def _build_element(field: Field, *, has_date: bool) -> bytes:
    name = re.escape(stored_name(field).encode())
    value, null = _VALUES[field.kind] % name, b"\x0a%b\0" % name
    if has_date and field.kind is FieldKind.TIME_US:
        date = re.escape(field.name.encode())
        value += b"\x09%b\0(.{8})" % date
        null += b"\x0a%b\0" % date
    return b"(?:%b|%b)" % (value, null) if field.nullable else value


_VALUES: Mapping[FieldKind, bytes] = {
    # no text of ours holds a NUL; one that does is looked at the slow way
    FieldKind.TEXT: b"\x02%b\0.{4}([^\0]*)\0",
    FieldKind.AMOUNT: b"\x13%b\0(.{16})",
    FieldKind.AMOUNTS: b"\x04%b\0.{4}((?:\x13[0-9]++\0.{16})*+)\0",
    FieldKind.TEXTS: b"\x04%b\0.{4}((?:\x02[0-9]++\0.{4}[^\0]*+\0)*+)\0",
    FieldKind.TIME_US: b"\x12%b\0(.{8})",
    FieldKind.INTEGER: b"\x12%b\0(.{8})",
    FieldKind.FLAG: b"\x08%b\0([\0\x01])",
    # its length would have to be read first: this never matches
    FieldKind.BYTES: b"(?!)%b()",
}


def _parse_text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _parse_integer(value: bytes | None) -> int | None:
    return None if value is None else _unpack_int64(value)[0]


def _parse_amount(value: bytes | None) -> str | None:
    return None if value is None else parse_amount(value)


_find_amounts = re.compile(b"\x13[0-9]+\0(.{16})", re.DOTALL).findall


def _parse_amounts(value: bytes | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(parse_amount, _find_amounts(value)))


_find_texts = re.compile(b"\x02[0-9]+\0.{4}([^\0]*)\0", re.DOTALL).findall


def _parse_texts(value: bytes | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(bytes.decode, _find_texts(value)))


def _parse_flag(value: bytes | None) -> bool | None:
    return None if value is None else value == b"\x01"


PARSERS: Mapping[FieldKind, Callable[[bytes | None], Any]] = {
    FieldKind.TEXT: _parse_text,
    FieldKind.AMOUNT: _parse_amount,
    FieldKind.AMOUNTS: _parse_amounts,
    FieldKind.TEXTS: _parse_texts,
    FieldKind.TIME_US: _parse_integer,
    FieldKind.INTEGER: _parse_integer,
    FieldKind.FLAG: _parse_flag,
    FieldKind.BYTES: _parse_text,
}
"""A value's bytes -> what a record holds."""

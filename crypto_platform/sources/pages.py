"""From one page of JSON to a poll, item by item: what every JSON dialect does alike.

Here: cutting a list into its items, numbers with their own digits, times, one bad item apart from
the good ones. Not here: field names (the dialects), several pages (paging.py), asking (http.py).
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from crypto_platform.domain.hours import to_time_us
from crypto_platform.domain.money import parse_amount
from crypto_platform.errors import (
    Reason,
    RecordRejectedError,
    SourceMalformedError,
)
from crypto_platform.feeds import Feed
from crypto_platform.feeds.codec import decode, encode
from crypto_platform.feeds.feed import R
from crypto_platform.feeds.rejected import Rejected, build_rejected
from crypto_platform.sources.base import Poll
from crypto_platform.sources.shapes import note_shape

EXCERPT_BYTES = 200
NULL = msgspec.Raw(b"null")
"""Default of a wire field: missing is unknown, as null is."""

CurrencyId = Annotated[str, msgspec.Meta(min_length=1)]

W = TypeVar("W")

_STRING_OR_NOT_A_NUMBER = re.compile(
    # the closing quote is optional, and nothing is tried twice: linear on a hostile body too
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|NaN|-?Infinity',
    re.DOTALL,
)
_FINER_THAN_MICROSECONDS = re.compile(r"(\.[0-9]{6})[0-9]+")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,16}")
_TEXT_DECODER = msgspec.json.Decoder(str)
_MomentType = Annotated[datetime, msgspec.Meta(tz=True)]


def decode_page(
    body: bytes,
    page_type: type[W],
    list_items: Callable[[W], Sequence[msgspec.Raw]],
    *,
    source: str,
    url: str,
) -> tuple[W, list[bytes]]:
    """Decode the frame of a page and cut out its items, unread.

    Args:
        body: As received.
        page_type: A struct or list with msgspec.Raw items.
        list_items: The items of a decoded page.
        source: Name in the settings, for errors.
        url: Where it came from, for errors.

    Returns:
        The frame, and the bytes of each item as they came.

    Raises:
        SourceMalformedError: It is not that; carries the first 200 bytes.
    """
    note_shape(page_type, body)
    try:
        page = msgspec.json.decode(body, type=page_type)
        return page, [bytes(item) for item in list_items(page)]
    except msgspec.ValidationError as error:
        fault = str(error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        fault = str(error)
        masked = mask_odd_tokens(body)
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            page = msgspec.json.decode(masked, type=page_type)
            return page, cut_items(body, masked, list_items(page))
    what = f"not what its page promises: {fault}"
    raise build_malformed(what, source=source, url=url, body=body)


def decode_frame(body: bytes, frame_type: type[W], *, source: str, url: str) -> W:
    """Decode an answer that is one object, not a list of items.

    Raises:
        SourceMalformedError: It is not that; carries the first 200 bytes.
    """
    note_shape(frame_type, body)
    try:
        return msgspec.json.decode(body, type=frame_type)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = f"not what its page promises: {error}"
        raise build_malformed(what, source=source, url=url, body=body) from None


def list_items(body: bytes, *, source: str, url: str) -> list[bytes]:
    """The items of an answer that is a list, as they came; see `decode_page`."""
    return decode_page(body, list[msgspec.Raw], list, source=source, url=url)[1]


def build_malformed(what: str, *, source: str, url: str, body: bytes) -> SourceMalformedError:
    """The error of a page that is not what it promises, with its first 200 bytes."""
    excerpt = body[:EXCERPT_BYTES].decode("utf-8", "backslashreplace")
    return SourceMalformedError(f"{source}: {url}: {what}: {excerpt}", source=source, url=url)


def mask_odd_tokens(body: bytes) -> bytes:
    """Make the frame of a page readable in spite of odd items; same length, same places.

    `NaN`, `Infinity` (which Python's json prints) and half surrogates are not JSON, and one of them
    in one item would make the whole page undecodable. The mask serves for finding the items only:
    their own bytes are then taken from the page as it came, and judged one by one.
    """
    return _STRING_OR_NOT_A_NUMBER.sub(_mask_token, body)


def _mask_token(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token.startswith(b'"') and rb"\u" not in token:
        return token
    # a string, so that it stands for no number in the frame
    return b'"' + b"x" * (len(token) - 2) + b'"'


def cut_items(body: bytes, masked: bytes, items: Iterable[msgspec.Raw]) -> list[bytes]:
    """The bytes of each item as they came, from the items found in the masked page.

    Args:
        body: The page.
        masked: `mask_odd_tokens(body)`.
        items: Decoded from `masked`, in order.
    """
    pieces: list[bytes] = []
    end = masked.index(b"[") + 1
    for item in items:
        found = bytes(item)
        start = masked.index(found, end)
        end = start + len(found)
        pieces.append(body[start:end])
    return pieces


def decode_item(decoder: msgspec.json.Decoder[W], item: bytes) -> W:
    """Decode one item of a page.

    Raises:
        RecordRejectedError: undecodable, or invariant where it is JSON of another shape.
    """
    note_shape(decoder.type, item)
    try:
        return decoder.decode(item)
    except msgspec.ValidationError as error:
        raise RecordRejectedError(str(error), reason=Reason.INVARIANT) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RecordRejectedError(str(error), reason=Reason.UNDECODABLE) from None


def read_amount(value: msgspec.Raw, name: str) -> str | None:
    """A JSON number, or a string that holds one, in stored form; null is None.

    Args:
        value: `1.054e-05`, `"18710831.0"`, `null`.
        name: The source's field, for the error's text.

    Raises:
        RecordRejectedError: invariant. Not a finite decimal a store can keep unchanged.
    """
    text = read_text(value)
    if text is None:
        return None
    try:
        return parse_amount(text)
    except RecordRejectedError as error:
        message = f"{name}: {error}"
        raise RecordRejectedError(message, reason=error.reason) from None


def read_rank(value: msgspec.Raw, name: str) -> int | None:
    """A whole number, printed as such or as a string; null is None.

    Raises:
        RecordRejectedError: invariant. Anything else.
    """
    text = read_text(value)
    if text is None:
        return None
    if not _WHOLE_NUMBER.fullmatch(text):
        message = f"{name}: not a whole number of at most 16 digits: {text[:60]!r}"
        raise RecordRejectedError(message, reason=Reason.INVARIANT)
    return int(text)


def read_text(value: msgspec.Raw) -> str | None:
    """A JSON number as it is written, or what a string holds; null is None.

    Raises:
        RecordRejectedError: undecodable. A broken string.
    """
    token = bytes(value).strip()
    if token == b"null":
        return None
    if token.startswith(b'"'):
        return decode_item(_TEXT_DECODER, token)
    return token.decode("utf-8", "backslashreplace")


def read_time(text: str | None, name: str) -> int | None:
    """Microseconds since 1970 of an RFC 3339 time; what is finer is cut off, never rounded up.

    Raises:
        RecordRejectedError: invariant. Not such a time, without a zone, or before 1970.
    """
    if text is None:
        return None
    try:
        moment = msgspec.convert(_FINER_THAN_MICROSECONDS.sub(r"\1", text), type=_MomentType)
    except msgspec.ValidationError as error:
        message = f"{name}: {error}: {text[:60]!r}"
        raise RecordRejectedError(message, reason=Reason.INVARIANT) from None
    return to_time_us(moment)


def keep_finer_time(text: str) -> str | None:
    """The source's own text of a time where it says more than microseconds hold, else None."""
    return text if _FINER_THAN_MICROSECONDS.search(text) else None


def read_items(
    items: Iterable[bytes],
    parse: Callable[[bytes], R],
    *,
    source: str,
    feed: Feed[R],
    ts_ingest: int,
) -> Poll:
    """Turn items into records, a bad one into a Rejected with its reason.

    Every record passes the very decoder that the loads use, so that nothing is published which a
    store would then have to refuse.

    Args:
        items: Bytes of each item, in the source's order.
        parse: One item to a sealed record, or RecordRejectedError.
        source: Name in the settings.
        feed: Of the records.
        ts_ingest: When the poll began, microseconds.
    """
    records: list[R] = []
    rejected: list[Rejected] = []
    for item in items:
        try:
            value = encode(parse(item))
            records.append(decode(feed, value, record_bytes_max=len(value)))
        except RecordRejectedError as error:
            piece = build_rejected(
                source=source,
                feed=feed.name,
                reason=error.reason,
                error=str(error),
                raw=item,
                ts_ingest=ts_ingest,
            )
            rejected.append(piece)
    return Poll(records=records, rejected=rejected)

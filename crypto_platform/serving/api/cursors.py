"""Where the next page begins, as opaque text that only its own asker can use.

Here: a place is signed together with its scope (which list, of whom, asked how), which the cursor
itself does not hold: one of another user, another list or another filter does not open. Not here:
what a place means (the endpoints).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

import msgspec

CURSOR_LENGTH_MAX = 512
_SIGNATURE_BYTES = 16

Place = Sequence[int | str]


class CursorError(ValueError):
    """Not a cursor of this list; the text says what to do."""


def seal_cursor(secret: bytes, scope: Sequence[object], place: Place) -> str:
    """A cursor; the same place of the same scope is the same text."""
    packed = msgspec.json.encode(place)
    return _to_text(_sign(secret, scope, packed) + packed)


def open_cursor(secret: bytes, scope: Sequence[object], cursor: str) -> list[int | str]:
    """The place that was sealed.

    Raises:
        CursorError: Another's, another list's, or nothing of ours.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    signature, packed = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(secret, scope, packed)):
        message = "not of this list: take `next` of the page before, and change no other parameter"
        raise CursorError(message)
    return msgspec.json.decode(packed, type=list[int | str])


def _sign(secret: bytes, scope: Sequence[object], packed: bytes) -> bytes:
    signed = msgspec.json.encode(scope) + b"\0" + packed
    return hmac.digest(secret, signed, hashlib.sha256)[:_SIGNATURE_BYTES]


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

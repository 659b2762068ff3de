"""What an answer was before ccxt read it: its bytes, its digits, its items one by one.

Here: pure functions over bytes and decoded JSON. Not here: asking (ccxt_exchange.py), what ccxt
made of it (ccxt_readings.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from crypto_platform.sources.pages import cut_items, mask_odd_tokens


@dataclass(frozen=True, kw_only=True)
class Item:
    """One trade or candle of an answer.

    Attributes:
        raw: As it came; where ccxt has rebuilt the list, as ccxt hands it on.
        info: The same as Python values, numbers with a point as text.
        parsed: ccxt's "trade structure", or its candle [time, open, high, low, close, volume]; None
            where it could not be read.
        error: Why not.
    """

    raw: bytes
    info: Any
    parsed: Any
    error: str | None = None


def decode_exactly(body: bytes) -> Any:
    """JSON as Python values, but for numbers with a point and what is no number: those stay text.

    Raises:
        ValueError: It is no JSON, or has half a surrogate, which no store can keep.
        RecursionError: It is nested too deeply.
    """
    document = json.loads(body, parse_float=str, parse_constant=str)
    if b"\\ud" in body.lower():
        json.dumps(document, ensure_ascii=False).encode()
    return document


def as_item(item: Any) -> Item:
    """Of a venue whose class in ccxt parses items by itself."""
    if isinstance(item, Item):
        return item
    info = cast("dict[str, Any]", item).get("info") if isinstance(item, dict) else item
    return Item(raw=print_info(info), info=info, parsed=item)


def print_info(info: Any) -> bytes:
    """What ccxt hands on as a venue's own, as JSON."""
    return json.dumps(info, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "backslashreplace"
    )


def has_list(document: Any) -> bool:
    """Whether a list stands in it, not counting those in lists."""
    if isinstance(document, dict):
        return any(map(has_list, cast("dict[str, Any]", document).values()))
    return isinstance(document, list)


def cut_list(body: bytes, document: Any, items: Any) -> list[bytes]:
    """The bytes of a list's items as they came.

    Args:
        body: The answer.
        document: The same, decoded.
        items: A list somewhere in `document`, that very object.

    Returns:
        Empty where it is not to be found.
    """
    path = find_path(document, items)
    if path is None or not isinstance(items, list):
        return []
    masked = mask_odd_tokens(body)
    piece = msgspec.Raw(masked)
    try:
        for key in path:
            inner = dict[str, msgspec.Raw] if isinstance(key, str) else list[msgspec.Raw]
            piece = cast("Any", msgspec.json.decode(piece, type=inner))[key]
        raws = msgspec.json.decode(piece, type=list[msgspec.Raw])
    except (msgspec.DecodeError, LookupError):
        return []
    return cut_items(body, masked, raws)


def find_path(document: Any, wanted: Any) -> tuple[str | int, ...] | None:
    """Keys and places that lead to an object inside a document; None where it is not in it."""
    if document is wanted:
        return ()
    pairs: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(document, dict):
        pairs = iter(cast("dict[str, Any]", document).items())
    elif isinstance(document, list):
        pairs = enumerate(cast("list[Any]", document))
    for key, value in pairs:
        if isinstance(value, dict | list):
            found = find_path(value, wanted)
            if found is not None:
                return (key, *found)
    return None

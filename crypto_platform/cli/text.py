"""What a person reads on a terminal: tables, amounts below each other, foreign text, bytes.

Here: pure functions from texts to text. Not here: numbers, ages and sizes (domain/readable.py),
what is shown.
"""

import unicodedata
from collections.abc import Sequence

from crypto_platform.domain.hours import TimeUs, from_time_us

_HEX_BYTES = 16
_UTF8_BYTES_MAX = 4


def align_points(amounts: Sequence[str]) -> list[str]:
    """Amounts with all their digits, points below each other; empty stays empty."""
    whole = max((len(amount.partition(".")[0]) for amount in amounts), default=0)
    placed = [" " * (whole - len(a.partition(".")[0])) + a if a else "" for a in amounts]
    width = max(map(len, placed), default=0)
    return [amount.ljust(width) for amount in placed]


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()
) -> list[str]:
    """Lines of a table with aligned columns.

    Args:
        header: One title a column; all empty leaves the header out.
        rows: As many texts each.
        right: Columns aligned to the right.
    """
    table = [*([header] if any(header) else []), *rows]
    return ["  ".join(cells).rstrip() for cells in align_cells(table, right=right)]


def align_cells(
    table: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()
) -> list[list[str]]:
    """The same cells, each as wide as the widest of its column."""
    widths = [max(map(display_width, column)) for column in zip(*table, strict=True)]
    return [
        [_pad(text, widths[i], to_right=i in right) for i, text in enumerate(row)] for row in table
    ]


def _pad(text: str, width: int, *, to_right: bool) -> str:
    space = " " * (width - display_width(text))
    return space + text if to_right else text + space


def display_width(text: str) -> int:
    """Columns on a terminal: currencies are named in every script."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def format_minute(time_us: TimeUs) -> str:
    """2026-01-31 14:05, UTC."""
    return from_time_us(time_us).strftime("%Y-%m-%d %H:%M")


def printable(text: str) -> str:
    """Without control characters: what a source calls a currency must not steer the terminal."""
    return "".join(c if unicodedata.category(c)[0] != "C" else "?" for c in text)


def escape(text: str) -> str:
    """Text on one line that can be read back: control characters as Python writes them."""
    return "".join(c if unicodedata.category(c)[0] != "C" else ascii(c)[1:-1] for c in text)


def format_raw(raw: bytes | None, *, bytes_max: int) -> list[str]:
    """Bytes as a person can look at them: text where they are UTF-8, else offset, hex and ASCII."""
    if raw is None:
        return ["none"]
    if not raw:
        return ["empty"]
    cut = raw[:bytes_max]
    lines = _text_or_hex(cut, is_cut=len(raw) > len(cut))
    if len(raw) > len(cut):
        lines.append(f"... and {len(raw) - len(cut):,} bytes more")
    return lines


def _text_or_hex(raw: bytes, *, is_cut: bool) -> list[str]:
    for end in range(len(raw), len(raw) - (_UTF8_BYTES_MAX if is_cut else 1), -1):
        # a cut may have gone through a character
        try:
            return [escape(raw[:end].decode())]
        except UnicodeDecodeError:
            continue
    return [
        f"{start:06x}  {raw[start : start + _HEX_BYTES].hex(' '):<{3 * _HEX_BYTES - 1}}  "
        + "".join(chr(b) if chr(b).isascii() and chr(b).isprintable() else "." for b in line)
        for start in range(0, len(raw), _HEX_BYTES)
        for line in [raw[start : start + _HEX_BYTES]]
    ]

"""Small pictures and tables for an asset's metadata.

Here: values in, Markdown or a table out; pure. A picture is an SVG of about a kilobyte inside the
Markdown, because it is written into Dagster's database with every report. Not here: what is shown.
"""

import base64
from collections.abc import Mapping, Sequence
from decimal import Decimal

import dagster as dg

from crypto_platform.domain.hours import from_time_us
from crypto_platform.feeds import Record

WIDTH, HEIGHT, MARGIN = 360, 72, 4
CELL_CHARACTERS_MAX = 40
_RISING, _FALLING = "#1a9e6a", "#d6453d"
PREVIEW_COLUMNS_MAX = 12
HIDDEN = frozenset({"event_id", "content_hash", "raw"})


def draw_line(values: Sequence[float], *, title: str, unit: str) -> dg.MarkdownMetadataValue:
    """A line of values in their order, on a scale from 0; the last and the largest in words."""
    top = max(values, default=0.0)
    step = (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    scale = (HEIGHT - 2 * MARGIN) / (top or 1.0)
    points = " ".join(
        f"{MARGIN + number * step:.1f},{HEIGHT - MARGIN - value * scale:.1f}"
        for number, value in enumerate(values)
    )
    line = f'<polyline points="{points}" fill="none" stroke="#4f43dd" stroke-width="1.5"/>'
    last = values[-1] if values else 0.0
    words = f"{title}: {last:,.10g} {unit} at last, {top:,.10g} at most"
    return _picture(line, title=title, words=words)


def draw_bars(
    bars: Sequence[tuple[Decimal, Decimal, Decimal, Decimal]], *, title: str
) -> dg.MarkdownMetadataValue:
    """Open, high, low and close of intervals in their order, between the lowest and the highest."""
    low, high = min(bar[2] for bar in bars), max(bar[1] for bar in bars)
    step = (WIDTH - 2 * MARGIN) / len(bars)
    scale = (HEIGHT - 2 * MARGIN) / float((high - low) or 1)

    def place(price: Decimal) -> float:
        return HEIGHT - MARGIN - float(price - low) * scale

    marks = "".join(
        f'<path d="M{x:.1f} {place(top):.1f}V{place(bottom):.1f}" stroke="{color}"/>'
        f'<path d="M{x:.1f} {place(opens) - 0.5:.1f}V{place(closes) + 0.5:.1f}" '
        f'stroke="{color}" stroke-width="{step * 0.6:.1f}"/>'
        for number, (opens, top, bottom, closes) in enumerate(bars)
        for x in [MARGIN + (number + 0.5) * step]
        for color in [_RISING if closes >= opens else _FALLING]
    )
    words = f"{title}: {bars[-1][3]:,} at last, {low:,} to {high:,}"
    return _picture(marks, title=title, words=words)


def _picture(marks: str, *, title: str, words: str) -> dg.MarkdownMetadataValue:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="4" fill="#f5f7fa"/>{marks}</svg>'
    )
    picture = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{picture})\n\n{words}")


def describe_table(
    name: str, rows: Sequence[Mapping[str, object]]
) -> Mapping[str, dg.TableMetadataValue]:
    """A table of a few rows under this name; nothing where there is none. Values are text."""
    if not rows:
        return {}
    records = [
        dg.TableRecord({name: _shorten(value) for name, value in row.items()}) for row in rows
    ]
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in rows[0]])
    return {name: dg.MetadataValue.table(records, schema)}


def describe_preview(records: Sequence[Record]) -> Mapping[str, dg.TableMetadataValue]:
    """A few records as a table: what is known of them, without hashes and ids."""
    known = {
        name
        for record in records
        for name in record.__struct_fields__
        if name not in HIDDEN and getattr(record, name) is not None
    }
    names = [n for record in records[:1] for n in record.__struct_fields__ if n in known]
    rows = [
        {name: _readable(name, getattr(record, name)) for name in names[:PREVIEW_COLUMNS_MAX]}
        for record in records
    ]
    return describe_table("preview", rows)


def _readable(name: str, value: object) -> object:
    if name.startswith("ts_") and isinstance(value, int):
        return f"{from_time_us(value):%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def _shorten(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= CELL_CHARACTERS_MAX else f"{text[: CELL_CHARACTERS_MAX - 1]}…"

"""Markdown that reads alike on a code host and in the site.

Here: headings, tables, blocks of text as lines. Not here: what they say.
"""

import json
import re
from collections.abc import Sequence

MADE = "<!-- written by `make reference` from the code: edit that -->"

_PAGE = re.compile(r"(?<![`(\w/])docs/([a-z-]+\.md)(#[a-z-]+)?")
_CODE = re.compile(r"(`[^`]*`)")


def join(*parts: str | Sequence[str]) -> str:
    """A page: its parts, as text or line by line, an empty line between two of them."""
    texts = [part if isinstance(part, str) else "\n".join(part) for part in parts]
    return "\n\n".join(filter(None, (text.strip("\n") for text in texts))) + "\n"


def code(text: object) -> str:
    """As it is typed."""
    return f"`{text}`"


def sentence(text: str | None) -> str:
    """What a docstring says, on one line, with links to the pages that it names."""
    words = " ".join((text or "").split())
    parts = _CODE.split(words)
    # between marks of code stands text, in which `<` would begin a tag
    parts[::2] = [_PAGE.sub(r"[\1](../\1\2)", part.replace("<", "&lt;")) for part in parts[::2]]
    return "".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; none where there are no rows."""
    if not rows:
        return []
    return [_row(head), f"|{'---|' * len(head)}", *map(_row, rows)]


def block(text: str, language: str = "text") -> list[str]:
    """Text as it stands."""
    return [f"```{language}", *(line.rstrip() for line in text.strip("\n").splitlines()), "```"]


def json_block(document: object) -> list[str]:
    """A document, indented."""
    return block(json.dumps(document, indent=2, ensure_ascii=False), "json")


def items(texts: Sequence[str]) -> list[str]:
    """A list."""
    return [f"- {text}" for text in texts]


def list_codes(texts: Sequence[object]) -> str:
    """Names one after another."""
    return ", ".join(map(code, texts))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |".replace("|  |", "| |")


def _escape(cell: str) -> str:
    return cell.replace("|", r"\|")

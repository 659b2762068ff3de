"""Markdown of a code host for the site's renderer, which wants more empty lines.

Here: text to text, so that a page reads alike there and here. Not here: links (hooks.py).
"""

import re

_FENCE = re.compile(r"^ *(```|~~~)")
_BLOCK = re.compile(r"([-*+]|\d+\.) |\||<!--")
"""What begins a list or a table, or a remark before one."""
_CODE = re.compile(r"`[^`]*`")


def separate_blocks(markdown: str) -> str:
    """An empty line before each list and table, without which Python-Markdown sees none.

    Nor does it know that a bar within a table's code is escaped.
    """
    lines: list[str] = []
    is_code = False
    before = ""
    for line in markdown.splitlines():
        is_fence = _FENCE.match(line) is not None
        if not is_code and _BLOCK.match(line) and before.strip() and not _goes_on(before, line):
            lines.append("")
        is_code ^= is_fence
        is_row = not is_code and line.startswith("|")
        lines.append(_CODE.sub(lambda code: code[0].replace(r"\|", "|"), line) if is_row else line)
        before = line
    return "\n".join(lines) + "\n"


def _goes_on(before: str, line: str) -> bool:
    """Whether the line is of the same list or table as the one before."""
    if line.startswith("|"):
        return before.startswith("|")
    return before.startswith(" ") or _BLOCK.match(before) is not None

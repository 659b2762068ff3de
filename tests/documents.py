"""What README.md and docs/ tell people to type, read as a person reads it.

Here: the commands of their blocks (`sh`: each line one; `console`: what stands behind a `$`), the
commands in their text, and the steps of a tutorial. Not here: running them
(servers/test_documents.py, test_tutorials.py), which are not run (documents_run.py).
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
TUTORIALS = "docs/tutorials"
SHELL, TRANSCRIPT = "sh", "console"
PROMPT, CONTINUED = "$ ", "    "
GOES_ON = frozenset({"until", "while", "if", "do", "then", "code-server"})
"""Words behind which a command begins; the last one is a container's name."""

_PARSER = MarkdownIt("commonmark").enable("table")
_WRITE = re.compile(r"Write `([^`]+)`:")
_INSERT = re.compile(r"In `([^`]+)`, below the line `([^`]+)`, add:")


@dataclass(frozen=True, kw_only=True)
class Documented:
    """A command of a block, or one in a text.

    Attributes:
        page: As docs/operations.md.
        line: Where its block or paragraph begins, from 1.
        text: As it stands there, with its comment.
    """

    page: str
    line: int
    text: str


def list_pages(root: Path = ROOT) -> list[str]:
    """README.md and all of docs/."""
    return ["README.md", *sorted(str(p.relative_to(root)) for p in (root / "docs").rglob("*.md"))]


def list_commands(root: Path = ROOT) -> list[Documented]:
    """The commands of all blocks, a tutorial's too, in the order of the pages."""
    return [
        Documented(page=page, line=line, text=text)
        for page in list_pages(root)
        for line, kind, content in _list_blocks((root / page).read_text("utf-8"))
        if kind in {SHELL, TRANSCRIPT}
        for text in split_commands(content if kind == SHELL else read_transcript(content))
    ]


def list_mentions(root: Path = ROOT) -> list[Documented]:
    """What stands between backticks in texts and tables."""
    return [
        Documented(page=page, line=line, text=" ".join(text.split()))
        for page in list_pages(root)
        for line, text in _list_inline((root / page).read_text("utf-8"))
    ]


def list_other_blocks(root: Path = ROOT) -> list[Documented]:
    """Blocks that are no commands: settings, SQL, pictures, output."""
    return [
        Documented(page=page, line=line, text=content)
        for page in list_pages(root)
        for line, kind, content in _list_blocks((root / page).read_text("utf-8"))
        if kind not in {SHELL, TRANSCRIPT}
    ]


def anchor_of(heading: str) -> str:
    """As a code host and the site make it: letters, digits, `_` and `-`; a blank is a `-`."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _list_blocks(text: str) -> Iterator[tuple[int, str, str]]:
    for token in _PARSER.parse(text):
        if token.type in {"fence", "code_block"}:
            assert token.map is not None
            yield token.map[0] + 1, token.info.strip(), token.content


def _list_inline(text: str) -> Iterator[tuple[int, str]]:
    line = 0
    for token in _PARSER.parse(text):
        line = line if token.map is None else token.map[0] + 1
        for child in token.children or ():
            if child.type == "code_inline":
                yield line, child.content


def read_transcript(content: str) -> str:
    """What was typed in a conversation; a line that follows a backslash belongs to it."""
    typed: list[str] = []
    for line in content.splitlines():
        if line.startswith(PROMPT):
            typed.append(line.removeprefix(PROMPT))
        elif typed and typed[-1].endswith("\\") and line.startswith(CONTINUED):
            typed.append(line)
    return "\n".join(typed)


def split_commands(script: str) -> list[str]:
    """One command each: lines that a backslash or an open quote joins stay together."""
    commands: list[str] = []
    held = ""
    for line in script.splitlines():
        held = f"{held}\n{line}" if held else line
        if not held.strip():
            held = ""
        elif not held.endswith("\\") and _is_closed(held):
            commands.append(held)
            held = ""
    assert not held, f"a quote is not closed: {held}"
    return commands


def _is_closed(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def find_calls(text: str, program: str) -> list[list[str]]:
    """The arguments of each call of a program in a command, as the shell would hand them over."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    calls: list[list[str]] = []
    is_start, own = True, False
    for word in lexer:
        if word and set(word) <= set("();<>|&\n"):
            is_start, own = True, False
        elif (is_start and word == program) or word.endswith(f"/bin/{program}"):
            calls.append([])
            is_start, own = False, True
        elif own:
            calls[-1].append(word)
        else:
            is_start = word in GOES_ON or (is_start and "=" in word)
    return calls


@dataclass(frozen=True, kw_only=True)
class Write:
    """A tutorial says: Write `path`: and a block."""

    path: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Insert:
    """A tutorial says: In `path`, below the line `below`, add: and a block."""

    path: str
    below: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Type:
    """A tutorial's block of commands."""

    script: str


Step = Write | Insert | Type


def read_steps(text: str) -> Sequence[Step]:
    """What a reader of a tutorial does, in order; a block without an instruction is only read."""
    steps: list[Step] = []
    said = ""
    for token in _PARSER.parse(text):
        if token.type == "inline":
            said = token.content
        elif token.type == "fence":
            steps += _read_step(said, token.info.strip(), token.content)
            said = ""
    return steps


def _read_step(said: str, kind: str, content: str) -> Iterator[Step]:
    if kind == SHELL:
        yield Type(script=content)
    elif found := _WRITE.fullmatch(said):
        yield Write(path=found[1], content=content)
    elif found := _INSERT.fullmatch(said):
        yield Insert(path=found[1], below=found[2], content=content)


def do_edit(step: Write | Insert, root: Path) -> None:
    """What the reader's editor does.

    Raises:
        AssertionError: The line is not there, or is there twice.
    """
    path = root / step.path
    if isinstance(step, Write):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.content, "utf-8")
        return
    lines = path.read_text("utf-8").splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.strip() == step.below]
    assert len(found) == 1, f"{step.path} has {len(found)} lines {step.below!r}"
    lines.insert(found[0] + 1, step.content)
    path.write_text("".join(lines), "utf-8")

"""What README.md and docs/ tell people to type exists, and none of it runs unseen.

Nothing is executed here: that is `make test-docs` (tests/servers/test_documents.py and others).
"""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from benchmarks.__main__ import main as benchmarks
from crypto_platform.cli import main
from tests.documents import (
    ROOT,
    TUTORIALS,
    Documented,
    Insert,
    Type,
    do_edit,
    find_calls,
    list_commands,
    list_mentions,
    list_other_blocks,
    read_steps,
    read_transcript,
    split_commands,
)
from tests.documents_run import NOT_RUN, STAND_INS, NotRun, list_run, strip_comment

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z0-9]+) [?:]?= ?", MAKEFILE, re.MULTILINE)) | {
    "MESSAGE",
    "KAFKA_IMAGE",
}
COMMANDS = list_commands()


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words name, and what is left for it.

    Raises:
        KeyError: There is no such command.
    """
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            raise KeyError(rest[0])
        command, rest = found, rest[1:]
    return command, rest


def parse(words: list[str]) -> None:
    """As click does before it calls a command.

    Raises:
        KeyError, click.ClickException: There is no such command, or it does not take this.
    """
    command, rest = find_command(words)
    command.make_context(
        "crypto-platform", rest, parent=click.Context(main, **main.context_settings)
    )


def describe(command: Documented) -> str:
    return f"{command.page}:{command.line}: {command.text}"


def list_faults(command: Documented) -> list[str]:
    """What of a command does not exist."""
    faults: list[str] = []
    for words in find_calls(command.text, "crypto-platform"):
        try:
            parse(words)
        except (KeyError, click.ClickException) as error:
            faults.append(f"{describe(command)}: {error}")
    for words in find_calls(command.text, "make"):
        faults += [f"{describe(command)}: {fault}" for fault in list_make_faults(words)]
    return faults


def list_make_faults(words: list[str]) -> list[str]:
    """Targets and variables that the Makefile does not have, and ARGS that the command refuses."""
    values = dict(word.split("=", 1) for word in words if "=" in word)
    targets = [word for word in words if "=" not in word]
    faults = [f"no target {target}" for target in targets if target not in TARGETS]
    faults += [f"no variable {name}" for name in values if name not in VARIABLES]
    for target in targets:
        if "ARGS" in values and target in {"up", "down", "status"}:
            try:
                parse([target, *shlex.split(values["ARGS"])])
            except click.ClickException as error:
                faults.append(str(error))
    return faults


def test_every_documented_command_exists_with_its_options() -> None:
    """A renamed option is found by whoever needs it at night, else."""
    assert [fault for command in COMMANDS for fault in list_faults(command)] == []


def list_mention_faults(mention: Documented) -> list[str]:
    """Of a command in a text, which may leave out, abbreviate and offer a choice."""
    words = re.sub(r"[\[\]]", " ", mention.text.replace("\\|", "|")).split()
    if words[:1] == ["make"]:
        return [
            *(f"no target {word}" for word in words[1:2] if word not in TARGETS | {"…"}),
            *list_benchmark_faults(mention.text),
        ]
    if words[:1] != ["crypto-platform"] or len(words) == 1:
        return []
    own = words[1 : words.index("--")] if "--" in words else words[1:]
    return [
        fault
        for choice in own[min(1, len(own) - 1)].split("|")
        for fault in list_option_faults([*own[:1], choice, *own[2:]] if len(own) > 1 else own)
    ]


def list_benchmark_faults(text: str) -> list[str]:
    """Of `make bench ARGS="live --minutes 20"`, which another program's commands stand behind."""
    found = re.fullmatch(r"make bench ARGS=\"?([^\"]+)\"?", text)
    words = shlex.split(found[1]) if found else ["NAME"]
    if words[0] == "NAME":
        return []
    if words[0] not in benchmarks.commands:
        return [f"no benchmark {words[0]}"]
    known = {name for parameter in benchmarks.commands[words[0]].params for name in parameter.opts}
    return [f"no option {word}" for word in words if word.startswith("--") and word not in known]


def list_option_faults(words: list[str]) -> list[str]:
    try:
        command, rest = find_command(words)
    except KeyError as error:
        return [f"no command {error}"]
    known = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    named = [word.split("=")[0] for word in rest if word.startswith("--")]
    return [f"no option {name}" for name in named if name not in known | {"--help"}]


def test_every_command_in_a_text_exists_with_its_options() -> None:
    """Tables and sentences are copied from, too."""
    mentions = list_mentions()
    assert [f"{describe(m)}: {f}" for m in mentions for f in list_mention_faults(m)] == []


@pytest.mark.parametrize("row", NOT_RUN, ids=lambda row: f"{row.page}: {row.begins}")
def test_what_is_not_run_is_documented_and_its_like_is_tested(row: NotRun) -> None:
    """A row that nothing needs any more would hide the next command that begins so."""
    assert [c for c in COMMANDS if row.matches(c)]
    if row.instead is not None:
        path, _, name = row.instead.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text("utf-8")


def test_every_stand_in_stands_for_something() -> None:
    """What is documented otherwise by now would be run as it stands, on what is not there."""
    run = [strip_comment(each.text) for commands in list_run().values() for each in commands]
    assert [p for p, _ in STAND_INS if not any(re.search(p, text) for text in run)] == []


def test_every_command_is_in_a_block_that_is_run() -> None:
    """An indented one, or one of another kind, would never be tried."""
    begins = re.compile(r"^(\$ )?(crypto-platform|make|docker|\.venv/bin/\S+) ", re.MULTILINE)
    assert [describe(b) for b in list_other_blocks() if begins.search(b.text)] == []


def test_every_tutorial_edits_what_is_there(tmp_path: Path) -> None:
    """A line that was renamed since leaves the reader with nowhere to write."""
    edits = [
        step
        for page in sorted((ROOT / TUTORIALS).glob("*.md"))
        for step in read_steps(page.read_text("utf-8"))
        if not isinstance(step, Type)
    ]
    for edit in edits:
        original, copy = ROOT / edit.path, tmp_path / edit.path
        if isinstance(edit, Insert) and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(original.read_text("utf-8"), "utf-8")
        assert isinstance(edit, Insert) or not original.exists()
        do_edit(edit, tmp_path)
        if copy.suffix == ".py":
            ast.parse(copy.read_text("utf-8"))


def test_a_conversation_is_read_as_it_was_typed() -> None:
    """What a command answered is no command."""
    typed = read_transcript("$ first \\\n    --more\nanswer\n    $ no\n$ second\n")
    assert split_commands(typed) == ["first \\\n    --more", "second"]


def test_a_call_is_found_wherever_it_stands() -> None:
    """Behind a loop's word, a variable, another command; never where it is a name only."""
    text = "cd /opt/tool && A=/x/tool tool a 'b c' | tee x; until tool d; do sleep 1; done # tool e"
    assert find_calls(text, "tool") == [["a", "b c"], ["d"]]
    assert find_calls("sudo -u tool /opt/tool/bin/tool f", "tool") == [["f"]]

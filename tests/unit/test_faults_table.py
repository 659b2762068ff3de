"""docs/faults.md against the tests it names: a promise without a test is none."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.unit.test_runbook import read_entries

ROOT = Path(__file__).parents[2]
FAULTS = 34


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    number: int
    path: str
    test: str
    speed: str
    to_do: str


def read_table() -> list[Line]:
    text = (ROOT / "docs" / "faults.md").read_text("utf-8")
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if re.match(r"\| \d", row)]
    lines: list[Line] = []
    for number, _, _, to_do, reference, speed in rows:
        path, _, test = reference.strip("`").partition("::")
        lines.append(Line(int(number), path, test, speed, to_do))
    return lines


TABLE = read_table()


@cache
def parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))


def find_test(line: Line) -> ast.FunctionDef:
    found = [n for n in parse(line.path).body if isinstance(n, ast.FunctionDef)]
    named = [node for node in found if node.name == line.test]
    assert named, f"{line.path} has no {line.test}"
    return named[0]


def test_every_fault_stands_in_the_table_in_its_order() -> None:
    """A row that was left out is a fault that nobody looks for."""
    assert sorted({line.number for line in TABLE}) == list(range(1, FAULTS + 1))
    assert [line.number for line in TABLE] == sorted(line.number for line in TABLE)


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line.number}-{line.test}")
def test_a_row_names_a_test_that_says_so_and_ends_with_the_audit(line: Line) -> None:
    """A renamed or weakened test must not leave its promise standing."""
    test = find_test(line)
    said = re.match(r"Faults? ([0-9, and]+):", ast.get_docstring(test) or "")
    assert said, f"the docstring of {line.test} begins with no fault"
    assert str(line.number) in re.findall(r"\d+", said[1])
    end = " ".join(ast.unparse(statement) for statement in test.body[-2:])
    assert "assert_whole" in end or "audit" in end


def test_one_command_runs_every_row() -> None:
    """`make test-crash` is what the document promises all of them to."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [command] = re.findall(r"^test-crash:.*\n\t(.*)$", makefile, re.MULTILINE)
    run = command.split()
    assert [line.path for line in TABLE if not any(map(line.path.startswith, run))] == []


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line.number}-{line.test}")
def test_a_row_says_truly_when_its_test_runs(line: Line) -> None:
    """`make test` leaves out what is slow: nobody should believe that it was run."""
    module = [n for n in parse(line.path).body if isinstance(n, ast.Assign)]
    marks = [ast.unparse(node) for node in module if "pytestmark" in ast.unparse(node)]
    marks += [ast.unparse(decorator) for decorator in find_test(line).decorator_list]
    is_slow = any("mark.slow" in mark for mark in marks)
    assert line.speed == ("slow" if is_slow else "quick")


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line.number}-{line.test}")
def test_a_row_says_what_a_person_has_to_do(line: Line) -> None:
    """Who reads of a fault at night goes on from here; an entry that is gone leads nowhere."""
    if line.to_do != "nothing":
        found = re.fullmatch(r"\[[^]]+\]\(runbook\.md#([^)]+)\)", line.to_do)
        assert found, line.to_do
        assert found[1] in read_entries()

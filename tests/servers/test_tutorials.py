"""The tutorials, done as a reader does them: in a fresh clone, by their text alone."""

import os

import pytest

from tests.documents import ROOT, TUTORIALS, Type, do_edit, read_steps, split_commands
from tests.terminal import cloned_repository, list_environment, open_terminal


def build_environment() -> dict[str, str]:
    """A reader's, who has not switched on any environment yet."""
    environment = list_environment()
    folders = environment["PATH"].split(os.pathsep)
    path = os.pathsep.join(each for each in folders if each != str(ROOT / ".venv" / "bin"))
    kept = {n: v for n, v in environment.items() if n not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    return kept | {"PATH": path}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", ["first-source.md", "first-analytics-asset.md"])
def test_a_tutorial_leads_to_its_end(page: str) -> None:
    """A step that fails loses a reader who knows nothing yet of how it should be."""
    with cloned_repository() as clone, open_terminal(clone, build_environment()) as terminal:
        for step in read_steps((clone / TUTORIALS / page).read_text("utf-8")):
            if not isinstance(step, Type):
                do_edit(step, clone)
                continue
            for command in split_commands(step.script):
                typed = terminal.type(command)
                assert typed.exit_code == 0, f"{page}: {command}\n{typed.output}"

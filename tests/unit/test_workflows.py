"""The public CI tries every target: what runs nowhere but at home is broken first."""

import re
from collections.abc import Iterator

import yaml

from tests.compose_file import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PART_OF_ANOTHER = {"test", "test-fast", "test-browser", "test-ui"}
"""`.ci/run` runs the first, which has the others in it."""


def list_targets() -> Iterator[str]:
    """What the workflows run by `make`, a matrix filled in."""
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            matrix = job.get("strategy", {}).get("matrix", {})
            for step in job["steps"]:
                for word in re.findall(r"^make (.+)$", step.get("run", ""), re.MULTILINE):
                    yield from matrix["target"] if "matrix.target" in word else [word]


def test_every_target_of_tests_is_run_by_some_workflow() -> None:
    """A new one would wait for somebody to think of it."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^(test[a-z-]*):.*## ", makefile, re.MULTILINE))
    assert targets - PART_OF_ANOTHER <= set(list_targets())


def test_whoever_takes_an_old_release_out_of_the_history_has_it() -> None:
    """A checkout has the newest commit alone, unless it is told."""
    for path in WORKFLOWS:
        text = path.read_text("utf-8")
        assert ("test-upgrade" in text) <= ("fetch-depth: 0" in text), path.name

"""Ask OSV which packages of our locks have known holes: `make audit-dependencies`.

Here: what pip-audit's answers mean, for every package of the locks, those for other systems and
Pythons too. 0 only where all were asked about and nothing is known of any; a package that was not
asked about is said by name and is no success. Not here: the asking (pip-audit).
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "docs" / "requirements.lock")

ACCEPTED: Mapping[str, str] = {}
"""Holes that do not concern us, by their id in OSV, each with the reason."""

NAMES_MAX = 5

_LINE = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


class Pin(NamedTuple):
    """A package of one version, its name as packages are compared."""

    name: str
    version: str


@dataclass(kw_only=True)
class Answer:
    """What came out.

    Attributes:
        clean: Of which nothing is known.
        holes: A line each.
        unasked: Why a package was not asked about.
    """

    clean: list[Pin] = field(default_factory=list[Pin])
    holes: list[str] = field(default_factory=list[str])
    unasked: dict[Pin, str] = field(default_factory=dict[Pin, str])


def read_lock(text: str) -> list[Pin]:
    """Every package of a lock; one that differs between Pythons stands there twice."""
    return [Pin(canonicalize_name(name), version) for name, version in _LINE.findall(text)]


def split(pins: Iterable[Pin]) -> list[list[Pin]]:
    """The same in lists that hold a name once, as pip-audit wants them."""
    lists: list[list[Pin]] = []
    for pin in pins:
        free = [each for each in lists if pin.name not in {other.name for other in each}]
        if not free:
            lists.append(free_list := [])
            free = [free_list]
        free[0].append(pin)
    return lists


def judge(pins: Sequence[Pin], document: Mapping[str, Any], answer: Answer) -> None:
    """Add what pip-audit's document says of these packages to the answer."""
    answer.unasked.update(dict.fromkeys(pins, "pip-audit's answer does not name it"))
    for package in document["dependencies"]:
        name = canonicalize_name(package["name"])
        if "skip_reason" in package:
            skipped = [pin for pin in pins if pin.name == name]
            answer.unasked.update(dict.fromkeys(skipped, str(package["skip_reason"])))
            continue
        pin = Pin(name, package["version"])
        answer.unasked.pop(pin, None)
        known = [hole for hole in package["vulns"] if hole["id"] not in ACCEPTED]
        answer.holes += [_describe(pin, hole) for hole in known]
        answer.clean += [] if known else [pin]


def _describe(pin: Pin, hole: Mapping[str, Any]) -> str:
    mends = ", ".join(hole["fix_versions"]) or "no version yet"
    text = " ".join(hole.get("description", "").split())[:200]
    return f"{pin.name} {pin.version}: {hole['id']}: {text} (mended in: {mends})"


def list_unasked(unasked: Mapping[Pin, str]) -> Iterator[str]:
    """A line a reason."""
    for reason in dict.fromkeys(unasked.values()):
        names = [f"{pin.name} {pin.version}" for pin, why in unasked.items() if why == reason]
        more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
        yield f"not audited: {', '.join(names[:NAMES_MAX])}{more}: {reason}"


def ask(pins: Sequence[Pin], options: Sequence[str]) -> tuple[Mapping[str, Any] | None, str]:
    """pip-audit's document, or None and what it said instead."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"{pin.name}=={pin.version}\n" for pin in pins)
        file.flush()
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps"),
            *("--disable-pip", "--vulnerability-service", "osv", "--format", "json"),
            *("--progress-spinner", "off", *options),
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(said.stdout), said.stderr
    except ValueError:
        return None, " ".join(said.stderr.split()) or f"exit code {said.returncode}"


def main(options: Sequence[str], *, locks: Sequence[Path] = LOCKS) -> int:
    """0 where all is known to be well; options go to pip-audit."""
    answer = Answer()
    found = [pin for lock in locks for pin in read_lock(lock.read_text("utf-8"))]
    for pins in split(dict.fromkeys(found)):
        document, said = ask(pins, options)
        if document is None:
            answer.unasked.update(dict.fromkeys(pins, f"pip-audit failed: {said[-300:]}"))
        else:
            judge(pins, document, answer)
    counts = (
        f"{len(answer.clean)} packages without a known hole, {len(answer.holes)} holes, "
        f"{len(answer.unasked)} packages not audited"
    )
    for line in (
        *answer.holes,
        *list_unasked(answer.unasked),
        *(f"accepted: {hole}: {reason}" for hole, reason in ACCEPTED.items()),
        counts,
    ):
        sys.stdout.write(f"{line}\n")
    return 0 if answer.clean and not answer.holes and not answer.unasked else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

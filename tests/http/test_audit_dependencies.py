"""`make audit-dependencies` against a stand-in of OSV: what it says, and when it is content."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_server import QuietHandler, listening

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "audit_dependencies.py"))
LOCK = """numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:01
pywin32==311 ; sys_platform == 'win32' \\
    --hash=sha256:02
Zope.Event==6.0 \\
    --hash=sha256:03
"""
HOLE = {
    "id": "PYSEC-1",
    "summary": "a hole",
    "affected": [
        {
            "package": {"name": "zope-event", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "7.0"}]}],
        }
    ],
}


class Osv:
    """Knows nothing of any package but what a test says."""

    def __init__(self) -> None:
        self.known: dict[str, list[Any]] = {}
        self.asked: set[tuple[str, str]] = set()
        self.status = 200
        self.url = ""


@pytest.fixture
def osv() -> Iterator[Osv]:
    made = Osv()

    class Handler(QuietHandler):
        def respond(self) -> None:
            query = json.loads(self.read_body())
            name = query["package"]["name"]
            made.asked.add((name, query["version"]))
            holes = made.known.get(name)
            body = json.dumps({"vulns": holes} if holes else {}).encode()
            self.answer(body, status=made.status)

    with listening(Handler) as port:
        made.url = f"http://127.0.0.1:{port}/v1/query"
        yield made


def run(osv: Osv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what it said."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    options = ["--osv-url", osv.url, "--cache-dir", str(tmp_path)]
    code: int = SCRIPT["main"](options, locks=[lock])
    return code, capsys.readouterr().out


def test_every_package_of_the_lock_is_asked_about(
    osv: Osv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those for another system or Python too: others install them by this lock."""
    code, said = run(osv, tmp_path, capsys)
    assert osv.asked == {
        ("numpy", "2.4.6"),
        ("numpy", "2.5.5"),
        ("pywin32", "311"),
        ("zope-event", "6.0"),
    }
    expected = "4 packages without a known hole, 0 holes, 0 packages not audited\n"
    assert (code, said) == (0, expected)


def test_a_hole_is_named_with_what_mends_it(
    osv: Osv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that the next step is a version."""
    osv.known["zope-event"] = [HOLE]
    code, said = run(osv, tmp_path, capsys)
    assert code == 1
    assert said.splitlines()[0] == "zope-event 6.0: PYSEC-1: a hole (mended in: 7.0)"


def test_what_could_not_be_asked_about_is_no_success(
    osv: Osv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An audit that skips in silence is green for ever."""
    osv.status = 500
    code, said = run(osv, tmp_path, capsys)
    assert code == 1
    assert said.startswith("not audited: ")
    assert said.endswith("0 packages without a known hole, 0 holes, 4 packages not audited\n")


def test_a_package_that_is_skipped_is_said_by_name() -> None:
    """pip-audit itself ends with 0 then."""
    pins = SCRIPT["read_lock"](LOCK)
    answer = SCRIPT["Answer"]()
    skipped = {"name": "pywin32", "skip_reason": "not found"}
    clean = {"name": "numpy", "version": "2.4.6", "vulns": []}
    SCRIPT["judge"](pins, {"dependencies": [skipped, clean]}, answer)
    assert {pin.name: why for pin, why in answer.unasked.items()} == {
        "pywin32": "not found",
        "numpy": "pip-audit's answer does not name it",
        "zope-event": "pip-audit's answer does not name it",
    }

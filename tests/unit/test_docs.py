"""The documentation hangs together: navigation, links and anchors, as a code host shows them.

`make docs` looks once more at what the site makes of it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.site.blocks import separate_blocks
from tests.documents import anchor_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ADDED = {"index.md", "changes.md"}
"""README.md and CHANGELOG.md, by their names in the site (docs/site/hooks.py)."""

FENCED = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)


def list_pages(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for each in nav:
            yield from list_pages(each)
    elif isinstance(nav, dict):
        yield from list_pages(list(nav.values()))


def list_anchors(page: Path) -> set[str]:
    headings = HEADING.findall(FENCED.sub("", page.read_text("utf-8")))
    return {anchor_of(re.sub(r"\]\([^)]*\)", "", heading)) for heading in headings}


def list_links(page: Path) -> Iterator[tuple[Path, str]]:
    """Each link's file and anchor."""
    text = CODE.sub("", FENCED.sub("", page.read_text("utf-8")))
    for target, anchor in LINK.findall(text):
        yield ((page.parent / target).resolve() if target else page), anchor


def test_every_page_has_its_place_in_the_navigation() -> None:
    """A page that only who knows its address finds is read by nobody.

    A new one is a line under `nav` in mkdocs.yml.
    """
    listed = list(list_pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    assert sorted({page.relative_to(DOCS).as_posix() for page in PAGES} | ADDED) == sorted(listed)


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *PAGES],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Whoever follows one at night has no time to search."""
    broken = [
        f"{file.relative_to(ROOT)}#{anchor}"
        for file, anchor in list_links(page)
        if not file.is_file() or (anchor and anchor not in list_anchors(file))
    ]
    assert broken == []


def test_every_decision_is_listed() -> None:
    """The list is what a code host shows of the folder."""
    folder = DOCS / "decisions"
    listed = {file for file, _ in list_links(folder / "README.md")}
    assert listed == set(folder.glob("0*.md"))


@pytest.mark.parametrize(
    ("page", "seen"),
    [
        ("Two things:\n- one,\n  long\n- two\n", "Two things:\n\n- one,\n  long\n- two\n"),
        ("Steps:\n1. first\n2. second\n", "Steps:\n\n1. first\n2. second\n"),
        ("Shown:\n| a |\n|---|\n| b |\n", "Shown:\n\n| a |\n|---|\n| b |\n"),
        ("```\nno list:\n- one\n```\n", "```\nno list:\n- one\n```\n"),
        ("| `a\\|b` | c\\|d |\n", "| `a|b` | c\\|d |\n"),
    ],
)
def test_lists_and_tables_of_a_code_host_are_such_in_the_site(page: str, seen: str) -> None:
    """Without the empty line the site shows one paragraph with dashes and bars in it."""
    assert separate_blocks(page) == seen

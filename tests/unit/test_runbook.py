"""The runbook: whoever is woken finds an entry for what the message says."""

import re
from pathlib import Path

import pytest

from crypto_platform.errors import IncidentKind
from crypto_platform.serving.faults import Heading
from tests.documents import anchor_of, list_mentions
from tests.documents_run import list_run, strip_comment

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
LABELS = ("You see", "It means", "Do", "Worry when", "Do not")


def read_entries() -> dict[str, str]:
    """Each entry by its anchor, as GitHub and the site spell it."""
    _, *pieces = re.split(r"^###? (.*)$", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(map(anchor_of, pieces[::2]), pieces[1::2], strict=True))


@pytest.mark.parametrize("name", [*Heading, *IncidentKind])
def test_every_alert_and_incident_has_its_entry(name: str) -> None:
    """A renamed heading leaves whoever was woken at the top of a long page."""
    entry = read_entries()[name]
    assert [label for label in LABELS if f"- **{label}**: " not in entry] == []


def test_every_alert_is_found_by_its_title() -> None:
    """Somebody reads the message from a phone, and the link does not open there."""
    table = read_entries()["alerts"]
    assert [name for name in Heading if f"(#{name})" not in table] == []
    assert "(#incidents)" in table


def test_every_other_entry_is_as_complete() -> None:
    """One that says what it means but not what to do helps nobody."""
    broken = {
        name
        for name, entry in read_entries().items()
        if [label for label in LABELS if f"**{label}**" not in entry]
    }
    assert broken == {"alerts", "incidents"}


def test_every_command_of_an_entry_is_run() -> None:
    """One in a sentence is typed by nobody before the night when it is needed."""
    run = [strip_comment(each.text) for commands in list_run().values() for each in commands]
    said = [
        mention.text
        for mention in list_mentions()
        if mention.page == "docs/runbook.md" and mention.text.startswith("crypto-platform ")
    ]
    assert [text for text in said if not any(each.startswith(text) for each in run)] == []

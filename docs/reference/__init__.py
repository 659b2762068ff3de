"""The reference: pages that are written from the code, and a test that says when they are not.

Here: PAGES. `make reference` writes them; they are kept beside the code, so that a code host shows
them and their links as the site does. A new page is one module here and one line in PAGES. Not
here: docs/metrics.md, of which a table is written so (tests/unit/test_status_metrics.py).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference.commands import write_commands
from docs.reference.data import write_data
from docs.reference.endpoints import write_endpoints
from docs.reference.settings import write_settings

FOLDER = Path(__file__).parent

PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": write_settings,
    "commands.md": write_commands,
    "endpoints.md": write_endpoints,
    "data.md": write_data,
}
"""File in this folder -> what is to stand in it."""

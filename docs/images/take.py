"""Take the pictures of docs/dagster.md anew: `make screenshots`, beside a stack that runs.

Here: which pages of Dagster's UI, and how each is brought into view. Not here: the browser
(tests/chromium.py). A stack that has run for an hour and a half shows most: two hours, an audit, a
purge.
"""

import argparse
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.chromium import chromium

WIDTH = 1400
"""Of the pictures; a page may be looked at wider."""
COLOURS = 256
SETTLE_MS = 10_000
"""The UI asks once more for each thing in view."""

LOAD = "/assets/postgres/market/quote"
GROUPS = ",".join(
    f"global@global:{name}" for name in ("ingest", "topics", "postgres", "mongo", "audit")
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A page of the UI.

    Attributes:
        path: Under the UI's address.
        height: How much of it is looked at, in pixels of the page.
        awaited: A text that the page shows when its data have come.
        select: What is typed into the graph's search field.
        click: The last of what reads so is clicked.
        width: How wide it is looked at; the picture is made smaller.
    """

    path: str
    height: int
    awaited: str
    select: str = ""
    click: str = ""
    width: int = WIDTH


PICTURES = {
    "graph": Picture(
        path=f"/asset-groups?expanded={GROUPS}",
        height=720,
        awaited="Latest event",
        select='tag:"crypto_platform/feed"="quotes"',
    ),
    "load-columns": Picture(path=f"{LOAD}?view=overview", height=760, awaited="Passing"),
    "load-events": Picture(path=f"{LOAD}?view=events", height=1300, awaited="_chart", width=1700),
    "load-partitions": Picture(
        path=f"{LOAD}?view=partitions", height=720, awaited="Materialized", click=r"^[\d-]+:00$"
    ),
    "runs": Picture(path="/runs", height=760, awaited="load_postgres"),
    "audit-checks": Picture(
        path="/assets/audit/quotes?view=checks", height=640, awaited="Evaluation result"
    ),
    "automation": Picture(path="/automation", height=620, awaited="Standard sensor"),
}
"""By file name."""
MONTH = {"month": Picture(path=f"{LOAD}?view=partitions", height=620, awaited="Materialized")}
"""Of the UI that `make bench-months` starts for itself, while it writes its last day."""


def show(page: Page, picture: Picture) -> None:
    """Wait until everything is there."""
    page.get_by_text("Hide navigation").click()
    if picture.select:
        # the list at the side; its button has no name
        page.locator("button:right-of(input[placeholder^='Jump to'])").first.click()
        page.locator(".CodeMirror").last.click()
        page.keyboard.type(picture.select)
        page.keyboard.press("Enter")
        page.locator(".CodeMirror").last.blur()
    page.get_by_text(picture.awaited).first.wait_for()
    if picture.click:
        page.get_by_text(re.compile(picture.click)).locator("visible=true").last.click()
    page.wait_for_timeout(SETTLE_MS)


def save(png: bytes, path: Path) -> None:
    """Not too wide, and with few colours: a page of a UI needs no more."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((WIDTH, image.height), Image.Resampling.LANCZOS)
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Take them all, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="of the Dagster UI; `crypto-platform status` prints it")
    parser.add_argument("--only", nargs="*", default=[*PICTURES], choices=PICTURES | MONTH)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="folder")
    given = parser.parse_args()
    with chromium() as browser:
        for name in given.only:
            picture = (PICTURES | MONTH)[name]
            page = browser.new_page(viewport={"width": picture.width, "height": picture.height})
            page.goto(given.url.rstrip("/") + picture.path)
            show(page, picture)
            save(page.screenshot(), given.to / f"{name}.png")
            page.close()


if __name__ == "__main__":
    main()

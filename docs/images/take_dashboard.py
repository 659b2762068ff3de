"""Take the pictures of docs/dashboard.md anew: `make screenshots`, beside a stack that runs.

Here: which pages of the dashboard, and when they are there. Not here: the browser
(tests/chromium.py), Dagster's UI (take.py). One that has run for half an hour has candles to show.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from docs.images.take import save
from tests.chromium import chromium

USER = "u000001"
"""Of the simulated company."""
SETTLE_MS = 2_000
MARKET = "/markets/simulated_exchange/BTC-USD"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A page.

    Attributes:
        awaited: What is seen when the page is complete.
        size: Of the window, width and height.
    """

    path: str
    awaited: str
    size: tuple[int, int] = (1280, 860)
    scheme: Literal["light", "dark"] = "light"


PICTURES = {
    "overview": Picture(path="/", awaited=".badge.good[data-live]"),
    "market": Picture(path=MARKET, awaited="[data-depth] canvas", scheme="dark", size=(1280, 1230)),
    "portfolio": Picture(path="/portfolio", awaited="[data-panel=holdings] tbody tr"),
    "operations": Picture(path="/operations", awaited="#stores"),
}
"""By file name."""


def make_key() -> str:
    """A key of USER's, on the stack whose environment this is."""
    command = (sys.executable, "-m", "crypto_platform.cli", "keys", "create", "--user", USER)
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    return str(json.loads(done.stdout)["key"])


def main() -> None:
    """Take them all, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="of the dashboard; `crypto-platform status` prints it")
    parser.add_argument("--only", nargs="*", default=[*PICTURES], choices=PICTURES)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="folder")
    given = parser.parse_args()
    url = given.url.rstrip("/")
    with chromium() as browser:
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.goto(f"{url}/login")
        page.get_by_label("User").fill(USER)
        page.get_by_label("Key").fill(make_key())
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        page.wait_for_url("**/portfolio")
        for name in given.only:
            picture = PICTURES[name]
            width, height = picture.size
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=picture.scheme)
            page.goto(url + picture.path)
            page.locator(picture.awaited).first.wait_for()
            page.wait_for_timeout(SETTLE_MS)
            save(page.screenshot(), given.to / f"{name}.png")


if __name__ == "__main__":
    main()

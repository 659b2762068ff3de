"""A load in a process of its own, for tests that kill or stop it.

`python -m tests.store_child STORE RECORDS`, settings from the environment: claims partitions 0
and 1, says `claimed`, commits RECORDS quotes over both, then says how that ended. Not here: the
killing (CRYPTO_PLATFORM_CRASH_AT, signals from the test).
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from crypto_platform import crash_points
from crypto_platform.errors import PlatformError
from crypto_platform.settings import load_settings
from crypto_platform.stores import open_store
from crypto_platform.stores.slices import Outcome
from tests.store_steps import P0, P1, claim, piece, quote


def start(store: str, *, records: int, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start such a load; its lines come on stdout."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store_child", store, str(records)],
        cwd=Path(__file__).parent.parent,
        env={"PATH": os.defpath, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def main(name: str, records: int) -> None:
    """Claim, commit, report."""
    settings = load_settings(Path("/nonexistent"))
    crash_points.arm(settings.crash_at)
    store = open_store(name, settings)
    first, second = claim(store, P0, P1, run_id="child")
    quotes = [quote(number) for number in range(records)]
    slices = [piece(first, quotes[::2]), piece(second, quotes[1::2])]
    _say("claimed")
    try:
        _say(_describe(store.commit(slices, run_id="child")))
    except PlatformError as error:
        _say(type(error).__name__)
    # whoever was overtaken may try again: it must find itself fenced
    _say(_describe(store.commit(slices, run_id="child")))


def _describe(outcome: Outcome) -> str:
    return f"fenced {len(outcome.fenced)}, stored {sum(outcome.stored_records.values())}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""A whole running platform for crash tests, as a user starts it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_platform.errors import PlatformError
from crypto_platform.settings import load_settings
from crypto_platform.stack.processes import find_marked
from crypto_platform.stack.state import read_state
from crypto_platform.stack.targets import find_runs
from crypto_platform.stores import STORES, open_store
from tests.waiting import eventually

BACK_WITHIN_S = 150.0
"""A dead run is noticed after 15 s without progress; ingestion waits for its minute."""


class RunningPlatform:
    """The whole stack, as a user starts it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on this data folder."""
        return subprocess.run(
            [sys.executable, "-m", "crypto_platform.cli", *arguments, "--data-dir", self.data_dir],
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self) -> None:
        done = self.command("up", "--detach", "--sources", "simulated")
        assert done.returncode == 0, done.stderr + done.stdout

    def stored(self, store: str) -> int:
        """Offsets stored so far; -1 where the store does not answer."""
        opened = open_store(store, load_settings(self.data_dir, environment={}), role="analyst")
        try:
            return sum(row.next_offset for row in opened.read_offsets())
        except PlatformError:
            return -1
        finally:
            opened.close()

    def wait_for_progress(self) -> None:
        """Until both stores have stored more than they have now, twice over."""
        for _ in range(2):
            before = {store: max(self.stored(store), 0) for store in STORES}
            eventually(lambda: self._is_past(before), within_s=BACK_WITHIN_S)  # noqa: B023 - used at once

    def _is_past(self, before: dict[str, int]) -> bool:
        return all(self.stored(store) > offsets for store, offsets in before.items())

    def pid_of(self, part: str) -> int:
        """The process of a part."""
        state = read_state(self.data_dir)
        assert state is not None
        if part == "up":
            return state.pid
        pid = state.parts[part].pid
        assert pid is not None
        return pid

    def workers(self, part: str) -> list[int]:
        """Run workers that talk to this part."""
        return [process.pid for process in find_runs(self.data_dir, part)]

    def audit(self) -> dict[str, object]:
        done = self.command("audit", "--json", "--wait", "60")
        report = json.loads(done.stdout)
        assert done.returncode == 0, json.dumps(report.get("findings"))[:2000]
        return report


@pytest.fixture(scope="module")
def running() -> Iterator[RunningPlatform]:
    with tempfile.TemporaryDirectory(prefix="crypto_platform_kill_") as name:
        Path(name).chmod(0o755)
        made = RunningPlatform(Path(name) / "data")
        made.up()
        made.wait_for_progress()
        yield made
        made.command("down")
        assert find_marked(made.data_dir) == []

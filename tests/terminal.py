"""A terminal for tests: one bash, in which a person's commands are typed one after the other.

Here: what each printed and how it ended. Variables, the environment that was switched on, and what
runs in the background go on from one to the next; a clone to type them in. Not here: what is typed.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from crypto_platform.settings import ENV_PREFIX, process_environment
from crypto_platform.stack.embedded import stop_stack

ROOT = Path(__file__).parents[1]
END = "@@ ended with"
END_S = 10.0


class Typed(NamedTuple):
    """How a command ended, and all it printed."""

    exit_code: int
    output: str


class Terminal:
    """See the module. What is typed has no stdin: nobody is there to answer a question."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take a bash that reads from a pipe."""
        self._process = process

    def type(self, command: str) -> Typed:
        """Run a command to its end; a test's own limit is the only one."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{{\n{command}\n}} </dev/null\nprintf '\\n{END} %d\\n' $?\n")
        stdin.flush()
        lines: list[str] = []
        for line in stdout:
            if line.startswith(END):
                return Typed(int(line.removeprefix(END)), "".join(lines))
            lines.append(line)
        message = f"the terminal was closed by {command!r}: {''.join(lines)}"
        raise AssertionError(message)


@contextmanager
def cloned_repository() -> Generator[Path]:
    """A clone of what is committed, in a folder that a server of another user can reach.

    Whatever stack runs in its `data` is ended with it.
    """
    with tempfile.TemporaryDirectory(prefix="crypto_platform_clone_") as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "crypto_platform"
        git = shutil.which("git") or "git"
        subprocess.run([git, "clone", "--quiet", str(ROOT), str(folder)], check=True)
        try:
            yield folder
        finally:
            stop_stack(folder / "data")


def list_environment() -> dict[str, str]:
    """This process's, without what would point to another stack."""
    return {n: v for n, v in process_environment().items() if not n.startswith(ENV_PREFIX)}


@contextmanager
def open_terminal(folder: Path, environment: Mapping[str, str]) -> Generator[Terminal]:
    """A bash in this folder; what it left in the background ends with it."""
    process = subprocess.Popen(
        ["/bin/bash"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Terminal(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=END_S)

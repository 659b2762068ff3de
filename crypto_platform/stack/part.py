"""What one part of the stack declares about itself; the supervisor knows no more of it.

Here: the base class, and two ways of asking whether a server answers. Not here: the parts (a file
each), starting and stopping them (supervisor.py).
"""

import asyncio
import signal
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from crypto_platform.settings import Settings
from crypto_platform.stack.identity import Identity
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a stack lives: what all its parts are built from.

    Attributes:
        ports: By name as in `StackSettings`, without `_port`.
    """

    data_dir: Path
    settings: Settings
    identity: Identity
    ports: dict[str, int]

    def address(self, port_name: str) -> str:
        """host:port of one of our listeners."""
        return f"{HOST}:{self.ports[port_name]}"


class Part(ABC):
    """One process of the stack.

    Attributes:
        name: In the UI, in `logs NAME`, in `--only`.
        after: Parts that must be ready before this one is prepared, where they run at all; they
            are stopped only when this one is.
        outlives: More parts that are stopped before this one.
        once: Ends by itself; ready when it ended with 0.
        address: host:port or URL for people, None where it listens nowhere.
        stop_signal: Asks it to end; also sent by the kernel should we die.
        stop_timeout_s: After this it is killed.
    """

    name: str
    after: Collection[str] = ()
    outlives: Collection[str] = ()
    once: bool = False
    address: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0

    @abstractmethod
    async def prepare(self) -> None:
        """Make what it needs on disk; called before its first start, so it must be idempotent.

        Raises:
            StackError: With what to do about it.
        """

    @abstractmethod
    def command(self) -> Command:
        """The command line, made anew for every start."""

    @abstractmethod
    async def is_ready(self, pid: int) -> bool:
        """Ask once whether the process `pid` does its work; False while it does not answer."""


async def answers_tcp(port: int) -> bool:
    """Whether something listens on 127.0.0.1:port."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(HOST, port), 1.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def answers_http(url: str) -> bool:
    """Whether a GET of this local URL is answered with 200 within a second."""
    return await asyncio.to_thread(_get_status, url) == HTTPStatus.OK


def _get_status(url: str) -> int | None:
    try:
        # Without a proxy: these are our own servers on the loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=1.0) as answer:
            return answer.status
    except (OSError, urllib.error.URLError):
        return None

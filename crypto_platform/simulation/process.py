"""A server of the simulation as a process: the listening socket, uvicorn, the end by signal.

Not here: what is answered (server.py, company/server.py), arguments (__main__.py of each).
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Generator

import uvicorn
from starlette.applications import Starlette

KEEP_ALIVE_S = 75
"""Longer than a poller's pause: a shorter one would cut connections just as they are used."""


class VenueServer(uvicorn.Server):
    """uvicorn, ended by an event: at once even during a slow answer, and with exit code 0."""

    def __init__(self, app: Starlette, stopping: asyncio.Event) -> None:
        """Serve `app` until `stop`, which sets `stopping` for the answers still waiting."""
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",  # uvloop costs memory, and one request a second needs no speed
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )
        self._stopping = stopping

    def stop(self) -> None:
        """Accept nothing more, answer what waits, end. To be called in the server's loop."""
        self._stopping.set()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """End by `stop`; uvicorn's own handlers raise the signal again when all is done."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
        yield


def listen(host: str, port: int) -> socket.socket:
    """Open the port; OSError if it is taken.

    asyncio switches Nagle's algorithm off only where a socket names TCP as its protocol, and this
    one does not. With it the body of each answer waits 40 ms for the acknowledgement of its head:
    a poll of twenty products took 0.84 s. Accepted connections inherit the option.
    """
    listener = socket.create_server((host, port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener

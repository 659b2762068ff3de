"""Start the simulated market: `python -m crypto_platform.simulation --port 0 --seed 7`.

Here: the command's arguments, the listening socket, the end by signal. Not here: what is
answered (server.py). Prints one line, {"port": N}, once connections are accepted; logs warnings
to stderr. SIGTERM and SIGINT end it within a second, with exit code 0.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Sequence

import uvicorn
from starlette.applications import Starlette

from crypto_platform.simulation.currencies import CURRENCIES_MAX, list_currencies
from crypto_platform.simulation.market import Market
from crypto_platform.simulation.server import SimulatedVenue

CURRENCIES_DEFAULT = 220
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the market until a signal; return the exit code: 0 ended, 1 cannot listen, 2 usage."""
    options = _parse_arguments(arguments)
    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        sys.stderr.write(
            f"cannot listen on {options.host}:{options.port}: {error.strerror}; "
            "give another --port, or 0 for a free one\n"
        )
        return 1
    stopping = asyncio.Event()
    venue = SimulatedVenue(
        Market(seed=options.seed, currencies=list_currencies(options.currencies)),
        key=options.key,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        stopping=stopping,
    )
    server = VenueServer(venue.build_app(), stopping)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    server.run(sockets=[listener])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Open the port; OSError if it is taken.

    asyncio switches Nagle's algorithm off only where a socket names TCP as its protocol, and this
    one does not. With it the body of each answer waits 40 ms for the acknowledgement of its head:
    a poll of twenty products took 0.84 s. Accepted connections inherit the option.
    """
    listener = socket.create_server((host, port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m crypto_platform.simulation",
        description="A simulated market that speaks CoinCap's and Coinbase's HTTP dialects.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="0: a free one")
    parser.add_argument("--seed", type=int, default=7, help="which market: same seed, same prices")
    parser.add_argument("--key", help="ask for this key: Authorization: Bearer KEY")
    parser.add_argument(
        "--currencies",
        type=int,
        default=CURRENCIES_DEFAULT,
        help=f"how many are listed, 1 to {CURRENCIES_MAX} (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.currencies <= CURRENCIES_MAX:
        parser.error(f"--currencies must be 1 to {CURRENCIES_MAX}")
    if options.key == "":
        parser.error("--key must not be empty; leave it out to ask for none")
    return options


if __name__ == "__main__":
    sys.exit(main())

"""Start the simulated market: `python -m crypto_platform.simulation --port 0 --seed 7`.

Here: the command's arguments. Not here: what is answered (server.py), the socket and the end by
signal (process.py). Prints one line, {"port": N}, once connections are accepted; logs warnings
to stderr. SIGTERM and SIGINT end it within a second, with exit code 0.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

from crypto_platform.simulation.currencies import CURRENCIES_MAX, list_currencies
from crypto_platform.simulation.market import Market
from crypto_platform.simulation.process import VenueServer, listen
from crypto_platform.simulation.server import SimulatedVenue

CURRENCIES_DEFAULT = 220


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

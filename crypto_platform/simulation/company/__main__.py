"""Start the company: `python -m crypto_platform.simulation.company --port 0 --data-dir FOLDER`.

Here: the command's arguments, the secret, wiring, the end. Not here: what is answered (server.py).
Prints one line, {"port": N}, once connections are accepted; logs warnings to stderr. SIGTERM and
SIGINT end it within a second, with exit code 0; whatever it answered for is on the disk.
"""

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from crypto_platform.simulation.company.company import Company
from crypto_platform.simulation.company.engine import Engine
from crypto_platform.simulation.company.journal import Journal, JournalError
from crypto_platform.simulation.company.keys import KeyRing
from crypto_platform.simulation.company.orders_in import USERS_MIN
from crypto_platform.simulation.company.pace import RATE_MAX
from crypto_platform.simulation.company.products import PRODUCTS, choose_products
from crypto_platform.simulation.company.references import FollowedPrices, OwnPrices, References
from crypto_platform.simulation.company.server import CompanyServer
from crypto_platform.simulation.company.traders import USERS_MAX, Traders
from crypto_platform.simulation.process import VenueServer, listen

SECRET_VARIABLE = "COMPANY_SECRET"  # noqa: S105 - its name
USERS_DEFAULT = 1000
RATE_DEFAULT = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the company until a signal.

    Returns:
        The exit code: 0 ended, 1 cannot listen, read or write its journal, 2 usage.
    """
    options = _parse_arguments(arguments)
    try:
        keys = KeyRing(os.environ.get(SECRET_VARIABLE, ""))
    except ValueError as error:
        sys.stderr.write(f"{SECRET_VARIABLE} in the environment: {error}\n")
        return 2
    try:
        journal = Journal(options.data_dir)
        listener = listen(options.host, options.port)
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"{error.filename or f'{options.host}:{options.port}'}: {error.strerror}; give another "
            "--data-dir, or another --port, or 0 for a free one\n"
        )
        return 1
    stop_following = threading.Event()
    company = _build_company(options, journal, _build_references(options, stop_following))
    stopping = asyncio.Event()
    app = CompanyServer(
        company,
        keys,
        options.products,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        stopping=stopping,
    ).build_app()
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    try:
        asyncio.run(_serve(company, VenueServer(app, stopping), listener))
    except sqlite3.Error as error:
        sys.stderr.write(f"{options.data_dir}: the journal cannot be written: {error}\n")
        return 1
    finally:
        stop_following.set()
        journal.close()
    return 0


async def _serve(company: Company, server: VenueServer, listener: socket.socket) -> None:
    """Work and answer until a signal, or until the journal fails."""
    working = asyncio.create_task(company.run())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait({working, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    await serving
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    if not working.cancelled() and (error := working.exception()) is not None:
        raise error


def _build_company(
    options: argparse.Namespace, journal: Journal, references: References
) -> Company:
    def build_traders(engine: Engine, seed: int | None) -> Traders:
        return Traders(
            engine,
            references,
            seed=options.seed if seed is None else seed,
            products=options.products,
        )

    return Company(
        journal,
        build_traders=build_traders,
        users=options.users,
        rate=options.rate,
        clock_us=lambda: time.time_ns() // 1000,
        clock_s=time.monotonic,
    )


def _build_references(options: argparse.Namespace, stop: threading.Event) -> References:
    own = OwnPrices(seed=options.reference_seed)
    if options.reference_url is None:
        return own
    followed = FollowedPrices(own)
    thread = threading.Thread(
        target=followed.follow, args=(options.reference_url, stop), daemon=True
    )
    thread.start()
    return followed


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m crypto_platform.simulation.company",
        description="A simulated exchange with users, whose keys are made of the secret in "
        f"{SECRET_VARIABLE}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="0: a free one")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of its journal")
    parser.add_argument("--seed", type=int, default=7, help="of what users do")
    parser.add_argument(
        "--reference-seed", type=int, default=7, help="of the simulated market's prices"
    )
    parser.add_argument(
        "--reference-url",
        help="follow the quotes of this CoinCap-dialect API, up to its version: "
        "http://127.0.0.1:8099/v3",
    )
    parser.add_argument(
        "--users",
        type=int,
        default=USERS_DEFAULT,
        help=f"how many trade, {USERS_MIN} to {USERS_MAX} (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=RATE_DEFAULT,
        help=f"their orders a second, 0 to {RATE_MAX:g} (default: %(default)s)",
    )
    parser.add_argument(
        "--products", default=",".join(list(PRODUCTS)[:5]), help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    if not USERS_MIN <= options.users <= USERS_MAX:
        parser.error(f"--users must be {USERS_MIN} to {USERS_MAX}")
    if not 0 <= options.rate <= RATE_MAX:
        parser.error(f"--rate must be 0 to {RATE_MAX:g}")
    try:
        options.products = choose_products(options.products.split(","))
    except ValueError as error:
        parser.error(f"--products: {error}")
    return options


if __name__ == "__main__":
    sys.exit(main())

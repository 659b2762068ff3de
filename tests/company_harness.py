"""The simulated company for tests: in this process with a clock the test sets, or as its own.

Here: a client, the running server, the process with its log. Not here: what is answered.
"""

import asyncio
import contextlib
import http.client
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crypto_platform.simulation.company.company import Company
from crypto_platform.simulation.company.engine import Engine
from crypto_platform.simulation.company.journal import Journal
from crypto_platform.simulation.company.keys import OPERATOR, KeyRing
from crypto_platform.simulation.company.products import Product
from crypto_platform.simulation.company.references import OwnPrices
from crypto_platform.simulation.company.server import CompanyServer
from crypto_platform.simulation.company.traders import Traders
from crypto_platform.simulation.process import VenueServer, listen
from tests.company_steps import FIVE, NOON_US

SECRET = "a-secret-for-tests"
KEYS = KeyRing(SECRET)
START_S = 30


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict:
        return json.loads(self.body)


@dataclass
class Client:
    """A client of a running company; bears the operator's key unless told otherwise."""

    port: int
    now_us: int = NOON_US
    timeout_s: float = 10
    company: Company | None = field(default=None, repr=False)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        holder: str | None = OPERATOR,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            given = {} if holder is None else {"X-Api-Key": KEYS.make_key(holder)}
            text = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, text, given if headers is None else dict(headers))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def deposit(self, user_id: str, currency: str, amount: str) -> dict:
        body = {"currency": currency, "amount": amount}
        reply = self.ask("/v1/deposits", method="POST", holder=user_id, body=body)
        assert reply.status == 200, reply.body
        return reply.document

    def place(self, user_id: str, side: str, quantity: str, price: str, **more: object) -> dict:
        reply = self.order(user_id, side=side, quantity=quantity, price=price, type="limit", **more)
        assert reply.status == 200, reply.body
        return reply.document

    def order(self, user_id: str, **fields: object) -> Reply:
        body = {"product_id": "BTC-USD"} | fields
        return self.ask("/v1/orders", method="POST", holder=user_id, body=body)

    def read_events(self, *, after: int = 0) -> list[dict]:
        """All events after a sequence, page by page."""
        found: list[dict] = []
        while True:
            page = self.ask(f"/v1/account-events?after={after}&limit=5000").document
            found += page["events"]
            after += len(page["events"])
            if after >= page["last_sequence"]:
                return found

    def fault(self, **order: object) -> None:
        assert self.ask("/simulation/faults", method="POST", body=order).status == 200


@contextlib.contextmanager
def run_company(
    folder: Path, *, rate: float = 0, products: list[Product] | None = None
) -> Iterator[Client]:
    """A company in a thread, which lives by the client's clock; nobody trades by himself."""
    listener = listen("127.0.0.1", 0)
    client = Client(port=listener.getsockname()[1])
    stopping = asyncio.Event()
    listed = products or FIVE
    started = threading.Event()
    servers: list[VenueServer] = []

    def build_traders(engine: Engine, seed: int | None) -> Traders:
        return Traders(engine, OwnPrices(seed=7), seed=seed or 7, products=listed)

    async def work() -> None:
        # SQLite wants its connection used where it was made
        journal = Journal(folder)
        company = Company(
            journal,
            build_traders=build_traders,
            users=50,
            rate=rate,
            clock_us=lambda: client.now_us,
            clock_s=time.monotonic,
        )
        client.company = company
        server = VenueServer(
            CompanyServer(
                company,
                KEYS,
                listed,
                clock_ms=lambda: client.now_us // 1000,
                stopping=stopping,
            ).build_app(),
            stopping,
        )
        servers.append(server)
        started.set()
        working = asyncio.create_task(company.run())
        await server.serve(sockets=[listener])
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        journal.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert started.wait(START_S)
    try:
        yield client
    finally:
        # also where the test has failed: the thread would outlive the whole test run
        servers[0].should_exit = True
        thread.join(timeout=5)
    assert not thread.is_alive()


@contextlib.contextmanager
def start_company(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
    """A company as a process of its own, which is killed at the end if it still runs."""
    command = (sys.executable, "-m", "crypto_platform.simulation.company", "--port", "0")
    process = subprocess.Popen(
        [*command, "--data-dir", str(folder), *options],
        stdout=subprocess.PIPE,
        env=os.environ | {"COMPANY_SECRET": SECRET},  # noqa: TID251 - what a child needs to run
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], START_S)[0]
        yield process, Client(port=json.loads(process.stdout.readline())["port"])
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

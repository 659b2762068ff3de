"""The simulated market inside a test's process: on a real socket, with a clock the test sets.

Here: a client, the running server, what every test begins with. Not here: what is answered.
"""

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from crypto_platform.simulation.currencies import list_currencies
from crypto_platform.simulation.market import Market
from crypto_platform.simulation.process import VenueServer, listen
from crypto_platform.simulation.server import SimulatedVenue

NOON_MS = 1_767_268_800_000
KEY = "a-key-for-tests"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict | list:
        return json.loads(self.body)

    @property
    def data(self) -> list[dict]:
        return self.document["data"]


@dataclass
class Venue:
    """A client of the running market, and the market's clock."""

    port: int
    now_ms: int = NOON_MS
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, self.headers if headers is None else headers)
            return read_answer(connection)
        finally:
            connection.close()

    def order(self, **fault: object) -> Answer:
        return self.ask("/simulation/faults", method="POST", body=json.dumps(fault))


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


@contextlib.contextmanager
def run_venue() -> Iterator[Venue]:
    """A running market of 220 currencies that asks for KEY and lives by the client's clock."""
    listener = listen("127.0.0.1", 0)
    client = Venue(port=listener.getsockname()[1])
    stopping = asyncio.Event()
    app = SimulatedVenue(
        Market(seed=7, currencies=list_currencies(220)),
        key=KEY,
        clock_ms=lambda: client.now_ms,
        stopping=stopping,
    ).build_app()
    server = VenueServer(app, stopping)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield client
    finally:
        # also where the test has failed: the thread would outlive the whole test run
        server.should_exit = True
        thread.join(timeout=5)
    assert not thread.is_alive()


def calm(venue: Venue) -> Venue:
    """The market at noon, without a fault."""
    venue.now_ms = NOON_MS
    venue.ask("/simulation/faults", method="DELETE")
    return venue

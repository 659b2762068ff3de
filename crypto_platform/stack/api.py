"""The HTTP API as a part: a process that reads the stores."""

import sys

from crypto_platform.stack.dagster import PythonPart
from crypto_platform.stack.part import Place, answers_http
from crypto_platform.stack.processes import Command


class Api(PythonPart):
    """`python -m crypto_platform.serving.api` of one data folder."""

    name = "api"
    # Before the tables are there, every answer would be a refusal.
    after = ("migration", "postgres", "mongo")

    def __init__(self, place: Place) -> None:
        """Declare it."""
        super().__init__(place)
        self.address = f"http://{place.address('api')}"
        self._port = place.ports["api"]

    def command(self) -> Command:
        """Run it; it listens on the loopback only."""
        argv = (sys.executable, "-m", "crypto_platform.serving.api", "--port", str(self._port))
        return self._run(*argv)

    async def is_ready(self, pid: int) -> bool:
        """Whether its health page answers."""
        _ = pid
        return await answers_http(f"{self.address}/health")

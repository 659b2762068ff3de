"""The simulated market as a part: a process that speaks HTTP and knows nothing of the platform."""

import sys

from crypto_platform.stack.part import Part, Place, answers_http
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command

CURRENCIES = 220


class Simulation(Part):
    """`python -m crypto_platform.simulation` of one data folder."""

    name = "simulation"
    stop_timeout_s = 5.0

    def __init__(self, place: Place) -> None:
        """Declare it."""
        self.address = f"http://{place.address('simulation')}"
        self._port = place.ports["simulation"]
        self._seed = place.settings.stack.simulation_seed

    async def prepare(self) -> None:
        """Nothing is kept: the seed and the clock say it all."""

    def command(self) -> Command:
        """Run it."""
        argv = (
            *(sys.executable, "-m", "crypto_platform.simulation", "--host", HOST),
            *("--port", str(self._port), "--seed", str(self._seed)),
            *("--currencies", str(CURRENCIES)),
        )
        return Command(argv=argv)

    async def is_ready(self, pid: int) -> bool:
        """Whether its health page answers."""
        _ = pid
        return await answers_http(f"{self.address}/simulation/health")

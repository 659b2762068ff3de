"""The simulated trading company as a part: a process that speaks HTTP, with a journal of its own.

Here: its command line and its operator's key. Not here: what it does (simulation/company), which
shares no code with the platform: that its keys are made so is its API's word (docs/company.md).
"""

import hashlib
import hmac
import sys

from crypto_platform.stack.folder import COMPANY_FOLDER
from crypto_platform.stack.part import Part, Place, answers_http
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command

OPERATED_DIALECT = "company"
"""The dialect that reads all accounts, with the operator's key."""

_OPERATOR = "operator"
_SECRET_VARIABLE = "COMPANY_SECRET"  # noqa: S105 - its name


class Company(Part):
    """`python -m crypto_platform.simulation.company` of one data folder."""

    name = "company"
    stop_timeout_s = 5.0

    def __init__(self, place: Place) -> None:
        """Declare it."""
        self.address = f"http://{place.address('company')}"
        self._port = place.ports["company"]
        self._folder = place.data_dir / COMPANY_FOLDER
        self._settings = place.settings.company
        self._reference_seed = place.settings.stack.simulation_seed
        self._secret = place.identity.company_secret

    async def prepare(self) -> None:
        """Nothing: it makes its own folder."""

    def command(self) -> Command:
        """Run it."""
        settings = self._settings
        argv = [
            *(sys.executable, "-m", "crypto_platform.simulation.company", "--host", HOST),
            *("--port", str(self._port), "--data-dir", str(self._folder)),
            *("--users", str(settings.users), "--rate", str(settings.rate)),
            *("--seed", str(settings.seed), "--reference-seed", str(self._reference_seed)),
            *("--products", ",".join(settings.products)),
        ]
        if settings.reference_url is not None:
            argv += ["--reference-url", settings.reference_url]
        environment = {_SECRET_VARIABLE: self._secret, "MALLOC_ARENA_MAX": "2"}
        return Command(argv=argv, environment=environment)

    async def is_ready(self, pid: int) -> bool:
        """Whether its health page answers."""
        _ = pid
        return await answers_http(f"{self.address}/healthz")


def make_operator_key(secret: str) -> str:
    """The operator's key of a company with this secret."""
    signature = hmac.new(secret.encode(), _OPERATOR.encode(), hashlib.sha256)
    return f"{_OPERATOR}.{signature.hexdigest()}"

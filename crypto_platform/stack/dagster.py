"""The migration and Dagster's three processes as parts.

Here: their command lines and readiness. Not here: DAGSTER_HOME (home.py), what they run
(definitions.py, migrations/); nothing of Dagster is imported.
"""

import asyncio
import logging
import sys
import sysconfig
from pathlib import Path
from typing import Any

from crypto_platform.errors import StackError
from crypto_platform.serving.dagster_api import REPOSITORY, ask_dagster
from crypto_platform.settings import (
    ENV_PREFIX,
    ENVIRONMENT_FILE,
    LogFormat,
    given_environment,
    read_environment_file,
)
from crypto_platform.stack.folder import DAGSTER_FOLDER, LOGS_FOLDER
from crypto_platform.stack.logs import read_tail
from crypto_platform.stack.part import Part, Place, answers_http, answers_tcp
from crypto_platform.stack.ports import HOST
from crypto_platform.stack.processes import Command

LOGGER = logging.getLogger(__name__)

CODE_SERVER_HOST = "CRYPTO_CODE_SERVER_HOST"
CODE_SERVER_PORT = "CRYPTO_CODE_SERVER_PORT"
"""What workspace.yaml reads; not settings, for compose sets them without us."""

LOCATION = REPOSITORY["repositoryLocationName"]
FIRST_JOB = "ingest_live"
FIRST_OP = "sources_to_kafka"
"""As assets/names.py has them, which this part may not import; a test compares the two."""
_SERVERS = ("kafka", "postgres", "mongo")
_LAUNCH = """
mutation Launch($job: JobOrPipelineSelector!, $config: RunConfigData!) {
  launchRun(executionParams: {selector: $job, runConfigData: $config}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
  }
}
"""


class PythonPart(Part):
    """What our programs share: the interpreter and what `up` wrote into `<data>/environment`."""

    stop_timeout_s = 8.0

    def __init__(self, place: Place) -> None:
        self._place = place
        self._home = place.data_dir / DAGSTER_FOLDER

    @property
    def _log_format(self) -> tuple[str, ...]:
        """What Dagster's own processes are told; as text they write what they always do."""
        is_json = self._place.settings.logging.format is LogFormat.JSON
        return ("--log-format", "json") if is_json else ()

    async def prepare(self) -> None:
        """Nothing: `up` has made DAGSTER_HOME."""

    def _run(self, *argv: str) -> Command:
        data_dir = self._place.data_dir
        given = given_environment(data_dir).items()
        environment = {key: value for key, value in given if key.startswith(ENV_PREFIX)}
        environment |= read_environment_file(data_dir / ENVIRONMENT_FILE)
        # Logs arrive when written; without the arenas of idle threads a process is 30 MB smaller.
        environment |= {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
        return Command(argv=argv, environment=environment)


class Migration(PythonPart):
    """Tables, collections and topics as this version wants them."""

    name = "migration"
    after = _SERVERS
    once = True

    def command(self) -> Command:
        """Run it."""
        return self._run(sys.executable, "-m", "crypto_platform.migrations")

    async def is_ready(self, pid: int) -> bool:
        """Never by being asked: it is ready when it has ended."""
        _ = pid
        return False


class CodeServer(PythonPart):
    """Dagster's gRPC server with our definitions; run workers are its children."""

    name = "code-server"
    # Not after the migration: it needs no tables to load the definitions, which takes seconds.
    after = ("dagster-postgres", "simulation", "company", *_SERVERS)
    outlives = ("daemon", "webserver")

    def __init__(self, place: Place) -> None:
        """Declare it."""
        super().__init__(place)
        self.address = place.address("code_server")
        self._port = place.ports["code_server"]

    def command(self) -> Command:
        """Run it; the address also stands in the environment, where workspace.yaml looks."""
        return self._run(
            *(sys.executable, "-m", "dagster", "api", "grpc", "-m", "crypto_platform.definitions"),
            *("-h", HOST, "-p", str(self._port), "--location-name", LOCATION),
            *("--use-python-environment-entry-point", "--log-level", "warning"),
            *self._log_format,
        )

    async def is_ready(self, pid: int) -> bool:
        """It listens only when the definitions are loaded."""
        _ = pid
        return await answers_tcp(self._port)


class Daemon(PythonPart):
    """Schedules, sensors and the run queue."""

    name = "daemon"
    # Its first ticks start runs, which need the tables; the code server it waits for by itself.
    after = ("migration", "dagster-postgres", "simulation", "company", *_SERVERS)

    def __init__(self, place: Place) -> None:
        """Declare it."""
        super().__init__(place)
        self._log = place.data_dir / LOGS_FOLDER / f"{self.name}.log"
        self._log_start = 0

    def command(self) -> Command:
        """Run it."""
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        workspace = str(self._home / "workspace.yaml")
        return self._run(_script("dagster-daemon"), "run", "-w", workspace, *self._log_format)

    async def is_ready(self, pid: int) -> bool:
        """It listens nowhere; it names its daemons once storage and workspace are loaded."""
        _ = pid
        lines = read_tail(self._log, lines=1000, start=self._log_start)
        return any("configured with the following daemons" in line for line in lines)


class Webserver(PythonPart):
    """Dagster's UI and GraphQL."""

    name = "webserver"
    after = ("dagster-postgres",)

    def __init__(self, place: Place) -> None:
        """Declare it."""
        super().__init__(place)
        self.address = f"http://{place.address('webserver')}"
        self._port = place.ports["webserver"]

    def command(self) -> Command:
        """Run it; it has no log-in, so it listens on the loopback only."""
        return self._run(
            *(_script("dagster-webserver"), "-h", HOST, "-p", str(self._port)),
            *("-w", str(self._home / "workspace.yaml"), "--dagster-log-level", "warning"),
            *self._log_format,
        )

    async def is_ready(self, pid: int) -> bool:
        """Whether its own information page answers."""
        _ = pid
        return await answers_http(f"{self.address}/server_info")


def _script(name: str) -> str:
    """A console script of our own environment, which need not be on the PATH."""
    return str(Path(sysconfig.get_path("scripts")) / name)


async def launch_first_run(webserver_url: str, *, follow_s: float, within_s: float) -> None:
    """Ask for one ingest run now, as the schedule does; failing is a warning: it does in a minute.

    A second one beside the schedule's is harmless: it fences its elder.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    problem = "not asked"
    while loop.time() < deadline:
        answer = await asyncio.to_thread(_post_launch, webserver_url, follow_s)
        if answer.get("__typename") == "LaunchRunSuccess":
            return
        problem = str(answer.get("message") or answer.get("__typename"))
        await asyncio.sleep(1.0)
    LOGGER.warning("the first ingest run was not launched (%s); the schedule will do it", problem)


def _post_launch(webserver_url: str, follow_s: float) -> dict[str, Any]:
    variables = {
        "job": {**REPOSITORY, "jobName": FIRST_JOB},
        "config": {"ops": {FIRST_OP: {"config": {"follow_s": follow_s}}}},
    }
    try:
        answer: dict[str, Any] = ask_dagster(webserver_url, _LAUNCH, variables)["launchRun"]
    except StackError as error:
        return {"message": str(error)}
    return answer
